r"""A proved bound on the error of the LQR cotangents: the adjoint formula itself, run on balls.

0. Everything in natural units (`natural_units.py`), powers of two, so that a Frobenius norm adds up like with like.
1. Every array of the model becomes a ball of radius ε‖X‖ (`problem.entry_error`).
2. **P.**  For the computed P̂ and K̂, Ric(P̂) = min_K L_K(P̂) lies within ‖M‖ r_K² of L_K̂(P̂) = Q + K̂'RK̂ + γF'P̂F, where r_K
   is how far K̂ may be from the minimiser; so ‖E‖ = ‖Ric(P̂) − P̂‖ is bounded over all models.  By the path argument of
   `solvers/lqr.py`, ‖P* − P̂‖ ≤ √n ‖E‖ ‖𝓛⁻¹‖ =: r as soon as that holds with 𝓛 over all F of the ball of radius r.
3. `cotangents` on these balls encloses the exact cotangents, its Lyapunov equations by residual and `stretch`.
   All of this in coordinates Tx in which the closed loop contracts in norm: there radii do not outgrow the errors.
4. |ĝ_j − g_j| ≤ Σ ‖∂X/∂θ_j‖ (radius + ‖mid − ĉ‖) + (2ε + n u) Σ |∂X/∂θ_j||ĉ|, one push-forward a coordinate, plus what
   the pull-back lost against the push-forward's own sum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.adjoint import cotangents, loop
from boltzgrad.families.lqr.model import Bump, LQArrays, LQModel
from boltzgrad.families.lqr.problem import LinearisedLQ
from boltzgrad.solvers.balls import EPS, Ball, as_ball, inverse, lyapunov, norm, stretch
from boltzgrad.solvers.lqr import LQSolution, gain

_WIDENINGS = 12


def ball_of_P(model: LQModel, a: LQArrays, P: Array) -> Ball:
    """The ball around the computed P that holds the exact one for every model in the arrays' balls; radius inf if none."""
    gamma, n = model.follower_discount, model.n_states
    P = (P + P.T) / 2
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


def coordinate_bounds(
    linearised: LinearisedLQ, solution: LQSolution, computed: LQArrays, gradient: Array, eps: float
) -> Array:
    """The bound (d,) on each entry of the reference hypergradient; infinite where vacuous."""
    units = solution.units
    model, given = units.model(linearised.model), computed
    computed = LQArrays(*(c / (s * units.reward) for c, s in zip(given.parts(), units.factors_of(given), strict=True)))
    with np.errstate(all="ignore"):
        balls = LQArrays(*(Ball(x, eps * norm(np.asarray(x))) for x in model.arrays().parts()))
        T = coordinates(model, solution.P * units.of_P)
        T_inv = as_ball(inverse(Ball(T)))
        moved_model, moved = _moved(model, balls, T, T_inv)
        P = T_inv.T @ Ball(solution.P * units.of_P) @ T_inv
        enclosing = ball_of_P(moved_model, moved, P.mid)
        if not np.isfinite(enclosing.radius):
            return np.full(linearised.dim, np.inf)
        _, enclosed = cotangents(moved_model, moved, enclosing)
        enclosed = _moved_back(enclosed, T, T_inv)
        errors = [_error(e, c) for e, c in zip(enclosed.parts(), computed.parts(), strict=True)]
        out: list[float] = []
        for column in map(units.arrays, linearised.columns()):
            total = 0.0
            for slope, c, error in zip(column.parts(), computed.parts(), errors, strict=True):
                if np.any(slope):
                    total += (1 + eps) * norm(slope) * error
                    total += (2 * eps + (slope.size + 4) * EPS) * float((np.abs(slope) * np.abs(c)).sum())
            pushed = sum(float((s * c).sum()) for s, c in zip(column.parts(), computed.parts(), strict=True))
            out.append(units.reward * (total + abs(float(gradient[len(out)]) / units.reward - pushed)))
    return np.where(np.isnan(out), np.inf, out)


def coordinates(model: LQModel, P: Array) -> Array:
    """T (n, n): in the coordinates Tx the closed loop contracts in norm, so that radii do not grow where errors do not.

    T'T = X with X = C + g F'XF, what the follower pays for x from now on when a step's cost is C = Q + K'RK, g as near to one
    as the closed loop allows.  A thousandth of diag(P) keeps C definite.
    """
    _, K = gain(model, P)
    closed, own = model.A - model.B @ K, np.diag(P)
    rho = float(np.abs(np.linalg.eigvals(closed)).max())
    g = 1.0 if rho < 0.999 else max(model.follower_discount, model.leader_discount)
    cost = model.Q + K.T @ model.R @ K + 1e-3 * np.diag(np.where(own > 0.0, own, 1.0))
    X = lyapunov(closed.T, cost, g)
    try:
        return np.linalg.cholesky((X + X.T) / 2).T
    except np.linalg.LinAlgError:
        return np.eye(model.n_states)


def _moved(model: LQModel, a: LQArrays, T: Array, T_inv: Ball) -> tuple[LQModel, LQArrays]:
    """The model and its balls in the coordinates Tx."""
    moved = LQArrays(
        A=T @ a.A @ T_inv,
        B=T @ a.B,
        W=T @ a.W @ T.T,
        Q=T_inv.T @ a.Q @ T_inv,
        R=a.R,
        mean=T @ a.mean,
        covariance=T @ a.covariance @ T.T,
        leader_Q=T_inv.T @ a.leader_Q @ T_inv,
        leader_R=a.leader_R,
        leader_constant=a.leader_constant,
        shift=None if a.shift is None else a.shift @ T_inv,
    )
    bump = model.bump
    if bump is not None:
        precision = (T_inv.T @ bump.precision @ T_inv).mid
        bump = Bump(T @ bump.target, (precision + precision.T) / 2, bump.height)
    return replace(model, bump=bump), moved


def _moved_back(c: LQArrays, T: Array, T_inv: Ball) -> LQArrays:
    """Cotangents in the coordinates Tx, pulled back to those in x."""
    return LQArrays(
        A=T.T @ c.A @ T_inv.T,
        B=T.T @ c.B,
        W=T.T @ c.W @ T,
        Q=T_inv @ c.Q @ T_inv.T,
        R=c.R,
        mean=T.T @ c.mean,
        covariance=T.T @ c.covariance @ T,
        leader_Q=T_inv @ c.leader_Q @ T_inv.T,
        leader_R=c.leader_R,
        leader_constant=c.leader_constant,
        shift=None if c.shift is None else c.shift @ T_inv.T,
    )


def _error(enclosed: Any, computed: Any) -> float:
    ball = as_ball(enclosed)
    return ball.radius + norm(ball.mid - np.asarray(computed))
