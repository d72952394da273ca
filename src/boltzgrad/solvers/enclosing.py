r"""Componentwise bounds on solutions of a linear system whose matrix is known up to a factor.

**Lemma.**  Let P ≥ 0 be the stored kernel under the policy, and P' ≥ 0 any matrix with P' ≤ (1 + κ) P entrywise.  For
b > 0 let x ≥ 0 satisfy (I − γP) x ≥ (1 − δ) b.  Then (I − γP') x ≥ (1 − δ) b − κ γP x ≥ (1 − η) b with
η = δ + κ max_i (γPx)_i / b_i.  If η < 1, I − γP' is a nonsingular M-matrix, its inverse is non-negative, and

    0 ≤ (I − γP')⁻¹ c ≤ x / (1 − η)     for every 0 ≤ c ≤ b.

The same holds for transposes.  No condition number enters: the solve itself says how far an error can travel.  Where γ times
the heaviest row is c < 1, any policy's inverse has ‖·‖_∞ ≤ 1/(1 − c), whatever κ is, and its transpose ‖·‖₁.

**The value along a path.**  Let R = TV̂ − V̂.  V(t) = TV(t) − (1 − t)R leads from V̂ to V*, with dV/dt = (I − γP_{π_V(t)})⁻¹R.
While |V(t) − V̂| ≤ r, every policy on the way has P' ≤ (1 + κ(r)) P_π̂, so |dV/dt| ≤ e, the bound of the lemma with κ(r).  If
e ≤ r the path never leaves, and |V* − V̂| ≤ e.  Where chains end this knows how soon; 1/(1 − γ) does not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import NotConverged
from boltzgrad.solvers.linear import LinearSystem

EPS = float(np.finfo(float).eps)
_WIDENINGS = 4
# A right-hand side is raised to at least these fractions of its maximum, so that κ·(γPx)/b stays small.
_FLOORS = (1e-3, 1.0)


def enclose(
    system: LinearSystem, b: Array, kappa: float, *, transposed: bool = False, eps: float | None = None
) -> Array:
    """An upper bound (S,) on |(I − γP')⁻¹ c| for all |c| ≤ b and all P' ≤ (1 + κ)P; infinite if vacuous.

    With `eps`, P' is also known to be a policy's, of a kernel whose entries are those stored up to that relative error.
    """
    top = float(b.max(initial=0.0))
    if top == 0.0:
        return np.zeros_like(b)
    best = np.full_like(b, np.inf)
    if np.isfinite(top) and eps is not None:
        contraction = system.discount * system.heaviest * (1.0 + eps) * (1.0 + 4.0 * EPS)
        if contraction < 1.0:
            whole = float(b.sum()) if transposed else top
            best = np.full_like(b, whole / (1.0 - contraction) * (1.0 + 1e-12))
    if not (np.isfinite(top) and np.isfinite(kappa)):
        return best
    for floor in _FLOORS:
        raised = np.maximum(b, floor * top)
        solve = system.solve_transposed if transposed else system.solve
        try:
            x = np.maximum(solve(raised).x, 0.0)
        except NotConverged:  # beyond float64: nothing is bounded
            break
        applied = system.apply(x, transposed)
        carried = x - applied  # γPx
        rounding = (system.terms + 2) * EPS * (x + np.abs(carried))
        delta = float(np.max((raised - applied + rounding) / raised))
        eta = max(delta, 0.0) + kappa * float(np.max((carried + rounding) / raised))
        if eta < 1.0:
            best = np.minimum(best, x / (1.0 - eta) * (1.0 + 1e-12))
        if eta < 0.5:
            break
    return best


def enclose_value(system: LinearSystem, b: Array, kappa: Callable[[float], float]) -> Array:
    """An upper bound (S,) on |V* − V̂| for a residual |TV̂ − V̂| ≤ b; `kappa(r)` is that of all policies within r of V̂.

    By contraction, and along the path where that is shorter.
    """
    steps, top = system.remaining_steps, float(b.max(initial=0.0))
    if top == 0.0:
        return np.zeros_like(b)
    contraction = system.discount * system.heaviest
    crude = top / (1.0 - contraction) if contraction < 1.0 else np.inf
    best = np.full_like(b, crude)
    if np.isfinite(crude):
        best = np.minimum(best, enclose(system, b, kappa(crude)))
    radius = 2.0 * steps * top
    for _ in range(_WIDENINGS):
        if not radius < crude:
            break
        inside = enclose(system, b, kappa(radius))
        if inside.max() <= radius:
            return np.asarray(np.minimum(best, inside))
        radius *= 8.0
    return best
