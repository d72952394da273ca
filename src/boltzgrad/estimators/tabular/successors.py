"""Kernels as tables of successors, to draw the next state of many walkers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import DenseKernel, Kernel


@dataclass(frozen=True, eq=False)
class Successors:
    """For every kernel k and row s·A + a its m successors: `to`, `cdf`, `probability`, `position` (K, S·A, m).

    `cdf` is infinite beyond the row's own successors; `total` (K, S·A) is the row's sum, one if it is one up to rounding: a
    uniform number beyond it ends the episode.  `position` is the entry's place in the kernel's values.  `kernel_of` (W,)
    is the kernel of each world.
    """

    to: Array
    cdf: Array
    probability: Array
    position: Array
    total: Array
    kernel_of: Array
    source: tuple[Array, ...]
    n_actions: int

    @staticmethod
    def of(kernels: Sequence[Kernel], previous: Successors | None = None) -> Successors:
        """The tables of some kernels; those of `previous` where they are the same arrays."""
        values = [k.values for k in kernels]
        shared = all(v is values[0] for v in values)
        distinct = tuple(values[:1] if shared else values)
        kernel_of = np.zeros(len(kernels), int) if shared else np.arange(len(kernels))
        if previous is not None and _same(previous.source, distinct):
            return Successors(**{**previous.__dict__, "kernel_of": kernel_of})
        tables = [_table(k) for k in (kernels[:1] if shared else kernels)]
        m = max(t[0].shape[1] for t in tables)
        to, probability, position = (
            np.stack([np.pad(t[i], ((0, 0), (0, m - t[i].shape[1]))) for t in tables]) for i in range(3)
        )
        own = np.stack([np.arange(m) < t[3][:, None] for t in tables])
        probability = np.where(own, probability, 0.0)
        cdf = np.cumsum(probability, axis=2)
        total = cdf[:, :, -1].copy()
        closed = np.abs(total - 1.0) < 1e-9
        total[closed] = 1.0
        cdf = np.where(own, cdf, np.inf)
        last = np.maximum(own.sum(axis=2) - 1, 0)
        at = np.nonzero(closed & own.any(axis=2))
        cdf[(*at, last[at])] = 1.0
        return Successors(to, cdf, probability, position, total, kernel_of, distinct, kernels[0].n_actions)

    def step(self, world: Array, state: Array, action: Array, uniform: Array) -> tuple[Array, Array, Array]:
        """(next state, its slot in the table, whether the episode ends), (n,) each."""
        k, row = self.kernel_of[world], state * self.n_actions + action
        if len(self.to) == 1:
            cdf, total, to = self.cdf[0][row], self.total[0][row], self.to[0]
            slot = np.minimum((uniform[:, None] >= cdf).sum(axis=1), cdf.shape[1] - 1)
            return to[row, slot], slot, uniform >= total
        cdf, total = self.cdf[k, row], self.total[k, row]
        slot = np.minimum((uniform[:, None] >= cdf).sum(axis=1), cdf.shape[1] - 1)
        return self.to[k, row, slot], slot, uniform >= total


def _same(a: tuple[Array, ...], b: tuple[Array, ...]) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))


def _table(kernel: Kernel) -> tuple[Array, Array, Array, Array]:
    """(to, probability, position) (S·A, m) and the number of successors of each row (S·A,)."""
    if isinstance(kernel, DenseKernel):
        flat = kernel.values.reshape(-1, kernel.values.shape[-1])
        row, column = np.nonzero(flat)
        values, position = flat[row, column], row * flat.shape[1] + column
        rows = flat.shape[0]
    else:
        pattern = kernel.pattern
        row = np.repeat(np.arange(pattern.indptr.size - 1), np.diff(pattern.indptr))
        column, values, position = pattern.indices, kernel.values, np.arange(kernel.values.size)
        rows = pattern.indptr.size - 1
    count = np.bincount(row, minlength=rows)
    m = max(int(count.max(initial=0)), 1)
    slot = np.arange(row.size) - np.repeat(np.cumsum(count) - count, count)
    to, p, at = np.zeros((rows, m), int), np.zeros((rows, m)), np.zeros((rows, m), int)
    to[row, slot], p[row, slot], at[row, slot] = column, values, position
    return to, p, at, count
