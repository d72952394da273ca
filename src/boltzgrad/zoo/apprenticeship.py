r"""Apprenticeship learning: the follower is to be where the expert was, as far as features tell.

    f(π) = −½ ‖Φ_E − Φ(π)‖²,   Φ(π) = E Σ γᵗ φ(s_t, a_t),   ∂f/∂π = Σ_k (Φ_E − Φ(π))_k ∂Φ_k/∂π,

Φ_k the return of a leader who is paid φ_k (`LeaderMDP`).  Source: Abbeel and Ng 2004 (SoBiRL B names the application).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.leader_mdp import LeaderMDP
from boltzgrad.core.objectives import PolicyObjective

EPS = float(np.finfo(float).eps)


def feature_matching(move: Array, features: Array, start: Array, gamma: float, seen: Array) -> PolicyObjective:
    """The objective for features φ (S, A, k) and the expert's expectations `seen` (k,), with a proved bound."""
    each = [LeaderMDP(move, phi, start, gamma) for phi in np.moveaxis(features, -1, 0)]
    # Of Φ_k, by the solve that it comes from: ‖(I − γP)⁻¹‖ ≤ 1/(1 − γ).
    rounding = 8.0 * EPS * sum(features.shape[:2]) / (1.0 - gamma) ** 2 * np.abs(features).max(axis=(0, 1))

    def function(theta: Any, policy: Any) -> Any:
        return -0.5 * sum((e - own.function(theta, policy)) ** 2 for e, own in zip(seen, each, strict=True))

    def slopes(theta: Array, policy: Array) -> tuple[Array, Array]:
        """(Φ_E − Φ (k,), ∂Φ/∂π (k, S, A))."""
        left = np.array([e - own.value(theta, policy) for e, own in zip(seen, each, strict=True)])
        return left, np.stack([own.gradients(theta, policy)[1] for own in each])

    def gradient(theta: Array, policy: Array) -> tuple[Array, Array]:
        left, slope = slopes(theta, policy)
        return np.zeros_like(theta), np.tensordot(left, slope, 1)

    def variation(theta: Array, policy: Array, error: Array) -> tuple[Array, Array]:
        """Of a sum of products: Φ moves by no more than its slope on the way, times how far π moves."""
        left, slope = slopes(theta, policy)
        bent = np.stack([own.variation(theta, policy, error)[1] for own in each if own.variation is not None])
        moved = (error * (np.abs(slope) + bent)).sum(axis=(1, 2)) + rounding + EPS * np.abs(seen)
        return np.zeros_like(theta), np.tensordot(np.abs(left), bent, 1) + np.tensordot(moved, np.abs(slope) + bent, 1)

    return PolicyObjective(function, gradient, variation)
