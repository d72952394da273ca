"""An N × N slippery grid world: a local graph, on which sparse direct factorisations stay cheap."""

from __future__ import annotations

import numpy as np

from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import generator, positive_integer, real
from boltzgrad.zoo.tiles import Tiles, split, tiled_problem

_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
_SLIP = 0.1  # probability of each direction that was not intended, at θ = 0


def grid_world(
    size: int = 10,
    n_parameters: int = 64,
    seed: int = 0,
    follower_discount: float = 0.99,
    leader_discount: float = 0.99,
    temperature: float = 0.05,
) -> ConfigurableMDP:
    """Moves up, right, down, left that slip; rough terrain, a goal in the middle, a prize for the leader elsewhere.

    The follower pays U(0, 0.1) in each cell and earns 1 in the goal cell; the episode goes on.  The leader
    earns U(0, 1) by cell.  θ (n_parameters,) shifts the follower's and the leader's rewards, the slipping
    and the start, each in square tiles of cells.
    """
    return tiled_problem(
        grid_tiles(size, n_parameters, seed),
        dim=n_parameters,
        follower_discount=real("follower_discount", follower_discount),
        leader_discount=real("leader_discount", leader_discount),
        temperature=real("temperature", temperature),
        name="grid-world",
    )


def grid_tiles(
    size: int = 10, n_parameters: int = 64, seed: int = 0, *, first: int = 0, last: int | None = None
) -> Tiles:
    """The tables behind `grid_world`, or those of the cells `first` … `last` − 1 alone.  Raises: InvalidOption."""
    N = positive_integer("size", size, least=2)
    dim = positive_integer("n_parameters", n_parameters, least=4)
    A, last = len(_MOVES), N * N if last is None else last
    S = last - first
    kind = np.int32 if N * N < 2**31 else np.int64
    row, column = np.divmod(np.arange(first, last, dtype=kind), kind(N))
    reached = np.empty((S, A), dtype=kind)  # the cell a step in direction b leads to; walls stay

    def drawn(before: int, low: float, high: float) -> np.ndarray:
        """These cells' numbers, after as many others' as come `before`."""
        rng = generator(seed)
        rng.bit_generator.advance(before + first)  # type: ignore[attr-defined]
        return rng.uniform(low, high, size=S)

    for b, (dr, dc) in enumerate(_MOVES):
        reached[:, b] = np.clip(row + dr, 0, N - 1) * N + np.clip(column + dc, 0, N - 1)
    # Entry m of action a is the step in direction (a + m) mod 4: m = 0 as intended, else a slip.
    turn = (np.arange(A)[:, None] + np.arange(A)[None, :]) % A
    follower, leader, kernel, start = split(dim)

    def tile(numbers: np.ndarray) -> np.ndarray:
        """Square tiles of cells, numbered through `numbers` again and again."""
        side = max(1, int(np.ceil(np.sqrt(len(numbers)))))
        block = (row * side // N) * side + column * side // N
        return np.asarray(numbers[block % len(numbers)])

    cost = drawn(0, 0.0, 0.1)
    goal = (N // 2) * N + N // 2
    cost[np.arange(first, last) == goal] = -1.0
    slip = np.log([1.0 - 3 * _SLIP, _SLIP, _SLIP, _SLIP])
    directions = np.arange(A, dtype=np.int32)
    kernel_tile = kernel[(tile(np.arange(len(kernel), dtype=np.int32))[:, None] + directions) % len(kernel)]
    return Tiles(
        reached[:, turn].reshape(S * A, A),
        follower_reward=np.repeat(-cost[:, None], A, axis=1),
        leader_reward=np.repeat(drawn(N * N, 0.0, 1.0)[:, None], A, axis=1),
        logits=np.broadcast_to(slip, (S * A, A)),
        initial_logits=np.zeros(S),
        follower_tile=np.repeat(tile(follower)[:, None], A, axis=1),
        leader_tile=np.repeat(tile(leader)[:, None], A, axis=1),
        logit_tile=np.repeat(kernel_tile, A, axis=0),
        initial_tile=tile(start),
        continuation=np.ones((S * A, 1)),
    )
