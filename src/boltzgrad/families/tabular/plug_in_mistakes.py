"""The tabular family's formula and its mistakes, made with a follower's own policy and values instead of the optimum's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boltzgrad.core.arrays import Array
from boltzgrad.families.mistake import Mutant, WrongFormula
from boltzgrad.families.tabular import mistakes
from boltzgrad.families.tabular.contexts import ContextualArrays, ContextualModel
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.solvers import FollowerSolution


@dataclass(frozen=True)
class UnderFollower:
    """A `Catalogue`: where a mistake does not itself concern the follower's policy or values, these are as they were given."""

    Formula: type[WrongFormula]
    MUTANTS: tuple[Mutant, ...]


def under(followers: Sequence[FollowerSolution]) -> UnderFollower:
    """The catalogue of a problem whose contexts have these followers."""

    class Formula(mistakes.Formula):
        def of_context(self, c: int, contexts: ContextualModel, columns: tuple[ContextualArrays, ...]) -> Array:
            self._follower = followers[c]
            return super().of_context(c, contexts, columns)

        def soft_value(self, m: TabularModel) -> Array:
            return self._follower.value

        def policy(self, m: TabularModel, v: Array) -> Array:
            return self._follower.policy

    def made_with(mutant: Mutant) -> Mutant:
        # The mistake first, so that it overrides the follower, and calls it where it calls the right formula.
        mixed = type(mutant.formula.__name__, (mutant.formula, Formula), {})
        return Mutant(mutant.name, mutant.mistake, mixed)

    return UnderFollower(Formula, tuple(map(made_with, mistakes.MUTANTS)))
