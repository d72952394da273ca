"""The test that a mean is zero: its level under every law of batches, and what each of its statistics sees.

The docstring of `sign_flips` has what 2000 replicates of each law gave; here fewer of each, and 2000 of all together.
"""

import numpy as np
import pytest
from scipy import stats

from boltzgrad.verify.sign_flips import FIRST_FLIPS, STATISTICS, flip_test, inverse, transformed
from tests_helpers import sample
from verify_laws import laws

N, D, LEVEL, FLIPS = 50, 105, 0.05, 400
LAWS = laws(D)
DIRECTION = np.random.default_rng(3).standard_normal(D)
DIRECTION /= np.linalg.norm(DIRECTION)


def moving(rows):
    """Coordinates that no batch moved are zero, as `check_estimator` hands them in."""
    return np.where(np.ptp(rows, axis=0) > 0.0, rows, 0.0)


def rejects(rows, rng):
    p = flip_test(moving(rows), DIRECTION, level=LEVEL / 4, flips=FLIPS, rng=rng).p_values
    return 4 * min(p.values()) <= LEVEL


def most(replicates, level):
    """The number of false alarms that a test of this level exceeds once in a thousand times."""
    return stats.binom.ppf(0.999, replicates, level)


@pytest.mark.slow
def test_the_level_holds_over_all_laws_together():
    rng, replicates = np.random.default_rng(11), 2000
    names = list(LAWS)
    alarms = sum(rejects(LAWS[names[k % len(names)]](rng, N), rng) for k in range(replicates))
    assert replicates * LEVEL / 10 <= alarms <= most(replicates, LEVEL)


@pytest.mark.parametrize("law", sample(LAWS, "normal", "chi-square", "rare, one in 30"))
def test_the_level_holds_under_each_law(law):
    rng, replicates = np.random.default_rng(13), 200
    alarms = sum(rejects(LAWS[law](rng, N), rng) for _ in range(replicates))
    assert alarms <= most(replicates, LEVEL)


@pytest.mark.parametrize("law", ["normal", "chi-square", "exponential", "rare, one in 10"])
def test_the_family_of_coordinates_holds_its_level(law):
    rng, replicates = np.random.default_rng(17), 150
    alarms = 0
    for _ in range(replicates):
        rows = moving(LAWS[law](rng, N))
        p = flip_test(rows, DIRECTION, level=LEVEL, flips=FLIPS, rng=rng).coordinate_p
        alarms += p[np.ptp(rows, axis=0) > 0.0].min() <= LEVEL
    assert alarms <= most(replicates, LEVEL)


def test_plain_t_statistics_would_not_hold_it():
    """The control: with Bonferroni on t, as in textbooks, most samples of χ² batches are called biased."""
    rng, replicates = np.random.default_rng(19), 100
    alarms = 0
    for _ in range(replicates):
        p = stats.ttest_1samp(LAWS["chi-square"](rng, N), 0.0, axis=0).pvalue
        alarms += D * p.min() <= LEVEL
    assert alarms > 5 * most(replicates, LEVEL)


@pytest.mark.parametrize(
    ("name", "shift"),
    [
        ("along", 0.75 * DIRECTION),
        ("norm", np.full(D, 0.16)),
        ("dense", np.full(D, 0.16)),
        ("sparse", np.eye(D)[7] * 0.95),
    ],
)
def test_each_statistic_sees_what_it_is_for(name, shift):
    seen = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        rows = rng.standard_normal((N, D)) + shift
        seen += flip_test(rows, DIRECTION, level=0.0125, flips=1000, rng=rng).p_values[name] <= 0.0125
    assert seen >= 9


def test_the_dense_statistic_sees_small_scales_that_the_norm_does_not():
    rng = np.random.default_rng(0)
    scales = np.where(np.arange(D) < 3, 1e3, 1.0)
    rows = (rng.standard_normal((N, D)) + 0.25 * (scales == 1.0)) * scales
    p = flip_test(rows, np.zeros(D), level=0.01, flips=1000, rng=rng).p_values
    assert p["dense"] < 0.01 < p["norm"]


def test_the_wrong_coordinate_is_named_and_no_other():
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((N, D)) * np.logspace(-3, 3, D)
    rows[:, 41] += 1.2 * np.logspace(-3, 3, D)[41]
    found = flip_test(rows, DIRECTION, level=0.01, flips=2000, rng=rng)
    np.testing.assert_array_equal(np.flatnonzero(found.coordinate_p <= 0.01), [41])
    np.testing.assert_array_equal(np.abs(found.observed) > found.critical, found.coordinate_p <= 0.01)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1.0, 1e8])
def test_units_do_not_matter(scale):
    rows = LAWS["exponential"](np.random.default_rng(1), N)
    once, again = (
        flip_test(r, DIRECTION, level=0.01, flips=300, rng=np.random.default_rng(2)) for r in (rows, scale * rows)
    )
    np.testing.assert_allclose(again.observed, once.observed, rtol=1e-9)
    assert again.p_values == pytest.approx(once.p_values)


def test_it_is_the_same_for_the_same_generator_and_ends_early_when_nothing_can_come_of_it():
    rows = LAWS["normal"](np.random.default_rng(1), N)
    a, b = (flip_test(rows, DIRECTION, level=1e-3, flips=20000, rng=np.random.default_rng(2)) for _ in range(2))
    assert a.p_values == b.p_values
    assert tuple(a.p_values) == STATISTICS
    assert a.flips == FIRST_FLIPS
    far = flip_test(rows + 1.0, DIRECTION, level=1e-3, flips=6000, rng=np.random.default_rng(2))
    assert far.flips == 6000
    assert max(far.p_values.values()) == pytest.approx(1.0 / 6001.0)


def test_halls_transform_is_the_formula_and_its_inverse_undoes_it():
    rng = np.random.default_rng(0)
    rows = rng.exponential(size=(40, 6)) - 1.0
    n = len(rows)
    size = np.sqrt((rows**2).mean(axis=0))
    h = transformed(rows.mean(axis=0) / size, (rows**3).mean(axis=0) / size**3, n)
    t = stats.ttest_1samp(rows, 0.0, axis=0).statistic
    g = stats.skew(rows, axis=0)
    np.testing.assert_allclose(
        h, t + g * t**2 / (3 * np.sqrt(n)) + g**2 * t**3 / (27 * n) + g / (6 * np.sqrt(n)), rtol=1e-9
    )
    np.testing.assert_allclose(inverse(h, g, n), t, rtol=1e-7)
    np.testing.assert_array_equal(inverse(h, np.zeros(6), n), h)
