r"""How wrong a traced function and its derivative are: run again with every operation rounded at random.

Stochastic arithmetic (Vignes 1993): if each elementary operation is off by a random relative rounding, results scatter by
what roundings really do to them, cancellation included.  autograd sees every operation, those of its own derivative rules
too, so a trace of its own underneath the differentiation is all that is needed; θ itself is exact.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import autograd.tracer as tracer
import numpy as np
from autograd.core import VJPNode, make_vjp

from boltzgrad.core.arrays import Array
from boltzgrad.core.linearise import constants_allowed

EPS = float(np.finfo(float).eps)


def named(*lines: str) -> frozenset[str]:
    """Names of functions, line by line."""
    return frozenset(name for line in lines for name in line.split())


# These only move numbers about.
_EXACT = named(
    "reshape ravel transpose swapaxes moveaxis squeeze expand_dims concatenate stack vstack hstack array array_from_args",
    "array_from_scalar_or_array broadcast_to repeat tile roll where diag diagonal untake _unbroadcast make_sequence",
    "sequence_take container_take sequence_untake func container_untake negative getitem take real absolute maximum",
    "minimum max min amax amin sort flip fliplr flipud tril triu",
)


class _Rounded(tracer.Node):  # type: ignore[misc]
    """Carries nothing but the generator; its presence marks a value whose operations are to be rounded at random."""

    __slots__ = ["exact", "rng"]

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, parent_argnums: Any, parents: Any) -> None:
        self.rng = parents[0].rng
        self.exact = getattr(fun, "__name__", "") in _EXACT

    def initialize_root(self, rng: np.random.Generator) -> None:
        self.rng, self.exact = rng, True


# What has no derivative (shapes, comparisons, argmax, floor) is not traced here either.
tracer.notrace_primitives[_Rounded] = tracer.notrace_primitives[VJPNode]


def _nudged(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, (np.ndarray, np.floating, float)) and np.asarray(value).dtype.kind == "f":
        out = value * (1.0 + EPS * rng.uniform(-1.0, 1.0, np.shape(value)))
        return out if isinstance(value, np.ndarray) else np.float64(out)
    return value


@contextlib.contextmanager
def _rounding_boxes() -> Iterator[None]:
    plain = tracer.new_box

    def new_box(value: Any, trace: Any, node: Any) -> Any:
        if type(node) is _Rounded and not node.exact:
            value = _nudged(value, node.rng)
        return plain(value, trace, node)

    with mock.patch.object(tracer, "new_box", new_box):
        yield


def scatter(function: Callable[[Any], Array], theta: Array, rng: np.random.Generator) -> Any:
    """function(θ) with every operation that depends on θ rounded at random."""
    with _rounding_boxes(), constants_allowed():
        value, _ = tracer.trace(_Rounded.new_root(rng), function, theta)
    return value


def scattered_pull(function: Callable[[Any], Any], theta: Array, cotangent: Any, rng: np.random.Generator) -> Array:
    """The pull-back of `cotangent` through `function` at θ (d,), with every operation of both passes rounded at random."""

    def pulled(t: Any) -> Any:
        vjp, _ = make_vjp(function, t)
        return vjp(cotangent)

    return np.asarray(scatter(pulled, theta, rng), float)
