r"""Gauss–Seidel passes for graphs that mix fast: an expander's spectrum fills a disc, and Krylov methods gain nothing.

**Forward**, x(s) ← b(s) + γ (P x)(s) in place, pass after pass, and after each a constant is added: the one slow direction is
the constant, whose residual is known, Σ(b − Ax)/Σ(A1).  What is summed while the pass goes on is that of an x which has half
moved, so that `_HALF` of it is right.

**Transposed**, the residual is pushed on from state to state: x(s) += r(s), r += γ P(s,·) r(s).  The slow direction is the
occupancy z, of which c z with c = Σ r/Σ Aᵀz is added; for a right-hand side that is nowhere negative x itself serves.

Passes are in float32, which halves what is read, and therefore end at a few 10⁻⁶ of the right-hand side; `LinearSystem` refines
in float64.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.compiled import compiled

_HALF = 0.62
_PASSES = 80
_LEAST = 3e-6
_ROUGH = 1e-2


class Relaxation:
    """I − γP, γP (S, S) as CSR; repeated entries are fine."""

    name = "Gauss–Seidel, compiled"
    exact = False

    def __init__(self, indptr: Array, indices: Array, weights: Array) -> None:
        self._graph = indptr, indices, weights.astype(np.float32)
        n = indptr.size - 1
        filled = np.diff(indptr) > 0
        ahead = np.zeros(n)
        ahead[filled] = np.add.reduceat(weights, indptr[:-1][filled])
        # (I − γP)1 (S,): what a constant adds to residuals; nothing, where it is as good as zero.
        self._of_one = 1.0 - ahead
        self._total = float(self._of_one.sum())
        self._slow: tuple[Array, Array, float] | None = None

    def solve(self, b: Array, *, transposed: bool, rtol: float) -> Array:
        """An approximate solution with residual ≤ rtol ‖b‖, and no better than a few 10⁻⁶; for the caller to see."""
        size = float(np.abs(b).max(initial=0.0))
        if not size > 0.0 or not np.isfinite(size):
            return np.zeros_like(b)
        scaled = (b / size).astype(np.float32)
        with np.errstate(all="ignore"):
            x = self._pushed(scaled, max(rtol, _LEAST)) if transposed else self._pulled(scaled, max(rtol, _LEAST))
        return size * x.astype(float)

    def _pulled(self, b: Array, rtol: float) -> Array:
        x = np.zeros_like(b)
        for _ in range(_PASSES):
            moved, largest = _pull(*self._graph, b, x)
            if not largest > max(rtol, 2e-6 * float(np.abs(x).max())):
                break
            if self._total > 1e-9 * b.size:
                x += np.float32(_HALF * moved / self._total)
        return x

    def _pushed(self, b: Array, rtol: float) -> Array:
        x, r, positive = np.zeros_like(b), b.copy(), bool(b.min() >= 0.0)
        aim = rtol * float(np.abs(b).sum(dtype=float))
        if not positive and self._slow is None:
            self.solve(np.ones(b.size), transposed=True, rtol=_ROUGH)
        for _ in range(_PASSES):
            if not _push(*self._graph, r, x) > aim:
                break
            if positive:
                mass = float(x @ self._of_one)
                if mass > 0.0:
                    grown = np.float32(float(b.sum(dtype=float)) / mass)
                    x *= grown
                    r *= grown
                    r += (np.float32(1.0) - grown) * b
            elif self._slow is not None:
                z, of_z, total = self._slow
                c = np.float32(float(r.sum(dtype=float)) / total)
                x += c * z
                r -= c * of_z
        if positive:
            self._slow = x.copy(), b - r, float((b - r).sum(dtype=float))
        return x


@compiled
def _pull(indptr, indices, weights, b, x):  # type: ignore[no-untyped-def]
    """One pass in place: (Σ changes, the largest)."""
    moved, largest = 0.0, 0.0
    for s in range(b.size):
        t = b[s] - x[s]
        for e in range(indptr[s], indptr[s + 1]):
            t += weights[e] * x[indices[e]]
        x[s] += t
        moved += t
        if abs(t) > largest:
            largest = abs(t)
    return moved, largest


@compiled
def _push(indptr, indices, weights, r, x):  # type: ignore[no-untyped-def]
    """One pass of the transpose: Σ |r| afterwards."""
    for s in range(r.size):
        d = r[s]
        r[s] = 0.0
        x[s] += d
        for e in range(indptr[s], indptr[s + 1]):
            r[indices[e]] += weights[e] * d
    left = 0.0
    for s in range(r.size):
        left += abs(r[s])
    return left
