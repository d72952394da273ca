"""f(θ, π, V) of a follower and its values, and f of several followers at once."""

import copy
import pickle
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad import errors
from boltzgrad.testing import check_hypergradient
from boltzgrad.testing.strategies import configurable_mdps, thetas
from boltzgrad.verify.tolerances import Verdict
from tests_helpers import examples

S, A, D = 4, 3, 3
STEP = 1e-30


class World:
    """A follower whose kernel, rewards and perhaps temperature depend on θ, solved here by plain sweeps."""

    def __init__(self, seed, *, gamma=0.8, tau=0.5, warms=False, reference=False):
        rng = np.random.default_rng(seed)
        self.logits, self.slopes = np.log(rng.dirichlet(np.ones(S), (S, A))), rng.standard_normal((S, A, S, D))
        self.reward, self.steps = rng.standard_normal((S, A)), rng.standard_normal((S, A, D))
        self.weights = rng.standard_normal(S)
        self.gamma, self.tau, self.warms = gamma, tau, warms
        self.reference = np.array([[0.2, 0.8, 0.0]] * S) if reference else None

    def numbers(self, t):
        x = self.logits + 0.3 * (self.slopes @ t)
        p = np.exp(x) / np.exp(x).sum(axis=2, keepdims=True)
        return p, self.reward + self.steps @ t, self.tau * np.exp(0.3 * t[0]) if self.warms else self.tau

    def model(self, t):
        tau = self.tau * anp.exp(0.3 * t[0]) if self.warms else self.tau
        return bg.TabularModel(
            bg.softmax(self.logits + 0.3 * anp.dot(self.slopes, t)), np.ones(S) / S, self.reward + anp.dot(self.steps, t),
            np.zeros((S, A)), follower_discount=self.gamma, leader_discount=0.9, temperature=tau, reference=self.reference,
        )  # fmt: skip

    def solved(self, t):
        """(π, V); real or complex."""
        p, r, tau = self.numbers(t)
        prior = 1.0 if self.reference is None else self.reference
        v = np.zeros(S, dtype=np.result_type(t, float))
        for _ in range(600):
            e = prior * np.exp((r + self.gamma * p @ v) / tau)
            v = tau * np.log(e.sum(axis=1))
        return e / e.sum(axis=1, keepdims=True), v


def slope(value, theta):
    return np.array([value(theta + 1j * STEP * e).imag / STEP for e in np.eye(D)])


def dense(x):
    return x if isinstance(x, np.ndarray) else x.toarray()


def wanted(t, policy, value):
    return anp.sum(policy[:, 0] * value) + t[1] * value[0] ** 2 / 9.0 + anp.sum(policy**2)


@pytest.mark.parametrize("warms", [False, True])
@pytest.mark.parametrize("reference", [False, True])
def test_values_in_the_objective(warms, reference):
    world, theta = World(1, warms=warms, reference=reference), np.array([0.3, -0.4, 0.2])
    problem = bg.ConfigurableMDP(world.model, dim=D, objective=bg.ValueObjective(wanted))
    ref = bg.hypergradient(problem, theta)
    right = slope(lambda t: wanted(t, *world.solved(t)), theta)
    assert abs(ref.value - wanted(theta, *world.solved(theta))) < 1e-11
    np.testing.assert_allclose(ref.gradient, right, rtol=0, atol=1e-11)
    assert ref.error_bound == np.inf  # nobody said how far its gradients move
    report = bg.verify(problem, theta)
    assert report.ok
    assert len(report.agreeing) >= 9


def test_the_values_own_slope_is_missed_when_it_is_left_out():
    """∂V/∂θ forgotten: f's values taken as numbers."""
    world, theta = World(2), np.array([0.3, -0.4, 0.2])
    problem = bg.ConfigurableMDP(world.model, dim=D, objective=bg.ValueObjective(wanted))
    still = world.solved(theta)[1]
    wrong = bg.ConfigurableMDP(
        world.model, dim=D, objective=bg.PolicyObjective(lambda t, policy: wanted(t, policy, still))
    )
    found = check_hypergradient(bg.hypergradient(wrong, theta).gradient, problem, theta)
    assert found.verdict == Verdict.DISAGREES


@given(problem=configurable_mdps(), data=st.data())
@settings(max_examples=examples(30), deadline=None)
def test_the_bound_of_welfare_holds(problem, data):
    """Σ w V against its slope by the envelope theorem alone: visits from w, times what rewards and kernel do."""
    theta = data.draw(thetas(problem.dim))
    models = problem.contexts(theta).models
    assume(len(models) == 1 and models[0].given is None)
    m = models[0]
    weights = np.array(data.draw(st.lists(st.sampled_from((-1.0, 0.5, 2.0)), min_size=m.n_states, max_size=m.n_states)))
    welfare = bg.ConfigurableMDP(problem.source, dim=problem.dim, objective=bg.follower_value(weights))
    ref = bg.hypergradient(welfare, theta)
    follower, extended = ref.follower, np.longdouble
    visits = np.linalg.solve(
        np.eye(m.n_states) - m.follower_discount * dense(m.follower_kernel.under(follower.policy)).T, weights
    )
    taken = visits[:, None].astype(extended) * follower.policy
    at = welfare.linearise(theta)
    right = []
    for column in at.columns():
        arrays = column.models[0]
        moved = arrays.transition if arrays.follower_transition is None else arrays.follower_transition
        carried = m.follower_kernel.with_values(moved).expect_extended(follower.value.astype(extended))
        right.append(float((taken * (arrays.follower_reward + m.follower_discount * carried)).sum()))
    assert (np.abs(np.array(right) - ref.gradient) <= ref.error_bound + 1e-9 * ref.rounding).all()
    assert np.isfinite(ref.error_bound)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("far", [1e-2, 1e-5])
def test_the_gradients_of_welfare_move_by_no_more_than_is_said(seed, far):
    """Policies that are off by as much as they may be, in random directions: within what is said, and not far within."""
    world, rng = World(seed, gamma=0.6), np.random.default_rng(seed)
    theta = rng.standard_normal(D)
    problem = bg.ConfigurableMDP(world.model, dim=D, objective=bg.follower_value(world.weights))
    policy = rng.dirichlet(np.ones(A), S)
    error = far * policy
    said = problem.objective.variation(theta, policy, error)
    here, most = problem.objective.gradients(theta, policy), [np.zeros(D), np.zeros((S, A))]
    for _ in range(200):
        other = policy + error * rng.choice((-1.0, 1.0), size=error.shape)
        moved = [np.abs(x - y) for x, y in zip(problem.objective.gradients(theta, other), here, strict=True)]
        most = [np.maximum(x, y) for x, y in zip(most, moved, strict=True)]
    for found, bound in zip(most, said, strict=True):
        assert np.all(found <= bound)
        assert bound.max() <= 200.0 * found.max()


def three(t, warm=False):
    worlds = World(1), World(2, gamma=0.6, tau=0.3, warms=warm), World(3, tau=0.8, reference=True)
    return worlds, [w.model(t) for w in worlds]


def build_three(t):
    small = bg.TabularModel(
        np.full((2, 2, 2), 0.5), [1.0, 0.0], anp.reshape(t[0] * np.arange(4.0), (2, 2)), np.zeros((2, 2)),
        follower_discount=0.5, leader_discount=0.9, temperature=0.4,
    )  # fmt: skip
    return bg.several_followers([*three(t, warm=True)[1], small])


def small_policy(t):
    x = np.arange(4.0).reshape(2, 2) * t[0]
    v = np.zeros(2, dtype=np.result_type(t, float))
    for _ in range(200):
        e = np.exp((x + 0.25 * v.sum()) / 0.4)
        v = 0.4 * np.log(e.sum(axis=1))
    return e / e.sum(axis=1, keepdims=True), v


def both(t, policies, values=None):
    out = anp.sum(policies[0] * policies[1]) + t[2] * anp.sum(policies[2][:, 0] * policies[0][:, 1]) + policies[3][1, 0]
    return out if values is None else out + values[1][0] * values[3][1] + anp.sum(values[2]) * policies[0][0, 0]


def solved_three(t):
    found = [w.solved(t) for w in three(t, warm=True)[0]] + [small_policy(t)]
    return [x for x, _ in found], [v for _, v in found]


@pytest.mark.parametrize("values", [False, True])
def test_several_followers_of_unlike_sizes_discounts_and_temperatures(values):
    theta = np.array([0.3, -0.4, 0.2])
    objective = bg.ValueObjective(both) if values else bg.JointObjective(both)
    problem = bg.ConfigurableMDP(build_three, dim=D, objective=objective)

    def value(t):
        policies, worth = solved_three(t)
        return both(t, policies, worth) if values else both(t, policies)

    ref = bg.hypergradient(problem, theta)
    assert abs(ref.value - value(theta)) < 1e-12
    np.testing.assert_allclose(ref.gradient, slope(value, theta), rtol=0, atol=1e-11)
    assert bg.verify(problem, theta).ok
    # One follower's answer held fixed is a mistake that shows.
    still = solved_three(theta)[0][1]

    def frozen(t, policies):
        return both(t, [policies[0], still, *policies[2:]])

    wrong = bg.ConfigurableMDP(build_three, dim=D, objective=bg.JointObjective(frozen))
    assert not check_hypergradient(bg.hypergradient(wrong, theta).gradient, problem, theta).ok


def test_the_mean_of_returns_is_that_of_contexts():
    def models(t):
        out = []
        for w in (World(1), World(2, gamma=0.6, tau=0.3)):
            m = w.model(t)
            out.append(replace(m, leader_reward=w.reward * t[1]))
        return out

    theta, chances = np.array([0.3, -0.4, 0.2]), np.array([0.3, 0.7])
    contexts = bg.ConfigurableMDP(lambda t: bg.ContextualModel(models(t), chances), dim=D)
    one = bg.ConfigurableMDP(lambda t: bg.several_followers(models(t), chances), dim=D)
    found = [bg.hypergradient(p, theta) for p in (contexts, one)]
    assert abs(found[0].value - found[1].value) < 1e-12
    np.testing.assert_allclose(found[0].gradient, found[1].gradient, atol=1e-12)


def test_a_bound_where_the_objective_says_how_it_moves():
    """f bilinear in two policies: each slope moves by at most the other's error."""

    def variation(t, policies, slips):
        zero = [np.zeros_like(x) for x in policies]
        return np.zeros_like(t), [slips[1], slips[0], *zero[2:]]

    theta = np.array([0.3, -0.4, 0.2])
    objective = bg.JointObjective(lambda t, p: anp.sum(p[0] * p[1]), variation)
    ref = bg.hypergradient(bg.ConfigurableMDP(build_three, dim=D, objective=objective), theta)
    right = slope(lambda t: np.sum(solved_three(t)[0][0] * solved_three(t)[0][1]), theta)
    assert np.abs(ref.gradient - right).max() < ref.error_bound < 1e-6


def test_over_a_horizon():
    world, H = World(4), 3
    ends = np.arange(S) / S

    def build(t):
        m = world.model(t)
        return bg.FiniteHorizonModel(
            m.transition, m.initial, m.follower_reward, m.leader_reward, horizon=H, follower_discount=0.9,
            leader_discount=1.0, temperature=0.5, terminal_follower_reward=ends * t[1],
        )  # fmt: skip

    def value(t):
        p, r, _ = world.numbers(t)
        v = ends * t[1]
        for _ in range(H):
            e = np.exp((r + 0.9 * p @ v) / 0.5)
            v = 0.5 * np.log(e.sum(axis=1))
        return v[1] ** 2 + (e / e.sum(axis=1, keepdims=True))[0, 0] * ends[1] * t[1]

    theta = np.array([0.3, -0.4, 0.2])
    objective = bg.ValueObjective(lambda t, policy, v: v[0, 1] ** 2 + policy[0, 0, 0] * v[H, 1])
    problem = bg.ConfigurableMDP(build, dim=D, objective=objective)
    ref = bg.hypergradient(problem, theta)
    np.testing.assert_allclose(ref.gradient, slope(value, theta), rtol=0, atol=1e-12)
    assert bg.verify(problem, theta).ok


def test_travel():
    objective = pickle.loads(pickle.dumps(bg.follower_value([1.0, 0.0, 0.0, 0.0])))
    problem = bg.ConfigurableMDP(World(1).model, dim=D, objective=objective)
    assert bg.hypergradient(problem, np.zeros(D)).value == pytest.approx(World(1).solved(np.zeros(D))[1][0], rel=1e-12)
    for other in (copy.copy(problem), copy.deepcopy(problem), pickle.loads(pickle.dumps(problem))):
        assert bg.hypergradient(other, np.zeros(D)).value == bg.hypergradient(problem, np.zeros(D)).value


def test_a_temperature_for_each_state_beside_one_for_all():
    def followers(t):
        kernel, reward = np.full((2, 2, 2), 0.5), t[0] * np.eye(2)
        options = {"leader_discount": 0.9, "follower_discount": 0.9}
        return [
            bg.TabularModel(kernel, [1.0, 0.0], reward, np.zeros((2, 2)), temperature=np.array([0.5, 1.5]), **options),
            bg.TabularModel(kernel, [1.0, 0.0], reward, np.zeros((2, 2)), temperature=0.3, **options),
        ]

    def value(t):
        out = []
        for tau in (np.array([0.5, 1.5]), np.array([0.3, 0.3])):
            v = np.zeros(2, complex)
            for _ in range(600):
                e = np.exp((t * np.eye(2) + 0.45 * v.sum()) / tau[:, None])
                v = tau * np.log(e.sum(axis=1))
            out.append((e / e.sum(axis=1, keepdims=True), v))
        return out[0][0][0, 0] * out[1][1][1] + out[0][1][0]

    objective = bg.ValueObjective(lambda t, policies, values: policies[0][0, 0] * values[1][1] + values[0][0])
    problem = bg.ConfigurableMDP(lambda t: bg.several_followers(followers(t)), dim=1, objective=objective)
    ref = bg.hypergradient(problem, [0.4])
    assert ref.gradient[0] == pytest.approx(value(0.4 + 1j * STEP).imag / STEP, rel=1e-11)
    assert bg.verify(problem, [0.4]).ok


def test_values_that_cancel_are_smooth_all_the_same():
    """Nobody has a choice, so that nobody pays anything: J = 0 of values that are not."""
    problem = bg.problems.load("mechanism-design", n_actions=1)
    report = bg.verify(problem, problem.initial_theta(seed=0))
    assert not [row for row in report.rows if row.verdict in (Verdict.DISAGREES, Verdict.FAILED, Verdict.NOT_SMOOTH)], (
        str(report)
    )


def test_misuse():
    world, theta = World(1), np.zeros(D)
    plain = world.model(theta)
    with pytest.raises(errors.InvalidOption, match="in a problem only"):
        bg.ValueObjective(wanted).value(theta, np.full((S, A), 1 / 3))
    with pytest.raises(errors.InvalidOption, match="function is 3"):
        bg.JointObjective(3)
    with pytest.raises(errors.InvalidModel, match=r"build that returns several_followers"):
        bg.hypergradient(bg.ConfigurableMDP(world.model, dim=D, objective=bg.JointObjective(both)), theta)
    two = bg.ValueObjective(lambda t, policy: t[0])
    with pytest.raises(errors.NotDifferentiable, match=r"Write f\(theta, policy, value\) with autograd"):
        bg.hypergradient(bg.ConfigurableMDP(world.model, dim=D, objective=two), theta)
    stepped = bg.problems.load("finite-garnet", horizon=2, n_states=3, n_parameters=6)
    stepped = bg.ConfigurableMDP(stepped.source, dim=6, objective=bg.JointObjective(both))
    with pytest.raises(errors.InvalidModel, match=r"build that returns several_followers"):
        bg.hypergradient(stepped, stepped.initial_theta(seed=0))
    with pytest.raises(errors.InvalidModel, match=r"leader_temperature \[0\.0, 0\.5\]; it must be one number"):
        bg.several_followers([plain, replace(plain, leader_temperature=0.5)])
    with pytest.raises(errors.InvalidModel, match="build returned several contexts"):
        bg.hypergradient(
            bg.ConfigurableMDP(
                lambda t: bg.ContextualModel([world.model(t)], [1.0]), dim=D, objective=bg.ValueObjective(wanted)
            ),
            theta,
        )
    with pytest.raises(errors.InvalidModel, match="expected a list of at least one"):
        bg.several_followers([])
    with pytest.raises(errors.InvalidModel, match=r"models\[1\] is a int; expected a TabularModel"):
        bg.several_followers([plain, 3])
    with pytest.raises(errors.InvalidModel, match=r"probabilities has shape \(2,\), expected \(1,\)"):
        bg.several_followers([plain], [0.5, 0.5])
    with pytest.raises(errors.InvalidOption, match="weights holds"):
        bg.follower_value("ab")
    with pytest.raises(errors.InvalidOption, match=r"weights has shape \(2,\), and the follower's values \(4,\)"):
        bg.hypergradient(bg.ConfigurableMDP(world.model, dim=D, objective=bg.follower_value([1.0, 2.0])), theta)


def test_a_bidder_pays_what_it_costs_the_others():
    """The zoo's mechanism at equal weights, against the optimum with and without each bidder, by sweeps."""
    problem = bg.problems.load("mechanism-design", n_profiles=1)
    theta = problem.initial_theta(seed=3)
    rng = np.random.default_rng(0)  # as the zoo draws them
    x = rng.standard_normal((4, 3, 4))
    move = np.exp(x) / np.exp(x).sum(axis=2, keepdims=True)
    rewards = rng.uniform(size=(1, 2, 4, 3))[0]

    def charged(t):
        w, boosts = np.exp(t[:2]), t[2:].reshape(4, 3)

        def optimum(r):
            v = np.zeros(4, dtype=np.result_type(t, float))
            for _ in range(1200):
                e = np.exp((r + 0.9 * move @ v) / 0.3)
                v = 0.3 * np.log(e.sum(axis=1))
            return v.mean(), e / e.sum(axis=1, keepdims=True)

        whole, policy = optimum(w[0] * rewards[0] + w[1] * rewards[1] + boosts)
        kernel = np.einsum("sa,saz->sz", policy, move)
        total = 0.0
        for i in range(2):
            own = np.linalg.solve(np.eye(4) - 0.9 * kernel, (policy * rewards[i]).sum(axis=1)).mean()
            others = optimum(w[1 - i] * rewards[1 - i] + boosts)[0]
            total = total + (others - (whole - w[i] * own)) / w[i]
        return total

    ref = bg.hypergradient(problem, theta)
    assert ref.value == pytest.approx(charged(theta), rel=1e-11)
    right = np.array([charged(theta + 1j * STEP * e).imag / STEP for e in np.eye(problem.dim)])
    np.testing.assert_allclose(ref.gradient, right, rtol=0, atol=1e-10)
    assert bg.verify(problem, theta).ok
