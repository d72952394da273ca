"""The same problem n steps later, its start fixed at the law of x_n: what a mistake in half of the horizon is made with.

With J(ρ) the value from a start ρ that θ does not move, the steps t ≥ n contribute

    ∇J from t ≥ n = γ_L^n · mass · ∇J(law of x_n),   law of x_n = (P_πᵀ)^n ρ / mass, or mean and covariance of x_n;

mass < 1 where episodes end.  n halves the steps of a finite horizon and the weight of an infinite one, γ_L^n ≈ ½.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array


def half_of(discount: float, horizon: int | None = None) -> int:
    """Half of the horizon, or the number n of steps after which γ_L^n ≤ ½."""
    if horizon is not None:
        return horizon // 2
    return int(np.ceil(np.log(0.5) / np.log(discount))) if discount > 0.0 else 1


def half_of_chain(kernel: Array, start: Array, most: int = 20_000) -> int:
    """The number n of steps after which half of the episodes are over, where nothing is discounted; at most `most`."""
    whole = float(start.sum())
    for n in range(most):
        ahead = kernel.T @ start
        if not float(ahead.sum()) > 0.0 or float(start.sum()) <= 0.5 * whole:
            return n
        start = ahead
    return most


def moved(kernel: Array, start: Array, n: int) -> tuple[Array, float]:
    """The law of s_n, and the probability that the episode still goes on."""
    for _ in range(n):
        start = kernel.T @ start
    mass = float(start.sum())
    return (start / mass if mass else start), mass
