"""Right gradients at the edges: told, or "cannot tell"; never contradicted, never a kink, and not for ever."""

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from autograd.scipy.special import logsumexp

import boltzgrad as bg
from boltzgrad.core.sweep import sweep
from boltzgrad.errors import Unfinished
from boltzgrad.families.tabular import unrolled as unrolled_module
from boltzgrad.families.tabular.differences import TabularEvaluator
from boltzgrad.families.tabular.sweeps import soft_values
from boltzgrad.families.tabular.unrolled import unrolled_implicit
from boltzgrad.testing import check_hypergradient
from boltzgrad.verify.tolerances import Verdict
from scaled import shifted, two_states
from tests_helpers import benchmark

GOAL = np.array([[0.0, 0.0], [1.0, 1.0]])


def of(transition, initial, follower_reward, leader_reward, discount, temperature, dim):
    return bg.ConfigurableMDP(
        lambda t: bg.TabularModel(
            transition, initial, follower_reward(t), leader_reward,
            follower_discount=discount, leader_discount=discount, temperature=temperature,
        ), dim=dim,
    )  # fmt: skip


def grid(discount, temperature, seed):
    """4 × 4, deterministic moves, random rewards, θ on every pair."""
    rng, moves = np.random.default_rng(seed), np.zeros((16, 4, 16))
    for s in range(16):
        x, y = divmod(s, 4)
        for a, (dx, dy) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            moves[s, a, min(max(x + dx, 0), 3) * 4 + min(max(y + dy, 0), 3)] = 1.0
    leader, base = rng.standard_normal((2, 16, 4))
    theta = 0.1 * rng.standard_normal(64)
    reward = lambda t: base + anp.reshape(t, (16, 4))  # noqa: E731
    return of(moves, np.ones(16) / 16, reward, leader, discount, temperature, 64), theta


def ending(discount, end, states=3):
    """A cycle of which every step ends with probability `end`."""
    moves = np.zeros((states, 2, states))
    for s in range(states):
        moves[s, 0, (s + 1) % states] = moves[s, 1, s] = 1.0 - end
    leader, start = np.arange(2.0 * states).reshape(states, 2), np.eye(states)[0]
    reward = lambda t: anp.reshape(t, (states, 2))  # noqa: E731
    return of(moves, start, reward, leader, discount, 0.5, 2 * states), np.linspace(-0.3, 0.4, 2 * states)


def unhurt(report):
    return not report.against and all(row.verdict != Verdict.FAILED for row in report.rows)


@pytest.mark.parametrize(("discount", "temperature"), [(0.999, 0.1), (0.995, 0.05), (0.9999, 0.1)])
@pytest.mark.parametrize("seed", [0, 1])
def test_small_grids_with_long_horizons(discount, temperature, seed):
    problem, theta = grid(discount, temperature, seed)
    report = bg.verify(problem, theta, routes=["covariance", "implicit", "unrolled-implicit", "conic", "differences"])
    assert unhurt(report), str(report)
    assert report.ok, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("discount", [0.9999, 0.999999])
def test_every_route_has_an_affordable_way_or_says_why_not(discount):
    problem, theta = grid(discount, 0.1, 0)
    assert unhurt(bg.verify(problem, theta))


@pytest.mark.parametrize("constant", [3e4, -1e6, 1e7])
def test_a_constant_in_the_reward_is_no_kink(constant):
    problem, theta = two_states()
    report = bg.verify(shifted(problem, constant), theta, routes=["implicit", "complex-step", "differences"])
    assert report.ok, str(report)


@pytest.mark.parametrize("discount", [0.9, 1 - 1e-5, 1 - 1e-9, 1 - 1e-12])
def test_what_ends_soon_is_known_as_well_at_any_discount(discount):
    """3.3 steps on average: γ → 1 changes next to nothing, and no allowance grows with 1/(1 − γ)."""
    problem, theta = ending(discount, 0.3)
    report = bg.verify(problem, theta, routes=["covariance", "implicit", "conic", "differences"])
    assert report.ok, str(report)
    assert report.reference.remaining_steps < 4.0
    assert report.reference.error_bound < 1e-10
    assert report.reference.follower.sup_bound < 1e-12
    assert report.reference.leader.bound < 1e-12


@pytest.mark.filterwarnings("ignore::boltzgrad.errors.SuspiciousModel")
@pytest.mark.parametrize("end", [1e-3, 1e-5])
def test_rare_endings_take_no_half_a_million_sweeps(end):
    problem, theta = ending(1 - 1e-9, end, states=2)
    swept = soft_values(problem.model(theta))
    assert swept.sweeps <= 4000
    assert unhurt(bg.verify(problem, theta, routes=["covariance", "implicit", "unrolled-implicit", "differences"]))


@pytest.mark.parametrize("reward", [-1e15, -1e10, -1e5])
def test_a_reward_that_nobody_takes_excuses_nothing_elsewhere(reward):
    """V = TV to the last digits of each state, though one pair's reward is −10¹⁵."""
    problem, theta = two_states()
    build = problem.build

    def with_it(t):
        model = build(t)
        wall = anp.array([[0.0, reward], [0.0, 0.0]])
        return bg.TabularModel(
            model.transition, model.initial, model.follower_reward + wall, GOAL,
            follower_discount=0.9, leader_discount=0.95, temperature=0.5,
        )  # fmt: skip

    walled = bg.ConfigurableMDP(with_it, dim=4)
    found = bg.hypergradient(walled, theta)
    with mpmath.workdps(40):  # one action is left in state 0
        v = [mpmath.mpf(0), mpmath.mpf(0)]
        gamma, tau = mpmath.mpf(0.9), mpmath.mpf(0.5)
        p = walled.model(theta).transition
        for _ in range(1000):
            q = [
                [mpmath.mpf(theta[2 * s + a]) + gamma * (p[s, a, 0] * v[0] + p[s, a, 1] * v[1]) for a in range(2)]
                for s in range(2)
            ]
            v = [q[0][0], tau * mpmath.log(mpmath.exp(q[1][0] / tau) + mpmath.exp(q[1][1] / tau))]
        assert np.abs(found.follower.value - [float(x) for x in v]).max() <= 1e-14
    assert found.follower.sup_bound < 1e-13
    assert bg.verify(walled, theta, routes=["covariance", "implicit", "differences"]).ok


@pytest.mark.parametrize("reward", [1e10, 1e15])
def test_a_state_that_nobody_visits_excuses_nothing_elsewhere(reward):
    problem, theta = two_states()
    moves = np.zeros((3, 2, 3))
    moves[:2, :, :2] = problem.model(theta).transition
    moves[2, :, 2] = 1.0
    far = np.array([[reward, 0.0]])

    def build(t):
        return bg.TabularModel(
            moves, [1.0, 0.0, 0.0], anp.concatenate([anp.reshape(t, (2, 2)), far]), np.vstack([GOAL, [[0.0, 0.0]]]),
            follower_discount=0.9, leader_discount=0.95, temperature=0.5,
        )  # fmt: skip

    apart = bg.ConfigurableMDP(build, dim=4)
    alone, beside = bg.hypergradient(problem, theta), bg.hypergradient(apart, theta)
    np.testing.assert_allclose(beside.follower.value[:2], alone.follower.value, rtol=1e-14)
    np.testing.assert_allclose(beside.gradient, alone.gradient, rtol=1e-12)
    assert bg.verify(apart, theta, routes=["covariance", "implicit"]).ok


def test_sweeps_that_do_not_rest_are_unfinished_and_no_contradiction():
    with pytest.raises(Unfinished, match="still move"):
        sweep(lambda x: 1.0 - x, np.array([0.3]), max_sweeps=50)


def corridor(start):
    """Eight cells, left and right; the follower's goal at one end and θ at the other, where the leader's is; τ = .02."""
    moves = np.zeros((8, 2, 8))
    for s in range(8):
        moves[s, 0, max(s - 1, 0)] = moves[s, 1, min(s + 1, 7)] = 1.0
    goal, far, own = np.zeros((3, 8, 2))
    goal[7], far[0], own[0] = 1.0, 1.0, 1.0
    return of(moves, start, lambda t: goal + t[0] * own, far, 0.99, 0.02, 1), np.array([0.1])


def test_a_gradient_below_its_rounding_is_never_confirmed():
    """∇J of 10⁻¹⁷ beside terms of one: whatever is as small is "zero to rounding", from −∇J to 2∇J."""
    problem, theta = corridor(np.ones(8) / 8)
    report = bg.verify(problem, theta, routes=["covariance", "implicit", "conic"])
    assert not report.ok
    assert {str(row.verdict) for row in report.rows[1:]} == {"zero to rounding"}
    assert "ZERO TO ROUNDING" in report.summary()
    for factor in (1.0, 2.0, -1.0, 0.0, 0.5):
        check = check_hypergradient(factor * report.reference.gradient, problem, theta)
        assert check.verdict == Verdict.ZERO
        assert not check.ok
        assert "confirms nothing" in str(check)
    assert check_hypergradient(np.array([1e-9]), problem, theta).verdict == Verdict.DISAGREES


def test_what_is_small_and_known_is_told():
    """The same corridor from one end: ∇J is far below 10⁻¹⁰⁰, and right to its last digits."""
    problem, theta = corridor(np.eye(8)[4])
    report = bg.verify(problem, theta, routes=["covariance", "implicit", "unrolled-implicit"])
    assert report.ok, str(report)
    for factor in (2.0, -1.0, 0.0, 0.5):
        assert check_hypergradient(factor * report.reference.gradient, problem, theta).verdict == Verdict.DISAGREES


@pytest.mark.parametrize("gap", [10.0, 38.0, 60.0])
def test_a_nearly_certain_action_keeps_its_benefit(gap):
    """∂J/∂r of a bandit is ∓ p (1 − p)/τ: from Q − V the certain action would get nothing but rounding."""
    problem = of(np.ones((1, 2, 1)), [1.0], lambda t: anp.reshape(t, (1, 2)), np.array([[0.0, 1.0]]), 0.0, 1.0, 2)
    found = bg.hypergradient(problem, [gap, 0.0])
    with mpmath.workdps(60):
        p = 1 / (1 + mpmath.exp(mpmath.mpf(gap)))
        exact = float(p * (1 - p))
    np.testing.assert_allclose(found.gradient, [-exact, exact], rtol=1e-13)
    assert np.abs(found.gradient - [-exact, exact]).max() <= found.error_bound


def wandering(horizon, seed):
    """4 states × 3 actions, θ = (−½, ¾) in the kernel, no end: the constant in V is `horizon` rewards large."""
    rng = np.random.default_rng(seed)
    base, w0, w1 = rng.standard_normal((3, 4, 3, 4))
    follower, leader = rng.standard_normal((2, 4, 3))

    def build(t):
        e = anp.exp(base + t[0] * w0 + t[1] * w1)
        return bg.TabularModel(
            e / anp.sum(e, axis=2, keepdims=True), np.ones(4) / 4, follower, leader,
            follower_discount=1.0 - 1.0 / horizon, leader_discount=0.9, temperature=0.1,
        )  # fmt: skip

    return bg.ConfigurableMDP(build, dim=2), np.array([-0.5, 0.75])


def lossy_soft_maximum(q, temperature, axis):
    """The negative control: weights exp(q/τ − itself), whose sum is off by ε·|q|/τ."""
    return temperature * logsumexp(q / temperature, axis=axis)


@pytest.mark.parametrize("horizon", [1e4, 1e5])
def test_a_tape_does_not_lose_mass_at_every_step(horizon, monkeypatch):
    """N steps cost ε N/τ, as values N rewards large round; weights that sum to one only up to ε·|q|/τ would cost ε N²."""

    def noise(seed):
        problem, theta = wandering(horizon, seed)
        exact, found = bg.hypergradient(problem, theta).gradient, unrolled_implicit(problem, theta)
        return float(np.abs(found.gradient - exact).max() / np.abs(exact).max() / (np.finfo(float).eps * horizon))

    assert max(noise(seed) for seed in range(8)) < 64.0
    monkeypatch.setattr(unrolled_module, "soft_maximum", lossy_soft_maximum)
    assert max(noise(seed) for seed in range(8)) > 320.0


@pytest.mark.parametrize("seed", [10, 31])
def test_values_differ_only_by_more_than_an_open_policy_explains(seed):
    """V_F = 10²⁶ rewards beside τ = 10⁹: its rounding leaves the policy open, and J with it; no J is held against another."""
    rng = np.random.default_rng(seed)
    follower, leader = rng.standard_normal((2, 2, 2))
    moves = rng.dirichlet(np.full(2, 0.5), size=(2, 2))

    def build(t):
        return bg.TabularModel(
            moves, np.ones(2) / 2, 1e12 * (follower - 1e5 + t[0] * np.eye(2)), leader,
            follower_discount=1.0 - 1e-9, leader_discount=0.0, temperature=4e9,
        )  # fmt: skip

    problem = bg.ConfigurableMDP(build, dim=1)
    report = bg.verify(problem, np.array([0.3]), routes=["covariance", "implicit", "unrolled-implicit"])
    assert unhurt(report), str(report)
    # The control: where the policy is known, so is J.
    usual = of(moves, np.ones(2) / 2, lambda t: follower + t[0] * np.eye(2), leader, 0.9, 0.5, 1)
    exact = bg.hypergradient(usual, np.array([0.3]))
    assert exact.value_rounding < 1e-12 * exact.value_scale


def test_a_policy_that_rounding_leaves_open_makes_no_kink():
    """ε V_F = 50 τ: an action of weight 10⁻³⁰ is the best one at the next step, and J jumps by 10⁷ of 10¹²."""
    problem, theta = benchmark("false_alarms").edge_table(np.random.default_rng([49_000, 24]))
    report = bg.verify(problem, theta, routes=["differences"])
    assert unhurt(report), str(report)
    evaluate = TabularEvaluator(problem)
    assert evaluate(theta).real == pytest.approx(report.reference.value)
    assert evaluate.rounding > 1e-8 * report.reference.value_scale
    # The control: where the policy is known no such rounding is allowed.
    usual, at = wandering(1e4, 0)
    evaluate = TabularEvaluator(usual)
    assert abs(evaluate(at)) > 1e8 * evaluate.rounding
