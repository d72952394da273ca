"""What λ costs a penalty method, the likelihood of observed choices, and rewards paid on arrival."""

import pickle

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.test_util import check_grads
from scipy import sparse

import boltzgrad as bg
from boltzgrad.testing import check_hypergradient
from boltzgrad.verify.mutants import tabular
from boltzgrad.verify.tolerances import Verdict

ONE_DISCOUNT = {"follower_discount": 0.9, "leader_discount": 0.9, "n_states": 12, "n_parameters": 6}
WEIGHTS = np.array([1e2, 1e3, 1e4])


def errors(problem, theta, **options):
    exact = bg.hypergradient(problem, theta).gradient
    return [float(np.abs(bg.penalty_gradient(problem, theta, w, **options) - exact).max()) for w in WEIGHTS]


@pytest.mark.parametrize("options", [{}, {"ending": 0.2}, {"temperature": 0.3}])
def test_the_error_falls_as_the_weight_and_two_sided_as_its_square(options):
    problem = bg.problems.load("garnet", **{**ONE_DISCOUNT, **options})
    theta = problem.initial_theta(seed=1)
    one, two = errors(problem, theta), errors(problem, theta, two_sided=True)
    np.testing.assert_allclose(np.diff(np.log10(one)), -1.0, atol=0.05)
    assert np.diff(np.log10(two))[0] == pytest.approx(-2.0, abs=0.1)
    assert two[2] < 1e-2 * one[2]


def test_a_small_weight_is_told_from_the_truth():
    problem = bg.problems.load("garnet", **ONE_DISCOUNT)
    theta = problem.initial_theta(seed=1)
    check = check_hypergradient(bg.penalty_gradient(problem, theta, 2.0), problem, theta)
    assert check.verdict == Verdict.DISAGREES
    assert check_hypergradient(
        bg.penalty_gradient(problem, theta, 1e5, two_sided=True), problem, theta, tolerance=1e-5
    ).ok


def test_it_is_the_mistake_that_is_named_with_that_weight():
    """By solver and pull-back here, by sweeps and columns among the known mistakes."""
    problem = bg.problems.load("garnet", **ONE_DISCOUNT)
    theta = problem.initial_theta(seed=3)
    (known,) = [m for m in tabular.MUTANTS if "not yet the limit (PBRL)" in m.mistake]
    np.testing.assert_allclose(
        bg.penalty_gradient(problem, theta, 2.0), known.gradient(problem, theta), rtol=1e-9, atol=1e-12
    )


def test_contexts_and_a_regulariser():
    base = bg.problems.load("garnet", **ONE_DISCOUNT)

    def build(t):
        return bg.ContextualModel([base.build(t), base.build(0.5 * t)], [0.25, 0.75])

    problem = bg.ConfigurableMDP(build, dim=base.dim, regulariser=lambda t: anp.sum(t**2))
    theta = base.initial_theta(seed=2)
    exact = bg.hypergradient(problem, theta).gradient
    found = bg.penalty_gradient(problem, theta, 1e4, two_sided=True)
    np.testing.assert_allclose(found, exact, atol=1e-5 * np.abs(exact).max())


def test_what_the_penalty_method_is_not_for():
    theta = np.zeros(6)
    problem = bg.problems.load("garnet", **{**ONE_DISCOUNT, "leader_discount": 0.8})
    with pytest.raises(bg.errors.InvalidOption, match=r"one discount and one kernel.*γ_F = 0.9, γ_L = 0.8"):
        bg.penalty_gradient(problem, theta, 10.0)
    with pytest.raises(bg.errors.InvalidOption, match=r"weight is -1.0; expected a positive number"):
        bg.penalty_gradient(bg.problems.load("garnet", **ONE_DISCOUNT), theta, -1.0)
    with pytest.raises(bg.errors.InvalidOption, match=r"the penalty method is for a ConfigurableMDP"):
        bg.penalty_gradient(bg.problems.load("toy-game"), theta, 10.0)


def likelihood(weights, **options):
    garnet = bg.problems.load("garnet", **{**ONE_DISCOUNT, **options})
    return bg.ConfigurableMDP(garnet.build, dim=garnet.dim, objective=bg.LogLikelihood(weights))


def test_the_likelihood_is_confirmed_and_bounded():
    rng = np.random.default_rng(0)
    weights = rng.poisson(2.0, (12, 4)).astype(float)
    problem = likelihood(weights)
    theta = problem.initial_theta(seed=1)
    report = bg.verify(problem, theta)
    report.raise_if_disagree()
    assert len(report.agreeing) >= 6
    ref = report.reference
    assert ref.error_bound < 1e-6 * np.abs(ref.gradient).max()
    policy = ref.follower.policy
    assert ref.value == pytest.approx(float((weights * np.log(policy)).sum()), rel=1e-13)
    # The score of a likelihood: w − (Σ_a w) π in the logits Q/τ.
    in_q = (weights - weights.sum(axis=1, keepdims=True) * policy) / ref.contexts[0].model.temperature
    np.testing.assert_allclose(ref.contexts[0].guidance, in_q, atol=1e-12)


def test_the_gradient_of_the_likelihood_moves_no_more_than_it_says():
    rng = np.random.default_rng(1)
    weights, policy = rng.random((3, 4)), rng.dirichlet(np.ones(4), 3)
    f = bg.LogLikelihood(weights)
    error = 0.3 * policy * rng.random((3, 4))
    for _ in range(100):
        other = policy + error * rng.uniform(-1.0, 1.0, policy.shape)
        moved = np.abs(f.gradients(np.zeros(1), other)[1] - f.gradients(np.zeros(1), policy)[1])
        assert np.all(moved <= f.variation(np.zeros(1), policy, error)[1] * (1 + 1e-12))
    assert np.isinf(f.variation(np.zeros(1), policy, policy)[1]).all()


def test_what_is_no_likelihood():
    for weights in (np.array([[1.0, -1.0]]), np.ones(3), np.array([[np.nan]])):
        with pytest.raises(bg.errors.InvalidOption, match="weights has shape"):
            bg.LogLikelihood(weights)
    with pytest.raises(bg.errors.NotDifferentiable):
        bg.hypergradient(likelihood(np.ones((12, 4)), temperature=1e-5), np.zeros(6))


@pytest.mark.parametrize("kind", ["of the arrival", "of the move"])
def test_rewards_on_arrival(kind):
    rng = np.random.default_rng(2)
    p, R = rng.dirichlet(np.ones(4), (4, 3)), rng.standard_normal((4, 3, 4))
    p[rng.random(p.shape) < 0.4] = 0.0
    R = R if kind == "of the move" else R[0, 0]
    expected = (p * R).sum(axis=2)
    np.testing.assert_allclose(bg.arrival_reward(p, R), expected, rtol=1e-15)
    kernel = bg.SparseKernel.from_scipy(sparse.csr_array(p.reshape(12, 4)), 3)
    entries = R if kind == "of the arrival" else np.broadcast_to(R, p.shape)[p > 0.0]
    np.testing.assert_allclose(bg.arrival_reward(kernel, entries), expected, rtol=1e-14, atol=1e-15)
    for of in (
        lambda x: bg.arrival_reward(p, x * R),
        lambda x: bg.arrival_reward(bg.SparseKernel(kernel.pattern, x * kernel.values), entries),
    ):
        check_grads(of, modes=["fwd", "rev"], order=2)(1.3)
        assert np.imag(of(1.0 + 1e-30j)) / 1e-30 == pytest.approx(expected)
    with pytest.raises(bg.errors.InvalidModel, match="reward has shape"):
        bg.arrival_reward(p, np.ones(3))


def leaders(tau, own_world=True):
    """(a leader with a world of its own, the follower's rewards): five states, three actions."""
    rng = np.random.default_rng(8)
    world, lived = rng.dirichlet(np.ones(5), (2, 5, 3))
    slope, reward = rng.normal(size=(5, 3, 4)), rng.normal(size=(5, 3))
    lived = lived if own_world else world
    own = bg.LeaderMDP(lived, reward, np.full(5, 0.2), discount=0.8, temperature=tau)

    def build(theta, **options):
        return bg.TabularModel(
            world, np.full(5, 0.2), anp.dot(slope, theta), reward,
            follower_discount=0.9, leader_discount=0.8, temperature=0.5, **options,
        )  # fmt: skip

    return own, build


@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_a_leader_in_the_same_world_is_the_models_own(tau):
    own, build = leaders(tau, own_world=False)
    theta = np.array([0.3, -1.0, 0.5, 0.2])
    objective = bg.hypergradient(bg.ConfigurableMDP(build, dim=4, objective=own), theta)
    model = bg.hypergradient(bg.ConfigurableMDP(lambda t: build(t, leader_temperature=tau), dim=4), theta)
    assert objective.value == pytest.approx(model.value, rel=1e-14)
    np.testing.assert_allclose(objective.gradient, model.gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_a_leader_with_a_world_of_its_own(tau):
    own, build = leaders(tau)
    problem = bg.ConfigurableMDP(build, dim=4, objective=own)
    report = bg.verify(problem, problem.initial_theta(seed=1))
    report.raise_if_disagree()
    assert len(report.agreeing) >= 8
    assert np.isfinite(report.reference.error_bound)


@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_its_variation_bounds_what_its_gradient_moves_by(tau):
    own, _ = leaders(tau)
    rng = np.random.default_rng(3)
    for size in (1e-9, 1e-4, 1e-2):
        policy = rng.dirichlet(np.full(3, 3.0), 5)
        error = size * rng.uniform(size=policy.shape) * policy
        moved = policy + error * rng.uniform(-1.0, 1.0, policy.shape)
        bound = own.variation(np.zeros(4), policy, error)[1]
        here, there = (own.gradient(np.zeros(4), x)[1] for x in (policy, moved))
        assert (np.abs(here - there) <= bound).all()
        # The value moves by at most what its gradient and the gradient's own bound say.
        change = abs(own.value(np.zeros(4), moved) - own.value(np.zeros(4), policy))
        assert change <= (error * (np.abs(here) + bound)).sum() + 1e-14


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"discount": 1.0}, "discount is 1.0; it must lie in"),
        ({"discount": None}, "discount is None; it must be a real number"),
        ({"transition": np.ma.masked_greater(np.full((2, 2, 2), 0.5), 0.4)}, "transition is a masked array"),
        ({"transition": np.full((2, 2, 2), 0.5 + 0j)}, "transition is complex"),
        ({"temperature": -1.0}, "temperature is -1.0; it must be at least 0"),
        ({"transition": np.ones((2, 2, 2))}, r"transition\[0, 0\] sums to 2"),
        ({"initial": [1.0, 1.0]}, "initial sums to 2"),
        ({"reward": np.zeros((3, 2))}, r"transition has shape \(2, 2, 2\), expected \(3, 2, 3\)"),
    ],
)
def test_a_leaders_world_is_checked(changes, words):
    good = {
        "transition": np.full((2, 2, 2), 0.5), "reward": np.zeros((2, 2)), "initial": [1.0, 0.0], "discount": 0.5,
    }  # fmt: skip
    bg.LeaderMDP(**good)
    with pytest.raises(bg.errors.InvalidModel, match=words):
        bg.LeaderMDP(**good | changes)


def test_objectives_pickle_and_share_nothing():
    world = np.full((2, 2, 2), 0.5)
    for objective in (bg.LeaderMDP(world, np.eye(2), [1.0, 0.0], 0.5, 0.1), bg.LogLikelihood(np.eye(2) + 1.0)):
        policy = np.array([[0.2, 0.8], [0.6, 0.4]])
        again = pickle.loads(pickle.dumps(objective))
        assert again.value(np.zeros(1), policy) == objective.value(np.zeros(1), policy)
    own = bg.LeaderMDP(world, np.eye(2), [1.0, 0.0], 0.5)
    before = own.value(np.zeros(1), policy)
    world[0, 0] = [1.0, 0.0]
    assert own.value(np.zeros(1), policy) == before
