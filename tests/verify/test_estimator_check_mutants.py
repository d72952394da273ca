"""Estimators built from the mutants: the true gradient with noise passes, every wrong one with the same noise is rejected."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.verify import BiasVerdict, check_estimator
from boltzgrad.verify.mutants import FAMILIES

MUTANTS = {f"{family}: {m.name}": m for family, room in FAMILIES.items() for m in room.MUTANTS}


class Noisy:
    """A mean with noise as rollouts make it: a random length, a few common directions, skewed and heavy-tailed entries."""

    def __init__(self, mean, exact, size):
        self.mean, self.exact, self.size = mean, exact, size

    def batches(self, problem, theta, n, rng):
        d, norm = self.exact.size, np.linalg.norm(self.exact)
        common = np.random.default_rng(0).standard_normal((3, d)) / np.sqrt(3 * d)
        entries = np.abs(self.exact) / norm + 0.1 / np.sqrt(d)
        rows = (
            0.5 * (rng.exponential(size=(n, 1)) - 1.0) * self.exact / norm
            + 0.5 * (rng.standard_normal((n, 3)) @ common)
            + 0.5 * entries * (rng.exponential(size=(n, d)) - 1.0)
            + 0.2 * entries * rng.standard_t(3, (n, d))
        )
        return self.mean + self.size * rows


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_rejected_and_the_truth_is_not(name):
    mutant = MUTANTS[name]
    problem = mutant.exposed_by
    theta = problem.initial_theta(seed=1)
    exact = bg.hypergradient(problem, theta)
    wrong = mutant.gradient(problem, theta)
    off = float(np.linalg.norm(wrong - exact.gradient))
    options = {"reference": exact, "n_batches": 200, "seed": 4}
    truth = check_estimator(Noisy(exact.gradient, exact.gradient, off), problem, theta, **options)
    check = check_estimator(Noisy(wrong, exact.gradient, off), problem, theta, **options)
    assert truth.verdict != BiasVerdict.BIASED
    assert truth.detectable < off  # so this is no test of luck
    assert check.verdict == BiasVerdict.BIASED
    low, high = check.bias_interval
    assert low <= off <= high


@pytest.mark.parametrize("name", ["four-rooms", "synthetic-hard", "random-game", "thermal-control"])
def test_the_truth_passes_with_noise_as_large_as_the_gradient(name):
    problem = bg.problems.load(name)
    theta = problem.initial_theta(seed=1)
    exact = bg.hypergradient(problem, theta)
    estimator = Noisy(exact.gradient, exact.gradient, float(np.linalg.norm(exact.gradient)))
    check = check_estimator(estimator, problem, theta, reference=exact, sequential=True)
    assert check.ok, str(check)
