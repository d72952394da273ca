"""Problems of every family, alone and with a θ."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from boltzgrad.core.arrays import Array
from boltzgrad.families.drawing.scalars import thetas
from boltzgrad.families.registry import families


def problems() -> st.SearchStrategy[Any]:
    """Problems of every family."""
    return st.one_of([family.draw() for family in families() if family.draw is not None])


@st.composite
def problems_at(draw: st.DrawFn, problem: st.SearchStrategy[Any] | Any = None) -> tuple[Any, Array]:
    """(problem, θ): a problem (of any family, from the strategy given, or that very one) and a θ for it."""
    chosen = problems() if problem is None else problem
    drawn = draw(chosen) if isinstance(chosen, st.SearchStrategy) else chosen
    return drawn, draw(thetas(drawn))
