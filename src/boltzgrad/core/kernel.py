"""Transition kernels p(s'|s,a), dense or sparse, behind one small interface.

A kernel is linear algebra only: expectations over the next state, their transpose, and the state kernel
under a policy.  A sparse kernel is a fixed `SparsePattern` and a vector of values; only the values depend
on θ, so they may be traced by autograd and have cotangents of their own shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidModel

# Rows of a kernel handled at once where a temporary of extended precision is needed.
_BLOCK = 1 << 19
# Below this share of entries that are not zero, a dense kernel's sums in extended precision are taken over those alone.
_SPARSE = 0.25


class SparsePattern:
    """Which successors each (state, action) has: the fixed part of a sparse kernel.

    `indptr` (S·A + 1,) and `indices` (nnz,) as in a CSR matrix of shape (S·A, S), row s·A + a holding the
    successors of action a in state s.  Both are copied and made read-only: the caller's arrays are
    never shared or reordered.

    >>> pattern = SparsePattern([0, 1, 2], [1, 1], n_states=2, n_actions=1)
    >>> pattern.nnz
    2
    """

    def __init__(self, indptr: Any, indices: Any, *, n_states: int, n_actions: int) -> None:
        self.n_states, self.n_actions = int(n_states), int(n_actions)
        indptr, indices = np.array(indptr), np.array(indices)
        rows = self.n_states * self.n_actions
        if indptr.shape != (rows + 1,) or indices.ndim != 1:
            raise InvalidModel(
                f"sparse pattern: indptr has shape {indptr.shape}, expected ({rows + 1},) for "
                f"{n_states} states × {n_actions} actions"
            )
        for name, array in (("indptr", indptr), ("indices", indices)):
            if not np.issubdtype(array.dtype, np.integer) and array.size:
                raise InvalidModel(f"sparse pattern: {name} holds {array.dtype}, expected integers")
        if indptr[0] != 0 or indptr[-1] != indices.size or np.any(np.diff(indptr) < 0):
            raise InvalidModel(
                f"sparse pattern: indptr must rise from 0 to {indices.size} (the number of indices); "
                f"it goes from {indptr[0]} to {indptr[-1]}"
            )
        bad = np.flatnonzero((indices < 0) | (indices >= self.n_states))
        if bad.size:
            row = int(np.searchsorted(indptr, bad[0], side="right")) - 1
            raise InvalidModel(
                f"sparse pattern: a successor of transition[{row // n_actions}, {row % n_actions}] is state "
                f"{indices[bad[0]]}; states are 0 … {self.n_states - 1}"
            )
        dtype = np.int32 if max(indices.size, rows) < 2**31 - 1 else np.int64
        self.indptr: Array = indptr.astype(dtype)
        self.indices: Array = indices.astype(dtype)
        self.indptr.flags.writeable = self.indices.flags.writeable = False

    @property
    def nnz(self) -> int:
        """Number of stored successors over all states and actions."""
        return int(self.indices.size)

    @cached_property
    def row_lengths(self) -> Array:
        """Number of successors of each row (S·A,)."""
        return np.diff(self.indptr)

    @cached_property
    def state_indptr(self) -> Array:
        """Row pointer (S + 1,) of the same entries grouped by state: the actions of a state lie together."""
        return self.indptr[:: self.n_actions].copy()

    @cached_property
    def longest_sum(self) -> int:
        """The most entries that any state's row or column holds."""
        into = np.bincount(self.indices, minlength=1)
        return int(max(into.max(initial=0), np.diff(self.state_indptr).max(initial=0)))

    @cached_property
    def _merge(self) -> tuple[Array, Array, Array, Array]:
        """How entries of the (S·A, S) kernel add up into the (S, S) kernel under a policy, column by column."""
        entries = np.arange(self.nnz, dtype=self.indptr.dtype)
        by_state = sparse.csr_array((entries, self.indices, self.state_indptr), shape=(self.n_states, self.n_states))
        columns = by_state.tocsc()
        rows = columns.indices
        first = np.empty(self.nnz, dtype=bool)
        if self.nnz:
            first[0] = True
            first[1:] = rows[1:] != rows[:-1]
            first[columns.indptr[:-1][np.diff(columns.indptr) > 0]] = True
        starts = np.flatnonzero(first)
        indptr = np.searchsorted(starts, columns.indptr).astype(self.indptr.dtype)
        return columns.data, starts, rows[starts], indptr

    def merged(self, entries: Array) -> sparse.csc_array:
        """Entries (nnz,) of an (S·A, S) kernel summed over actions into an (S, S) CSC matrix."""
        order, starts, rows, indptr = self._merge
        data = np.add.reduceat(entries[order], starts) if starts.size else entries[:0]
        return sparse.csc_array((data, rows.copy(), indptr.copy()), shape=(self.n_states, self.n_states))

    def row_sums(self, entries: Array) -> Array:
        """Sums (S, A) of entries (nnz,) over each row; the entries keep their precision."""
        total = np.zeros(self.indptr.size - 1, dtype=entries.dtype)
        filled = np.flatnonzero(self.row_lengths)
        if filled.size:
            total[filled] = np.add.reduceat(entries, self.indptr[filled])
        return total.reshape(self.n_states, self.n_actions)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows whose entries together stay below a fixed number."""
        rows = self.indptr.size - 1
        start = 0
        while start < rows:
            stop = int(np.searchsorted(self.indptr, self.indptr[start] + _BLOCK, side="right")) - 1
            stop = min(max(stop, start + 1), rows)
            yield start, stop
            start = stop


@dataclass(frozen=True, eq=False)
class DenseKernel:
    """p(s'|s,a) as an array `values` (S, A, S); one that was `checked` is not looked through again."""

    values: Any
    checked: bool = field(default=False, repr=False)

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.values.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.values.shape[1])

    @cached_property
    def flat(self) -> Array:
        """The same numbers as a matrix (S·A, S)."""
        return np.reshape(self.values, (self.n_states * self.n_actions, self.n_states))

    @cached_property
    def _held(self) -> tuple[Array, Array, Array] | None:
        """(entries that are not zero in extended precision, their columns, where each row's begin); None where most are not."""
        rows, columns = np.nonzero(self.flat)
        if rows.size > _SPARSE * self.values.size or np.iscomplexobj(self.values):
            return None
        starts = np.searchsorted(rows, np.arange(self.flat.shape[0]))
        return self.flat[rows, columns].astype(np.longdouble), columns, starts

    @cached_property
    def _flat_extended(self) -> Array:
        return self.flat.astype(np.longdouble)

    @cached_property
    def row_sums(self) -> Array:
        """Σ_s' p(s'|s,a), (S, A)."""
        return np.asarray(self.values.sum(axis=2))

    def expect(self, v: Array) -> Array:
        """Σ_s' p(s'|s,a) v(s'): (S,) → (S, A), or (S, k) → (S, A, k)."""
        return np.asarray(self.flat @ v).reshape(self.n_states, self.n_actions, *v.shape[1:])

    def expect_extended(self, v: Array) -> Array:
        """`expect` with products and sums in extended precision."""
        v = v.astype(np.longdouble)
        if self.values.size <= _BLOCK and self._held is not None:
            entries, columns, starts = self._held
            # One zero behind the last, which is where empty rows at the end begin.
            products = np.zeros(entries.size + 1, np.longdouble)
            np.multiply(entries, v[columns], out=products[:-1])
            sums = np.add.reduceat(products, starts)
            sums[np.diff(starts, append=entries.size) == 0] = 0.0
            return np.asarray(sums).reshape(self.n_states, self.n_actions)
        if self.values.size <= _BLOCK:
            return np.asarray(self._flat_extended @ v).reshape(self.n_states, self.n_actions)
        flat, step = self.flat, max(1, _BLOCK // self.n_states)
        out = np.empty(flat.shape[0], dtype=np.longdouble)
        for start in range(0, flat.shape[0], step):
            out[start : start + step] = flat[start : start + step].astype(np.longdouble) @ v
        return out.reshape(self.n_states, self.n_actions)

    def accumulate(self, x: Array) -> Array:
        """Σ_{s,a} p(s'|s,a) x(s,a): (S, A) → (S,), the transpose of `expect`."""
        return np.asarray(x.ravel() @ self.flat)

    def under(self, policy: Array) -> Array:
        """P_π(s, s') = Σ_a π(a|s) p(s'|s,a), a dense (S, S) array."""
        return np.asarray(np.matmul(policy[:, None, :], self.values)[:, 0, :])

    @property
    def longest_sum(self) -> int:
        """The most entries that any state's row or column holds: a column is summed over all states and actions."""
        return self.n_states * self.n_actions

    def outer(self, x: Array, v: Array) -> Array:
        """x(s,a) v(s') for every entry of the kernel: the cotangent of Σ x(s,a) p(s'|s,a) v(s')."""
        return x[:, :, None] * v

    def with_values(self, values: Any) -> DenseKernel:
        """The kernel with other numbers in the same places."""
        return DenseKernel(values)


@dataclass(frozen=True, eq=False)
class SparseKernel:
    """p(s'|s,a) as `values` (nnz,) on a fixed `pattern`; `values` may be traced by autograd.

    One that was `checked` is not looked through again.

    >>> SparseKernel(SparsePattern([0, 1, 2], [1, 1], n_states=2, n_actions=1), np.ones(2)).expect(np.array([3., 4.]))
    array([[4.], [4.]])
    """

    pattern: SparsePattern
    values: Any
    checked: bool = field(default=False, repr=False)

    @classmethod
    def from_scipy(cls, matrix: Any, n_actions: int) -> SparseKernel:
        """Copy of a SciPy sparse matrix (S·A, S)."""
        csr = matrix.tocsr()
        pattern = SparsePattern(csr.indptr, csr.indices, n_states=csr.shape[1], n_actions=n_actions)
        return cls(pattern, np.array(csr.data))

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return self.pattern.n_states

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return self.pattern.n_actions

    @cached_property
    def flat(self) -> sparse.csr_array:
        """The same numbers as a CSR matrix (S·A, S)."""
        shape = (self.n_states * self.n_actions, self.n_states)
        return sparse.csr_array((self.values, self.pattern.indices, self.pattern.indptr), shape=shape)

    @cached_property
    def row_sums(self) -> Array:
        """Σ_s' p(s'|s,a), (S, A)."""
        return self.pattern.row_sums(np.asarray(self.values))

    def expect(self, v: Array) -> Array:
        """Σ_s' p(s'|s,a) v(s'): (S,) → (S, A), or (S, k) → (S, A, k)."""
        return np.asarray(self.flat @ v).reshape(self.n_states, self.n_actions, *v.shape[1:])

    def expect_extended(self, v: Array) -> Array:
        """`expect` with products and sums in extended precision."""
        v = v.astype(np.longdouble)
        indptr, indices = self.pattern.indptr, self.pattern.indices
        out = np.zeros(indptr.size - 1, dtype=np.longdouble)
        for start, stop in self.pattern.blocks():
            lo, hi = int(indptr[start]), int(indptr[stop])
            filled = start + np.flatnonzero(self.pattern.row_lengths[start:stop])
            if filled.size:
                products = self.values[lo:hi] * v[indices[lo:hi]]
                out[filled] = np.add.reduceat(products, indptr[filled] - lo)
        return out.reshape(self.n_states, self.n_actions)

    def accumulate(self, x: Array) -> Array:
        """Σ_{s,a} p(s'|s,a) x(s,a): (S, A) → (S,), the transpose of `expect`."""
        return np.asarray(self.flat.T @ x.ravel())

    @property
    def longest_sum(self) -> int:
        """The most entries that any state's row or column holds."""
        return self.pattern.longest_sum

    def under(self, policy: Array) -> sparse.csr_array:
        """P_π(s, s') = Σ_a π(a|s) p(s'|s,a), a CSR matrix (S, S) with one entry for each entry of the kernel."""
        return sparse.csr_array(
            (self._weighted(policy), self.pattern.indices, self.pattern.state_indptr),
            shape=(self.n_states, self.n_states),
        )

    def under_merged(self, policy: Array) -> sparse.csc_array:
        """`under` as a CSC matrix without repeated entries, as factorisations need it."""
        return self.pattern.merged(self._weighted(policy))

    def _weighted(self, policy: Array) -> Array:
        return np.asarray(np.repeat(policy.ravel(), self.pattern.row_lengths) * self.values)

    def outer(self, x: Array, v: Array) -> Array:
        """x(s,a) v(s') for every entry of the kernel: the cotangent of Σ x(s,a) p(s'|s,a) v(s')."""
        out: Array = v[self.pattern.indices]
        out *= np.repeat(x.ravel(), self.pattern.row_lengths)
        return out

    def with_values(self, values: Any) -> SparseKernel:
        """The kernel with other numbers in the same places."""
        return SparseKernel(self.pattern, values)


Kernel = DenseKernel | SparseKernel


def summed_outer(kernel: Kernel, xs: Sequence[Array], vs: Sequence[Array]) -> Array:
    """Σ_t x_t(s,a) v_t(s') for every entry of a kernel; of a dense one by one product of matrices."""
    if isinstance(kernel, SparseKernel) or len(xs) == 1:
        return np.asarray(sum(kernel.outer(x, v) for x, v in zip(xs, vs, strict=True)))
    return np.tensordot(np.stack(xs), np.stack(vs), (0, 0))
