"""Fixed points on HIPS autograd's tape: every sweep recorded, or one implicit vector-Jacobian product.

Shared by the `unrolled` routes of the families; nothing here is shared with any reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.builtins import tuple as traced_tuple
from autograd.core import make_vjp
from autograd.extend import defjvp, defvjp, primitive

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.kernel import Kernel, SparseKernel, SparsePattern
from boltzgrad.core.route import CALL
from boltzgrad.core.sweep import sweep

Arrays = tuple[Any, ...]
_COLUMNS = 1_500


@primitive
def _sparse_product(values: Any, v: Any, pattern: SparsePattern) -> Array:
    """Rows of a sparse kernel times v, as a primitive of autograd."""
    return pattern.row_sums(values * v[pattern.indices]).ravel()


@primitive
def _spread(g: Any, pattern: SparsePattern) -> Array:
    """A number for each row, for each of its entries; a primitive, so that a pull-back can itself be looked at by a tracer."""
    return np.repeat(g, pattern.row_lengths)


@primitive
def _collected(entries: Any, pattern: SparsePattern) -> Array:
    """The sum of the entries of each column; a primitive for the same reason."""
    return np.bincount(pattern.indices, weights=entries, minlength=pattern.n_states)


defvjp(
    _sparse_product,
    lambda ans, values, v, pattern: lambda g: _spread(g, pattern) * v[pattern.indices],
    lambda ans, values, v, pattern: lambda g: _collected(_spread(g, pattern) * values, pattern),
    argnums=(0, 1),
)


defjvp(
    _sparse_product,
    lambda g, ans, values, v, pattern: _sparse_product(g, v, pattern),
    lambda g, ans, values, v, pattern: _sparse_product(values, g, pattern),
    argnums=(0, 1),
)


def kernel_product(kernel: Kernel, values: Any, v: Any, shape: tuple[int, int]) -> Any:
    """Σ_s' p v (S, A) from the kernel's (traced) values."""
    if isinstance(kernel, SparseKernel):
        return anp.reshape(_sparse_product(values, v, kernel.pattern), shape)
    return anp.reshape(anp.dot(anp.reshape(values, (-1, shape[0])), v), shape)


def soft_maximum(q: Any, temperature: float, axis: int) -> Any:
    """τ log Σ exp(q/τ) over `axis`, with weights that sum to one on the tape to ε, however large q is.

    `logsumexp` weighs by exp(q/τ − itself), which rounds by ε·|q|/τ: mass that is lost or won at every step of a long chain,
    N rewards' worth of constant and N steps, so ε·N².  The largest entry is a constant here, which the derivative forgets.
    """
    top = np.max(untraced(q), axis=axis, keepdims=True)
    return np.squeeze(top, axis) + temperature * anp.log(anp.sum(anp.exp((q - top) / temperature), axis=axis))


FixedPoint = Callable[[Callable[[Any, Arrays], Any], Arrays, Array, int], Any]


def taped(step: Callable[[Any, Arrays], Any], arrays: Arrays, start: Array, sweeps: int) -> Any:
    """Every one of `sweeps` sweeps from `start`, on the tape."""
    v: Any = start
    for _ in range(sweeps):
        v = step(v, arrays)
    return v


def taped_work(reference: Hypergradient) -> float:
    """About how many multiplications `taped` takes: a sweep forth and back is some twenty calls of NumPy."""
    numbers = sum(float(np.size(x)) for x in reference.array_map.values)
    return 37.0 * reference.remaining_steps * (4.0 * numbers + 20.0 * CALL)


@primitive
def _solved(arrays: Any, step: Callable[[Any, Arrays], Any], start: Array) -> Array:
    """The fixed point itself: `start` is already converged; what matters is the derivative below."""
    return start


def _solved_vjp(ans: Array, arrays: Any, step: Callable[[Any, Arrays], Any], start: Array) -> Any:
    in_v, _ = make_vjp(lambda v: step(v, arrays), ans)
    in_arrays, _ = make_vjp(lambda a: traced_tuple((step(ans, a),)), traced_tuple(arrays))

    def vjp(g: Array) -> Any:
        # Where many steps remain, the Jacobian is made column by column and solved with, all by this tape's own products.
        jacobian = (
            np.stack([in_v(e) for e in np.eye(g.size)], axis=1) if np.ndim(g) == 1 and g.size <= _COLUMNS else None
        )
        u = sweep(lambda u: g + in_v(u), np.array(g), jacobian=None if jacobian is None else lambda u: jacobian).x
        return in_arrays((u,))

    return vjp


defvjp(_solved, _solved_vjp, None, None)


def implicit(step: Callable[[Any, Arrays], Any], arrays: Arrays, start: Array, sweeps: int) -> Any:
    """The fixed point `start` as one primitive with the implicit vector-Jacobian product."""
    return _solved(traced_tuple(arrays), step, start)
