"""J over finitely many steps by plain recursions in autograd.numpy: real, complex, or on autograd's tape.

Nothing here is shared with the reference: moments of the first order and covariances go forward by themselves.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.families.lqr_steps.model import FiniteHorizonLQModel

EPS = float(np.finfo(float).eps)
_SEED, _PROBES, _LARGEST = 20_261_128, 2, 8.0


def solve(M: Any, b: Any) -> Any:
    """M⁻¹b for a positive definite M and a matrix b, in units in which M has a diagonal of ones."""
    d = 1.0 / np.sqrt(np.diag(np.real(np.asarray(untraced(M)))))
    return d[:, None] * anp.linalg.solve(M * (d[:, None] * d), d[:, None] * b)


def value(model: FiniteHorizonLQModel) -> Any:
    """J of a model.

    A − BK is worked out as (I + γBR⁻¹B'P)⁻¹A: where control is cheap, it is what two large matrices leave.
    """
    gamma, n = model.follower_discount, model.n_states
    A, B, W, Q, R = (model.each(name) for name in "ABWQR")
    P, plans = model.terminal_Q, []
    for t in range(model.horizon - 1, -1, -1):
        PB = anp.dot(P, B[t])
        M = R[t] + gamma * anp.dot(B[t].T, PB)
        closed = np.eye(n) + gamma * anp.dot(B[t], solve(R[t], PB.T))
        F, seen = anp.linalg.solve(closed, A[t]), anp.linalg.solve(closed, np.eye(n))
        plans.append((M, gamma * solve(M, anp.dot(PB.T, A[t])), gamma * solve(M, PB.T), F, seen))
        P = Q[t] + gamma * anp.dot(A[t].T, anp.dot(P, F))
        P = 0.5 * (P + P.T)
    mean, covariance, total, weight = model.mean, model.covariance, 0.0, 1.0
    costs = zip(model.each("leader_Q"), model.each("leader_R"), model.each("leader_constant"), strict=True)
    for t, (Q_L, R_L, constant) in enumerate(costs):
        M, K, K_w, F, seen = plans[model.horizon - 1 - t]
        spread = 0.5 * model.temperature * solve(M, np.eye(model.n_inputs))
        seen = seen if model.observed else np.eye(n)
        action = spread + anp.dot(K_w, anp.dot(W[t], K_w.T)) if model.observed else spread
        cost = Q_L + anp.dot(K.T, anp.dot(R_L, K))
        paid = anp.trace(anp.dot(cost, covariance)) + anp.dot(mean, anp.dot(cost, mean))
        total = total + weight * (constant - paid - anp.trace(anp.dot(R_L, action)))
        noise = anp.dot(seen, anp.dot(W[t], seen.T)) + anp.dot(B[t], anp.dot(spread, B[t].T))
        mean, covariance = anp.dot(F, mean), anp.dot(F, anp.dot(covariance, F.T)) + noise
        weight = weight * model.leader_discount
    end = model.leader_terminal_Q
    return total - weight * (anp.trace(anp.dot(end, covariance)) + anp.dot(mean, anp.dot(end, mean)))


def value_rounding(model: FiniteHorizonLQModel) -> float:
    """About the most that J rounds off [J]: what random roundings of the entries do to it, times a safety factor."""
    rng, base = np.random.default_rng(_SEED), float(value(model))

    def rounded(x: Array) -> Array:
        sign = rng.choice((-1.0, 1.0), size=np.shape(x))
        if np.ndim(x) >= 2 and np.shape(x)[-1] == np.shape(x)[-2]:
            sign = np.triu(sign) + np.swapaxes(np.triu(sign, 1), -1, -2)
        return np.asarray(x * (1.0 + 2.0 * EPS * sign))

    moved = [abs(base) * EPS * model.horizon]
    for _ in range(_PROBES):
        moved.append(abs(float(value(model.with_arrays(model.arrays().map(rounded)))) - base))
    return _LARGEST * max(moved)
