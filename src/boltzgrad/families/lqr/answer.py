"""The follower's exact answer in a linear-quadratic problem."""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Answer
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.solvers.lqr import solve_lqr


def answer(problem: LinearQuadratic, theta: Array, context: int) -> Answer:
    """P, K and the covariance of u, and K_w where the follower sees the disturbance."""
    model = problem.model(theta)
    solved = solve_lqr(model)
    values = {"P": solved.P, "K": solved.K, "covariance": solved.covariance}
    if model.observed:
        values["K_w"] = solved.K_w
    bounds = {name: solved.residual * float(np.abs(x).max()) for name, x in values.items()}
    return Answer(values, bounds, 1.0 / max(1.0 - solved.radius**2, 1e-12))
