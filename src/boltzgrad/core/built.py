"""What a `build` returns at one θ: a model, whose arrays are all that depends on θ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class BuiltModel(ABC):
    """Numbers at one θ, checked; every kind that `ConfigurableMDP` takes is one."""

    @abstractmethod
    def arrays(self) -> Any:
        """Everything in it that may depend on θ, traced or not: a subclass of `ArrayRecord`."""

    @abstractmethod
    def untraced(self) -> Any:
        """It with plain arrays in place of autograd boxes."""

    def plain(self) -> BuiltModel:
        """The form in which it is solved: itself, unless it says that it is a model of another kind."""
        return self

    @abstractmethod
    def scales(self) -> tuple[float, ...]:
        """The size of change of each array that matters, in the order of `arrays().named()`."""
