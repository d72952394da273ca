"""Problems of the zoo by rows: each process builds the states that are its own, and no more."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.row_block import RowBlock, RowCotangent, Together
from boltzgrad.errors import InvalidOption, InvalidTheta, unknown
from boltzgrad.zoo.garnet import garnet, garnet_tiles
from boltzgrad.zoo.grid_world import grid_tiles, grid_world
from boltzgrad.zoo.options import positive_integer, real
from boltzgrad.zoo.tiles import Tiles, pulled_back


@dataclass(frozen=True, eq=False)
class TiledRows:
    """A problem of tiles by rows: `tiles(first, last)` are those of some states.  The start's softmax is over all processes."""

    tiles: Callable[[int, int], Tiles]
    n_states: int
    n_actions: int
    dim: int
    follower_discount: float
    leader_discount: float
    temperature: float
    name: str

    def initial_theta(self, seed: int | None = None) -> Array:
        """θ (d,), as the whole problem draws it."""
        if seed is None:
            return np.zeros(self.dim)
        return np.asarray(0.3 * np.random.default_rng(seed).standard_normal(self.dim))

    def block(self, theta: Array, first: int, last: int, together: Together) -> RowBlock:
        """See `Rows`.  Raises: InvalidTheta."""
        theta = np.asarray(theta, float)
        if theta.shape != (self.dim,) or not np.isfinite(theta).all():
            raise InvalidTheta(f"theta has shape {theta.shape}; expected {self.dim} finite numbers")
        tiles = self.tiles(first, last)
        return RowBlock(
            first=first,
            n_states=self.n_states,
            successors=tiles.successors,
            probabilities=tiles.kernel_values(theta).reshape(tiles.successors.shape),
            initial=_start(tiles, theta, together),
            follower_reward=tiles.follower_reward + theta[tiles.follower_tile],
            leader_reward=tiles.leader_reward + theta[tiles.leader_tile],
            follower_discount=self.follower_discount,
            leader_discount=self.leader_discount,
            temperature=self.temperature,
        )

    def pull_back(self, theta: Array, first: int, last: int, cotangent: RowCotangent, together: Together) -> Array:
        """See `Rows`."""
        tiles = self.tiles(first, last)
        rho, near = _start(tiles, theta, together), cotangent.initial
        for _ in range(2):  # centred twice, so that what cancels is small
            near = near - together.sum(np.asarray(rho @ near))
        found = pulled_back(
            tiles, theta, cotangent.follower_reward, cotangent.leader_reward, rho * near, cotangent.probabilities
        )
        return together.sum(found)


def _start(tiles: Tiles, theta: Array, together: Together) -> Array:
    """ρ of these states."""
    logits = tiles.initial_logits + theta[tiles.initial_tile]
    weights = np.exp(logits - together.max(float(logits.max(initial=-np.inf))))
    return np.asarray(weights / together.sum(np.asarray(weights.sum())))


_Tables = tuple[Callable[[int, int], Tiles], int, int]


def _of_grid(o: dict[str, Any]) -> _Tables:
    """(tiles of some states, S, A) of a grid's options."""
    N = positive_integer("size", o["size"], least=2)
    return lambda first, last: grid_tiles(N, o["n_parameters"], o["seed"], first=first, last=last), N * N, 4


def _of_garnet(o: dict[str, Any]) -> _Tables:
    """The same of a garnet's; every process draws the whole graph, whose numbers come in one stream, and keeps its rows."""
    names = ("n_states", "n_actions", "branching", "n_parameters", "seed", "ending")
    whole = garnet_tiles(*(o[name] for name in names))
    return whole.rows, *whole.follower_reward.shape


_BY_ROWS: dict[str, tuple[Callable[..., Any], Callable[[dict[str, Any]], _Tables]]] = {
    "grid-world": (grid_world, _of_grid),
    "garnet": (garnet, _of_garnet),
}


def by_rows(name: str, **options: Any) -> TiledRows:
    """A problem of the zoo that processes can build by rows; options and numbers are those of `problems.load`.

    Raises: UnknownName, InvalidOption.

    >>> by_rows("grid-world", size=30).n_states
    900
    """
    if name not in _BY_ROWS:
        raise unknown("problem that is built by rows", name, _BY_ROWS)
    factory, tables = _BY_ROWS[name]
    try:
        bound = inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise InvalidOption(f"{name} by rows: {error}") from None
    bound.apply_defaults()
    o = bound.arguments
    tiles, n_states, n_actions = tables(o)
    return TiledRows(
        tiles,
        n_states=n_states,
        n_actions=n_actions,
        dim=positive_integer("n_parameters", o["n_parameters"], least=4),
        follower_discount=real("follower_discount", o["follower_discount"]),
        leader_discount=real("leader_discount", o["leader_discount"]),
        temperature=real("temperature", o["temperature"]),
        name=name,
    )
