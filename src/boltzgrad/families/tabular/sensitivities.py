r"""∂J/∂(what a tabular model was given): its arrays, and the numbers and policies that its plain form takes into them.

With m = ∂J/∂r_F (S, A), ν the leader's visits and π the follower's policy:

    ∂J/∂ log π⁰(a|s) = τ m(s,a),   ∂J/∂τ(s) = −y KL(π ‖ π⁰) − Σ_a w (log π − log π⁰),   ∂J/∂γ_F = Σ m P V_F,
    ∂J/∂γ_L = Σ ν π P V_L,   ∂J/∂τ_L = −Σ ν π (log π − log π⁰_L),   ∂J/∂ log π⁰_L(a|s) = τ_L ν(s) π(a|s),

with the follower's guidance w and adjoint y, m = w + π y.  Of one temperature for all states, the second summed over them is
−Σ m r_F/τ: J does not change when r_F and τ are multiplied by one number.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.tabular.adjoint import ContextSolution
from boltzgrad.families.tabular.model import TabularArrays


@dataclass(frozen=True, eq=False)
class Sensitivities(TabularArrays):
    """The cotangent of one model: its arrays' (a discount that moves is in the kernels'), and by formula those of the rest.

    `weight` [1] is the probability of the model's context.
    """

    solved: ContextSolution | None = None
    weight: float = 1.0

    @property
    def _at(self) -> ContextSolution:
        assert self.solved is not None
        return self.solved

    @cached_property
    def temperature(self) -> Any:
        """∂J/∂τ [J/r_F], a number, or (S,) where each state has its own."""
        model = self._at.model
        if model.weighted:
            return self._temperatures()
        reward = model.unit * model.follower_reward
        if model.reference is not None:
            reward = reward - self._temperature * np.log(np.where(model.reference > 0.0, model.reference, 1.0))
        return -float((self.follower_reward * reward).sum()) / self._temperature

    def _temperatures(self) -> Array:
        s = self._at
        over = np.where(
            s.follower.policy > 0.0, s.follower.q - s.follower.value[:, None], 0.0
        )  # log π, in the plain form
        if s.model.reference is not None:
            over = over - np.log(np.where(s.model.reference > 0.0, s.model.reference, 1.0))
        kl = (s.follower.policy * over).sum(axis=1)
        return np.asarray(-self.weight * (s.adjoint * kl + (s.guidance * over).sum(axis=1)) / s.model.unit)

    @property
    def _temperature(self) -> Any:
        model = self._at.model
        return (model.unit[:, None] if model.weighted else model.unit) * model.temperature

    @cached_property
    def log_reference(self) -> Array:
        """∂J/∂ log π⁰ (S, A) [J], π⁰'s entries taken as independent; zero where an action is not there."""
        return np.asarray(self._temperature * self.follower_reward)

    @cached_property
    def leader_temperature(self) -> float:
        """∂J/∂τ_L = −Σ ν π (log π − log π⁰_L) [J/r_L], zero for a general objective f(θ, π)."""
        s = self._at
        return -float((self.leader_reward * self._likelihood).sum()) if s.leader is not None else 0.0

    @property
    def _likelihood(self) -> Array:
        """The log of π over π⁰_L (S, A), zero where an action is never taken."""
        policy, beside = self._at.follower.policy, self._at.model.leader_reference
        taken = policy > 0.0
        out = np.log(np.where(taken, policy, 1.0))
        return np.asarray(out if beside is None else out - np.log(np.where(taken & (beside > 0.0), beside, 1.0)))

    @cached_property
    def log_leader_reference(self) -> Array:
        """∂J/∂ log π⁰_L (S, A) [J], π⁰_L's entries taken as independent: τ_L ν π."""
        return np.asarray(self._at.model.leader_temperature * self.leader_reward)

    @cached_property
    def follower_discount(self) -> float:
        """∂J/∂γ_F [J]; NaN where γ_F moves and is zero."""
        s = self._at
        ahead = s.model.follower_kernel.expect(s.follower.value)
        ahead = ahead * (s.model.unit[:, None] if s.model.weighted else s.model.unit)
        return _per_discount(s, "follower_discount", float((self.follower_reward * ahead).sum()))

    @cached_property
    def leader_discount(self) -> float:
        """∂J/∂γ_L [J], zero for a general objective f(θ, π); NaN where γ_L moves and is zero."""
        s = self._at
        if s.leader is None:
            return 0.0
        ahead = (s.follower.policy * s.model.kernel.expect(s.leader.value)).sum(axis=1)
        return _per_discount(s, "leader_discount", self.weight * float(s.leader.occupancy @ ahead))


def _per_discount(s: ContextSolution, name: str, through_kernel: float) -> float:
    """A kernel that has taken a discount in is γp, and p is that over γ."""
    if name not in s.model.moving:
        return through_kernel
    gamma = s.model.moving[name]
    return through_kernel / gamma if gamma else float("nan")


def sensitivities(arrays: TabularArrays, solved: ContextSolution, weight: float) -> Sensitivities:
    """The cotangent of a model's plain form, with ∂J/∂r_F of the reward that was given."""
    parts = {f.name: getattr(arrays, f.name) for f in fields(TabularArrays)}
    unit = solved.model.unit
    parts["follower_reward"] = parts["follower_reward"] / (unit[:, None] if np.ndim(unit) else unit)
    return Sensitivities(**parts, solved=solved, weight=weight)
