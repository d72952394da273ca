"""A gradient computed with a trained follower: whose the difference is, and which mistake hides behind the follower."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.tabular import mistakes
from boltzgrad.families.tabular.plug_in_mistakes import under
from boltzgrad.testing import TrainedCheck, assert_hypergradient, check_hypergradient
from boltzgrad.verify.tolerances import Verdict, Yardstick, share

PROBLEM = bg.problems.load("garnet", n_states=20, leader_discount=0.9, follower_discount=0.95)
THETA = PROBLEM.initial_theta(seed=2)
REFERENCE = bg.hypergradient(PROBLEM, THETA)
SIZES = (1e-2, 1e-3, 1e-5)


def trained(size, seed=0):
    policy = REFERENCE.follower.policy
    tilted = policy * np.exp(size * np.random.default_rng(seed).normal(size=policy.shape))
    return tilted / tilted.sum(axis=1, keepdims=True)


def check(candidate, policy, **options):
    return check_hypergradient(candidate, PROBLEM, THETA, reference=REFERENCE, follower=policy, **options)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["evaluated", "swept"])
def test_the_right_formula_under_a_trained_follower_agrees(size, form):
    policy = trained(size)
    plugged = bg.approximate(PROBLEM, THETA, policy=policy).forms[form]
    assert not check_hypergradient(plugged, PROBLEM, THETA, reference=REFERENCE).ok
    found = check(plugged, policy)
    assert isinstance(found, TrainedCheck)
    assert found.ok
    assert found.form == form
    assert found.left < 1e-10
    assert found.off_by == pytest.approx(found.followers_part, rel=1e-6)
    assert "of it is your follower's; what is left, " in str(found)
    assert "after one soft policy improvement your follower's part would be" in str(found)


@pytest.mark.parametrize("size", SIZES)
def test_every_known_mistake_is_named_behind_the_follower(size):
    """As it is named with the exact follower, wherever it shows there."""
    policy = trained(size)
    follower = bg.approximate(PROBLEM, THETA, policy=policy, reference=REFERENCE)
    named = []
    for right, mutant in zip(mistakes.MUTANTS, under(follower.followers("evaluated")).MUTANTS, strict=True):
        with np.errstate(all="ignore"):
            wrong = mutant.gradient(PROBLEM, THETA)
        if not np.isfinite(wrong).all() or share(Yardstick.of(REFERENCE), wrong - follower.gradient) < 1e-4:
            continue
        found = check(wrong, follower)
        assert found.verdict == Verdict.DISAGREES, right.mistake
        assert any(right.mistake in words for words in found.looks_like) or "× ∇J" in "".join(found.looks_like), str(
            found
        )
        named.append(right.mistake)
    assert len(named) >= 25


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("extra", [1e-4, 1e-2])
def test_the_split_is_right_to_a_twentieth(size, extra):
    """A known addition to the follower's own error: both parts come out as they were put in."""
    policy = trained(size)
    plugged = bg.approximate(PROBLEM, THETA, policy=policy, reference=REFERENCE)
    direction = np.random.default_rng(1).normal(size=THETA.size)
    direction *= extra * np.abs(REFERENCE.gradient).max() / np.abs(direction).max()
    found = check(plugged.gradient + direction, policy)
    assert not found.ok
    assert found.followers_part == pytest.approx(plugged.relative_error, rel=0.05)
    assert found.left == pytest.approx(share(Yardstick.of(REFERENCE), direction), rel=0.05)
    assert "is yours" in str(found)


def test_nothing_is_excused_that_was_not_the_followers():
    """−∇J, ½ ∇J, zero and a lost discount are no follower's fault, however bad it is."""
    policy = trained(0.3)
    plugged = bg.approximate(PROBLEM, THETA, policy=policy).gradient
    for wrong in (-plugged, 0.5 * plugged, 0.0 * plugged, 0.9 * plugged):
        found = check(wrong, policy)
        assert found.verdict == Verdict.DISAGREES
        assert found.looks_like


def test_the_exact_gradient_is_no_mistake():
    found = check(REFERENCE.gradient, trained(0.1))
    assert found.ok
    assert found.form == "optimal"
    assert found.off_by == 0.0


def test_a_table_of_values_is_held_against_its_own():
    q = REFERENCE.follower.q + 0.01 * np.random.default_rng(0).normal(size=REFERENCE.follower.q.shape)
    follower = bg.approximate(PROBLEM, THETA, q=q)
    found = check(follower.gradient, follower)
    assert found.ok
    assert found.form == "believed"


def test_one_line_and_records():
    policy = trained(1e-2)
    plugged = bg.approximate(PROBLEM, THETA, policy=policy).gradient
    found = assert_hypergradient(lambda theta: plugged, PROBLEM, THETA, follower=policy)
    assert {"off_by", "followers_part", "left", "form"} <= set(found.to_dict())
    with pytest.raises(bg.errors.GradientMismatch, match="the formula under your follower"):
        assert_hypergradient(1.01 * plugged, PROBLEM, THETA, follower=policy)
    elsewhere = bg.approximate(PROBLEM, PROBLEM.initial_theta(seed=9), policy=policy)
    with pytest.raises(bg.errors.InvalidOption, match="follower is one of another problem or theta"):
        check(plugged, elsewhere)
    with pytest.raises(bg.errors.InvalidFollower, match="policy has shape"):
        check(plugged, policy[:3])


def test_a_game_and_a_horizon():
    game = bg.problems.load("toy-game")
    theta = game.initial_theta(seed=0)
    policy = bg.hypergradient(game, theta).solved.policy ** 0.98
    policy /= policy.sum(axis=-1, keepdims=True)
    plugged = bg.approximate(game, theta, policy=policy).gradient
    assert check_hypergradient(plugged, game, theta, follower=policy).ok
    assert not check_hypergradient(1.001 * plugged, game, theta, follower=policy).ok
    finite = bg.problems.load("finite-garnet")
    theta = finite.initial_theta(seed=0)
    policy = bg.hypergradient(finite, theta).follower.policy ** 0.98
    policy /= policy.sum(axis=-1, keepdims=True)
    plugged = bg.approximate(finite, theta, policy=policy).gradient
    assert check_hypergradient(plugged, finite, theta, follower=policy).ok


def test_where_nothing_depends_on_the_follower():
    """∇J exactly zero: each form is held against its own allowance, and nothing is said in per cent of zero."""
    cost = np.array([[0.0, 3.0], [3.0, 0.0]])

    def build(theta):
        a = 0.3 + 0.1 * anp.sin(theta[0])
        move = anp.array([[[1 - a, a], [a, 1 - a]], [[0.5, 0.5], [0.2, 0.8]]])
        return bg.TabularModel(
            move, np.array([1.0, 0.0]), cost + theta[1] * np.eye(2), np.eye(2), follower_discount=0.9,
            leader_discount=0.0, temperature=1e-3,
        )  # fmt: skip

    problem, theta = bg.ConfigurableMDP(build, dim=2), np.array([0.3, 0.2])
    policy = 0.9 * bg.hypergradient(problem, theta).follower.policy + 0.05
    follower = bg.approximate(problem, theta, policy=policy, value=np.array([28.0, 30.0]))
    found = check_hypergradient(follower.forms["evaluated"] * (1 + 1e-14), problem, theta, follower=follower)
    assert found.form == "evaluated"
    assert "inf" not in str(found)
    assert "∇J is zero here" in str(found)
