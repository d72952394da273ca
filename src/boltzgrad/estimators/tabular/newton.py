"""Soft policy iteration in many small worlds at once, by dense factors that are kept while they serve."""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import NotConverged
from boltzgrad.solvers.linear.direct import DenseLU

_EPS = float(np.finfo(float).eps)
# A correction by factors of an earlier policy has to shrink the residual by this much, or new ones are made: they cost as
# much as four such corrections.
_SERVES = 0.1


def factors(policy: Array, kernels: Array, gamma: float) -> list[DenseLU]:
    """Those of I − γ P_π in every world.  Raises: NotConverged."""
    systems = -gamma * closed_loop(policy, kernels)
    systems += np.eye(policy.shape[1])
    return [DenseLU(system) for system in systems]


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
    kept: dict[int, DenseLU] = {}
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
        stale = [i for i in left if active[i] not in kept or size[i] > _SERVES * before[active[i]]]
        if stale:
            made = factors(pi[stale], k if len(kernels) == 1 else k[stale], gamma)
            kept |= zip(active[stale], made, strict=True)
        before[active] = size
        for i in left:
            v[active[i]] += kept[active[i]].solve(gap[i])
        active = active[left]
    worst = float(size.max())
    raise NotConverged(
        f"the follower's soft Bellman equation in world {int(active[int(np.argmax(size))])} ({S} states, discount {gamma}, "
        f"temperature {tau:g}): Newton left a residual of {worst:.3g} after 400 steps, asked for {float(floor.max()):.3g}; "
        "try a higher temperature"
    )
