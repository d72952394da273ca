"""Large sparse problems whose parameters each move a group ("tile") of entries.

    r_F(s,a) = base + θ[tile of (s,a)],   r_L likewise,
    p(·|s,a) = continuation(s,a) · softmax_k(base logit + θ[tile of the entry]),   ρ = softmax(base + θ[tile of s]).

Every (s,a) has the same number k of stored successors, so nothing of size (S, A, S) is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.core.softmaxes import softmax, through_softmax
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False)
class Tiles:
    """Base values and tile numbers of a sparse problem; shapes (S, A), (S·A, k) and (S,).

    Tile numbers index θ.  `continuation` (S·A, 1) is the probability that an episode goes on.
    """

    pattern: SparsePattern
    follower_reward: Array
    leader_reward: Array
    logits: Array
    initial_logits: Array
    follower_tile: Array
    leader_tile: Array
    logit_tile: Array
    initial_tile: Array
    continuation: Array

    def kernel_values(self, theta: Any) -> Any:
        """P(s'|s,a) on the pattern, (nnz,)."""
        return anp.ravel(self.continuation * softmax(self.logits + theta[self.logit_tile]))

    def initial(self, theta: Any) -> Any:
        """ρ(s), (S,)."""
        return softmax(self.initial_logits + theta[self.initial_tile])


def _through_start(rho: Array, x: Array) -> Array:
    """The derivative of the start's softmax over many states: centred once more, so that what cancels is small."""
    near = x - rho @ x
    return np.asarray(rho * (near - rho @ near))


def tiled_problem(
    tiles: Tiles, *, dim: int, follower_discount: float, leader_discount: float, temperature: float, name: str
) -> ConfigurableMDP:
    """The configurable MDP of `tiles`, with both derivatives by hand (sparse, cost independent of d)."""

    def build(theta: Any) -> TabularModel:
        return TabularModel(
            SparseKernel(tiles.pattern, tiles.kernel_values(theta)),
            tiles.initial(theta),
            tiles.follower_reward + theta[tiles.follower_tile],
            tiles.leader_reward + theta[tiles.leader_tile],
            follower_discount=follower_discount,
            leader_discount=leader_discount,
            temperature=temperature,
        )

    def add(out: Array, tile: Array, values: Array) -> None:
        out += np.bincount(tile.ravel(), weights=values.ravel(), minlength=dim)

    def pullback(theta: Array, cotangent: TabularArrays) -> Array:
        out = np.zeros(dim)
        add(out, tiles.follower_tile, cotangent.follower_reward)
        add(out, tiles.leader_tile, cotangent.leader_reward)
        add(out, tiles.initial_tile, _through_start(tiles.initial(theta), cotangent.initial))
        p = softmax(tiles.logits + theta[tiles.logit_tile])
        add(
            out,
            tiles.logit_tile,
            through_softmax(p, tiles.continuation * cotangent.transition.reshape(p.shape)),
        )
        return out

    def pushforward(theta: Array, direction: Array) -> TabularArrays:
        p = softmax(tiles.logits + theta[tiles.logit_tile])
        moved = tiles.continuation * through_softmax(p, direction[tiles.logit_tile])
        return TabularArrays(
            moved.ravel(),
            _through_start(tiles.initial(theta), direction[tiles.initial_tile]),
            direction[tiles.follower_tile],
            direction[tiles.leader_tile],
        )

    return ConfigurableMDP(build, dim=dim, pullback=pullback, pushforward=pushforward, initial_scale=0.3, name=name)


def split(dim: int) -> tuple[Array, Array, Array, Array]:
    """Parameter numbers of (follower's reward, leader's reward, kernel, start): about 3/8, 1/8, 3/8, 1/8 of θ."""
    cuts = np.cumsum([max(1, 3 * dim // 8), max(1, dim // 8), max(1, 3 * dim // 8)])
    parts = np.split(np.arange(dim, dtype=np.int32), cuts)
    return parts[0], parts[1], parts[2], parts[3]
