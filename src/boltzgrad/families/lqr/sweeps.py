"""J of a linear-quadratic problem by plain iterations in autograd.numpy: real, complex, or on autograd's tape.

Nothing here is shared with the reference: the Riccati equation by sweeps or by `doubling.cost_matrix`, the leader by forward
recursion or doubling, in the user's own units; a matrix to be solved with is first scaled to a diagonal of ones.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.errors import InvalidModel
from boltzgrad.families.lqr.doubling import cost_matrix, doublings, newton
from boltzgrad.families.lqr.model import LQArrays, LQModel

__all__ = ["backup", "cost_matrix", "solve", "value", "value_rounding"]

EPS = float(np.finfo(float).eps)
_SEED, _PROBES, _LARGEST = 20_260_104, 2, 8.0


def _unit(M: Any) -> Array:
    """1/√M_ii as plain numbers."""
    return np.asarray(1.0 / np.sqrt(np.diag(np.real(untraced(M)))))


def solve(M: Any, b: Any) -> Any:
    """M⁻¹b for a positive definite M and a matrix b."""
    d = _unit(M)
    return d[:, None] * anp.linalg.solve(M * (d[:, None] * d), d[:, None] * b)


def backup(model: LQModel, P: Any) -> Any:
    """One sweep P ← Q + γA'PA − γ²A'PB M⁻¹ B'PA."""
    gamma, A, B = model.follower_discount, model.A, model.B
    PA, PB = anp.dot(P, A), anp.dot(P, B)
    M = model.R + gamma * anp.dot(B.T, PB)
    out = model.Q + gamma * anp.dot(A.T, PA)
    out = out - gamma**2 * anp.dot(anp.dot(PB.T, A).T, solve(M, anp.dot(PB.T, A)))
    return 0.5 * (out + out.T)


def value(model: LQModel, P: Any) -> Any:
    """J for the follower's cost matrix P, traceable and valid under a complex step."""
    gamma, A, B, W = model.follower_discount, model.A, model.B, model.W
    M = model.R + gamma * anp.dot(B.T, anp.dot(P, B))
    K = gamma * solve(M, anp.dot(B.T, anp.dot(P, A)))
    sigma = 0.5 * model.temperature * solve(M, np.eye(model.n_inputs))
    F, action = A - anp.dot(B, K), sigma
    noise = W + anp.dot(B, anp.dot(sigma, B.T))
    if model.observed:
        K_w = gamma * solve(M, anp.dot(B.T, P))
        G = np.eye(model.n_states) - anp.dot(B, K_w)
        noise = anp.dot(G, anp.dot(W, G.T)) + anp.dot(B, anp.dot(sigma, B.T))
        action = sigma + anp.dot(K_w, anp.dot(W, K_w.T))
    spent = K if model.shift is None else K + model.shift
    cost = model.leader_Q + anp.dot(spent.T, anp.dot(model.leader_R, spent))
    step = model.leader_constant - anp.trace(anp.dot(model.leader_R, action))
    if model.horizon is None and model.bump is None:
        return _forever(model, F, noise, cost, step)
    return _stepwise(model, F, noise, cost, step)


def _forever(model: LQModel, F: Any, noise: Any, cost: Any, step: Any) -> Any:
    """Σ γ^t F^t C F'^t by doubling."""
    gamma = model.leader_discount
    start = model.covariance + anp.outer(model.mean, model.mean)
    Y, power = start + gamma / (1.0 - gamma) * noise, np.sqrt(gamma) * F
    radius = float(np.abs(np.linalg.eigvals(np.real(untraced(power)))).max())
    if radius >= 1.0:  # J is none at this θ, such as a step further on from one where it is
        raise InvalidModel(f"the leader's discounted value is infinite: √γ_L ρ(A − BK) = {radius:.9f}")
    for _ in range(doublings(radius, model.n_states)):
        Y, power = Y + anp.dot(power, anp.dot(Y, power.T)), anp.dot(power, power)
    return step / (1.0 - gamma) - anp.trace(anp.dot(cost, Y))


def _stepwise(model: LQModel, F: Any, noise: Any, cost: Any, step: Any) -> Any:
    """A finite horizon step by step; a bump for ever step by step beside the sum of the costs."""
    gamma, total, weight = model.leader_discount, 0.0, 1.0
    if model.horizon is None:
        total, cost, step = _forever(model, F, noise, cost, step), np.zeros_like(untraced(cost)), 0.0
    mean, covariance, t = model.mean, model.covariance, 0
    rests = 0  # the step from which on nothing moves any more
    while not _over(model, weight, t, mean, covariance) if model.horizon is None else t < model.horizon:
        reward = step - anp.trace(anp.dot(cost, covariance)) - anp.dot(mean, anp.dot(cost, mean))
        if model.bump is not None:
            # In widths of the bump: its precision has a diagonal of ones.
            width = _unit(model.bump.precision)
            unit = width[:, None] * width
            d, precision = (mean - model.bump.target) / width, model.bump.precision * unit
            spread = np.linalg.inv(precision) + covariance / unit
            size = anp.linalg.det(anp.dot(precision, spread)) ** -0.5
            off = anp.dot(d, solve(spread, anp.reshape(d, (-1, 1))))[0]
            reward = reward + model.bump.height * size * anp.exp(-0.5 * off)
        if model.horizon is None and rests and t >= 2 * rests:
            # Nor do derivatives, after as many steps again: every later reward is this one.
            return total + weight / (1.0 - gamma) * reward
        total = total + weight * reward
        before = covariance
        mean, covariance = anp.dot(F, mean), anp.dot(F, anp.dot(covariance, F.T)) + noise
        rests = rests or (t + 1 if model.horizon is None and _at_rest(model, mean, covariance, before) else 0)
        weight, t = weight * gamma, t + 1
    return total


def _at_rest(model: LQModel, mean: Any, covariance: Any, before: Any) -> bool:
    """Whether a step has moved the covariance by no more than rounding, and no mean is left beside the bump's width."""
    now, last, m = (np.real(untraced(x)) for x in (covariance, before, mean))
    scale = np.sqrt(np.abs(np.diag(now)))
    width = _unit(model.bump.precision) if model.bump is not None else np.ones(model.n_states)
    still = bool(np.all(np.abs(now - last) <= 4.0 * EPS * scale[:, None] * scale))
    return still and bool(np.all(np.abs(m) <= 1e-19 * (width + scale)))


def _over(model: LQModel, weight: float, t: int, mean: Any, covariance: Any) -> bool:
    """Whether what comes after t steps adds nothing more: γ^t, times how far the mean has gone in its own spread or widths.

    A bump's term is at most γ^t h, and its slope along the mean that over the wider of the two; a derivative has been carried
    for t steps.
    """
    if weight == 0.0:
        return True
    width = _unit(model.bump.precision) if model.bump is not None else np.ones(model.n_states)
    own = width**2 + np.abs(np.real(np.diag(untraced(covariance))))
    away = float(np.max(np.abs(np.real(untraced(mean))) / np.sqrt(own)))
    return weight * (1.0 + t) ** 2 * (1.0 + away) < 1e-19


def value_rounding(model: LQModel, P: Array) -> float:
    """About the most that J rounds off [J]: what random roundings of the matrices' entries do to it, times a safety factor."""
    rng, base = np.random.default_rng(_SEED), float(value(model, P))

    def rounded(x: Array) -> Array:
        sign = rng.choice((-1.0, 1.0), size=np.shape(x))
        sign = np.triu(sign) + np.triu(sign, 1).T if np.ndim(x) == 2 and np.shape(x)[0] == np.shape(x)[1] else sign
        return np.asarray(x * (1.0 + 2.0 * EPS * sign))

    moved = [abs(base) * EPS]
    for _ in range(_PROBES):
        nudged = model.rescaled(LQArrays(*map(rounded, model.arrays().parts())), model.bump, model.temperature)
        moved.append(abs(float(value(nudged, newton(nudged, newton(nudged, P)[0])[0])) - base))
    return _LARGEST * max(moved)
