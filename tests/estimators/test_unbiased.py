"""Which estimators are unbiased, held against the exact hypergradient by `check_estimator`; and which are not.

Sources: Theorems 1 and 2 (BC-HG (5)(8)), Lemma 2, HPGD Prop E.2, E.3, SoBiRL (79); what is called biased is biased by design,
or by one mistake planted here.
"""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import (
    BCHG,
    HPGD,
    HPGDOracle,
    LQGameBCHG,
    LQGameNaivePGD,
    NaivePGD,
    Sampling,
    SoBiRL,
    StocSoBiRL,
    ZeroOrder,
    variance_reduced,
)
from boltzgrad.estimators.tabular.family import TabularFamily
from boltzgrad.verify import BiasVerdict, check_estimator
from estimators.small import game, lqr, moving, shaped
from tests_helpers import slow

MANY, FEW = Sampling(episodes=200), Sampling(episodes=3)
CUT = Sampling(episodes=2, steps=20, time_limit=8)
STEERED = bg.problems.load("lqr-game", horizon=10)
GAIN = np.array([-6.0, 0.5])
SETTINGS = {
    "kernel, start, rewards": moving(),
    "episodes that end": moving(fade=0.4),
    "a leader without patience": moving(leader_discount=0.0),
    "a follower without patience": moving(follower_discount=0.0),
    "a more patient follower": moving(follower_discount=0.7, leader_discount=0.3),
    "rewards and start": shaped(start=True, ending=0.5),
    "a cold follower": moving(temperature=0.05),
}
METHODS = {
    "sampled": BCHG(),
    "sampled, centred": BCHG(baseline=True),
    "λ = 0": BCHG(segments=0.0, baseline=True),
    "λ = .5": BCHG(segments=0.5, baseline=True),
    "λ = 1": BCHG(segments=1.0, baseline=True),
    "exact": variance_reduced(),
    "actions summed out": variance_reduced(actions="expected"),
    "HPGD, sampled": HPGD(critic="exact", segments="sampled"),
    "HPGD, λ = .5": HPGD(critic="exact", segments=0.5, baseline=True),
    "HPGD, exact": HPGD(critic="exact", segments="exact", baseline=True),
}
# Name -> (estimator, problem, batches, resolution): called unbiased at that resolution.
SHARP = {
    "one episode a batch": (BCHG(baseline=True, sampling=Sampling(episodes=1)), moving(), 2000, 0.15),
    "waiting for the end": (BCHG(baseline=True, sampling=Sampling(horizon="episode")), moving(fade=0.4), 200, 0.15),
    "GradEst": (HPGDOracle(sampling=Sampling(episodes=50)), moving(), 800, 0.2),
    "GradEst, a follower without patience": (HPGDOracle(), moving(follower_discount=0.0), 700, 0.15),
    "GradEst, rewards and start": (
        HPGDOracle(sampling=Sampling(episodes=50)),
        shaped(start=True, ending=0.5),
        800,
        0.2,
    ),
    "contexts": (variance_reduced(sampling=Sampling(episodes=1)), moving(contexts=2), 4000, 0.25),
    "own kernel, exact": (variance_reduced(), moving(own=True), 150, 0.15),
    "own kernel, summed": (variance_reduced(actions="expected"), moving(own=True), 150, 0.15),
    "own kernel, HPGD": (HPGD(critic="exact", segments="exact", baseline=True), moving(own=True), 150, 0.15),
    "SoBiRL where one step is all": (SoBiRL(), shaped(follower_discount=0.0), 500, 0.15),
    "central differences": (ZeroOrder(central=True, radius=1e-3), moving(), 3000, 0.25),
    "a game, centred": (BCHG(baseline=True), game(), 400, 0.15),
    "a game, exact": (variance_reduced(), game(), 400, 0.15),
    "a game, summed": (variance_reduced(actions="expected"), game(), 400, 0.15),
    "a follower that sees the state only": (BCHG(baseline=True), game(observes=False), 400, 0.2),
    "LQR, exact": (variance_reduced(sampling=MANY), lqr(), 100, 0.2),
    "LQR, exact, horizon": (variance_reduced(sampling=MANY), lqr(horizon=4), 200, 0.15),
    "LQR, sampled, horizon 2": (BCHG(baseline=True, sampling=MANY), lqr(horizon=2), 100, 0.2),
    "LQR, λ = .5, horizon 2": (BCHG(baseline=True, segments=0.5, sampling=MANY), lqr(horizon=2), 100, 0.2),
    "LQR game, summed": (LQGameBCHG(segments="exact", baseline=True, actions="expected"), STEERED, 200, 0.01),
    "LQR game, exact": (LQGameBCHG(segments="exact", baseline=True, sampling=Sampling(episodes=20)), STEERED, 300, 0.2),
    "LQR game, sampled": (LQGameBCHG(baseline=True, sampling=Sampling(episodes=20)), STEERED, 200, 0.25),
}
# As noisy as they are, they must not be called biased.
NOISY = {
    "Stoc-SoBiRL": (StocSoBiRL(horizon=40, length=40), shaped(), 100),
    "Stoc-SoBiRL, two walkers": (StocSoBiRL(M=5, J=2, horizon=30, length=30), shaped(ending=0.5), 100),
    "GradEst with contexts": (HPGDOracle(), moving(contexts=2), 1000),
    "GradEst in a game": (HPGDOracle(), game(), 1000),
    "a game, as it comes": (BCHG(), game(), 1000),
    "a game, HPGD": (HPGD(critic="exact", segments="sampled"), game(), 1000),
    "LQR, as it comes": (BCHG(sampling=MANY), lqr(), 100),
    "LQR, λ = 0": (BCHG(segments=0.0, baseline=True, sampling=MANY), lqr(), 100),
    "LQR, HPGD": (HPGD(critic="exact", segments="sampled", baseline=True, sampling=MANY), lqr(), 100),
    "LQR, HPGD, exact": (HPGD(critic="exact", segments="exact", baseline=True, sampling=MANY), lqr(), 100),
    "LQR, HPGD, horizon": (
        HPGD(critic="exact", segments="sampled", baseline=True),
        bg.problems.load("thermal-control", horizon=5),
        200,
    ),
    "LQR game, as it comes": (LQGameBCHG(), STEERED, 50),
}


class WrongTrace(BCHG):
    """γ_L where the segment needs γ_F."""

    def combine(self, episodes, values):
        episodes.follower_discount = episodes.leader_discount
        super().combine(episodes, values)


class NoValueScore(BCHG):
    """Segments without γ_F ∇log p V_F."""

    def combine(self, episodes, values):
        episodes.direct(values, baseline=True)
        episodes.add_score = lambda *_: None
        episodes.guide(episodes.weights * (values.q - values.v) / episodes.tau)


class NoSurvival(BCHG):
    """Trajectories that stop by chance, weighed as if they did not."""

    def combine(self, episodes, values):
        w, r = episodes.worlds, episodes.rollout
        episodes.weights = np.where(r.alive, w.gamma_L**r.age, 0.0) / episodes.trajectories[r.lane]
        episodes.follower_discount = w.gamma_F
        super().combine(episodes, values)


class NoStart(BCHG):
    """∇log ρ forgotten."""

    def combine(self, episodes, values):
        episodes.add_start = lambda *_: None
        super().combine(episodes, values)


class CutSegments(HPGD):
    """The follower's segment ends where the leader's horizon does."""

    def combine(self, episodes, values):
        weights = episodes.weights * values.q / episodes.tau
        episodes.direct(values, baseline=True)
        episodes.as_published = True
        episodes.guide_by_advantage(weights, "sampled", baseline=True)


IMPATIENT = moving(follower_discount=0.2, leader_discount=0.8)
BIASED = {
    "Naive-PGD": (NaivePGD(baseline=True), moving(), 100),
    "Naive-PGD in a game": (NaivePGD(baseline=True), game(), 300),
    "Naive-PGD, LQR": (NaivePGD(baseline=True, sampling=MANY), lqr(), 50),
    "Naive-PGD, LQR game": (LQGameNaivePGD(baseline=True, sampling=Sampling(episodes=20)), STEERED, 100),
    "SoBiRL's truncation": (SoBiRL(), shaped(), 400),
    "HPGD from averages": (HPGD(critic="exact", sampling=FEW), moving(), 300),
    "a critic from the same returns": (BCHG(critic="monte-carlo", baseline=True, sampling=FEW), moving(), 600),
    "a SARSA critic": (BCHG(critic="sarsa", baseline=True, sampling=FEW), moving(), 300),
    "BC-HG as published": (BCHG(as_published=True, sampling=CUT), moving(), 300),
    "HPGD as published": (HPGD(as_published=True, sampling=CUT), moving(), 300),
    "oracle as published": (HPGDOracle(as_published=True, sampling=CUT, oracle_steps=60), moving(), 300),
    "LQR as published": (BCHG(as_published=True, sampling=Sampling(episodes=200)), lqr(horizon=2), 50),
    "two steps": (BCHG(baseline=True, sampling=Sampling(horizon=2)), moving(), 100),
    "a time limit": (BCHG(baseline=True, sampling=Sampling(time_limit=2)), moving(), 100),
    "environments that start again": (BCHG(baseline=True, sampling=CUT), moving(), 200),
    "long segments cut to one step": (StocSoBiRL(horizon=30, length=1), shaped(), 800),
    "long differences": (ZeroOrder(radius=1.0), moving(), 100),
    "γ_L for γ_F": (WrongTrace(baseline=True), IMPATIENT, 2000),
    "no score of V_F": (NoValueScore(), moving(), 1500),
    "no survival": (NoSurvival(baseline=True), moving(), 100),
    "no start": (NoStart(baseline=True), moving(), 200),
    "cut at the leader's horizon": (
        CutSegments(segments="sampled"),
        bg.problems.load("thermal-control", horizon=5),
        200,
    ),
}


def theta_of(problem):
    return GAIN if problem is STEERED else problem.initial_theta(seed=5)


def verdict(estimator, problem, n, **options):
    return check_estimator(estimator, problem, theta_of(problem), n_batches=n, seed=1, **options)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", METHODS)
def test_unbiased_in_every_setting(method, setting):
    check = verdict(METHODS[method], SETTINGS[setting], 500, level=1e-3, resolution=0.3)
    assert check.verdict != BiasVerdict.BIASED, check.summary()
    if "HPGD" not in method or setting in ("kernel, start, rewards", "episodes that end"):
        assert check.verdict == BiasVerdict.UNBIASED, check.summary()


@pytest.mark.parametrize(
    "case", [slow(case) if case in ("central differences", "contexts") else case for case in SHARP]
)
def test_unbiased_at_the_stated_resolution(case):
    estimator, problem, n, resolution = SHARP[case]
    check = verdict(estimator, problem, n, level=1e-3, resolution=resolution)
    assert check.verdict == BiasVerdict.UNBIASED, check.summary()


@pytest.mark.parametrize("case", NOISY)
def test_noisy_but_not_called_biased(case):
    estimator, problem, n = NOISY[case]
    check = verdict(estimator, problem, n, level=1e-3)
    assert check.verdict != BiasVerdict.BIASED, check.summary()


@pytest.mark.parametrize("case", BIASED)
def test_controls_are_called_biased(case):
    estimator, problem, n = BIASED[case]
    assert verdict(estimator, problem, n).verdict == BiasVerdict.BIASED


@pytest.mark.parametrize("method", [BCHG(baseline=True), BCHG(segments=0.0, baseline=True), HPGDOracle(sampling=MANY)])
def test_why_a_followers_own_kernel_is_refused(method, monkeypatch):
    """Segments along the world's trajectories are not those of a follower with a wrong model."""
    monkeypatch.setattr(TabularFamily, "check_follower", lambda *_: None)
    assert verdict(method, moving(own=True), 300).verdict == BiasVerdict.BIASED


def test_a_finite_leaders_horizon_does_not_cut_the_followers_segment():
    """After one step everything is ∇V_F, so every λ gives the same numbers on the same draws; a cut one does not."""
    problem = lqr(horizon=1)
    theta = problem.initial_theta(seed=5)
    first, *others = (
        BCHG(segments=s, baseline=True)(problem, theta, np.random.default_rng(0)) for s in ("sampled", 0.0, 0.5, 1.0)
    )
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-12)

    class Cut(BCHG):
        def combine(self, episodes, values):
            episodes.direct(values, baseline=True)
            episodes.as_published = True
            episodes.guide(episodes.weights * (values.q - values.v) / episodes.tau, baseline=True)

    cut = Cut(baseline=True)(problem, theta, np.random.default_rng(0))
    assert np.linalg.norm(cut - first) > 1e-3 * np.linalg.norm(first)
