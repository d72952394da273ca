"""Games whose follower is kept near a reference, and whose leader is paid for its own entropy."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.families.registry import witnesses
from boltzgrad.problems import LeaderPolicy
from boltzgrad.testing import bundles, check_hypergradient
from boltzgrad.verify.mutants.recognise import mistakes
from boltzgrad.verify.tolerances import Verdict
from tests_helpers import examples

S, A, B = 3, 2, 3
KINDS = {"sees": {}, "does not see": {"observes": False}, "as published": {"as_published": True}}


class Regularised:
    """A random game; `reference` and `beside` may be None, `entropic` is τ_L."""

    def __init__(self, seed, kind="sees", *, reference=True, entropic=0.4, beside=True, followers=B):
        rng = np.random.default_rng(seed)
        self.kind, self.entropic = kind, entropic
        self.p = rng.dirichlet(np.ones(S), (S, A, followers))
        self.rewards = rng.standard_normal((2, S, A, followers))
        of_action = (S, A) if kind == "sees" else (S,)
        self.reference = rng.dirichlet(np.ones(followers), of_action) if reference else None
        self.beside = rng.dirichlet(np.ones(A), S) if beside else None
        self.mix = rng.standard_normal((S * A, 4))
        self.theta = rng.standard_normal(4)

    def policy(self, t):
        return bg.softmax(anp.reshape(anp.dot(self.mix, t), (S, A)))

    @property
    def game(self):
        return bg.MarkovGame(
            self.p, np.full(S, 1.0 / S), *self.rewards, follower_discount=0.8, leader_discount=0.9, temperature=0.5,
            policy=LeaderPolicy(self.policy, 4), reference=self.reference, leader_temperature=self.entropic,
            leader_reference=self.beside, **KINDS[self.kind],
        )  # fmt: skip

    def value(self, t):
        """J by sweeps with π⁰ exp(Q/τ)."""
        return self.value_of(np.asarray(self.policy(np.asarray(t, float))))

    def value_of(self, table):
        """The same as a function of f (S, A), whose rows need not sum to one."""
        f, tau = table[:, :, None], 0.5
        weights = 1.0 if self.reference is None else self.reference
        weights = weights if np.ndim(weights) == 3 or np.ndim(weights) == 0 else weights[:, None, :]
        u = np.zeros(S)

        def soft(q, w):
            e = w * np.exp(q / tau)
            return tau * np.log(e.sum(axis=-1)), e / e.sum(axis=-1, keepdims=True)

        for _ in range(2000):
            q = self.rewards[0] + 0.8 * self.p @ u
            if self.kind == "sees":
                new = (f[:, :, 0] * soft(q, weights)[0]).sum(axis=1)
            else:
                new = soft((f * q).sum(axis=1), weights if np.ndim(weights) == 0 else weights[:, 0])[0]
            if np.abs(new - u).max() < 1e-15:
                break
            u = new
        if self.kind == "does not see":
            answer = soft((f * q).sum(axis=1), weights if np.ndim(weights) == 0 else weights[:, 0])[1][:, None, :]
        else:
            answer = soft(q, weights)[1]
        joint = f * answer
        beside = 0.0 if self.beside is None else np.log(self.beside)[:, :, None]
        paid = self.rewards[1] - self.entropic * (np.log(f) - beside)
        kernel = np.einsum("sab,sabz->sz", joint * np.ones(self.p.shape[:3]), self.p)
        return float(np.full(S, 1.0 / S) @ np.linalg.solve(np.eye(S) - 0.9 * kernel, (joint * paid).sum(axis=(1, 2))))

    def slopes(self):
        def slope(u, h):
            return (self.value(self.theta + h * u) - self.value(self.theta - h * u)) / (2.0 * h)

        return np.array([(4.0 * slope(u, 5e-4) - slope(u, 1e-3)) / 3.0 for u in np.eye(4)])


CASES = {
    "a reference": {"entropic": 0.0, "beside": False},
    "a leader with entropy": {"reference": False, "beside": False},
    "a leader with a reference": {"reference": False},
    "both": {},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_it_is_what_brute_force_makes_of_it(case, kind):
    world = Regularised(1, kind, **CASES[case])
    ref = bg.hypergradient(world.game, world.theta)
    assert ref.value == pytest.approx(world.value(world.theta), rel=1e-12)
    np.testing.assert_allclose(ref.gradient, world.slopes(), rtol=1e-8, atol=1e-9)
    assert ref.error_bound < 1e-7
    report = bg.verify(world.game, world.theta)
    report.raise_if_disagree()
    assert len(report.agreeing) >= (10 if kind != "as published" else 4), str(report)
    plain = Regularised(1, kind, **CASES[case])
    plain.reference, plain.entropic = None, 0.0
    lost = check_hypergradient(plain.slopes(), world.game, world.theta, tolerance=1e-6)
    assert lost.verdict == Verdict.DISAGREES, "the regularisers forgotten"


@settings(max_examples=examples(25))
@given(st.integers(0, 2**31), st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(CASES)))
def test_complex_steps_agree_to_eleven_digits(seed, kind, case):
    world = Regularised(seed, kind, **CASES[case])
    ref = bg.hypergradient(world.game, world.theta)
    size = np.maximum(ref.term_sizes, 1e-300).max()
    for route in witnesses(world.game):
        if route.name in ("complex-step", "theorem2", "lifted-covariance") and not route.skip(world.game, world.theta):
            found = route.run(world.game, world.theta)
            digits = 1e-11 if route.name == "complex-step" else 1e-9
            assert np.abs(found.gradient - ref.gradient).max() <= digits * size, route.name


@pytest.mark.parametrize("kind", KINDS)
def test_the_cotangent_takes_the_entries_of_f_as_independent(kind):
    """No θ feels what is the same for all actions of a state; ∂J/∂f has it all the same."""
    world = Regularised(6, kind, reference=kind == "sees")  # else τ log π⁰ itself is averaged over f
    f = np.asarray(world.policy(world.theta))
    found = np.zeros_like(f)
    for at in np.ndindex(*f.shape):
        one = np.zeros_like(f)
        one[at] = 1.0
        wide, narrow = ((world.value_of(f + h * one) - world.value_of(f - h * one)) / (2 * h) for h in (1e-3, 5e-4))
        found[at] = (4 * narrow - wide) / 3
    np.testing.assert_allclose(bg.hypergradient(world.game, world.theta).cotangent, found, rtol=1e-7, atol=1e-8)


def test_a_policy_gradient_is_a_leader_without_a_follower():
    """One action for the follower, KL to a reference: what a language model's trainer ascends."""
    world = Regularised(2, reference=False, followers=1)
    f = np.asarray(world.policy(world.theta))
    slopes = np.einsum(
        "sa,sad->sad", f, world.mix.reshape(S, A, 4) - np.einsum("sa,sad->sd", f, world.mix.reshape(S, A, 4))[:, None]
    )
    paid = world.rewards[1][:, :, 0] - 0.4 * (np.log(f) - np.log(world.beside))
    p = world.p[:, :, 0]
    v = np.linalg.solve(np.eye(S) - 0.9 * np.einsum("sa,saz->sz", f, p), (f * paid).sum(axis=1))
    visits = np.linalg.solve(np.eye(S) - 0.9 * np.einsum("sa,saz->zs", f, p), np.full(S, 1.0 / S))
    theorem = np.einsum("s,sad,sa->d", visits, slopes, paid + 0.9 * p @ v)  # ∇log f of −τ_L log f has mean zero
    np.testing.assert_allclose(bg.hypergradient(world.game, world.theta).gradient, theorem, rtol=1e-11, atol=1e-13)


LOST = {
    "the leader's entropy with the wrong sign": lambda w: setattr(w, "entropic", -w.entropic),
    "the leader's reference forgotten": lambda w: setattr(w, "beside", None),
    "entropy for the follower's KL": lambda w: setattr(w, "reference", None),
    "twice the leader's temperature": lambda w: setattr(w, "entropic", 2.0 * w.entropic),
}


@pytest.mark.parametrize("mistake", LOST)
def test_what_people_lose_is_rejected(mistake):
    world, other = Regularised(3), Regularised(3)
    LOST[mistake](other)
    assert check_hypergradient(world.slopes(), world.game, world.theta, tolerance=1e-6).ok
    assert check_hypergradient(other.slopes(), world.game, world.theta, tolerance=1e-6).verdict == Verdict.DISAGREES


@pytest.mark.parametrize("kind", KINDS)
def test_bundles_and_known_mistakes(kind, tmp_path):
    world = Regularised(4, kind)
    ref = bg.hypergradient(world.game, world.theta)
    if kind != "as published":  # of which no formulas of mistakes are known
        assert mistakes(ref).missing == ""
    folder = bundles.export(world.game, world.theta, tmp_path / "game")
    assert bundles.check(folder, ref.gradient).ok
    assert not bundles.check(folder, 1.001 * ref.gradient).ok


def test_bad_input():
    def refused(message, kind="sees", **change):
        world = Regularised(5, kind)
        vars(world).update(change)
        with pytest.raises(bg.errors.InvalidModel, match=message):
            world.game  # noqa: B018

    refused(r"reference has shape \(3, 2, 2\), expected \(3, 2, 3\) or \(3, 3\)", reference=np.full((3, 2, 2), 0.5))
    refused(r"leader_reference\[0, 0\] is 0: its log is infinite", beside=np.array([[0.0, 1.0]] * 3))
    third = np.full((3, 2, 3), 1.0 / 3.0)
    refused(r"plans without the leader's action: expected \(3, 3\)", "does not see", reference=third)
    refused(r"leader_temperature is -1\.0; it must be at least 0", entropic=-1.0)
    refused(r"leader_reference\[0\] sums to 0\.8", beside=np.full((3, 2), 0.4))
