"""Two-player Markov games."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from boltzgrad.families.drawing.probabilities import KINDS, Kind, distributions, kernels
from boltzgrad.families.drawing.scalars import a_strategy, discounts, listed, quarters, temperatures
from boltzgrad.families.game.problem import MarkovGame


class DrawnGame(MarkovGame):
    """A Markov game that prints what it is made of."""

    def __init__(self, *arrays: Any, **options: Any) -> None:
        super().__init__(*arrays, name="drawn", **options)
        self.ingredients, self.options = arrays, options

    def __repr__(self) -> str:
        names = ("transition", "initial", "follower_reward", "leader_reward")
        parts = [f"{name}={listed(x)}" for name, x in zip(names, self.ingredients, strict=True)]
        return f"MarkovGame({', '.join(parts)}, {', '.join(f'{k}={v!r}' for k, v in self.options.items())})"


@st.composite
def markov_games(
    draw: st.DrawFn,
    *,
    max_states: int = 3,
    max_leader_actions: int = 3,
    max_follower_actions: int = 3,
    kinds: tuple[Kind, ...] = KINDS,
    discount: st.SearchStrategy[float] | float | None = None,
    temperature: st.SearchStrategy[float] | float | None = None,
    as_published: bool | None = None,
) -> MarkovGame:
    """Markov games with a softmax table for the leader and followers that see its action or do not.

    `as_published` None also draws followers that plan otherwise than they act.
    """
    S = draw(st.integers(1, max_states))
    A, B = draw(st.integers(1, max_leader_actions)), draw(st.integers(1, max_follower_actions))
    discount = a_strategy("discount", discount, discounts())
    temperature = a_strategy("temperature", temperature, temperatures())
    sees = ["sees", "blind"] if as_published is False else ["sees", "blind", "published"]
    follower = "published" if as_published else draw(st.sampled_from(sees))
    return DrawnGame(
        draw(kernels(S, A * B, kinds)).reshape(S, A, B, S),
        draw(distributions(S)),
        draw(quarters((S, A, B))),
        draw(quarters((S, A, B))),
        follower_discount=draw(discount),
        leader_discount=draw(discount),
        temperature=draw(temperature),
        observes=follower != "blind",
        as_published=follower == "published",
    )
