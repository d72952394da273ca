"""How a follower's answer is laid out on the table that a problem can be written as: on pairs (step, state), for example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from boltzgrad.core.arrays import Array

if TYPE_CHECKING:
    from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False)
class Table:
    """A problem written as a `ConfigurableMDP` of plain tables, which has the same J and ∇J.

    `shapes` are those of a policy in each context as people have it, `axes` their names; its rows are `copies` times over those
    of the table.  `bonus` is τ log π⁰ of each context, of such a shape and in units of the reward: what the table's reward has
    taken in, and a Q as people have it has not.
    """

    problem: ConfigurableMDP
    shapes: tuple[tuple[int, ...], ...]
    axes: str
    copies: int
    bonus: tuple[Array, ...]

    def flat(self, x: Array) -> Array:
        """A policy or Q as people have it, as the table's (rows, actions)."""
        return np.tile(x.reshape(-1, x.shape[-1]), (self.copies, 1))

    def states(self, x: Array, context: int) -> Array:
        """A number for each row of the table, as people have their states."""
        shape = self.shapes[context][:-1]
        return np.asarray(x[: int(np.prod(shape))].reshape(shape))

    def index(self, context: int, row: int, action: int | None = None) -> str:
        """An entry as people have it, in brackets."""
        shape = self.shapes[context][:-1]
        at: Sequence[int] = [int(i) for i in np.unravel_index(int(row) % int(np.prod(shape)), shape)]
        return f"[{', '.join(map(str, at if action is None else [*at, int(action)]))}]"
