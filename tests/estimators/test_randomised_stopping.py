"""HPGD's randomised early stopping: the mean of the last iterate, few steps, and a second moment that grows with the levels."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators import RandomisedStopping, Stream
from estimators.small import game, moving, shaped

PROBLEM = shaped(temperature=1.0)
THETA = 0.5 * PROBLEM.initial_theta(seed=3)


def test_it_has_the_mean_of_the_last_iterate():
    last = RandomisedStopping(levels=4, randomised=False).batches(PROBLEM, THETA, 500, np.random.default_rng(1))
    early = RandomisedStopping(levels=4).batches(PROBLEM, THETA, 1500, np.random.default_rng(2))
    error = np.sqrt(last.var(axis=0) / len(last) + early.var(axis=0) / len(early))
    assert np.all(np.abs(last.mean(axis=0) - early.mean(axis=0)) < 4 * error)
    first = RandomisedStopping(levels=2, randomised=False).batches(PROBLEM, THETA, 500, np.random.default_rng(3))
    assert np.any(np.abs(first.mean(axis=0) - early.mean(axis=0)) > 4 * error)  # control: that of an earlier one shows


def test_its_second_moment_grows_with_the_levels_and_costs_more_than_it_saves():
    K = 9
    method, rng = RandomisedStopping(levels=K), np.random.default_rng(0)
    iterates = np.stack([method.gradients(PROBLEM, THETA, rng, tuple(range(1, K + 1))) for _ in range(120)])
    moments = (np.diff(iterates, axis=1) ** 2).sum(axis=-1).mean(axis=0)  # E‖F_{t_{k+1}} − F_{t_k}‖², k = 1 … K − 1
    level = moments * 2.0 ** np.arange(1, K)
    assert 0.5 < level[-1] / level[-4] < 2.0  # of a follower that converges without noise this would be below .1
    p = method.probabilities
    steps = float((p * 2.0 ** np.arange(2, K + 1)).sum())
    assert steps == pytest.approx(2 * (K - 1) / (1 - 0.5 ** (K - 1)))
    variance = ((iterates[:, -1] - iterates[:, -1].mean(axis=0)) ** 2).sum(axis=-1).mean()
    correction = float((moments / p).sum())
    assert correction * steps / (variance * 2**K) > 50  # at equal work; measured: some hundreds


def test_steps_are_those_of_the_walks():
    lanes = [Stream(i) for i in range(300)]
    run = RandomisedStopping(levels=5, walkers=2).open(PROBLEM, lanes)
    steps = run.estimate(np.tile(THETA, (300, 1))).steps
    assert set(steps) == {2 * 2**k for k in (2, 3, 4, 5)}
    for k, p in zip((2, 3, 4, 5), np.array([8, 4, 2, 1]) / 15, strict=True):
        assert abs((steps == 2 * 2**k).mean() - p) < 5 * np.sqrt(p / 300)
    last = RandomisedStopping(levels=5, walkers=2, randomised=False).open(PROBLEM, lanes[:2])
    assert set(last.estimate(np.tile(THETA, (2, 1))).steps) == {2 * 32}


def test_a_lane_is_its_own():
    run = RandomisedStopping(levels=5).open(PROBLEM, [Stream(i) for i in range(3)])
    alone = RandomisedStopping(levels=5).open(PROBLEM, [Stream(1)])
    for _ in range(2):
        together = run.estimate(np.tile(THETA, (3, 1))).gradient
        np.testing.assert_array_equal(alone.estimate(THETA[None]).gradient[0], together[1])
        assert not np.array_equal(together[0], together[1])


REFUSED = [
    (RandomisedStopping(levels=1), PROBLEM, "levels is 1; expected at least 2"),
    (RandomisedStopping(levels=2.5), PROBLEM, "levels is 2.5"),
    (RandomisedStopping(walkers=0), PROBLEM, "walkers is 0"),
    (RandomisedStopping(randomised=1), PROBLEM, "randomised is 1; expected True or False"),
    (RandomisedStopping(), game(), "trains the follower of a table"),
    (RandomisedStopping(), moving(contexts=2), "has several contexts"),
    (RandomisedStopping(), bg.problems.load("finite-garnet"), "trains the follower of a table"),
]


@pytest.mark.parametrize(("method", "problem", "words"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(method, problem, words):
    with pytest.raises(InvalidOption, match=words):
        method.open(problem, [Stream(0)])
