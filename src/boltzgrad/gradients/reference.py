"""The reference hypergradient: what every family's has, whatever it was made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.problems.kernel import Array


@dataclass(frozen=True, eq=False)
class Hypergradient(ABC):
    """J(θ) and ∇J(θ) with how wrong they can be.

    `value` (float), `gradient` (d,).  Computed when first asked for: `coordinate_bounds` (d,), a proved bound on each
    entry's error, and `error_bound`, their maximum (infinite when vacuous); `error_estimate`, a sharp estimate of
    ‖error‖_∞; `magnitude`, the size of the terms the gradient is a sum of.  Each family adds `follower`, `leader` and
    `cotangent`: the exact solutions, and ∂J/∂(the model's own arrays).
    """

    value: float
    gradient: Array
    theta: Array
    problem: Any

    def __repr__(self) -> str:
        norm = np.linalg.norm(self.gradient)
        return f"<Hypergradient J = {self.value:.12g}, ‖∇J‖ = {norm:.6g}, d = {self.theta.size}>"

    @cached_property
    def coordinate_bounds(self) -> Array:
        """A proved bound on the error of each entry of `gradient` (d,); the derivation is in the family's
        `error_bound.py`.
        """
        return self._coordinate_bounds()

    @property
    def error_bound(self) -> float:
        """A proved bound on ‖error‖_∞ of `gradient`; infinite when vacuous."""
        return float(self.coordinate_bounds.max())

    @cached_property
    def error_estimate(self) -> float:
        """A sharp first-order estimate of ‖error‖_∞ of `gradient`: what roundings of the model's entries do to it."""
        return self._error_estimate()

    @cached_property
    def magnitude(self) -> float:
        """The largest sum of absolute terms in any entry: where it exceeds ‖∇J‖ the gradient is a cancellation."""
        return self._magnitude()

    @cached_property
    def ingredients(self) -> float:
        """Σ |cotangent||array|: the size of what J is made of, per unit of relative change."""
        return self._ingredients()

    @property
    def rounding_floor(self) -> float:
        """What plain float64 iterations round off from the ingredients over a horizon, however small the gradient."""
        return float(np.finfo(float).eps) * self.ingredients * self._horizon()

    @property
    @abstractmethod
    def size(self) -> str:
        """The problem's size in words."""

    @property
    @abstractmethod
    def solution(self) -> str:
        """How the follower was solved, and how well, in words."""

    @abstractmethod
    def _coordinate_bounds(self) -> Array: ...

    @abstractmethod
    def _error_estimate(self) -> float: ...

    @abstractmethod
    def _magnitude(self) -> float: ...

    @abstractmethod
    def _ingredients(self) -> float: ...

    @abstractmethod
    def _horizon(self) -> float: ...
