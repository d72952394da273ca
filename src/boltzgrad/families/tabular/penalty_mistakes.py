"""The value-penalty method with a finite weight: what the limit λ → ∞ makes right.

    max_π J(θ, π) − λ (V*_F(θ) − V_F^π(θ)) = λ [V*(r_F + r_L/λ) − V*(r_F)](ρ),   γ_L = γ_F and one kernel,

with θ's gradient by the envelope theorem: a one-sided difference quotient with step 1/λ of the hypergradient.
Source: PBRL (Shen, Yang, Chen 2024).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.tabular.expectation import applied
from boltzgrad.families.tabular.fixed_points import soft_fixed_point
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.sweeps import planned, soft_backup, state_kernel

WEIGHT = 2.0


def quotient(m: TabularModel, columns: list[TabularArrays], v: Array, weight: float = WEIGHT) -> Array:
    """λ ∇[V*(r_F + r_L/λ) − V*(r_F)](ρ), (d,), from the follower's V* (S,)."""
    return optimum_constant(m, columns, v, weight) - weight * _envelope(m, columns, v)


def optimum_constant(m: TabularModel, columns: list[TabularArrays], v: Array, weight: float = WEIGHT) -> Array:
    """λ ∇V*(r_F + r_L/λ)(ρ), (d,)."""
    both = [replace(c, follower_reward=c.follower_reward + c.leader_reward / weight) for c in columns]
    return weight * _envelope(_penalised(m, weight), both, _penalised_values(m, weight, v.tobytes()))


def penalised_policy(m: TabularModel, v: Array) -> Array:
    """The policy (S, A) that is best for r_F + r_L/λ."""
    return soft_backup(_penalised(m, WEIGHT), planned(m), _penalised_values(m, WEIGHT, v.tobytes()))[1]


@lru_cache(maxsize=4)
def _penalised(m: TabularModel, weight: float) -> TabularModel:
    return replace(m, follower_reward=m.follower_reward + m.leader_reward / weight)


@lru_cache(maxsize=4)
def _penalised_values(m: TabularModel, weight: float, start: bytes) -> Array:
    return soft_fixed_point(_penalised(m, weight), np.frombuffer(start))


def _envelope(m: TabularModel, columns: list[TabularArrays], v: Array) -> Array:
    """∇V*(ρ) = ∇ρ V + Σ d π (∇r_F + γ_F ∇p V), d the follower's occupancy."""
    matrix = planned(m)
    policy = soft_backup(m, matrix, v)[1]
    kernel = state_kernel(matrix, policy)
    d = np.linalg.solve(np.eye(len(kernel)) - m.follower_discount * kernel.T, m.initial)
    visits = (d[:, None] * policy).ravel()

    def along(c: TabularArrays) -> float:
        moved = c.transition if c.follower_transition is None else c.follower_transition
        now = c.follower_reward.ravel() + m.follower_discount * applied(moved, matrix, v)
        return float(c.initial @ v + visits @ now)

    return np.array([along(c) for c in columns])
