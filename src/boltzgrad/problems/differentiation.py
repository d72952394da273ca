"""Pull-backs and push-forwards of a `build`, by autograd: θ ↦ arrays, differentiated both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from autograd import make_jvp
from autograd.builtins import tuple as traced_tuple
from autograd.core import make_vjp, vspace

from boltzgrad.errors import BoltzgradError, NotDifferentiable
from boltzgrad.problems.contexts import ContextualArrays, ContextualModel, arrays_of, as_contexts
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.objectives import constants_allowed
from boltzgrad.problems.tabular import TabularArrays, TabularModel
from boltzgrad.problems.validation import untraced

Build = Callable[[Any], TabularModel | ContextualModel]


def traced_arrays(build: Build, store: list[ContextualModel] | None = None) -> Callable[[Any], Any]:
    """θ ↦ every array of the build's models, as one container that autograd traces; `store` collects the plain models."""

    def arrays(theta: Any) -> Any:
        contexts = as_contexts(build(theta))
        if store is not None:
            store.append(contexts.untraced())
        return traced_tuple(arrays_of(contexts).parts())

    return arrays


def traced_array_vjp(function: Callable[[Any], Any], theta: Array) -> tuple[Any, Callable[[Array], Array]]:
    """(function(θ), its pull-back) of a function from θ to one array.  Raises: NotDifferentiable."""
    try:
        with constants_allowed():
            vjp, value = make_vjp(function, theta)
    except BoltzgradError:
        raise
    except Exception as error:
        raise _explain(error) from error
    return value, lambda cotangent: np.asarray(vjp(cotangent))


def traced_array_jvp(function: Callable[[Any], Any], theta: Array) -> Callable[[Array], Array]:
    """The push-forward of a function from θ to one array."""

    def pushforward(direction: Array) -> Array:
        try:
            with constants_allowed():
                value, tangent = _forward(function, theta, direction)
        except BoltzgradError:
            raise
        except Exception as error:
            raise _explain(error) from error
        return np.zeros_like(np.asarray(value)) if tangent is None else np.asarray(tangent)

    return pushforward


def traced_parts_vjp(function: Callable[[Any], tuple[Any, ...]], theta: Array) -> Callable[[tuple[Any, ...]], Array]:
    """The pull-back of a function from θ to several arrays.  Raises: NotDifferentiable."""
    _, back = traced_array_vjp(lambda t: traced_tuple(function(t)), theta)
    return lambda parts: back(tuple(np.asarray(x, float) for x in parts))  # type: ignore[arg-type]


def traced_parts_jvp(function: Callable[[Any], tuple[Any, ...]], theta: Array) -> Callable[[Array], tuple[Array, ...]]:
    """The push-forward of a function from θ to several arrays."""

    def pushforward(direction: Array) -> tuple[Array, ...]:
        like: list[Any] = []

        def parts(t: Any) -> Any:
            like[:] = function(t)
            return traced_tuple(like)

        try:
            with constants_allowed():
                _, tangents = _forward(parts, theta, direction)
        except BoltzgradError:
            raise
        except Exception as error:
            raise _explain(error) from error
        shapes = [np.shape(untraced(x)) for x in like]
        if tangents is None:
            return tuple(np.zeros(shape) for shape in shapes)
        return tuple(np.asarray(x, float).reshape(shape) for x, shape in zip(tangents, shapes, strict=True))

    return pushforward


def _forward(function: Callable[[Any], Any], theta: Array, direction: Array) -> tuple[Any, Any]:
    """(function(θ), its derivative along a direction), by autograd's forward rules, or where it has none for some function
    (expit, solve, eigh, fft, …) by differentiating the pull-back, which is linear in its cotangent, once more.
    """
    try:
        with constants_allowed():
            return make_jvp(function)(theta)(direction)  # type: ignore[no-any-return]
    except NotImplementedError:
        with constants_allowed():
            vjp, value = make_vjp(function, theta)
            twice, _ = make_vjp(vjp, vspace(value).zeros())
            return value, twice(direction)


def _explain(error: Exception) -> NotDifferentiable:
    return NotDifferentiable(
        f"autograd could not trace build(theta): {type(error).__name__}: {_short(str(error))}. Write build with "
        "autograd.numpy (no float(), no plain numpy or scipy on traced values, no assignment into arrays), "
        "or give ConfigurableMDP a pullback and a pushforward"
    )


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]} …"


def traced_vjp(build: Build, theta: Array) -> tuple[ContextualModel, Callable[[ContextualArrays], Array]]:
    """The models at θ and the pull-back of their arrays' cotangents to θ, from one evaluation of `build`."""
    store: list[ContextualModel] = []
    try:
        with constants_allowed():
            vjp, _ = make_vjp(traced_arrays(build, store), theta)
    except BoltzgradError:
        raise
    except Exception as error:
        raise _explain(error) from error

    def pullback(cotangent: ContextualArrays) -> Array:
        return np.asarray(vjp(tuple(cotangent.parts())))

    return store[-1], pullback


def traced_jvp(build: Build, theta: Array) -> Callable[[Array], ContextualArrays]:
    """The push-forward of a direction (d,) in θ to tangents of the models' arrays."""

    def pushforward(direction: Array) -> ContextualArrays:
        store: list[ContextualModel] = []
        try:
            with constants_allowed():
                _, tangents = _forward(traced_arrays(build, store), theta, direction)
        except BoltzgradError:
            raise
        except Exception as error:
            raise _explain(error) from error
        like = arrays_of(store[-1])
        if tangents is None:  # nothing depends on θ
            tangents = [np.zeros_like(x) for x in like.parts()]
        return unflatten(list(tangents), like)

    return pushforward


def unflatten(parts: list[Any], like: ContextualArrays) -> ContextualArrays:
    """Flat parts, in the order of `ContextualArrays.parts`, as a record shaped like `like`."""
    shaped = [np.asarray(x, float).reshape(y.shape) for x, y in zip(parts, like.parts(), strict=True)]
    models = []
    for model in like.models:
        count = len(model.parts())
        models.append(TabularArrays(*shaped[:count]))
        shaped = shaped[count:]
    return ContextualArrays(tuple(models), shaped[0])
