"""Four-Rooms: the leader spreads penalties over the cells so that the follower passes a target cell.

Source: BC-HG 5.1 and C.2 (one goal); HPGD section 3 and F.2 (two goals, drawn as the context).

The published code has two kernels.  Its simulator moves as intended with probability 0.67 (0.11 in each other
direction); the matrix used for the follower's value iteration and for the reported objective has 0.56
(0.44/3).  `kernel="simulator"` and `"matrix"` use one of them for everything; `"as-published"` is a follower
that plans with the matrix in a world that moves by the simulator.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import Kernel
from boltzgrad.core.softmaxes import softmax, through_softmax
from boltzgrad.families.tabular.contexts import ContextualArrays, ContextualModel
from boltzgrad.families.tabular.model import TabularArrays, TabularModel, kernel_of
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import one_of, real

MAP = """\
#############
#.....#..1..#
#.....#.....#
#...........#
#S....#.....#
#.....#.....#
##.####.....#
#.....###.###
#...+.#.....#
#.....#.....#
#...........#
#.....#....2#
#############"""

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left
DISCOUNT = 0.99
PENALTY = 0.2
INTENDED = {"simulator": 0.67, "matrix": 0.56}
N_CELLS = 104

_rows = MAP.splitlines()
CELLS = [(i, j) for i, row in enumerate(_rows) for j, mark in enumerate(row) if mark != "#"]
_index = {cell: k for k, cell in enumerate(CELLS)}


def marked(mark: str) -> int:
    """The state index of the cell that carries `mark` on the map.

    >>> marked("S"), marked("1"), marked("2"), marked("+")
    (31, 7, 103, 66)
    """
    return next(k for k, (i, j) in enumerate(CELLS) if _rows[i][j] == mark)


def slippery_kernel(intended: float, goal: int) -> Array:
    """P(s'|s,a), (104, 4, 104): a move into a wall stays; the episode ends on leaving the goal."""
    p = np.zeros((N_CELLS, len(MOVES), N_CELLS))
    other = (1.0 - intended) / (len(MOVES) - 1)
    for s, (i, j) in enumerate(CELLS):
        if s == goal:
            continue
        for a in range(len(MOVES)):
            for b, (di, dj) in enumerate(MOVES):
                p[s, a, _index.get((i + di, j + dj), s)] += intended if a == b else other
    return p


class _Goal:
    """The parts of one goal's model, and how they hang on σ = softmax(θ)."""

    def __init__(self, goal: int, kernel: str, temperature: float, penalty_weight: float) -> None:
        def known(name: str, which: str) -> Kernel:
            return kernel_of(name, slippery_kernel(INTENDED[which], goal), (N_CELLS, len(MOVES)))

        world = known("transition", "simulator" if kernel == "as-published" else kernel)
        planned = known("follower_transition", "matrix") if kernel == "as-published" else None
        self.world, self.planned, self.temperature = world, planned, temperature
        self.start = np.zeros(N_CELLS)
        self.start[marked("S")] = 1.0
        self.at_goal = np.zeros(N_CELLS)
        self.at_goal[goal] = 1.0
        self.at_target = np.zeros(N_CELLS)
        self.at_target[marked("+")] = 1.0
        self.charge = penalty_weight * PENALTY * self.at_goal

    def model(self, sigma: Any) -> TabularModel:
        each_action = np.ones((1, len(MOVES)))
        r_follower = self.at_goal - PENALTY * sigma[:N_CELLS] * (1.0 - self.at_goal)
        r_leader = self.at_target - self.charge * (1.0 - sigma[N_CELLS])
        return TabularModel(
            self.world,
            self.start,
            anp.reshape(r_follower, (-1, 1)) * each_action,
            anp.reshape(r_leader, (-1, 1)) * each_action,
            self.planned,
            follower_discount=DISCOUNT,
            leader_discount=DISCOUNT,
            temperature=self.temperature,
        )

    def pull_to_sigma(self, cotangent: TabularArrays) -> Array:
        out = np.empty(N_CELLS + 1)
        out[:N_CELLS] = -PENALTY * (1.0 - self.at_goal) * cotangent.follower_reward.sum(axis=1)
        out[N_CELLS] = self.charge @ cotangent.leader_reward.sum(axis=1)
        return out

    def push_from_sigma(self, dsigma: Array) -> TabularArrays:
        shape = (N_CELLS, len(MOVES))
        r_follower = -PENALTY * (1.0 - self.at_goal) * dsigma[:N_CELLS]
        return TabularArrays(
            np.broadcast_to(0.0, self.world.values.shape),
            np.zeros(N_CELLS),
            np.broadcast_to(r_follower[:, None], shape),
            np.broadcast_to((self.charge * dsigma[N_CELLS])[:, None], shape),
            None if self.planned is None else np.broadcast_to(0.0, self.world.values.shape),
        )


def four_rooms(kernel: str = "simulator", temperature: float = 1e-3, penalty_weight: float = 5.0) -> ConfigurableMDP:
    """One goal: θ (105,), σ = softmax(θ); cell i costs the follower 0.2 σ_i, entry 104 is spare.

    The leader earns 1 on each step in the target cell and pays `penalty_weight`·0.2·(1 − σ_104) when the
    follower reaches the goal.  Source: BC-HG 5.1, C.2.
    """
    part = _Goal(
        marked("1"),
        one_of("kernel", kernel, ("simulator", "matrix", "as-published")),
        real("temperature", temperature),
        real("penalty_weight", penalty_weight),
    )

    def build(theta: Any) -> TabularModel:
        return part.model(softmax(theta))

    def pullback(theta: Array, cotangent: TabularArrays) -> Array:
        return np.asarray(through_softmax(softmax(theta), part.pull_to_sigma(cotangent)))

    def pushforward(theta: Array, direction: Array) -> TabularArrays:
        return part.push_from_sigma(through_softmax(softmax(theta), direction))

    return ConfigurableMDP(
        build,
        dim=N_CELLS + 1,
        pullback=pullback,
        pushforward=pushforward,
        initial_scale=0.01,
        name="four-rooms",
    )


def two_goals(kernel: str = "simulator", temperature: float = 1e-3, penalty_weight: float = 1.0) -> ConfigurableMDP:
    """Two goals, each the context with probability ½: the leader's value is the mean over both.

    θ as in `four_rooms`.  Source: HPGD section 3, F.2 (penalty weights 1, 3, 5 in its Table 1).
    """
    kernel = one_of("kernel", kernel, ("simulator", "matrix", "as-published"))
    temperature, penalty_weight = real("temperature", temperature), real("penalty_weight", penalty_weight)
    parts = [_Goal(marked(mark), kernel, temperature, penalty_weight) for mark in "12"]
    weights = np.full(2, 0.5)

    def build(theta: Any) -> ContextualModel:
        sigma = softmax(theta)
        return ContextualModel([part.model(sigma) for part in parts], weights)

    def pullback(theta: Array, cotangent: ContextualArrays) -> Array:
        pulled = sum(part.pull_to_sigma(c) for part, c in zip(parts, cotangent.models, strict=True))
        return np.asarray(through_softmax(softmax(theta), np.asarray(pulled)))

    def pushforward(theta: Array, direction: Array) -> ContextualArrays:
        dsigma = through_softmax(softmax(theta), direction)
        return ContextualArrays(tuple(part.push_from_sigma(dsigma) for part in parts), np.zeros(2))

    return ConfigurableMDP(
        build,
        dim=N_CELLS + 1,
        pullback=pullback,
        pushforward=pushforward,
        initial_scale=0.01,
        name="four-rooms-two-goals",
    )
