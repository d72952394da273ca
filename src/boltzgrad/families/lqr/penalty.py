r"""The penalty route: the follower's envelope theorem alone, differentiated once more along the leader's costs.

With one discount γ, J is the slope of the follower's optimal value V* when its costs become Q + εQ_L, R + εR_L.  No gain moves
V* to first order, so with Y = Σ γ^t E zz', z = (x, u), under the policy that is optimal at ε,

    ∂V*/∂Q = −Y_xx,  ∂V*/∂R = −Y_uu,  ∂V*/∂A = −2γP E Σγ^t x'x,  ∂V*/∂B = −2γP E Σγ^t x'u,  ∂V*/∂m₀ = −2Pm₀,  ∂V*/∂S₀ = −P,

and ∇J is their derivative in ε: a complex step.  No adjoint, no derivative of a gain.  Source: PBRL (Shen, Yang, Chen 2024), in
the limit of an infinite weight; BC-HG Props 1, 2 for the Gaussian policy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.core.sweep import COMPLEX_STEP
from boltzgrad.families.lqr.doubling import Powers, cost_matrix, gain, scaled_solve
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic

EPS = float(np.finfo(float).eps)


def _envelope(model: LQModel, a: LQArrays, P: Array) -> dict[str, Array]:
    """∂V*/∂(array) of a follower whose cost matrix is P; real or complex."""
    gamma, n, k = model.follower_discount, model.n_states, model.n_inputs
    M, F = a.R + gamma * a.B.T @ P @ a.B, gain(_Follower(a, gamma), P)[1]
    K = scaled_solve(M, gamma * a.B.T @ P @ a.A)
    K_w = scaled_solve(M, gamma * a.B.T @ P) if model.observed else np.zeros((k, n))
    spread = 0.5 * model.temperature * scaled_solve(M, np.eye(k))
    seen, forever = np.eye(n) - a.B @ K_w, 1.0 / (1.0 - gamma)
    noise, action = seen @ a.W @ seen.T + a.B @ spread @ a.B.T, spread + K_w @ a.W @ K_w.T
    X = Powers(F, gamma).forward(a.covariance + np.multiply.outer(a.mean, a.mean) + gamma * forever * noise)
    in_u = forever * (a.B @ action - a.W @ K_w.T)  # E Σ γ^t (Bu + w)(u + Kx)'
    return {
        "A": -2.0 * gamma * P @ F @ X,
        "B": -2.0 * gamma * P @ (in_u - F @ X @ K.T),
        "W": -forever * (K_w.T @ a.R @ K_w + gamma * seen.T @ P @ seen),
        "Q": -X,
        "R": -(K @ X @ K.T + forever * action),
        "mean": -2.0 * P @ a.mean,
        "covariance": -P,
    }


class _Follower:
    """What `doubling.gain` reads of a model."""

    def __init__(self, a: LQArrays, gamma: float) -> None:
        self.A, self.B, self.R, self.follower_discount = a.A, a.B, a.R, gamma


def run(problem: LinearQuadratic, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,).  Raises: Unfinished."""
    at = problem.linearise(theta)
    model: LQModel = at.model
    a = model.arrays()
    P, _, _ = cost_matrix(model)
    # The leader's costs in the unit of the follower's, so that the step is small beside both.
    most = max(float(np.abs(x).max()) for x in (a.leader_Q, a.leader_R))
    least = min(float(np.abs(x).max()) or np.inf for x in (a.Q, a.R))
    step = COMPLEX_STEP * least / most if most else COMPLEX_STEP
    tilted = replace(a, Q=a.Q + 1j * step * a.leader_Q, R=a.R + 1j * step * a.leader_R)
    moved, _, change = cost_matrix(model.rescaled(tilted, None, model.temperature), P)
    slopes = {name: x.imag / step for name, x in _envelope(model, tilted, moved).items()}
    here, forever = _envelope(model, a, P), 1.0 / (1.0 - model.leader_discount)
    found = LQArrays(**slopes, leader_Q=here["Q"], leader_R=here["R"], leader_constant=np.asarray(forever))
    gradient = at.pullback(found)
    value = float(forever * a.leader_constant + (here["Q"] * a.leader_Q).sum() + (here["R"] * a.leader_R).sum())
    return RouteResult(value, gradient, max(change, 4.0 * EPS) * np.abs(gradient))


def _skip(problem: LinearQuadratic, theta: Array) -> str:
    model: Any = problem.model(theta)
    if model.leader_discount != model.follower_discount:
        return "both players must have one discount: J is then a slope of the follower's own value"
    if model.bump is not None or model.horizon is not None or model.shift is not None:
        return "the leader's wish must be a cost of x and u for ever, without a bump, a horizon or a cross term"
    return ""


PENALTY = Route("penalty", "the follower's envelope theorem, along the leader's costs (PBRL with λ → ∞)", run, _skip)
