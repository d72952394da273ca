"""A function written in `autograd.numpy`, and its derivative, in ball arithmetic.

autograd sees every operation, those of its own derivative rules too.  A trace of its own underneath the differentiation
carries for every float array the balls that contain what exact arithmetic makes of θ at that place (`_Enclosed`); the floats go
on as they are, and decide what branches are taken.  An operation that has no rule here is refused: nothing is guessed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import autograd.core
import autograd.numpy as anp
import autograd.tracer as tracer
import numpy as np
from autograd.core import JVPNode, VJPNode, VSpace, make_vjp, primitive_vjps
from autograd.extend import defvjp, primitive
from autograd.numpy import numpy_vjps, numpy_wrapper
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.numpy.numpy_vjps import unbroadcast_f
from autograd.numpy.numpy_vspaces import ArrayVSpace
from autograd.scipy import special

from boltzgrad.core.arrays import Array
from boltzgrad.core.balls import Balls, as_balls, flint
from boltzgrad.core.constants import ZERO, followed
from boltzgrad.core.linearise import constants_allowed
from boltzgrad.core.stochastic import named
from boltzgrad.errors import InvalidOption

Rule = Callable[..., Any]

# NumPy's own functions do these on arrays of balls, entry by entry, or only move them about.
_PLAIN = named(
    "add subtract multiply divide negative power square sqrt exp expm1 log log1p sin cos tan sinh cosh tanh absolute",
    "sum prod mean cumsum dot matmul inner outer tensordot einsum trace diagonal diag",
    "reshape ravel transpose swapaxes moveaxis squeeze expand_dims repeat roll flipud where triu tril",
    "concatenate_args __getitem__ _array_from_scalar_or_array tensordot_adjoint_0 tensordot_adjoint_1",
)


class _Enclosed(tracer.Node):  # type: ignore[misc]
    """Carries the balls beside a float value."""

    __slots__ = ["balls"]

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, parent_argnums: Any, parents: Any) -> None:
        given = list(args)
        for i, node in zip(parent_argnums, parents, strict=True):
            given[i] = node.balls
        name = getattr(fun, "__name__", "?")
        if name == "where":  # floats say which
            given[0] = args[0]
        rule = (_RULES.get(name) or (fun.fun if name in _PLAIN else None)) if _known(fun) else None
        if rule is None:
            raise InvalidOption(
                f"enclose has no ball arithmetic for {name}, which is used in build, in the objective, or in their derivatives"
            )
        found = rule(*given, **kwargs)
        if not isinstance(found, flint.arb) and np.asarray(found).dtype != object:
            raise InvalidOption(f"enclose: {name} of balls gave plain numbers, which contain nothing")
        found = as_balls(found)
        if np.shape(found) != np.shape(value) and name not in ("untake", "sparse_add"):
            raise InvalidOption(f"enclose: {name} of balls has shape {np.shape(found)}, of floats {np.shape(value)}")
        self.balls = found

    def initialize_root(self, balls: Balls) -> None:
        self.balls = balls


_autograds = {
    id(x)
    for place in (anp, anp.linalg, numpy_vjps, numpy_wrapper, special, VSpace, ArrayBox)
    for x in vars(place).values()
    if callable(getattr(x, "fun", None))
}


def _known(fun: Any) -> bool:
    """Whether a function is one of autograd's or the library's own, which the rules are for, and not another of that name."""
    return id(fun) in _autograds or str(getattr(fun.fun, "__module__", "")).startswith("boltzgrad.")


# What has no derivative (shapes, comparisons, argmax, floor) is not traced here either.
tracer.notrace_primitives[_Enclosed] = tracer.notrace_primitives[VJPNode]


@primitive  # type: ignore[untyped-decorator]
def sparse_add(vs: Any, x_prev: Any, x_new: Any) -> Any:
    """autograd's own, which writes into `x_prev`, on a copy."""
    return x_new.mut_add(vs.zeros() if x_prev is None else np.array(x_prev))


@primitive  # type: ignore[untyped-decorator]
def power(x: Any, y: Any) -> Any:
    """NumPy's, with a derivative in which y − 1 and log x of constants are enclosed, too."""
    return np.power(x, y)


defvjp(
    power,
    lambda ans, x, y: unbroadcast_f(x, lambda g: g * y * anp.power(x, anp.where(y, followed(y) - 1.0, 1.0))),
    lambda ans, x, y: unbroadcast_f(y, lambda g: g * anp.log(numpy_vjps.replace_zero(followed(x), 1.0)) * ans),
)


def _refused(self: Any, g: Any) -> None:
    raise InvalidOption("enclose does not follow forward derivatives inside of build (make_jvp): take grad")


@contextlib.contextmanager
def _nothing_rounded() -> Iterator[None]:
    """What autograd does to plain floats on its way, kept from it.

    It adds up gradients in place, and a float array that changes before it is looked at has no balls; a derivative that is
    taken inside of `build` starts from a plain one, which meets plain constants; that of a power has arithmetic of constants.
    """
    ones = ArrayVSpace.ones
    with (
        mock.patch.object(ArrayVSpace, "ones", lambda self: followed(ones(self))),
        mock.patch.object(JVPNode, "initialize_root", _refused),
        mock.patch.object(VSpace, "_mut_add", lambda self, x, y: x + y),
        mock.patch.object(autograd.core, "sparse_add", sparse_add),
        mock.patch.dict(primitive_vjps, {anp.power: primitive_vjps[power]}),
    ):
        yield


@contextlib.contextmanager
def _traced(theta: Array) -> Iterator[Any]:
    """θ as a box whose balls are the exact floats."""
    token = ZERO.set(None)
    try:
        with tracer.trace_stack.new_trace() as trace, constants_allowed(), _nothing_rounded():
            box = tracer.new_box(theta, trace, _Enclosed.new_root(as_balls(theta)))
            ZERO.set(anp.sum(box * 0.0))
            yield box, trace
    finally:
        ZERO.reset(token)


def _ball_of(x: Any) -> Any:
    """That of a scalar, or of an array that holds one."""
    return np.asarray(_balls_of(x), object).reshape(()).item()


def _balls_of(x: Any) -> Balls:
    return x._node.balls if isinstance(x, tracer.Box) else as_balls(np.asarray(x))


def _slope(function: Callable[[Any], Any], x: Any) -> Balls:
    """The gradient of a scalar at a box; the pull-back starts from a one that is enclosed, so that no two floats meet."""
    back, _ = make_vjp(lambda t: anp.sum(function(t)) + anp.sum(0.0 * t), x)
    return _balls_of(back(followed(1.0)))


def enclosed(function: Callable[[Any], Sequence[Any]], theta: Array) -> list[Balls]:
    """The arrays that a function returns at θ, in balls.  Raises: InvalidOption for an operation that has no rule."""
    with _traced(theta) as (box, _):
        return [_balls_of(x) for x in function(box)]


def pulled(function: Callable[[Any], Sequence[Any]], theta: Array, cotangents: Sequence[Balls]) -> Balls:
    """Σ cotangent · ∂(array)/∂θ (d,), in balls."""
    with _traced(theta) as (box, trace):

        def paired(t: Any) -> Any:
            out = 0.0
            for x, c in zip(function(t), cotangents, strict=True):
                if isinstance(x, tracer.Box) and np.size(c):
                    plain = np.asarray(np.frompyfunc(float, 1, 1)(c), float)
                    weight = tracer.new_box(plain, trace, _Enclosed.new_root(c))
                    out = out + anp.sum(x * weight)
            return out

        return _slope(paired, box)


def scalar(function: Callable[[Any], Any], theta: Array) -> tuple[Any, Balls]:
    """(f, ∂f/∂θ (d,)) of f(θ), in balls."""
    with _traced(theta) as (box, _):
        return _ball_of(function(box)), _slope(function, box)


def slopes(function: Callable[[Any, Any], Any], theta: Array, policy: Balls) -> tuple[Balls, Balls, Balls]:
    """(f, ∂f/∂θ, ∂f/∂π) of f(θ, π) in balls, at a policy that is one."""
    with _traced(theta) as (box, trace):
        plain = np.asarray(np.frompyfunc(float, 1, 1)(policy), float)
        pi = tracer.new_box(plain, trace, _Enclosed.new_root(policy))
        return (
            _ball_of(function(box, pi)),
            _slope(lambda t: function(t, pi), box),
            _slope(lambda p: function(box, p), pi),
        )


def _without_type(adjoint: Rule) -> Rule:
    """autograd's adjoints of a product, which cast what they return to the type that they are told."""

    def rule(x: Any, g: Any, *metadata: Any) -> Any:
        return adjoint(x, g, *((*m[:2], object, False) for m in metadata))

    return rule


def _largest(x: Balls, axis: Any = None, keepdims: bool = False) -> Any:
    """A ball that holds the largest entry over the axes."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(np.atleast_1d(axis) % x.ndim)
    for a in sorted(axes, reverse=True):
        x = np.frompyfunc(lambda one, other: one.max(other), 2, 1).reduce(x, axis=a, keepdims=keepdims)
    return x


def _either(x: Any, y: Any, larger: bool) -> Any:
    pick = np.frompyfunc(lambda a, b: a.max(b) if larger else a.min(b), 2, 1)
    return pick(as_balls(x), as_balls(y))


def _shift(x: Balls) -> Balls:
    """The largest of the last axis (…, 1), or near it: an exact number, which is only to keep exponentials in range."""
    plain = np.asarray(np.frompyfunc(float, 1, 1)(x), float)
    return as_balls(plain.max(axis=-1, keepdims=True))


def _softmax(x: Balls) -> Balls:
    e = np.exp(x - _shift(x))
    return e / e.sum(axis=-1, keepdims=True)


def _log_softmax(x: Balls) -> Balls:
    x = x - _shift(x)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _sigmoid(x: Balls) -> Balls:
    return 1 / (1 + np.exp(-x))


def _logsumexp(x: Balls, axis: Any = None, b: Any = 1.0, keepdims: bool = False, **_: Any) -> Balls:
    plain = np.asarray(np.frompyfunc(float, 1, 1)(x), float)
    top = as_balls(plain.max(axis=axis, keepdims=True))
    out = np.log(np.sum(b * np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis=axis)


def _untaken(x: Balls, idx: Any, vs: Any) -> Balls:
    out = as_balls(np.zeros(vs.shape))
    np.add.at(out, idx, x)
    return out


def _diagonal_matrix(D: Balls, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Balls:
    return D[..., :, None] * np.eye(D.shape[-1])


def _summed_rows(values: Balls, pattern: Any) -> Balls:
    out = as_balls(np.zeros(pattern.indptr.size - 1))
    filled = np.flatnonzero(pattern.row_lengths)
    if filled.size:
        out[filled] = np.add.reduceat(values, pattern.indptr[filled])
    return out


def _gathered(x: Balls, places: Array, size: int) -> Balls:
    out = as_balls(np.zeros(size))
    np.add.at(out, places, x)
    return out


def _solved(a: Balls, b: Balls) -> Balls:
    a, b = as_balls(a), as_balls(b)
    if a.ndim != 2 or b.ndim > 2:
        raise InvalidOption("enclose has ball arithmetic for linalg.solve of one matrix only")
    x = flint.arb_mat(a.tolist()).solve(flint.arb_mat(b.reshape(len(b), -1).tolist()))
    return np.array(x.tolist(), object).reshape(b.shape)


_RULES: dict[str, Rule] = {
    "real": lambda x: x,
    "conjugate": lambda x: x,
    "maximum": lambda x, y: _either(x, y, True),
    "minimum": lambda x, y: _either(x, y, False),
    "max": _largest,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "sigmoid": _sigmoid,
    "expit": _sigmoid,
    "logsumexp": _logsumexp,
    "untake": _untaken,
    "sparse_add": lambda vs, before, new: new if before is None else before + new,
    "add": lambda *args: args[-2] + args[-1],
    "mut_add": lambda vs, x, y: y if x is None else x + y,
    "make_diagonal": _diagonal_matrix,
    "row_sums": _summed_rows,
    "gathered": _gathered,
    "_sparse_product": lambda values, v, pattern: _summed_rows(values * v[pattern.indices], pattern),
    "_spread": lambda g, pattern: np.repeat(g, pattern.row_lengths),
    "dot_adjoint_0": _without_type(numpy_vjps.dot_adjoint_0.fun),
    "dot_adjoint_1": _without_type(numpy_vjps.dot_adjoint_1.fun),
    "arctan": np.frompyfunc(lambda x: x.atan(), 1, 1),
    "clip": lambda x, a_min, a_max: _either(_either(x, a_min, True), a_max, False),
    "array_from_args": lambda args, kwargs, *xs: np.stack([np.asarray(as_balls(x), object) for x in xs]),
    "_collected": lambda entries, pattern: _gathered(entries, pattern.indices, pattern.n_states),
    "solve": _solved,
}
