"""The papers' returns, against the game played out and the controlled system simulated."""

from itertools import product

import numpy as np
import pytest

from boltzgrad import problems
from boltzgrad.experiments.metrics import METRICS, levels, lqr_game, policy_spread, preferences, toy_game
from boltzgrad.problems import LinearQuadraticGame
from boltzgrad.solvers import solve_follower
from boltzgrad.solvers.lqr import solve_lqr
from boltzgrad.zoo.toy_game import FOLLOWER, RULES, STATES

THETAS = [np.zeros(6), np.random.default_rng(0).standard_normal(6), np.array([0, 0, 2.0, -2.0, 0, 0])]


def soft_follower(p, bonus, gamma=0.99, tau=0.05, sweeps=4000):
    """π(b|s,a) by soft value iteration on the rules as they are printed; p (3, 2) is the leader's policy."""
    q = {(s, a): np.zeros(3) for s in STATES for a in (0, 1)}

    def value(s):
        out = 0.0
        for a in (0, 1):
            x = q[s, a] / tau
            out += p[STATES.index(s), a] * tau * (x.max() + np.log(np.exp(x - x.max()).sum()))
        return out

    for _ in range(sweeps):
        v = {s: value(s) for s in STATES}
        for key, moves in RULES.items():
            q[key] = np.array([(bonus if r is None else r) + gamma * v[to] for to, r, _ in moves])
    out = {}
    for key, x in q.items():
        e = np.exp((x - x.max()) / tau)
        out[key] = e / e.sum()
    return out


def played(p, follower, steps=150):
    """[discounted, undiscounted] leader's return: the distribution over states, pushed through the rules."""
    here, out = dict.fromkeys(STATES, 0.0) | {"S": 1.0}, np.zeros(2)
    for t in range(steps):
        following = dict.fromkeys(STATES, 0.0)
        for s in STATES:
            for a in (0, 1):
                for b in range(len(FOLLOWER)):
                    weight = here[s] * p[STATES.index(s), a] * follower[s, a][b]
                    to, _, reward = RULES[s, a][b]
                    out += weight * reward * np.array([0.99**t, 1.0])
                    following[to] += weight
        here = following
    return out


@pytest.mark.parametrize("bonus", [1, 2])
@pytest.mark.parametrize("theta", THETAS, ids=["uniform", "random", "p small"])
def test_the_toy_games_returns(bonus, theta):
    problem = problems.load("toy-game", bonus=bonus)
    table = np.exp(theta.reshape(3, 2))
    p = table / table.sum(axis=1, keepdims=True)
    follower = soft_follower(p, bonus)
    found = toy_game(problem, theta)
    np.testing.assert_allclose(found[0], p[1, 1], rtol=1e-14)
    np.testing.assert_allclose(found[1:], played(p, follower), rtol=1e-9, atol=1e-11)
    if found[2] > 1e-3:  # control: a step too few
        assert not np.allclose(found[1:], played(p, follower, 149), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("bonus", "column", "start"), [(1, 1, 0.5), (2, 2, 58.0)])
def test_the_published_start_of_the_toy_game(bonus, column, start):
    """EXPERIMENTS.md, 2, column `start`, read off the figure: discounted for bonus 1, undiscounted for 2."""
    found = toy_game(problems.load("toy-game", bonus=bonus), np.zeros(6))
    assert abs(found[column] - start) < 0.05 * start + 0.05
    other = toy_game(problems.load("toy-game", bonus=3 - bonus), np.zeros(6))
    assert abs(other[column] - start) > 0.05 * start + 0.05  # control: the other bonus starts elsewhere


def louder(horizon):
    """`lqr-game` with a noisy leader and a strong follower, so that it matters that the follower sees the noise."""
    quiet = problems.load("lqr-game", horizon=horizon)
    model = quiet.model(np.zeros(2))
    return LinearQuadraticGame(
        quiet.open_loop,
        [[0.5], [0.1]],
        quiet.leader_input,
        model.Q,
        model.R,
        model.mean,
        model.covariance,
        spread=5.0,
        **{name: getattr(model, name) for name in ("bump", "follower_discount", "leader_discount", "temperature")},
        horizon=horizon,
    )


def simulated(problem, theta, runs, rng, *, after=False):
    """Leader's undiscounted returns of the game played: the leader's noise first, then the follower, who saw it."""
    model = problem.model(theta)
    s, K = solve_lqr(model), theta.reshape(1, 2)
    low = np.linalg.cholesky(s.covariance)
    x, total = np.tile(model.mean, (runs, 1)), np.zeros(runs)

    def reward(x):
        d = (x - np.array([-0.8, 0.0])) / np.array([0.2, 0.01])
        return np.exp(-0.5 * (d**2).sum(axis=1))

    for _ in range(model.horizon):
        total += 0.0 if after else reward(x)
        a = x @ K.T + problem.spread * rng.standard_normal((runs, 1))
        seen = (a - x @ K.T) @ problem.leader_input.T
        u = -x @ s.K.T - seen @ s.K_w.T + rng.standard_normal((runs, 1)) @ low.T
        x = x @ problem.open_loop.T + u @ model.B.T + a @ problem.leader_input.T
        total += reward(x) if after else 0.0
    return total


@pytest.mark.parametrize("make", [lambda horizon: problems.load("lqr-game", horizon=horizon), louder])
@pytest.mark.parametrize("gains", [(-9.5, 1.0), (-8.0, 0.0), (-9.0, 8.0)])
def test_the_lqr_games_return(make, gains):
    problem, theta, seed = make(30), np.array(gains), 3
    total = simulated(problem, theta, 60_000, np.random.default_rng(seed))
    error = total.std(ddof=1) / np.sqrt(total.size)
    found = lqr_game(problem, theta)
    assert found > 20 * error  # so that the comparison says something
    assert abs(found - total.mean()) < 4 * error, f"seed {seed}"


def test_the_simulation_would_tell_a_reward_that_is_paid_a_step_late():
    """One step: all that is earned is the bump at x₀ = (1, 0), exp(−½ (1.8/.2)²)."""
    problem, theta = problems.load("lqr-game", horizon=1), np.array([-8.0, 0.0])
    right, late = (simulated(problem, theta, 2000, np.random.default_rng(3), after=a) for a in (False, True))
    np.testing.assert_allclose([lqr_game(problem, theta), right.mean()], np.exp(-0.5 * 9.0**2), rtol=1e-9)
    assert late.mean() > 0.1  # the step brings the state to −.8
    assert lqr_game(problems.load("lqr-game", horizon=2), theta) > 0.1  # control: the horizon counts


def test_levels():
    theta = np.array([-2.0, 0.0, 3.0])
    found = levels(None, theta)
    np.testing.assert_allclose(np.log(found) - np.log1p(-np.array(found)), theta, atol=1e-14)
    assert found[1] == 0.5
    assert levels(None, -theta)[0] != found[0]  # control


def test_policy_spread():
    problem = problems.load("synthetic")
    assert policy_spread(problem, np.zeros(problem.dim)) < 1e-12  # no reward, so uniform
    theta = np.ones(problem.dim)
    policy = solve_follower(problem.contexts(theta).models[0]).policy
    assert policy_spread(problem, theta) == max(abs(x - 0.2) for row in policy for x in row) > 1e-3


def test_preferences():
    """[true reward, share of pairs that the model judges rightly] over all trajectories, one by one."""
    problem = problems.load("rlhf", horizon=2, seed=1)
    theta = problem.initial_theta(seed=1)
    model, true = problem.contexts(theta).models[0], problem.objective.labels
    policy = solve_follower(model).policy
    walks = []  # (chance, true reward, the model's)
    for s, a, t, b in product(range(3), range(2), range(3), range(2)):
        chance = policy[s, a] * model.transition[s, a, t] * policy[t, b] / 3
        walks.append((chance, true[s, a] + true[t, b], *(np.tanh(theta[2 * s + a]) + np.tanh(theta[[2 * t + b]]))))
    reward = sum(p * r for p, r, _ in walks)
    told = [(p * q, (r - u) * (m - n) > 0) for p, r, m in walks for q, u, n in walks if abs(r - u) > 1e-9]
    share = sum(p for p, right in told if right) / sum(p for p, _ in told)
    np.testing.assert_allclose(preferences(problem, theta), [reward, share], rtol=1e-9)
    assert 0.1 < share < 0.9
    right = np.arctanh(0.4 * true / np.abs(true).max()).ravel()  # control: the true reward judges every pair rightly
    assert preferences(problem, right)[1] == pytest.approx(1.0)


def test_metrics_are_what_rows_can_hold():
    for name, problem in [
        ("toy-game", "toy-game"),
        ("lqr-game", "lqr-game"),
        ("levels", "thermal-control"),
        ("preferences", "rlhf"),
    ]:
        loaded = problems.load(problem)
        found = METRICS[name](loaded, np.zeros(loaded.dim))
        assert all(type(x) is float for x in np.atleast_1d(np.asarray(found, object)))
