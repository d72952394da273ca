"""What a mutant is: a formula with one step replaced by a mistake, and what exposes and what hides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from boltzgrad import problems
from boltzgrad.core.arrays import Array
from boltzgrad.zoo.tiles import split


class WrongFormula:
    """A hypergradient formula, one method a step; a subclass overrides one of them with a mistake.

    `exposed_by` names a zoo problem with options on which the mistake shows; it makes no difference on `hidden_by`, or,
    where there is no such problem, in the group `spares` of coordinates of a tiled problem (`zoo.tiles.split`): of
    `garnet`, or of `hidden_by` where both are given.
    """

    mistake: ClassVar[str]
    exposed_by: ClassVar[tuple[str, dict[str, Any]]]
    hidden_by: ClassVar[tuple[str, dict[str, Any]] | None] = None
    spares: ClassVar[int | None] = None

    def __init__(self, problem: Any, theta: Array) -> None:
        self.problem, self.theta = problem, theta

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Mutant:
    """A wrong gradient with its name, the mistake in words, and what exposes and hides it."""

    name: str
    mistake: str
    formula: type[WrongFormula]

    def gradient(self, problem: Any, theta: Array) -> Array:
        """The wrong gradient (d,)."""
        return self.formula(problem, theta).gradient()

    @property
    def exposed_by(self) -> Any:
        """A problem on which the mistake shows."""
        name, options = self.formula.exposed_by
        return problems.load(name, **options)

    @property
    def hidden_by(self) -> Any:
        """A problem on which the mistake makes no difference, or None."""
        if self.formula.hidden_by is None:
            return None
        name, options = self.formula.hidden_by
        return problems.load(name, **options)

    def spared(self, dim: int) -> Array:
        """The coordinates of a tiled problem (`garnet`, `grid-world`) that the mistake leaves right."""
        return np.zeros(0, int) if self.formula.spares is None else split(dim)[self.formula.spares]


class Catalogue(Protocol):
    """A family's formula, right as it stands, and its mutants: what a module `mistakes` has."""

    @property
    def Formula(self) -> type[WrongFormula]:
        """The right formula, one method a step."""

    @property
    def MUTANTS(self) -> tuple[Mutant, ...]:
        """It with one step wrong each."""


@dataclass(frozen=True)
class Together:
    """A catalogue of several: a formula, and the mistakes that are made with it and with others like it."""

    Formula: type[WrongFormula]
    MUTANTS: tuple[Mutant, ...]


def mutants_of(formula: type[WrongFormula]) -> tuple[Mutant, ...]:
    """Every mistake made with a formula."""
    return tuple(Mutant(cls.__name__, cls.mistake, cls) for cls in formula.__subclasses__())
