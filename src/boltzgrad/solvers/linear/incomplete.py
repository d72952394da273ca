r"""BiCGSTAB with an incomplete LU factorisation, for graphs that are local in space: a grid of 10⁶ states in a second a solve.

**The factorisation** is ILUT (Saad 1994) of the matrix in reverse Cuthill–McKee order: Gaussian elimination row by row, in
which a multiplier below `drop`, or an entry of U below `drop` times its diagonal, is dropped.  What is dropped from a row goes
to its diagonal, nine tenths of it (`_COMPENSATED`): I − γP maps the constant to 1 − γ, and a factorisation that loses mass
mistakes that direction, the one that matters, for a much shorter one.  Factors are kept in float32, which halves what a solve
has to read; the iteration and its residuals are in float64.

**The transposed system** is solved with the same factors, transposed: an incomplete factorisation of Aᵀ diverges, because Aᵀ is
not diagonally dominant by rows.

SuperLU's exact factors of such a graph fill in with S log S entries, 15 s at 10⁶ states; these hold about ten a row.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from boltzgrad.core.arrays import Array
from boltzgrad.core.compiled import compiled
from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.errors import NotConverged

_COMPENSATED = 0.9
_MOST_ITERATIONS = 80
_ROOM = (12, 30, 90)  # entries a row of each factor, in turn
_LONGEST = 4096

_rows: weakref.WeakKeyDictionary[SparsePattern, _Rows] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class _Rows:
    """Where the entries of I − γP_π are, in reverse Cuthill–McKee order: what a pattern is asked once.

    Row i is state `order[i]`, and `place` is the inverse; row i has `columns` from `start[i]` to `start[i + 1]`, its diagonal
    at `diagonal[i]`; entry e of the kernel goes to `at[e]` of its row.
    """

    order: Array
    place: Array
    start: Array
    columns: Array
    diagonal: Array
    at: Array

    @classmethod
    def of(cls, pattern: SparsePattern) -> _Rows:
        """Raises: NotConverged for rows that are too long for a graph that is local."""
        if pattern not in _rows:
            if int(np.diff(pattern.state_indptr).max(initial=0)) > _LONGEST:
                raise NotConverged("rows are too long for an incomplete factorisation")
            S = pattern.n_states
            ones = np.ones(pattern.nnz, np.int8)
            graph = sparse.csr_matrix((ones, pattern.indices, pattern.state_indptr), shape=(S, S))
            order = np.asarray(reverse_cuthill_mckee(graph, symmetric_mode=False), np.int32)
            place = np.empty_like(order)
            place[order] = np.arange(S, dtype=np.int32)
            merged = _merged(pattern.state_indptr, pattern.indices, order, place, pattern.nnz + S)
            _rows[pattern] = cls(order, place, *merged)
        return _rows[pattern]


class Incomplete:
    """I − γP_π in compiled loops.  Raises: NotConverged where the factors fill in too much, or break down."""

    name = "incomplete LU and BiCGSTAB, compiled"
    exact = False

    def __init__(self, kernel: SparseKernel, policy: Array, discount: float, drop: float | None = None) -> None:
        pattern = kernel.pattern
        self._rows = rows = _Rows.of(pattern)
        policy = np.ascontiguousarray(policy, float)
        self._values = _assembled(
            pattern.indptr, kernel.values, policy, discount, rows.order, rows.start, rows.diagonal, rows.at
        )
        self._transpose: tuple[Array, ...] | None = None
        # The nearer γ is to one, the further a solve has to reach.
        drop = drop or (3e-3 if discount <= 0.995 else 1e-3)
        for room in _ROOM:
            *factors, fits = _ilut(rows.start, rows.columns, self._values, drop, _COMPENSATED, room * kernel.n_states)
            if fits:
                break
        if not fits or not np.all(np.isfinite(factors[-1])):
            raise NotConverged("an incomplete factorisation fills in too much, or breaks down")
        self._factors = factors

    def _matrix(self, transposed: bool) -> tuple[Array, ...]:
        rows = (self._rows.start, self._rows.columns, self._values)
        if not transposed:
            return rows
        if self._transpose is None:
            self._transpose = _transposed(*rows)
        return self._transpose

    def apply(self, x: Array, transposed: bool) -> Array:
        """(I − γP_π) x, or the transpose's, in float64."""
        y = np.empty_like(x)
        _times(*self._matrix(transposed), x[self._rows.order], y)
        return y[self._rows.place]

    def solve(self, b: Array, *, transposed: bool, rtol: float) -> Array:
        """An approximate solution with ‖b − Ax‖₂ ≤ rtol ‖b‖₂, if BiCGSTAB reaches it; its residual is for the caller to see."""
        x = np.zeros_like(b)
        aim, ordered = max(rtol, 1e-14), b[self._rows.order]
        with np.errstate(all="ignore"):
            _bicgstab(*self._matrix(transposed), *self._factors, transposed, ordered, x, aim, _MOST_ITERATIONS)
        return x[self._rows.place]


@compiled
def _merged(state_indptr, indices, order, place, room):  # type: ignore[no-untyped-def]
    """(start, columns, diagonal, at) of `_Rows`; the columns of each row ascend."""
    n = order.size
    start, diagonal = np.zeros(n + 1, np.int64), np.empty(n, np.int64)
    columns, at = np.empty(room, np.int32), np.empty(indices.size, np.uint16)
    found, held = np.empty(_LONGEST + 1, np.int32), 0
    for i in range(n):
        low, high = state_indptr[order[i]], state_indptr[order[i] + 1]
        found[0], size = i, 1
        for e in range(low, high):
            j, q = place[indices[e]], 0
            while q < size and found[q] != j:
                q += 1
            if q == size:
                found[size] = j
                size += 1
        for a in range(1, size):
            x, b = found[a], a - 1
            while b >= 0 and found[b] > x:
                found[b + 1] = found[b]
                b -= 1
            found[b + 1] = x
        for a in range(size):
            columns[held + a] = found[a]
            if found[a] == i:
                diagonal[i] = held + a
        for e in range(low, high):
            j, q = place[indices[e]], 0
            while found[q] != j:
                q += 1
            at[e] = q
        held += size
        start[i + 1] = held
    return start, columns[:held].copy(), diagonal, at


@compiled
def _assembled(indptr, entries, policy, discount, order, start, diagonal, at):  # type: ignore[no-untyped-def]
    """The entries of I − γP_π in the places of `_Rows`."""
    n, actions = order.size, policy.shape[1]
    values = np.zeros(start[n])
    for i in range(n):
        s, first = order[i], start[i]
        for a in range(actions):
            weight = -discount * policy[s, a]
            for e in range(indptr[s * actions + a], indptr[s * actions + a + 1]):
                values[first + at[e]] += weight * entries[e]
        values[diagonal[i]] += 1.0
    return values


@compiled
def _transposed(start, columns, values):  # type: ignore[no-untyped-def]
    """The rows of the transpose."""
    n = start.size - 1
    begin = np.zeros(n + 1, np.int64)
    for e in range(columns.size):
        begin[columns[e] + 1] += 1
    for j in range(n):
        begin[j + 1] += begin[j]
    rows, out, free = np.empty(columns.size, np.int32), np.empty(columns.size), begin[:-1].copy()
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            q = free[columns[e]]
            rows[q], out[q] = i, values[e]
            free[columns[e]] += 1
    return begin, rows, out


@compiled
def _ilut(start, columns, values, drop, compensated, room):  # type: ignore[no-untyped-def]
    """(L's rows, columns and entries, U's, 1/diagonal, whether they fit); L has ones on its diagonal, U's is apart.

    The columns of the row that is eliminated wait in a heap, because fill arrives out of order.
    """
    n = start.size - 1
    l_start, u_start = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    l_at, l_is = np.empty(room, np.int32), np.empty(room, np.float32)
    u_at, u_is = np.empty(room, np.int32), np.empty(room, np.float32)
    inverse = np.empty(n, np.float32)
    row, held = np.zeros(n), np.zeros(n, np.bool_)
    heap, above = np.empty(n + 1, np.int32), np.empty(n, np.int32)
    n_l = n_u = 0
    for i in range(n):
        size = right = 0
        held[i] = True
        for e in range(start[i], start[i + 1]):
            j = columns[e]
            row[j] += values[e]
            size, right = _noted(j, i, held, heap, size, above, right)
        lost = 0.0
        while size > 0:
            k, size = _popped(heap, size)
            here = row[k]
            factor = here * inverse[k]
            row[k], held[k] = 0.0, False
            if abs(factor) < drop:
                lost += here
                continue
            if n_l >= room:
                return l_start, l_at, l_is, u_start, u_at, u_is, inverse, False
            l_at[n_l], l_is[n_l] = k, factor
            n_l += 1
            for f in range(u_start[k], u_start[k + 1]):
                j = u_at[f]
                row[j] -= factor * u_is[f]
                size, right = _noted(j, i, held, heap, size, above, right)
        diagonal = row[i]
        row[i], held[i] = 0.0, False
        for q in range(right):
            j = above[q]
            entry = row[j]
            row[j], held[j] = 0.0, False
            if abs(entry) < drop * abs(diagonal):
                lost += entry
                continue
            if n_u >= room:
                return l_start, l_at, l_is, u_start, u_at, u_is, inverse, False
            u_at[n_u], u_is[n_u] = j, entry
            n_u += 1
        inverse[i] = 1.0 / (diagonal + compensated * lost)
        l_start[i + 1], u_start[i + 1] = n_l, n_u
    return l_start, l_at[:n_l].copy(), l_is[:n_l].copy(), u_start, u_at[:n_u].copy(), u_is[:n_u].copy(), inverse, True


@compiled
def _noted(j, i, held, heap, size, above, right):  # type: ignore[no-untyped-def]
    """(size of the heap, how many right of the diagonal) with column j of row i, which is noted once."""
    if held[j]:
        return size, right
    held[j] = True
    if j < i:
        return _pushed(heap, size, j), right
    above[right] = j
    return size, right + 1


@compiled
def _pushed(heap, size, j):  # type: ignore[no-untyped-def]
    """The size of a heap (from 1 on, the least on top) with one more in it."""
    c = size + 1
    while c > 1 and heap[c // 2] > j:
        heap[c] = heap[c // 2]
        c //= 2
    heap[c] = j
    return size + 1


@compiled
def _popped(heap, size):  # type: ignore[no-untyped-def]
    """(the least of a heap, its size without it)."""
    least, last, c = heap[1], heap[size], 1
    while 2 * c <= size - 1:
        b = 2 * c
        if b < size - 1 and heap[b + 1] < heap[b]:
            b += 1
        if heap[b] >= last:
            break
        heap[c] = heap[b]
        c = b
    heap[c] = last
    return least, size - 1


@compiled
def _precondition(l_start, l_at, l_is, u_start, u_at, u_is, inverse, transposed, b, x):  # type: ignore[no-untyped-def]
    """x = (LU)⁻¹ b, or (LU)⁻ᵀ b."""
    n = b.size
    if transposed:
        for i in range(n):
            x[i] = b[i]
        for i in range(n):
            t = x[i] * inverse[i]
            x[i] = t
            for e in range(u_start[i], u_start[i + 1]):
                x[u_at[e]] -= u_is[e] * t
        for i in range(n - 1, -1, -1):
            t = x[i]
            for e in range(l_start[i], l_start[i + 1]):
                x[l_at[e]] -= l_is[e] * t
        return
    for i in range(n):
        t = b[i]
        for e in range(l_start[i], l_start[i + 1]):
            t -= l_is[e] * x[l_at[e]]
        x[i] = t
    for i in range(n - 1, -1, -1):
        t = x[i]
        for e in range(u_start[i], u_start[i + 1]):
            t -= u_is[e] * x[u_at[e]]
        x[i] = t * inverse[i]


@compiled
def _times(start, columns, values, x, y):  # type: ignore[no-untyped-def]
    for i in range(y.size):
        t = 0.0
        for e in range(start[i], start[i + 1]):
            t += values[e] * x[columns[e]]
        y[i] = t


@compiled
def _bicgstab(  # type: ignore[no-untyped-def]
    start, columns, values, l_start, l_at, l_is, u_start, u_at, u_is, inverse, transposed, b, x, rtol, most
):
    """BiCGSTAB (van der Vorst 1992), preconditioned from the right, from x = 0; stops where it breaks down."""
    n = b.size
    r, shadow, p = b.copy(), b.copy(), b.copy()
    v, t, z, s = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    size = np.dot(b, b)
    rho, aim = size, rtol * rtol * size
    for _ in range(most):
        if not rho * rho > 0.0:
            return
        _precondition(l_start, l_at, l_is, u_start, u_at, u_is, inverse, transposed, p, z)
        _times(start, columns, values, z, v)
        alpha = rho / np.dot(shadow, v)
        left = 0.0
        for i in range(n):
            r[i] -= alpha * v[i]
            left += r[i] * r[i]
        if left <= aim:
            for i in range(n):
                x[i] += alpha * z[i]
            return
        _precondition(l_start, l_at, l_is, u_start, u_at, u_is, inverse, transposed, r, s)
        _times(start, columns, values, s, t)
        omega = np.dot(t, r) / np.dot(t, t)
        left = onward = 0.0
        for i in range(n):
            x[i] += alpha * z[i] + omega * s[i]
            r[i] -= omega * t[i]
            left += r[i] * r[i]
            onward += shadow[i] * r[i]
        if not left > aim:
            return
        beta = onward / rho * alpha / omega
        rho = onward
        for i in range(n):
            p[i] = r[i] + beta * (p[i] - omega * v[i])
