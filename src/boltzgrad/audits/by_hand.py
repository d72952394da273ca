"""Planning and counting visits in plain NumPy, for the mistakes that audits make again: no code of the solvers.

Kernels are p (S, A, S), rewards r (S, A); discounts of one are allowed where sums end.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from boltzgrad.core.arrays import Array

_SWEEPS = 200_000


def dense(seed: int, S: int, A: int) -> tuple[Array, Array]:
    """A random kernel (S, A, S) and start (S,), both by Dirichlet's law."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(S), (S, A)), rng.dirichlet(np.ones(S))


def planned(p: Array, r: Array, gamma: float, steps: int) -> Array:
    """π (H, S, A) of soft backward induction at temperature one."""
    v, policies = np.zeros(len(p)), []
    for _ in range(steps):
        q = r + gamma * p @ v
        v = logsumexp(q, axis=1)
        policies.append(np.exp(q - v[:, None]))
    return np.stack(policies[::-1])


def settled(p: Array, r: Array, gamma: float, *, hard: bool = False, tau: float = 1.0) -> tuple[Array, Array]:
    """(V (S,), Q (S, A)) of value iteration until it rests; `hard` takes the maximum."""
    v = np.zeros(len(p))
    for _ in range(_SWEEPS):
        q = r + gamma * p @ v
        new = q.max(axis=1) if hard else tau * logsumexp(q / tau, axis=1)
        if np.abs(new - v).max() <= 4e-16 * (1.0 + np.abs(new).max()):
            break
        v = new
    return v, r + gamma * p @ v


def boltzmann(q: Array, tau: float = 1.0) -> Array:
    """softmax(Q/τ) over the last axis."""
    e = np.exp((q - q.max(axis=-1, keepdims=True)) / tau)
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def visits(p: Array, start: Array, policies: Array, gamma: float, steps: int) -> Array:
    """Σ_{t < steps} γᵗ P(s_t = s) (S,) of a policy (S, A), or of one for each step (≥ steps − 1, S, A)."""
    each = policies if policies.ndim == 3 else np.broadcast_to(policies, (steps, *policies.shape))
    d, total = start, np.zeros(len(p))
    for t in range(steps):
        total = total + gamma**t * d
        if t + 1 < steps:
            d = np.einsum("s,sa,sat->t", d, each[t], p)
    return total


def visits_for_ever(p: Array, start: Array, policy: Array, gamma: float) -> Array:
    """(I − γ P_π)^{-T} ρ (S,): discounted visits, or all visits until an episode ends."""
    chain = np.einsum("sa,sat->st", policy, p)
    return np.asarray(np.linalg.solve(np.eye(len(p)) - gamma * chain.T, start))
