"""The reference's proved bound is a bound: held against 50-digit arithmetic, with controls that break it."""

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from autograd.scipy.special import logsumexp

import boltzgrad as bg
from boltzgrad.core.checks import untraced

# One small problem in two languages: everything depends on θ, nothing is shared but these tables.
S, A, D = 3, 2, 3
_rng = np.random.default_rng(77)
LOGIT, TILT = _rng.integers(-9, 9, (S, A, S)) / 8, _rng.integers(-9, 9, (S, A, S, D)) / 8
OTHER, LEAN = _rng.integers(-9, 9, (S, A, S)) / 8, _rng.integers(-9, 9, (S, A, S, D)) / 8
START, PUSH = _rng.integers(-9, 9, S) / 8, _rng.integers(-9, 9, (S, D)) / 8
FOLLOW, LEAD = _rng.integers(-9, 9, (2, S, A, D)) / 8
STAY = 0.75  # continuation probability where episodes may end
THETA = np.array([0.25, -0.5, 0.375])
WEIGHT = _rng.integers(1, 9, (S, A)) / 8


def float_problem(own=False, ending=False, general=False, **options):
    import autograd.numpy as anp

    def softmax(x):
        e = anp.exp(x - np.max(untraced(x).real, axis=-1, keepdims=True))
        return e / anp.sum(e, axis=-1, keepdims=True)

    def build(theta):
        return bg.TabularModel(
            (STAY if ending else 1.0) * softmax(LOGIT + anp.dot(TILT, theta)),
            softmax(START + anp.dot(PUSH, theta)),
            anp.exp(anp.dot(FOLLOW, theta)),
            anp.exp(anp.dot(LEAD, theta)),
            softmax(OTHER + anp.dot(LEAN, theta)) if own else None,
            **options,
        )

    objective = "return"
    if general:
        objective = bg.PolicyObjective(
            lambda theta, pi: anp.sum(WEIGHT * pi * pi) + anp.sum(theta**2),
            variation=lambda theta, pi, error: (np.zeros_like(theta), 2 * WEIGHT * error),
        )
    return bg.ConfigurableMDP(build, dim=D, objective=objective)


def exact_j(theta, own=False, ending=False, general=False, **options):
    """J in the working precision of mpmath, by Newton on V = TV and one linear solve."""
    mp = mpmath
    dot = lambda row: mp.fsum(mp.mpf(x) * t for x, t in zip(row, theta, strict=True))  # noqa: E731

    def softmax(logits):
        e = [mp.exp(x) for x in logits]
        return [x / mp.fsum(e) for x in e]

    def kernel(base, tilt, factor):
        return [[[factor * x for x in softmax([mp.mpf(base[s, a, t]) + dot(tilt[s, a, t]) for t in range(S)])]
                 for a in range(A)] for s in range(S)]  # fmt: skip

    world = kernel(LOGIT, TILT, mp.mpf(STAY if ending else 1))
    plan = kernel(OTHER, LEAN, mp.mpf(1)) if own else world
    rho = softmax([mp.mpf(START[s]) + dot(PUSH[s]) for s in range(S)])
    r_f = [[mp.exp(dot(FOLLOW[s, a])) for a in range(A)] for s in range(S)]
    r_l = [[mp.exp(dot(LEAD[s, a])) for a in range(A)] for s in range(S)]
    gamma, gamma_l = mp.mpf(options["follower_discount"]), mp.mpf(options["leader_discount"])
    tau = mp.mpf(options["temperature"])
    v = [mp.mpf(0)] * S
    for _ in range(100):
        q = [[r_f[s][a] + gamma * mp.fdot(plan[s][a], v) for a in range(A)] for s in range(S)]
        top = [max(row) for row in q]
        w = [[mp.exp((x - top[s]) / tau) for x in q[s]] for s in range(S)]
        pi = [[x / mp.fsum(w[s]) for x in w[s]] for s in range(S)]
        gap = mp.matrix([top[s] + tau * mp.log(mp.fsum(w[s])) - v[s] for s in range(S)])
        m = mp.matrix(S, S)
        for s in range(S):
            for t in range(S):
                m[s, t] = (s == t) - gamma * mp.fsum(pi[s][a] * plan[s][a][t] for a in range(A))
        step = mp.lu_solve(m, gap)
        v = [v[s] + step[s] for s in range(S)]
        if max(abs(x) for x in step) < mp.mpf(10) ** (6 - mp.mp.dps):
            break
    if general:
        squares = mp.fsum(mp.mpf(WEIGHT[s, a]) * pi[s][a] ** 2 for s in range(S) for a in range(A))
        return squares + mp.fsum(t**2 for t in theta)
    m = mp.matrix(S, S)
    for s in range(S):
        for t in range(S):
            m[s, t] = (s == t) - gamma_l * mp.fsum(pi[s][a] * world[s][a][t] for a in range(A))
    v_l = mp.lu_solve(m, mp.matrix([mp.fdot(pi[s], r_l[s]) for s in range(S)]))
    return mp.fdot(rho, list(v_l))


def exact_gradient(**case):
    """∇J by central differences at 80 digits with a step of 1e-25: right to about 50."""
    out = []
    with mpmath.workdps(80):
        h = mpmath.mpf(10) ** -25
        for j in range(D):
            ahead, behind = (
                [mpmath.mpf(x) + (sign * h if k == j else 0) for k, x in enumerate(THETA)] for sign in (1, -1)
            )
            out.append((exact_j(ahead, **case) - exact_j(behind, **case)) / (2 * h))
    return out


def errors(gradient, exact):
    with mpmath.workdps(50):
        return np.array([abs(float(mpmath.mpf(float(g)) - x)) for g, x in zip(gradient, exact, strict=True)])


BASE = {"follower_discount": 0.9, "leader_discount": 0.8, "temperature": 0.3}
CASES = {
    "plain": BASE,
    "own kernel": {**BASE, "own": True},
    "ending": {**BASE, "ending": True},
    "general objective": {**BASE, "general": True},
    "short-sighted, ending": {**BASE, "follower_discount": 0.0, "ending": True},
    "warm, short": {"follower_discount": 0.5, "leader_discount": 0.0, "temperature": 2.0},
    "cold": {**BASE, "temperature": 0.01},
    "very cold": {**BASE, "temperature": 1e-3, "follower_discount": 0.5},
    "patient": {**BASE, "follower_discount": 0.99, "leader_discount": 0.99},
    "patient, own kernel": {**BASE, "follower_discount": 0.99, "own": True},
}


@pytest.fixture(scope="module", params=CASES)
def solved(request):
    case = CASES[request.param]
    return bg.hypergradient(float_problem(**case), THETA), exact_gradient(**case), case


def test_every_coordinate_is_within_its_bound(solved):
    reference, exact, _ = solved
    error = errors(reference.gradient, exact)
    assert np.all(error <= reference.coordinate_bounds)
    assert reference.error_bound == reference.coordinate_bounds.max()


def test_the_bound_says_something(solved):
    """Four digits proved at γ = 0.99 for both players, seven where horizons are short."""
    reference, exact, case = solved
    scale = max(abs(float(x)) for x in exact)
    patient = max(case["follower_discount"], case["leader_discount"]) > 0.95
    assert reference.error_bound <= (1e-4 if patient else 1e-7) * scale


def test_the_sharp_estimate_is_of_the_right_size(solved):
    """Within the verdict's safety factor of the truth, and far below the proved bound."""
    reference, exact, _ = solved
    error = errors(reference.gradient, exact).max()
    assert error <= 16 * reference.error_estimate
    assert reference.error_estimate <= reference.error_bound


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("name", ["plain", "own kernel", "ending", "general objective"])
def test_a_loose_follower_is_covered_and_breaks_the_tight_bound(name, tolerance):
    """The control: with the follower stopped early the error is real; only the loose solve's own bound covers it."""
    case = CASES[name]
    problem = float_problem(**case)
    tight = bg.hypergradient(problem, THETA)
    start = bg.hypergradient(problem, THETA + 0.5)  # somewhere else, so that Newton does not land exactly
    loose = bg.hypergradient(problem, THETA, tolerance=tolerance, warm_start=start)
    error = errors(loose.gradient, exact_gradient(**case))
    assert np.all(error <= loose.coordinate_bounds)
    if loose.follower.residual > 1e-11:
        assert error.max() > tight.error_bound


def test_the_bound_breaks_for_a_wrong_gradient():
    case = CASES["plain"]
    reference = bg.hypergradient(float_problem(**case), THETA)
    wrong = bg.hypergradient(float_problem(**{**case, "leader_discount": 0.8000001}), THETA)
    assert errors(wrong.gradient, exact_gradient(**case)).max() > wrong.error_bound
    assert wrong.error_bound == pytest.approx(reference.error_bound, rel=1e-2)


def test_a_vacuous_bound_is_infinite():
    rates = {"follower_discount": 1.0, "leader_discount": 1.0, "ending": 0.01}
    problem = bg.problems.load("garnet", temperature=1e-6, **rates)
    reference = bg.hypergradient(problem, problem.initial_theta())
    assert reference.error_bound == np.inf
    assert "(vacuous)" in str(bg.verify(problem, problem.initial_theta(), routes=["covariance"]))


def test_a_bound_larger_than_the_gradient_is_called_vacuous():
    """A discount keeps it finite, by ‖(I − γP)⁻¹‖ ≤ 1/(1 − γ) alone; that of a gradient that is zero is not called so."""
    problem = bg.problems.load("garnet", temperature=1e-4, follower_discount=0.9999)
    reference = bg.hypergradient(problem, problem.initial_theta())
    assert np.abs(reference.gradient).max() < reference.error_bound < np.inf
    assert reference.vacuous
    assert "(vacuous)" in str(bg.verify(problem, problem.initial_theta(), routes=["covariance"]))
    usual = bg.problems.load("garnet")
    assert not bg.hypergradient(usual, usual.initial_theta()).vacuous
    nothing = bg.problems.load("garnet", n_actions=1)
    assert not bg.hypergradient(nothing, nothing.initial_theta()).vacuous


def test_a_general_objective_without_variation_has_no_proved_bound(make_problem):
    import autograd.numpy as anp

    problem = make_problem(objective=bg.PolicyObjective(lambda theta, pi: anp.sum(pi * pi)))
    reference = bg.hypergradient(problem, np.zeros(5))
    assert reference.error_bound == np.inf
    assert reference.error_estimate < 1e-12


def test_a_bound_is_finite_on_the_papers_own_problem():
    for kernel in ("simulator", "matrix", "as-published"):
        problem = bg.problems.load("four-rooms", kernel=kernel, temperature=0.001)
        reference = bg.hypergradient(problem, np.zeros(105))
        assert reference.error_bound < 1e-7 * np.abs(reference.gradient).max()


@pytest.mark.parametrize("gap", [10.0, 20.0, 30.0])
def test_the_bound_covers_what_a_traced_objective_rounds_off(gap):
    """f = −(logsumexp θ − θ₀): its derivative cancels in autograd, by 10³ of what the solver's rounding would explain."""
    objective = bg.problems.PolicyObjective(
        lambda t, policy: -(logsumexp(t) - t[0]) + 0.0 * anp.sum(policy),
        variation=lambda t, policy, error: (np.zeros(2), np.zeros((1, 2))),
    )

    def build(t):
        return bg.TabularModel(
            np.ones((1, 2, 1)), [1.0], anp.reshape(t, (1, 2)), np.zeros((1, 2)),
            follower_discount=0.0, leader_discount=0.0, temperature=1e3,
        )  # fmt: skip

    found = bg.hypergradient(bg.ConfigurableMDP(build, dim=2, objective=objective), [gap, 0.0])
    exact = np.exp(-gap) / (1.0 + np.exp(-gap))
    off = np.abs(found.gradient - [exact, -exact])
    assert off[0] > 1e3 * 1e-19  # it does round
    assert np.all(off <= found.coordinate_bounds)
    assert found.error_bound < 1e-12
