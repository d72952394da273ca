"""Problems of every family, alone and with a θ."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from boltzgrad.problems.kernel import Array
from boltzgrad.testing.strategies.games import markov_games
from boltzgrad.testing.strategies.lqr import linear_quadratics
from boltzgrad.testing.strategies.scalars import thetas
from boltzgrad.testing.strategies.tabular import configurable_mdps


def problems() -> st.SearchStrategy[Any]:
    """Problems of all three families."""
    return configurable_mdps() | markov_games() | linear_quadratics()


@st.composite
def problems_at(draw: st.DrawFn, problem: st.SearchStrategy[Any] | Any = None) -> tuple[Any, Array]:
    """(problem, θ): a problem (of any family, from the strategy given, or that very one) and a θ for it."""
    chosen = problems() if problem is None else problem
    drawn = draw(chosen) if isinstance(chosen, st.SearchStrategy) else chosen
    return drawn, draw(thetas(drawn))
