"""Plausible wrong hypergradients: what every check must be able to reject.

For each family a `Formula` computes the gradient step by step, each step a method; unmutated it equals the reference.  A
mutant overrides one step with a mistake that people make (and papers and code have made).  Each names a problem
that exposes it, and either one on which the same mistake is invisible (so that the rejection is for that mistake
and no other) or the coordinates of θ that it leaves alone.  `combinations` makes them two at once, in one context, in
one half of the horizon.
"""

from boltzgrad.verify.mutants import game, lqr, tabular
from boltzgrad.verify.mutants.mutant import Mutant

FAMILIES = {"tabular": tabular, "game": game, "lqr": lqr}

__all__ = ["FAMILIES", "Mutant", "everything"]


def everything() -> tuple[Mutant, ...]:
    """The mutants of every family.

    >>> len(everything()) >= 119
    True
    """
    return tuple(mutant for family in FAMILIES.values() for mutant in family.MUTANTS)
