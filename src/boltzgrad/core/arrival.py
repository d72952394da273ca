"""Rewards that are paid on arrival, as rewards of a state and an action."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defjvp, defvjp, primitive

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import numeric_array, untraced
from boltzgrad.core.constants import followed
from boltzgrad.core.kernel import DenseKernel, SparseKernel, SparsePattern
from boltzgrad.errors import InvalidModel


def arrival_reward(transition: Any, reward: Any) -> Any:
    r"""$r(s,a) = \sum_{s'} p(s'|s,a)\, R(s,a,s')$, for a model that takes r(s, a).

    `transition` (S, A, S) or a `SparseKernel`; `reward` R (S, A, S), or (S,) for one of the state that is reached, or of a
    sparse kernel (nnz,), an entry for each of its own.  Either may be traced by autograd.  Returns (S, A).  Where a row sums
    to less than one, what an episode pays as it ends is not in it.  Raises: InvalidModel.

    >>> arrival_reward(np.full((1, 2, 1), 1.0), np.array([3.0]))
    array([[3., 3.]])
    """
    kernel = transition if isinstance(transition, (SparseKernel, DenseKernel)) else DenseKernel(
        numeric_array("transition", transition, ndim=3, axes="(states, actions, states)")
    )  # fmt: skip
    paid = followed(numeric_array("reward", reward))
    S, A, shape = kernel.n_states, kernel.n_actions, np.shape(untraced(paid))
    if isinstance(kernel, DenseKernel):
        if shape not in ((S,), (S, A, S)):
            raise InvalidModel(f"reward has shape {shape}, expected ({S},) or ({S}, {A}, {S}) as in transition")
        return anp.sum(kernel.values * paid, axis=2)
    if shape not in ((S,), (kernel.pattern.nnz,)):
        raise InvalidModel(
            f"reward has shape {shape}, expected ({S},) or ({kernel.pattern.nnz},), an entry of the kernel each"
        )
    if shape == (S,):
        paid = paid[kernel.pattern.indices]
    return anp.reshape(row_sums(kernel.values * paid, kernel.pattern), (S, A))


def _row_of(pattern: SparsePattern) -> Array:
    return np.repeat(np.arange(pattern.indptr.size - 1), pattern.row_lengths)


@primitive
def row_sums(values: Any, pattern: SparsePattern) -> Any:
    """Sums (S·A,) of a sparse kernel's entries (nnz,) over each row; traced by autograd."""
    out = np.zeros(pattern.indptr.size - 1, values.dtype)
    filled = np.flatnonzero(pattern.row_lengths)
    if filled.size:
        out[filled] = np.add.reduceat(values, pattern.indptr[filled])
    return out


defvjp(row_sums, lambda ans, values, pattern: lambda g: g[_row_of(pattern)], argnums=(0,))
defjvp(row_sums, lambda g, ans, values, pattern: row_sums(g, pattern), argnums=(0,))


@primitive
def gathered(x: Any, places: Array, size: int) -> Any:
    """A vector (size,) in which entry i of x (k,) is added at places[i]; traced by autograd."""
    out = np.zeros(size, x.dtype)
    np.add.at(out, places, x)
    return out


defvjp(gathered, lambda ans, x, places, size: lambda g: g[places], argnums=(0,))
defjvp(gathered, lambda g, ans, x, places, size: gathered(g, places, size), argnums=(0,))
