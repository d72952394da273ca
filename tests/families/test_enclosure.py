"""Enclosures contain the exact numbers: held against 80-digit arithmetic that shares no code with them, with controls."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import autograd
import autograd.core
import autograd.numpy as anp
import flint
import mpmath
import numpy as np
import pytest
from autograd import make_jvp
from autograd.extend import defvjp, primitive
from autograd.scipy.special import expit, logsumexp
from hypothesis import given, settings
from scipy import special

import boltzgrad as bg
from boltzgrad import errors
from boltzgrad.core import ball_trace
from boltzgrad.core.arrival import gathered, row_sums
from boltzgrad.core.balls import as_balls, floats, most, precision
from boltzgrad.families import enclosure
from boltzgrad.families.tabular import enclosure as of_tables
from boltzgrad.testing.strategies import configurable_mdps
from families.test_error_bound import CASES, THETA, exact_gradient, exact_j, float_problem
from tests_helpers import examples

X = np.array([[0.3, -1.2, 0.75], [0.1, 0.9, -0.4], [-0.6, 0.25, 1.3], [0.8, -0.15, 0.55]])
W = np.array([[1.5, 0.25, -0.5], [-1.0, 0.7, 0.2], [0.4, -0.3, 1.1], [0.6, 0.05, -0.9]])
M = np.arange(16.0).reshape(4, 4) / 7.0 - 1.0
I4 = np.eye(4)
ROWS = bg.SparsePattern(2 * np.arange(7), np.arange(12) % 3, n_states=3, n_actions=2)

OPERATIONS = {
    "arithmetic": lambda p: anp.sum(p * W - p / (2.0 + p**2) + 3.0 * p**3 - 1.0 / (p + 5.0)),
    "powers": lambda p: anp.sum((p + 2.0) ** 0.3) + anp.sum(2.0**p) + anp.sum(anp.square(p)) + anp.sum((-p) ** 2),
    "elementary": lambda p: anp.sum(anp.exp(p) + anp.log(p + 2.0) + anp.sqrt(p + 2.0) + anp.tanh(p) * anp.sin(p)),
    "more of them": lambda p: anp.sum(anp.cos(p) * anp.sinh(p) + anp.log1p(p + 1.5) * anp.expm1(p) + anp.arctan(p)),
    "absolute": lambda p: anp.sum(anp.abs(p) * W),
    "choices": lambda p: anp.sum(anp.maximum(p, 0.2) * anp.minimum(p, W)) + anp.sum(anp.clip(p, -0.5, 0.5) ** 2),
    "where": lambda p: anp.sum(anp.where(p > 0.0, p**3, anp.exp(p))),
    "max": lambda p: anp.sum(anp.max(p, axis=1) ** 2) + anp.max(p) * anp.sum(p),
    "sums": lambda p: anp.mean(p**2) + anp.sum(anp.sum(p, axis=0, keepdims=True) ** 3) + anp.prod(p[0]),
    "dot": lambda p: anp.sum(anp.dot(p.T, M) * anp.dot(W.T, p)[0, 0]) + anp.dot(anp.dot(M[0], p), W[1]),
    "matmul": lambda p: anp.sum((p.T @ M @ p) ** 2) + anp.sum((M[0] @ p) ** 2),
    "tensordot": lambda p: anp.sum(anp.tensordot(p, W, axes=([0], [0])) ** 2) + anp.sum(anp.tensordot(W, p.T, 1) ** 3),
    "einsum": lambda p: anp.sum(anp.einsum("ij,ik->jk", p, p) ** 2) + anp.sum(anp.einsum("ij,ij->i", p, W) ** 2),
    "inner": lambda p: anp.inner(p[0], p[1]) + anp.sum(anp.outer(p[0], p[1]) ** 2) + anp.trace(anp.dot(p.T, p)),
    "taking": lambda p: anp.sum(p[1:3] ** 2) + anp.sum(p[:, 0] * p[[0, 1, 1, 2], 1]) + p[0, 0] ** 2 * anp.sum(p),
    "taking once": lambda p: p[2, 1] ** 2,
    "joining": lambda p: anp.sum(anp.concatenate([p, 2 * p * p], axis=0) ** 2) + anp.sum(anp.stack([p, p**2]) ** 2),
    "moving": lambda p: anp.sum(anp.roll(p, 1, axis=0) * p[::-1]) + anp.sum(anp.ravel(p) * anp.reshape(W, -1) ** 2),
    "spreading": lambda p: (
        anp.sum(anp.repeat(p, 2, axis=0) ** 2)
        + anp.sum(anp.expand_dims(p, 0) * anp.transpose(anp.expand_dims(W, 2), (2, 0, 1))) ** 2
    ),
    "diagonals": lambda p: anp.sum(anp.diag(anp.dot(p.T, p)) ** 2) + anp.sum(anp.cumsum(p, axis=0) ** 2),
    "turning": lambda p: (
        anp.sum(anp.moveaxis(anp.expand_dims(p, 0), 0, 2)[:, :, 0] * anp.flipud(p) * anp.fliplr(W))
        + anp.sum(anp.squeeze(p[:1]) ** 2)
        + anp.sum(anp.triu(p) * anp.tril(p) * W)
        + anp.sum(anp.tan(p / 3.0))
    ),
    "made of numbers": lambda p: (
        anp.sum(anp.array([p[0, 0], 2.0 * p[1, 1], 3.0]) ** 2)
        + anp.sum(anp.diagonal(anp.dot(p.T, p), 0, -1, -2) ** 3)
        + anp.sum(anp.real(p) * anp.conj(p) * W)
    ),
    "sparse": lambda p: (
        anp.sum(row_sums(anp.ravel(p) ** 2, ROWS) ** 3) + anp.sum(gathered(anp.ravel(p), ROWS.indices, 3) ** 2)
    ),
    "solve": lambda p: (
        anp.sum(anp.linalg.solve(5.0 * I4 + anp.dot(p, p.T), W) ** 2)
        + anp.sum(anp.linalg.solve(5.0 * I4 + M * anp.sum(p), anp.sum(p, axis=1)))
    ),
    "softmax": lambda p: anp.sum(bg.softmax(p) ** 2) + anp.sum(bg.log_softmax(p) * W) + anp.sum(bg.sigmoid(p) ** 2),
    "logsumexp": lambda p: anp.sum(logsumexp(p, axis=1) ** 2) + logsumexp(p) + anp.sum(expit(p) ** 2),
    "a shift": lambda p: anp.sum(anp.log(anp.sum(anp.exp(p - anp.max(p, axis=1, keepdims=True)), axis=1))),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_and_its_derivative(name):
    """Slopes against fourth-order differences of values to 100 digits: no float is in between."""
    f = OPERATIONS[name]
    direction = np.sign(W) * np.array([1.0, 0.5, 0.25])

    def at(points, bits):
        with precision(bits):
            return ball_trace.scalar(lambda t: f(anp.reshape(t, X.shape)), points)

    with precision(400):
        value, slope = at(X.ravel(), 400)
        assert float(value.rad()) < 1e-100
        assert abs(float(value.mid()) - f(X)) < 1e-11 * (1.0 + abs(f(X)))
        assert value.overlaps(at(X.ravel(), 120)[0])

        # θ + hu in balls: as a function of h alone, whose own root is exact.
        def moved(h):
            with precision(400):
                return ball_trace.scalar(lambda t: f(X + t[0] * direction), np.array([h]))[0]

        h = 2.0**-45
        found = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * as_balls(h))
        along = (slope.reshape(X.shape) * direction).sum()
        assert abs(float((found - along).mid())) < 1e-40 * (1.0 + abs(float(along.mid())))
        assert abs(float(along.mid())) > 1e-3  # a slope there is


def test_no_rule_is_untested(monkeypatch):
    """Every name that has a rule comes up in these operations, or in a problem of the zoo."""
    seen, plain = set(), ball_trace._Enclosed.__init__

    def noted(self, value, fun, *rest):
        seen.add(fun.__name__)
        plain(self, value, fun, *rest)

    monkeypatch.setattr(ball_trace._Enclosed, "__init__", noted)
    with precision(100):
        for f in OPERATIONS.values():
            ball_trace.scalar(lambda t, f=f: f(anp.reshape(t, X.shape)), X.ravel())
    for name in ("tax-design", "mechanism-design", "finite-garnet", "reward-shaping"):
        problem = bg.problems.load(name)
        bg.enclose(problem, problem.initial_theta(seed=0), 10)
    assert {*ball_trace._PLAIN, *ball_trace._RULES} <= seen


@pytest.mark.parametrize("name", CASES)
def test_the_exact_numbers_are_inside(name):
    case = CASES[name]
    found = bg.enclose(float_problem(**case), THETA, 35)
    with mpmath.workdps(60):
        truth = exact_j([mpmath.mpf(x) for x in THETA], **case)
        assert found.value.distance(mpmath.nstr(truth, 55))[0] <= Fraction(1, 10**45) * int(1 + abs(truth))
    size = max(abs(float(x)) for x in exact_gradient(**case))
    for ball, exact in zip(found.gradient, exact_gradient(**case), strict=True):
        with mpmath.workdps(70):
            least, most_off = ball.distance(mpmath.nstr(exact, 60))
        assert least <= Fraction(1, 10**44) * Fraction(size)  # what the differences of the other side leave
        assert most_off <= Fraction(1, 10**34) * Fraction(size)
        assert ball.lower <= float(exact) <= ball.upper
        assert np.nextafter(ball.lower, np.inf) >= ball.upper


S, A, D = 3, 3, 3
_rng = np.random.default_rng(5)
TILT, BASE = _rng.integers(-8, 9, (S, A, D)) / 8, _rng.integers(-8, 9, (S, A)) / 8
MOVE = (
    np.array([[[4, 2, 1], [1, 1, 6], [2, 3, 2]], [[1, 1, 5], [2, 2, 2], [6, 1, 0]], [[1, 0, 2], [3, 3, 1], [1, 5, 1]]])
    / 8.0
)
HABIT = np.array([[0.1, 0.6, 0.3], [0.7, 0.3, 0.0], [0.2, 0.2, 0.6]])
PAID, WARM = _rng.integers(-8, 9, (S, A)) / 8, np.array([0.3, 0.7, 1.1])
AT = np.array([0.25, -0.5, 0.375])
KINDS = ["reference", "reference that moves", "mask", "temperature", "each state's", "discount", "leader", "ends"]


def general(kind):
    def build(t):
        options = {"follower_discount": 0.9, "leader_discount": 0.8, "temperature": 0.3}
        reward = BASE + anp.dot(TILT, t)
        if kind == "reference":
            options["reference"] = HABIT
        if kind == "reference that moves":
            e = HABIT * anp.exp(anp.dot(TILT, t))
            options["reference"] = e / anp.sum(e, axis=1, keepdims=True)
        if kind == "mask":
            options["available"] = HABIT > 0.15
        if kind == "temperature":
            options["temperature"] = 0.3 * anp.exp(t[0])
        if kind == "each state's":
            options["temperature"] = WARM * anp.exp(t[1])
        if kind == "discount":
            options |= {"follower_discount": 0.9 / (1.0 + anp.exp(t[0])), "leader_discount": 0.8 * anp.exp(t[1])}
        if kind == "leader":
            options |= {"leader_temperature": 0.2, "leader_reference": np.full((S, A), 1.0 / 3.0)}
        if kind == "ends":
            options |= {"follower_discount": 1.0, "leader_discount": 1.0}
        return bg.TabularModel(MOVE, [0.5, 0.25, 0.25], reward, PAID, **options)

    return bg.ConfigurableMDP(build, dim=D)


def brute_j(kind, theta):
    """What the model *means*, in mpmath: π ∝ π⁰ exp(Q/τ), swept and then Newton by secants of nothing but the definition."""
    mp = mpmath.mp
    exp, log, dot = (
        mpmath.exp,
        mpmath.log,
        lambda row: mpmath.fsum(mpmath.mpf(x) * t for x, t in zip(row, theta, strict=True)),
    )
    gamma, beta, tau = mpmath.mpf(0.9), mpmath.mpf(0.8), [mpmath.mpf(0.3)] * S
    weight = [[mpmath.mpf(1)] * A for _ in range(S)]
    if kind == "reference":
        weight = [[mpmath.mpf(x) for x in row] for row in HABIT]
    if kind == "reference that moves":
        weight = [[mpmath.mpf(HABIT[s, a]) * exp(dot(TILT[s, a])) for a in range(A)] for s in range(S)]
        weight = [[x / mpmath.fsum(row) for x in row] for row in weight]
    if kind == "mask":
        weight = [[mpmath.mpf(int(x > 0.15)) for x in row] for row in HABIT]
    if kind == "temperature":
        tau = [mpmath.mpf(0.3) * exp(theta[0])] * S
    if kind == "each state's":
        tau = [mpmath.mpf(x) * exp(theta[1]) for x in WARM]
    if kind == "discount":
        gamma, beta = mpmath.mpf(0.9) / (1 + exp(theta[0])), mpmath.mpf(0.8) * exp(theta[1])
    if kind == "ends":
        gamma = beta = mpmath.mpf(1)
    reward = [[mpmath.mpf(BASE[s, a]) + dot(TILT[s, a]) for a in range(A)] for s in range(S)]
    p = [[[mpmath.mpf(x) for x in row] for row in rows] for rows in MOVE]
    v = [mpmath.mpf(0)] * S

    def answer(v):
        q = [[reward[s][a] + gamma * mpmath.fdot(p[s][a], v) for a in range(A)] for s in range(S)]
        top = [max(row) for row in q]
        e = [[weight[s][a] * exp((q[s][a] - top[s]) / tau[s]) for a in range(A)] for s in range(S)]
        return [[x / mpmath.fsum(row) for x in row] for row in e], [
            t + c * log(mpmath.fsum(r)) for t, c, r in zip(top, tau, e, strict=True)
        ]

    def system(pi, discount, right):
        m = mpmath.matrix(S, S)
        for s, z in itertools.product(range(S), range(S)):
            m[s, z] = (s == z) - discount * mpmath.fsum(pi[s][a] * p[s][a][z] for a in range(A))
        return list(mpmath.lu_solve(m, mpmath.matrix(right)))

    for _ in range(200):
        pi, new = answer(v)
        step = system(pi, gamma, [x - y for x, y in zip(new, v, strict=True)])
        v = [x + y for x, y in zip(v, step, strict=True)]
        if max(abs(x) for x in step) < mpmath.mpf(10) ** (5 - mp.dps):
            break
    pi, _ = answer(v)
    soft = mpmath.mpf(0.2) if kind == "leader" else mpmath.mpf(0)
    paid = [
        mpmath.fsum(
            pi[s][a] * (mpmath.mpf(PAID[s, a]) - soft * log(pi[s][a] / mpmath.mpf(1.0 / 3.0)))
            for a in range(A)
            if pi[s][a]
        )
        for s in range(S)
    ]
    return mpmath.fdot([mpmath.mpf(x) for x in (0.5, 0.25, 0.25)], system(pi, beta, paid))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_given_is_meant(kind):
    """References, masks and rates: of the numbers that were given, not of τ log π⁰ as float64 rounds it."""
    found = bg.enclose(general(kind), AT, 30)
    with mpmath.workdps(80):
        h = mpmath.mpf(10) ** -20
        assert found.value.distance(mpmath.nstr(brute_j(kind, [mpmath.mpf(x) for x in AT]), 60))[0] <= Fraction(
            1, 10**50
        )
        for j, ball in enumerate(found.gradient):

            def at(k, j=j):
                return brute_j(kind, [mpmath.mpf(x) + (k * h if i == j else 0) for i, x in enumerate(AT)])

            slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
            least, most_off = ball.distance(mpmath.nstr(slope, 55))
            assert least <= Fraction(1, 10**44)
            assert most_off <= Fraction(1, 10**28)


@given(problem=configurable_mdps())
@settings(max_examples=examples(40))
def test_the_reference_is_within_its_bound_of_the_exact_gradient(problem):
    """Each proved bound, and the sharp estimate, against a proof of another kind."""
    theta = problem.initial_theta(seed=0)
    reference = bg.hypergradient(problem, theta)
    found = bg.enclose(problem, theta, 20)
    off = found.errors(reference.gradient)
    assert np.all(off <= reference.coordinate_bounds + 1e-19 * (1.0 + np.abs(reference.gradient).max()))
    assert found.value.distance(reference.value)[1] <= 1e-9 * (1.0 + reference.value_scale)
    # The control: a gradient that is off by more than its bound is not.
    wrong = (
        reference.gradient
        + 2.0 * np.where(np.isfinite(reference.coordinate_bounds), reference.coordinate_bounds, 1.0)
        + 1e-15
    )
    assert np.all(found.errors(wrong) > off)
    finite = np.isfinite(reference.coordinate_bounds)
    assert np.all((found.errors(wrong) > reference.coordinate_bounds)[finite])


@pytest.mark.parametrize("name", ["four-rooms", "garnet", "grid-world", "tax-design", "irl", "principal-agent", "toy-game",
                                  "random-game", "finite-garnet", "mechanism-design", "reward-shaping"])  # fmt: skip
def test_named_problems(name):
    problem = bg.problems.load(name)
    theta = problem.initial_theta(seed=0)
    reference, found = bg.hypergradient(problem, theta), bg.enclose(problem, theta, 20)
    off = found.errors(reference.gradient)
    assert np.all(off <= 4.0 * reference.rounding)
    assert off.max() <= reference.error_bound
    assert np.all(
        (found.lower <= found.upper) & (found.upper - found.lower <= 1e-13 * np.abs(reference.gradient).max())
    )


def test_more_digits_are_inside_of_fewer():
    problem = bg.problems.load("random-game")
    theta = problem.initial_theta(seed=1)
    few, many = bg.enclose(problem, theta, 10), bg.enclose(problem, theta, 100)
    assert many.bits > few.bits
    for one, other in zip(few.gradient, many.gradient, strict=True):
        assert Fraction(other.radius) < Fraction(one.radius) * Fraction(1, 10**50)
        assert abs(Fraction(one.midpoint) - Fraction(other.midpoint)) <= Fraction(one.radius) + Fraction(other.radius)


def test_radii_are_what_holds_the_truth(monkeypatch):
    """Newton stopped early: balls that are wide, or nothing; without their radii the exact number would be outside."""
    case = CASES["plain"]
    exact = exact_gradient(**case)
    problem = float_problem(**case)

    def gradient():
        with precision(200):
            return of_tables.enclosed(problem, THETA, 200)[1]

    monkeypatch.setattr(of_tables, "_STEPS", 1)
    monkeypatch.setattr(of_tables, "_BITS_A_STEP", 10**9)
    wide = gradient()
    assert most(wide - as_balls(floats(wide))) > 1e-40
    with mpmath.workdps(60):
        told = [enclosure._told(x, 40) for x in wide]
        assert all(ball.distance(mpmath.nstr(x, 55))[0] == 0 for ball, x in zip(told, exact, strict=True))
        monkeypatch.setattr(of_tables, "widened", lambda x, radius: x)
        narrow = [enclosure._told(x, 40) for x in gradient()]
        assert any(ball.distance(mpmath.nstr(x, 55))[0] > 0 for ball, x in zip(narrow, exact, strict=True))


RATES = {"follower_discount": 0.9, "leader_discount": 0.8, "temperature": 0.3}
P2, R2 = np.array([[0.3, 0.7], [0.9, 0.1]]), np.array([[0.1, 0.7], [0.3, -0.4]])
KERNEL = np.stack([P2, P2[::-1]], axis=1)


def table(c, t, **options):
    """Two states; `c` makes constants of numbers: as they are, or as something that θ seems to move."""
    options = {name: x if name == "leader_temperature" else c(x) for name, x in (RATES | options).items()}
    return bg.TabularModel(c(KERNEL), c(np.array([0.1, 0.9])), c(R2) + t[0] * c(P2), c(R2.T) * t[1], **options)


def several(c, t):
    models = [table(c, t), table(c, t, follower_discount=0.85, leader_discount=0.7)]
    return bg.several_followers(models, c(np.array([0.3, 0.7])))


def steps(c, t):
    options = {name: c(x) for name, x in RATES.items()}
    options |= {
        "terminal_follower_reward": c(np.array([0.7, -0.1])),
        "reference": c(np.array([[0.3, 0.7], [0.6, 0.4]])),
    }
    arrays = c(KERNEL), c(np.array([0.1, 0.9])), c(R2) + t[0] * c(P2), c(R2.T) * t[1]
    return bg.FiniteHorizonModel(*arrays, horizon=3, **options)


def lead(c):
    return bg.ValueObjective(
        lambda t, policy, value: anp.sum(value[0] * c(np.array([0.3, 0.7]))) * t[0] + anp.sum(policy**2)
    )


TWINS = {
    "rates": (lambda c, t: table(c, t), None),
    "references": (
        lambda c, t: table(c, t, reference=P2, leader_reference=P2[::-1].copy(), leader_temperature=0.5), None,
    ),
    "a temperature for each state": (lambda c, t: table(c, t, temperature=np.array([0.3, 0.7])), None),
    "several followers": (several, None),
    "rates of NumPy's own": (
        lambda c, t: bg.several_followers(
            [table(c, t, follower_discount=np.float64(0.9), leader_discount=np.float64(0.7))] * 2
        ),
        None,
    ),
    "three of equal chances": (lambda c, t: bg.several_followers([table(c, t)] * 3), None),
    "steps": (steps, None),
    "values of steps": (steps, lead),
    "arrivals": (
        lambda c, t: bg.TabularModel(
            c(KERNEL), c(np.array([0.1, 0.9])), bg.arrival_reward(c(KERNEL), c(np.array([0.7, 0.1]))) + t[0] * P2,
            bg.arrival_reward(c(KERNEL), c(np.array([0.3, 0.9]))) + t[1], **RATES,
        ), None,
    ),
    "a gradient inside": (
        lambda c, t: table(c, autograd.grad(lambda x: c(0.1) * (c(0.3) * anp.sum((x + 2.0) ** c(0.3)) / c(7.0)))(t)), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TWINS)
def test_what_is_made_of_constants_is_not_rounded(name):
    """Constants as they are, and as numbers that θ seems to move, are the same numbers: nothing in between may round them."""
    build, objective = TWINS[name]

    def plain(x):
        return x

    def at(traced):
        def made(t):
            return build((lambda x: x + 0.0 * t[0]) if traced else plain, t)

        given = {} if objective is None else {"objective": objective(plain)}
        return bg.enclose(bg.ConfigurableMDP(made, dim=2, **given), np.array([0.3, -0.7]), 30)

    one, other = at(False), at(True)
    for a, b in zip((one.value, *one.gradient), (other.value, *other.gradient), strict=True):
        assert abs(Fraction(a.midpoint) - Fraction(b.midpoint)) <= Fraction(1, 10**40)
    assert one.errors(bg.hypergradient(one.problem, one.theta).gradient).max() < 1e-13


@pytest.mark.parametrize("observes", [True, False])
def test_a_leader_whose_policy_does_not_move(observes):
    """Its products with the kernel are constants, too: as in a game in which θ seems to move it."""
    mixed = np.array([[0.3, 0.7], [0.9, 0.1]])
    kernel = np.random.default_rng(0).dirichlet(np.ones(2), size=(2, 2, 2))
    rewards = np.random.default_rng(1).normal(size=(2, 2, 2, 2))

    def game(policy):
        leader = bg.LeaderPolicy(policy, 2)
        return bg.MarkovGame(kernel, [0.3, 0.7], *rewards, policy=leader, observes=observes, **RATES)

    still, moving = game(lambda t: anp.array(mixed)), game(lambda t: mixed + 0.0 * t[0])
    one, other = (bg.enclose(x, np.zeros(2), 30).value for x in (still, moving))
    assert abs(Fraction(one.midpoint) - Fraction(other.midpoint)) <= Fraction(1, 10**40)


def balls_of_each_solve(problem, theta):
    """(V*, V_L, ν, y) in balls, as they come out of their solves."""
    reference, kept = bg.hypergradient(problem, theta), []
    (solved,) = reference.contexts
    optimum, solve = of_tables._optimum, of_tables._System.solve

    def noted(*args, **options):
        kept.append((optimum if len(args) == 6 else solve)(*args, **options))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch, precision(200):
        patch.setattr(of_tables, "_optimum", noted)
        patch.setattr(of_tables._System, "solve", noted)
        parts = [as_balls(x) for x in solved.model.arrays().parts()]
        of_tables.enclosed_context(problem, theta, solved, parts, 200)
    return kept


def test_every_solve_has_a_radius_that_holds_it(monkeypatch):
    """Each solve stopped after one step, or after none, against the same brought to rest; without their radii they miss it."""
    problem = float_problem(**CASES["plain"])
    right = balls_of_each_solve(problem, THETA)
    assert len(right) == 4
    monkeypatch.setattr(of_tables, "_BITS_A_STEP", 10**9)
    real = of_tables.widened
    for steps in (0, 1):
        monkeypatch.setattr(of_tables, "_STEPS", steps)
        monkeypatch.setattr(of_tables, "widened", real)
        wide = balls_of_each_solve(problem, THETA)
        monkeypatch.setattr(of_tables, "widened", lambda x, radius: x)
        narrow = balls_of_each_solve(problem, THETA)
        for exact, held, bare in zip(right, wide, narrow, strict=True):
            assert all(x.contains(y) for x, y in zip(held, exact, strict=True))
            assert not all(x.overlaps(y) for x, y in zip(bare, exact, strict=True))


def test_models_that_were_made_outside_are_refused():
    """τ log π⁰ was rounded when they were made."""
    outside = table(lambda x: x, np.array([0.3, -0.7]), reference=P2)
    for build in (lambda t: replace(outside, leader_reward=R2 * t[0]), lambda t: outside):
        with pytest.raises(errors.InvalidOption, match=r"a reference that was made outside"):
            bg.enclose(bg.ConfigurableMDP(build, dim=2), np.zeros(2))


@pytest.mark.parametrize(
    "power",
    [lambda t: t[0] ** np.arange(4), lambda t: (t[0] + 0.0) ** 0, lambda t: np.array([0.0, 0.3]) ** (t[1] + 2.0)],
)
def test_zero_to_a_power(power):
    problem = _own(lambda x: x + anp.sum(power(anp.array([0.0 * x, x]))))
    assert bg.enclose(problem, np.zeros(1), 30).errors(bg.hypergradient(problem, np.zeros(1)).gradient).max() < 1e-14


def test_a_gradient_that_is_exactly_zero():
    objective = bg.PolicyObjective(lambda t, policy: 0.7 * anp.sum(policy))
    problem = bg.ConfigurableMDP(lambda t: table(lambda x: x, t), dim=2, objective=objective)
    found = bg.enclose(problem, np.ones(2), 30)
    assert all(0 in ball and Fraction(ball.radius) < Fraction(1, 10**29) for ball in found.gradient)


def test_a_thousand_digits():
    found = bg.enclose(bg.ConfigurableMDP(lambda t: table(lambda x: x, t), dim=2), np.ones(2), 1000)
    assert Fraction(found.gradient[0].radius) < Fraction(1, 10**999)


def test_threads_and_failures_leave_nothing_behind():
    before = (flint.ctx.prec, autograd.core.sparse_add, autograd.core.VSpace._mut_add)
    rule = autograd.core.primitive_vjps[anp.power]
    problem = bg.ConfigurableMDP(lambda t: table(lambda x: x, t), dim=2)
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda digits: bg.enclose(problem, np.ones(2), digits).value.midpoint[:12], range(10, 22))
        )
    assert len(set(found)) == 1
    with pytest.raises(errors.InvalidOption):
        bg.enclose(_own(anp.sinc), np.ones(1))
    assert (flint.ctx.prec, autograd.core.sparse_add, autograd.core.VSpace._mut_add) == before
    assert autograd.core.primitive_vjps[anp.power] is rule


def test_a_ball():
    ball = enclosure.Ball("1.5", "0.25", 1.25, 1.75)
    assert 1.25 in ball
    assert "1.75" in ball
    assert Fraction(5, 4) in ball
    assert 1.7500001 not in ball
    assert tuple(ball) == ("1.5", "0.25")
    assert float(ball) == 1.5
    assert str(ball) == "1.5 ± 0.25"
    with pytest.raises(errors.InvalidOption, match="nan is no finite number"):
        ball.distance(float("nan"))


@primitive
def softmax(x):
    """Somebody's own, of a name that has a rule."""
    return x * 2.0


defvjp(softmax, lambda ans, x: lambda g: 2.0 * g)


BASE_OPTIONS = {"follower_discount": 0.9, "leader_discount": 0.9, "temperature": 0.5}


joint_softmax = primitive(special.softmax)
"""SciPy's, over all entries: a function of a name that has a rule, but not that rule's."""
defvjp(joint_softmax, lambda ans, x: lambda g: ans * (g - anp.sum(g * ans)))


def _failing(**options):
    return bg.ConfigurableMDP(lambda t: table(lambda x: x, t), dim=2, **options)


def _own(function):
    def build(t):
        return bg.TabularModel(
            np.full((2, 2, 2), 0.5), [0.5, 0.5], np.eye(2) * function(t[0]), np.eye(2), **BASE_OPTIONS
        )

    return bg.ConfigurableMDP(build, dim=1)


REFUSED = [
    (
        lambda: bg.enclose(bg.problems.load("random-lqr"), np.zeros(6)),
        "is for tables, finite horizons and Markov games",
    ),
    (lambda: bg.enclose(bg.problems.load("rlhf"), np.zeros(6)), "not for losses of trajectories"),
    (lambda: bg.enclose(bg.problems.load("general-garnet"), np.zeros(16)), "is of another kind"),
    (
        lambda: bg.enclose(bg.problems.load("finite-game"), np.zeros(bg.problems.load("finite-game").dim)),
        "without a horizon",
    ),
    (
        lambda: bg.enclose(bg.problems.load("toy-game"), np.zeros(6), 0),
        "digits is 0; expected an integer from 1 to 1000",
    ),
    (lambda: bg.enclose(bg.problems.load("toy-game"), np.zeros(6), 2.5), r"digits is 2\.5"),
    (lambda: bg.enclose(bg.problems.load("grid-world", size=40), np.zeros(64)), "1600 states"),
    (lambda: bg.enclose(_own(softmax), np.zeros(1)), "no ball arithmetic for softmax"),
    (lambda: bg.enclose(_own(anp.sinc), np.ones(1)), "no ball arithmetic for sinc"),
    (lambda: bg.enclose(_own(lambda x: joint_softmax(x + np.eye(2))), np.ones(1)), "no ball arithmetic for softmax"),
    (
        lambda: bg.enclose(_own(lambda x: make_jvp(anp.tanh)(x)(1.0)[1]), np.ones(1)),
        "forward derivatives inside of build",
    ),
    (
        lambda: bg.enclose(
            _failing(regulariser=bg.Regulariser(lambda t: float(np.sum(t**2)), lambda t: 2 * t)), np.ones(2)
        ),
        "a scalar for what is one",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_misuse(call, words):
    with pytest.raises(errors.InvalidOption, match=words):
        call()


def test_errors_are_of_a_gradient_of_the_same_shape():
    found = bg.enclose(bg.problems.load("toy-game"), np.zeros(6), 10)
    with pytest.raises(errors.InvalidOption, match=r"gradient has shape \(5,\), expected \(6,\)"):
        found.errors(np.zeros(5))
    with pytest.raises(errors.InvalidOption, match="no finite number"):
        found.errors(np.full(6, np.nan))
    assert "10 digits" in str(found)


def test_without_python_flint(monkeypatch):
    from boltzgrad.core import balls

    monkeypatch.setattr(balls, "flint", None)
    with pytest.raises(errors.MissingExtra, match=r"boltzgrad\[rigorous\]"):
        bg.enclose(bg.problems.load("toy-game"), np.zeros(6))
