r"""The penalty route over finitely many steps: see `families/lqr/penalty.py`.

Time tells the steps apart, so discounts may be unlike: the follower's costs become Q_t + ε(γ_L/γ_F)^t Q_{L,t} and so on, and J
is the slope of its optimal value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.core.sweep import COMPLEX_STEP
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr_steps.model import STEPWISE, FiniteHorizonLQModel, LQStepsArrays
from boltzgrad.families.lqr_steps.value import solve, value_rounding

EPS = float(np.finfo(float).eps)
_LEAST = 1e-100


def _envelope(m: FiniteHorizonLQModel, step: float) -> dict[str, list[Any]]:
    """∂V*/∂(array) at every step, with the follower's costs moved by i `step` times the leader's."""
    H, n, gamma = m.horizon, m.n_states, m.follower_discount
    ratio = (m.leader_discount / gamma if gamma else 1.0) ** np.arange(H + 1.0)
    A, B, W, Q, R, Q_L, R_L = (m.each(name) for name in ("A", "B", "W", "Q", "R", "leader_Q", "leader_R"))
    P = [m.terminal_Q + 1j * step * ratio[H] * m.leader_terminal_Q]
    plans: list[tuple[Array, Array, Array, Array]] = []
    for t in range(H - 1, -1, -1):
        cost, paid = Q[t] + 1j * step * ratio[t] * Q_L[t], R[t] + 1j * step * ratio[t] * R_L[t]
        M = paid + gamma * B[t].T @ P[0] @ B[t]
        K, K_w = gamma * solve(M, B[t].T @ P[0] @ A[t]), gamma * solve(M, B[t].T @ P[0])
        plans.insert(0, (K, K_w if m.observed else 0.0 * K_w, 0.5 * m.temperature * solve(M, np.eye(m.n_inputs)), paid))
        F = A[t] - B[t] @ K
        P.insert(0, cost + K.T @ paid @ K + gamma * F.T @ P[0] @ F)
    X = m.covariance + np.multiply.outer(m.mean, m.mean)
    out: dict[str, list[Any]] = {name: [] for name in ("A", "B", "W", "Q", "R")}
    for t, (K, K_w, spread, paid) in enumerate(plans):
        F, seen, weight = A[t] - B[t] @ K, np.eye(n) - B[t] @ K_w, gamma**t
        action, ahead = spread + K_w @ W[t] @ K_w.T, -2.0 * weight * gamma * P[t + 1]
        out["A"].append(ahead @ F @ X)
        out["B"].append(ahead @ (B[t] @ action - W[t] @ K_w.T - F @ X @ K.T))
        out["W"].append(-weight * (K_w.T @ paid @ K_w + gamma * seen.T @ P[t + 1] @ seen))
        out["Q"].append(-weight * X)
        out["R"].append(-weight * (K @ X @ K.T + action))
        X = F @ X @ F.T + seen @ W[t] @ seen.T + B[t] @ spread @ B[t].T
    out["terminal_Q"], out["mean"], out["covariance"] = [-(gamma**H) * X], [-2.0 * P[0] @ m.mean], [-P[0]]
    return out


def run(problem: LinearQuadratic, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,)."""
    at = problem.linearise(theta)
    m: Any = at.model
    pairs = (("Q", "leader_Q"), ("R", "leader_R"), ("terminal_Q", "leader_terminal_Q"))
    most = max(float(np.abs(getattr(m, y)).max(initial=0.0)) for _, y in pairs)
    least = min(float(np.abs(getattr(m, x)).max(initial=0.0)) or np.inf for x, _ in pairs)
    step = COMPLEX_STEP * least / most if most else COMPLEX_STEP
    here, moved = _envelope(m, 0.0), _envelope(m, step)
    weights = [m.leader_discount**t for t in range(m.horizon + 1)]
    steps = {name: [x.imag / step for x in found] for name, found in moved.items()}
    unit = [w / m.follower_discount**t if m.follower_discount else float(t == 0) for t, w in enumerate(weights)]
    steps["leader_Q"] = [u * x.real for u, x in zip(unit, here["Q"], strict=False)]
    steps["leader_R"] = [u * x.real for u, x in zip(unit, here["R"], strict=False)]
    steps["leader_terminal_Q"] = [unit[-1] * here["terminal_Q"][0].real]
    steps["leader_constant"] = [np.asarray(w) for w in weights[:-1]]
    arrays = {name: _gathered(m, name, found) for name, found in steps.items()}
    costs = ("leader_Q", "leader_R", "leader_terminal_Q", "leader_constant")
    value = sum(float((arrays[name] * getattr(m, name)).sum()) for name in costs)
    cotangent: Any = LQStepsArrays(**arrays)
    gradient = at.pullback(cotangent)
    return RouteResult(value, gradient, 4.0 * EPS * np.abs(gradient), value_error=value_rounding(m))


def _gathered(m: FiniteHorizonLQModel, name: str, steps: list[Array]) -> Array:
    if name not in STEPWISE:
        return np.asarray(steps[0])
    return np.stack(steps) if m.stepwise(name) else np.asarray(np.sum(steps, axis=0))


def _skip(problem: LinearQuadratic, theta: Array) -> str:
    m: Any = problem.model(theta)
    if m.follower_discount == 0.0 != m.leader_discount:
        return "a follower without a future has no value in which the leader's later costs are a slope"
    if 0.0 < m.follower_discount**m.horizon < _LEAST or (m.follower_discount and m.follower_discount**m.horizon == 0.0):
        return f"the follower counts its last step γ_F^H = {m.follower_discount**m.horizon:.0e} times: too little to divide by"
    return ""


PENALTY = Route("penalty", "the follower's envelope theorem, along the leader's costs (PBRL with λ → ∞)", run, _skip)
