"""Two-player Markov games."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from boltzgrad.families.drawing.probabilities import KINDS, Kind, distributions, kernels
from boltzgrad.families.drawing.scalars import a_strategy, discounts, listed, quarters, temperatures
from boltzgrad.families.game.leader_policy import softmax_table
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


@st.composite
def finite_games(
    draw: st.DrawFn,
    *,
    max_steps: int = 3,
    max_states: int = 2,
    max_leader_actions: int = 2,
    max_follower_actions: int = 3,
    kinds: tuple[Kind, ...] = KINDS,
    temperature: st.SearchStrategy[float] | float | None = None,
) -> MarkovGame:
    """Markov games over a few steps: discounts up to 1, ends that are paid, numbers that change, references with zeros."""
    H, S = draw(st.integers(1, max_steps)), draw(st.integers(1, max_states))
    A, B = draw(st.integers(1, max_leader_actions)), draw(st.integers(1, max_follower_actions))
    sees, moves, yes = draw(st.booleans()), draw(st.booleans()), st.booleans()
    each = [draw(kernels(S, A * B, kinds)).reshape(S, A, B, S) for _ in range(H if moves else 1)]
    seen = (S, A, B) if sees else (S, B)
    reference, beside = None, None
    if draw(yes):
        missing = np.array(draw(st.lists(st.booleans(), min_size=S * B, max_size=S * B))).reshape(S, B)
        missing[:, 0] = False
        logits = draw(quarters(seen))
        weights = np.exp(logits) * (~missing[:, None, :] if sees else ~missing)
        # All of it: as (S, A, B) it may be one for each step where H = S = A, which is refused.
        reference = np.stack([weights / weights.sum(axis=-1, keepdims=True)] * H)
    if draw(yes):
        weights = np.exp(draw(quarters((S, A))))
        beside = weights / weights.sum(axis=-1, keepdims=True)
    shape = (H, S, A, B) if moves else (S, A, B)
    return DrawnGame(
        np.stack(each) if moves else each[0],
        draw(distributions(S)),
        draw(quarters(shape)),
        draw(quarters(shape)),
        horizon=H,
        follower_discount=draw(st.just(1.0) | discounts()),
        leader_discount=draw(st.just(1.0) | discounts()),
        temperature=draw(a_strategy("temperature", temperature, temperatures(lowest=0.01))),
        terminal_follower_reward=draw(quarters((S,))),
        terminal_leader_reward=draw(quarters((S,))),
        reference=reference,
        leader_temperature=draw(st.sampled_from((0.0, 0.5))),
        leader_reference=beside,
        policy=softmax_table(H * S, A) if draw(yes) else None,
        observes=sees,
    )
