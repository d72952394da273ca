r"""The linear-quadratic hypergradient with another policy of the follower in it: u ~ N(−Kx, Σ) beside a cost matrix P.

The policy answers its own action value, Q_F = −(u'H_uu u + 2u'H_ux x + …) − …, H_uu = R + γB'PB, H_ux = γB'PA, as a Boltzmann
policy does: its natural parameters move by δ(Σ⁻¹) = 2δH_uu/τ and δ(Σ⁻¹K) = 2δH_ux/τ, whatever they are, so that

    δK = (2/τ) Σ (δH_ux − δH_uu K),   δΣ = −(2/τ) Σ δH_uu Σ,   δP = δQ + K'δR K + γF'δP F + γ(δF'P F + F'P δF),  F = A − BK,

P moving as the value of a policy that stays.  At the optimum, Σ = (τ/2)M⁻¹, this is `adjoint.cotangents`.  Where there is a
cross term the arrays are those of v = u + Cx, K is the gain of v, and a C that moves moves it, for it is u's that stays.
Source: BC-HG (5) for a policy that is not optimal; derivation `trained-followers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidModel
from boltzgrad.families.lqr.adjoint import Loop, finite_leader, infinite_leader, symmetric
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.solvers.balls import lyapunov
from boltzgrad.solvers.lqr import gain


@dataclass(frozen=True, eq=False)
class GaussianPolicy:
    """u ~ N(−`K` x, `covariance`) (m, n), (m, m), of what was given, beside the cost matrix `P` (n, n) of V_F = −(x'Px + c)."""

    K: Array
    covariance: Array
    P: Array


def evaluated(model: LQModel, K: Array, covariance: Array) -> GaussianPolicy:
    """A policy beside its own cost matrix.  Raises: InvalidModel where its value is infinite."""
    inner = _inner(model, K)
    closed = model.A - model.B @ inner
    radius = float(np.sqrt(model.follower_discount) * np.abs(np.linalg.eigvals(closed)).max())
    if not radius < 1.0:
        raise InvalidModel(
            f"the value of the follower's gain is infinite: √γ ρ(A − BK) = {radius:.6f}, expected less than 1"
        )
    P = lyapunov(closed.T, model.Q + inner.T @ model.R @ inner, model.follower_discount)
    return GaussianPolicy(np.asarray(K), np.asarray(covariance), symmetric(P))


def answering(model: LQModel, P: Array) -> GaussianPolicy:
    """The Boltzmann policy of the action value that P makes, beside that P: one soft policy improvement."""
    M, K = gain(model, P)
    covariance = 0.5 * model.temperature * np.linalg.inv(M)
    return GaussianPolicy(K if model.shift is None else K + model.shift, symmetric(covariance), P)


def cotangents_under(model: LQModel, policy: GaussianPolicy, *, guided: bool = True) -> tuple[float, LQArrays]:
    """(J, cotangents of every array) under a policy; unless `guided` those of a follower that does not answer.

    Raises: InvalidModel where the leader's value is infinite, or the follower sees the disturbance.
    """
    if model.observed:
        raise InvalidModel(
            "the follower sees the disturbance: its policy has a gain K_w besides, which is not provided for"
        )
    a, gamma, P, sigma = model.arrays(), model.follower_discount, policy.P, policy.covariance
    K = _inner(model, policy.K)
    closed = a.A - a.B @ K
    _check_leader(model, closed)
    at = Loop(
        M_inv=None,
        K=K,
        spent=policy.K,
        K_w=None,
        sigma=sigma,
        F=closed,
        G=np.eye(model.n_states),
        noise=a.W + a.B @ sigma @ a.B.T,
        action=sigma,
    )
    lead = (
        infinite_leader(model, a, at) if model.horizon is None and model.bump is None else finite_leader(model, a, at)
    )
    noise, action = symmetric(lead.noise), symmetric(lead.action)
    A_bar = lead.F
    B_bar = -lead.F @ K.T + 2.0 * noise @ a.B @ sigma
    Q_bar, R_bar = np.zeros_like(a.Q), np.zeros_like(a.R)
    C_bar = a.B.T @ lead.F
    if guided:
        sharp = (2.0 / model.temperature) * sigma
        Z = sharp @ (lead.K - a.B.T @ lead.F)
        M_bar = symmetric(-Z @ K.T - sharp @ (a.B.T @ noise @ a.B + action) @ sigma)
        P_bar = symmetric(gamma * (a.B @ Z @ a.A.T + a.B @ M_bar @ a.B.T))
        Y = lyapunov(closed, P_bar, gamma)
        carried = 2.0 * gamma * (P @ closed @ Y)
        A_bar = A_bar + gamma * P @ a.B @ Z + carried
        B_bar = B_bar + gamma * (P @ a.A @ Z.T) + 2.0 * gamma * (P @ a.B @ M_bar) - carried @ K.T
        Q_bar, R_bar = Y, M_bar + K @ Y @ K.T
        M, best = gain(model, P)
        C_bar = C_bar + M @ (Z - 2.0 * (K - best) @ Y)
    return float(lead.value), LQArrays(
        A=A_bar,
        B=B_bar,
        W=noise,
        Q=Q_bar,
        R=R_bar,
        mean=lead.mean,
        covariance=lead.covariance,
        leader_Q=lead.leader_Q,
        leader_R=lead.leader_R,
        leader_constant=np.asarray(lead.constant),
        shift=None if a.shift is None else C_bar,
    )


def _inner(model: LQModel, K: Array) -> Array:
    """The gain of v = u + Cx, in which there is no cross term."""
    return np.asarray(K if model.shift is None else K - model.shift)


def _check_leader(model: LQModel, closed: Array) -> None:
    radius = float(np.sqrt(model.leader_discount) * np.abs(np.linalg.eigvals(closed)).max())
    if model.horizon is None and not radius < 1.0:
        raise InvalidModel(
            f"the leader's value is infinite under the follower's gain: √γ_L ρ(A − BK) = {radius:.6f}, expected less than 1"
        )
