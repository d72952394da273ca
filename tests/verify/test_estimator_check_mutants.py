"""Estimators built from the mutants: the true gradient with noise passes, every wrong one with the same noise is rejected."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.verify import BiasVerdict, check_estimator
from boltzgrad.verify.mutants import FAMILIES
from tests_helpers import benchmark

MUTANTS = {f"{family}: {m.name}": m for family, room in FAMILIES.items() for m in room.MUTANTS}

Noisy = benchmark("estimator_level").Noisy


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
