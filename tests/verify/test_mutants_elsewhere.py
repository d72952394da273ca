"""A mistake is what its words say: made throughout, it is the right gradient of another problem; or its limit is right."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.game import mistakes as game
from boltzgrad.families.lqr import mistakes as lqr
from boltzgrad.families.tabular import mistakes as tabular
from boltzgrad.families.tabular import penalty_mistakes as penalty

GARNET = {
    "n_states": 12,
    "n_actions": 3,
    "n_parameters": 16,
    "temperature": 0.3,
    "follower_discount": 0.9,
    "leader_discount": 0.8,
}
GAME = {"n_states": 6, "temperature": 0.3, "follower_discount": 0.8, "leader_discount": 0.9}

# A formula, a problem, and the options of the problem whose gradient it is instead.
ELSEWHERE = {
    "γ_F for γ_L": (tabular.FollowersDiscountForLeader, "garnet", GARNET, {"leader_discount": 0.9}),
    "γ_L for γ_F": (tabular.LeadersDiscountForFollower, "garnet", GARNET, {"follower_discount": 0.8}),
    "τ = 1": (tabular.TemperatureOneThroughout, "garnet", GARNET, {"temperature": 1.0}),
    "γ_F for γ_L in a game": (game.FollowersDiscountForLeader, "random-game", GAME, {"leader_discount": 0.8}),
    "γ_F for γ_L in LQ": (lqr.FollowersDiscountForLeader, "random-lqr", {}, {"leader_discount": 0.9}),
    "γ_L for γ_F in LQ": (lqr.LeadersDiscountForFollower, "random-lqr", {}, {"follower_discount": 0.85}),
    "τ = 1 in LQ": (lqr.TemperatureOne, "random-lqr", {"observed": True}, {"temperature": 1.0}),
    "H + 1 for H": (lqr.OneStepTooMany, "random-lqr", {"horizon": 6}, {"horizon": 7}),
    "H − 1 for H": (lqr.OneStepTooFew, "random-lqr", {"horizon": 6}, {"horizon": 5}),
    "no discount": (lqr.UndiscountedLeader, "random-lqr", {"horizon": 6}, {"leader_discount": 1.0 - 1e-15}),
}


@pytest.mark.parametrize("words", ELSEWHERE)
def test_it_is_the_right_gradient_of_another_problem(words):
    formula, name, options, other = ELSEWHERE[words]
    problem = bg.problems.load(name, **options)
    theta = problem.initial_theta(seed=1)
    right = bg.hypergradient(bg.problems.load(name, **options | other), theta).gradient
    np.testing.assert_allclose(formula(problem, theta).gradient(), right, atol=1e-10 * np.abs(right).max())


def slopes(value, theta, step=1e-5):
    steps = step * np.eye(theta.size)
    return np.array([(value(theta + e) - value(theta - e)) / (2 * step) for e in steps])


def test_the_leader_with_the_entropy_is_differentiated_right():
    """A leader with the follower's entropy, τ_L = τ: what it adds to r_L has no derivative of its own, since Σ π ∇log π = 0."""
    problem = bg.problems.load("garnet", **GARNET)
    theta = problem.initial_theta(seed=1)
    formula = tabular.EntropyForLeader(problem, theta)
    found = slopes(lambda t: formula.value(problem.contexts(t).models[0]), theta)
    np.testing.assert_allclose(formula.gradient(), found, atol=1e-7 * np.abs(found).max())


def test_the_entropy_of_a_gaussian_is_differentiated_right():
    """½ log det Σ a step, discounted: Σ γ_L^t = 1/(1 − γ_L)."""
    problem = bg.problems.load("random-lqr")
    theta = problem.initial_theta(seed=1)

    def entropy(t):
        m = problem.model(t)
        P = lqr.Formula(problem, t).cost_matrix(m)
        sigma = 0.5 * m.temperature * np.linalg.inv(m.R + m.follower_discount * m.B.T @ P @ m.B)
        return 0.5 * m.temperature * np.linalg.slogdet(sigma)[1] / (1.0 - m.leader_discount)

    added = lqr.EntropyForLeader(problem, theta).gradient() - lqr.Formula(problem, theta).gradient()
    found = slopes(entropy, theta)
    np.testing.assert_allclose(added, found, atol=1e-7 * np.abs(found).max())


def test_the_penalty_is_right_in_the_limit():
    """The bias of a one-sided quotient is O(1/λ)."""
    problem = bg.problems.load("garnet", **GARNET | {"leader_discount": 0.9})
    theta = problem.initial_theta(seed=1)
    right = bg.hypergradient(problem, theta).gradient
    at = problem.linearise(theta)
    model, columns = at.model.models[0], [column.models[0] for column in at.columns()]
    v = tabular.Formula(problem, theta).soft_value(model)
    biases = [np.abs(penalty.quotient(model, columns, v, weight) - right).max() for weight in (100.0, 1000.0)]
    assert biases[0] / biases[1] == pytest.approx(10.0, rel=0.05)
    assert biases[1] < 1e-2 * np.abs(right).max()


@pytest.mark.parametrize(("room", "name", "options"), [(tabular, "garnet", GARNET), (game, "random-game", GAME)])
def test_without_damping_the_inverse_hessian_is_right(room, name, options):
    """PARL with the pseudo-inverse is HPGD; the bias is O(η)."""
    problem = bg.problems.load(name, **options)
    theta = problem.initial_theta(seed=1)
    right = bg.hypergradient(problem, theta).gradient

    def bias(eta):
        damped = type("Damped", (room.DampedHessian,), {"damping": eta})
        return np.abs(damped(problem, theta).gradient() - right).max() / np.abs(right).max()

    assert bias(1e-3) > 1e-3
    assert bias(1e-8) < 1e-5
    assert bias(1e-5) / bias(1e-6) == pytest.approx(10.0, rel=0.05)


def test_the_adjoint_solve_with_the_wrong_discount():
    """The forward solve with γ_L is the adjoint one, y = (I − γ_L Pᵀ)⁻¹ γ_F Σ p w, and so are P for Pᵀ and γ_F forgotten."""
    problem = bg.problems.load("garnet", **GARNET)
    theta = problem.initial_theta(seed=1)
    at = problem.linearise(theta)
    m, columns = at.model.models[0], [column.models[0] for column in at.columns()]
    right = tabular.Formula(problem, theta)
    v = right.soft_value(m)
    policy = right.policy(m, v)
    v_leader, occupancy = right.v_leader(m, policy), right.occupancy(m, policy)
    w = occupancy[:, None] * policy * (right.q_leader(m, policy, v_leader) - v_leader[:, None]) / m.temperature
    matrix, kernel = m.transition.toarray(), right.kernel_of_solve(m, policy)
    direct = np.array([right.direct(m, c, policy, occupancy, v_leader) for c in columns])
    u = np.array([right.immediate(m, c, v) for c in columns])

    def adjoint(kernel, discount, before):
        y = np.linalg.solve(np.eye(len(kernel)) - discount * kernel, before * (matrix.T @ w.ravel()))
        return direct + u @ (w + policy * y[:, None]).ravel()

    gamma = m.follower_discount
    for formula, found in {
        tabular.Formula: adjoint(kernel.T, gamma, gamma),
        tabular.LeadersDiscountInSolve: adjoint(kernel.T, m.leader_discount, gamma),
        tabular.TransposedSolve: adjoint(kernel, gamma, gamma),
        tabular.ForgottenDiscountInGradQ: adjoint(kernel.T, gamma, 1.0),
    }.items():
        np.testing.assert_allclose(formula(problem, theta).gradient(), found, atol=1e-11 * np.abs(found).max())
