"""The derivative of a function θ ↦ arrays both ways, by autograd: one pull-back and one push-forward for every family."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from autograd import make_jvp
from autograd.builtins import tuple as traced_tuple
from autograd.core import make_vjp, vspace

from boltzgrad.core.arrays import Array, Parts
from boltzgrad.core.checks import untraced
from boltzgrad.errors import BoltzgradError, NotDifferentiable

Model = TypeVar("Model")
Arrays = TypeVar("Arrays")


@dataclass(frozen=True, eq=False)
class RoundedBuild:
    """A traced build at one θ under random roundings: `parts(rng)` its arrays, `pull(cotangents, rng)` its pull-back (d,)."""

    parts: Callable[[np.random.Generator], Parts]
    pull: Callable[[Parts, np.random.Generator], Array]


@dataclass(frozen=True, eq=False)
class Linearised(Generic[Model, Arrays]):
    """A problem's build at one θ (d,): what it returned, and the derivative of its arrays in both directions.

    `pullback` takes a cotangent (∂J/∂ each array) to (d,), `pushforward` a direction (d,) to a tangent; `rounded` is there
    where autograd traces the build.
    """

    model: Model
    pullback: Callable[[Arrays], Array]
    pushforward: Callable[[Array], Arrays]
    dim: int
    rounded: RoundedBuild | None = None

    def columns(self) -> Iterator[Arrays]:
        """∂(arrays)/∂θ_j for j = 0 … d − 1."""
        for u in np.eye(self.dim):
            yield self.pushforward(u)


@contextlib.contextmanager
def constants_allowed() -> Iterator[None]:
    """What does not depend on θ has derivative zero, which autograd returns with a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Output seems independent of input")
        yield


@contextlib.contextmanager
def _tracing() -> Iterator[None]:
    """What goes wrong under autograd's hands is said in terms of `build`.  Raises: NotDifferentiable."""
    try:
        with constants_allowed():
            yield
    except BoltzgradError:
        raise
    except Exception as error:
        words = str(error) if len(str(error)) <= 300 else f"{str(error)[:300]} …"
        raise NotDifferentiable(
            f"autograd could not trace build(theta): {type(error).__name__}: {words}. Write build with "
            "autograd.numpy (no float(), no plain numpy or scipy on traced values, no assignment into arrays), "
            "or give ConfigurableMDP a pullback and a pushforward"
        ) from error


def traced_vjp(
    function: Callable[[Any], Sequence[Any]], theta: Array
) -> tuple[Parts, Callable[[Sequence[Array]], Array]]:
    """(the arrays at θ, cotangents ↦ Σ cotangent · ∂(array)/∂θ (d,)), from one evaluation.  Raises: NotDifferentiable."""
    with _tracing():
        back, parts = make_vjp(lambda t: traced_tuple(function(t)), theta)
    return parts, lambda cotangents: np.asarray(back(tuple(np.asarray(x, float) for x in cotangents)))


def traced_jvp(function: Callable[[Any], Sequence[Any]], theta: Array) -> Callable[[Array], Parts]:
    """Direction (d,) ↦ the arrays' derivative along it, zeros where nothing depends on θ.  Raises: NotDifferentiable."""

    def pushforward(direction: Array) -> Parts:
        like: list[Any] = []

        def parts(t: Any) -> Any:
            like[:] = function(t)
            return traced_tuple(like)

        with _tracing():
            tangents = _forward(parts, theta, direction)
        shapes = [np.shape(untraced(x)) for x in like]
        if tangents is None:
            return tuple(np.zeros(shape) for shape in shapes)
        return tuple(np.asarray(x, float).reshape(shape) for x, shape in zip(tangents, shapes, strict=True))

    return pushforward


def _forward(function: Callable[[Any], Any], theta: Array, direction: Array) -> Any:
    """The derivative of a function along a direction, by autograd's forward rules, or where it has none for some function
    (expit, solve, eigh, fft, …) by differentiating the pull-back, which is linear in its cotangent, once more.
    """
    try:
        return make_jvp(function)(theta)(direction)[1]
    except NotImplementedError:
        back, parts = make_vjp(function, theta)
        twice, _ = make_vjp(back, vspace(parts).zeros())
        return twice(direction)
