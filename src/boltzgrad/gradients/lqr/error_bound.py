r"""A proved bound on the error of the LQR cotangents: the adjoint formula itself, run on balls.

1. Every array of the model becomes a ball of radius ε‖X‖ (`problem.entry_error`).
2. **P.**  For the computed P̂ and K̂, Ric(P̂) = min_K L_K(P̂) lies within ‖M‖ r_K² of L_K̂(P̂) = Q + K̂'RK̂ + γF'P̂F, where r_K
   is how far K̂ may be from the minimiser; so ‖E‖ = ‖Ric(P̂) − P̂‖ is bounded over all models.  By the path argument of
   `solvers/lqr.py`, ‖P* − P̂‖ ≤ √n ‖E‖ ‖𝓛⁻¹‖ =: r as soon as that holds with 𝓛 over all F of the ball of radius r.
3. `cotangents` on these balls encloses the exact cotangents, its Lyapunov equations by residual and `stretch`.
4. |ĝ_j − g_j| ≤ Σ ‖∂X/∂θ_j‖ (radius + ‖mid − ĉ‖) + (2ε + n u) Σ |∂X/∂θ_j||ĉ|: one push-forward a coordinate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.gradients.lqr.adjoint import cotangents, loop
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import LinearisedLQ, LQArrays, LQModel
from boltzgrad.solvers.balls import EPS, Ball, as_ball, norm, stretch
from boltzgrad.solvers.lqr import LQSolution

_WIDENINGS = 12


def ball_of_P(model: LQModel, a: LQArrays, solution: LQSolution) -> Ball:
    """The ball around the computed P that holds the exact one for every model in the arrays' balls; radius inf if none."""
    gamma, P, n = model.follower_discount, solution.P, model.n_states
    exact = loop(model, a, Ball(P))
    K = as_ball(exact.K).mid
    F = a.A - a.B @ K
    best = a.Q + Ball(K).T @ a.R @ K + gamma * (F.T @ P @ F)
    M = (a.R + gamma * (a.B.T @ P @ a.B)).size
    residual = (best - P).size + M * as_ball(exact.K).radius ** 2
    radius = 2.0 * residual
    for _ in range(_WIDENINGS):
        closed = loop(model, a, Ball(P, radius)).F
        needed = float(np.sqrt(n)) * residual * stretch(as_ball(closed).T, gamma)
        if needed <= radius:
            return Ball(P, needed)
        radius = 2.0 * needed if np.isfinite(needed) else np.inf
        if not np.isfinite(radius):
            break
    return Ball(P, np.inf)


def coordinate_bounds(linearised: LinearisedLQ, solution: LQSolution, computed: LQArrays, eps: float) -> Array:
    """The bound (d,) on each entry of the reference hypergradient; infinite where vacuous."""
    model = linearised.model
    with np.errstate(all="ignore"):
        balls = LQArrays(*(Ball(x, eps * norm(np.asarray(x))) for x in model.arrays().parts()))
        P = ball_of_P(model, balls, solution)
        if not np.isfinite(P.radius):
            return np.full(linearised.dim, np.inf)
        _, enclosed = cotangents(model, balls, P)
        errors = [_error(e, c) for e, c in zip(enclosed.parts(), computed.parts(), strict=True)]
        out = []
        for column in linearised.columns():
            total = 0.0
            for slope, c, error in zip(column.parts(), computed.parts(), errors, strict=True):
                if np.any(slope):
                    total += (1 + eps) * norm(slope) * error
                    total += (2 * eps + (slope.size + 4) * EPS) * float((np.abs(slope) * np.abs(c)).sum())
            out.append(total)
    return np.where(np.isnan(out), np.inf, out)


def _error(enclosed: Any, computed: Any) -> float:
    ball = as_ball(enclosed)
    return ball.radius + norm(ball.mid - np.asarray(computed))
