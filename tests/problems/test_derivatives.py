"""Pull-backs and push-forwards of every problem: adjoint to one another, equal to autograd's, equal to a complex step."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.tabular.contexts import ContextualArrays, arrays_of, as_contexts
from boltzgrad.families.tabular.linearise import unflatten

ZOO = [(name, {}) for name in bg.problems.names("tabular")] + [
    ("four-rooms", {"kernel": "as-published"}),
    ("garnet", {"ending": 0.3, "branching": 3}),
]


def random_like(like, rng):
    return unflatten([rng.standard_normal(x.shape) for x in like.parts()], like)


@pytest.mark.parametrize(("name", "options"), ZOO)
def test_hand_written_derivatives_equal_autograds(name, options, rng):
    by_hand = bg.problems.load(name, **options)
    by_autograd = bg.ConfigurableMDP(by_hand.build, dim=by_hand.dim, objective=by_hand.objective)
    theta = by_hand.initial_theta(seed=3)
    hand, tape = by_hand.linearise(theta), by_autograd.linearise(theta)
    cotangent, u = random_like(arrays_of(hand.model), rng), rng.standard_normal(by_hand.dim)
    pulled = tape.pullback(cotangent)
    np.testing.assert_allclose(hand.pullback(cotangent), pulled, rtol=0, atol=1e-13 * np.abs(pulled).max())
    for a, b in zip(hand.pushforward(u).parts(), tape.pushforward(u).parts(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    assert np.isclose(pulled @ u, cotangent.dot(hand.pushforward(u)), rtol=1e-11)


@pytest.mark.parametrize(("name", "options"), ZOO)
def test_push_forward_equals_a_complex_step(name, options, rng):
    problem = bg.problems.load(name, **options)
    theta, u = problem.initial_theta(seed=4), rng.standard_normal(problem.dim)
    stepped = arrays_of(as_contexts(problem.build(theta + 1e-30j * u)))
    for a, b in zip(problem.linearise(theta).pushforward(u).parts(), stepped.parts(), strict=True):
        np.testing.assert_allclose(a, np.imag(b) / 1e-30, rtol=1e-12, atol=1e-14)


def test_a_wrong_pull_back_would_be_seen(rng):
    """The control of the first test: a pull-back that forgets the softmax's normalisation."""
    good = bg.problems.load("four-rooms")
    theta = good.initial_theta(seed=3)
    like = good.linearise(theta)
    cotangent, u = random_like(arrays_of(like.model), rng), rng.standard_normal(good.dim)
    sigma = np.exp(theta) / np.exp(theta).sum()
    wrong = np.r_[-0.2 * cotangent.models[0].follower_reward.sum(axis=1), 0.0] * sigma
    assert not np.isclose(wrong @ u, cotangent.dot(like.pushforward(u)), rtol=1e-3)


def test_columns_are_push_forwards_of_unit_vectors(make_problem):
    problem = make_problem(contexts=2, own=True)
    at = problem.linearise(problem.initial_theta())
    columns = list(at.columns())
    assert len(columns) == problem.dim
    u = np.arange(1.0, 6.0)
    whole = at.pushforward(u)
    for k, part in enumerate(whole.parts()):
        np.testing.assert_allclose(sum(x * c.parts()[k] for x, c in zip(u, columns, strict=True)), part, atol=1e-13)


def test_nothing_depends_on_theta(make_model, rng):
    problem = bg.ConfigurableMDP(lambda theta: make_model(np.random.default_rng(0)), dim=2)
    at = problem.linearise(np.ones(2))
    assert isinstance(at.pushforward(np.ones(2)), ContextualArrays)
    np.testing.assert_array_equal(bg.hypergradient(problem, np.ones(2)).gradient, np.zeros(2))
