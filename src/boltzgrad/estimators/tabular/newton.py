"""Soft policy iteration in many small worlds at once, by dense factors that are kept while they serve."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from boltzgrad.core.arrays import Array
from boltzgrad.errors import NotConverged

_EPS = float(np.finfo(float).eps)
# A correction by factors of an earlier policy has to shrink the residual by this much, or new ones are made: they cost as
# much as four such corrections.
_SERVES = 0.1


class Factors:
    """LU of (I − γP_π)ᵀ, whose columns are dominated by their diagonal, for one world."""

    def __init__(self, kernel: Array, gamma: float) -> None:
        """`kernel` P_π (S, S), overwritten.  Raises: LinAlgError."""
        kernel *= -gamma
        kernel.flat[:: len(kernel) + 1] += 1.0
        self._lu, self._pivots, info = lapack.dgetrf(kernel.T, overwrite_a=True)
        if info:
            raise np.linalg.LinAlgError("Singular matrix")

    def solve(self, b: Array, *, transposed: bool = False) -> Array:
        """(I − γP_π)⁻¹ b, or by its transpose: b (S,) or (S, k)."""
        return np.asarray(lapack.dgetrs(self._lu, self._pivots, b, trans=int(not transposed))[0])


def expectation(kernels: Array, v: Array) -> Array:
    """Σ p v for kernels (1 or W, S, A, S) and v (W, S); each world by itself, so that it does not depend on the others."""
    W, S = v.shape
    A = kernels.shape[2]
    return np.asarray(np.matmul(kernels.reshape(-1, S * A, S), v[:, :, None])).reshape(W, S, A)


def closed_loop(policy: Array, kernels: Array) -> Array:
    """P_π (W, S, S)."""
    if len(kernels) == 1:
        return np.asarray(np.einsum("wsa,sat->wst", policy, kernels[0]))
    return np.asarray(np.einsum("wsa,wsat->wst", policy, kernels))


def soften(q: Array, tau: float) -> tuple[Array, Array]:
    """(V, π) = (τ log Σ exp(q/τ), softmax(q/τ)) over the last axis."""
    top = q.max(axis=-1, keepdims=True)
    e = np.exp((q - top) / tau)
    total = e.sum(axis=-1, keepdims=True)
    return (top + tau * np.log(total))[..., 0], e / total


def newton(kernels: Array, reward: Array, gamma: float, tau: float, warm: Array | None) -> tuple[Array, Array]:
    """V = TV in all worlds at once, each stopped by its own residual: (V (W, S), π (W, S, A)).  Raises: NotConverged."""
    W, S, _ = reward.shape
    v = np.zeros((W, S)) if warm is None else warm.copy()
    policy = np.empty_like(reward)
    factors: dict[int, Factors] = {}
    active, best, before = np.arange(W), np.full(W, np.inf), np.full(W, np.inf)
    for _ in range(400):
        k = kernels if len(kernels) == 1 else kernels[active]
        new, pi = soften(reward[active] + gamma * expectation(k, v[active]), tau)
        gap = new - v[active]
        size = np.abs(gap).max(axis=1)
        scale = np.abs(reward[active]).max(axis=(1, 2)) + np.abs(v[active]).max(axis=1) + tau
        policy[active] = pi
        floor = 64.0 * _EPS * scale
        done = (size <= floor) | ((size > 0.5 * best[active]) & (size <= 100.0 * floor))
        best[active] = np.minimum(best[active], size)
        if done.all():
            return v, policy
        left = np.flatnonzero(~done)
        stale = [i for i in left if active[i] not in factors or size[i] > _SERVES * before[active[i]]]
        if stale:
            for i, p in zip(stale, closed_loop(pi[stale], k if len(kernels) == 1 else k[stale]), strict=True):
                factors[active[i]] = Factors(p, gamma)
        before[active] = size
        for i in left:
            v[active[i]] += factors[active[i]].solve(gap[i])
        active = active[left]
    worst = float(size.max())
    raise NotConverged(
        f"the follower's soft Bellman equation in world {int(active[int(np.argmax(size))])} ({S} states, discount {gamma}, "
        f"temperature {tau:g}): Newton left a residual of {worst:.3g} after 400 steps, asked for {float(floor.max()):.3g}; "
        "try a higher temperature"
    )
