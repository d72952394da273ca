r"""A proved bound on the reference hypergradient's error, entry by entry.

Hats are computed numbers, stars exact ones; all inequalities are entrywise.  The exact model may differ
from the stored one by a relative ε = `problem.entry_error` in every entry (what `build` may lose).  u and u_x
are the roundings of float64 and of extended precision; n bounds the number of terms in any sum.

1. **Value.**  b_V = |TV̂ − V̂| + ε max_a(|r_F| + γ_F P|V̂|) + n u_x(…) bounds the exact residual.  T is convex with
   Jacobian γ_F P_π, so V* − V̂ ≥ (I − γ_F P_π̂)⁻¹(TV̂ − V̂) and V* − V̂ ≤ (I − γ_F P_π*)⁻¹(TV̂ − V̂).  A first bound is
   max b_V/(1 − γ_F); it bounds the policies (2), and then e_V = `enclose`(b_V) is the one that is used.
2. **Policy.**  e_Q = γ_F P e_V + ε(|r_F| + γ_F P|V̂|) + n u_x(…).  Softmax is a Boltzmann weight: adding δ to its exponents
   moves log π(a|s) by at most δ(s,a) + max_b δ(s,b), and by no more than the spread of δ(s,·).  With δ = e_Q/τ plus
   rounding this is λ, so e_π = (eᵏ − 1) π̂ with k = λ, and P*_π* ≤ (1 + κ) P_π̂ with 1 + κ = (1 + ε) e^max λ.
3. **Leader.**  V̂_L's residual under the *exact* policy is at most b_L = |residual| + Σ_a e_π |Q̂_L − V̂_L| + A u|V̂_L| + ε(…):
   Σ_a(π* − π̂) = 0 up to rounding, so V̂_L may be subtracted.  e_L = `enclose`(b_L), and the Benefit's error is
   e_B = γ_L P e_L + e_L + ε(|r_L| + γ_L P|V̂_L|) + rounding.
4. **Occupancy.**  b_ν = |ρ + γ_L P_π̂ᵀν̂ − ν̂| + ε ρ + γ_L Σ p (e_π + ε π̂) ν̂,  e_ν = `enclose`(b_ν) for the transpose.
5. **Guidance and adjoint.**  e_w from the product νπB/τ factor by factor;
   b_y = |residual| + γ_F Σ p (e_w + ε|ŵ|) + γ_F Σ p (e_π + ε π̂)|ŷ|,  e_y = `enclose`(b_y);  e_m = e_w + e_π(|ŷ| + e_y) + π̂ e_y.
6. **Cotangents** are products of the above, factor by factor.  **Gradient:**
   |ĝ_j − g_j| ≤ Σ |∂(array)/∂θ_j| (e_cotangent + (ε + n u)|cotangent|): one push-forward a coordinate, so the bound is
   computed only when it is asked for.

Assumes: the push-forward's entries are right to relative ε, and the pull-back is a sum of products of them with
the cotangent in some order.  For a general f(θ, π), `PolicyObjective.variation` says how its gradients
move with π; without it the bound is infinite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.gradients.tabular.adjoint import ContextSolution
from boltzgrad.problems.configurable import ConfigurableMDP, LinearisedBuild
from boltzgrad.problems.contexts import ContextualArrays
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.objectives import PolicyObjective
from boltzgrad.problems.tabular import TabularArrays
from boltzgrad.solvers.enclosing import enclose
from boltzgrad.solvers.leader import LeaderSolution
from boltzgrad.solvers.soft_bellman import (
    EXTENDED_EPS,
    backup_extended,
    residual_rounding,
    span,
    span_contraction,
)

EPS = float(np.finfo(float).eps)
_TINY = 1e-300  # what an underflow in a policy may lose


@dataclass(frozen=True)
class _Followed:
    """Errors on the follower's side: e_V (S,), e_π (S, A), and κ."""

    value: Array
    policy: Array
    kappa: float


def coordinate_bounds(
    problem: ConfigurableMDP,
    theta: Array,
    linearised: LinearisedBuild,
    solutions: tuple[ContextSolution, ...],
    cotangent: ContextualArrays,
    outside: Array,
) -> Array:
    """The bound (d,) on each entry of the reference hypergradient."""
    weights = linearised.contexts.probabilities
    errors, beside, values = [], np.zeros(problem.dim), []
    with np.errstate(invalid="ignore", over="ignore"):
        for weight, solution in zip(weights, solutions, strict=True):
            error, direct, value = _cotangent_error(problem, theta, solution)
            w = float(weight)
            errors.append(error.scaled(w * (1.0 + problem.entry_error)))
            beside += w * direct
            values.append(value)
        total = ContextualArrays(tuple(errors), np.array(values))
        bounds = beside + 4.0 * EPS * (len(solutions) + 1) * np.abs(outside)
        for j, column in enumerate(linearised.columns()):
            bounds[j] += _paired(column, cotangent, total, problem.entry_error)
    return np.where(np.isnan(bounds), np.inf, bounds)


def magnitudes(linearised: LinearisedBuild, cotangent: ContextualArrays) -> Array:
    """Σ |∂(array)/∂θ_j| |cotangent| for each j (d,): the size of the terms that the gradient is a sum of."""
    return np.array([_paired(column, cotangent, None, 0.0) for column in linearised.columns()])


def _paired(column: ContextualArrays, cotangent: ContextualArrays, error: ContextualArrays | None, eps: float) -> float:
    out, terms = 0.0, 0
    faults = error.parts() if error is not None else (None,) * len(cotangent.parts())
    for slope, c, fault in zip(column.parts(), cotangent.parts(), faults, strict=True):
        if fault is None:
            out += float(np.abs(slope).ravel() @ np.abs(c).ravel())
            continue
        moved = np.flatnonzero(slope)
        if not moved.size:
            continue
        terms += moved.size
        weight = np.abs(slope.ravel()[moved])
        out += float(weight @ fault.ravel()[moved]) * (1.0 + eps)
        out += float(weight @ np.abs(c.ravel()[moved])) * (2.0 * eps + (terms + 4) * EPS)
    return out


def _cotangent_error(problem: ConfigurableMDP, theta: Array, s: ContextSolution) -> tuple[TabularArrays, Array, float]:
    """(error of each cotangent array, error of ∂f/∂θ at fixed π, error of the value) of one context."""
    eps = problem.entry_error
    model, policy, tau = s.model, s.follower.policy, s.model.temperature
    followed = _follower_errors(s, eps)
    e_pi = followed.policy
    n = EPS * (model.follower_kernel.longest_sum + 8)
    if s.leader is None:
        assert isinstance(problem.objective, PolicyObjective)
        e_w, direct, value_error = _objective_errors(problem.objective, theta, s, e_pi)
        e_L = np.zeros(model.n_states)
        e_visits = visits = np.zeros_like(policy)
    else:
        direct = np.zeros(problem.dim)
        e_L, e_B = _leader_errors(s, s.leader, followed, eps)
        e_nu = _occupancy_errors(s, s.leader, followed, eps)
        nu, benefit = s.leader.occupancy, np.abs(s.leader.benefit)
        visits = nu[:, None] * policy
        e_visits = e_nu[:, None] * (policy + e_pi) + nu[:, None] * e_pi + 2 * EPS * visits
        e_w = (e_visits * (benefit + e_B) + visits * e_B) / tau + 4 * EPS * np.abs(s.guidance)
        value_error = float(model.initial @ e_L + eps * (model.initial @ np.abs(s.leader.value)))
    kernel, gamma = model.follower_kernel, model.follower_discount
    y, w = np.abs(s.adjoint), np.abs(s.guidance)
    residual = np.abs(gamma * kernel.accumulate(s.guidance) - s.follower.system.apply(s.adjoint, transposed=True))
    b = (
        residual
        + n * (gamma * kernel.accumulate(w + policy * y[:, None]) + 2 * y)
        + gamma * kernel.accumulate((1 + eps) * e_w + eps * w + ((1 + eps) * e_pi + eps * policy) * y[:, None])
    )
    e_y = enclose(s.follower.system, b, followed.kappa, transposed=True)
    e_m = e_w + e_pi * (y + e_y)[:, None] + policy * e_y[:, None] + 4 * EPS * (w + policy * y[:, None])
    m = np.abs(s.sensitivity)
    v = np.abs(s.follower.value)
    own = kernel.outer(gamma * e_m, v + followed.value) + kernel.outer(gamma * m, followed.value + 4 * EPS * v)
    world = np.zeros_like(np.asarray(model.kernel.values, float))
    if s.leader is not None:
        v_L = np.abs(s.leader.value)
        world += model.kernel.outer(model.leader_discount * e_visits, v_L + e_L)
        world += model.kernel.outer(model.leader_discount * visits, e_L + 4 * EPS * v_L)
    if not model.own_kernel:
        world = world + own
    return (
        TabularArrays(world, e_L, e_m, e_visits, own if model.own_kernel else None),
        direct,
        value_error,
    )


def _follower_errors(s: ContextSolution, eps: float) -> _Followed:
    """Steps 1 and 2."""
    model, gamma, tau = s.model, s.model.follower_discount, s.model.temperature
    v = s.follower.extended
    step = backup_extended(model, v)
    gap = (step.value - v).astype(float)
    plain = s.follower.value
    sizes = np.abs(model.follower_reward) + gamma * model.follower_kernel.expect(np.abs(plain))
    rounding = residual_rounding(model, plain, EXTENDED_EPS)
    b = np.abs(gap) + eps * sizes.max(axis=1) + rounding
    crude = np.full(model.n_states, b.max() / (1.0 - gamma))
    spread = np.inf
    if model.follower_kernel.row_sums.min() >= 1.0 - 1e-12:
        noise = 2.0 * (eps * float(sizes.max()) + rounding)
        spread = (span(gap) + noise) / (1.0 - min(span_contraction(model) * (1 + eps), gamma))
    x = (step.q.astype(float) - plain[:, None]) / tau
    soft = EPS + EXTENDED_EPS * (model.n_actions + 8 + 4.0 * np.abs(x))

    def moved(e_V: Array) -> Array:
        """λ (S, A): how far log π may be off, given e_V."""
        constant = eps * sizes + rounding
        e_Q = (1 + eps) * gamma * model.follower_kernel.expect(e_V)
        by_sup = e_Q + e_Q.max(axis=1)[:, None]
        shared = np.minimum(by_sup, gamma * spread)
        return np.asarray((shared + constant + constant.max(axis=1)[:, None]) / tau + soft + soft.max(axis=1)[:, None])

    def kappa(e_V: Array) -> float:
        return float((1 + eps) * np.exp(moved(e_V).max()) * (1 + (model.n_actions + 4) * EPS) - 1)

    refined = np.minimum(enclose(s.follower.system, b, kappa(crude)), crude)
    e_pi = np.expm1(moved(refined)) * s.follower.policy + _TINY
    return _Followed(refined + EPS * np.abs(plain), e_pi, kappa(refined))


def _leader_errors(s: ContextSolution, leader: LeaderSolution, followed: _Followed, eps: float) -> tuple[Array, Array]:
    """Step 3: (e_L (S,), e_B (S, A)), for the float64 values that are stored."""
    model, gamma, policy = s.model, s.model.leader_discount, s.follower.policy
    v = leader.value
    q = model.leader_reward + gamma * model.kernel.expect_extended(v.astype(np.longdouble))
    residual = np.abs((policy * q).sum(axis=1) - v).astype(float)
    sizes = np.abs(model.leader_reward) + gamma * model.kernel.expect(np.abs(v))
    n = EXTENDED_EPS * (model.kernel.longest_sum + model.n_actions + 8)
    benefit = (q - v[:, None]).astype(float)
    b = (
        residual
        + (followed.policy * np.abs(benefit)).sum(axis=1)
        + (eps + n) * ((policy + followed.policy) * sizes).sum(axis=1)
        + (model.n_actions + 2) * EPS * np.abs(v)
    )
    e_L = enclose(leader.system, b, followed.kappa)
    e_B = (
        (1 + eps) * gamma * model.kernel.expect(e_L)
        + e_L[:, None]
        + (eps + n) * sizes
        + np.abs(benefit - leader.benefit)
        + 2 * EPS * np.abs(leader.benefit)
    )
    return e_L, np.asarray(e_B)


def _occupancy_errors(s: ContextSolution, leader: LeaderSolution, followed: _Followed, eps: float) -> Array:
    """Step 4: e_ν (S,)."""
    model, gamma, policy, nu = s.model, s.model.leader_discount, s.follower.policy, leader.occupancy
    size = np.abs(nu)
    n = EPS * (model.kernel.longest_sum + model.n_actions + 8)
    carried = gamma * model.kernel.accumulate(policy * size[:, None])
    b = (
        np.abs(model.initial - leader.system.apply(nu, transposed=True))
        + eps * model.initial
        + n * (model.initial + carried + size)
        + gamma * model.kernel.accumulate(((1 + eps) * followed.policy + eps * policy) * size[:, None])
    )
    return enclose(leader.system, b, followed.kappa, transposed=True)


def _objective_errors(
    objective: PolicyObjective, theta: Array, s: ContextSolution, e_pi: Array
) -> tuple[Array, Array, float]:
    """(e_w, error of ∂f/∂θ, error of the value) for a general objective; infinite without `variation`."""
    assert s.policy_gradient is not None
    assert s.direct is not None
    q, policy = s.policy_gradient, s.follower.policy
    if objective.variation is None:
        return np.full_like(q, np.inf), np.full_like(s.direct, np.inf), np.inf
    direct, e_q = objective.variation(theta, policy, e_pi)
    e_q = e_q + 4 * EPS * np.abs(q)
    mean = (policy * q).sum(axis=1)[:, None]
    centred = np.abs(q - mean)
    rounding = (policy.shape[1] + 4) * EPS * ((policy * np.abs(q)).sum(axis=1)[:, None] + np.abs(q))
    e_centred = e_q + ((policy + e_pi) * e_q + e_pi * centred).sum(axis=1)[:, None] + rounding
    e_w = (e_pi * (centred + e_centred) + policy * e_centred) / s.model.temperature + 4 * EPS * np.abs(s.guidance)
    value_error = float((e_pi * (np.abs(q) + e_q)).sum()) + 8 * EPS * abs(s.value)
    return e_w, direct + 8 * EPS * np.abs(s.direct), value_error
