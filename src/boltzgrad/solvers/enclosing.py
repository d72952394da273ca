r"""Componentwise bounds on solutions of a linear system whose matrix is known up to a factor.

**Lemma.**  Let P ≥ 0 be the stored kernel under the policy, and P' ≥ 0 any matrix with P' ≤ (1 + κ) P entrywise.  For
b > 0 let x ≥ 0 satisfy (I − γP) x ≥ (1 − δ) b.  Then (I − γP') x ≥ (1 − δ) b − κ γP x ≥ (1 − η) b with
η = δ + κ max_i (γPx)_i / b_i.  If η < 1, I − γP' is a nonsingular M-matrix, its inverse is non-negative, and

    0 ≤ (I − γP')⁻¹ c ≤ x / (1 − η)     for every 0 ≤ c ≤ b.

The same holds for transposes.  No condition number enters: the solve itself says how far an error can travel.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.problems.kernel import Array
from boltzgrad.solvers.linear import LinearSystem

EPS = float(np.finfo(float).eps)
# A right-hand side is raised to at least these fractions of its maximum, so that κ·(γPx)/b stays small.
_FLOORS = (1e-3, 1.0)


def enclose(system: LinearSystem, b: Array, kappa: float, *, transposed: bool = False) -> Array:
    """An upper bound (S,) on |(I − γP')⁻¹ c| for all |c| ≤ b and all P' ≤ (1 + κ)P; infinite if vacuous."""
    top = float(b.max(initial=0.0))
    if top == 0.0:
        return np.zeros_like(b)
    if not (np.isfinite(top) and np.isfinite(kappa)):
        return np.full_like(b, np.inf)
    for floor in _FLOORS:
        raised = np.maximum(b, floor * top)
        solve = system.solve_transposed if transposed else system.solve
        x = np.maximum(solve(raised).x, 0.0)
        applied = system.apply(x, transposed)
        carried = x - applied  # γPx
        rounding = (system.terms + 2) * EPS * (x + np.abs(carried))
        delta = float(np.max((raised - applied + rounding) / raised))
        eta = max(delta, 0.0) + kappa * float(np.max((carried + rounding) / raised))
        if eta < 0.5:
            return np.asarray(x / (1.0 - eta) * (1.0 + 1e-12))
    return np.full_like(b, np.inf)
