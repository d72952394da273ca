"""A table by rows: what each of several processes holds of a model that none of them holds whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from boltzgrad.core.arrays import Array


class Together(Protocol):
    """What the processes do together: `rank` of `size`, and sums and maxima over all of them."""

    @property
    def rank(self) -> int:
        """Which one this is."""

    @property
    def size(self) -> int:
        """How many there are."""

    def sum(self, x: Array) -> Array:
        """The sum of every process's x."""

    def max(self, x: float) -> float:
        """The largest of every process's x."""


class Alone:
    """One process by itself."""

    rank, size = 0, 1

    def sum(self, x: Array) -> Array:
        """x."""
        return x

    def max(self, x: float) -> float:
        """x."""
        return x


@dataclass(frozen=True, eq=False)
class RowBlock:
    """The rows of the states `first` … `first` + n − 1 of a `TabularModel`, as numbers at one θ.

    `successors` and `probabilities` (n·A, k): the k stored successors (of all `n_states`) of each state and action, which may
    repeat, and their p(s'|s,a); `initial` (n,), `follower_reward` and `leader_reward` (n, A).
    """

    first: int
    n_states: int
    successors: Array
    probabilities: Array
    initial: Array
    follower_reward: Array
    leader_reward: Array
    follower_discount: float
    leader_discount: float
    temperature: float


@dataclass(frozen=True, eq=False)
class RowCotangent:
    """∂J/∂ the numbers of a `RowBlock`, in its shapes."""

    probabilities: Array
    initial: Array
    follower_reward: Array
    leader_reward: Array


class Rows(Protocol):
    """A problem that any process can build its own rows of.

    `dim` d, `n_states` S, `n_actions` A and `name`; what a `block` reads of others goes through `together`.
    """

    @property
    def dim(self) -> int:
        """d."""

    @property
    def n_states(self) -> int:
        """S."""

    @property
    def n_actions(self) -> int:
        """A."""

    @property
    def name(self) -> str:
        """What it is called."""

    def initial_theta(self, seed: int | None = None) -> Array:
        """θ (d,), as the whole problem draws it."""

    def block(self, theta: Array, first: int, last: int, together: Together) -> RowBlock:
        """The states `first` … `last` − 1 at θ (d,).  Raises: InvalidTheta."""

    def pull_back(self, theta: Array, first: int, last: int, cotangent: RowCotangent, together: Together) -> Array:
        """∂J/∂θ (d,), summed over all processes."""


def share(n_states: int, together: Together) -> tuple[int, int]:
    """(first, last) of a process's states: the shares differ by one state at most.

    >>> share(10, Alone())
    (0, 10)
    """
    bounds = np.arange(together.size + 1) * n_states // together.size
    return int(bounds[together.rank]), int(bounds[together.rank + 1])
