"""What the reference hypergradients of configurable MDPs have in common, whatever kind of model `build` returns."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import InvalidOption
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.problem import LinearisedBuild


@dataclass(frozen=True, eq=False, repr=False)
class ContextualHypergradient(Hypergradient):
    """J(θ) and ∇J(θ) of a `ConfigurableMDP`; `contexts` are the solved models."""

    contexts: tuple[Any, ...]
    linearised: LinearisedBuild
    contextual_cotangent: ContextualArrays
    outside: Array

    def _term_sizes(self) -> Array:
        through = self.array_map.root_sum_squares(self.contextual_cotangent.parts())
        return np.asarray(through + np.abs(self.outside))

    def _value_scale(self) -> float:
        weights = self.linearised.model.probabilities
        total = sum(float(p) * self._terms_of(s) for p, s in zip(weights, self.contexts, strict=True))
        regulariser = self.problem.regulariser
        return total + (0.0 if regulariser is None else abs(regulariser.value(self.theta)))

    @abstractmethod
    def _terms_of(self, s: Any) -> float:
        """Σ |terms| that one context's value is a sum of."""

    def _of_objective(self, value: float, policy: Array, slope: Array, direct: Array) -> float:
        """The same for a general f(θ, π), to first order: its value, Σ π |∂f/∂π| and Σ |∂f/∂θ θ|."""
        return abs(value) + float((policy * np.abs(slope)).sum()) + float(np.abs(direct * self.theta).sum())

    def _array_map(self) -> ArrayMap:
        found: ArrayMap = self.problem.array_map(self.theta, self.linearised)
        return found

    def _further_slopes(self) -> tuple[ArrayMap, ...]:
        policies = tuple(s.follower.policy for s in self.contexts)
        found: tuple[ArrayMap, ...] = self.problem.further_slopes(self.theta, policies, self.units)
        return found

    def _only(self, what: str) -> Any:
        if len(self.contexts) != 1:
            raise InvalidOption(f"this problem has {len(self.contexts)} contexts; use contexts[i].{what}")
        return self.contexts[0]
