"""A θ that is several arrays: the same problem as that of one vector, and what does not fit is named."""

import pickle

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.core.tree import Tree
from boltzgrad.testing import assert_hypergradient, check_hypergradient
from boltzgrad.verify.tolerances import Verdict

WORLD = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]])
LIKE = {"reward": np.zeros((2, 2)), "rates": [0.0, np.zeros(2)]}
TREE = {"reward": np.array([[0.0, 0.5], [1.0, -0.25]]), "rates": [2.0, np.array([-0.5, 0.25])]}
VECTOR = np.array([0.0, 0.5, 1.0, -0.25, 2.0, -0.5, 0.25])


def of_tree(theta):
    patience, (warmth, slope) = theta["rates"]
    return bg.TabularModel(
        WORLD, [1.0, 0.0], theta["reward"], [[0.0, 0.0], [1.0, 1.0]] + slope * theta["reward"],
        follower_discount=bg.sigmoid(patience), leader_discount=0.95, temperature=anp.exp(warmth),
    )  # fmt: skip


def of_vector(t):
    return of_tree({"reward": anp.reshape(t[:4], (2, 2)), "rates": [t[4], t[5:]]})


PROBLEM = bg.ConfigurableMDP(of_tree, like=LIKE)
SAME = bg.ConfigurableMDP(of_vector, dim=7)


def test_it_is_the_problem_of_a_vector():
    assert PROBLEM.dim == 7
    found, other = bg.hypergradient(PROBLEM, TREE), bg.hypergradient(SAME, VECTOR)
    np.testing.assert_array_equal(found.gradient, other.gradient)
    np.testing.assert_array_equal(bg.hypergradient(PROBLEM, VECTOR).gradient, other.gradient)
    bg.verify(PROBLEM, TREE).raise_if_disagree()


def test_the_gradient_comes_in_its_shape():
    reference = bg.hypergradient(PROBLEM, TREE)
    assert set(reference.tree) == {"reward", "rates"}
    np.testing.assert_array_equal(reference.tree["reward"], reference.gradient[:4].reshape(2, 2))
    assert reference.tree["rates"][0] == reference.gradient[4]
    np.testing.assert_array_equal(reference.tree["rates"][1], reference.gradient[5:])
    np.testing.assert_array_equal(bg.hypergradient(SAME, VECTOR).tree, reference.gradient)


def test_a_candidate_may_have_it_too():
    tree = bg.hypergradient(PROBLEM, TREE).tree
    assert_hypergradient(tree, PROBLEM, TREE)
    assert_hypergradient(lambda theta: bg.hypergradient(PROBLEM, theta).tree, PROBLEM, TREE)
    wrong = {"reward": tree["reward"], "rates": [-tree["rates"][0], tree["rates"][1]]}
    check = check_hypergradient(wrong, PROBLEM, TREE)
    assert check.verdict == Verdict.DISAGREES
    assert check.where == 4


def test_a_finite_horizon_may_have_it():
    def build(theta):
        return bg.FiniteHorizonModel(
            WORLD, [1.0, 0.0], theta[0], [[0.0, 0.0], [1.0, 1.0]], horizon=3,
            follower_discount=1.0, leader_discount=1.0, temperature=anp.exp(theta[1]),
        )  # fmt: skip

    problem = bg.ConfigurableMDP(build, like=(np.zeros((2, 2)), np.zeros(2)))
    bg.verify(problem, (TREE["reward"], np.array([0.1, -0.2]))).raise_if_disagree()


def test_it_pickles():
    assert pickle.loads(pickle.dumps(PROBLEM)).dim == 7
    again = pickle.loads(pickle.dumps(bg.hypergradient(PROBLEM, TREE)))
    assert again.tree["rates"][1].shape == (2,)


@pytest.mark.parametrize(
    ("theta", "words"),
    [
        (
            {"reward": np.zeros(4), "rates": [0.0, np.zeros(2)]},
            r"theta\['reward'\] has shape \(4,\), expected \(2, 2\)",
        ),
        ({"reward": np.zeros((2, 2))}, r"theta is \['reward'\]; expected a dict with 'reward', 'rates'"),
        ({"reward": np.zeros((2, 2)), "rates": [0.0]}, r"theta\['rates'\] is a list; expected a list of 2"),
        ({"reward": np.zeros((2, 2)), "rates": [0.0, "ab"]}, r"theta\['rates'\]\[1\] is a str; expected an array"),
        ({"reward": np.full((2, 2), np.nan), "rates": [0.0, np.zeros(2)]}, r"theta\[0\] is nan"),
        (np.zeros(6), r"theta has shape \(6,\), expected \(7,\)"),
    ],
)
def test_what_does_not_fit_is_named(theta, words):
    with pytest.raises(bg.errors.InvalidTheta, match=words):
        bg.hypergradient(PROBLEM, theta)


def test_a_candidate_that_does_not_fit_is_named():
    with pytest.raises(bg.errors.InvalidCandidate, match=r"the candidate\['reward'\] has shape \(4,\)"):
        check_hypergradient({"reward": np.zeros(4), "rates": [0.0, np.zeros(2)]}, PROBLEM, TREE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"like": {}}, "like holds no numbers"),
        ({"like": {"a": "b"}}, r"like\['a'\] is a str"),
        ({"like": LIKE, "dim": 3}, "dim is 3, and like holds 7 numbers"),
        (
            {"like": LIKE, "pullback": lambda t, c: t, "pushforward": lambda t, u: u},
            "like is for builds that autograd traces",
        ),
        ({}, "dim is None; expected a positive integer"),
    ],
)
def test_a_like_that_is_none(options, words):
    with pytest.raises(bg.errors.InvalidOption, match=words):
        bg.ConfigurableMDP(of_tree, **options)


def test_packing_and_unpacking_are_inverse():
    tree = Tree(LIKE)
    np.testing.assert_array_equal(tree.pack(tree.unpack(VECTOR)), VECTOR)
