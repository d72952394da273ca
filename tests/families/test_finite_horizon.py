"""Followers with a finite horizon: against brute force, other routes, high precision and the infinite horizon."""

import dataclasses
import functools
import itertools
import json

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import boltzgrad as bg
from boltzgrad.families.horizon import mistakes
from boltzgrad.families.horizon.adjoint import solve
from boltzgrad.families.horizon.family import HORIZON
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.solvers.entrywise import BallArithmetic
from boltzgrad.testing import assert_follower, assert_hypergradient, bundles, check_hypergradient
from boltzgrad.testing import strategies as bst
from boltzgrad.verify.tolerances import Verdict
from tests_helpers import slow

H, S, A, D = 4, 3, 2, 5
RNG = np.random.default_rng(5)
LOGITS, TILT = RNG.normal(size=(H, S, A, S)), 0.3 * RNG.normal(size=(S, A, S, D))
REWARD, DRIFT = RNG.normal(size=(S, A, D)), RNG.normal(size=(H, S, A))
STARTS, LAST, HABIT = RNG.normal(size=(S, D)), RNG.normal(size=S), RNG.normal(size=(S, A, D))


def everything_moves(theta):
    return bg.FiniteHorizonModel(
        bg.softmax(LOGITS + anp.dot(TILT, theta)),
        bg.softmax(anp.dot(STARTS, theta)),
        anp.dot(REWARD, theta),
        DRIFT + anp.sin(theta[0]),
        horizon=H,
        follower_discount=bg.sigmoid(theta[1]),
        leader_discount=1.0,
        temperature=anp.exp(0.1 * theta[2]) * np.array([1.0, 0.5, 2.0]),
        terminal_follower_reward=LAST * theta[0],
        terminal_leader_reward=LAST + anp.dot(STARTS, theta),
        reference=bg.softmax(anp.dot(HABIT, theta)),
        leader_temperature=0.1 + theta[3] ** 2,
        leader_reference=bg.softmax(anp.dot(HABIT[::-1], theta)),
    )


PROBLEM = bg.ConfigurableMDP(everything_moves, dim=D)
THETA = PROBLEM.initial_theta(seed=1)


def plain(m):
    """A model's numbers without its class, each with a step."""

    def each(x):
        return x if x.ndim == 3 else np.stack([x] * m.horizon)

    kernel = m.transition if m.transition.ndim == 4 else np.stack([m.transition] * m.horizon)
    tau = np.broadcast_to(m.temperature, m.n_states)
    return kernel, each(m.follower_reward), each(m.leader_reward), each(m.log_reference), tau


def by_trajectories(m):
    """J by adding up every trajectory, under policies from a recursion over plain Python numbers."""
    kernel, r_f, r_l, habit, tau = plain(m)
    v, policies = list(m.terminal_follower_reward), []
    for t in reversed(range(m.horizon)):
        odds = [
            [
                np.exp(habit[t, s, a] + (r_f[t, s, a] + m.follower_discount * (kernel[t, s, a] @ v)) / tau[s])
                for a in range(m.n_actions)
            ]
            for s in range(m.n_states)
        ]
        policies.insert(0, [[o / sum(row) for o in row] for row in odds])
        v = [tau[s] * np.log(sum(odds[s])) for s in range(m.n_states)]
    beside = m.log_leader_reference if m.log_leader_reference.ndim == 3 else [m.log_leader_reference] * m.horizon
    total = 0.0
    for states in itertools.product(range(m.n_states), repeat=m.horizon + 1):
        for actions in itertools.product(range(m.n_actions), repeat=m.horizon):
            chance, pay = m.initial[states[0]], m.leader_discount**m.horizon * m.terminal_leader_reward[states[-1]]
            for t, (s, a) in enumerate(zip(states[:-1], actions, strict=True)):
                chance *= policies[t][s][a] * kernel[t, s, a, states[t + 1]]
                over = np.log(policies[t][s][a]) - beside[t][s][a]
                pay += m.leader_discount**t * (r_l[t, s, a] - m.leader_temperature * over)
            total += chance * pay
    return total


def test_the_value_is_the_sum_over_all_trajectories():
    m = PROBLEM.model(THETA)
    assert bg.hypergradient(PROBLEM, THETA).value == pytest.approx(by_trajectories(m), rel=1e-13)


def test_the_gradient_is_the_slope_of_that_sum():
    reference = bg.hypergradient(PROBLEM, THETA)
    h = 1e-5
    for j, e in enumerate(np.eye(D)):
        up, down = (by_trajectories(PROBLEM.model(THETA + sign * h * e)) for sign in (1, -1))
        assert reference.gradient[j] == pytest.approx((up - down) / (2 * h), rel=1e-7, abs=1e-8)


def test_every_cotangent_is_a_derivative():
    """∂J/∂(each array that was given), by differences of J in that array alone."""
    m = PROBLEM.model(THETA)
    cotangent = bg.hypergradient(PROBLEM, THETA).cotangent
    assert {"temperature", "follower_discount", "leader_discount", "leader_temperature", "log_reference"} <= set(
        vars(cotangent)
    )
    for name, x in m.arrays().named():
        worth = getattr(cotangent, name)
        assert np.shape(worth) == np.shape(x)
        if name in ("transition", "initial", "leader_discount"):
            continue  # moved off the simplex below
        u, h = RNG.normal(size=np.shape(x)), 1e-6
        moved = [solve(m.with_arrays(dataclasses.replace(m.arrays(), **{name: x + s * h * u}))).value for s in (1, -1)]
        assert np.sum(worth * u) == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-6), name
    for name in ("transition", "initial"):
        x = getattr(m, name)
        toward = np.full_like(x, 1.0 / S)
        moved = [
            solve(m.with_arrays(dataclasses.replace(m.arrays(), **{name: x + h * (toward - x)}))).value
            for h in (0.0, 1e-6)
        ]
        assert np.sum(getattr(cotangent, name) * (toward - x)) == pytest.approx((moved[1] - moved[0]) / 1e-6, rel=1e-4)


def test_the_follower_is_given_step_by_step():
    reference = bg.hypergradient(PROBLEM, THETA)
    assert reference.follower.policy.shape == (H, S, A)
    assert reference.follower.value.shape == reference.leader.value.shape == (H + 1, S)
    assert reference.leader.occupancy[0] @ np.ones(S) == pytest.approx(1.0)
    assert reference.leader.expected_return == reference.value
    assert f"{H} steps × {S} states × {A} actions" in reference.size


ALL_BUT_CONIC = [r.name for r in HORIZON.routes if r.name != "expanded-conic"]  # a second each


@pytest.mark.parametrize(("count", "routes"), [(15, ALL_BUT_CONIC), slow(100, ALL_BUT_CONIC), slow(20, None)])
def test_witnesses_agree_on_random_problems(count, routes):
    @settings(max_examples=count)
    @given(bst.problems_at(bst.finite_horizon_mdps()))
    def check(case):
        agree(*case, routes)

    check()


def agree(problem, theta, routes):
    report = bg.verify(problem, theta, routes=routes)
    assert not report.against, str(report)
    apart = ["expanded-conic", "expanded-hessian"]  # the first cannot tell where J is zero
    reference = report.reference
    if np.abs(reference.gradient * reference.units).max() < 1e-8 * reference.value_scale:
        apart.append("differences")  # of values that hardly differ
    said = {r.verdict for r in report.rows[1:] if r.route not in apart}
    told = {
        r.verdict for r in report.rows if r.route == "expanded-hessian"
    }  # which divides by the root of a probability
    assert told <= {Verdict.AGREES, Verdict.ZERO, Verdict.SKIPPED, Verdict.CANNOT_TELL, Verdict.UNFINISHED}, str(report)
    assert said <= {Verdict.AGREES, Verdict.ZERO, Verdict.SKIPPED}, str(report)
    scale = float(np.abs(report.reference.term_sizes).max())
    for row in report.rows[1:]:
        assert row.route != "complex-step" or row.difference <= 1e-11 * scale + 1e-15
    own_function = problem.objective != "return"  # has no `variation`, and so no bound
    assert own_function or np.isfinite(report.reference.error_bound)


class Dual:
    """A number to fifty digits with its derivative."""

    def __init__(self, x, dx=0):
        self.x, self.dx = mpmath.mpf(x), mpmath.mpf(dx)

    def __add__(self, y):
        return Dual(self.x + y.x, self.dx + y.dx)

    def __sub__(self, y):
        return Dual(self.x - y.x, self.dx - y.dx)

    def __mul__(self, y):
        return Dual(self.x * y.x, self.x * y.dx + self.dx * y.x)

    def __truediv__(self, y):
        return Dual(self.x / y.x, (self.dx * y.x - self.x * y.dx) / y.x**2)

    def exp(self):
        return Dual(mpmath.exp(self.x), mpmath.exp(self.x) * self.dx)

    def log(self):
        return Dual(mpmath.log(self.x), self.dx / self.x)


def total(xs):
    return functools.reduce(Dual.__add__, xs, Dual(0))


def fifty_digits(m, column):
    """∂J along one column of the model's arrays, to fifty digits: the definitions of both players, pushed forward."""
    mpmath.mp.dps, (H, S, A) = 50, (m.horizon, m.n_states, m.n_actions)

    def entry(name, *at):
        x, dx = (np.asarray(getattr(where, name)) for where in (m, column))
        at = at if x.ndim == len(at) else at[1:]  # the same at every step
        return Dual(float(x[at]), float(dx[at]))

    def chance(name, t, s, a, z):
        pattern = m.patterns[name == "follower_transition"]
        if pattern is None:
            return entry(name, t, s, a, z)
        row = slice(*pattern.indptr[s * A + a : s * A + a + 2])
        found = np.flatnonzero(pattern.indices[row] == z)
        return entry(name, t, row.start + found[0]) if found.size else Dual(0)

    def there(t, s, a):
        return m.available is None or (m.available if m.available.ndim == 2 else m.available[t])[s, a]

    own = "follower_transition" if m.own_kernel else "transition"
    gamma, patience, price = (entry(n) for n in ("follower_discount", "leader_discount", "leader_temperature"))
    v, u = ([entry(f"terminal_{who}_reward", s) for s in range(S)] for who in ("follower", "leader"))
    for t in reversed(range(H)):
        v_next, u_next = [], []
        for s in range(S):
            actions = [a for a in range(A) if there(t, s, a)]
            tau = entry("temperature", s) if np.ndim(m.temperature) else entry("temperature")
            odds, pays = {}, []
            for a in actions:
                ahead = total(chance(own, t, s, a, z) * v[z] for z in range(S))
                q = entry("follower_reward", t, s, a) + gamma * ahead
                odds[a] = (q / tau + entry("log_reference", t, s, a)).exp()
            whole = total(odds.values())
            for a in actions:
                taken = odds[a] / whole
                over = taken.log() - entry("log_leader_reference", t, s, a)
                ahead = total(chance("transition", t, s, a, z) * u[z] for z in range(S))
                pays.append(taken * (entry("leader_reward", t, s, a) - price * over + patience * ahead))
            v_next.append(tau * whole.log())
            u_next.append(total(pays))
        v, u = v_next, u_next
    return total(entry("initial", s) * u[s] for s in range(S)).dx


def held(problem, theta):
    """Whether every entry's error is within its proved bound; the largest share of its bound that an error takes."""
    reference, at = bg.hypergradient(problem, theta), problem.linearise(theta)
    m = at.model.models[0]
    share = 0.0
    for j, column in enumerate(at.columns()):
        error = abs(mpmath.mpf(float(reference.gradient[j])) - fifty_digits(m, column.models[0]))
        assert error <= reference.coordinate_bounds[j]
        share = max(share, float(error / reference.coordinate_bounds[j])) if error else share
    return share


@pytest.mark.parametrize("tau", [1.0, 0.05, 3e-3])
def test_the_proved_bound_holds_against_fifty_digits(tau):
    rewards, moves = RNG.normal(size=(2, S, A, 3)), np.eye(S)[np.array([[1, 2], [0, 2], [2, 1]])]

    def build(theta):
        return bg.FiniteHorizonModel(
            moves, np.eye(S)[0], anp.dot(rewards[0], theta), anp.dot(rewards[1], theta), horizon=5,
            follower_discount=0.75, leader_discount=1.0, temperature=tau, leader_temperature=0.5,
            terminal_follower_reward=LAST,
        )  # fmt: skip

    problem, theta = bg.ConfigurableMDP(build, dim=3, entry_error=0.0), np.array([0.5, -1.25, 0.75])
    assert 0.0 < held(problem, theta) < 1.0
    reference = bg.hypergradient(problem, theta)
    assert (reference.coordinate_bounds < 1e-6 * np.maximum(1.0, np.abs(reference.gradient))).all()


@pytest.mark.parametrize("count", [8, slow(150)])
def test_the_proved_bound_holds_on_random_problems(count):
    @settings(max_examples=count)
    @given(bst.problems_at(bst.finite_horizon_mdps(general=False, max_states=2, max_horizon=3)))
    def check(case):
        problem, theta = case
        problem.entry_error = 0.0
        held(problem, theta)

    check()


def test_a_long_horizon_is_the_infinite_one():
    world, f, g = RNG.dirichlet(np.ones(S), (S, A)), RNG.normal(size=(S, A, 2)), RNG.normal(size=(S, A))

    def forever(theta):
        return bg.TabularModel(
            world, np.eye(S)[0], anp.dot(f, theta), g, follower_discount=0.5, leader_discount=0.4, temperature=0.7
        )

    def long(theta):
        return bg.FiniteHorizonModel(
            world, np.eye(S)[0], anp.dot(f, theta), g,
            horizon=70, follower_discount=0.5, leader_discount=0.4, temperature=0.7,
        )  # fmt: skip

    theta = np.array([0.3, -0.8])
    one, other = (bg.hypergradient(bg.ConfigurableMDP(build, dim=2), theta) for build in (forever, long))
    assert other.value == pytest.approx(one.value, rel=1e-14)
    np.testing.assert_allclose(other.gradient, one.gradient, rtol=1e-12)


@pytest.mark.parametrize("stored", ["csr", "list of csr"])
def test_sparse_kernels_are_the_dense_ones(stored):
    p = RNG.dirichlet(np.ones(S), (H, S, A)) * (RNG.uniform(size=(H, S, A, S)) < 0.6)
    given_ = p[0] if stored == "csr" else p
    as_sparse = [sparse.csr_matrix(x.reshape(S * A, S)) for x in p]

    def build(kernel):
        return lambda theta: bg.FiniteHorizonModel(
            kernel, np.eye(S)[1], anp.dot(REWARD, theta), DRIFT, horizon=H,
            follower_discount=0.9, leader_discount=1.0, temperature=0.4,
        )  # fmt: skip

    dense = bg.hypergradient(bg.ConfigurableMDP(build(given_), dim=D), THETA)
    found = bg.hypergradient(bg.ConfigurableMDP(build(as_sparse[0] if stored == "csr" else as_sparse), dim=D), THETA)
    np.testing.assert_allclose(found.gradient, dense.gradient, rtol=1e-13, atol=1e-15)


def test_a_mask_and_a_reference_with_zeros_are_one():
    mask = np.array([[True, True], [True, False], [False, True]])

    def build(**options):
        return lambda theta: bg.FiniteHorizonModel(
            np.full((S, A, S), 1 / S), np.full(S, 1 / S), anp.dot(REWARD, theta), DRIFT,
            horizon=H, follower_discount=1.0, leader_discount=1.0, temperature=0.4, **options,
        )  # fmt: skip

    counts = mask / mask.sum(axis=1, keepdims=True)
    for options in ({"available": mask}, {"reference": counts}):
        problem = bg.ConfigurableMDP(build(**options), dim=D)
        bg.verify(problem, THETA).raise_if_disagree()
        assert (bg.hypergradient(problem, THETA).follower.policy[:, ~mask] == 0.0).all()


def test_contexts_and_objectives():
    weights = RNG.uniform(size=(H, S, A))

    def build(theta):
        return bg.ContextualModel([everything_moves(theta), everything_moves(theta[::-1])], bg.softmax(theta[:2]))

    bg.verify(bg.ConfigurableMDP(build, dim=D), THETA).raise_if_disagree()
    seen = bg.ConfigurableMDP(everything_moves, dim=D, objective=bg.LogLikelihood(weights))
    report = bg.verify(seen, THETA)
    report.raise_if_disagree()
    assert np.isfinite(report.reference.error_bound)
    assert report.reference.leader is None


def test_mixed_kinds_are_refused():
    forever = bg.TabularModel(
        np.full((S, A, S), 1 / S), np.full(S, 1 / S), DRIFT[0], DRIFT[1],
        follower_discount=0.5, leader_discount=0.5, temperature=1.0,
    )  # fmt: skip
    with pytest.raises(bg.errors.InvalidModel, match=r"models\[1\] is a TabularModel and models\[0\] a FiniteHorizon"):
        bg.ContextualModel([everything_moves(THETA), forever], [0.5, 0.5])


def by_hand():
    """Rewards linear in θ, in plain NumPy, both derivatives by hand."""
    like = FiniteHorizonModel(
        np.full((S, A, S), 1 / S), np.full(S, 1 / S), REWARD[..., 0], DRIFT, horizon=H,
        follower_discount=0.9, leader_discount=1.0, temperature=0.4,
    )  # fmt: skip

    def build(theta):
        return dataclasses.replace(like, follower_reward=np.einsum("sad,d->sa", REWARD, theta))

    def pushforward(theta, direction):
        still = like.arrays().scaled(0.0)
        return dataclasses.replace(still, follower_reward=REWARD @ direction)

    return bg.ConfigurableMDP(
        build, dim=D, pushforward=pushforward, pullback=lambda t, c: np.einsum("sad,sa->d", REWARD, c.follower_reward)
    )


def test_derivatives_by_hand():
    problem = by_hand()
    report = bg.verify(problem, THETA)
    report.raise_if_disagree()
    assert {row.route for row in report.agreeing} == {"complex-step", "differences"}
    assert "this problem has its own" in str(report)
    check = check_hypergradient(2.0 * report.reference.gradient, problem, THETA)  # the recogniser has no second half
    assert check.verdict == Verdict.DISAGREES
    off = bg.ConfigurableMDP(
        problem.build, dim=D, pushforward=problem._pushforward, pullback=lambda t, c: 1.01 * problem._pullback(t, c)
    )
    assert not bg.verify(off, THETA).model.ok


def test_the_judge_names_its_mistakes():
    problem = bg.problems.load("finite-garnet")
    theta = problem.initial_theta(seed=1)
    assert_hypergradient(bg.hypergradient(problem, theta).gradient, problem, theta)
    for words, wrong in (
        ("t off by one", "NextStepsSlope"),
        ("stationary where it moves", "StationaryPolicy"),
        ("terminal reward forgotten", "LeadersEndForgotten"),
    ):
        check = check_hypergradient(getattr(mistakes, wrong)(problem, theta).gradient(), problem, theta)
        assert check.verdict == Verdict.DISAGREES
        assert words in str(check)


def test_the_follower_is_judged_with_its_own_mistakes():
    policy = bg.hypergradient(PROBLEM, THETA).follower.policy
    assert_follower({"policy": policy}, PROBLEM, THETA)
    with pytest.raises(AssertionError, match="first step's policy at every step"):
        assert_follower({"policy": np.broadcast_to(policy[0], policy.shape).copy()}, PROBLEM, THETA)


def test_a_bundle_is_made_into_the_problem_again(tmp_path):
    problem = bg.problems.load("finite-garnet", horizon=3, n_states=4, n_parameters=6)
    problem.recipe = None
    theta = problem.initial_theta(seed=1)
    right = bg.hypergradient(problem, theta).gradient
    folder = bundles.export(problem, theta, tmp_path / "bundle")
    assert bundles.check(folder, right).ok
    assert not bundles.check(folder, 1.001 * right).ok
    assert json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["constants"]["horizons"] == [3]
    assert "V_{t+1}" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"horizon": 0}, "horizon is 0; expected a positive integer"),
        ({"follower_reward": np.zeros((H + 1, S, A))}, r"follower_reward has shape \(5, 3, 2\), expected"),
        ({"transition": np.zeros((H - 1, S, A, S))}, r"transition has shape \(3, 3, 2, 3\), expected"),
        ({"transition": np.full((S, A, S), 0.5)}, r"transition\[0, 0\] sums to 1.5"),
        ({"follower_discount": 1.1}, r"follower_discount is 1.1; it must lie in \[0, 1\]"),
        ({"temperature": np.array([1.0, 0.0, 1.0])}, r"temperature\[1\] is 0; it must be positive"),
        ({"temperature": np.ones(2)}, r"temperature has shape \(2,\), expected a number, or \(3,\)"),
        ({"terminal_leader_reward": np.ones(2)}, r"terminal_leader_reward has shape \(2,\), expected \(3,\)"),
        ({"reference": np.ones((S, A))}, r"reference\[0\] sums to 2"),
        ({"available": np.zeros((S, A), bool)}, r"available\[0\] is false throughout"),
        ({"transition": None}, "transition is None; expected an array"),
        (
            {"reference": np.full((S, A), 0.5), "available": np.array([[True, False], [True, True], [True, True]])},
            r"reference\[0, 1\] is 0.5, but available\[0, 1\] is false",
        ),
        ({"available": [[True, False], [True]]}, "available is not an array of booleans"),
        ({"leader_temperature": -1.0}, "leader_temperature is -1.0; it must be at least 0"),
        ({"leader_reference": np.array([[1.0, 0.0]] * S)}, "leader_reference is 0 where the follower may act"),
    ],
)
def test_bad_numbers_are_named(changes, words):
    good = {
        "transition": np.full((S, A, S), 1 / S), "initial": np.full(S, 1 / S), "follower_reward": DRIFT,
        "leader_reward": DRIFT[0], "horizon": H, "follower_discount": 0.9, "leader_discount": 1.0, "temperature": 1.0,
    }  # fmt: skip
    bg.FiniteHorizonModel(**good)
    with pytest.raises(bg.errors.InvalidModel, match=words):
        bg.FiniteHorizonModel(**good | changes)


def small(theta, **changes):
    """Two states, two actions, three steps."""
    given_ = {
        "transition": np.full((2, 2, 2), 0.5), "initial": [0.5, 0.5], "follower_reward": np.eye(2) * theta[0],
        "leader_reward": np.eye(2) * theta[1], "horizon": 3, "follower_discount": 0.9, "leader_discount": 1.0,
        "temperature": 0.5,
    }  # fmt: skip
    return bg.FiniteHorizonModel(**given_ | changes)


def test_a_replaced_model_is_the_one_made_so_at_once():
    """Traced or not, `dataclasses.replace` forgets nothing that was given and keeps nothing that was not."""
    mask = np.array([[True, True], [False, True]])

    def reference(theta):
        free = bg.softmax(anp.reshape(theta[[0, 1, 1, 0]], (2, 2)) + np.where(mask, 0.0, -1e3))
        return anp.where(mask, free, 0.0)

    leaders = np.array([[0.3, 0.7], [0.5, 0.5]])
    theta = np.array([0.4, -0.9])
    for changes in ({"available": mask}, {"leader_reference": leaders, "leader_temperature": 0.5}):
        at_once = bg.ConfigurableMDP(lambda t, c=changes: small(t, reference=reference(t), **c), dim=2)
        later = bg.ConfigurableMDP(
            lambda t, c=changes: dataclasses.replace(small(t, reference=reference(t)), **c), dim=2
        )
        np.testing.assert_array_equal(
            bg.hypergradient(later, theta).gradient, bg.hypergradient(at_once, theta).gradient
        )
    with_zeros = small(theta, reference=np.array([[1.0, 0.0], [0.5, 0.5]]))
    for other in (None, np.full((2, 2), 0.5)):
        assert dataclasses.replace(with_zeros, reference=other).mask is None
    for name, x in (("reference", np.full((3, 2, 2), 0.5)), ("available", np.ones((3, 2, 2), bool))):
        with pytest.raises(
            bg.errors.InvalidModel, match=rf"{name} has shape \(3, 2, 2\), expected \(2, 2\) or \(5, 2, 2\)"
        ):
            dataclasses.replace(small(theta, **{name: x}), horizon=5)


def test_a_price_that_is_zero_here_is_felt():
    """τ_L(θ) = 0: J is linear in it, and every route that follows θ sees the slope."""

    def build(theta):
        return small(theta[::-1], leader_temperature=theta[0])

    report = bg.verify(bg.ConfigurableMDP(build, dim=2), np.array([0.0, 0.5]))
    report.raise_if_disagree()
    assert {"unrolled", "complex-step"} <= {row.route for row in report.agreeing}
    squared = bg.ConfigurableMDP(lambda theta: small(theta[::-1], leader_temperature=theta[0] ** 2), dim=2)
    assert "complex-step" in {row.route for row in bg.verify(squared, np.array([0.0, 0.5])).agreeing}


def test_contexts_of_unlike_horizons():
    def build(theta):
        return bg.ContextualModel([small(theta), small(theta, horizon=2)], [0.5, 0.5])

    general = bg.PolicyObjective(lambda theta, policy: anp.sum(policy**2) + theta[0])
    report = bg.verify(bg.ConfigurableMDP(build, dim=2, objective=general), np.array([0.4, 1.0]))
    report.raise_if_disagree()
    assert {"expanded-covariance", "expanded-penalty", "expanded-hessian"} <= {row.route for row in report.agreeing}


def test_an_objective_is_shaped_where_it_is_asked_for():
    """Not at a starting point where there is no model."""
    general = bg.PolicyObjective(lambda theta, policy: anp.sum(policy[0] ** 2) + theta[0])
    problem = bg.ConfigurableMDP(lambda t: small(t[[1, 0]], temperature=t[0] - 5.0), dim=2, objective=general)
    report = bg.verify(problem, np.array([5.3, 0.5]))
    report.raise_if_disagree()
    assert "expanded-covariance" in {row.route for row in report.agreeing}


def test_a_copy_with_another_reference_has_that_one():
    m = everything_moves(THETA)
    other = dataclasses.replace(m, reference=np.full((S, A), 0.5))
    np.testing.assert_allclose(other.log_reference, np.log(0.5))
    assert m.later(2, np.eye(S)[0]).horizon == H - 2


def test_estimators_sample_it_on_step_and_state():
    problem = bg.problems.load(
        "finite-garnet", horizon=3, n_states=4, n_parameters=6, leader_temperature=0.0, leader_discount=0.9
    )
    method = bg.estimators.BCHG(sampling=bg.estimators.Sampling(episodes=50, horizon=3))
    assert bg.check_estimator(method, problem, problem.initial_theta(seed=1), n_batches=60, seed=0).ok


def test_what_is_not_for_it_says_so():
    with pytest.raises(bg.errors.InvalidOption, match="undiscounted"):
        bg.check_estimator(
            bg.estimators.BCHG(),
            bg.problems.load("finite-garnet", leader_temperature=0.0),
            np.zeros(24),
            n_batches=20,
            seed=0,
        )
    with pytest.raises(bg.errors.InvalidOption, match="the penalty method is for"):
        bg.penalty_gradient(PROBLEM, THETA, weight=2.0)
    with pytest.raises(bg.errors.InvalidOption, match="samples the leader's reward r_L alone"):
        bg.check_estimator(bg.estimators.BCHG(), PROBLEM, THETA, n_batches=20, seed=0)
    patient = bg.ConfigurableMDP(lambda t: dataclasses.replace(everything_moves(t), leader_temperature=0.0), dim=D)
    with pytest.raises(bg.errors.InvalidOption, match="each state has a temperature of its own"):
        bg.check_estimator(bg.estimators.BCHG(), patient, THETA, n_batches=20, seed=0)
    seen = bg.ConfigurableMDP(everything_moves, dim=D, objective=bg.LogLikelihood(np.ones((H, S, A))))
    with pytest.raises(bg.errors.InvalidOption, match="finite horizon"):
        bg.check_estimator(bg.estimators.MSoBiRL(), seen, THETA, n_batches=20, seed=0)


@pytest.mark.filterwarnings("ignore::boltzgrad.errors.SuspiciousModel")
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_balls_hold_what_perturbed_models_give(seed):
    """Entries moved by a relative ε, at random: every cotangent stays inside its ball."""
    rng, eps = np.random.default_rng(seed), 1e-7
    m = PROBLEM.model(THETA)
    balls = solve(m, BallArithmetic(eps))
    chances = ("transition", "initial", "leader_discount")
    moved = {
        name: x * (1.0 + (-eps * rng.uniform(size=x.shape) if name in chances else eps * rng.uniform(-1, 1, x.shape)))
        for name, x in m.arrays().named()
    }
    moved["initial"] = m.initial
    other = solve(m.with_arrays(m.arrays().of(tuple(moved.values()))))
    for (name, ball), exact in zip(balls.arrays.named(), other.arrays.parts(), strict=True):
        assert (np.abs(ball.mid - exact) <= ball.rad + 1e-13 * np.abs(exact)).all(), name
