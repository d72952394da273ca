"""Linear-quadratic problems: every route agrees, the bound is a bound, and the closed forms are right."""

import importlib

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

import boltzgrad as bg
from boltzgrad.estimators import BCHG
from boltzgrad.families.registry import witnesses
from boltzgrad.problems import Bump
from boltzgrad.solvers.balls import Ball, lyapunov
from boltzgrad.testing import assert_follower, bundles, check_hypergradient
from boltzgrad.verify.tolerances import Verdict

EXACT = ("covariance", "implicit", "unrolled", "unrolled-implicit", "complex-step")
CASES = {
    "plain": {},
    "observed": {"observed": True},
    "finite": {"horizon": 6},
    "finite, observed": {"horizon": 6, "observed": True},
    "one step": {"horizon": 1},
    "equal discounts": {"leader_discount": 0.9},
    "wide": {"n": 5, "m": 1},
    "tall": {"n": 2, "m": 3},
    "scalar": {"n": 1, "m": 1},
    "cold": {"temperature": 1e-4},
    "patient": {"follower_discount": 0.99, "leader_discount": 0.99},
    "myopic follower": {"follower_discount": 0.0},
}


def relative(result, reference):
    return np.abs(result.gradient - result.seen_by(reference.gradient)).max() / np.abs(reference.gradient).max()


@pytest.mark.parametrize("case", CASES)
def test_every_route(case):
    problem = bg.problems.load("random-lqr", **CASES[case])
    theta = problem.initial_theta(seed=1)
    reference = bg.hypergradient(problem, theta)
    for route in witnesses(problem):
        if route.name in EXACT:
            assert route.skip(problem, theta) == ""
            result = route.run(problem, theta)
            assert relative(result, reference) <= 1e-11, route.name
            assert result.value == pytest.approx(reference.value, rel=1e-12)


@pytest.mark.parametrize("case", ["plain", "observed", "finite"])
def test_conic_and_differences(case):
    problem = bg.problems.load("random-lqr", **CASES[case])
    theta = problem.initial_theta(seed=1)
    report = bg.verify(problem, theta, routes=["conic", "differences"])
    report.raise_if_disagree()
    assert len(report.agreeing) == 2


@pytest.mark.parametrize(
    ("name", "options", "theta"),
    [
        ("thermal-control", {}, None),
        ("thermal-control", {}, 1),
        ("thermal-control", {"horizon": 100}, 1),
        ("lqr-game", {}, None),
        ("lqr-game", {}, [0.7, -0.4]),
        ("lqr-game", {}, [-9.5, 0.2]),
    ],
)
def test_named_problems(name, options, theta):
    """All exact routes to 1e-9, adjoint against complex step to 1e-11."""
    problem = bg.problems.load(name, **options)
    if theta is None:
        theta = np.zeros(problem.dim)
    elif not isinstance(theta, list):
        theta = problem.initial_theta(seed=theta)
    reference = bg.hypergradient(problem, theta)
    for route in witnesses(problem):
        if route.name in EXACT and not route.skip(problem, reference.theta):
            allowed = 1e-11 if route.name == "complex-step" else 1e-9
            assert relative(route.run(problem, reference.theta), reference) <= allowed, route.name


def test_the_bound_says_where_it_is_hard():
    """All levels near 0 in thermal-control: unstable zones, and a bound that has grown; near k₁ = −10 in lqr-game, too."""
    building = bg.problems.load("thermal-control")
    easy, hard = (bg.hypergradient(building, np.full(8, level)) for level in (3.0, -8.0))
    assert easy.error_bound / np.abs(easy.gradient).max() < 1e-3
    assert hard.error_bound / np.abs(hard.gradient).max() > 10 * easy.error_bound / np.abs(easy.gradient).max()
    game = bg.problems.load("lqr-game")
    calm, edge = (bg.hypergradient(game, np.array([k, 0.0])) for k in (-2.0, -9.9))
    assert calm.error_bound / np.abs(calm.gradient).max() < 1e-7
    assert edge.error_bound / np.abs(edge.gradient).max() > 10 * calm.error_bound / np.abs(calm.gradient).max()


def test_the_leaders_value_by_simulation():
    """J of thermal-control by 20,000 roll-outs of the Gaussian policy, within four standard errors."""
    problem = bg.problems.load("thermal-control", horizon=30)
    theta = problem.initial_theta(seed=2)
    reference, rng, runs = bg.hypergradient(problem, theta), np.random.default_rng(0), 20_000
    model, answer = reference.model, reference.follower
    root = np.linalg.cholesky(answer.covariance)
    x, total = rng.multivariate_normal(model.mean, model.covariance, runs), np.zeros(runs)
    for t in range(30):
        u = -x @ answer.K.T + rng.standard_normal((runs, 2)) @ root.T
        reward = float(model.leader_constant) - x.var(axis=1) - 0.5 * (u**2).sum(axis=1)
        total += model.leader_discount**t * reward
        x = x @ model.A.T + u @ model.B.T + 0.02 * rng.standard_normal((runs, 4))
    assert abs(total.mean() - reference.value) < 4 * total.std() / np.sqrt(runs)


def test_the_bump_by_simulation():
    """J of a game with a wide bump, observed disturbance, by roll-outs."""
    game = bg.LinearQuadraticGame(
        [[0.5, 0.2], [0.0, 0.7]], [[0.0], [0.5]], [[0.3], [0.1]], np.eye(2), np.eye(1), [1.0, -0.5], 0.1 * np.eye(2),
        spread=0.5, bump=Bump(np.array([0.2, 0.1]), np.diag([4.0, 9.0]), 2.0), follower_discount=0.9,
        leader_discount=0.9, temperature=0.3, horizon=12,
    )  # fmt: skip
    theta = np.array([0.2, -0.3])
    reference, rng, runs = bg.hypergradient(game, theta), np.random.default_rng(1), 40_000
    model, answer = reference.model, reference.follower
    x, total = rng.multivariate_normal(model.mean, model.covariance, runs), np.zeros(runs)
    C = np.array([[0.3], [0.1]])
    for t in range(12):
        w = 0.5 * rng.standard_normal((runs, 1)) @ C.T
        u = -x @ answer.K.T - w @ answer.K_w.T + rng.standard_normal((runs, 1)) * np.sqrt(answer.covariance[0, 0])
        d = x - model.bump.target
        total += 0.9**t * 2.0 * np.exp(-0.5 * np.einsum("ri,ij,rj->r", d, model.bump.precision, d))
        x = x @ model.A.T + u @ model.B.T + w
    assert abs(total.mean() - reference.value) < 4 * total.std() / np.sqrt(runs)
    bg.verify(game, theta).raise_if_disagree()


def test_observing_is_acting_on_a_larger_state():
    """Prop 2 is Prop 1 on (x, w): the two problems have one value."""
    from boltzgrad.families.lqr.covariance import unobserved

    problem = bg.problems.load("random-lqr", observed=True)
    theta = problem.initial_theta(seed=3)
    larger = bg.LinearQuadratic(lambda t: unobserved(problem.model(theta)), dim=1)
    assert bg.hypergradient(larger, [0.0]).value == pytest.approx(bg.hypergradient(problem, theta).value, rel=1e-12)


def test_scalar_closed_form():
    """One state, one input, γ = 0.5: P solves P = q + γa²P r/(r + γb²P), a quadratic equation (59)."""
    a, b, q, r, gamma = 1.5, 0.7, 2.0, 0.3, 0.5

    def build(theta):
        one = np.ones((1, 1))
        return bg.LQModel(a * one, b * one, 0.1 * one, q * one, r * one, [1.0], one, leader_Q=one * theta[0],
                          follower_discount=gamma, leader_discount=gamma, temperature=0.1)  # fmt: skip

    P = bg.hypergradient(bg.LinearQuadratic(build, dim=1), [1.0]).follower.P[0, 0]
    # γb²P² + (r − γb²q − γa²r) P − qr = 0
    two, one, zero = gamma * b**2, r - gamma * b**2 * q - gamma * a**2 * r, -q * r
    assert pytest.approx((-one + np.sqrt(one**2 - 4 * two * zero)) / (2 * two), rel=1e-14) == P


# One small problem in 50 digits, with the library's matrices as functions of θ written twice.
A0, A1 = np.array([[0.75, 0.25], [-0.5, 1.0]]), np.array([[0.25, -0.125], [0.5, 0.25]])
B0, B1 = np.array([[0.5], [1.0]]), np.array([[0.25], [-0.25]])
W0, Q0, R0 = np.array([[0.5, 0.125], [0.125, 0.25]]), np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[0.5]])
LQ, LR = np.array([[1.0, 0.25], [0.25, 0.5]]), np.array([[0.25]])
MEAN, COV = np.array([0.5, -1.0]), np.array([[1.0, 0.25], [0.25, 0.5]])
THETA = np.array([0.25, -0.5])


N0 = np.array([[0.25], [-0.125]])


def float_problem(gamma_f, gamma_l, tau, observed, horizon, bump, cross=False):
    def build(theta):
        return bg.LQModel(
            A0 + theta[0] * A1, B0 + theta[1] * B1, anp.exp(theta[0]) * W0, anp.exp(theta[1]) * Q0, R0, MEAN, COV,
            leader_Q=anp.exp(theta[1]) * LQ, leader_R=LR, leader_constant=theta[0],
            follower_discount=gamma_f, leader_discount=gamma_l, temperature=tau, observed=observed, horizon=horizon,
            bump=Bump(np.array([0.25, -0.5]), np.diag([2.0, 4.0])) if bump else None,
            N=anp.exp(theta[0]) * N0 if cross else None,
        )  # fmt: skip

    return bg.LinearQuadratic(build, dim=2)


def exact_j(theta, gamma_f, gamma_l, tau, observed, horizon, bump, cross=False):
    mp, m = mpmath, lambda x: mpmath.matrix(x.tolist())
    gf, gl, tau = mp.mpf(gamma_f), mp.mpf(gamma_l), mp.mpf(tau)
    A, B = m(A0) + theta[0] * m(A1), m(B0) + theta[1] * m(B1)
    W, Q, R = mp.exp(theta[0]) * m(W0), mp.exp(theta[1]) * m(Q0), m(R0)
    P, N = Q, (mp.exp(theta[0]) if cross else 0) * m(N0)
    for _ in range(3000):
        M, across = R + gf * B.T * P * B, gf * A.T * P * B + N
        new = Q + gf * A.T * P * A - across * (M**-1) * across.T
        moved = mp.mnorm(new - P, 1)
        P = new
        if moved < mp.mpf(10) ** (5 - mp.mp.dps):
            break
    M = R + gf * B.T * P * B
    K, sigma = M**-1 * (gf * A.T * P * B + N).T, tau / 2 * M**-1
    F, noise, action = A - B * K, W + B * sigma * B.T, sigma
    if observed:
        K_w = gf * M**-1 * B.T * P
        G = mp.eye(2) - B * K_w
        noise, action = G * W * G.T + B * sigma * B.T, sigma + K_w * W * K_w.T
    cost = mp.exp(theta[1]) * m(LQ) + K.T * m(LR) * K
    trace = lambda X: mp.fsum(X[i, i] for i in range(X.rows))  # noqa: E731
    mean, cov, total = m(MEAN.reshape(2, 1)), m(COV), mp.mpf(0)
    target, precision = m(np.array([[0.25], [-0.5]])), m(np.diag([2.0, 4.0]))
    for t in range(horizon if horizon else 400):
        reward = theta[0] - trace(cost * (cov + mean * mean.T)) - trace(m(LR) * action)
        if bump:
            d, spread = mean - target, precision**-1 + cov
            reward += mp.det(precision * spread) ** mp.mpf("-0.5") * mp.exp(-(d.T * spread**-1 * d)[0] / 2)
        total += gl**t * reward
        mean, cov = F * mean, F * cov * F.T + noise
    return total


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize(("horizon", "bump"), [(None, False), (5, False), (5, True)])
@pytest.mark.parametrize(
    ("gamma_f", "gamma_l", "tau", "cross"),
    [(0.75, 0.5, 0.5, False), (0.875, 0.75, 0.0625, False), (0.75, 0.5, 0.5, True), (1.0, 0.75, 0.25, True)],
)
def test_the_bound_in_fifty_digits(observed, horizon, bump, gamma_f, gamma_l, tau, cross):
    gamma_l = 1.0 if horizon and gamma_f == 1.0 else gamma_l
    case = (gamma_f, gamma_l, tau, observed, horizon, bump, cross)
    reference = bg.hypergradient(float_problem(*case), THETA)
    with mpmath.workdps(60):
        h, exact = mpmath.mpf(10) ** -18, []
        for j in range(2):
            ahead, behind = ([mpmath.mpf(x) + (s * h if k == j else 0) for k, x in enumerate(THETA)] for s in (1, -1))
            exact.append((exact_j(ahead, *case) - exact_j(behind, *case)) / (2 * h))
        error = np.array([abs(float(mpmath.mpf(float(g)) - e)) for g, e in zip(reference.gradient, exact, strict=True)])
    assert np.all(error <= reference.coordinate_bounds)
    assert error.max() <= 16 * reference.error_estimate
    assert reference.error_bound <= 1e-8 * np.abs(reference.gradient).max()
    # The control: a discount that is off by 1e-6 is not covered.
    wrong = bg.hypergradient(float_problem(gamma_f - 1e-6, *case[1:]), THETA)
    off = max(abs(float(mpmath.mpf(float(g)) - e)) for g, e in zip(wrong.gradient, exact, strict=True))
    assert off > wrong.error_bound


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize(
    ("horizon", "bump", "gamma_l"), [(None, False, 0.75), (None, True, 0.75), (6, False, 1.0), (6, True, 1.0)]
)
def test_every_witness_agrees_undiscounted_and_with_a_cross_term(observed, horizon, bump, gamma_l):
    problem = float_problem(1.0, gamma_l, 0.25, observed, horizon, bump, cross=True)
    report = bg.verify(problem, THETA)
    report.raise_if_disagree()
    assert len(report.agreeing) >= 6, str(report)
    exact = bg.hypergradient(problem, THETA).gradient
    without = float_problem(1.0, gamma_l, 0.25, observed, horizon, bump)
    check = check_hypergradient(bg.hypergradient(without, THETA).gradient, problem, THETA, tolerance=1e-6)
    assert check.verdict == Verdict.DISAGREES, "N forgotten"
    late = float_problem(0.999, gamma_l, 0.25, observed, horizon, bump, cross=True)
    check = check_hypergradient(bg.hypergradient(late, THETA).gradient, problem, THETA, tolerance=1e-6)
    assert check.verdict == Verdict.DISAGREES, "γ = .999 for 1"
    assert check_hypergradient(exact, problem, THETA).ok


def test_from_dlqr_is_dlqr(tmp_path):
    """K is that of SciPy's Riccati solver with a cross term, and travels in bundles."""

    def build(theta):
        return bg.LQModel.from_dlqr(
            A0 + theta[0] * A1,
            B0,
            Q0,
            R0,
            N0,
            mean=MEAN,
            temperature=0.1,
            leader_discount=0.9,
            leader_Q=LQ,
            leader_R=LR,
        )

    problem = bg.LinearQuadratic(build, dim=1)
    ref = bg.hypergradient(problem, THETA[:1])
    A = A0 + THETA[0] * A1
    P = solve_discrete_are(A, B0, Q0, R0, s=N0)
    K = np.linalg.solve(R0 + B0.T @ P @ B0, B0.T @ P @ A + N0.T)
    np.testing.assert_allclose(ref.follower.P, P, rtol=1e-12)
    np.testing.assert_allclose(ref.follower.K, K, rtol=1e-12)
    assert not ref.model.W.any()
    assert not ref.model.covariance.any()
    assert_follower({"K": K, "P": P}, problem, THETA[:1])
    folder = bundles.export(problem, THETA[:1], tmp_path / "dlqr")
    assert bundles.check(folder, ref.gradient).ok
    assert not bundles.check(folder, 1.01 * ref.gradient).ok
    with pytest.raises(bg.errors.InvalidOption, match=r"has one \(N\)"):
        bg.check_estimator(BCHG(), problem, THETA[:1], n_batches=20)


def test_bad_cross_terms():
    with pytest.raises(bg.errors.InvalidModel, match=r"N has shape \(1, 2\), expected \(2, 1\) as B"):
        bg.LQModel.from_dlqr(A0, B0, Q0, R0, N0.T, mean=MEAN, temperature=0.1, leader_discount=0.9)
    with pytest.raises(bg.errors.InvalidModel, match=r"Q − N R⁻¹N' is not positive semidefinite"):
        bg.LQModel.from_dlqr(A0, B0, Q0, R0, 10.0 * N0, mean=MEAN, temperature=0.1, leader_discount=0.9)
    with pytest.raises(bg.errors.InvalidModel, match=r"is not stabilisable"):
        bg.hypergradient(bg.LinearQuadratic(lambda t: bg.LQModel.from_dlqr(
            np.diag([1.1, 0.5]) + 0.0 * t[0], np.array([[0.0], [1.0]]), Q0, R0, mean=MEAN, temperature=0.1, leader_discount=0.9,
        ), dim=1), [0.0])  # fmt: skip


def test_published_start_of_thermal_control():
    """BC-HG's figure starts near −260 (100-step runs): J at θ = 0 is −262.0 in closed form."""
    reference = bg.hypergradient(bg.problems.load("thermal-control"), np.zeros(8))
    assert reference.value == pytest.approx(-262.0, abs=0.5)


@pytest.mark.parametrize("discount", [1e-300, 1e-30])
def test_a_vanishing_discount_is_the_myopic_follower(discount):
    """SciPy's balancing overflows at such discounts; the answer is that of γ = 0 to rounding."""
    myopic = bg.problems.load("random-lqr", follower_discount=0.0)
    almost = bg.problems.load("random-lqr", follower_discount=discount)
    theta = myopic.initial_theta(seed=0)
    assert bg.hypergradient(almost, theta).gradient == pytest.approx(
        bg.hypergradient(myopic, theta).gradient, rel=1e-12
    )


def growing(theta):
    """A state that grows by 1.3 a step, √γ_L ρ = 0.99, with a bump of no consequence: the costs' sum is long, γ_L^t short."""
    one = np.ones((1, 1))
    return bg.LQModel(one * theta[0], one, 0.1 * one, 0.01 * one, 1000 * one, [1.0], one, leader_Q=one,
                      bump=Bump(np.zeros(1), one, 0.5), follower_discount=0.5, leader_discount=0.58,
                      temperature=0.1)  # fmt: skip


def growing_in_fifty_digits(a):
    mp = mpmath
    gamma, leader, P = mp.mpf(0.5), mp.mpf(0.58), mp.mpf(0.01)
    for _ in range(3000):
        P, last = mp.mpf(0.01) + gamma * a * a * P * 1000 / (1000 + gamma * P), P
        if abs(P - last) < mp.mpf(10) ** (5 - mp.mp.dps):
            break
    M = 1000 + gamma * P
    F, noise = a * 1000 / M, mp.mpf(0.1) + mp.mpf(0.1) / 2 / M
    total = -(2 + leader / (1 - leader) * noise) / (1 - leader * F * F)
    mean, covariance = mp.mpf(1), mp.mpf(1)
    for t in range(300):
        total += leader**t / 2 / mp.sqrt(1 + covariance) * mp.exp(-mean * mean / (1 + covariance) / 2)
        mean, covariance = F * mean, F * F * covariance + noise
    return total


def test_a_bump_does_not_cut_the_costs_short():
    """The sum was cut where γ_L^t < 1e-18, and the costs, which go on for (γ_L ρ²)^t, with it: by every route alike."""
    report = bg.verify(bg.LinearQuadratic(growing, dim=1), [1.3])
    with mpmath.workdps(60):
        a, h = mpmath.mpf(1.3), mpmath.mpf(10) ** -20
        J, slope = (
            growing_in_fifty_digits(a),
            (growing_in_fifty_digits(a + h) - growing_in_fifty_digits(a - h)) / (2 * h),
        )
        off = abs(float(mpmath.mpf(float(report.reference.gradient[0])) - slope))
    assert report.reference.value == pytest.approx(float(J), rel=1e-13)
    assert off <= report.reference.error_bound
    assert off <= 4 * report.reference.error_estimate
    assert report.ok
    assert {"implicit", "unrolled-implicit", "complex-step", "differences"} <= {row.route for row in report.agreeing}


def test_two_doubled_bumps_are_twice_one():
    """J is linear in the leader's reward, a bump for ever included: costs and bump apart add up to both together."""
    problem = bg.problems.load("random-lqr")
    theta, bump = problem.initial_theta(seed=1), Bump(np.zeros(3), np.diag([1.0, 2.0, 4.0]), 3.0)

    def with_bump(t, costs):
        m = problem.build(t)
        a = m.arrays()
        return bg.LQModel(*a.parts()[:7], a.leader_Q * costs, a.leader_R * costs, a.leader_constant * costs, bump,
                          follower_discount=0.9, leader_discount=0.85, temperature=0.2)  # fmt: skip

    both, alone = (
        bg.hypergradient(bg.LinearQuadratic(lambda t, c=c: with_bump(t, c), dim=problem.dim), theta) for c in (1.0, 0.0)
    )
    costs = bg.hypergradient(problem, theta)
    assert both.value == pytest.approx(costs.value + alone.value, rel=1e-13)
    np.testing.assert_allclose(both.gradient, costs.gradient + alone.gradient, rtol=1e-11)


def long_run(a, gamma, digits=40):
    """J of `patient` in many digits: every term of the sum, however many."""
    mp = mpmath
    follower, P = mp.mpf("0.9"), mp.mpf(1)
    for _ in range(2000):
        P, last = 1 + follower * a * a * P / (1 + follower * P), P
        if abs(P - last) < mp.mpf(10) ** (5 - digits):
            break
    M = 1 + follower * P
    F, noise = a / M, mp.mpf("0.1") + mp.mpf("0.05") / M
    total = -(mp.mpf(2) + gamma / (1 - gamma) * noise) / (1 - gamma * F * F)
    mean, covariance, weight = mp.mpf(1), mp.mpf(1), mp.mpf(1)
    while weight > mp.mpf(10) ** (-digits):
        total += weight * mp.mpf(3) / mp.sqrt(1 + covariance) * mp.exp(-((mean - 1) ** 2) / (1 + covariance) / 2)
        mean, covariance, weight = F * mean, F * F * covariance + noise, weight * gamma
    return total


def patient(gamma):
    one = np.ones((1, 1))
    return bg.LinearQuadratic(
        lambda t: bg.LQModel(
            one * t[0], one, 0.1 * one, one, one, [1.0], one, leader_Q=one, bump=Bump(np.ones(1), one, 3.0),
            follower_discount=0.9, leader_discount=gamma, temperature=0.1,
        ), dim=1,
    )  # fmt: skip


@pytest.mark.parametrize("gamma", ["0.5", "0.99", pytest.param("0.999", marks=pytest.mark.slow)])
@pytest.mark.parametrize("a", ["0.9", "1.7"])
def test_a_bump_for_ever_in_forty_digits(gamma, a):
    """Its tail is the settled state's, and what balls say of the rest is in the bound."""
    found = bg.hypergradient(patient(float(gamma)), [float(a)])
    with mpmath.workdps(40):
        exact_a, exact_gamma, h = mpmath.mpf(float(a)), mpmath.mpf(float(gamma)), mpmath.mpf(10) ** -14
        J = long_run(exact_a, exact_gamma)
        slope = (long_run(exact_a + h, exact_gamma) - long_run(exact_a - h, exact_gamma)) / (2 * h)
        off = abs(float(mpmath.mpf(float(found.gradient[0])) - slope))
    assert found.value == pytest.approx(float(J), rel=1e-13)
    assert off <= found.error_bound < 1e-6 * abs(float(slope))


@pytest.mark.parametrize("gamma", [0.9999, 0.99999])
def test_a_bump_with_a_patient_leader_is_affordable_for_every_route(gamma):
    """Steps until the state has settled, not until γ^t has died out: the reference and each witness by a rule of its own."""
    report = bg.verify(patient(gamma), [0.9], routes=["implicit", "unrolled-implicit", "complex-step"])
    assert report.ok, str(report)
    assert len(report.agreeing) == 3


def test_a_tail_that_is_forgotten_is_noticed(monkeypatch):
    """The mutant: the reference stops where the state has settled, and adds nothing; no witness shares its rule."""
    module = importlib.import_module("boltzgrad.families.lqr.adjoint")
    right = module.steps_of
    monkeypatch.setattr(module, "steps_of", lambda model, closed: (right(model, closed)[0], False))
    report = bg.verify(patient(0.99), [0.9], routes=["implicit", "unrolled-implicit", "complex-step"])
    assert {str(row.verdict) for row in report.rows[1:]} == {"disagrees"}


def test_a_lyapunov_equation_of_which_nothing_is_known_has_no_bound():
    found = lyapunov(Ball(0.5 * np.eye(2)), Ball(np.full((2, 2), np.nan), np.inf), 0.9)
    assert found.radius == np.inf
    assert lyapunov(Ball(0.5 * np.eye(2)), Ball(np.eye(2)), 0.9).radius < 1e-12


@pytest.mark.parametrize("a", [0.9, 1.7])
def test_a_tail_that_is_large_is_covered_all_the_same(a, monkeypatch):
    """Cut where terms are still a hundredth: the settled state is a poor guess then, and the bound says how poor."""
    module = importlib.import_module("boltzgrad.families.lqr.adjoint")
    exact = bg.hypergradient(patient(0.9), [a])
    usual = exact.error_bound
    monkeypatch.setattr(module, "_CUT", 1e-2)
    found = bg.hypergradient(patient(0.9), [a])
    off = float(np.abs(found.gradient - exact.gradient).max())
    assert off > 1e6 * usual
    assert off <= found.error_bound


def test_the_tail_of_a_growing_state_is_covered_by_its_scores(monkeypatch):
    module = importlib.import_module("boltzgrad.families.lqr.adjoint")
    problem = bg.LinearQuadratic(growing, dim=1)
    exact = bg.hypergradient(problem, [1.3])
    usual = exact.error_bound
    monkeypatch.setattr(module, "_CUT", 0.3)
    found = bg.hypergradient(problem, [1.3])
    off = float(np.abs(found.gradient - exact.gradient).max())
    assert off > 10.0 * usual
    assert off <= found.error_bound
    # The control: without that part, the bound would not cover it.
    monkeypatch.setattr(module, "_cut", lambda model, a, at, T, alone: alone)
    assert off > bg.hypergradient(problem, [1.3]).error_bound


@pytest.mark.parametrize("observed", [False, True])
def test_the_penalty_route_of_a_follower_that_pays_for_inputs_alone(observed):
    """Q = 0: a follower that does nothing but be noisy, and whose costs have no unit for the leader's."""

    def build(t):
        return bg.LQModel(
            0.5 * np.eye(2) * (1.0 + 0.1 * t[0]), np.ones((2, 1)), np.eye(2), np.zeros((2, 2)), anp.exp(t[1]) * np.eye(1),
            np.ones(2), leader_Q=np.eye(2), leader_R=np.eye(1), follower_discount=0.9, leader_discount=0.9,
            temperature=0.5, observed=observed,
        )  # fmt: skip

    report = bg.verify(bg.LinearQuadratic(build, dim=2), [0.3, -0.2])
    assert report.ok
    assert "penalty" in {row.route for row in report.agreeing}


@pytest.mark.parametrize("observed", [False, True])
def test_the_penalty_route_where_both_have_one_discount(observed):
    problem = bg.problems.load("random-lqr", leader_discount=0.9, observed=observed)
    report = bg.verify(problem, problem.initial_theta(seed=2), routes=["penalty", "implicit"])
    assert {row.route for row in report.agreeing} == {"penalty", "implicit"}
    other = bg.problems.load("random-lqr", leader_discount=0.8)
    (row,) = bg.verify(other, other.initial_theta(seed=2), routes=["penalty"]).rows[1:]
    assert row.verdict == Verdict.SKIPPED
