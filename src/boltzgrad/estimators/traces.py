"""Sums along trajectories, (T, N): rows are times, columns trajectories.

A *trace* carries coefficients forward: e_t = c_t + δ e_{t−1}.  Σ_t c_t Σ_{k≥t} δ^{k−t} x_k = Σ_k e_k x_k, so a sum over
segments costs one pass, whatever the dimension of x.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.compiled import available
from boltzgrad.estimators import loops


def trace(coefficients: Array, discount: float, first: Array) -> Array:
    """e_t = c_t + δ e_{t−1} along trajectories, (T, N); begun anew at `first`."""
    out = np.empty(coefficients.shape)
    if available():
        loops.carried(coefficients, float(discount), first, out)
        return out
    e = np.zeros(coefficients.shape[1])
    for t, c in enumerate(coefficients):
        e = c + np.where(first[t], 0.0, discount * e)
        out[t] = e
    return out


def returns(rewards: Array, discount: float, last: Array) -> Array:
    """G_t = r_t + δ G_{t+1} within trajectories, (T, N)."""
    out = np.empty(rewards.shape)
    if available():
        loops.summed_back(rewards, float(discount), last, out)
        return out
    g = np.zeros(rewards.shape[1])
    for t in range(len(rewards) - 1, -1, -1):
        g = rewards[t] + np.where(last[t], 0.0, discount * g)
        out[t] = g
    return out
