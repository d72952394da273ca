"""A lane's numbers are its own: alone or among others, call after call; and one seed is one world for every method."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import (
    AMD,
    BCHG,
    DRLHF,
    HPGD,
    BiAC,
    ExactGradient,
    HPGDOracle,
    LQGameBCHG,
    MSoBiRL,
    NaivePGD,
    NoisyExact,
    Sampling,
    StocSoBiRL,
    Stream,
    TrajectorySoBiRL,
    ZeroOrder,
    variance_reduced,
)
from boltzgrad.estimators.gaussian.critics import Network
from boltzgrad.estimators.tabular.critics import Sarsa, along
from estimators.small import lqr, moving, shaped

FEW = Sampling(episodes=3)
# Six lanes whose Bi-AC operators need different numbers of sweeps.
UNEVEN = bg.problems.load(
    "random-game", n_states=4, n_leader_actions=2, n_follower_actions=3, leader_discount=0.9, seed=1
)
CASES = {
    "BC-HG": (BCHG(sampling=FEW), moving()),
    "BC-HG, contexts": (BCHG(sampling=FEW, segments=0.5), moving(contexts=2)),
    "BC-HG, exact": (variance_reduced(sampling=FEW), moving()),
    "SARSA, geometric lengths": (BCHG(sampling=FEW, critic="sarsa"), moving()),
    "SARSA, fixed steps": (
        BCHG(sampling=Sampling(episodes=2, steps=30, time_limit=7), critic=Sarsa(as_published=True), as_published=True),
        moving(),
    ),
    "TD": (HPGD(sampling=FEW, critic="td"), moving()),
    "HPGD": (HPGD(sampling=FEW), moving()),
    "HPGD oracle": (HPGDOracle(sampling=FEW), moving(fade=0.4)),
    "HPGD oracle, published": (
        HPGDOracle(as_published=True, oracle_steps=40, sampling=Sampling(steps=30, time_limit=7)),
        moving(),
    ),
    "Stoc-SoBiRL": (StocSoBiRL(M=3, horizon=9, length=9, momentum=0.5), shaped(ending=0.5)),
    "Bi-AC": (BiAC(sampling=FEW), UNEVEN),
    "noisy exact": (NoisyExact(like=BCHG(sampling=FEW, critic="sarsa")), moving()),
    "exact": (ExactGradient(), moving(contexts=2)),
    "zero-order": (ZeroOrder(central=True), moving()),
    "AMD": (AMD(sweeps=5), moving()),
    "M-SoBiRL": (MSoBiRL(), bg.problems.load("synthetic-hard")),
    "DRLHF": (DRLHF(tuples=3), bg.problems.load("rlhf", horizon=2)),
    "SoBiRL on trajectories": (TrajectorySoBiRL(tuples=3), bg.problems.load("rlhf", horizon=2)),
    "LQR game": (LQGameBCHG(sampling=FEW), bg.problems.load("lqr-game", horizon=10)),
}
# Sums along trajectories of other lengths are rounded otherwise: equal up to that.
ROUNDED = {
    "LQR": (BCHG(sampling=FEW), lqr()),
    "LQR, exact": (variance_reduced(sampling=FEW), lqr()),
    "LQR, returns": (BCHG(sampling=Sampling(episodes=20), critic="monte-carlo"), lqr()),
    "LQR, network": (BCHG(sampling=FEW, critic=Network(hidden=(8,), updates=3, minibatch=16)), lqr()),
}
DETERMINISTIC = ("exact", "AMD")


def estimates(estimator, problem, seeds, calls=3, *, theta=None):
    """(lanes, calls, d), each lane's θ moving with its own estimates."""
    streams = [Stream(seed) for seed in seeds]
    run = estimator.open(problem, streams)
    starts = [s.split("theta").generator().standard_normal(problem.dim) for s in streams]
    at = np.stack(starts) * 0.3 if theta is None else np.tile(theta, (len(seeds), 1))
    out = []
    for _ in range(calls):
        found = run.estimate(at)
        assert found.steps.shape == (len(seeds),)
        size = np.linalg.norm(found.gradient, axis=1, keepdims=True)
        at = at + 0.01 * found.gradient / np.where(size > 0.0, size, 1.0)
        out.append(found.gradient)
    return np.stack(out, axis=1)


@pytest.mark.parametrize("case", CASES)
def test_alone_and_among_others(case):
    estimator, problem = CASES[case]
    many = estimates(estimator, problem, [0, 1, 2, 3, 4])
    for lane in (0, 3):
        np.testing.assert_array_equal(many[lane], estimates(estimator, problem, [lane])[0])
    assert not np.array_equal(many[0], many[3])


@pytest.mark.parametrize("case", ROUNDED)
def test_alone_and_among_others_up_to_rounding(case):
    estimator, problem = ROUNDED[case]
    many = estimates(estimator, problem, [0, 1, 2, 3])
    for lane in (1, 2):
        alone = estimates(estimator, problem, [lane])[0]
        np.testing.assert_allclose(many[lane], alone, rtol=0.0, atol=1e-9 * np.abs(alone).max())
    assert np.abs(many[1] - many[2]).max() > 1e-6 * np.abs(many).max()


@pytest.mark.parametrize("case", sorted(set(CASES) - set(DETERMINISTIC)))
def test_seeds_differ_at_one_theta(case):
    estimator, problem = CASES[case]
    theta = np.full(problem.dim, 0.1)
    a, b = estimates(estimator, problem, [7, 8], calls=1, theta=theta)
    assert not np.array_equal(a, b)
    again = estimates(estimator, problem, [7], calls=1, theta=theta)[0]
    np.testing.assert_array_equal(a, again)


@pytest.mark.parametrize("case", DETERMINISTIC)
def test_nothing_is_drawn_where_nothing_is_random(case):
    estimator, problem = CASES[case]
    a, b = estimates(estimator, problem, [7, 8], calls=1, theta=np.full(problem.dim, 0.1))
    np.testing.assert_array_equal(a, b)


class Leaky(Sarsa):
    """Draws as many numbers as the longest batch of all lanes has steps."""

    def fit(self, episodes, state, draws):
        T, N = episodes.rollout.state.shape
        order = np.argsort(draws.uniform("sarsa order", T * N // draws.lanes), axis=1)
        q = self.sweep(episodes, state, order)
        return along(episodes, q, (episodes.worlds.policy * q).sum(axis=2)), q


def test_a_leak_between_lanes_is_seen():
    """The control: a lane's later numbers move with how long its neighbours' batches were."""
    leaky = BCHG(sampling=FEW, critic=Leaky())
    many, alone = estimates(leaky, moving(), [0, 1, 2, 3, 4]), estimates(leaky, moving(), [3])
    assert not np.array_equal(many[3], alone[0])


def test_the_operators_of_bi_ac_stop_one_by_one():
    """Q itself, to the last bit: the lanes of `UNEVEN` need different numbers of sweeps."""
    streams = [Stream(s) for s in range(5)]
    thetas = np.stack([6.0 * s.split("wide").generator().standard_normal(UNEVEN.dim) for s in streams])
    many = BiAC(sampling=FEW).open(UNEVEN, streams)
    many.estimate(thetas)
    for lane in range(5):
        alone = BiAC(sampling=FEW).open(UNEVEN, [streams[lane]])
        alone.estimate(thetas[[lane]])
        np.testing.assert_array_equal(many.state[lane], alone.state[0])
    assert not np.array_equal(many.state[0], many.state[1])


def test_one_seed_is_one_world_for_every_method():
    """Common random numbers: the same trajectories, whatever else a method draws."""
    problem, tours = moving(), {}
    theta = problem.initial_theta(seed=1)[None]
    methods = {
        "BC-HG": BCHG(sampling=FEW),
        "SARSA": BCHG(sampling=FEW, critic="sarsa"),
        "Naive-PGD": NaivePGD(sampling=FEW),
        "HPGD": HPGD(sampling=FEW),
    }
    for name, method in methods.items():
        run = method.open(problem, [Stream(4)])
        for _ in range(2):
            run.estimate(theta)
        tours[name] = run.episodes(theta).rollout
    first = tours.pop("BC-HG")
    for other in tours.values():
        np.testing.assert_array_equal(first.state, other.state)
        np.testing.assert_array_equal(first.action, other.action)
    control = methods["BC-HG"].open(problem, [Stream(5)]).episodes(theta).rollout
    assert first.state.shape != control.state.shape or not np.array_equal(first.state, control.state)


def test_common_random_numbers_cancel():
    """Naive-PGD and BC-HG of one seed differ by the guiding term only, which has less spread than two seeds' difference."""
    problem, seeds = moving(), range(60)
    theta = problem.initial_theta(seed=5)
    a, b = (estimates(m, problem, seeds, 1, theta=theta)[:, 0] for m in (variance_reduced(), NaivePGD(baseline=True)))
    together = (a - b).std(axis=0)
    apart = (a - np.roll(b, 1, axis=0)).std(axis=0)
    assert (together < apart).all()
