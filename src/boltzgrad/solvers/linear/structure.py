"""Which factorisation suits a kernel, decided by its size and by how fast its graph spreads."""

from __future__ import annotations

import weakref
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order

from boltzgrad.core.compiled import available
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel, SparsePattern

Method = Literal["dense", "sparse", "krylov"]

# Measured crossings (benchmarks/linear_systems.py): below, dense LU beats both others on sparse kernels too.
DENSE_SPARSE_LIMIT = 200
# Dense LU still beats GMRES on expanders up to here, where one factorisation serves several solves.
DENSE_EXPANDER_LIMIT = 600
# From here on compiled loops, where there are any, beat SuperLU on local graphs and GMRES on expanders.
COMPILED_FROM = 2000
# Above this many states, a dense kernel with few non-zeros is worth converting.
DENSE_LIMIT = 2500
# An expander reaches everything within a few times log S steps; a grid needs about S^(1/2).
EXPANDER_STEPS = 3.0

_choices: weakref.WeakKeyDictionary[SparsePattern, Method] = weakref.WeakKeyDictionary()


def choose(kernel: Kernel) -> Method:
    """The method for I − γP_π of this kernel; for sparse kernels decided once a pattern."""
    if isinstance(kernel, DenseKernel):
        return "dense"
    if kernel.n_states <= DENSE_SPARSE_LIMIT:
        return "dense"
    pattern = kernel.pattern
    if pattern not in _choices:
        fast: Method = "dense" if kernel.n_states <= DENSE_EXPANDER_LIMIT else "krylov"
        _choices[pattern] = fast if spreads_fast(pattern) else "sparse"
    return _choices[pattern]


def compiled_factors(kernel: Kernel) -> bool:
    """Whether compiled loops are there, and worth their start, for a kernel."""
    return available() and isinstance(kernel, SparseKernel) and kernel.n_states >= COMPILED_FROM


def spreads_fast(pattern: SparsePattern) -> bool:
    """Whether a breadth-first search reaches all it can in at most `EXPANDER_STEPS`·log₂ S steps.

    LU factors of such graphs fill in almost completely (10⁴ states already take minutes), while
    GMRES converges in a few dozen steps; on slowly spreading graphs it is the other way round.
    """
    S = pattern.n_states
    graph = sparse.csr_array((np.ones(pattern.nnz, dtype=np.int8), pattern.indices, pattern.state_indptr), shape=(S, S))
    order, before = breadth_first_order(graph, S // 2, directed=False)
    depth = np.zeros(S, dtype=np.int64)
    for node in order[1:]:
        depth[node] = depth[before[node]] + 1
    return bool(depth.max() <= EXPANDER_STEPS * np.log2(S))
