"""FrozenLake with a leader who shapes the follower's reward, so that one who is hasty and wavers gets across.

Source: Gymnasium's `FrozenLake-v1`, map "8x8", `is_slippery=True` (Farama Foundation, MIT licence,
gymnasium/envs/toy_text/frozen_lake.py): the map, the numbers of the moves, and the slips, each with probability ⅓.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.worlds import Features, World, from_dict

MAP = """\
SFFFFFFF
FFFFFFFF
FFFHFFFF
FFFFFHFF
FFFHFFFF
FHHFFFHF
FHFFHFHF
FFFHFFFG"""
MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))  # left, down, right, up
SIZE = 8
FOLLOWER_DISCOUNT, LEADER_DISCOUNT = 0.95, 0.99
TEMPERATURE = 0.03
PRICE = 0.05

_marks = MAP.replace("\n", "")


def table() -> dict[Any, dict[Any, list[tuple[float, int, float, bool]]]]:
    """{state: {move: [(probability, next state, reward, terminated)]}}, as the environment's own `P`.

    >>> table()[62][1]
    [(0.3333333333333333, 61, 0.0, False), (0.3333333333333333, 62, 0.0, False), (0.3333333333333333, 63, 1.0, True)]
    """
    return {s: {a: _outcomes(s, a) for a in range(len(MOVES))} for s in range(SIZE * SIZE)}


def _outcomes(state: int, move: int) -> list[tuple[float, int, float, bool]]:
    if _marks[state] in "GH":
        return [(1.0, state, 0.0, True)]
    out = []
    for slip in (-1, 0, 1):  # to either side as likely as ahead
        down, right = MOVES[(move + slip) % len(MOVES)]
        row, column = (int(np.clip(x, 0, SIZE - 1)) for x in (state // SIZE + down, state % SIZE + right))
        reached = SIZE * row + column
        mark = _marks[reached]
        out.append((1.0 / 3.0, reached, float(mark == "G"), mark in "GH"))
    return out


def world() -> World:
    """The lake, with the leader's discount; it begins in the first corner."""
    start = np.eye(SIZE * SIZE)[_marks.index("S")]
    return from_dict(table(), discount=LEADER_DISCOUNT, initial=start)


def frozen_lake(temperature: float = TEMPERATURE, price: float = PRICE) -> ConfigurableMDP:
    """θ (64,): what the follower is paid besides in each cell; the leader wants the goal reached, and pays `price`·‖θ‖²."""

    def cost(theta: Any) -> Any:
        return -price * anp.sum(theta**2)

    return world().design(
        reward=Features(np.eye(SIZE * SIZE)),
        temperature=temperature,
        follower_discount=FOLLOWER_DISCOUNT,
        leader_discount=LEADER_DISCOUNT,
        regulariser=cost,
        initial_scale=0.01,
        name="frozen-lake",
    )
