"""The Riccati equation where it is hard: published examples with known answers, loops that barely settle, fifty digits."""

import mpmath
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import Unfinished
from boltzgrad.families.lqr.doubling import Powers, cost_matrix, doublings, from_nothing
from boltzgrad.families.lqr.natural_units import first_guess, units_of
from boltzgrad.solvers.lqr import solve_lqr

ROOT = 0.5  # √γ: exact in binary, so that A/√γ and B/√γ make the published, undiscounted equation


def model(A, B, Q, R, *, root=ROOT, **options):
    A, B = np.asarray(A, float), np.asarray(B, float)
    n = len(A)
    given = {"leader_discount": 0.2, "temperature": 1.0, "leader_Q": np.eye(n), **options}
    return bg.LQModel(A / root, B / root, np.eye(n), Q, R, np.ones(n), np.eye(n), follower_discount=root**2, **given)


def darex_1_1(r):
    """Benner, Laub, Mehrmann (1995) II, examples 1.1 and 2.1: X = (1 + √(1 + 4r))/2 · [[9, 6], [6, 4]]."""
    Q = np.array([[9.0, 6.0], [6.0, 4.0]])
    return model([[4, 3], [-4.5, -3.5]], [[1], [-1]], Q, [[r]]), (1 + np.sqrt(1 + 4 * r)) / 2 * Q


def darex_2_3(e):
    """The same, example 2.3: A = [[0, ε], [0, 0]], X = diag(1, 1 + ε²)."""
    return model([[0, e], [0, 0]], [[0], [1]], np.eye(2), [[1]]), np.diag([1, 1 + e * e])


def darex_2_4(e):
    """The same, example 2.4: A = V diag(0, 1, 3) V, X = ε V diag(1, (1 + √5)/2, (9 + √85)/2) V."""
    V = np.eye(3) - 2 / 3
    X = e * V @ np.diag([1, (1 + np.sqrt(5)) / 2, (9 + np.sqrt(85)) / 2]) @ V
    return model(V @ np.diag([0.0, 1, 3]) @ V, np.eye(3), e * np.eye(3), e * np.eye(3)), X


def weak_input(b):
    """An unstable plant, a = 2, that an input of strength b → 0 has to hold: X → (a² − 1)/b² of the least energy."""
    # x = 1 + 4x/(1 + b²x): b²x² − (3 + b²)x − 1 = 0.
    x = (3 + b**2 + np.sqrt((3 + b**2) ** 2 + 4 * b**2)) / (2 * b**2)
    return model([[2]], [[b]], np.eye(1), np.eye(1)), np.array([[x]])


EXAMPLES = {
    **{f"1.1, R = {r:g}": darex_1_1(r) for r in (1e-9, 1.0, 1e6)},
    **{f"2.3, ε = {e:g}": darex_2_3(e) for e in (1.0, 1e6, 1e9)},
    **{f"2.4, ε = {e:g}": darex_2_4(e) for e in (1e-6, 1.0, 1e6)},
    **{f"weak input {b:g}": weak_input(b) for b in (1e-3, 1e-11)},
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_published_answers(name):
    """By the reference and, with nothing shared, by the witnesses' doubling."""
    problem, X = EXAMPLES[name]
    size = np.sqrt(np.multiply.outer(np.diag(X), np.diag(X)))
    solution = solve_lqr(problem)
    remain = 1.0 / (1.0 - solution.radius**2)
    for P in (solution.P, cost_matrix(problem)[0]):
        assert np.abs((P - X) / size).max() <= 1e-14 * (1.0 + remain)


@pytest.mark.parametrize("name", EXAMPLES)
def test_witnesses_of_published_examples(name):
    problem, _ = EXAMPLES[name]
    a = problem.arrays()

    def build(theta):
        return problem.with_arrays(type(a)(a.A * theta[0], a.B, a.W, a.Q * theta[1], a.R, *a.parts()[5:]))

    report = bg.verify(bg.LinearQuadratic(build, dim=2), np.ones(2))
    assert not [row.route for row in report.rows if row.verdict in ("disagrees", "failed", "not smooth")], str(report)
    assert {"implicit", "covariance", "complex-step"} <= {row.route for row in report.agreeing}, str(report)


def exact_scalar(a, q, *, gamma, leader, r, tau):
    """J of x' = ax + u + w, costs q and r, leader's costs 1 and 1, W = 0.1, x₀ ~ N(1, 1), by the quadratic formula."""
    one = gamma * a * a
    # γP² + (r − γq − γa²r) P − qr = 0
    linear = r - gamma * q - one * r
    P = (-linear + mpmath.sqrt(linear**2 + 4 * gamma * q * r)) / (2 * gamma)
    M = r + gamma * P
    K, sigma = gamma * P * a / M, tau / 2 / M
    F, noise = a - K, mpmath.mpf(0.1) + sigma
    Y = (2 + leader / (1 - leader) * noise) / (1 - leader * F * F)
    return -Y - (K * K * Y + sigma / (1 - leader))


@pytest.mark.parametrize("short", [1e-5, 1e-6, 1e-7, 1e-8])
def test_a_loop_that_barely_settles(short):
    """√γ ρ = 1 − 1e-5 … 1 − 1e-8 because the input is dear: right in fifty digits, and affordable for every witness."""
    gamma, leader, r, tau, q = 1.0 - 2.0**-40, 0.999, 1e30, 0.1, 1e-3
    a = (1.0 - short) / np.sqrt(gamma)

    def build(theta):
        one = np.ones((1, 1))
        return bg.LQModel(one * theta[0], one, 0.1 * one, one * theta[1], r * one, [1.0], one, leader_Q=one, leader_R=one,
                          follower_discount=gamma, leader_discount=leader, temperature=tau)  # fmt: skip

    problem, theta = bg.LinearQuadratic(build, dim=2), np.array([a, q])
    report = bg.verify(problem, theta)
    reference = report.reference
    assert 1.0 - reference.follower.radius == pytest.approx(short, rel=1e-3)
    with mpmath.workdps(80):
        x, fixed = [mpmath.mpf(t) for t in theta], {"gamma": mpmath.mpf(gamma), "leader": mpmath.mpf(leader)}
        fixed |= {"r": mpmath.mpf(r), "tau": mpmath.mpf(tau)}
        exact = [
            mpmath.diff(lambda t: exact_scalar(t, x[1], **fixed), x[0], h=mpmath.mpf(10) ** -25),
            mpmath.diff(lambda t: exact_scalar(x[0], t, **fixed), x[1], h=mpmath.mpf(10) ** -25),
        ]
        error = [abs(float(mpmath.mpf(float(g)) - e)) for g, e in zip(reference.gradient, exact, strict=True)]
    assert np.all(error <= 4.0 * reference.rounding)
    assert np.all(reference.rounding <= 1e-5 * np.abs(reference.gradient))
    assert report.ok
    assert {"covariance", "implicit", "unrolled-implicit", "complex-step"} <= {row.route for row in report.agreeing}
    # Too many sweeps, said before it starts.
    assert [row.verdict for row in report.rows if row.route == "unrolled"] == ["skipped"]


def test_doubling_and_the_reference_share_no_answer(rng):
    """Random plants, stable and not: the two solve the same equation to rounding."""
    for _ in range(40):
        n, m = rng.integers(1, 6), rng.integers(1, 4)
        A, B = 1.2 * rng.standard_normal((n, n)) / np.sqrt(n), rng.standard_normal((n, m))
        C = rng.standard_normal((n, n))
        at = model(A, B, C.T @ C, np.eye(m), root=0.9)
        P = solve_lqr(at).P
        size = np.sqrt(np.multiply.outer(np.diag(P), np.diag(P)))
        assert np.abs((cost_matrix(at)[0] - P) / size).max() <= 1e-10
        assert np.abs((from_nothing(at)[0] - P) / size).max() <= 1e-8


def test_an_undetectable_mode_has_another_optimum():
    """A = 2, Q = 0: the stabilising solution costs 3, the follower's optimum nothing, and doubling finds that one."""
    at = model([[2.0]], [[1.0]], [[0.0]], [[1.0]])
    assert from_nothing(at)[0][0, 0] == 0.0


def test_what_does_not_come_to_rest_is_unfinished():
    with pytest.raises(Unfinished, match="do not come to rest"):
        from_nothing(model(np.diag([2.0, 0.5]), [[0.0], [1.0]], np.eye(2), [[1.0]]))
    with pytest.raises(Unfinished, match="does not come to an end"):
        Powers(np.eye(2), 1.0)
    with pytest.raises(Unfinished, match="does not come to an end"):
        doublings(1.0 - 1e-15, 2)


def test_doubled_sums_are_the_sums(rng):
    F, C = rng.standard_normal((2, 3, 3))
    F *= 0.9 / np.abs(np.linalg.eigvals(F)).max()
    term, total = C, np.zeros((3, 3))
    for _ in range(4000):
        total, term = total + term, 0.95 * F @ term @ F.T
    assert Powers(F, 0.95).forward(C) == pytest.approx(total, rel=1e-12)
    assert Powers(F.T, 0.95).backward(C) == pytest.approx(total, rel=1e-12)
    nilpotent = np.diag([2.0, 3.0], 1)
    assert Powers(nilpotent, 1.0).forward(np.eye(3)) == pytest.approx(
        np.eye(3) + nilpotent @ nilpotent.T + nilpotent @ nilpotent @ (nilpotent @ nilpotent).T
    )


def test_units_are_powers_of_two_and_nothing_is_lost():
    problem = bg.problems.load("random-lqr", observed=True)
    at = problem.model(problem.initial_theta(seed=0))
    for units in (first_guess(at), units_of(at, solve_lqr(at).P)):
        for x in (units.state, units.action, units.cost, units.reward):
            assert np.all(np.frexp(x)[0] == 0.5)
        there = units.model(at)
        for x, y, s in zip(at.arrays().parts(), there.arrays().parts(), units.factors_of(at.arrays()), strict=True):
            assert np.array_equal(x, y / s)
        P = solve_lqr(at).P * units.of_P
        np.testing.assert_allclose(solve_lqr(there).P, P, rtol=1e-12)
    assert np.all((np.diag(P) > 0.49) & (np.diag(P) < 2.01))


def test_a_state_that_costs_nothing_has_units_of_its_own():
    """P_ii = 0: measured by its moments, or by what flows into it, in whatever unit it is given."""
    for unit in (1.0, 1e9, 1e-9):
        D = np.array([1.0, unit])
        A = np.array([[0.9, 0.0], [1e-3, 0.5]]) * D[:, None] / D
        none, Q = np.zeros((2, 2)), np.diag([1.0, 0.0])
        at = bg.LQModel(A, [[1.0], [0.0]], none, Q, np.eye(1), [1.0, 0.0], none, leader_Q=np.diag([0.0, unit**-2]),
                        follower_discount=0.9, leader_discount=0.9, temperature=0.1)  # fmt: skip
        units = units_of(at, solve_lqr(at).P)
        assert units.state[1] / unit / units.state[0] == pytest.approx(1e-3, rel=1.0)
