"""Followers with a reference policy, actions that are not there, rates that depend on θ, and episodes that end undiscounted.

J is worked out by brute force from what the model was given, with −∞ where an action is not there and no form of the library's.
"""

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.estimators import AMD, HPGD, ExactGradient, NaivePGD
from boltzgrad.families.registry import witnesses
from boltzgrad.families.tabular.later import later
from boltzgrad.testing import assert_follower, bundles, check_hypergradient
from boltzgrad.verify.estimator_record import BiasVerdict
from boltzgrad.verify.mutants.recognise import mistakes
from boltzgrad.verify.tolerances import Verdict
from tests_helpers import examples

HPGD_EXACT = HPGD(critic="exact", segments="exact", baseline=True)
FAST = ["covariance", "implicit", "complex-step"]


class World:
    """A random world of S states and A actions, every part of which θ (3,) may move; `given(θ)` is what a model is made of."""

    def __init__(
        self,
        seed,
        *,
        reference=False,
        masked=False,
        rates=(),
        ends=False,
        own=False,
        entropic=0.0,
        each=False,
        counted=None,
        S=4,
        A=3,
    ):
        rng = np.random.default_rng(seed)
        self.S, self.A, self.rates, self.reference, self.ends = S, A, rates, reference, ends
        self.counted = counted  # how many steps the leader counts; None: all
        self.each = each  # whether each state has a temperature of its own
        self.entropic = entropic  # τ_L; the leader has a reference of its own where the follower has one
        self.p = [rng.dirichlet(np.full(S, 0.7), (S, A)) for _ in range(2 + own)]
        self.own = own
        self.tables = rng.standard_normal((3, S, A, 3))
        self.base = rng.standard_normal((3, S, A))
        self.slopes = rng.standard_normal((3, 3))
        self.start = rng.dirichlet(np.ones(S))
        self.warmth = rng.uniform(0.5, 2.0, S)
        self.there = np.ones((S, A), bool)
        if masked:
            self.there = rng.random((S, A)) < 0.6
            self.there[np.arange(S), rng.integers(A, size=S)] = True

    def given(self, t):
        """In autograd.numpy: r_F, r_L, p, p_F, π⁰ (or None), τ, γ_F, γ_L."""

        def rate(k, low, high, plain):
            if ("temperature", "follower_discount", "leader_discount")[k] not in self.rates:
                return plain
            return low + (high - low) / (1.0 + anp.exp(-anp.dot(self.slopes[k], t)))

        between = 1.0 / (1.0 + anp.exp(-anp.sum(t)))
        world = self.p[0] + between * (self.p[1] - self.p[0])
        if self.ends:
            world = world * np.where(np.arange(self.S) == 0, 0.4, 1.0)[:, None, None]
        plan = world if not self.own else self.p[2] * (0.4 if self.ends else 1.0)
        follower = self.base[0] + anp.dot(self.tables[0], t) - (3.0 if self.ends else 0.0)
        leader = self.base[1] + anp.dot(self.tables[1], t)
        weights = None
        if self.reference:
            e = anp.where(self.there, anp.exp(self.base[2] + anp.dot(self.tables[2], t)), 0.0)
            weights = e / anp.sum(e, axis=1, keepdims=True)
        top = 1.0 if self.ends else 0.9
        tau = rate(0, 0.4, 1.5, 0.7)
        if self.each:
            moved = anp.dot(self.tables[2, :, 0], t) if "temperature" in self.rates else 0.0
            tau = 0.7 * self.warmth * anp.exp(0.2 * moved)
        return (
            follower,
            leader,
            world,
            plan,
            weights,
            tau,
            rate(1, 0.3, 0.9, top),
            rate(2, 0.3, 0.9, top if self.counted is None else 1.0),
        )

    def beside(self, t):
        """π⁰_L (S, A)."""
        e = anp.exp(self.base[1] - anp.dot(self.tables[0], t))
        return e / anp.sum(e, axis=1, keepdims=True)

    def build(self, t):
        follower, leader, world, plan, weights, tau, gamma_f, gamma_l = self.given(t)
        masked = weights is None and not self.there.all()
        return bg.TabularModel(
            world, self.start, follower, leader, plan if self.own else None, temperature=tau, follower_discount=gamma_f,
            leader_discount=gamma_l, reference=weights, available=self.there if masked else None,
            leader_temperature=self.entropic, leader_reference=self.beside(t) if self.entropic and self.reference else None,
            leader_horizon=self.counted,
        )  # fmt: skip

    @property
    def problem(self):
        return bg.ConfigurableMDP(self.build, dim=3)

    def solved(self, t, entropy_for_kl=False):
        """(V, Q, π, J) by plain sweeps with π⁰ exp(Q/τ); actions that are not there have weight zero."""
        follower, leader, world, plan, weights, tau, gamma_f, gamma_l = self.given(np.asarray(t, float))
        weights = np.asarray(self.there, float) if weights is None or entropy_for_kl else np.asarray(weights)
        v = np.zeros(self.S)
        for _ in range(4000):
            q = follower + gamma_f * plan @ v
            top = np.where(weights > 0.0, q, -np.inf).max(axis=1)
            e = weights * np.exp(np.where(weights > 0.0, q - top[:, None], 0.0) / np.reshape(tau, (-1, 1)))
            new = top + tau * np.log(e.sum(axis=1))
            if np.abs(new - v).max() < 1e-15:
                break
            v = new
        policy = e / e.sum(axis=1, keepdims=True)
        kernel = np.einsum("sa,sat->st", policy, world)
        if self.entropic:
            likelihood = np.log(np.where(policy > 0.0, policy, 1.0))
            leader = leader - self.entropic * (
                likelihood - (np.log(self.beside(np.asarray(t))) if self.reference else 0.0)
            )
        paid = (policy * leader).sum(axis=1)
        if self.counted is None:
            value = self.start @ np.linalg.solve(np.eye(self.S) - gamma_l * kernel, paid)
        else:
            powers = [np.linalg.matrix_power(gamma_l * kernel, n) for n in range(self.counted)]
            value = self.start @ sum(powers) @ paid
        return v, q, policy, float(value)

    def slopes_of_J(self, t):
        """∇J by extrapolated central differences of the brute force."""

        def slope(u, h):
            return (self.solved(t + h * u)[3] - self.solved(t - h * u)[3]) / (2.0 * h)

        return np.array([(4.0 * slope(u, 5e-4) - slope(u, 1e-3)) / 3.0 for u in np.eye(3)])


WORLDS = {
    "a reference": {"reference": True},
    "a reference with zeros": {"reference": True, "masked": True},
    "a mask": {"masked": True},
    "a temperature that moves": {"rates": ("temperature",)},
    "the follower's discount moves": {"rates": ("follower_discount",)},
    "the leader's discount moves": {"rates": ("leader_discount",)},
    "both discounts move": {"rates": ("follower_discount", "leader_discount")},
    "a temperature for each state": {"each": True},
    "a temperature for each state, all move": {
        "each": True, "reference": True, "masked": True, "rates": ("temperature", "follower_discount", "leader_discount"),
    },
    "a temperature for each state, undiscounted": {"each": True, "ends": True, "own": True, "entropic": 0.5},
    "a leader who counts steps": {"counted": 5},
    "a leader who counts one step": {"counted": 1, "own": True},
    "a leader who counts steps, all else": {
        "counted": 3, "entropic": 0.3, "reference": True, "masked": True, "own": True, "each": True,
        "rates": ("temperature", "follower_discount", "leader_discount"),
    },
    "undiscounted": {"ends": True},
    "undiscounted, a mask": {"ends": True, "masked": True},
    "undiscounted, a kernel of its own": {"ends": True, "own": True},
    "a leader with entropy": {"entropic": 0.8},
    "a leader with a reference": {"entropic": 0.8, "reference": True},
    "a leader with entropy, a mask": {"entropic": 0.8, "masked": True, "own": True},
    "everything": {
        "entropic": 0.3, "reference": True, "masked": True, "own": True,
        "rates": ("temperature", "follower_discount", "leader_discount"),
    },
}  # fmt: skip
THETA = np.array([0.3, -0.5, 0.2])


@pytest.mark.parametrize("case", WORLDS)
def test_it_is_what_brute_force_makes_of_it(case):
    world = World(1, **WORLDS[case])
    ref = bg.hypergradient(world.problem, THETA)
    v, q, policy, value = world.solved(THETA)
    close = {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(ref.value, value, **close)
    np.testing.assert_allclose(ref.follower.value, v, **close)
    np.testing.assert_allclose(np.where(world.there, ref.follower.q - q, 0.0), 0.0, atol=1e-11)
    np.testing.assert_allclose(ref.follower.policy, policy, **close)
    assert np.all(ref.follower.policy[~world.there] == 0.0)
    np.testing.assert_allclose(ref.gradient, world.slopes_of_J(THETA), rtol=1e-8, atol=1e-9)
    assert np.all(np.abs(ref.follower.value - v) <= ref.follower.sup_bound + 1e-12)
    assert ref.error_bound < 1e-6
    if WORLDS[case].get("reference"):
        other = world.solved(THETA, entropy_for_kl=True)
        assert abs(other[3] - value) > 1e-3, "the control: entropy for KL is another follower"


@pytest.mark.parametrize("case", WORLDS)
def test_every_witness_agrees(case):
    problem = World(2, **WORLDS[case]).problem
    report = bg.verify(problem, THETA)
    report.raise_if_disagree()
    assert {row.route for row in report.agreeing} == {route.name for route in witnesses(problem)}


@st.composite
def worlds(draw):
    names = ("temperature", "follower_discount", "leader_discount")
    return World(
        draw(st.integers(0, 2**31)), reference=draw(st.booleans()), masked=draw(st.booleans()), own=draw(st.booleans()),
        rates=draw(st.sets(st.sampled_from(names)).map(tuple)), ends=draw(st.booleans()),
        entropic=draw(st.sampled_from((0.0, 0.5))), each=draw(st.booleans()),
        counted=draw(st.sampled_from((None, None, 1, 4))), S=draw(st.integers(1, 5)),
        A=draw(st.integers(1, 4)),
    )  # fmt: skip


@settings(max_examples=examples(40))
@given(worlds())
def test_complex_steps_agree_to_eleven_digits(world):
    ref = bg.hypergradient(world.problem, THETA)
    size = np.maximum(ref.term_sizes, 1e-300)
    for name, digits in (("complex-step", 1e-11), ("implicit", 1e-9), ("covariance", 1e-9)):
        (route,) = [r for r in witnesses(world.problem) if r.name == name]
        found = route.run(world.problem, THETA)
        assert np.all(np.abs(found.gradient - ref.gradient) <= digits * size.max()), name
        assert found.value == pytest.approx(ref.value, rel=1e-11, abs=1e-12)
    report = bg.verify(world.problem, THETA, routes=FAST)
    assert not any(row.verdict in (Verdict.DISAGREES, Verdict.FAILED, Verdict.MODEL) for row in report.rows), str(
        report
    )


@pytest.mark.parametrize("case", WORLDS)
def test_what_each_number_is_worth(case):
    """∂J/∂τ, ∂J/∂γ and ∂J/∂ log π⁰ by formula, against brute force with that number alone moved."""
    world = World(3, **WORLDS[case])
    cotangent = bg.hypergradient(world.problem, THETA).cotangent
    plain = world.given

    def moved(k, change):
        world.given = lambda t: tuple(x + change if i == k else x for i, x in enumerate(plain(t)))
        try:
            return world.solved(THETA)[3]
        finally:
            world.given = plain

    def slope(k, change, h):
        wide, narrow = ((moved(k, s * change) - moved(k, -s * change)) / (2.0 * s) for s in (h, h / 2))
        return (4.0 * narrow - wide) / 3.0

    if world.each:
        by_state = [slope(5, one, 1e-3) for one in np.eye(world.S)]
        np.testing.assert_allclose(cotangent.temperature, by_state, rtol=1e-7, atol=1e-9)
    names = ((5, "temperature"), (6, "follower_discount"), (7, "leader_discount"))
    for k, name in names[world.each :]:
        np.testing.assert_allclose(getattr(cotangent, name), slope(k, 1.0, 1e-3), rtol=1e-7, atol=1e-9)
    plain_entropic = world.entropic

    def of_entropic(change):
        world.entropic = plain_entropic + change
        try:
            return world.solved(THETA)[3]
        finally:
            world.entropic = plain_entropic

    if plain_entropic:
        np.testing.assert_allclose(
            cotangent.leader_temperature, (of_entropic(1e-2) - of_entropic(-1e-2)) / 2e-2, rtol=1e-9, atol=1e-11
        )
        occupancy = bg.hypergradient(world.problem, THETA).leader.occupancy
        visits = (occupancy if world.counted is None else occupancy.sum(axis=0))[:, None] * world.solved(THETA)[2]
        np.testing.assert_allclose(cotangent.log_leader_reference, plain_entropic * visits, rtol=1e-10, atol=1e-13)
    if world.reference:
        s, a = map(int, np.argwhere(world.there)[1])
        weights = np.asarray(plain(THETA)[4])
        one = np.zeros_like(weights)
        one[s, a] = weights[s, a]  # d π⁰ = π⁰ d log π⁰
        np.testing.assert_allclose(cotangent.log_reference[s, a], slope(4, one, 1e-3), rtol=1e-6, atol=1e-9)
        assert np.all(cotangent.log_reference[~world.there] == 0.0)


def test_a_leader_who_counts_many_steps_counts_for_ever():
    world = World(15)
    ever = bg.hypergradient(world.problem, THETA)
    plain = world.given
    world.given, world.counted = lambda t: (*plain(t)[:7], 0.9), 400
    counted = bg.hypergradient(world.problem, THETA)
    np.testing.assert_allclose(counted.gradient, ever.gradient, rtol=1e-11)
    np.testing.assert_allclose(counted.leader.value[0], ever.leader.value, rtol=1e-11)
    for name in ("transition", "initial", "follower_reward", "leader_reward", "log_reference"):
        np.testing.assert_allclose(
            getattr(counted.cotangent, name), getattr(ever.cotangent, name), rtol=1e-9, atol=1e-12
        )


def test_what_cannot_count_steps():
    world = World(16, counted=3)
    with pytest.raises(bg.errors.InvalidModel, match=r"the model's leader_horizon means nothing: leave it out"):
        bg.ConfigurableMDP(world.build, dim=3, objective=bg.LogLikelihood(np.ones((4, 3)))).model(THETA)
    by_hand = bg.ConfigurableMDP(world.build, dim=3, pullback=lambda t, c: t, pushforward=lambda t, u: u)
    with pytest.raises(bg.errors.InvalidModel, match="solved as another table"):
        by_hand.model(THETA)
    world.counted = 10**7
    with pytest.raises(bg.errors.InvalidModel, match=r"leader_horizon is 10000000: kernels on .* would hold"):
        world.problem.model(THETA)


@pytest.mark.parametrize("case", ["undiscounted", "a leader who counts steps", "the leader's discount moves"])
def test_a_mistake_in_half_of_the_steps_is_named_where_nothing_is_discounted(case):
    problem = World(17, **WORLDS[case]).problem
    rest = later(problem, THETA)
    assert 0.0 < rest.weight <= 1.0
    exact = bg.hypergradient(problem, THETA).gradient
    alone = rest.weight * bg.hypergradient(rest.problem, THETA).gradient
    check = check_hypergradient(exact + alone, problem, THETA, tolerance=1e-6)  # the later half counted twice
    assert check.verdict == Verdict.DISAGREES
    # From half of the steps on, and from the beginning: what is between them are the steps before.
    assert 1e-3 < np.abs(alone).max() / np.abs(exact).max() < 1e3


def test_contexts_of_unlike_kinds():
    """One context's discount moves and the other's does not, one has a reference: each model has a form of its own."""
    kinds = [World(12, rates=("follower_discount",)), World(13, reference=True), World(14, rates=("temperature",))]
    shares = np.array([0.5, 0.3, 0.2])
    problem = bg.ConfigurableMDP(lambda t: bg.ContextualModel([w.build(t) for w in kinds], shares), dim=3)
    bg.verify(problem, THETA).raise_if_disagree()
    ref = bg.hypergradient(problem, THETA)
    np.testing.assert_allclose(
        ref.gradient, sum(p * w.slopes_of_J(THETA) for p, w in zip(shares, kinds, strict=True)), rtol=1e-8, atol=1e-9
    )
    assert [set(m.moving) for m in problem.contexts(THETA).models] == [{"follower_discount"}, set(), {"temperature"}]
    alone = bg.hypergradient(kinds[1].problem, THETA).cotangent
    np.testing.assert_allclose(ref.sensitivities[1].log_reference, 0.3 * alone.log_reference, rtol=1e-10, atol=1e-14)
    assert ref.sensitivities[1].leader_discount == pytest.approx(0.3 * alone.leader_discount, rel=1e-10)


def test_a_uniform_reference_is_entropy_and_a_constant():
    world = World(4)
    plain = bg.hypergradient(world.problem, THETA)
    uniform = bg.ConfigurableMDP(
        lambda t: bg.TabularModel(
            world.given(t)[2], world.start, *world.given(t)[:2], temperature=0.7, follower_discount=0.9, leader_discount=0.9,
            reference=np.full((4, 3), 1.0 / 3.0),
        ),
        dim=3,
    )  # fmt: skip
    ref = bg.hypergradient(uniform, THETA)
    np.testing.assert_allclose(ref.gradient, plain.gradient, rtol=1e-12)
    np.testing.assert_allclose(ref.follower.value, plain.follower.value - 0.7 * np.log(3.0) / 0.1, rtol=1e-12)
    np.testing.assert_allclose(ref.follower.q, plain.follower.q - 0.9 * 0.7 * np.log(3.0) / 0.1, rtol=1e-12)


def test_sparse_kernels_have_their_masked_rows_replaced():
    from scipy import sparse

    world = World(5, masked=True)

    def build(t):
        follower, leader = world.given(t)[:2]
        rows = np.where(world.there[:, :, None], world.p[0], 0.0).reshape(
            12, 4
        )  # no successors at all where nothing is
        return bg.TabularModel(
            sparse.csr_array(rows), world.start, follower, leader, temperature=0.7, follower_discount=0.9, leader_discount=0.9,
            available=world.there,
        )  # fmt: skip

    sparse_one = bg.hypergradient(bg.ConfigurableMDP(build, dim=3), THETA)
    assert not sparse_one.contexts[0].model.ends
    world.p[1] = world.p[0]
    np.testing.assert_allclose(sparse_one.gradient, bg.hypergradient(world.problem, THETA).gradient, rtol=1e-11)


def forgotten(world, change):
    """A gradient of somebody's who has lost something: that of another world."""
    other = World.__new__(World)
    other.__dict__.update(world.__dict__)
    change(other)
    return other.slopes_of_J(THETA)


def entropy_for_kl(other):
    plain = other.given
    other.given = lambda t: tuple(None if i == 4 else x for i, x in enumerate(plain(t)))


def mask_ignored(other):
    other.there = np.ones_like(other.there)


def frozen(k):
    def change(other):
        plain = other.given
        other.given = lambda t: tuple(plain(THETA)[k] if i == k else x for i, x in enumerate(plain(t)))

    return change


def one_for_all(other):
    other.warmth = np.full_like(other.warmth, other.warmth.mean())


def counts(change):
    return lambda other: setattr(other, "counted", change(other.counted))


def leaders_entropy(factor):
    def change(other):
        other.entropic = factor * other.entropic

    return change


LOST = {
    "the leader's entropy forgotten": ("a leader with entropy", leaders_entropy(0.0)),
    "the leader's entropy with the wrong sign": ("a leader with entropy", leaders_entropy(-1.0)),
    "the leader's reference forgotten": (
        "a leader with a reference",
        lambda other: setattr(other, "beside", lambda t: 1.0),
    ),
    "entropy for KL": ("a reference", entropy_for_kl),
    "∇ log π⁰ forgotten": ("a reference", frozen(4)),
    "the mask ignored in the normaliser": ("a mask", mask_ignored),
    "τ not differentiated": ("a temperature that moves", frozen(5)),
    "τ(s) not differentiated": ("a temperature for each state, all move", frozen(5)),
    "one step too few": ("a leader who counts steps", counts(lambda H: H - 1)),
    "one step too many": ("a leader who counts steps", counts(lambda H: H + 1)),
    "one τ for all states": ("a temperature for each state", one_for_all),
    "γ_F not differentiated": ("the follower's discount moves", frozen(6)),
    "γ_L not differentiated": ("the leader's discount moves", frozen(7)),
}


@pytest.mark.parametrize("mistake", LOST)
def test_what_people_lose_is_rejected(mistake):
    case, change = LOST[mistake]
    world = World(6, **WORLDS[case])
    assert check_hypergradient(world.slopes_of_J(THETA), world.problem, THETA, tolerance=1e-6).ok
    check = check_hypergradient(forgotten(world, change), world.problem, THETA, tolerance=1e-6)
    assert check.verdict == Verdict.DISAGREES, str(check)


@pytest.mark.parametrize("case", WORLDS)
def test_the_formulas_of_known_mistakes_hold_for_it(case):
    ref = bg.hypergradient(World(7, **WORLDS[case]).problem, THETA)
    assert mistakes(ref).missing == ""
    assert len(mistakes(ref).shown) > 10


@pytest.mark.parametrize("case", WORLDS)
def test_follower_and_bundle(case, tmp_path):
    world = World(8, **WORLDS[case])
    v, _, policy, _ = world.solved(THETA)
    assert_follower({"V": v, "policy": policy}, world.problem, THETA)
    with pytest.raises(AssertionError):
        assert_follower({"V": v + 1e-3}, world.problem, THETA)
    folder = bundles.export(world.problem, THETA, tmp_path / "general")
    exact = bg.hypergradient(world.problem, THETA).gradient
    assert bundles.check(folder, exact).ok
    assert not bundles.check(folder, 1.001 * exact).ok


@pytest.mark.parametrize("case", ["a reference with zeros", "a temperature that moves"])
def test_estimators_sample_it(case):
    problem = World(1, **WORLDS[case]).problem
    assert bg.check_estimator(HPGD_EXACT, problem, THETA, n_batches=300, seed=1, resolution=0.3).ok
    control = bg.check_estimator(NaivePGD(baseline=True), problem, THETA, n_batches=300, seed=1)
    assert control.verdict == BiasVerdict.BIASED


def test_estimators_refuse_a_leader_with_entropy():
    problem = World(1, **WORLDS["a leader with entropy"]).problem
    for estimator in (HPGD_EXACT, AMD()):
        with pytest.raises(bg.errors.InvalidOption, match="has a leader_temperature besides"):
            bg.check_estimator(estimator, problem, THETA, n_batches=20, seed=1)
    assert bg.check_estimator(ExactGradient(), problem, THETA, n_batches=20, seed=1).ok


@pytest.mark.parametrize("case", ["undiscounted", "the leader's discount moves", "a temperature for each state"])
def test_estimators_refuse_what_no_discount_ends(case):
    with pytest.raises(bg.errors.InvalidOption, match="undiscounted, its discount depends on theta, or each state has"):
        bg.check_estimator(HPGD_EXACT, World(1, **WORLDS[case]).problem, THETA, n_batches=20, seed=1)


def refused(message, **change):
    world = World(9)
    follower, leader, p, *_ = world.given(THETA)
    usual = {"temperature": 0.7, "follower_discount": 0.9, "leader_discount": 0.9}
    with pytest.raises(bg.errors.InvalidModel, match=message):
        bg.TabularModel(p, world.start, follower, leader, **{**usual, **change})


def test_what_is_no_reference_and_no_mask():
    third = np.full((4, 3), 1.0 / 3.0)
    refused(r"reference has shape \(3, 3\), expected \(4, 3\)", reference=third[:3])
    refused(r"reference\[0\] sums to 1.5", reference=np.full((4, 3), 0.5))
    refused(r"reference\[1, 2\] is -0.3", reference=third + np.outer([0, 1, 0, 0], [0.3, 1.0 / 3.0, -0.63333333]))
    mask = np.ones((4, 3), bool)
    mask[2] = False
    refused(r"available\[2\] is false throughout: in state 2 there is no action", available=mask)
    refused(r"available has shape \(4,\)", available=mask[:, 0] | True)
    refused("available holds float64 values, expected booleans", available=third)
    mask = np.ones((4, 3), bool)
    mask[1, 0] = False
    refused(r"reference\[1, 0\] is 0.333333, but available\[1, 0\] is false", available=mask, reference=third)
    refused(r"leader_temperature is -0.5; it must be at least 0", leader_temperature=-0.5)
    refused(
        r"leader_reference\[0, 0\] is 0 where the follower may act",
        leader_temperature=1.0, leader_reference=np.array([[0.0, 0.5, 0.5]] * 4),
    )  # fmt: skip
    refused(r"temperature has shape \(3,\), expected a number or \(4,\)", temperature=np.ones(3))
    refused(r"temperature has shape \(4, 3\), expected a number or \(4,\)", temperature=third)
    refused(r"temperature\[2\] is 0; it must be positive", temperature=np.array([1.0, 1.0, 0.0, 1.0]))
    refused(r"temperature\[1\] is nan; every entry must be finite", temperature=np.array([1.0, np.nan, 1.0, 1.0]))
    refused(
        "follower_discount is 1, and from state 0 no episode ever ends",
        temperature=np.arange(1.0, 5.0),
        follower_discount=1.0,
    )
    refused("leader_horizon is 0; expected a positive integer, or None for ever", leader_horizon=0)
    refused("leader_horizon is 2.5; expected a positive integer", leader_horizon=2.5)
    refused("leader_horizon is True; expected a positive integer", leader_horizon=True)
    refused("follower_discount is 1.1; it must lie in", follower_discount=1.1)
    refused("leader_discount is 1, and from state 0 no episode ever ends", leader_discount=1.0)


def test_an_end_has_to_be_reached_from_everywhere():
    move = np.zeros((3, 1, 3))
    move[0, 0, 0] = 1.0  # for ever
    move[1, 0, 2] = 1.0  # to a state that ends
    with pytest.raises(bg.errors.InvalidModel, match=r"from state 0 no episode ever ends \(1 of 3 states\)"):
        bg.TabularModel(
            move,
            [0, 1, 0],
            np.zeros((3, 1)),
            np.zeros((3, 1)),
            temperature=1.0,
            follower_discount=1.0,
            leader_discount=1.0,
        )


def test_a_value_that_is_infinite_is_named_and_one_that_is_large_is_not():
    """One state, stay (reward θ) or end: V = log(e^{V+θ} + 1) = −log(1 − e^θ), J = e^θ/(1 − e^θ) visits more."""

    def build(t):
        return bg.TabularModel(
            np.array([[[1.0], [0.0]]]), [1.0], anp.reshape(anp.array([t[0], 0.0]), (1, 2)), [[1.0, 0.0]],
            temperature=1.0, follower_discount=1.0, leader_discount=1.0,
        )  # fmt: skip

    problem = bg.ConfigurableMDP(build, dim=1)
    for t in (-3.0, -0.1, -1e-3, -1e-6):
        ref = bg.hypergradient(problem, [t])
        stay = -np.exp(t) / np.expm1(t)
        assert ref.value == pytest.approx(stay, rel=1e-9)
        assert ref.gradient[0] == pytest.approx(stay * (1.0 + stay), rel=1e-13 * stay + 1e-10)
        assert abs(ref.gradient[0] - stay * (1.0 + stay)) <= ref.error_bound
    for t in (0.0, 0.5, 3.0):
        with pytest.raises(bg.errors.InvalidModel, match="the follower's value is infinite"):
            bg.hypergradient(problem, [t])


@pytest.mark.parametrize("case", ["a reference with zeros", "a mask", "a leader with a reference"])
def test_a_copy_with_another_temperature_is_the_model_with_that(case):
    world = World(11, **WORLDS[case])
    model, plain = world.problem.model(THETA), world.given
    copied = replace(model, temperature=0.4, leader_temperature=2.0 * model.leader_temperature)
    world.given = lambda t: tuple(0.4 if i == 5 else x for i, x in enumerate(plain(t)))
    world.entropic *= 2.0
    anew = world.problem.model(THETA)
    np.testing.assert_allclose(copied.follower_reward, anew.follower_reward, rtol=1e-12)
    np.testing.assert_allclose(copied.leader_reward, anew.leader_reward, rtol=1e-12)
    again = replace(copied, temperature=model.temperature, leader_temperature=model.leader_temperature)
    np.testing.assert_allclose(again.follower_reward, model.follower_reward, rtol=1e-12)
    for name in ("reference", "available", "leader_reference"):
        with pytest.raises(bg.errors.InvalidModel, match="make it anew with them"):
            replace(model, **{name: np.ones((4, 3), bool)})
    moving = World(11, **{**WORLDS[case], "rates": ("temperature",)}).problem.model(THETA)
    np.testing.assert_array_equal(replace(moving, initial=moving.initial).follower_reward, moving.follower_reward)
    traced = bg.ConfigurableMDP(lambda t: replace(World(11, reference=True).build(t), temperature=0.4), dim=3)
    with pytest.raises(bg.errors.InvalidModel, match="another temperature than it was made with"):
        bg.hypergradient(traced, THETA)


def test_a_constant_that_numpy_made_is_a_constant():
    """np.float64(0.9) looks like a number that moves until it is traced; the model keeps its plain form then."""
    world = World(10)
    made = bg.ConfigurableMDP(
        lambda t: bg.TabularModel(
            world.given(t)[2], world.start, *world.given(t)[:2], temperature=np.float64(0.7),
            follower_discount=np.float64(0.9), leader_discount=np.array(0.9),
        ),
        dim=3,
    )  # fmt: skip
    ref = bg.hypergradient(made, THETA)
    assert ref.contexts[0].model.moving == {}
    assert ref.contexts[0].model.follower_discount == 0.9
    assert bg.verify(made, THETA, routes=FAST).ok
    # A build that autograd cannot follow still has models; it is the derivative that is refused.
    plain = bg.ConfigurableMDP(
        lambda t: bg.TabularModel(
            world.given(THETA)[2], world.start, float(t[0]) * np.ones((4, 3)), world.given(THETA)[1],
            temperature=np.float64(0.7), follower_discount=0.9, leader_discount=0.9,
        ),
        dim=3,
    )  # fmt: skip
    assert plain.model(THETA).follower_reward[0, 0] == THETA[0]
    with pytest.raises(bg.errors.NotDifferentiable, match="could not trace"):
        bg.hypergradient(plain, THETA)
    moving = World(10, rates=("follower_discount",)).problem
    assert set(moving.model(THETA).moving) == {"follower_discount"}
    assert moving.model(THETA).n_states == 4


def test_an_action_that_is_not_there_does_not_seem_to_move_with_the_temperature():
    """Its weight is exp(−1000 τ/τ), which rounds: where that is all a τ(s) moves, it was called a wrong derivative."""
    mask = np.array([[True, True], [True, True], [True, False]])
    move = np.zeros((3, 2, 3))
    move[0, 0, 0], move[0, 1, :2], move[1, 0, 0], move[1, 1, 0] = 1.0, (0.3, 0.7), 0.5, 1.0

    def build(theta):
        return bg.TabularModel(
            move, [0.6, 0.4, 0.0], np.array([[0.0, 0.7], [-1.0, 3.0], [0.0, 0.0]]), np.array([[0, 0], [1, 1], [0, 0]]),
            follower_discount=0.85, leader_discount=0.85, temperature=0.5 * anp.exp(theta), available=mask,
        )  # fmt: skip

    problem = bg.ConfigurableMDP(build, dim=3)
    for seed in range(40):
        assert bg.hypergradient(problem, problem.initial_theta(seed=seed)).model_check.ok
