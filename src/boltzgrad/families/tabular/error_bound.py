r"""A proved bound on the reference hypergradient's error, entry by entry.

The exact model may differ from the stored one by a relative ε = `problem.entry_error` in every entry (what `build` may
lose).  `solvers/perturbation.py` proves, in steps 1–4, errors e_V, e_π, e_L, e_B, e_ν of the solutions.  From there, with
hats for computed numbers:

5. **Guidance and adjoint.**  e_w from the product νπB/τ factor by factor;
   b_y = |residual| + γ_F Σ p (e_w + ε|ŵ|) + γ_F Σ p (e_π + ε π̂)|ŷ|,  e_y = `enclose`(b_y);
   e_m = e_w + e_π(|ŷ| + e_y) + π̂ e_y.
6. **Cotangents** are products of the above, factor by factor.  **Gradient:**
   |ĝ_j − g_j| ≤ Σ |∂(array)/∂θ_j| (e_cotangent + (ε + n u)|cotangent|) + |ĝ_j − Σ ∂(array)/∂θ_j · cotangent|: one
   push-forward a coordinate, so the bound is computed only when it is asked for.  The last term is what the
   pull-back lost against the push-forward's own sum.

The model's entries may be off by `problem.entry_error`.  What the build's own rounding does beyond that, and that of its
derivative, nothing here can prove: it is measured (`build_rounding.py`) and added eight times over.  A hand-written derivative
is taken to be right to `entry_error`.  For a general f(θ, π), `PolicyObjective.variation` says how its gradients move with π;
without it the bound is infinite.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.families.tabular.adjoint import ContextSolution
from boltzgrad.families.tabular.build_rounding import Again, build_rounding, solved_again
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularArrays
from boltzgrad.families.tabular.problem import ConfigurableMDP, LinearisedBuild
from boltzgrad.solvers.perturbation import (
    FollowerErrors,
    adjoint_errors,
    follower_errors,
    leader_errors,
    occupancy_errors,
)

EPS = float(np.finfo(float).eps)
MEASURED = 8.0
"""How many times the measured rounding of the build counts."""


def coordinate_bounds(
    problem: ConfigurableMDP,
    theta: Array,
    linearised: LinearisedBuild,
    solutions: tuple[ContextSolution, ...],
    cotangent: ContextualArrays,
    outside: Array,
    gradient: Array,
    among: Sequence[int],
) -> Array:
    """The bounds on the entries `among` those of the reference hypergradient, one push-forward for each."""
    weights, eps = linearised.model.probabilities, problem.entry_error
    errors, beside, values = [], np.zeros(problem.dim), []
    with np.errstate(invalid="ignore", over="ignore"):
        for weight, solution in zip(weights, solutions, strict=True):
            known = follower_errors(solution.model, solution.follower, eps)
            error, direct, value = cotangent_error(problem, theta, solution, eps, known)
            w = float(weight)
            errors.append(error.scaled(w * (1.0 + eps)))
            beside += w * direct
            values.append(value)
        total = ContextualArrays(tuple(errors), np.array(values))
        again = solved_again(theta, linearised, solutions)
        return through_columns(problem, theta, linearised, cotangent, total, outside, beside, gradient, again, among)


def through_columns(
    problem: ConfigurableMDP,
    theta: Array,
    linearised: LinearisedBuild,
    cotangent: ContextualArrays,
    error: ContextualArrays,
    outside: Array,
    beside: Array,
    gradient: Array,
    again: Again,
    among: Sequence[int],
) -> Array:
    """The bounds on the entries `among` those of a gradient, from the `error` of each cotangent array and `beside`, that of the
    part (d,) that does not go through arrays; one push-forward for each entry.
    """
    eps = problem.entry_error
    bounds = beside + 4.0 * EPS * (len(error.models) + 1) * np.abs(outside)
    for j in among:
        column = linearised.pushforward(np.eye(1, problem.dim, j)[0])
        bounds[j] += paired(column, cotangent, error, eps)
        # What the pull-back made of the cotangents, against the same sum by the push-forward.
        bounds[j] += abs(float(gradient[j] - outside[j]) - cotangent.dot(column))
    bounds += MEASURED * build_rounding(problem, theta, linearised, cotangent, gradient, again)
    return np.where(np.isnan(bounds), np.inf, bounds)[list(among)]


def paired(column: ContextualArrays, cotangent: ContextualArrays, error: ContextualArrays, eps: float) -> float:
    """Σ |∂(array)/∂θ_j| (e_cotangent + (2ε + n u)|cotangent|): what one entry of the gradient may be off by."""
    out, terms = 0.0, 0
    for slope, c, fault in zip(column.parts(), cotangent.parts(), error.parts(), strict=True):
        moved = np.flatnonzero(slope)
        if not moved.size:
            continue
        terms += moved.size
        weight = np.abs(slope.ravel()[moved])
        out += float(weight @ fault.ravel()[moved]) * (1.0 + eps)
        out += float(weight @ np.abs(c.ravel()[moved])) * (2.0 * eps + (terms + 4) * EPS)
    return out


def cotangent_error(
    problem: ConfigurableMDP, theta: Array, s: ContextSolution, eps: float, errors: FollowerErrors
) -> tuple[TabularArrays, Array, float]:
    """(error of each cotangent array, error of ∂f/∂θ at fixed π, error of the value) of one context, given the follower's."""
    model, follower, policy, tau = s.model, s.follower, s.follower.policy, s.model.temperature
    e_pi = errors.policy
    if s.leader is None:
        assert isinstance(problem.objective, PolicyObjective)
        e_w, direct, value_error = _objective_errors(problem.objective, theta, s, e_pi)
        e_L = np.zeros(model.n_states)
        e_visits = visits = np.zeros_like(policy)
    else:
        direct = np.zeros(problem.dim)
        e_L, _, e_B = leader_errors(
            model, s.leader, policy, e_pi, errors.kappa, eps, stored=s.leader.benefit, moved=errors.relative
        )
        e_nu = occupancy_errors(model, s.leader, policy, e_pi, errors.kappa, eps)
        nu, benefit = s.leader.occupancy, np.abs(s.leader.benefit)
        visits = nu[:, None] * policy
        e_visits = e_nu[:, None] * (policy + e_pi) + nu[:, None] * e_pi + 2 * EPS * visits
        e_w = (e_visits * (benefit + e_B) + visits * e_B) / tau + 4 * EPS * np.abs(s.guidance)
        value_error = float(model.initial @ e_L + eps * (model.initial @ np.abs(s.leader.value)))
    kernel, gamma = model.follower_kernel, model.follower_discount
    y, w = np.abs(s.adjoint), np.abs(s.guidance)
    e_y = adjoint_errors(model, follower, errors, s.guidance, e_w, s.adjoint, eps)
    e_m = e_w + e_pi * (y + e_y)[:, None] + policy * e_y[:, None] + 4 * EPS * (w + policy * y[:, None])
    m = np.abs(s.sensitivity)
    v = np.abs(s.follower.value)
    own = kernel.outer(gamma * e_m, v + errors.value) + kernel.outer(gamma * m, errors.value + 4 * EPS * v)
    world = np.zeros_like(np.asarray(model.kernel.values, float))
    if s.leader is not None:
        v_L = np.abs(s.leader.value)
        world += model.kernel.outer(model.leader_discount * e_visits, v_L + e_L)
        world += model.kernel.outer(model.leader_discount * visits, e_L + 4 * EPS * v_L)
    if not model.own_kernel:
        world = world + own
    below = _underflow(s)
    arrays = TabularArrays(world, e_L, e_m, e_visits, own if model.own_kernel else None)
    return arrays.map(lambda e: e + below), direct, value_error + below


def _underflow(s: ContextSolution) -> float:
    """What underflow adds to any cotangent: products lose up to the smallest number there is, whatever their own size.

    Each of them is carried on by factors no larger than the steps that remain, the values and 1/τ.
    """
    model = s.model
    grown = s.follower.system.remaining_steps * max(
        1.0, float(1.0 / model.temperature), float(np.abs(s.follower.value).max())
    )
    if s.leader is not None:
        grown *= s.leader.system.remaining_steps * max(1.0, float(np.abs(s.leader.value).max()))
    return 64.0 * model.n_states * model.n_actions * float(np.finfo(float).smallest_subnormal) * max(1.0, grown)


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
