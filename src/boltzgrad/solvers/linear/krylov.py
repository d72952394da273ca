"""GMRES for I − γP on expander-like graphs, with the one bad direction treated exactly."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from boltzgrad.core.arrays import Array

# Measured on garnets of 10⁵ states: with the constant deflated a short restart costs no more
# iterations than a long one, and saves the orthogonalisation.
_RESTART = 20
_CYCLES = 50


Apply = Callable[[Array, bool], Array]
"""(x, transposed) ↦ (I − γP) x, or (I − γP)ᵀ x."""


class Krylov:
    r"""Restarted GMRES, preconditioned by $I + \frac{\gamma}{1-\gamma}\,\frac{\mathbf 1\mathbf 1^\top}{S}$.

    On a graph that mixes fast every eigenvalue of I − γP but one lies well away from zero; the exception is
    1 − γ, whose right eigenvector is **1**, and the preconditioner inverts the matrix on exactly that vector.
    The result is only ever used with its residual computed by the caller.
    """

    name = "GMRES"
    exact = False

    def __init__(self, apply: Apply, n: int, discount: float) -> None:
        self._apply = apply
        lift = discount / (1.0 - discount) if discount < 1.0 else 0.0
        self._preconditioner = LinearOperator(
            (n, n), matvec=lambda x: x + lift * x.mean(), rmatvec=lambda x: x + lift * x.mean(), dtype=float
        )

    def solve(self, b: Array, *, transposed: bool, rtol: float) -> Array:
        """An approximate solution with ‖b − Ax‖₂ ≤ rtol ‖b‖₂, if GMRES reaches it."""
        if not np.any(b):
            return np.zeros_like(b)
        matrix = LinearOperator((b.size, b.size), matvec=lambda x: self._apply(x, transposed), dtype=float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the caller measures the residual itself
            x, _ = gmres(
                matrix,
                b,
                rtol=max(rtol, 1e-14),
                atol=0.0,
                restart=_RESTART,
                maxiter=_CYCLES,
                M=self._preconditioner,
            )
        return np.asarray(x)
