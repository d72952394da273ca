"""Robot navigation: a goal that is moved in a maze, so that a robot trained towards it is paid more on its way."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.objectives import Regulariser
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import positive_integer, probability, real

_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left


def navigation(
    size: int = 4,
    horizon: int = 10,
    weight: float = 0.5,
    width: float = 2.0,
    slip: float = 0.1,
    discount: float = 0.9,
    temperature: float = 0.1,
) -> ConfigurableMDP:
    """θ = x (2,) is the goal the robot is trained towards, in cells 1 … N; J = E Σ_{t=0}^{H} r_x − ω ‖x − (N, N)‖².

    r_x(s) = exp(−‖cell(s) − x‖² / 2 `width`²): the robot plans for ever and is discounted, the designer counts the steps
    t = 0 … H = `horizon` alone (a `leader_horizon` of H + 1), undiscounted.  The robot starts at (1, 1) of a maze of `size` ×
    `size` cells with a wall along the second row, open at its far end; a move into it stays, and a share `slip` of moves goes
    in the other directions.  Source: SoBiRL K (efficient robot navigation), after Chakraborty et al. 2024 (the walk counts
    once, as in its problem; its ℓ would count it (H + 1)/H times).  No numbers are given, so ω = `weight`, the maze, the bump
    and the rest are chosen here.  Raises: InvalidOption, InvalidModel.
    """
    N, H = positive_integer("size", size, least=2), positive_integer("horizon", horizon)
    cells = [(i, j) for i in range(1, N + 1) for j in range(1, N + 1) if i != 2 or j == N]
    number = {cell: k for k, cell in enumerate(cells)}
    S, A, slips = len(cells), len(_MOVES), probability("slip", slip)
    move = np.zeros((S, A, S))
    for s, (i, j) in enumerate(cells):
        for b, (di, dj) in enumerate(_MOVES):
            for a in range(A):
                move[s, a, number.get((i + di, j + dj), s)] += 1.0 - slips if a == b else slips / (A - 1)
    places, destination = np.array(cells, float), np.array([N, N], float)
    spread, omega = 2.0 * real("width", width) ** 2, real("weight", weight)
    gamma, tau = real("discount", discount), real("temperature", temperature)

    def build(theta: Any) -> TabularModel:
        paid = anp.exp(-anp.sum((places - theta) ** 2, axis=1) / spread)[:, None] * np.ones(A)
        return TabularModel(
            move, np.eye(S)[number[1, 1]], paid, paid,
            follower_discount=gamma, leader_discount=1.0, temperature=tau, leader_horizon=H + 1,
        )  # fmt: skip

    moved = Regulariser(lambda theta: -omega * anp.sum((theta - destination) ** 2))
    return ConfigurableMDP(build, dim=2, regulariser=moved, name="navigation")
