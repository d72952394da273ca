"""Followers and leaders who count long-run averages, held against the average's own equations, written out here."""

import pickle
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import boltzgrad as bg
from boltzgrad.families.registry import witnesses
from boltzgrad.testing import assert_follower, bundles, check_hypergradient
from boltzgrad.testing import strategies as bst
from boltzgrad.verify.tolerances import Verdict
from tests_helpers import examples

THETA = np.array([0.3, -0.5, 0.2])


class Chain:
    """A random world whose every part θ (3,) may move, in autograd.numpy, and its averages by equations of its own."""

    def __init__(
        self,
        seed,
        *,
        reference=False,
        masked=False,
        own=False,
        warm=False,
        each=False,
        entropic=0.0,
        period=0,
        transient=0,
        S=4,
    ):
        rng = np.random.default_rng(seed)
        A = 3
        self.S, self.A, self.reference, self.own, self.warm, self.each = S, A, reference, own, warm, each
        self.entropic = entropic
        self.p = [rng.dirichlet(np.full(S, 0.7), (S, A)) for _ in range(3)]
        for p in self.p:
            if period:  # state i leads to those of the next of `period` groups alone
                allowed = (np.arange(S)[:, None] + 1 - np.arange(S)[None, :]) % period == 0
                p *= allowed[:, None, :]
                p /= p.sum(axis=2, keepdims=True)
            if transient:  # the last states are left for good
                p[: S - transient, :, S - transient :] = 0.0
                p /= p.sum(axis=2, keepdims=True)
        self.tables, self.base = rng.standard_normal((4, S, A, 3)), rng.standard_normal((4, S, A))
        self.there = np.ones((S, A), bool)
        if masked:
            self.there = rng.random((S, A)) < 0.6
            self.there[np.arange(S), rng.integers(A, size=S)] = True
        self.warmth = rng.uniform(0.5, 2.0, S)

    def parts(self, t):
        """p, p_F (or None), r_F, r_L, τ, π⁰ (or None), π⁰_L (or None)."""
        between = 1.0 / (1.0 + anp.exp(-anp.sum(t)))
        world = self.p[0] + between * (self.p[1] - self.p[0])
        plan = self.p[2] + between * (self.p[0] - self.p[2]) if self.own else None
        tau = 0.7 * anp.exp(0.4 * t[1]) if self.warm else 0.7
        tau = tau * self.warmth if self.each else tau
        follower, leader = (self.base[k] + anp.dot(self.tables[k], t) for k in (0, 1))
        policies = []
        for k in (2, 3):
            there = self.there if k == 2 else np.ones_like(self.there)
            e = anp.where(there, anp.exp(self.base[k] + anp.dot(self.tables[k], t)), 0.0)
            policies.append(e / anp.sum(e, axis=1, keepdims=True))
        reference = policies[0] if self.reference else None
        return world, plan, follower, leader, tau, reference, policies[1] if self.entropic and self.reference else None

    def build(self, t):
        world, plan, follower, leader, tau, reference, beside = self.parts(t)
        return bg.AverageRewardModel(
            world, None, follower, leader, plan, temperature=tau, reference=reference, leader_temperature=self.entropic,
            available=None if self.reference or self.there.all() else self.there, leader_reference=beside,
        )  # fmt: skip

    @property
    def problem(self):
        return bg.ConfigurableMDP(self.build, dim=3)

    def solved(self, parts):
        """(g, h with mean zero, π, J)."""
        world, plan, follower, leader, tau, reference, beside = parts
        plan = world if plan is None else plan
        tau = np.reshape(tau, (-1, 1)) * np.ones((self.S, 1))
        weights = np.asarray(self.there, float) if reference is None else np.asarray(reference)
        h = np.zeros(self.S)
        for _ in range(200):  # Newton: policy iteration with the averages of each policy by least squares
            q = follower + plan @ h
            e = weights * np.exp(np.where(weights > 0.0, (q - q.max(axis=1, keepdims=True)) / tau, 0.0))
            pi = e / e.sum(axis=1, keepdims=True)
            kl = np.where(
                pi > 0.0, np.log(np.where(pi > 0.0, pi, 1.0)) - np.log(np.where(weights > 0.0, weights, 1.0)), 0.0
            )
            g, new = self.averages(plan, pi, follower - tau * kl)
            moved, h = np.abs(new - h).max(), new
            if moved < 1e-14:
                break
        log = np.where(pi > 0.0, np.log(np.where(pi > 0.0, pi, 1.0)), 0.0)
        paid = leader - self.entropic * (log - (np.log(beside) if beside is not None else 0.0))
        return g, h, pi, self.averages(world, pi, paid)[0]

    def averages(self, kernel, pi, reward):
        """(gain, bias of mean zero) of a reward: (I − P) h + g 1 = c, Σ h = 0, as one system."""
        S = self.S
        matrix = np.zeros((S + 1, S + 1))
        matrix[:S, :S] = np.eye(S) - np.einsum("sa,saz->sz", pi, kernel)
        matrix[:S, S], matrix[S, :S] = 1.0, 1.0
        x = np.linalg.solve(matrix, np.append((pi * reward).sum(axis=1), 0.0))
        return x[S], x[:S]

    def slope(self, value, h=1e-3):
        """The derivative of value(s) at s = 0 by extrapolated central differences."""
        wide, narrow = ((value(s) - value(-s)) / (2.0 * s) for s in (h, h / 2))
        return (4.0 * narrow - wide) / 3.0

    def slopes_of_J(self, t):
        return np.array([self.slope(lambda s, u=u: self.solved(self.parts(t + s * u))[3]) for u in np.eye(3)])


CHAINS = {
    "plain": {},
    "a reference with zeros": {"reference": True, "masked": True},
    "a mask": {"masked": True},
    "a kernel of its own": {"own": True},
    "a temperature that moves": {"warm": True},
    "a temperature for each state": {"each": True, "warm": True},
    "a leader with entropy": {"entropic": 0.8, "own": True},
    "a leader with a reference": {"entropic": 0.8, "reference": True},
    "a chain with a period": {"period": 2},
    "states that are left": {"transient": 2, "S": 6},
    "everything": {
        "reference": True, "masked": True, "own": True, "warm": True, "each": True, "entropic": 0.3, "transient": 1, "S": 5,
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CHAINS)
def test_it_is_what_the_equations_make_of_it(case):
    chain = Chain(1, **CHAINS[case])
    ref = bg.hypergradient(chain.problem, THETA)
    gain, bias, policy, value = chain.solved(chain.parts(THETA))
    close = {"rtol": 1e-11, "atol": 1e-12}
    given = ref.contexts[0].model.given
    np.testing.assert_allclose(ref.value, value, **close)
    np.testing.assert_allclose(given.followers.gain, gain, **close)
    np.testing.assert_allclose(ref.follower.value, bias - bias[given.followers.state], **close)
    np.testing.assert_allclose(ref.follower.policy, policy, **close)
    np.testing.assert_allclose(ref.gradient, chain.slopes_of_J(THETA), rtol=1e-8, atol=1e-9)
    assert np.abs(ref.gradient - chain.slopes_of_J(THETA)).max() <= ref.error_bound + 1e-9
    assert ref.error_bound < 1e-8
    np.testing.assert_allclose(ref.leader.occupancy.sum(), 1.0, rtol=1e-12)
    kernel = np.einsum("sa,saz->sz", policy, chain.parts(THETA)[0])
    np.testing.assert_allclose(ref.leader.occupancy @ kernel, ref.leader.occupancy, atol=1e-13)
    np.testing.assert_allclose((policy * ref.leader.q).sum(axis=1), ref.leader.value + value, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", CHAINS)
def test_every_witness_agrees(case):
    problem = Chain(2, **CHAINS[case]).problem
    report = bg.verify(problem, THETA)
    report.raise_if_disagree()
    assert {row.route for row in report.agreeing} == {route.name for route in witnesses(problem)}
    assert "long-run averages" in str(report)


@pytest.mark.parametrize("case", CHAINS)
def test_what_each_number_is_worth(case):
    """Every cotangent against the equations with that number alone moved."""
    chain = Chain(3, **CHAINS[case])
    parts = chain.parts(THETA)
    found = bg.hypergradient(chain.problem, THETA).cotangent
    rng = np.random.default_rng(0)

    def worth(k, change):
        moved = lambda s: tuple(x + s * change if i == k else x for i, x in enumerate(parts))  # noqa: E731
        return chain.slope(lambda s: chain.solved(moved(s))[3])

    for k, name in ((2, "follower_reward"), (3, "leader_reward")):
        change = rng.standard_normal((chain.S, chain.A))
        np.testing.assert_allclose((getattr(found, name) * change).sum(), worth(k, change), rtol=1e-7, atol=1e-9)
    for k, name in ((0, "transition"), (1, "follower_transition")):
        if parts[k] is not None:
            change = parts[k] * (rng.standard_normal(parts[k].shape))
            change -= parts[k] * change.sum(axis=2, keepdims=True)  # rows still sum to one, and nothing new is reached
            np.testing.assert_allclose((getattr(found, name) * change).sum(), worth(k, change), rtol=1e-7, atol=1e-9)
    if chain.each:
        np.testing.assert_allclose(found.temperature, [worth(4, one) for one in np.eye(chain.S)], rtol=1e-7, atol=1e-9)
    else:
        np.testing.assert_allclose(found.temperature, worth(4, 1.0), rtol=1e-7, atol=1e-9)
    if chain.reference:
        change = parts[5] * rng.standard_normal(parts[5].shape)
        np.testing.assert_allclose(
            (found.log_reference * change / np.where(parts[5] > 0.0, parts[5], 1.0)).sum(),
            worth(5, change),
            rtol=1e-6,
            atol=1e-9,
        )
    if chain.entropic:
        before = chain.entropic

        def of_entropic(s):
            chain.entropic = before + s
            try:
                return chain.solved(parts)[3]
            finally:
                chain.entropic = before

        np.testing.assert_allclose(found.leader_temperature, chain.slope(of_entropic, 1e-2), rtol=1e-9, atol=1e-11)
        if parts[6] is not None:
            change = parts[6] * rng.standard_normal(parts[6].shape)
            np.testing.assert_allclose(
                (found.log_leader_reference * change / parts[6]).sum(), worth(6, change), rtol=1e-6, atol=1e-9
            )


def test_it_is_the_limit_of_patience():
    """(1 − γ) J_γ and its gradient, as γ → 1."""
    chain = Chain(4)

    def patient(gamma):
        def build(t):
            world, _, follower, leader, tau, *_ = chain.parts(t)
            return bg.TabularModel(
                world,
                np.full(4, 0.25),
                follower,
                leader,
                temperature=tau,
                follower_discount=gamma,
                leader_discount=gamma,
            )

        return bg.hypergradient(bg.ConfigurableMDP(build, dim=3), THETA)

    ref = bg.hypergradient(chain.problem, THETA)
    for gamma in (0.999, 0.9999):
        near = patient(gamma)
        assert abs((1.0 - gamma) * near.value - ref.value) < 10.0 * (1.0 - gamma)
        assert 0.01 * (1.0 - gamma) < np.abs((1.0 - gamma) * near.gradient - ref.gradient).max() < 10.0 * (1.0 - gamma)


@settings(max_examples=examples(40))
@given(bst.problems_at(bst.average_reward_mdps()))
def test_complex_steps_agree_to_eleven_digits(case):
    problem, theta = case
    ref = bg.hypergradient(problem, theta)
    size = np.maximum(ref.term_sizes, 1e-300)
    for name, digits in (("complex-step", 1e-11), ("implicit", 1e-9), ("covariance", 1e-9)):
        (route,) = [r for r in witnesses(problem) if r.name == name]
        found = route.run(problem, theta)
        assert np.all(np.abs(found.gradient - ref.gradient) <= digits * size.max()), name
        assert found.value == pytest.approx(ref.value, rel=1e-11, abs=1e-12)
    report = bg.verify(problem, theta, routes=["covariance", "implicit", "differences"])
    bad = (Verdict.DISAGREES, Verdict.FAILED, Verdict.MODEL)
    assert not any(row.verdict in bad for row in report.rows), str(report)


def discounted(chain, gamma):
    """What somebody gets who takes (1 − γ) J_γ for the average."""

    def build(t):
        world, plan, follower, leader, tau, reference, beside = chain.parts(t)
        return bg.TabularModel(
            world, np.full(chain.S, 1.0 / chain.S), follower, leader, plan, temperature=tau, follower_discount=gamma,
            leader_discount=gamma, reference=reference, leader_temperature=chain.entropic, leader_reference=beside,
        )  # fmt: skip

    return (1.0 - gamma) * bg.hypergradient(bg.ConfigurableMDP(build, dim=3), THETA).gradient


def policy_fixed(chain):
    """The leader's average with the follower's answer held: no response at all."""
    _, _, pi, _ = chain.solved(chain.parts(THETA))

    def value(t):
        world, _, _, leader, *_ = chain.parts(t)
        return chain.averages(world, pi, leader)[0]

    return np.array([chain.slope(lambda s, u=u: value(THETA + s * u)) for u in np.eye(3)])


def gain_held(chain):
    """The follower's bias equation with the gain of this θ: ∂g/∂θ is lost."""
    model = chain.problem.model(THETA)
    g = model.given.followers.gain

    def value(t):
        world, _, follower, leader, tau, *_ = chain.parts(t)
        cut = world * (np.arange(chain.S) != model.given.leaders.state)
        v = np.zeros(chain.S)
        for _ in range(5000):
            q = follower - g + cut @ v
            v = tau * np.log(np.exp(q / tau).sum(axis=1))
        pi = np.exp((q - v[:, None]) / tau)
        return chain.averages(world, pi / pi.sum(axis=1, keepdims=True), leader)[0]

    return np.array([chain.slope(lambda s, u=u: value(THETA + s * u)) for u in np.eye(3)])


LOST = {
    "γ = .9 for an average": lambda chain: discounted(chain, 0.9),
    "γ = .999 for an average": lambda chain: discounted(chain, 0.999),
    "no response": policy_fixed,
    "the gain held": gain_held,
    "half of it": lambda chain: 0.5 * chain.slopes_of_J(THETA),
    "the sum over a cycle": lambda chain: chain.slopes_of_J(THETA) * chain.problem.model(THETA).given.leaders.length,
}


@pytest.mark.parametrize("mistake", LOST)
def test_what_people_lose_is_rejected(mistake):
    chain = Chain(6)
    assert check_hypergradient(chain.slopes_of_J(THETA), chain.problem, THETA, tolerance=1e-6).ok
    check = check_hypergradient(LOST[mistake](chain), chain.problem, THETA, tolerance=1e-6)
    assert check.verdict == Verdict.DISAGREES, str(check)


@pytest.mark.parametrize("case", CHAINS)
def test_follower_and_bundle(case, tmp_path):
    chain = Chain(8, **CHAINS[case])
    ref = bg.hypergradient(chain.problem, THETA)
    _, bias, policy, _ = chain.solved(chain.parts(THETA))
    value = bias - bias[ref.contexts[0].model.given.followers.state]
    assert_follower({"V": value, "policy": policy}, chain.problem, THETA)
    with pytest.raises(AssertionError):
        assert_follower({"V": value + 1e-3}, chain.problem, THETA)
    folder = bundles.export(chain.problem, THETA, tmp_path / "average")
    assert bundles.check(folder, ref.gradient).ok
    assert not bundles.check(folder, 1.001 * ref.gradient).ok


def test_a_cold_follower_that_would_first_look_elsewhere():
    """Greedy for r_F − g alone, it never comes to the state where its cycles begin: Newton has to begin at the bias."""
    stay, go, leave = [0.875, 0.125, 0.0], [0.0, 0.125, 0.875], [0.0, 1.0, 0.0]
    p = np.array([[stay, stay, go], [stay, stay, go], [stay, stay, leave]])
    rewards = np.array([[0.75, 0.25, 0.25], [0.75, 0.25, 0.75], [0.75, 0.25, 0.75]])
    slopes = np.zeros((3, 3, 2))
    slopes[0, 1, 0], slopes[1, 1, 0], slopes[1, 2, 1], slopes[2, 0], slopes[2, 1, 0] = (
        0.75,
        -0.75,
        -1.0,
        (1.0, 0.5),
        -0.25,
    )
    for temperature in (1e-3, 1e-2, 1.0):

        def build(t, tau=temperature):
            return bg.AverageRewardModel(p, None, rewards + anp.dot(slopes, t), rewards, temperature=tau)

        problem = bg.ConfigurableMDP(build, dim=2)
        report = bg.verify(problem, np.array([0.5, 0.25]), routes=["covariance", "implicit", "complex-step"])
        assert not report.against, str(report)
        assert np.isfinite(report.reference.error_bound)


def test_what_is_the_same_for_all_actions_rounds_all_the_same():
    """One state, a reward that θ moves for every action alike: its entry of ∇J is zero, to the rounding of its terms."""
    base, own = np.array([[0.25, -0.5]]), np.array([[0.5, 0.25]])

    def build(t):
        return bg.AverageRewardModel(np.ones((1, 2, 1)), None, base * t[0] + 0.75 * t[1], own, temperature=0.3)

    problem = bg.ConfigurableMDP(build, dim=2)
    for theta in np.random.default_rng(0).normal(size=(10, 2)):
        ref = bg.hypergradient(problem, theta)
        assert abs(ref.gradient[1]) < 1e-15 < 1e-3 < ref.term_sizes[1]
        assert not bg.verify(problem, theta, routes=["covariance", "implicit", "complex-step", "differences"]).against


def test_sparse_is_dense():
    chain = Chain(9, own=True)

    def build(t):
        model = chain.build(t)
        if not isinstance(model.kernel.values, np.ndarray):
            return model
        flat = [
            sparse.csr_array(np.asarray(x).reshape(12, 4)) for x in (model.kernel.values, model.follower_kernel.values)
        ]
        return bg.AverageRewardModel(
            flat[0], None, model.follower_reward, model.leader_reward, flat[1], temperature=0.7
        )

    dense, thin = chain.build(THETA).plain(), build(THETA).plain()
    np.testing.assert_allclose(thin.transition.toarray(), dense.transition.reshape(12, 4), rtol=1e-15)
    np.testing.assert_allclose(thin.leader_reward, dense.leader_reward, rtol=1e-13)
    fixed = bg.ConfigurableMDP(lambda t: replace(build(THETA), follower_reward=chain.parts(t)[2]), dim=3)
    bg.verify(fixed, THETA).raise_if_disagree()


def test_a_general_objective_sees_its_policy():
    chain = Chain(10, reference=True)
    problem = bg.ConfigurableMDP(chain.build, dim=3, objective=bg.LogLikelihood(np.arange(12.0).reshape(4, 3)))
    report = bg.verify(problem, THETA)
    report.raise_if_disagree()
    expected = (np.arange(12.0).reshape(4, 3) * np.log(chain.solved(chain.parts(THETA))[2])).sum()
    assert bg.hypergradient(problem, THETA).value == pytest.approx(expected, rel=1e-12)


def test_contexts_pickles_and_what_does_not_matter():
    one, two = Chain(11), Chain(12, each=True)
    shares = np.array([0.3, 0.7])
    problem = bg.ConfigurableMDP(lambda t: bg.ContextualModel([one.build(t), two.build(t)], shares), dim=3)
    bg.verify(problem, THETA, routes=["implicit", "complex-step"]).raise_if_disagree()
    found = bg.hypergradient(problem, THETA)
    np.testing.assert_allclose(
        found.gradient, 0.3 * one.slopes_of_J(THETA) + 0.7 * two.slopes_of_J(THETA), rtol=1e-8, atol=1e-9
    )
    model = one.build(THETA)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.plain().leader_reward, model.plain().leader_reward)
    # A constant reward, or a start, changes nothing.
    richer = bg.ConfigurableMDP(lambda t: replace(one.build(t), follower_reward=one.parts(t)[2] + 5.0 * t[0]), dim=3)
    started = bg.ConfigurableMDP(lambda t: replace(one.build(t), initial=np.eye(4)[1]), dim=3)
    plain = bg.hypergradient(one.problem, THETA)
    for other in (richer, started):
        np.testing.assert_allclose(bg.hypergradient(other, THETA).gradient, plain.gradient, rtol=1e-10, atol=1e-12)


def test_the_model_that_was_given_is_checked():
    """The table's rewards hold numbers of this θ on purpose; the build's own arrays are what somebody may have got wrong."""
    chain = Chain(13)
    assert bg.hypergradient(chain.problem, THETA).model_check.ok

    def cut(t):
        model = chain.build(t)
        value = getattr(model.leader_reward, "_value", model.leader_reward)
        return replace(model, leader_reward=value + 0.0 * t[0])

    check = bg.hypergradient(bg.ConfigurableMDP(cut, dim=3), THETA).model_check
    assert not check.ok
    assert "leader_reward" in str(check)


def refused(message, **change):
    chain = Chain(14)
    world, _, follower, leader, *_ = chain.parts(THETA)
    usual = {
        "transition": world,
        "follower_reward": follower,
        "leader_reward": leader,
        "temperature": 0.7,
        "initial": None,
    }
    with pytest.raises(bg.errors.InvalidModel, match=message):
        bg.AverageRewardModel(**{**usual, **change}).plain()


def test_bad_input():
    chain = Chain(14)
    world = chain.parts(THETA)[0]
    two = np.zeros((4, 3, 4))
    two[:2, :, :2], two[2:, :, 2:] = 0.5, 0.5
    refused(
        r"transition: states 0 and 2 are never reached from one another.*\(2 classes\): .* depends on the start",
        transition=two,
    )
    short = world.copy()
    short[1, 2] *= 0.5
    refused(r"transition\[1, 2\] sums to 0.5; rows must sum to 1 where averages are taken for ever", transition=short)
    refused(r"follower_transition: states 0 and 2 are never reached", follower_transition=two)
    refused(r"leader_reward has shape \(3, 3\), follower_reward \(4, 3\)", leader_reward=np.zeros((3, 3)))
    refused(r"temperature has shape \(3,\), expected a number or \(4,\)", temperature=np.ones(3))
    refused("temperature is 0; it must be positive", temperature=0.0)
    refused(r"reference\[0\] sums to 1.5", reference=np.full((4, 3), 0.5))
    refused("leader_temperature is -1.0; it must be at least 0", leader_temperature=-1.0)
    by_hand = bg.ConfigurableMDP(chain.build, dim=3, pullback=lambda t, c: t, pushforward=lambda t, u: u)
    with pytest.raises(bg.errors.InvalidModel, match="solved as another table"):
        by_hand.model(THETA)


@settings(max_examples=examples(8))
@given(
    bst.problems_at(bst.average_reward_mdps(temperature=bst.temperatures(lowest=0.01))),
    st.integers(-10, 10),
    st.integers(-10, 10),
    st.integers(0, 100),
)
def test_units_do_not_matter(case, costs, rewards, units):
    """θ, the follower's rewards with its temperature, and the leader's in other units: the same verdicts, word for word."""
    problem, theta = case
    unit = 10.0 ** np.random.default_rng(units).integers(-10, 11, size=problem.dim)
    c, r = 10.0**costs, 10.0**rewards

    def build(t):
        m = problem.source(t / unit)
        return replace(
            m, follower_reward=c * m.follower_reward, temperature=c * m.temperature, leader_reward=r * m.leader_reward,
            leader_temperature=r * m.leader_temperature,
        )  # fmt: skip

    routes = ["covariance", "implicit"]
    here = bg.verify(problem, theta, routes=routes)
    there = bg.verify(bg.ConfigurableMDP(build, dim=problem.dim), theta * unit, routes=routes)
    assert [row.verdict for row in here.rows] == [row.verdict for row in there.rows]
    np.testing.assert_allclose(
        there.reference.gradient * unit / r,
        here.reference.gradient,
        rtol=1e-9,
        atol=1e-13 * here.reference.term_sizes.max(),
    )


def test_values_that_cancel_exactly_rest_at_their_rounding():
    """Two states that pay the same: the leader's values are zero but for rounding, which no sweep brings to rest."""

    def build(theta):
        share = 1.0 / (1.0 + anp.exp(0.25 * theta[1]))
        move = anp.stack([1.0 - share * np.array([[0.0], [0.875]]), share * np.array([[0.0], [0.875]])], axis=2)
        paid = anp.stack([-0.25 * theta[0] + 0.75 * theta[1], 0.5 - theta[0] + 0.25 * theta[1]])
        return bg.AverageRewardModel(move, [1.0, 0.0], np.zeros((2, 1)), anp.reshape(paid, (2, 1)), temperature=1.0)

    problem = bg.ConfigurableMDP(build, dim=2)
    report = bg.verify(problem, np.array([0.5, 0.25]), routes=["complex-step"])
    assert report.ok, str(report)
