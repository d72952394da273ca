"""Large sparse problems whose parameters each move a group ("tile") of entries.

    r_F(s,a) = base + θ[tile of (s,a)],   r_L likewise,
    p(·|s,a) = continuation(s,a) · softmax_k(base logit + θ[tile of the entry]),   ρ = softmax(base + θ[tile of s]).

Every (s,a) has the same number k of stored successors, so nothing of size (S, A, S) is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.core.softmaxes import softmax, through_softmax
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_BLOCK = 1 << 17  # rows of a kernel at once
_BY_ROW = ("successors", "logits", "logit_tile", "continuation")  # one row a state and action


@dataclass(frozen=True, eq=False)
class Tiles:
    """Base values and tile numbers of a sparse problem, or of some states' rows of it; shapes (S, A), (S·A, k) and (S,).

    Tile numbers index θ.  `successors` (S·A, k) are the states that each entry leads to, `continuation` (S·A, 1) is the
    probability that an episode goes on.
    """

    successors: Array
    follower_reward: Array
    leader_reward: Array
    logits: Array
    initial_logits: Array
    follower_tile: Array
    leader_tile: Array
    logit_tile: Array
    initial_tile: Array
    continuation: Array

    @cached_property
    def pattern(self) -> SparsePattern:
        """The successors as the pattern of a kernel (of all states)."""
        S, A = self.follower_reward.shape
        k = self.successors.shape[1]
        out = SparsePattern(np.arange(S * A + 1) * k, self.successors.ravel(), n_states=S, n_actions=A)
        object.__setattr__(self, "successors", out.indices.reshape(S * A, k))  # its copy serves both
        return out

    def rows(self, first: int, last: int) -> Tiles:
        """Those of the states `first` … `last` − 1."""
        A = self.follower_reward.shape[1]

        def cut(name: str) -> Array:
            x: Array = getattr(self, name)
            return x[first * A : last * A] if name in _BY_ROW else x[first:last]

        return Tiles(**{f.name: cut(f.name) for f in fields(self)})

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

    def pullback(theta: Array, cotangent: TabularArrays) -> Array:
        return pulled_back(
            tiles,
            theta,
            cotangent.follower_reward,
            cotangent.leader_reward,
            _through_start(tiles.initial(theta), cotangent.initial),
            cotangent.transition,
        )

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


def pulled_back(
    tiles: Tiles, theta: Array, follower_reward: Array, leader_reward: Array, initial_logits: Array, transition: Array
) -> Array:
    """Cotangents on rewards, the start's logits and the kernel's values as ∂J/∂θ (d,).

    The kernel's go by blocks of rows: what a softmax needs beside them is several times as large as they are.
    """
    out = np.zeros(theta.size)

    def add(tile: Array, values: Array) -> None:
        out[:] += np.bincount(tile.ravel(), weights=values.ravel(), minlength=theta.size)

    add(tiles.follower_tile, follower_reward)
    add(tiles.leader_tile, leader_reward)
    add(tiles.initial_tile, initial_logits)
    moved = transition.reshape(tiles.logit_tile.shape)
    for first in range(0, len(moved), _BLOCK):
        block = slice(first, first + _BLOCK)
        tile = tiles.logit_tile[block]
        p = softmax(tiles.logits[block] + theta[tile])
        add(tile, through_softmax(p, tiles.continuation[block] * moved[block]))
    return out


def split(dim: int) -> tuple[Array, Array, Array, Array]:
    """Parameter numbers of (follower's reward, leader's reward, kernel, start): about 3/8, 1/8, 3/8, 1/8 of θ."""
    cuts = np.cumsum([max(1, 3 * dim // 8), max(1, dim // 8), max(1, 3 * dim // 8)])
    parts = np.split(np.arange(dim, dtype=np.int32), cuts)
    return parts[0], parts[1], parts[2], parts[3]
