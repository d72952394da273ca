"""J of a linear-quadratic problem by plain iterations in autograd.numpy: real, complex, or on autograd's tape.

Nothing here is shared with the reference: the Riccati equation by sweeps, the leader by forward recursion or doubling.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.errors import NotConverged
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import LQModel
from boltzgrad.problems.validation import untraced

EPS = float(np.finfo(float).eps)
MAX_SWEEPS = 100_000
_DOUBLINGS = 40


def backup(model: LQModel, P: Any) -> Any:
    """One sweep P ← Q + γA'PA − γ²A'PB M⁻¹ B'PA."""
    gamma, A, B = model.follower_discount, model.A, model.B
    PA, PB = anp.dot(P, A), anp.dot(P, B)
    M = model.R + gamma * anp.dot(B.T, PB)
    out = model.Q + gamma * anp.dot(A.T, PA)
    out = out - gamma**2 * anp.dot(anp.dot(PB.T, A).T, anp.linalg.solve(M, anp.dot(PB.T, A)))
    return 0.5 * (out + out.T)


def cost_matrix(model: LQModel, start: Array | None = None) -> tuple[Array, int, float]:
    """(P, sweeps, last relative change), real or complex, from P = Q or a given start.

    Raises: NotConverged if the sweeps run away.
    """
    P = np.array(model.Q if start is None else start, dtype=np.result_type(model.A, model.B, model.Q, model.R))
    best, since, change = np.inf, 0, np.inf
    for count in range(1, MAX_SWEEPS + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            new = backup(model, P)
        if not np.all(np.isfinite(new)):
            raise NotConverged(f"Riccati sweeps ran away after {count} sweeps: the follower's cost is infinite")
        change = _change(new, P)
        P = new
        best, since = (change, 0) if change < 0.9 * best else (best, since + 1)
        if change <= EPS or (since >= 30 and best < 1e-13) or since >= 1000:
            break
    return P, count, change


def _change(new: Array, old: Array) -> float:
    real = float(np.abs(new.real - old.real).max()) / max(float(np.abs(new.real).max()), 1e-300)
    if not np.iscomplexobj(new):
        return real
    moved, size = float(np.abs(new.imag - old.imag).max()), float(np.abs(new.imag).max())
    nothing = 8 * EPS * 1e-30 * float(np.abs(new.real).max())
    return max(real, 0.0 if moved <= nothing else moved / max(size, 1e-300))


def value(model: LQModel, P: Any) -> Any:
    """J for the follower's cost matrix P, traceable and valid under a complex step."""
    gamma, A, B, W = model.follower_discount, model.A, model.B, model.W
    M = model.R + gamma * anp.dot(B.T, anp.dot(P, B))
    K = gamma * anp.linalg.solve(M, anp.dot(B.T, anp.dot(P, A)))
    sigma = 0.5 * model.temperature * anp.linalg.inv(M)
    F, action = A - anp.dot(B, K), sigma
    noise = W + anp.dot(B, anp.dot(sigma, B.T))
    if model.observed:
        K_w = gamma * anp.linalg.solve(M, anp.dot(B.T, P))
        G = np.eye(model.n_states) - anp.dot(B, K_w)
        noise = anp.dot(G, anp.dot(W, G.T)) + anp.dot(B, anp.dot(sigma, B.T))
        action = sigma + anp.dot(K_w, anp.dot(W, K_w.T))
    cost = model.leader_Q + anp.dot(K.T, anp.dot(model.leader_R, K))
    step = model.leader_constant - anp.trace(anp.dot(model.leader_R, action))
    if model.horizon is None and model.bump is None:
        return _forever(model, F, noise, cost, step)
    return _stepwise(model, F, noise, cost, step)


def _forever(model: LQModel, F: Any, noise: Any, cost: Any, step: Any) -> Any:
    """Σ γ^t F^t C F'^t by doubling."""
    gamma = model.leader_discount
    start = model.covariance + anp.outer(model.mean, model.mean)
    Y, power = start + gamma / (1.0 - gamma) * noise, np.sqrt(gamma) * F
    for _ in range(_DOUBLINGS):
        if float(np.abs(np.real(untraced(power))).max()) < 1e-160:
            break
        Y, power = Y + anp.dot(power, anp.dot(Y, power.T)), anp.dot(power, power)
    return step / (1.0 - gamma) - anp.trace(anp.dot(cost, Y))


def _stepwise(model: LQModel, F: Any, noise: Any, cost: Any, step: Any) -> Any:
    gamma, total, weight = model.leader_discount, 0.0, 1.0
    mean, covariance, t = model.mean, model.covariance, 0
    while (t < model.horizon) if model.horizon is not None else (weight > 1e-18):
        reward = step - anp.trace(anp.dot(cost, covariance)) - anp.dot(mean, anp.dot(cost, mean))
        if model.bump is not None:
            d, spread = mean - model.bump.target, np.linalg.inv(model.bump.precision) + covariance
            size = anp.linalg.det(anp.dot(model.bump.precision, spread)) ** -0.5
            reward = reward + model.bump.height * size * anp.exp(-0.5 * anp.dot(d, anp.linalg.solve(spread, d)))
        total = total + weight * reward
        mean, covariance = anp.dot(F, mean), anp.dot(F, anp.dot(covariance, F.T)) + noise
        weight, t = weight * gamma, t + 1
    return total
