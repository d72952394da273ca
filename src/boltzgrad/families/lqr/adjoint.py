r"""The reference for linear-quadratic problems: cotangents of J in the model's matrices.

Forward: M, K, K_w, Σ from P;  F = A − BK;  x' = Fx + noise with covariance N = W + BΣB' (N = GWG' + BΣB', G = I − BK_w,
where w is observed), u = −Kx − K_w w + ε with covariance Σ_u = Σ + K_wWK_w' given x.

Leader, quadratic and infinite: Y = Σ γ_L^t E[xx'] = M₀ + γ_L F Y F' + γ_L/(1 − γ_L) N,
    J = c/(1 − γ_L) − tr(Q_L Y) − tr(R_L (K Y K' + Σ_u/(1 − γ_L))),
with adjoint P_L = Q_L + K'R_LK + γ_L F'P_LF.  Finite horizon: mean and covariance of x_t by forward recursion, their
cotangents by backward recursion.  A bump for ever: the quadratic part as above, so that a state that grows costs no digits,
and the bump's own sum, step by step until the state has settled, ρ(F)^T < 10⁻¹⁸, and from there as the stationary state's
(`_settled`), or, where it grows, until nothing more can come (`_cut`); with
E exp(−½(x − x̄)'Λ(x − x̄)) = |I + ΛS|^{−½} exp(−½(m − x̄)'(Λ⁻¹ + S)⁻¹(m − x̄)).

Backward to P: K = γM⁻¹B'PA, Σ = (τ/2)M⁻¹, M = R + γB'PB by the product rule; and through the Riccati equation by one
adjoint Lyapunov equation Z = γ_F F Z F' + sym(P̄), which adds Z to Q̄, KZK' to R̄, 2γ_F P F Z to Ā, −2γ_F P F Z K' to B̄.

`cotangents` is written with @, +, .T, `inverse`, `trace`, `lyapunov` only, so that it also runs on balls.
Source: BC-HG Props 1, 2, (59)–(98); derivations `lqr-leader-value`, `riccati-derivative`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.model import Bump, LQArrays, LQModel
from boltzgrad.solvers.balls import Ball, as_ball, inverse, lyapunov, stretch, trace

# An infinite sum of bumps is left to its tail where its terms, or its moments, are below this part of the first.
_CUT = 1e-18


@dataclass(frozen=True, eq=False)
class Loop:
    """Everything between P and the leader: arrays, or balls of them."""

    M_inv: Any
    K: Any
    spent: Any  # the gain of u = −(K + C)x, which the leader pays for
    K_w: Any
    sigma: Any
    F: Any
    G: Any
    noise: Any
    action: Any


def loop(model: Any, a: Any, P: Any, nudge: Any = None) -> Loop:
    """The closed loop for the follower's cost matrix P; `nudge(K)` adds what rounding does to a gain.

    Where control is cheap, F = A − BK is what two large matrices leave.
    """
    gamma = model.follower_discount
    M_inv = inverse(a.R + gamma * (a.B.T @ P @ a.B))
    K = gamma * (M_inv @ a.B.T @ P @ a.A)
    K = K if nudge is None else nudge(K)
    sigma = (0.5 * model.temperature) * M_inv
    F = a.A - a.B @ K
    eye = np.eye(model.n_states)
    if model.observed:
        K_w = gamma * (M_inv @ a.B.T @ P)
        G = eye - a.B @ K_w
        noise = G @ a.W @ G.T + a.B @ sigma @ a.B.T
        action = sigma + K_w @ a.W @ K_w.T
    else:
        K_w, G = None, eye
        noise, action = a.W + a.B @ sigma @ a.B.T, sigma
    spent = K if a.shift is None else K + a.shift
    return Loop(M_inv, K, spent, K_w, sigma, F, G, noise, action)


@dataclass(frozen=True, eq=False)
class LeaderAdjoint:
    """J and its cotangents in the loop: F, noise, K, action covariance, x₀'s mean and covariance, the leader's costs."""

    value: Any
    F: Any
    noise: Any
    K: Any
    action: Any
    mean: Any
    covariance: Any
    leader_Q: Any
    leader_R: Any
    constant: float


def symmetric(x: Any) -> Any:
    """(X + X')/2."""
    return 0.5 * (x + x.T)


def steps_of(model: LQModel, closed: Any) -> tuple[int, bool]:
    """(how many terms of the leader's sum are added one by one, whether the state has settled for the others).

    A term of a bump's sum is at most h γ^t, its derivatives in F at most about h γ^{t/2} however the state grows (`_cut`).
    """
    if model.horizon is not None:
        return model.horizon, False
    F = closed.mid if isinstance(closed, Ball) else closed
    rho, gamma = float(np.abs(np.linalg.eigvals(F)).max()), model.leader_discount
    enough = _powers(gamma)
    return (min(_powers(rho), enough), True) if rho < 1.0 else (2 * enough, False)


def _powers(rate: float) -> int:
    return int(np.ceil(np.log(_CUT) / np.log(rate))) if rate > _CUT else 1


def infinite_leader(model: LQModel, a: LQArrays, at: Loop) -> LeaderAdjoint:
    """The quadratic leader over an infinite horizon, by two Lyapunov equations."""
    gamma = model.leader_discount
    total, ahead = 1.0 / (1.0 - gamma), gamma / (1.0 - gamma)
    start = a.covariance + _outer(a.mean, a.mean)
    Y = lyapunov(at.F, start + ahead * at.noise, gamma)
    P_L = lyapunov(at.F.T, a.leader_Q + at.spent.T @ a.leader_R @ at.spent, gamma)
    spent = at.spent @ Y @ at.spent.T + total * at.action
    value = total * a.leader_constant - trace(a.leader_Q @ Y) - trace(a.leader_R @ spent)
    return LeaderAdjoint(
        value=value,
        F=-2.0 * gamma * (P_L @ at.F @ Y),
        noise=-ahead * P_L,
        K=-2.0 * (a.leader_R @ at.spent @ Y),
        action=-total * a.leader_R,
        mean=-2.0 * (P_L @ a.mean),
        covariance=-1.0 * P_L,
        leader_Q=-1.0 * Y,
        leader_R=-1.0 * spent,
        constant=total,
    )


def finite_leader(model: LQModel, a: LQArrays, at: Loop) -> LeaderAdjoint:
    """Any leader over finitely many steps: forward moments of x_t, backward cotangents.  One with a bump for ever, too."""
    steps, settled = steps_of(model, at.F)
    if model.horizon is not None:
        return _stepwise(model, a, at, steps)
    alone = _stepwise(model, _without_costs(a), at, steps, settled=settled)
    if not settled and isinstance(at.F, Ball):
        alone = _cut(model, a, at, steps, alone)
    return _sum(infinite_leader(model, a, at), alone)


def _without_costs(a: LQArrays) -> LQArrays:
    """The arrays of a leader whom only the bump concerns."""
    none = np.zeros(np.shape(as_ball(a.leader_Q).mid)), np.zeros(np.shape(as_ball(a.leader_R).mid))
    return replace(a, leader_Q=none[0], leader_R=none[1], leader_constant=np.zeros(()))


def _sum(costs: LeaderAdjoint, bump: LeaderAdjoint) -> LeaderAdjoint:
    """J and its cotangents of two leaders' rewards together; those in the costs themselves are the first one's."""
    own = ("action", "leader_Q", "leader_R", "constant")
    return LeaderAdjoint(**{f: x if f in own else x + getattr(bump, f) for f, x in vars(costs).items()})


@dataclass(frozen=True, eq=False)
class _Tail:
    """What follows step T: its value, and its cotangents in the moments of step T, in F, and in the noise."""

    value: Any
    mean: Any
    covariance: Any
    F: Any
    noise: Any


def _settled(model: LQModel, at: Loop, T: int, mean: Any, covariance: Any) -> _Tail:
    """The bump from step T on, where the state has settled: m_t = 0, S_t = S = F S F' + N, up to what balls say of the rest.

    With h, its slope and its curve C there, every term is γ^t h, and the cotangents are γ^t (I − γF')⁻¹ slope and γ^t X,
    X = C + γ F'XF.  On balls: F^k F'^k ≤ Σ F^k F'^k, so ‖F^k‖² ≤ κ = ‖Σ F^k F'^k‖: the moments of all later steps are within
    √κ|m_T| and κ‖S_T − S‖ of the settled ones, no two v_k in Σ γ^k F'^k v_k need be equal, and Σ γ^k‖F^k‖ ≤ √(n κ_γ/(1 − γ)).
    """
    gamma, n = model.leader_discount, model.n_states
    start, ahead = gamma**T / (1.0 - gamma), gamma ** (T + 1) / (1.0 - gamma)
    rest = lyapunov(at.F, at.noise, 1.0)
    assert model.bump is not None
    if not isinstance(at.F, Ball):
        bumps = _bumps(model.bump, [np.zeros(n)], [rest])
        assert bumps is not None
        height, slope, curve = bumps[0]
        m: Any = gamma**T * np.linalg.solve(np.eye(n) - gamma * at.F.T, slope)
        X = lyapunov(at.F.T, curve, gamma)
        return _Tail(start * height, m, gamma**T * X, 2.0 * ahead * (X @ at.F @ rest), ahead * X)
    kappa = stretch(at.F, 1.0)
    mean, off = as_ball(mean), (as_ball(covariance) - rest).size
    settled = Ball(rest.mid, rest.radius + kappa * off)
    height, slope, curve = _bump_ball(
        model.bump, np.linalg.inv(model.bump.precision), Ball(np.zeros(n), float(np.sqrt(kappa)) * mean.size), settled
    )
    along = float(np.sqrt(n * stretch(at.F.T, gamma) / (1.0 - gamma)))
    solved = inverse(Ball(np.eye(n)) - gamma * at.F.T) @ Ball(slope.mid)
    m = gamma**T * Ball(solved.mid, solved.radius + slope.radius * along)
    X = lyapunov(at.F.T, curve, gamma)
    F = 2.0 * ahead * (X @ at.F @ settled)
    steered = gamma * m.size * mean.size * float(np.sqrt(n * stretch(at.F, gamma) / (1.0 - gamma)))
    return _Tail(start * height, m, gamma**T * X, Ball(F.mid, F.radius + steered), ahead * X)


def _cut(model: LQModel, a: LQArrays, at: Loop, T: int, alone: LeaderAdjoint) -> LeaderAdjoint:
    """The bump's sum over T steps with what may follow, where the state grows.  Balls.

    A term is at most h γ^t.  Its derivatives are h E[…score], of the noise w ~ N(0, N) at every step before: in F at most
    √n ‖N^{−½}‖ Σ_{s<t} (E|x_s|²)^{½} with E|x_s|² ≤ γ^{−s} tr Y, in N at most t (n + 1) ‖N⁻¹‖, and in the first state
    √n ‖F‖‖N^{−½}‖ and (n + 1) ‖F‖²‖N⁻¹‖.  Where the noise is singular there is no score, and nothing is proved.
    """
    gamma, n = model.leader_discount, model.n_states
    assert model.bump is not None
    noise = as_ball(at.noise)
    least = float(np.linalg.eigvalsh(symmetric(noise.mid)).min()) - noise.radius
    inverse_noise = 1.0 / least if least > 0.0 else np.inf
    h, root, size = abs(model.bump.height), float(np.sqrt(gamma)), as_ball(at.F).size
    start = as_ball(a.covariance) + _outer(a.mean, a.mean)
    energy = float(n) * lyapunov(at.F, start + gamma / (1.0 - gamma) * at.noise, gamma).size
    total = h * gamma**T / (1.0 - gamma)
    grown = h * np.sqrt(n * inverse_noise * energy) * root**T / (1.0 - root) ** 2
    slow = h * (n + 1.0) * inverse_noise * gamma**T * (T / (1.0 - gamma) + 1.0 / (1.0 - gamma) ** 2)

    def wider(x: Any, by: float) -> Ball:
        ball = as_ball(x)
        return Ball(ball.mid, ball.radius + float(by))

    return replace(
        alone,
        value=wider(alone.value, total),
        F=wider(alone.F, grown),
        noise=wider(alone.noise, slow),
        mean=wider(alone.mean, total * np.sqrt(n * inverse_noise) * size),
        covariance=wider(alone.covariance, total * (n + 1.0) * inverse_noise * size**2),
    )


def _stepwise(model: LQModel, a: LQArrays, at: Loop, T: int, *, settled: bool = False) -> LeaderAdjoint:
    gamma = model.leader_discount
    means, covariances = [a.mean], [a.covariance]
    for _ in range(T if settled else T - 1):
        means.append(at.F @ means[-1])
        covariances.append(at.F @ covariances[-1] @ at.F.T + at.noise)
    tail = _settled(model, at, T, means.pop(), covariances.pop()) if settled else None
    weight = gamma ** np.arange(T)
    total = float(weight.sum())
    bumps = _bumps(model.bump, means, covariances)
    state = a.leader_Q + at.spent.T @ a.leader_R @ at.spent  # cost of x through −Kx, too
    n = model.n_states
    Y: Any = np.zeros((n, n))
    m_bar: Any = np.zeros(n)
    s_bar: Any = np.zeros((n, n))
    F_bar: Any = np.zeros((n, n))
    noise_bar: Any = np.zeros((n, n))
    reward: Any = np.zeros(())
    if tail is not None:
        reward, m_bar, s_bar, F_bar, noise_bar = tail.value, tail.mean, tail.covariance, tail.F, tail.noise
    for t in range(T - 1, -1, -1):
        w = float(weight[t])
        if t < T - 1 or tail is not None:
            F_bar = F_bar + _outer(m_bar, means[t]) + 2.0 * (s_bar @ at.F @ covariances[t])
            noise_bar = noise_bar + s_bar
            m_bar, s_bar = at.F.T @ m_bar, at.F.T @ s_bar @ at.F
        Y = Y + w * (covariances[t] + _outer(means[t], means[t]))
        m_bar = m_bar - (2.0 * w) * (state @ means[t])
        s_bar = s_bar - w * state
        if bumps is not None:
            height, slope, curve = bumps[t]
            reward = reward + w * height
            m_bar, s_bar = m_bar + w * slope, s_bar + w * curve
    spent = at.spent @ Y @ at.spent.T + total * at.action
    return LeaderAdjoint(
        value=total * a.leader_constant + reward - trace(a.leader_Q @ Y) - trace(a.leader_R @ spent),
        F=F_bar,
        noise=noise_bar,
        K=-2.0 * (a.leader_R @ at.spent @ Y),
        action=-total * a.leader_R,
        mean=m_bar,
        covariance=s_bar,
        leader_Q=-1.0 * Y,
        leader_R=-1.0 * spent,
        constant=total,
    )


def _bumps(bump: Bump | None, means: list[Any], covariances: list[Any]) -> list[tuple[Any, Any, Any]] | None:
    """(E bump, ∂/∂mean, ∂/∂covariance) at every step; arrays all at once, balls one by one."""
    if bump is None:
        return None
    spread = np.linalg.inv(bump.precision)
    if not isinstance(means[0], Ball) and not isinstance(means[-1], Ball) and not isinstance(covariances[-1], Ball):
        S, d = np.array(covariances), np.array(means) - bump.target
        V = np.linalg.inv(spread + S)
        Vd = np.einsum("tij,tj->ti", V, d)
        height = (
            bump.height
            * np.sqrt(np.linalg.det(V) / np.linalg.det(bump.precision))
            * np.exp(-0.5 * (d * Vd).sum(axis=1))
        )
        slope = -height[:, None] * Vd
        curve = 0.5 * height[:, None, None] * (Vd[:, :, None] * Vd[:, None, :] - V)
        return list(zip(height, slope, curve, strict=True))
    return [_bump_ball(bump, spread, as_ball(m), as_ball(S)) for m, S in zip(means, covariances, strict=True)]


def _bump_ball(bump: Bump, spread: Array, mean: Ball, covariance: Ball) -> tuple[Ball, Ball, Ball]:
    """One bump over balls: the logarithm of its expectation is bounded first."""
    V = inverse(Ball(spread, 8 * np.finfo(float).eps * np.linalg.norm(spread)) + covariance)
    d = mean - bump.target
    Vd = V @ d
    exponent = d @ Vd
    n, eps = len(spread), float(np.finfo(float).eps)
    # |log det(V + E) − log det V| ≤ n ‖V⁻¹E‖/(1 − ‖V⁻¹E‖)
    relative = float(np.linalg.norm(np.linalg.inv(V.mid)) * V.radius)
    log_error = n * relative / (1.0 - relative) if relative < 1.0 else np.inf
    log_error = 0.5 * (log_error + exponent.radius) + 16 * n * eps * (1.0 + abs(float(exponent.mid)))
    mid = (
        bump.height * np.sqrt(np.linalg.det(V.mid) / np.linalg.det(bump.precision)) * np.exp(-0.5 * float(exponent.mid))
    )
    height = Ball(mid, abs(mid) * float(np.expm1(min(log_error, 700.0))) + 1e-300)
    return height, -1.0 * (Vd * height), 0.5 * ((_outer(Vd, Vd) - V) * height)


def _outer(x: Any, y: Any) -> Any:
    if isinstance(x, Ball) or isinstance(y, Ball):
        x, y = as_ball(x), as_ball(y)
        radius = x.radius * y.size + float(np.linalg.norm(x.mid)) * y.radius
        mid = np.multiply.outer(x.mid, y.mid)
        return Ball(mid, radius + 2 * np.finfo(float).eps * float(np.linalg.norm(mid)))
    return np.multiply.outer(x, y)


@dataclass(frozen=True, eq=False)
class BackToP:
    """∂J/∂A, ∂J/∂B, ∂J/∂W, ∂J/∂M (M = R + γB'PB, so ∂J/∂R, too) and ∂J/∂P of what one step's loop is made of."""

    A: Any
    B: Any
    W: Any
    M: Any
    P: Any


def back_to_P(model: Any, a: Any, P: Any, at: Loop, lead: Any) -> BackToP:
    """From the cotangents of a loop, `lead` (F, noise, K, action), to those of what it was made of, by the product rule."""
    gamma, tau = model.follower_discount, model.temperature
    A_bar = lead.F
    B_bar = -1.0 * (lead.F @ at.K.T)
    K_bar = lead.K - a.B.T @ lead.F
    noise, action = symmetric(lead.noise), symmetric(lead.action)
    sigma_bar = a.B.T @ noise @ a.B + action
    B_bar = B_bar + 2.0 * (noise @ a.B @ at.sigma)
    W_bar = at.G.T @ noise @ at.G
    M_bar: Any = np.zeros((model.n_inputs, model.n_inputs))
    P_bar: Any = np.zeros((model.n_states, model.n_states))
    if model.observed:
        G_bar = 2.0 * (noise @ at.G @ a.W)
        B_bar = B_bar - G_bar @ at.K_w.T
        W_bar = W_bar + at.K_w.T @ action @ at.K_w
        K_w_bar = 2.0 * (action @ at.K_w @ a.W) - a.B.T @ G_bar
        Z_w = at.M_inv @ K_w_bar
        M_bar = M_bar - Z_w @ at.K_w.T
        B_bar = B_bar + gamma * (P @ Z_w.T)
        P_bar = P_bar + gamma * (a.B @ Z_w)
    Z = at.M_inv @ K_bar
    M_bar = symmetric(M_bar - Z @ at.K.T - (0.5 * tau) * (at.M_inv @ sigma_bar @ at.M_inv))
    A_bar = A_bar + gamma * (P @ a.B @ Z)
    B_bar = B_bar + gamma * (P @ a.A @ Z.T) + 2.0 * gamma * (P @ a.B @ M_bar)
    P_bar = symmetric(P_bar + gamma * (a.B @ Z @ a.A.T) + gamma * (a.B @ M_bar @ a.B.T))
    return BackToP(A_bar, B_bar, W_bar, M_bar, P_bar)


def cotangents(model: LQModel, a: LQArrays, P: Any, nudge: Any = None) -> tuple[Any, LQArrays]:
    """(J, cotangents of every array) for the follower's cost matrix P; on arrays, or on balls."""
    gamma = model.follower_discount
    at = loop(model, a, P, nudge)
    quadratic_forever = model.horizon is None and model.bump is None
    lead = infinite_leader(model, a, at) if quadratic_forever else finite_leader(model, a, at)
    back = back_to_P(model, a, P, at, lead)
    # Through the Riccati equation: one adjoint Lyapunov equation.
    Y = lyapunov(at.F, back.P, gamma)
    carried = 2.0 * gamma * (P @ at.F @ Y)
    return lead.value, LQArrays(
        A=back.A + carried,
        B=back.B - carried @ at.K.T,
        W=back.W,
        Q=Y,
        R=back.M + at.K @ Y @ at.K.T,
        mean=lead.mean,
        covariance=lead.covariance,
        leader_Q=lead.leader_Q,
        leader_R=lead.leader_R,
        leader_constant=np.asarray(lead.constant),
        shift=None if a.shift is None else lead.K,
    )
