"""`assert_follower`: exact answers pass on every problem, and the usual ways to get a follower wrong are named."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

import boltzgrad as bg
from boltzgrad.solvers.follower import as_given
from boltzgrad.testing import assert_follower
from tests_helpers import slow


def answer(problem, theta):
    reference = bg.hypergradient(problem, theta)
    if isinstance(problem, bg.ConfigurableMDP):
        several = len(reference.contexts) > 1
        f = as_given(reference.contexts[0].follower) if several else reference.follower
        return {"V": f.value, "Q": f.q, "policy": f.policy}
    if isinstance(problem, bg.MarkovGame):
        f = reference.solved
        if problem.acts_on == "action":
            return {"V": f.value, "Q": f.q, "policy": f.policy, "U": f.continuation}
        return {"V": f.continuation, "policy": f.planned, "Q": (f.f[:, :, None] * f.q).sum(axis=1)}
    f = reference.follower
    return {"P": f.P, "K": f.K, "covariance": f.covariance}


SLOW = ("garnet", "grid-world", "toy-game")  # the tests of each mistake sweep for long
CASES = [slow(name, {}) if name in SLOW else (name, {}) for name in bg.problems.names()] + [
    slow("toy-game", {"observes": False}),
    ("toy-game", {"as_published": True}),
    ("random-lqr", {"observed": True}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_exact_answers_pass_and_near_ones_do_not(name, options):
    problem = bg.problems.load(name, **options)
    theta = problem.initial_theta(seed=0)
    good = answer(problem, theta)
    assert_follower(good, problem, theta)
    assert_follower(lambda t: good, problem, theta)
    assert_follower({k: x.astype(np.float32) for k, x in good.items()}, problem, theta)
    for k, x in good.items():
        worse = x + 1e-6 * np.abs(x).max()
        with pytest.raises(bg.errors.FollowerMismatch, match=rf"{k}\[.*difference .*, allowed"):
            assert_follower({**good, k: worse}, problem, theta)
        assert_follower({k: worse}, problem, theta, tolerance=2e-6)


def test_the_other_gain():
    problem = bg.problems.load("random-lqr", observed=True)
    theta = problem.initial_theta(seed=0)
    K_w = bg.hypergradient(problem, theta).follower.K_w
    assert_follower({"K_w": K_w}, problem, theta)
    with pytest.raises(bg.errors.FollowerMismatch):
        assert_follower({"K_w": 0.0 * K_w}, problem, theta)


def plain(model, maximum, discount=None, sweeps=4000):
    gamma = model.follower_discount if discount is None else discount
    p = model.transition if isinstance(model.transition, np.ndarray) else model.transition.toarray()
    p = p.reshape(model.n_states, model.n_actions, -1)
    v = np.zeros(model.n_states)
    for _ in range(sweeps):
        q = model.follower_reward + gamma * p @ v
        v = maximum(q)
    return v, q


TAU = 0.3
MISTAKES = {
    "max for the soft maximum": (lambda q: q.max(axis=1), {}),
    "the mean of exponentials for their sum": (lambda q: TAU * (logsumexp(q / TAU, axis=1) - np.log(4)), {}),
    "the entropy is not rewarded": (lambda q: (softmax(q / TAU, axis=1) * q).sum(axis=1), {}),
    "γ_L for the follower's discount": (lambda q: TAU * logsumexp(q / TAU, axis=1), {"discount": 0.9}),
    "a follower stopped early": (lambda q: TAU * logsumexp(q / TAU, axis=1), {"sweeps": 40}),
}


@pytest.fixture(scope="module")
def garnet():
    problem = bg.problems.load("garnet", temperature=TAU, n_states=30, leader_discount=0.9)
    theta = problem.initial_theta(seed=0)
    return problem, theta, problem.model(theta)


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_of_values_are_named(garnet, words):
    problem, theta, model = garnet
    maximum, options = MISTAKES[words]
    v, _ = plain(model, maximum, **options)
    with pytest.raises(bg.errors.FollowerMismatch) as caught:
        assert_follower({"V": v}, problem, theta)
    assert words in str(caught.value)
    assert str(caught.value).count("looks like") == 1


def test_mistakes_of_policies_are_named(garnet):
    problem, theta, model = garnet
    _, q = plain(model, lambda q: TAU * logsumexp(q / TAU, axis=1))
    for policy, words in (
        (np.full((30, 4), 0.25), "the uniform policy"),
        (softmax(q, axis=1), "exp(Q) without 1/τ"),
        ((q >= q.max(axis=1, keepdims=True)).astype(float), "the greedy policy"),
        (1.01 * softmax(q / TAU, axis=1), "rows sum to 1.01"),
    ):
        with pytest.raises(bg.errors.FollowerMismatch) as caught:
            assert_follower({"policy": policy}, problem, theta)
        assert words in str(caught.value)


def test_games_are_explained_in_their_own_shapes():
    problem = bg.problems.load("random-game", temperature=0.5)
    theta = problem.initial_theta(seed=0)
    model = problem.as_configurable_mdp().model(theta)
    v, q = plain(model, lambda q: q.max(axis=1), sweeps=600)
    with pytest.raises(bg.errors.FollowerMismatch, match="max for the soft maximum"):
        assert_follower({"V": v.reshape(20, 3), "Q": q.reshape(20, 3, 3)}, problem, theta)


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ({}, "is empty; expected a mapping with some of V, Q, policy"),
        (3.0, "is a float; expected a mapping"),
        ({"v": np.zeros(30)}, "has 'v'; this problem's follower has V, Q, policy"),
        ({"V": np.zeros(29)}, r"V has shape \(29,\), expected \(30,\)"),
        ({"V": np.zeros(30, int)}, "V holds int64 values"),
        ({"V": np.full(30, np.nan)}, r"V\[0\] is nan"),
    ],
)
def test_no_answer(garnet, candidate, message):
    problem, theta, _ = garnet
    with pytest.raises(bg.errors.InvalidCandidate, match=message):
        assert_follower(candidate, problem, theta)


def test_contexts():
    problem = bg.problems.load("four-rooms-two-goals")
    theta = problem.initial_theta(seed=0)
    second = bg.hypergradient(problem, theta).contexts[1].follower
    assert_follower({"V": second.value}, problem, theta, context=1)
    with pytest.raises(bg.errors.FollowerMismatch):
        assert_follower({"V": second.value}, problem, theta, context=0)
    with pytest.raises(bg.errors.InvalidOption, match="context is 2; this problem has 2"):
        assert_follower({"V": second.value}, problem, theta, context=2)


@pytest.mark.parametrize("context", ["a", 0.0, True, -1])
def test_odd_contexts(garnet, context):
    problem, theta, _ = garnet
    with pytest.raises(bg.errors.InvalidOption, match="context is"):
        assert_follower({"V": np.zeros(30)}, problem, theta, context=context)


def test_no_problem_at_all(garnet):
    with pytest.raises(bg.errors.InvalidOption, match="problem is a NoneType"):
        assert_follower({"V": np.zeros(30)}, None, garnet[1])
