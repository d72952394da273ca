"""Pull-backs and push-forwards of a `build`: θ ↦ the arrays of its models, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from boltzgrad.core import linearise
from boltzgrad.core.arrays import Array
from boltzgrad.core.built import BuiltModel
from boltzgrad.families.tabular.contexts import ContextualArrays, ContextualModel, arrays_of, as_contexts

Build = Callable[[Any], BuiltModel | ContextualModel]


def flat(build: Build, store: list[ContextualModel] | None = None) -> Callable[[Any], tuple[Any, ...]]:
    """θ ↦ every array of the build's models, traced or not; `store` collects the plain models."""

    def arrays(theta: Any) -> tuple[Any, ...]:
        contexts = as_contexts(build(theta))
        if store is not None:
            store.append(contexts.untraced())
        return arrays_of(contexts).parts()

    return arrays


def traced_vjp(build: Build, theta: Array) -> tuple[ContextualModel, Callable[[ContextualArrays], Array]]:
    """The models at θ and the pull-back of their arrays' cotangents to θ, from one evaluation of `build`."""
    store: list[ContextualModel] = []
    _, back = linearise.traced_vjp(flat(build, store), theta)
    return store[-1], lambda cotangent: back(cotangent.parts())


def traced_jvp(build: Build, theta: Array) -> Callable[[Array], ContextualArrays]:
    """The push-forward of a direction (d,) in θ to tangents of the models' arrays."""
    store: list[ContextualModel] = []
    forward = linearise.traced_jvp(flat(build, store), theta)
    return lambda direction: unflatten(forward(direction), arrays_of(store[-1]))


def unflatten(parts: Sequence[Any], like: ContextualArrays) -> ContextualArrays:
    """Flat parts, in the order of `ContextualArrays.parts`, as a record shaped like `like`."""
    shaped = [np.asarray(x, float).reshape(y.shape) for x, y in zip(parts, like.parts(), strict=True)]
    models = []
    for model in like.models:
        count = len(model.parts())
        models.append(model.of(tuple(shaped[:count])))
        shaped = shaped[count:]
    return ContextualArrays(tuple(models), shaped[0])
