"""Direct factorisations of I − γP: dense LU (LAPACK) and sparse LU (SuperLU)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from scipy.sparse.linalg import splu

from boltzgrad.core.arrays import Array
from boltzgrad.errors import NotConverged


class DenseLU:
    """LU of (I − γP)ᵀ, which is diagonally dominant by columns: the diagonal is every pivot, and the growth factor at most 2.

    So the factors keep the signs of I − γP, no sum of values or visits cancels, and what cannot be reached is exactly zero.
    """

    name = "dense LU"
    exact = True

    def __init__(self, matrix: Array) -> None:
        self._lu, self._pivots, info = lapack.dgetrf(matrix.T)
        if info != 0:
            raise NotConverged(f"dense LU broke down at pivot {info}: the matrix is singular to working precision")

    def solve(self, b: Array, *, transposed: bool = False, rtol: float = 0.0) -> Array:
        """Solution of the system, or of its transpose."""
        x, _ = lapack.dgetrs(self._lu, self._pivots, b, trans=int(not transposed))
        return np.asarray(x)


class SparseLU:
    """SuperLU with the ordering MMD_AT_PLUS_A: the least fill on graphs that are local in space."""

    name = "sparse LU"
    exact = True

    def __init__(self, matrix: Any) -> None:
        csc = sparse.csc_array(matrix)
        csc.indices, csc.indptr = csc.indices.astype(np.intc), csc.indptr.astype(np.intc)
        try:
            # The diagonal is a stable pivot (row diagonal dominance), and keeping it preserves the ordering.
            self._lu = splu(
                csc,
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError as error:
            raise NotConverged(f"sparse LU failed: {error}") from error

    def solve(self, b: Array, *, transposed: bool, rtol: float) -> Array:
        """Solution of the system, or of its transpose."""
        return np.asarray(self._lu.solve(b, "T" if transposed else "N"))
