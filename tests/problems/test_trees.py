"""A θ that is several arrays: the same problem as that of one vector, and what does not fit is named."""

import pickle
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.core.tree import Tree
from boltzgrad.testing import assert_follower, assert_hypergradient, check_hypergradient
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


def test_a_follower_s_function_is_given_it():
    def answer(theta):
        follower = bg.hypergradient(PROBLEM, {"reward": theta["reward"], "rates": theta["rates"]}).follower
        return {"V": follower.value, "policy": follower.policy}

    assert_follower(answer, PROBLEM, TREE)
    with pytest.raises(bg.errors.FollowerMismatch):
        assert_follower(lambda theta: {"V": 1.01 * answer(theta)["V"]}, PROBLEM, TREE)


def test_a_message_names_leaves():
    tree = bg.hypergradient(PROBLEM, TREE).tree
    wrong = {"reward": tree["reward"] * [[1.0, -1.0], [1.0, 1.0]], "rates": tree["rates"]}
    message = str(check_hypergradient(wrong, PROBLEM, TREE))
    assert "coordinate 1, theta['reward'][0, 1]: yours" in message
    assert "1 of 7 coordinates are off (1 of 4 in theta['reward']);" in message
    other = str(check_hypergradient({**tree, "rates": [-tree["rates"][0], -tree["rates"][1]]}, PROBLEM, TREE))
    assert "3 of 7 coordinates are off (1 of 1 in theta['rates'][0], 2 of 2 in theta['rates'][1]);" in other
    assert "coordinate 1: yours" in str(
        check_hypergradient(np.r_[wrong["reward"].ravel(), np.hstack(wrong["rates"])], SAME, VECTOR)
    )


def test_a_candidate_in_single_precision_is_judged_as_such():
    """And one of both precisions by the lower."""
    tree = bg.hypergradient(PROBLEM, TREE).tree
    single = {"reward": tree["reward"].astype(np.float32), "rates": [np.float32(x) for x in tree["rates"]]}
    for candidate in (single, {**tree, "rates": single["rates"]}, lambda theta: single):
        check = check_hypergradient(candidate, PROBLEM, TREE)
        assert (check.precision, check.ok) == ("float32", True)
    assert check_hypergradient(tree, PROBLEM, TREE).precision == "float64"


def test_a_function_that_changes_a_leaf():
    tree = bg.hypergradient(PROBLEM, TREE).tree

    def gradient(theta):
        theta["reward"][0, 1] += 1.0
        return tree

    with pytest.raises(bg.errors.InvalidCandidate, match=r"given: theta\['reward'\]\[0, 1\] was 0\.5 and is 1\.5"):
        check_hypergradient(gradient, PROBLEM, TREE)


class Named(NamedTuple):
    reward: Any
    rates: Any


def test_a_tuple_with_names():
    problem = bg.ConfigurableMDP(lambda theta: of_tree(theta._asdict()), like=Named(**LIKE))
    found = bg.hypergradient(problem, Named(**TREE))
    np.testing.assert_array_equal(found.gradient, bg.hypergradient(PROBLEM, TREE).gradient)
    assert isinstance(found.tree, Named)
    assert_hypergradient(found.tree, problem, Named(**TREE))
    wrong = found.tree._replace(rates=[-found.tree.rates[0], found.tree.rates[1]])
    assert "coordinate 4, theta.rates[0]: yours" in str(check_hypergradient(wrong, problem, Named(**TREE)))


def test_a_list_of_gradients_may_come_in_a_tuple():
    """A list of as many numbers as there are leaves is the tree; of another number it is the vector."""
    problem = bg.ConfigurableMDP(
        lambda theta: of_tree({"reward": theta[0], "rates": theta[1:]}), like=[TREE["reward"], *TREE["rates"]]
    )
    tree = bg.hypergradient(problem, VECTOR).tree
    assert isinstance(tree, list)
    assert_hypergradient(tuple(tree), problem, VECTOR)
    np.testing.assert_array_equal(bg.hypergradient(PROBLEM, VECTOR.tolist()).theta, VECTOR)


def test_linear_quadratic_problems_may_have_it():
    def build(plant, cost):
        return bg.LQModel(
            plant, [[0.1], [1.0]], 0.1 * np.eye(2), np.eye(2), anp.reshape(anp.exp(cost), (1, 1)), [1.0, 0.0],
            np.zeros((2, 2)), leader_Q=np.eye(2), follower_discount=0.9, leader_discount=0.9, temperature=0.1,
        )  # fmt: skip

    like = {"plant": np.array([[0.9, 0.1], [0.0, 0.8]]), "cost": -0.2}
    problem = bg.LinearQuadratic(lambda t: build(t["plant"], t["cost"]), like=like)
    same = bg.LinearQuadratic(lambda t: build(anp.reshape(t[:4], (2, 2)), t[4]), dim=5)
    reference = bg.hypergradient(problem, like)
    expected = bg.hypergradient(same, [0.9, 0.1, 0.0, 0.8, -0.2]).gradient
    np.testing.assert_array_equal(reference.tree["plant"], expected[:4].reshape(2, 2))
    assert reference.tree["cost"] == expected[4]
    for odd in ({}, {"dim": 3, "like": like}):
        with pytest.raises(bg.errors.InvalidOption, match=r"dim is None; expected|dim is 3, and like holds 5 numbers"):
            bg.LinearQuadratic(build, **odd)


def test_leaders_of_games_may_have_it():
    base = bg.problems.load("random-game")
    shape = (base.n_states, base.n_leader_actions)
    policy = bg.LeaderPolicy.of_tree(
        lambda t: bg.softmax(t["table"] + t["bias"]), {"table": np.zeros(shape), "bias": np.zeros(shape[1])}
    )
    rewards = (base.joint.follower_reward, base.joint.leader_reward)
    game = bg.MarkovGame(
        base.joint.transition,
        base.joint.initial,
        *(r.reshape(*shape, -1) for r in rewards),
        policy=policy,
        **base._constants(),
    )
    theta = {"table": base.initial_theta(seed=0).reshape(shape), "bias": np.array([0.1, -0.2, 0.3])}
    exact = bg.hypergradient(base, (theta["table"] + theta["bias"]).ravel()).gradient.reshape(shape)
    found = bg.hypergradient(game, theta)
    np.testing.assert_allclose(found.tree["table"], exact, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.tree["bias"], exact.sum(axis=0), rtol=1e-10, atol=1e-12)
    assert game.as_configurable_mdp().tree is None  # the lifted problem is one of the vector


def test_a_single_array_of_any_shape():
    problem = bg.ConfigurableMDP(lambda r: of_tree({**TREE, "reward": r}), like=np.zeros((2, 2)))
    found = bg.hypergradient(problem, TREE["reward"])
    np.testing.assert_allclose(found.tree, bg.hypergradient(PROBLEM, TREE).tree["reward"], rtol=1e-12)
    assert_hypergradient(found.tree, problem, TREE["reward"].ravel())
    with pytest.raises(bg.errors.InvalidTheta, match=r"theta has shape \(4, 1\), expected \(4,\)"):
        bg.hypergradient(problem, np.zeros((4, 1)))


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
        ({"reward": np.zeros((2, 2)), "rates": [0.0]}, r"theta\['rates'\] is a list of 1; expected a list of 2"),
        ({"reward": np.zeros((2, 2)), "rates": [0.0, "ab"]}, r"theta\['rates'\]\[1\] is a str; expected an array"),
        ({"reward": np.full((2, 2), np.nan), "rates": [0.0, np.zeros(2)]}, r"theta\['reward'\]\[0, 0\] is nan"),
        (np.zeros(6), r"theta has shape \(6,\), expected \(7,\)"),
    ],
)
def test_what_does_not_fit_is_named(theta, words):
    with pytest.raises(bg.errors.InvalidTheta, match=words):
        bg.hypergradient(PROBLEM, theta)


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (
            {"reward": np.zeros(4), "rates": [0.0, np.zeros(2)]},
            r"candidate\['reward'\] has shape \(4,\), expected \(2, 2\)$",
        ),
        ({"reward": np.zeros((2, 2)), "rates": [0, np.zeros(2)]}, r"candidate\['rates'\]\[0\] holds int64 values"),
        (
            {"reward": np.zeros((2, 2)), "rates": [0.0, np.array([0.0, np.inf])]},
            r"candidate\['rates'\]\[1\]\[1\] is inf;",
        ),
        (
            (1.0, TREE),
            r"candidate is a tuple; .* is it value_and_grad, or has_aux\? Use lambda theta: f\(theta\)\[1\]$",
        ),
        ((TREE["reward"], *TREE["rates"]), r"candidate is a tuple; expected a dict with 'reward', 'rates'$"),
        (None, "candidate is None"),
    ],
)
def test_a_candidate_that_does_not_fit_is_named(candidate, words):
    with pytest.raises(bg.errors.InvalidCandidate, match=words):
        check_hypergradient(candidate, PROBLEM, TREE)


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


def test_every_coordinate_has_a_name():
    tree = Tree({"a": np.zeros((2, 3)), "none": np.zeros((0, 2)), "b": [1.0, np.zeros(1)]})
    table = [f"['a'][{i}, {j}]" for i in range(2) for j in range(3)]
    assert [tree.entry(j) for j in range(tree.dim)] == [*table, "['b'][0]", "['b'][1][0]"]
