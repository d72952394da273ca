"""The follower's soft fixed point, quickly: formulas with a mistake need many of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.sweep import sweep
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.sweeps import planned, soft_backup, soft_values, state_kernel

_SWEEPS = 1_000


def soft_fixed_point(m: TabularModel, v: Array) -> Array:
    """V* (S,) by a few Newton steps from v, V ← V + (I − γ_F P_π)⁻¹(TV − V), and then sweeps to rest."""
    matrix, eye = planned(m), np.eye(m.n_states)
    for _ in range(30):
        backed_up, policy = soft_backup(m, matrix, v)
        step = np.linalg.solve(eye - m.follower_discount * state_kernel(matrix, policy), backed_up - v)
        v = v + step
        if np.abs(step).max() <= 1e-9 * np.abs(v).max():
            break
    return soft_values(m, v).x


def at_rest(step: Callable[[Array], Array], start: Array) -> Array:
    """The fixed point (S,) of any backup, a wrong one too: a few sweeps, then Newton with a Jacobian from differences.

    Raises: Unfinished.
    """

    def jacobian(x: Array) -> Array:
        here, size = step(x), max(float(np.abs(x).max()), 1e-300)
        return np.stack([(step(x + 1e-7 * size * e) - here) / (1e-7 * size) for e in np.eye(x.size)], axis=1)

    return sweep(step, start, max_sweeps=_SWEEPS, jacobian=jacobian).x
