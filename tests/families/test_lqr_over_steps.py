"""Linear-quadratic followers that plan for a finite number of steps."""

from fractions import Fraction

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad import errors
from boltzgrad.families.lqr_steps import mistakes
from boltzgrad.families.lqr_steps.draw import finite_linear_quadratics
from boltzgrad.testing import bundles, check_hypergradient
from boltzgrad.testing.strategies import thetas
from boltzgrad.verify.mutants import combinations
from boltzgrad.verify.tolerances import RESOLUTION, Verdict
from tests_helpers import examples

H, N, M, D = 4, 2, 2, 3
STEP = 1e-30


class Plant:
    """A random plant, planned for here by exact least squares over whole trajectories, not by Riccati's recursion."""

    def __init__(self, seed, *, each=False, observed=False):
        rng = np.random.default_rng(seed)
        steps = (H,) if each else ()
        self.observed, self.each = observed, each
        self.base = {"A": rng.standard_normal((*steps, N, N)) * 0.6, "B": rng.standard_normal((*steps, N, M))}
        self.slope = {k: 0.2 * rng.standard_normal((*x.shape, D)) for k, x in self.base.items()}
        half = rng.standard_normal((6, N, N))
        self.W, self.Q, self.R, self.S, self.end, self.cost = (h @ h.T + 0.3 * np.eye(N) for h in half)
        self.mean, self.last = rng.standard_normal((N, D)), rng.standard_normal(D)

    def numbers(self, t):
        return {k: x + self.slope[k] @ t for k, x in self.base.items()}

    def model(self, t):
        a, b = (self.base[k] + anp.dot(self.slope[k], t) for k in "AB")
        return bg.FiniteHorizonLQModel(
            a, b, self.W, self.Q, self.R, anp.dot(self.mean, t), self.S, self.cost, 0.5 * self.R, anp.sum(t),
            self.end * (1.0 + anp.dot(self.last, t) ** 2), self.cost, horizon=H, follower_discount=0.9,
            leader_discount=0.95, temperature=0.4, observed=self.observed,
        )  # fmt: skip

    @property
    def problem(self):
        return bg.LinearQuadratic(self.model, dim=D)

    def gains(self, t):
        """(K_t, K_w,t, M_t⁻¹) as the first input of the least-squares plan from step t on: u = −Kx − K_w w."""
        at = self.numbers(t)
        A, B = ([x[s] if self.each else x for s in range(H)] for x in (at["A"], at["B"]))
        end = self.end * (1.0 + (self.last @ t) ** 2)
        out = []
        for s in range(H):
            # x_{s+1} = A x + B u + w, …: states as linear functions of (x, w, u_s, …, u_{H−1}).
            k = H - s
            size = 2 * N + k * M
            state = np.zeros((N, size), complex)
            state[:, :N] = np.eye(N)
            cost = np.zeros((size, size), complex)
            for i in range(k):
                u = np.zeros((M, size), complex)
                u[:, 2 * N + i * M : 2 * N + (i + 1) * M] = np.eye(M)
                cost += 0.9**i * (state.T @ self.Q @ state + u.T @ self.R @ u)
                seen = np.zeros((N, size), complex)
                seen[:, N : 2 * N] = np.eye(N) if i == 0 else 0.0
                state = A[s + i] @ state + B[s + i] @ u + seen
            cost += 0.9**k * state.T @ end @ state
            inputs = cost[2 * N :, 2 * N :]
            plan = np.linalg.solve(inputs, cost[2 * N :, : 2 * N])
            out.append((plan[:M, :N], plan[:M, N:], np.linalg.inv(inputs)[:M, :M]))
        return out

    def value(self, t):
        """J with those gains, by moments."""
        at = self.numbers(t)
        mean, S, total, weight = self.mean @ t, self.S.astype(complex), 0.0, 1.0
        for s, (K, K_w, spread) in enumerate(self.gains(t)):
            A, B = ((x[s] if self.each else x) for x in (at["A"], at["B"]))
            action, G = 0.2 * spread, np.eye(N)
            if self.observed:
                action, G = action + K_w @ self.W @ K_w.T, np.eye(N) - B @ K_w
            cost = self.cost + K.T @ (0.5 * self.R) @ K
            total = total + weight * (
                t.sum() - np.trace(cost @ S) - mean @ cost @ mean - np.trace(0.5 * self.R @ action)
            )
            F = A - B @ K
            mean, S = F @ mean, F @ S @ F.T + G @ self.W @ G.T + B @ (0.2 * spread) @ B.T
            weight *= 0.95
        return total - weight * (np.trace(self.cost @ S) + mean @ self.cost @ mean)


THETA = np.array([0.4, -0.3, 0.5])


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("observed", [False, True])
def test_against_least_squares_over_whole_plans(each, observed):
    plant = Plant(3, each=each, observed=observed)
    ref = bg.hypergradient(plant.problem, THETA)
    right = np.array([plant.value(THETA + 1j * STEP * e).imag / STEP for e in np.eye(D)])
    assert ref.value == pytest.approx(plant.value(THETA).real, rel=1e-12)
    np.testing.assert_allclose(ref.gradient, right, rtol=0, atol=1e-11 * np.abs(right).max())
    np.testing.assert_allclose(ref.follower.K, [K.real for K, _, _ in plant.gains(THETA)], atol=1e-12)
    assert np.abs(ref.gradient - right).max() < ref.error_bound < np.inf
    report = bg.verify(plant.problem, THETA)
    assert report.ok
    assert len(report.agreeing) == 5


@given(problem=finite_linear_quadratics(), data=st.data())
@settings(max_examples=examples(25), deadline=None)
def test_all_routes_agree(problem, data):
    report = bg.verify(problem, data.draw(thetas(problem.dim)))
    assert not [row for row in report.rows if row.verdict in (Verdict.DISAGREES, Verdict.FAILED)], str(report)
    assert any(row.verdict in (Verdict.AGREES, Verdict.ZERO) for row in report.rows)


def test_units_do_not_matter():
    plant, d = Plant(5), np.array([1e5, 1e-4])

    def other(t):
        m = plant.model(t)
        return bg.FiniteHorizonLQModel(
            m.A * d[:, None] / d, m.B * d[:, None], plant.W * np.outer(d, d), plant.Q / np.outer(d, d), plant.R, m.mean * d,
            plant.S * np.outer(d, d), plant.cost / np.outer(d, d), 0.5 * plant.R, anp.sum(t),
            m.terminal_Q / np.outer(d, d), plant.cost / np.outer(d, d), horizon=H, follower_discount=0.9,
            leader_discount=0.95, temperature=0.4,
        )  # fmt: skip

    moved = bg.LinearQuadratic(other, dim=D)
    right = bg.hypergradient(plant.problem, THETA).gradient
    np.testing.assert_allclose(bg.hypergradient(moved, THETA).gradient, right, rtol=1e-9)
    assert bg.verify(moved, THETA).ok
    assert check_hypergradient(right, moved, THETA).ok
    assert not check_hypergradient(right * (1.0 + 1e-4), moved, THETA).ok


def test_a_long_horizon_is_the_stationary_regulator():
    A, B, Q, R = np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([[0.0], [0.1]]), np.eye(2), np.eye(1)
    P = np.eye(2)
    for _ in range(3000):
        K = np.linalg.solve(R + 0.9 * B.T @ P @ B, 0.9 * B.T @ P @ A)
        P = Q + K.T @ R @ K + 0.9 * (A - B @ K).T @ P @ (A - B @ K)

    def build(t):
        return bg.FiniteHorizonLQModel(
            A, t[0] * B, 0.01 * np.eye(2), Q, R, np.ones(2), None, Q, terminal_Q=np.eye(2), horizon=300,
            follower_discount=0.9, leader_discount=0.9, temperature=0.1,
        )  # fmt: skip

    ref = bg.hypergradient(bg.LinearQuadratic(build, dim=1), [1.0])
    np.testing.assert_allclose(ref.follower.K[0], K, atol=1e-9)
    forever = bg.LinearQuadratic(
        lambda t: bg.LQModel(
            A, t[0] * B, 0.01 * np.eye(2), Q, R, np.ones(2), leader_Q=Q, follower_discount=0.9, leader_discount=0.9,
            temperature=0.1,
        ),
        dim=1,
    )  # fmt: skip
    np.testing.assert_allclose(ref.gradient, bg.hypergradient(forever, [1.0]).gradient, rtol=1e-9)


@pytest.mark.parametrize(("slope", "cost", "steps"), [(1.05, 1e-4, 20), (1.05, 1e-8, 20), (2.0, 1e-6, 4)])
def test_cheap_control_is_no_disagreement(slope, cost, steps):
    """A − BK is what two large numbers leave: the estimate knows, and no witness is called wrong."""

    def build(t):
        return bg.FiniteHorizonLQModel(
            anp.reshape(slope + t[0], (1, 1)), np.eye(1), np.eye(1), np.zeros((1, 1)), cost * np.eye(1), np.ones(1),
            leader_Q=np.eye(1), terminal_Q=np.eye(1), horizon=steps, follower_discount=1.0, leader_discount=1.0,
            temperature=1e-3,
        )  # fmt: skip

    problem = bg.LinearQuadratic(build, dim=1)
    report = bg.verify(problem, [0.0])
    assert report.ok, str(report)
    # The scalar recursion in exact fractions, its slope by a small exact difference.
    h = Fraction(1, 10**25)
    exact = float((scalar_J(slope, cost, steps, h) - scalar_J(slope, cost, steps, -h)) / (2 * h))
    ref = report.reference
    assert abs(float(ref.gradient[0]) - exact) <= 16.0 * float(ref.rounding[0])
    assert abs(float(ref.gradient[0]) - exact) <= ref.error_bound


def scalar_J(slope, cost, steps, h):
    """J of the plant above at θ = h, in exact fractions; 0.001 is the float64 τ."""
    a, r, tau = Fraction(slope) + h, Fraction(cost), Fraction(1e-3)
    P, gains = Fraction(1), []
    for _ in range(steps):
        M = r + P
        gains.insert(0, (P * a / M, tau / (2 * M)))
        P = a * a * P * r / M
    X, total = Fraction(1), Fraction(0)
    for K, spread in gains:
        total -= X
        X = (a - K) ** 2 * X + 1 + spread
        X, total = rounded(X), rounded(total)
    return total


def rounded(x):
    """A fraction to a hundred digits, so that it does not grow."""
    return Fraction(round(x * 10**100), 10**100)


def test_complex_numbers_are_refused():
    with pytest.raises(errors.InvalidModel, match="A is complex at a real theta"):
        bg.hypergradient(
            bg.LinearQuadratic(lambda t: bg.FiniteHorizonLQModel(**{**GOOD, "A": (1 + 0.5j) * np.eye(2)}), dim=1), [0.0]
        )


def test_pairs_of_mistakes_show():
    problem = bg.problems.load("finite-lqr", follower_discount=0.9, leader_discount=0.8, observed=True)
    theta = problem.initial_theta(seed=1)
    right = bg.hypergradient(problem, theta).gradient
    pairs = list(combinations.pairs(mistakes.MUTANTS))
    assert len(pairs) > 60
    off = {m.name: np.abs(m.gradient(problem, theta) - right).max() / np.abs(right).max() for m in pairs}
    assert min(off.values()) > 10 * RESOLUTION, min(off, key=off.get)


def test_follower_and_bundle(tmp_path):
    plant = Plant(2)
    ref = bg.hypergradient(plant.problem, THETA)
    K = np.array([k.real for k, _, _ in plant.gains(THETA)])
    bg.testing.assert_follower({"K": K}, plant.problem, THETA)
    with pytest.raises(AssertionError, match="the gain with the other sign"):
        bg.testing.assert_follower({"K": -K}, plant.problem, THETA)
    with pytest.raises(AssertionError, match="the first step's gain at every step"):
        bg.testing.assert_follower({"K": np.repeat(K[:1], H, axis=0)}, plant.problem, THETA)
    folder = bundles.export(plant.problem, THETA, tmp_path / "plant")
    assert bundles.check(folder, ref.gradient).ok
    assert not bundles.check(folder, 1.001 * ref.gradient).ok


GOOD = {
    "A": np.eye(2), "B": np.ones((2, 1)), "Q": np.eye(2), "R": np.eye(1), "mean": np.ones(2), "horizon": 3,
    "follower_discount": 1.0, "leader_discount": 1.0, "temperature": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon is 0; expected a positive integer"),
        ({"horizon": True}, "horizon is True"),
        ({"A": np.eye(3)}, r"A has shape \(3, 3\), expected \(2, 2\) or \(3, 2, 2\)"),
        ({"B": None}, "B is None"),
        ({"Q": np.array([[1.0, 0.5], [0.0, 1.0]])}, r"Q is not symmetric: Q\[0, 1\]"),
        ({"R": np.zeros((1, 1))}, "R is not positive definite"),
        ({"Q": np.stack([np.eye(2), -np.eye(2), np.eye(2)])}, r"Q\[1\] is not positive semidefinite"),
        ({"terminal_Q": np.zeros((3, 2, 2))}, r"terminal_Q has shape \(3, 2, 2\), expected \(2, 2\)"),
        ({"follower_discount": 1.5}, "follower_discount is 1.5"),
        ({"temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(errors.InvalidModel, match=message):
        bg.FiniteHorizonLQModel(**{**GOOD, **change})
