"""The bi-level LQR Markov game: a leader steers the follower's state into a Gaussian bump.  Source: BC-HG 5.4, C.6."""

from __future__ import annotations

import numpy as np

from boltzgrad.families.lqr.model import Bump
from boltzgrad.families.lqr.problem import LinearQuadraticGame
from boltzgrad.zoo.options import positive_integer


def lqr_game(horizon: int = 100) -> LinearQuadraticGame:
    """θ = K (1, 2): the leader plays a ~ N(Kx, 0.001²); r_L is a bump of widths (0.2, 0.01) at (−0.8, 0)."""
    return LinearQuadraticGame(
        [[0.0, 1.0], [0.0, 0.0]],
        [[0.0], [0.1]],
        [[0.1], [0.0]],
        np.eye(2),
        np.eye(1),
        [1.0, 0.0],
        np.zeros((2, 2)),
        spread=0.001,
        bump=Bump(np.array([-0.8, 0.0]), np.diag([1 / 0.2**2, 1 / 0.01**2])),
        follower_discount=0.95,
        leader_discount=0.99,
        temperature=0.1,
        horizon=positive_integer("horizon", horizon),
        name="lqr-game",
    )
