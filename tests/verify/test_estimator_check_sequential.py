"""Batches in doublings: it stops when the answer is in, and its false alarms over all looks stay below the level."""

import numpy as np
import pytest
from scipy import stats

from boltzgrad.verify import BiasVerdict, check_estimator
from tests_helpers import slow

D = 5
EXACT = np.arange(1.0, D + 1.0)
NORM = float(np.linalg.norm(EXACT))


class Law:
    """Batches of a mean and a noise of √tr Σ = size·‖∇J‖, and how many were asked for."""

    def __init__(self, factor=1.0, size=1.0, skewed=False):
        self.factor, self.size, self.skewed, self.asked = factor, size, skewed, []

    def batches(self, problem, theta, n, rng):
        self.asked.append(n)
        rows = rng.exponential(size=(n, D)) - 1.0 if self.skewed else rng.standard_normal((n, D))
        return self.factor * EXACT + self.size * NORM / np.sqrt(D) * rows


@pytest.fixture(scope="module")
def run(make_problem):
    problem = make_problem(d=D)
    options = {"sequential": True, "reference": EXACT, "n_batches": 20}
    return lambda law, **change: check_estimator(law, problem, np.zeros(D), **{**options, **change})


@pytest.mark.parametrize(("skewed", "replicates"), [(False, 100), slow(False, 1000), slow(True, 1000)])
def test_false_alarms_over_all_looks(run, skewed, replicates):
    """Resolution is out of reach, so that every look is made: 20, 40, 80, 160 batches."""
    alarms, level = 0, 0.05
    for seed in range(replicates):
        check = run(Law(size=3.0, skewed=skewed), level=level, seed=seed, resolution=1e-3, max_batches=160)
        alarms += check.verdict == BiasVerdict.BIASED
        assert check.verdict != BiasVerdict.UNBIASED
    assert alarms <= stats.binom.ppf(0.999, replicates, level)


def test_looking_as_often_without_correction_would_not_hold_the_level(run):
    """The control: the p-value of each look by itself is below the level in more than the level's share of runs."""
    alarms, replicates, level = 0, 150, 0.2
    for seed in range(replicates):
        rows = np.random.default_rng(seed).standard_normal((640, 1))
        alarms += any(stats.ttest_1samp(rows[: 20 * 2**k, 0], 0.0).pvalue <= level for k in range(6))
    assert alarms > stats.binom.ppf(0.999, replicates, level)


def test_a_large_bias_is_found_at_the_first_look(run):
    law = Law(factor=-1.0, size=0.5)
    check = run(law)
    assert check.verdict == BiasVerdict.BIASED
    assert (check.n, check.looks, sum(law.asked)) == (20, 1, 20)


def test_a_small_bias_is_found_later(run):
    check = run(Law(factor=0.8, size=1.0), resolution=0.05)
    assert check.verdict == BiasVerdict.BIASED
    assert check.looks > 1
    assert f"{check.n} batches in {check.looks} looks" in str(check)


def test_it_stops_as_unbiased_as_soon_as_the_resolution_is_reached(run):
    law = Law()
    check = run(law)
    assert check.ok
    assert check.detectable <= 0.1 * NORM
    assert sum(law.asked) == check.n == 20 * 2 ** (check.looks - 1)
    before = run(Law(), max_batches=check.n // 2)
    assert before.verdict == BiasVerdict.NOT_ENOUGH


def test_it_ends_with_the_batches_allowed(run):
    check = run(Law(size=10.0), max_batches=70)
    assert check.verdict == BiasVerdict.NOT_ENOUGH
    assert (check.n, check.looks) == (70, 3)
    assert check.needed > 70


def test_the_stream_goes_on_and_a_fixed_number_draws_its_beginning(run):
    long = run(Law(size=10.0), max_batches=80)
    short = run(Law(size=10.0), sequential=False)
    assert long.n == 80
    np.testing.assert_array_equal(long.samples[:20], short.samples)
    assert len(np.unique(long.samples[:, 0])) == 80


def test_every_look_costs_some_of_the_level(run):
    """The p-value is corrected for the five tests and for the looks that may be made, whether or not they are."""
    for most, looks in ((20, 1), (160, 4), (161, 5)):
        check = run(Law(factor=-1.0, size=0.5), max_batches=most)
        assert check.looks == 1
        assert check.p_value == pytest.approx(5 * looks * min(check.tests.values()))
