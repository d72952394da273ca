"""J along a run: lent worlds are those of the run's own θ and follower, or are not taken."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import Stream
from boltzgrad.experiments.evaluate import Evaluator
from boltzgrad.experiments.methods import estimator

SEEDS = [Stream(0), Stream(1), Stream(2)]
PROBLEMS = {
    "four-rooms": {"temperature": 0.01},
    "four-rooms-two-goals": {},
    "synthetic": {},
    "thermal-control": {},
    "random-lqr": {},
    "lqr-game": {},
    "toy-game": {},
}
METHOD = {"lqr-game": "game-bc-hg", "synthetic": "m-sobirl"}
NOTHING_LENT = ("lqr-game", "synthetic", "toy-game")  # a bump, a general objective, a game's own table


def thetas_of(problem, seed=0):
    return np.stack([0.3 * problem.initial_theta(seed=seed + i) for i in range(len(SEEDS))])


class Counted(Evaluator):
    """How often worlds were lent."""

    lent = 0

    def _serves(self, worlds, thetas):
        found = super()._serves(worlds, thetas)
        self.lent += found
        return found


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_value_is_the_reference_s_with_and_without_a_run(name):
    problem = bg.problems.load(name, **PROBLEMS[name])
    thetas = thetas_of(problem)
    exact = np.array([bg.hypergradient(problem, theta).value for theta in thetas])
    run = estimator({"method": METHOD.get(name, "bc-hg")}).open(problem, SEEDS)
    run.estimate(thetas)
    judge = Counted(problem)
    np.testing.assert_allclose(judge.objective(thetas), exact, rtol=1e-10)
    np.testing.assert_allclose(judge.objective(thetas, run), exact, rtol=1e-10)
    assert judge.lent == (name not in NOTHING_LENT)
    # At other θ the run's worlds are not taken.
    further = thetas_of(problem, seed=7)
    elsewhere = np.array([bg.hypergradient(problem, theta).value for theta in further])
    np.testing.assert_allclose(judge.objective(further, run), elsewhere, rtol=1e-10)
    assert np.abs(elsewhere - exact).max() > 1e-4 * np.abs(exact).max()


def test_worlds_of_another_follower_or_problem_are_not_taken():
    problem = bg.problems.load("four-rooms", temperature=0.01)
    thetas, judge = thetas_of(problem), Counted(problem)
    exact = judge.objective(thetas)
    run = estimator({"method": "bc-hg"}).open(problem, SEEDS)
    run.temperature = 0.5
    run.estimate(thetas)
    np.testing.assert_allclose(judge.objective(thetas, run), exact, rtol=1e-12)
    run = estimator({"method": "bc-hg", "follower": {"name": "soft-value-iteration", "sweeps": 3}}).open(problem, SEEDS)
    run.estimate(thetas)
    np.testing.assert_allclose(judge.objective(thetas, run), exact, rtol=1e-12)
    other = bg.problems.load("four-rooms", temperature=0.02)
    run = estimator({"method": "bc-hg"}).open(other, SEEDS)
    run.estimate(thetas)
    np.testing.assert_allclose(judge.objective(thetas, run), exact, rtol=1e-12)
    assert judge.lent == 0
    assert np.abs(Evaluator(other).objective(thetas) - exact).max() > 1e-4  # the control: they differ
