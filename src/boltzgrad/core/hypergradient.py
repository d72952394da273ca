"""The reference hypergradient: what every family's has, whatever it was made from.

Every quantity has a unit, and a gradient has one unit a coordinate: J over θ_j.  What is compared with ∂J/∂θ_j is in that
unit, so that no verdict depends on whether θ_j is given in metres or in nanometres.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.model_check import ModelCheck, check_model

EPS = float(np.finfo(float).eps)


def open_policy(q: Array, temperature: float, worth: Array, visits: Array) -> float:
    """Σ_s ν(s) times the share of the policy that ε |Q_F(s, ·)|/τ leaves open, at most all, times the spread of `worth` there.

    Shapes: q and worth (S, …, A), visits (S,).  Units: q and temperature those of the follower's reward, worth [J].
    """
    q, worth = q.reshape(len(q), -1), worth.reshape(len(worth), -1)
    left_open = np.minimum(EPS * np.abs(q).max(axis=1) / temperature, 1.0)
    return float(visits @ (left_open * np.ptp(worth, axis=1)))


@dataclass(frozen=True, eq=False)
class Hypergradient(ABC):
    """J(θ) and ∇J(θ) with how wrong they can be.

    `value` (float), `gradient` (d,).  Computed when first asked for: `coordinate_bounds` (d,), a proved bound on each
    entry's error, and `error_bound`, their maximum (infinite when vacuous); `coordinate_estimates` (d,), a sharp estimate of
    each entry's error, and `error_estimate`, their maximum; `term_sizes` (d,), the size of the terms each entry is a sum of;
    `model_check`, whether the problem's derivative is the slope of its own model.  Each family adds `follower`, `leader` and
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
        """A proved bound on the error of each entry of `gradient` (d,) [J/θ_j]; what it covers is said at `error_bound`."""
        return self._coordinate_bounds(range(self.theta.size))

    @property
    def tree(self) -> Any:
        """`gradient` in the shape of θ where that is several arrays (`like`), as arrays of their framework; else as it is."""
        shape = getattr(self.problem, "tree", None)
        return self.gradient if shape is None else shape.unpack(self.gradient)

    def bound_at(self, coordinate: int) -> float:
        """The proved bound of one entry, by one push-forward where all of them take d."""
        known = self.__dict__.get("coordinate_bounds")
        return float(known[coordinate] if known is not None else self._coordinate_bounds([coordinate])[0])

    @property
    def error_bound(self) -> float:
        """A bound on ‖error‖_∞ of `gradient` [J/θ]; infinite when vacuous.

        Proved, by the derivation in the family's `error_bound.py`, for every model whose arrays are within the problem's
        `entry_error` of those computed: it covers the solver's residuals, every rounding of the formula, and what the
        pull-back loses.  What it cannot prove is the rounding of `build`'s own derivative, which is another program's: where
        autograd traces `build` that error is *measured*, by running the pull-back again with every operation rounded at
        random, and eight times the largest change is added.  A derivative written by hand, or by JAX or PyTorch, is taken to be
        right to `entry_error`; `model_check` holds it against the model's slope, to about ten digits.
        """
        return float(self.coordinate_bounds.max())

    @property
    def vacuous(self) -> bool:
        """Whether `error_bound` says nothing: it is infinite, or larger than every entry of a gradient that is not zero."""
        largest = float(np.abs(self.gradient).max())
        return not self.error_bound <= largest and not largest <= 4.0 * float(self.rounding.max())

    @cached_property
    def coordinate_estimates(self) -> Array:
        """A sharp first-order estimate of each entry's error (d,) [J/θ_j]: what roundings of the model's entries do to it."""
        return self._coordinate_estimates()

    @property
    def error_estimate(self) -> float:
        """A sharp first-order estimate of ‖error‖_∞ of `gradient` [J/θ]."""
        return float(self.coordinate_estimates.max())

    @cached_property
    def term_sizes(self) -> Array:
        """√Σ (cotangent · ∂(array)/∂θ_j)² (d,) [J/θ_j]: where it exceeds |∂J/∂θ_j| the entry is a cancellation."""
        return np.maximum(self._term_sizes(), np.abs(self.gradient))

    @property
    def rounding(self) -> Array:
        """What a plain float64 route to each entry may be off by (d,) [J/θ_j]: the estimate, and what sums over all the
        steps that remain round off from the terms themselves, however small the entry is.
        """
        return np.asarray(self.coordinate_estimates + EPS * self.remaining_steps * self.term_sizes)

    @cached_property
    def units(self) -> Array:
        """The natural step of each coordinate (d,) [θ_j]; see `ArrayMap.units`."""
        return self.array_map.units

    @cached_property
    def value_scale(self) -> float:
        """Σ |terms| that J is a sum of [J]: what a difference of values is relative to."""
        return max(self._value_scale(), abs(self.value))

    @property
    def value_rounding(self) -> float:
        """What a plain float64 route to J may round off [J]: a rounding of the largest value, at every step that remains, and
        what the rounding of the follower's values does to its policy.
        """
        return EPS * self.remaining_steps * self._largest_value() + self._policy_rounding()

    @cached_property
    def remaining_steps(self) -> float:
        """The most discounted steps that remain from any state, ‖(I − γP_π)⁻¹‖_∞ [steps]; at most 1/(1 − γ)."""
        return self._remaining_steps()

    @cached_property
    def model_check(self) -> ModelCheck:
        """Whether `build` repeats itself, leaves its arguments alone, and has its slope for a derivative."""
        return check_model(self._checked_map(), self._further_slopes())

    @cached_property
    def array_map(self) -> ArrayMap:
        """The problem as θ ↦ named arrays."""
        return self._array_map()

    @property
    @abstractmethod
    def size(self) -> str:
        """The problem's size in words."""

    @property
    @abstractmethod
    def solution(self) -> str:
        """How the follower was solved, and how well, in words."""

    @abstractmethod
    def _coordinate_bounds(self, among: Sequence[int]) -> Array: ...

    @abstractmethod
    def _coordinate_estimates(self) -> Array: ...

    @abstractmethod
    def _term_sizes(self) -> Array: ...

    @abstractmethod
    def _value_scale(self) -> float: ...

    @abstractmethod
    def _remaining_steps(self) -> float: ...

    def _checked_map(self) -> ArrayMap:
        """The map whose derivative somebody wrote: that of the arrays that are solved, unless these are made of others."""
        return self.array_map

    @abstractmethod
    def _array_map(self) -> ArrayMap: ...

    def _largest_value(self) -> float:
        """The largest value [J] that J is worked out from."""
        return self.value_scale

    def _policy_rounding(self) -> float:
        """What of J hangs on a policy that its own values' rounding leaves open [J]."""
        return 0.0

    def _further_slopes(self) -> tuple[Any, ...]:
        """Scalar functions that enter J beside the arrays (a regulariser, an objective), each with its gradient."""
        return ()
