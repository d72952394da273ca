"""What samples say about the size of a bias: estimates without bias, bounds that hold, detectable sizes that are detected."""

import numpy as np
import pytest
from scipy import stats

from boltzgrad.verify import statistics
from verify_laws import laws

N, D = 60, 30
LAWS = laws(D)
MIXING = np.random.default_rng(0).standard_normal((D, D)) / np.sqrt(D)


def repeat(function, times=400, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([function(rng) for _ in range(times)])


@pytest.mark.parametrize("law", ["normal", "exponential", "low rank", "skewed products"])
@pytest.mark.parametrize("size", [0.0, 1.0])
def test_the_squared_norm_is_estimated_without_bias(law, size):
    shift = np.full(D, size / np.sqrt(D))
    found = repeat(lambda rng: statistics.squared_norm(LAWS[law](rng, N) + shift))
    assert abs(found.mean() - size**2) < 4.0 * found.std() / np.sqrt(len(found))
    assert repeat(lambda rng: np.sum(LAWS[law](rng, N).mean(axis=0) ** 2)).mean() > 0.2  # the plain square is biased


def test_the_covariance_in_three_numbers():
    covariance = MIXING @ MIXING.T
    found = repeat(lambda rng: _three(statistics.spread(rng.standard_normal((N, D)) @ MIXING.T)), 200)
    exact = [np.trace(covariance), np.trace(covariance @ covariance)]
    np.testing.assert_allclose(found.mean(axis=0)[:2], exact, rtol=0.08)
    assert found[:, 2].min() > 0.8 * np.linalg.eigvalsh(covariance)[-1]
    many = statistics.spread(np.random.default_rng(1).standard_normal((20000, D)) @ MIXING.T)
    np.testing.assert_allclose(_three(many), [*exact, np.linalg.eigvalsh(covariance)[-1]], rtol=0.3)


def _three(s):
    return [s.trace, s.trace_of_square, s.largest]


def test_merged_rows_keep_the_mean_and_the_sum_of_what_they_hold():
    rows = np.arange(3 * 2050, dtype=float).reshape(2050, 3)
    blocks = statistics.merged(rows)
    assert len(blocks) == 410
    np.testing.assert_allclose(blocks[0], rows[:5].mean(axis=0))
    np.testing.assert_allclose(blocks.mean(axis=0), rows.mean(axis=0))
    np.testing.assert_array_equal(statistics.merged(rows[:512]), rows[:512])
    assert len(statistics.merged(rows[:513])) == 256  # the last row is left out


@pytest.mark.parametrize("law", ["normal", "low rank", "t3, one radius", "exponential"])
def test_an_unbiased_estimator_exceeds_the_threshold_as_often_as_it_says(law):
    def exceeds(rng):
        rows = LAWS[law](rng, N)
        return statistics.squared_norm(rows) > statistics.threshold(statistics.spread(rows), 0.05)

    assert repeat(exceeds).mean() <= stats.binom.ppf(0.999, 400, 0.05) / 400


@pytest.mark.parametrize("where", ["worst", "best", "spread out", "one coordinate"])
@pytest.mark.parametrize("law", ["isotropic", "mixed", "one direction"])
def test_a_bias_of_the_detectable_size_is_detected_whichever_way_it_points(law, where):
    root = {"isotropic": np.eye(D), "mixed": MIXING, "one direction": np.diag([5.0] + [0.1] * (D - 1))}[law]
    vectors = np.linalg.eigh(root @ root.T)[1]
    unit = {"worst": vectors[:, -1], "best": vectors[:, 0], "spread out": np.ones(D) / np.sqrt(D)}.get(
        where, np.eye(D)[3]
    )

    def seen(rng):
        noise = rng.standard_normal((N, D)) @ root.T
        size = statistics.detectable(statistics.spread(noise), level=0.01, power=0.9)
        rows = noise + size * unit
        return statistics.squared_norm(rows) > statistics.threshold(statistics.spread(rows), 0.01)

    assert repeat(seen, 300).mean() > 0.85


def test_more_batches_more_power_and_more_level_show_less():
    def size(n=200, **change):
        rows = np.random.default_rng(0).standard_normal((n, D))
        return statistics.detectable(statistics.spread(rows), **{"level": 0.01, "power": 0.9, **change})

    assert size(800) == pytest.approx(size(200) / 2.0, rel=0.15)
    assert size(level=0.1) < size() < size(power=0.99)
    assert statistics.detectable(statistics.spread(np.zeros((20, 3))), level=0.01, power=0.9) == 0.0


def test_a_bias_along_a_direction_is_detected_as_often_as_it_says():
    unit = np.ones(D) / np.sqrt(D)

    def seen(rng):
        noise = rng.standard_normal((N, D)) @ MIXING.T
        size = statistics.detectable_along(noise, unit, level=0.01, power=0.9)
        return stats.ttest_1samp((noise + size * unit) @ unit, 0.0).pvalue < 0.01

    assert 0.85 < repeat(seen).mean() < 0.95


@pytest.mark.parametrize("law", ["normal", "low rank", "exponential", "t3, one radius"])
@pytest.mark.parametrize("size", [0.0, 0.3, 1.0, 10.0])
def test_the_interval_covers_the_norm(law, size):
    shift = np.full(D, size / np.sqrt(D))

    def covered(rng):
        rows = LAWS[law](rng, N) + shift
        low, high = statistics.norm_interval(statistics.squared_norm(rows), statistics.spread(rows), 0.1)
        return low <= size <= high

    assert repeat(covered, 300).mean() >= stats.binom.ppf(0.001, 300, 0.9) / 300


def test_the_interval_is_narrow_where_the_bias_is_large():
    rows = np.random.default_rng(0).standard_normal((200, D)) + 2.0
    low, high = statistics.norm_interval(statistics.squared_norm(rows), statistics.spread(rows), 0.01)
    assert 0.9 < low / (2.0 * np.sqrt(D)) < 1.0 < high / (2.0 * np.sqrt(D)) < 1.1


def test_coordinates_that_never_moved():
    """An event with probability q and jump o/q explains an offset o; it is missed n times with probability (1 − q)ⁿ."""
    q, jump, n = 0.05, 20.0, 40
    offset = q * jump / (1.0 - q)  # with the jump measured from the exact value
    assert statistics.silence_p(np.array([offset]), jump, n)[0] == pytest.approx((1.0 - q) ** n)
    assert statistics.silence_p(np.array([-1.0]), 0.0, n)[0] == 0.0
    needed = statistics.silence_needs(offset, jump, 1e-3)
    assert statistics.silence_p(np.array([offset]), jump, int(np.ceil(needed)))[0] <= 1e-3
    assert statistics.silence_p(np.array([offset]), jump, int(np.ceil(needed)) - 1)[0] > 1e-3


@pytest.mark.parametrize("d", [1, 1000])
def test_consecutive_rows_that_are_correlated_are_seen_and_others_not(d):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((N, d))
    assert abs(statistics.serial_correlation(rows)) < 3.5
    kept = rows.copy()
    for i in range(1, N):
        kept[i] = 0.8 * kept[i - 1] + 0.6 * rows[i]
    assert statistics.serial_correlation(kept) > 3.5
    assert statistics.serial_correlation(np.zeros((N, d))) == 0.0


def test_a_batch_that_has_most_of_the_spread_is_seen():
    rows = np.random.default_rng(0).standard_normal((N, 3))
    rows[4, 1], rows[:, 2] = 100.0, 5.0
    share = statistics.heaviest_batch(rows)
    assert share[0] < 0.3
    assert share[1] > 0.9
    assert share[2] == 0.0
