r"""Proved errors of the follower's and the leader's solutions, when every entry of the model may be off by a relative ε.

Hats are computed numbers, stars exact ones; all inequalities are entrywise.  u and u_x are the roundings of float64 and
of extended precision; n bounds the number of terms in any sum.

1. **Value.**  b_V = |TV̂ − V̂| + ε max_a(|r_F| + γ_F P|V̂|) + n u_x(…) bounds the exact residual.  T is convex with
   Jacobian γ_F P_π, so V* − V̂ ≥ (I − γ_F P_π̂)⁻¹(TV̂ − V̂) and V* − V̂ ≤ (I − γ_F P_π*)⁻¹(TV̂ − V̂).  A first bound is
   max b_V/(1 − γ_F), or what the path argument of `enclosing.py` gives; it bounds the policies (2), and then
   e_V = `enclose`(b_V) is the one that is used.
2. **Policy.**  e_Q = γ_F P e_V + ε(|r_F| + γ_F P|V̂|) + n u_x(…).  Softmax is a Boltzmann weight: adding δ to its
   exponents moves log π(a|s) by at most δ(s,a) + log Σ_b π(b) e^δ(s,b), and by no more than the spread of δ(s,·).
   With δ = e_Q/τ
   plus rounding this is λ, so e_π = (e^λ − 1) π̂, and P*_π* ≤ (1 + κ) P_π̂ with 1 + κ = (1 + ε) e^max λ.
3. **Leader.**  V̂_L's residual under the *exact* policy is at most
   b_L = |residual| + Σ_a e_π |Q̂_L − V̂_L| + A u|V̂_L| + ε(…): Σ_a(π* − π̂) = 0 up to rounding, so V̂_L may be subtracted.
   e_L = `enclose`(b_L), and e_QL = γ_L P e_L + ε(|r_L| + γ_L P|V̂_L|) + rounding.  A leader that is paid
   r_L − τ_L log π gets τ_L λ of error more for each action, and so Σ_a (π̂ + e_π) τ_L λ in b_L.
4. **Occupancy.**  b_ν = |ρ + γ_L P_π̂ᵀν̂ − ν̂| + ε ρ + γ_L Σ p (e_π + ε π̂) ν̂,  e_ν = `enclose`(b_ν) for the transpose.

With a leader who moves too (`solvers.game`), "actions" are pairs, the policy is the product of both, and the leader's
own factor adds its relative error ε to λ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.solvers.enclosing import enclose, enclose_value
from boltzgrad.solvers.follower import FollowerSolution
from boltzgrad.solvers.leader import LeaderSolution
from boltzgrad.solvers.soft_bellman import (
    EXTENDED_EPS,
    LOG_SMALLEST,
    Soften,
    backup_extended,
    boltzmann,
    longest_row,
    passed_on,
    residual_rounding,
    span,
    span_contraction,
)

EPS = float(np.finfo(float).eps)
_TINY = 1e-300  # what an underflow in a policy may lose
_NEGLIGIBLE = -140.0


@dataclass(frozen=True)
class FollowerErrors:
    """Errors on the follower's side: e_V (S,), e_Q (S, A), λ (S, A), e_π (S, A), and κ.

    `policy` is the error of the follower solution's own policy; `relative` = e^λ − 1 that of any Boltzmann policy of Q.
    """

    value: Array
    q: Array
    relative: Array
    policy: Array
    kappa: float


def follower_errors(
    model: TabularModel, follower: FollowerSolution, eps: float, *, soften: Soften = boltzmann, mixed: bool = False
) -> FollowerErrors:
    """Steps 1 and 2.  `mixed`: the policy has a factor of the leader's, known to relative `eps`."""
    gamma, tau, v = model.follower_discount, model.temperature, follower.extended
    step = backup_extended(model, v, soften)
    gap = (step.value - v).astype(float)
    plain = follower.value
    own = eps if mixed else 0.0
    sizes = np.abs(model.follower_reward) + gamma * model.follower_kernel.expect(np.abs(plain))
    top = sizes.max(axis=1) + tau * (1.0 + np.log(model.n_actions))
    rounding = residual_rounding(model, plain, step.q.astype(float), step.policy.astype(float), EXTENDED_EPS)
    moves = passed_on(step.policy.astype(float), eps * sizes, tau)
    b = np.abs(gap) + moves + 2.0 * own * top + rounding
    spread = np.inf  # how far apart γ times what two actions lead to may be off
    if model.follower_kernel.row_sums.min() >= 1.0 - 1e-12:
        noise = 2.0 * (float(moves.max()) + 2.0 * own * float(top.max()) + float(rounding.max()))
        spread = gamma * (span(gap) + noise) / (1.0 - min(span_contraction(model) * (1 + eps), gamma))
    policy = step.policy.astype(float)
    x = (step.q.astype(float) - plain[:, None]) / tau
    with np.errstate(divide="ignore"):
        exponent = np.where(policy > 0.0, np.log(policy), LOG_SMALLEST)
    soft = (
        EPS + EXTENDED_EPS * (model.n_actions + 8 + 4.0 * (np.abs(x) + (policy * np.abs(x)).sum(axis=1)[:, None])) + own
    )
    sums = EXTENDED_EPS * (longest_row(model) + model.n_actions + 8)
    constant = (eps + sums) * sizes
    # What the normalisation log Σ exp(Q/τ) may be off by, besides e_V's part: an action that is not taken has no part in it.
    whole = (passed_on(policy, constant, tau) + 2.0 * own * top + rounding) / tau + (policy * soft).sum(axis=1) + EPS

    def moved(e_V: Array) -> Array:
        """λ (S, A): how far log π may be off, given e_V."""
        e_Q = (1 + eps) * gamma * model.follower_kernel.expect(e_V)
        shared = np.minimum(e_Q + e_Q.max(axis=1)[:, None], spread)
        return np.asarray((shared + constant + 2.0 * own * top[:, None]) / tau + soft + whole[:, None])

    def kappa(e_V: Array) -> float:
        λ = moved(e_V)
        # Weights below 10⁻⁶⁰ have no part in any sum: what they add is far inside of `enclose`'s factor 1 + 10⁻¹².
        taken = ~(exponent + λ <= _NEGLIGIBLE)
        with np.errstate(over="ignore"):
            return float((1 + eps) * np.exp(λ[taken].max(initial=0.0)) * (1 + (model.n_actions + 4) * EPS) - 1)

    refined = enclose_value(follower.system, b, lambda r: kappa(np.full(model.n_states, r)))
    λ = moved(refined)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = np.expm1(λ)
        e_policy = (
            np.where(exponent > -600.0, relative * follower.policy, np.exp(np.minimum(exponent + λ, 0.0))) + _TINY
        )
    e_V = refined + EPS * np.abs(plain)
    e_Q = (1 + eps) * gamma * model.follower_kernel.expect(e_V) + constant + 2.0 * own * top[:, None] + 2 * EPS * sizes
    return FollowerErrors(e_V, np.asarray(e_Q), relative, e_policy, kappa(refined))


def leader_errors(
    model: TabularModel,
    leader: LeaderSolution,
    policy: Array,
    e_policy: Array,
    kappa: float,
    eps: float,
    *,
    stored: Array,
    moved: Array | float = 0.0,
    paid: Array | float = 0.0,
) -> tuple[Array, Array, Array]:
    """Step 3: (e_L (S,), e_QL (S, A), error of `stored` (S, A), the leader's advantage or Benefit), for the float64 values.

    `moved` λ (S, A) is how far log π may be off, which a leader that regularises it is paid for; `paid` (S, A) what else its
    reward may be off by.
    """
    gamma, v = model.leader_discount, leader.value
    q = leader.reward + gamma * model.kernel.expect_extended(v.astype(np.longdouble))
    residual = np.abs((policy * q).sum(axis=1) - v).astype(float)
    sizes = np.abs(model.leader_reward) + gamma * model.kernel.expect(np.abs(v))
    e_paid: Array | float = paid
    if model.leader_temperature:
        sizes = sizes + np.abs(leader.reward - model.leader_reward)
        e_paid = paid + model.leader_temperature * (moved + 4 * EPS * (1.0 - np.log(np.maximum(policy, 5e-324))))
    n = EXTENDED_EPS * (model.kernel.longest_sum + model.n_actions + 8)
    benefit = (q - v[:, None]).astype(float)
    b = (
        residual
        + (e_policy * np.abs(benefit)).sum(axis=1)
        + ((policy + e_policy) * ((eps + n) * sizes + e_paid)).sum(axis=1)
        + (model.n_actions + 2) * EPS * np.abs(v)
    )
    e_L = enclose(leader.system, b, kappa, eps=eps)
    e_Q = (1 + eps) * gamma * model.kernel.expect(e_L) + (eps + n) * sizes + e_paid
    e_benefit = e_Q + e_L[:, None] + np.abs(benefit - stored) + 2 * EPS * np.abs(stored)
    return e_L, np.asarray(e_Q + 2 * EPS * sizes), np.asarray(e_benefit)


def occupancy_errors(
    model: TabularModel, leader: LeaderSolution, policy: Array, e_policy: Array, kappa: float, eps: float
) -> Array:
    """Step 4: e_ν (S,)."""
    gamma, nu = model.leader_discount, leader.occupancy
    size = np.abs(nu)
    n = EPS * (model.kernel.longest_sum + model.n_actions + 8)
    carried = gamma * model.kernel.accumulate(policy * size[:, None])
    b = (
        np.abs(model.initial - leader.system.apply(nu, transposed=True))
        + eps * model.initial
        + n * (model.initial + carried + size)
        + gamma * model.kernel.accumulate(((1 + eps) * e_policy + eps * policy) * size[:, None])
    )
    return enclose(leader.system, b, kappa, transposed=True, eps=eps)


def adjoint_errors(
    model: TabularModel,
    follower: FollowerSolution,
    errors: FollowerErrors,
    w: Array,
    e_w: Array,
    y: Array,
    eps: float,
) -> Array:
    """Step 5: e_y for y = (I − γ_F P_π)⁻ᵀ γ_F Σ p w, with ŵ and ŷ as stored and e_w the error of ŵ (S, A)."""
    kernel, gamma, policy = model.follower_kernel, model.follower_discount, follower.policy
    n = EPS * (kernel.longest_sum + model.n_actions + 8)
    size_w, size_y = np.abs(w), np.abs(y)
    b = (
        np.abs(gamma * kernel.accumulate(w) - follower.system.apply(y, transposed=True))
        + n * (gamma * kernel.accumulate(size_w + policy * size_y[:, None]) + 2 * size_y)
        + gamma
        * kernel.accumulate(
            (1 + eps) * e_w + eps * size_w + ((1 + eps) * errors.policy + eps * policy) * size_y[:, None]
        )
    )
    return enclose(follower.system, b, errors.kappa, transposed=True, eps=eps)
