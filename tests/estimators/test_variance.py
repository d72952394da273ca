"""What centring, λ and a white-box follower are worth: the spread of BC-HG's forms, largest first.

Source: EXPERIMENTS 1 (thermal-control: two orders of magnitude from centred scores, more from the closed-form ∇Q_F);
derivations `transition-control-variate`, `lambda-returns`, `conditional-gradient`.
"""

import itertools

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import BCHG, HPGD, LQGameBCHG, Sampling, variance_reduced
from estimators.small import game, moving, shaped

FORMS = {
    "sampled": BCHG(baseline=True),
    "λ = .5": BCHG(segments=0.5, baseline=True),
    "exact": variance_reduced(),
    "actions summed out": variance_reduced(actions="expected"),
}


def spread(estimator, problem, theta, n, seed=0):
    """√tr Cov of one batch's estimate, from n batches."""
    rows = estimator.batches(problem, theta, n, np.random.default_rng(seed))
    return float(np.sqrt(rows.var(axis=0, ddof=1).sum()))


def test_thermal_control_in_orders_of_magnitude():
    problem = bg.problems.load("thermal-control")
    theta = problem.initial_theta(seed=0)
    forms = {"raw": BCHG(), "centred": BCHG(baseline=True), "exact": variance_reduced()}
    sizes = {name: spread(form, problem, theta, 400) for name, form in forms.items()}
    assert sizes["raw"] >= 20.0 * sizes["centred"]
    assert sizes["centred"] >= 100.0 * sizes["exact"]
    again = spread(forms["raw"], problem, theta, 400, seed=1)
    assert (
        max(again / sizes["raw"], sizes["raw"] / again) < 5.0
    )  # control: no such factor between two samples of one form


@pytest.mark.parametrize(
    ("name", "options", "margin"),
    [
        ("four-rooms", {"temperature": 0.05}, 1.1),
        ("garnet", {"n_states": 12, "n_parameters": 8, "follower_discount": 0.95, "leader_discount": 0.9}, 1.0),
    ],
)
def test_every_step_helps_in_the_zoo(name, options, margin):
    problem = bg.problems.load(name, **options)
    theta = problem.initial_theta(seed=0)
    sizes = [spread(form, problem, theta, 200) for form in FORMS.values()]
    for more, less in itertools.pairwise(sizes):
        assert more >= 0.97 * less, sizes  # two samples of one spread differ by a few per cent
    assert sizes[0] >= margin * sizes[-1], sizes


@pytest.mark.parametrize(
    "problem", [moving(follower_discount=0.9), shaped(follower_discount=0.9)], ids=["moving", "shaped"]
)
def test_the_order_of_the_forms(problem):
    theta = problem.initial_theta(seed=5)
    sizes = [spread(form, problem, theta, 1500) for form in FORMS.values()]
    for more, less in itertools.pairwise(sizes):
        assert more >= 0.97 * less, sizes
    assert sizes[0] >= 1.5 * sizes[-1], sizes
    assert any(more < 0.97 * less for more, less in itertools.pairwise(sizes[::-1]))  # control: read backwards


def test_a_centred_score_in_a_game():
    problem = game()
    theta = problem.initial_theta(seed=5)
    raw, centred = (spread(BCHG(baseline=b), problem, theta, 400) for b in (False, True))
    assert raw >= 3.0 * centred


def test_the_lqr_game():
    problem, theta = bg.problems.load("lqr-game", horizon=10), np.array([-6.0, 0.5])
    raw = LQGameBCHG()
    centred, exact = LQGameBCHG(baseline=True), LQGameBCHG(segments="exact", baseline=True)
    summed = LQGameBCHG(segments="exact", baseline=True, actions="expected")
    sizes = [spread(form, problem, theta, 100) for form in (raw, centred, exact, summed)]
    assert sizes[0] > 100.0 * sizes[1]
    assert sizes[1] > 0.9 * sizes[2]
    assert sizes[2] > 20.0 * sizes[3]


def test_benefit_or_advantage():
    """HPGD's centring of ∇Q_F and BC-HG's of Q_L: one expectation, and not one spread."""
    problem = shaped(seed=4)
    theta = problem.initial_theta(seed=5)
    ours = spread(BCHG(segments=0.5, baseline=True), problem, theta, 1000)
    theirs = spread(HPGD(critic="exact", segments=0.5, baseline=True), problem, theta, 1000)
    assert theirs > 1.2 * ours


def test_the_spread_falls_with_the_root_of_the_batch():
    problem = moving()
    theta = problem.initial_theta(seed=5)
    small, large = (spread(variance_reduced(sampling=Sampling(episodes=k)), problem, theta, 1500) for k in (4, 64))
    assert small / large == pytest.approx(4.0, rel=0.1)
