"""Problems that are several models with probabilities (HPGD's contextual lower level)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.built import BuiltModel
from boltzgrad.core.checks import numeric_array, untraced
from boltzgrad.errors import InvalidModel


@dataclass(frozen=True, eq=False)
class ContextualModel:
    """Models drawn with probabilities: the leader's value is Σ_c probability_c · value of model c.

    `probabilities` (n,) sum to one and may depend on θ (they may be traced).
    Source: HPGD (contextual MDPs), section 2.  Raises: InvalidModel.
    """

    models: Sequence[Any]
    probabilities: Any

    def __post_init__(self) -> None:
        if not isinstance(self.models, Iterable):
            raise InvalidModel(f"models is a {type(self.models).__name__}, expected a list of models")
        models = tuple(self.models)
        if not models:
            raise InvalidModel("a ContextualModel needs at least one model")
        for i, model in enumerate(models):
            if not isinstance(model, BuiltModel):
                raise InvalidModel(f"models[{i}] is a {type(model).__name__}, expected a TabularModel")
            if type(model) is not type(models[0]):
                kinds = f"a {type(model).__name__} and models[0] a {type(models[0]).__name__}"
                raise InvalidModel(f"models[{i}] is {kinds}; expected models of one kind")
        object.__setattr__(self, "models", models)
        weights = numeric_array("probabilities", self.probabilities, ndim=1, axes="(contexts,)")
        object.__setattr__(self, "probabilities", weights)
        plain = np.real(np.asarray(untraced(weights)))
        if plain.shape != (len(models),):
            raise InvalidModel(f"probabilities has shape {plain.shape}, expected ({len(models)},), one a model")
        if plain.min() < 0.0:
            at = int(np.argmin(plain))
            raise InvalidModel(f"probabilities[{at}] is {plain[at]:.6g}; probabilities must not be negative")
        if abs(plain.sum() - 1.0) > 1e-10:
            raise InvalidModel(f"probabilities sum to {plain.sum():.12g}; they must sum to 1")

    @property
    def kind(self) -> type[BuiltModel]:
        """The kind of its models."""
        return type(self.models[0])

    def untraced(self) -> ContextualModel:
        """The models with plain arrays in place of autograd boxes."""
        weights = np.asarray(untraced(self.probabilities))
        return ContextualModel([model.untraced() for model in self.models], weights)


@dataclass(frozen=True, eq=False)
class ContextualArrays:
    """A tangent or cotangent of a `ContextualModel`: the arrays of each model, and probabilities (n,)."""

    models: tuple[Any, ...]
    probabilities: Array

    def dot(self, other: ContextualArrays) -> float:
        """The pairing of a cotangent with a tangent."""
        pairs = zip(self.models, other.models, strict=True)
        return float(np.vdot(self.probabilities, other.probabilities)) + float(sum(a.dot(b) for a, b in pairs))

    def parts(self) -> tuple[Array, ...]:
        """Every array, models first."""
        return (*(x for model in self.models for x in model.parts()), self.probabilities)


def as_contexts(model: BuiltModel | ContextualModel) -> ContextualModel:
    """A single model as one context of probability one."""
    return model if isinstance(model, ContextualModel) else ContextualModel((model,), np.ones(1))


def models_of(model: BuiltModel | ContextualModel) -> Sequence[BuiltModel]:
    """The models of what a build returned, one or several."""
    return model.models if isinstance(model, ContextualModel) else (model,)


def refuse_complex(models: Sequence[BuiltModel]) -> None:
    """Raise InvalidModel where an array of a model at a real θ is complex."""
    for i, model in enumerate(models):
        for name, value in model.arrays().named():
            if np.iscomplexobj(value):
                where = f"models[{i}]." if len(models) > 1 else ""
                raise InvalidModel(f"{where}{name} is complex at a real theta; expected real numbers")


def arrays_of(contexts: ContextualModel) -> ContextualArrays:
    """Everything in the models that may depend on θ."""
    return ContextualArrays(tuple(m.arrays() for m in contexts.models), contexts.probabilities)


def kinds_of(models: Iterable[Any]) -> frozenset[str]:
    """What of models is a table made of something else: the names of that, "Weighted" for temperatures of states."""
    given = [(getattr(m, "given", None), getattr(m, "weighted", False)) for m in models]
    return frozenset(
        type(x).__name__ if x is not None else "Weighted" for x, weighted in given if x is not None or weighted
    )
