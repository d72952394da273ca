r"""Theorem 1 with closed-form Gaussian moments of two quadratic forms.

With z = (x, u), Q_F = −(z'Hz + …), ∇Q_F = −(z'Ḣz + …), Q_L = −(z'H_Lz + …) and u ~ N(−Kx, Σ) given x:

    Cov_u(z'Ḣz, z'H_Lz) = 2 tr(Ḣ_uu Σ H_L,uu Σ) + 4 x'G' Σ G_L x,   G = Ḣ_ux − Ḣ_uu K,  G_L = H_L,ux − H_L,uu K,

so the third term of (5) needs E[xx'] only.  The direct terms are those of ∇log ρ, ∇r_L and γ_L ∇log p V_L at fixed V_L.
A follower that observes w is one that does not, on the state (x, w): Prop 2 is Prop 1 on the augmented problem.
Source: BC-HG Theorem 1, (5), (24); `gaussian-covariance-of-quadratics` of the ledger.  For a quadratic leader.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.families.lqr.doubling import Powers, cost_matrix, gain, newton, scaled_solve
from boltzgrad.families.lqr.explicit import riccati_forcing
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.sweeps import value_rounding


def augmented(a: LQArrays, n: int, m: int) -> LQArrays:
    """The arrays (or their tangents) of the problem on (x, w); a tangent's constant blocks are zero, so they are left out."""
    zero, right, none = np.zeros((n, n)), np.zeros((n, m)), np.zeros(n)

    def wide(top: Array) -> Array:
        return np.block([[top, zero], [zero, zero]])

    return LQArrays(
        A=wide(a.A),
        B=np.vstack([a.B, right]),
        W=np.block([[zero, zero], [zero, a.W]]),
        Q=wide(a.Q),
        R=a.R,
        mean=np.concatenate([a.mean, none]),
        covariance=np.block([[a.covariance, zero], [zero, a.W]]),
        leader_Q=wide(a.leader_Q),
        leader_R=a.leader_R,
        leader_constant=a.leader_constant,
        shift=None if a.shift is None else np.hstack([a.shift, np.zeros((m, n))]),
    )


def unobserved(model: LQModel) -> LQModel:
    """The model on (x, w) whose follower does not observe the noise, or the model itself."""
    if not model.observed:
        return model
    n, m = model.n_states, model.n_inputs
    a = augmented(model.arrays(), n, m)
    A = np.array(a.A)
    A[:n, n:] = np.eye(n)
    return LQModel(
        **{**vars(a), "A": A}, follower_discount=model.follower_discount, leader_discount=model.leader_discount,
        temperature=model.temperature, horizon=model.horizon,
    )  # fmt: skip


def _moments(model: LQModel, F: Array, noise: Array) -> tuple[list[Array], list[Array], list[float]]:
    """E[x_t x_t'], the leader's cost matrices P_L,t+1 to go, and γ_L^t, one entry for each t; one entry in all for ever."""
    gamma = model.leader_discount
    start = model.covariance + np.outer(model.mean, model.mean)
    if model.horizon is None:
        total = Powers(F, gamma).forward(start + gamma / (1 - gamma) * noise)
        return [total], [np.zeros(0)], [1.0 / (1.0 - gamma)]
    out = [start]
    for _ in range(model.horizon - 1):
        out.append(F @ out[-1] @ F.T + noise)
    return out, [], [gamma**t for t in range(model.horizon)]


def gradient_of(model: LQModel, columns: list[LQArrays], P: Array) -> tuple[float, Array]:
    """(J, ∇J) of an unobserved quadratic problem whose follower's cost matrix is P; `columns` are the arrays' derivatives."""
    gamma_F, gamma_L, tau = model.follower_discount, model.leader_discount, model.temperature
    A, B, n = model.A, model.B, model.n_states
    K, F = gain(model, P)
    sigma = 0.5 * tau * scaled_solve(model.R + gamma_F * B.T @ P @ B, np.eye(model.n_inputs))
    noise = model.W + B @ sigma @ B.T
    shift = np.zeros_like(K) if model.shift is None else model.shift
    spent = K + shift  # the leader pays for u = −(K + C)x
    cost = model.leader_Q + spent.T @ model.leader_R @ spent
    second, _, weights = _moments(model, F, noise)
    if model.horizon is None:
        to_go = [Powers(F, gamma_L).backward(cost)]
        scales = [1.0]  # the second moment is already a discounted sum
    else:
        ahead = [np.zeros((n, n))]
        for _ in range(model.horizon - 1):
            ahead.append(cost + gamma_L * F.T @ ahead[-1] @ F)
        to_go, scales = ahead[::-1], weights
    first = to_go[0] if model.horizon is None else cost + gamma_L * F.T @ to_go[0] @ F
    J = sum(weights) * float(model.leader_constant) - float(
        np.trace(first @ (model.covariance + np.outer(model.mean, model.mean)))
    )
    out = np.zeros(len(columns))
    powers = Powers(F, gamma_F)
    slopes = [powers.backward(riccati_forcing(model, P, c)[1]) for c in columns]
    for S, P_L, weight, scale in zip(second, to_go, weights, scales, strict=True):
        S, S_noise = scale * S, weight  # Σ γ^t E[xx'] and Σ γ^t
        uu = model.leader_R + gamma_L * B.T @ P_L @ B
        G_L = gamma_L * B.T @ P_L @ A - uu @ K - model.leader_R @ shift
        J -= S_noise * float(np.trace(model.leader_R @ sigma) + gamma_L * np.trace(P_L @ noise))
        for j, (c, dP) in enumerate(zip(columns, slopes, strict=True)):
            # Ḣ: the total derivative of Q_F's quadratic form.
            ux = gamma_F * (c.B.T @ P @ A + B.T @ dP @ A + B.T @ P @ c.A)
            duu = c.R + gamma_F * (c.B.T @ P @ B + B.T @ dP @ B + B.T @ P @ c.B)
            G = ux - duu @ K
            covariance = 2 * S_noise * np.trace(duu @ sigma @ uu @ sigma) + 4 * np.trace(G.T @ sigma @ G_L @ S)
            reward = S_noise * c.leader_constant - np.trace((c.leader_Q + spent.T @ c.leader_R @ spent) @ S)
            if c.shift is not None:
                reward -= 2.0 * np.trace(c.shift.T @ model.leader_R @ spent @ S)
            reward -= S_noise * np.trace(c.leader_R @ sigma)
            # ∇ of E[V_L(x')] over x' ~ N(Ax + Bu, W) at fixed V_L and (x, u).
            moved = 2 * np.trace(P_L @ (F @ S @ c.A.T)) + 2 * np.trace(
                P_L @ ((S_noise * B @ sigma - F @ S @ K.T) @ c.B.T)
            )
            out[j] += reward - gamma_L * (moved + S_noise * np.trace(P_L @ c.W)) + covariance / tau
    for j, c in enumerate(columns):
        out[j] -= np.trace(first @ c.covariance) + 2 * model.mean @ first @ c.mean
    return float(J), out


def run(problem: LinearQuadratic, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,).  Raises: Unfinished."""
    at = problem.linearise(theta)
    columns = list(at.columns())
    if at.model.observed:
        columns = [augmented(c, at.model.n_states, at.model.n_inputs) for c in columns]
    model = unobserved(at.model)
    P, _, _ = cost_matrix(model)
    value, gradient = gradient_of(model, columns, P)
    # What the steps left: one Newton step further.
    again, further = gradient_of(model, columns, newton(model, P)[0])
    return RouteResult(
        value, gradient, np.abs(gradient - further), value_error=abs(value - again) + value_rounding(model, P)
    )


def skip(problem: LinearQuadratic, theta: Array) -> str:
    """Why Theorem 1 is not evaluated, or ""."""
    model = problem.model(theta)
    if model.bump is not None:
        return "closed-form moments are those of a quadratic leader"
    return "more than 60 states" if model.n_states > 60 else ""


COVARIANCE = Route("covariance", "Theorem 1 with Gaussian moments of two quadratics", run, skip)
