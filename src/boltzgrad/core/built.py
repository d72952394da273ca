"""What a `build` returns at one θ: a model, whose arrays are all that depends on θ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, Self

from boltzgrad.core.arrays import Array, Parts


class ModelArrays(Protocol):
    """One number for every entry of a model that may depend on θ: the model's own, a tangent or a cotangent."""

    def parts(self) -> Parts:
        """The arrays."""

    def named(self) -> tuple[tuple[str, Array], ...]:
        """The same with their names."""

    def of(self, parts: Parts) -> Self:
        """The same record with other numbers, in the order of `parts`."""

    def dot(self, other: Self) -> float:
        """The pairing of a cotangent with a tangent."""


class BuiltModel(ABC):
    """Numbers at one θ, checked; every kind that `ConfigurableMDP` takes is one."""

    @abstractmethod
    def arrays(self) -> Any:
        """Everything in it that may depend on θ, traced or not: `ModelArrays`."""

    @abstractmethod
    def untraced(self) -> Any:
        """It with plain arrays in place of autograd boxes."""

    @abstractmethod
    def scales(self) -> tuple[float, ...]:
        """The size of change of each array that matters, in the order of `arrays().named()`."""
