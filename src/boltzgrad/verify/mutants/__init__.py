"""Plausible wrong hypergradients: what every check must be able to reject.

For each family a `Formula` computes the gradient step by step, each step a method; unmutated it equals the reference.  A
mutant overrides one step with a mistake that people make (and papers and code have made).  Each names a problem
that exposes it, and either one on which the same mistake is invisible (so that the rejection is for that mistake
and no other) or the coordinates of θ that it leaves alone.  `combinations` makes them two at once, in one context, in
one half of the horizon.
"""

from boltzgrad.families.game import mistakes as game
from boltzgrad.families.game import mistakes_over_steps as finite_game
from boltzgrad.families.horizon import mistakes as horizon
from boltzgrad.families.lqr import mistakes as lqr
from boltzgrad.families.lqr_steps import mistakes as finite_lqr
from boltzgrad.families.mistake import Mutant
from boltzgrad.families.registry import families
from boltzgrad.families.tabular import mistakes as tabular
from boltzgrad.families.tabular import mistakes_of_kinds as kinds

FAMILIES = {
    "tabular": tabular,
    "kinds": kinds,
    "horizon": horizon,
    "game": game,
    "game-over-steps": finite_game,
    "lqr": lqr,
    "lqr-over-steps": finite_lqr,
}
"""The mistakes of each family that comes with the library, and of the kinds of tables that have their own."""

__all__ = [
    "FAMILIES",
    "Mutant",
    "everything",
    "finite_game",
    "finite_lqr",
    "game",
    "horizon",
    "kinds",
    "lqr",
    "tabular",
]


def everything() -> tuple[Mutant, ...]:
    """The mutants of every family.

    >>> len(everything()) >= 119
    True
    """
    of_families = (m for family in families() if family.mistakes is not None for m in family.mistakes.MUTANTS)
    return (*of_families, *kinds.MUTANTS)
