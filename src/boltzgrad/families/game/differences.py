"""J of a Markov game by value iteration, for differencing."""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.game.sweeps import acting_policy, follower_values, leader_values, q_follower
from boltzgrad.families.tabular.differences import rounding_of
from boltzgrad.families.tabular.sweeps import evaluation_work, most_steps
from boltzgrad.witnesses.differences import Evaluator, difference_routes, too_many_sweeps


class GameEvaluator(Evaluator):
    """J(θ) of a `MarkovGame`."""

    def __init__(self, problem: MarkovGame) -> None:
        self.problem = problem
        joint = problem.joint
        self._starts: tuple[Array, Array] | None = None
        self.horizon = max(most_steps(joint, planned_ones=own) for own in (False, True))
        self._entries = float(np.size(joint.kernel.values) + 40 * joint.follower_reward.size)

    def __call__(self, theta: Array) -> complex:
        """J at θ."""
        game, starts = self.problem, self._starts or (None, None)
        f = np.asarray(game.policy.function(theta))
        u = follower_values(game, f, starts[0])
        v = leader_values(game, f[:, :, None] * acting_policy(game, f, q_follower(game, u.x)), starts[1])
        self.change = max(self.change, u.change, v.change)
        if self._starts is None:
            weights = (f[:, :, None] * acting_policy(game, f, q_follower(game, u.x))).reshape(game.n_states, -1)
            self.rounding = rounding_of(game.joint, u.x, weights, v.x)
            self.work = (u.sweeps + v.sweeps) * self._entries
            self._starts = (u.x, v.x)
        return complex(game.joint.initial @ v.x)

    def units(self, theta: Array) -> Array:
        """The problem's own natural steps (d,)."""
        units: Array = self.problem.array_map(theta).units
        return units


COMPLEX, DIFFERENCES = difference_routes(
    GameEvaluator,
    "value iteration on the game",
    lambda problem, theta: too_many_sweeps(problem.joint),
    lambda reference: evaluation_work(reference.problem.joint, reference.remaining_steps),
)
