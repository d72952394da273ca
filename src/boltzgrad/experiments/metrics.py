"""What the papers report beside J: returns over finitely many steps, discounted or not, and the levels that matter."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.tabular.worlds import as_tabular
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.solvers import solve_follower
from boltzgrad.solvers.lqr import solve_lqr


def toy_game(problem: Any, theta: Array) -> list[float]:
    """[P(a=1|A), discounted, undiscounted leader's return over 150 steps] (BC-HG Fig. 4, 7)."""
    p = float(problem.leader_policy(theta)[1, 1])
    model = as_tabular(problem).contexts(theta).models[0]
    policy = solve_follower(model).policy
    closed, reward = np.asarray(model.kernel.under(policy)), (policy * model.leader_reward).sum(axis=1)
    here, discounted, plain = np.asarray(model.initial), 0.0, 0.0
    for t in range(150):
        earned = float(here @ reward)
        discounted, plain = discounted + 0.99**t * earned, plain + earned
        here = here @ closed
    return [p, discounted, plain]


def lqr_game(problem: Any, theta: Array) -> float:
    """The leader's undiscounted return over the horizon (BC-HG Fig. 5)."""
    model: LQModel = problem.model(theta)
    s = solve_lqr(model)
    G = np.eye(model.n_states) - model.B @ s.K_w
    noise = G @ model.W @ G.T + model.B @ s.covariance @ model.B.T
    mean, S, total, bump = model.mean, model.covariance, 0.0, model.bump
    assert bump is not None
    spread = np.linalg.inv(bump.precision)
    for _ in range(model.horizon or 0):
        V, d = np.linalg.inv(spread + S), mean - bump.target
        total += bump.height * np.sqrt(np.linalg.det(V) / np.linalg.det(bump.precision)) * np.exp(-0.5 * d @ V @ d)
        mean, S = s.closed @ mean, s.closed @ S @ s.closed.T + noise
    return float(total)


def levels(problem: Any, theta: Array) -> list[float]:
    """The levels logistic(θ) of thermal control."""
    return [float(x) for x in 1.0 / (1.0 + np.exp(-theta))]


def policy_spread(problem: Any, theta: Array) -> float:
    """The largest distance of an entry of the follower's policy from uniform."""
    model = problem.contexts(theta).models[0]
    return float(np.abs(solve_follower(model).policy - 1.0 / model.n_actions).max())


def preferences(problem: Any, theta: Array) -> list[float]:
    """[the follower's true reward over a trajectory, the share of its pairs whose better one the model prefers].

    The problem's objective is `Preferences` with a true reward for labels; pairs that are truly worth the same are left out.
    """
    objective = problem.objective
    policy = solve_follower(problem.contexts(theta).models[0]).policy
    found = objective.enumerate(theta)
    chances = np.asarray(objective._chances(theta, policy, found))
    true, model = (
        np.asarray(found.trajectories.total(r, objective.discount)) for r in (objective.labels, objective.reward(theta))
    )
    better = true[:, None] > true[None, :] + 1e-9
    both = chances[:, None] * chances * better
    return [float(chances @ true), float(both[model[:, None] > model[None, :]].sum() / both.sum())]


METRICS = {
    "toy-game": toy_game,
    "lqr-game": lqr_game,
    "levels": levels,
    "policy-spread": policy_spread,
    "preferences": preferences,
}
