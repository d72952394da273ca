"""Plausible wrong hypergradients of games over a finite number of steps, on pairs (step, state), besides those of all games."""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.game import mistakes
from boltzgrad.families.game.steps import Steps
from boltzgrad.families.mistake import Together, mutants_of

_GAME = "finite-game"
_ONE_STEP = (_GAME, {"horizon": 1})


class Formula(mistakes.Formula):
    """Theorem 2 on pairs (step, state)."""

    exposed_by = (_GAME, {})

    @property
    def steps(self) -> Steps:
        """The game as it was given."""
        steps: Steps = self.problem.steps
        return steps

    def _end(self, player: int) -> Array:
        """γ P terminal (S, A, B), which the last step's reward has in it."""
        steps = self.steps
        return (
            np.asarray((steps.transition[-1] @ steps.terminal[player]).reshape(steps.shape)) * steps.discounts[player]
        )


class LeadersEndForgotten(Formula):
    mistake = "the leader's terminal reward forgotten"
    hidden_by = (_GAME, {"terminal": 0.0})

    def leader_reward(self, g: Array) -> Array:
        reward = super().leader_reward(g).copy()
        reward[-self.steps.shape[0] :] -= self._end(1)
        return reward


class FollowersEndForgotten(Formula):
    mistake = "the follower's terminal reward forgotten in its plan"
    hidden_by = (_GAME, {"terminal": 0.0})

    def q_follower(self, u: Array) -> Array:
        q = super().q_follower(u).copy()
        q[-self.steps.shape[0] :] -= self._end(0)
        return q


class StationaryAnswer(Formula):
    mistake = "the follower's first step's policy at every step: stationary where it moves"
    hidden_by = _ONE_STEP

    def answer(self, f: Array, q: Array) -> Array:
        by_step = self.steps.by_step(super().answer(f, q))
        return np.broadcast_to(by_step[0], by_step.shape).reshape(q.shape)


class NextStepsAnswer(Formula):
    mistake = "t off by one: the follower's policy of step t + 1 at step t"
    hidden_by = _ONE_STEP

    def answer(self, f: Array, q: Array) -> Array:
        by_step = self.steps.by_step(super().answer(f, q))
        return np.concatenate([by_step[1:], by_step[-1:]]).reshape(q.shape)


class LastStepForgotten(Formula):
    mistake = "H − 1 steps for H in the leader's sum"
    hidden_by = (_GAME, {"leader_discount": 0.0})

    def leader_reward(self, g: Array) -> Array:
        reward = super().leader_reward(g).copy()
        reward[-self.steps.shape[0] :] = 0.0
        return reward


class EntropyForKL(Formula):
    mistake = "entropy for KL: the follower's reference policy left out"
    hidden_by = (_GAME, {"reference": 0.0, "unavailable": 0.0})

    def q_follower(self, u: Array) -> Array:
        return np.asarray(super().q_follower(u) - self.problem.bonus)


class LeadersEntropySign(Formula):
    mistake = "the leader's regulariser with the wrong sign"
    hidden_by = (_GAME, {"leader_temperature": 0.0})

    def leader_reward(self, g: Array) -> Array:
        plain = self.problem.joint.leader_reward.reshape(g.shape)
        return np.asarray(2.0 * plain - super().leader_reward(g))


MUTANTS = mutants_of(Formula)


EVERYTHING = Together(Formula, (*mistakes.MUTANTS, *MUTANTS))
"""What a gradient is compared with: the mistakes of all games and those over steps."""
