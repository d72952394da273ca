"""Building thermal control: insulation and airflow of four zones, two heating units.

Source: BC-HG 5.2, C.4, C.5 (constants from the published configuration).
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.zoo.options import positive_integer

INPUT = np.array([[0.1, 0.0], [0.6, 0.0], [0.0, 0.55], [0.0, 0.3]])


_WARMED = np.array([0.04, 0.03, 0.06, 0.05])  # what a zone's own process adds, less what its insulation α takes of it
# Airflow β between two zones: (zone, zone, rate into the first, rate into the second).
_EDGES = ((0, 1, 0.05, 0.03), (1, 2, 0.04, 0.04), (2, 3, 0.06, 0.03), (3, 0, 0.05, 0.05))


def _exchange() -> Any:
    """How each edge moves heat at level 1, (4, 4, 4)."""
    out = np.zeros((4, 4, 4))
    for edge, (i, j, into_i, into_j) in enumerate(_EDGES):
        out[edge, i, [i, j]] = -into_i, into_i
        out[edge, j, [j, i]] = -into_j, into_j
    return out


_OPEN = np.eye(4) + np.diag(_WARMED)
_MOVED = np.concatenate([[-w * np.outer(e, e) for w, e in zip(_WARMED, np.eye(4), strict=True)], _exchange()])


def transition(alpha: Any, beta: Any) -> Any:
    """A(θ) from the levels α₁..₄ and β₁..₄ (edges 12, 23, 34, 41), which it is affine in."""
    return _OPEN + anp.tensordot(anp.concatenate((alpha, beta)), _MOVED, 1)


def thermal_control(horizon: int | None = None) -> LinearQuadratic:
    """θ (8,): levels = logistic(θ), α then β.  The leader wants equal temperatures, little input, low levels.

    r_L = −(population variance of x) − ½‖u‖² − 0.1 Σα² − 0.1 Σβ² at every step; discounts 0.9, temperature 0.1.
    """
    if horizon is not None:
        horizon = positive_integer("horizon", horizon)
    variance = (np.eye(4) - 0.25) / 4.0

    def build(theta: Any) -> LQModel:
        level = 1.0 / (1.0 + anp.exp(-theta))
        return LQModel(
            transition(level[:4], level[4:]),
            INPUT,
            0.02**2 * np.eye(4),
            np.diag([8.0, 1.0, 5.0, 6.0]),
            0.01 * np.eye(2),
            np.zeros(4),
            25.0 * np.eye(4),
            leader_Q=variance,
            leader_R=0.5 * np.eye(2),
            leader_constant=-0.1 * anp.sum(level**2),
            follower_discount=0.9,
            leader_discount=0.9,
            temperature=0.1,
            horizon=horizon,
        )

    return LinearQuadratic(build, dim=8, name="thermal-control")
