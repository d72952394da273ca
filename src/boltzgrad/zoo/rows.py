"""Problems of the zoo by rows: each process builds the states that are its own, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.row_block import RowBlock, RowCotangent, Together
from boltzgrad.errors import InvalidOption, InvalidTheta, unknown
from boltzgrad.zoo.garnet import garnet_tiles
from boltzgrad.zoo.grid_world import grid_tiles
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


def _grid_world(
    size: int = 10,
    n_parameters: int = 64,
    seed: int = 0,
    follower_discount: float = 0.99,
    leader_discount: float = 0.99,
    temperature: float = 0.05,
) -> TiledRows:
    N, dim = positive_integer("size", size, least=2), positive_integer("n_parameters", n_parameters, least=4)
    return TiledRows(
        lambda first, last: grid_tiles(N, dim, seed, first=first, last=last),
        n_states=N * N,
        n_actions=4,
        dim=dim,
        follower_discount=real("follower_discount", follower_discount),
        leader_discount=real("leader_discount", leader_discount),
        temperature=real("temperature", temperature),
        name="grid-world",
    )


def _garnet(
    n_states: int = 100,
    n_actions: int = 4,
    branching: int = 4,
    n_parameters: int = 64,
    seed: int = 0,
    follower_discount: float = 0.99,
    leader_discount: float = 0.99,
    temperature: float = 0.05,
    ending: float = 0.0,
) -> TiledRows:
    """Every process draws the whole graph, whose numbers come in one stream, and keeps its rows."""
    whole = garnet_tiles(n_states, n_actions, branching, n_parameters, seed, ending)
    return TiledRows(
        whole.rows,
        n_states=n_states,
        n_actions=n_actions,
        dim=n_parameters,
        follower_discount=real("follower_discount", follower_discount),
        leader_discount=real("leader_discount", leader_discount),
        temperature=real("temperature", temperature),
        name="garnet",
    )


_BY_ROWS: dict[str, Callable[..., TiledRows]] = {"grid-world": _grid_world, "garnet": _garnet}


def by_rows(name: str, **options: Any) -> TiledRows:
    """A problem of the zoo that processes can build by rows; the numbers are those of `problems.load`.

    Raises: UnknownName, InvalidOption.

    >>> by_rows("grid-world", size=30).n_states
    900
    """
    if name not in _BY_ROWS:
        raise unknown("problem that is built by rows", name, _BY_ROWS)
    try:
        return _BY_ROWS[name](**options)
    except TypeError as error:
        raise InvalidOption(f"{name} by rows: {error}") from None
