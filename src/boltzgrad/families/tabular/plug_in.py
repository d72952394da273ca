r"""Theorem 1's formula with another policy and other values of the follower in it: what a method gets that stops training.

A policy π° and values V̂ take the place of π* and V_F; the leader's values, the occupancy and the adjoint are those of π°:

    w = ν° π° B_L°/τ,   y = (I − γ_F P_π°)⁻ᵀ γ_F Σ p w,   m = w + π° y,   ∂J/∂p = γ_L ν°π° V_L° + γ_F m V̂, …

At given π° and V̂ the covariance of BC-HG (5), HPGD's rollouts of ∇Q_F (Theorem 2.3) and SoBiRL's implicit gradient (24) have
this one expectation; where methods differ is in V̂.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.softmaxes import centred
from boltzgrad.families.tabular.adjoint import ContextSolution, adjoin, assemble, evaluate
from boltzgrad.families.tabular.build_rounding import Again
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.error_bound import cotangent_error, through_columns
from boltzgrad.families.tabular.model import TabularArrays
from boltzgrad.families.tabular.problem import ConfigurableMDP, LinearisedBuild
from boltzgrad.solvers import FollowerSolution
from boltzgrad.solvers.suboptimal import log_of, policy_errors, with_values

_STEP = 1e-3
"""How far a general objective's gradients are differenced: by which part of the probability that moves most for its size."""


@dataclass(frozen=True, eq=False)
class PlugIn:
    """The formula at one θ under the policies of `contexts`.  `value` J°, `gradient` (d,)."""

    problem: ConfigurableMDP
    theta: Array
    linearised: LinearisedBuild
    contexts: tuple[ContextSolution, ...]
    value: float
    gradient: Array
    cotangent: ContextualArrays
    outside: Array

    @cached_property
    def coordinate_bounds(self) -> Array:
        """A proved bound on |gradient − ∇J| (d,), from the follower's residual and its policy's inconsistency alone."""
        eps, errors, beside, values = self.problem.entry_error, [], np.zeros(self.problem.dim), []
        with np.errstate(invalid="ignore", over="ignore"):
            for weight, s in zip(self.linearised.model.probabilities, self.contexts, strict=True):
                known = policy_errors(s.model, s.follower, eps)
                error, direct, value = cotangent_error(self.problem, self.theta, s, eps, known)
                errors.append(error.scaled(float(weight) * (1.0 + eps)))
                beside += float(weight) * direct
                values.append(value)
            return through_columns(
                self.problem,
                self.theta,
                self.linearised,
                self.cotangent,
                ContextualArrays(tuple(errors), np.array(values)),
                self.outside,
                beside,
                self.gradient,
                self._again(),
                range(self.problem.dim),
            )

    def _again(self) -> Again:
        """The formula with the same policies and values for other arrays; the optimum's part is known to `entry_error`."""

        def again(problem: ConfigurableMDP, arrays: ContextualArrays) -> Array:
            models = [s.model.with_arrays(a.clipped()) for s, a in zip(self.contexts, arrays.models, strict=True)]
            followers = [
                with_values(m, s.follower.value, s.follower.policy) for m, s in zip(models, self.contexts, strict=True)
            ]
            solved = tuple(_solved(problem, self.theta, f) for f in followers)
            _, cotangent, outside = assemble(problem, self.theta, np.maximum(arrays.probabilities, 0.0), solved)
            return np.asarray(self.linearised.pullback(cotangent) + outside)

        return again

    def change_toward(self, policies: Sequence[Array], values: Sequence[Array] | None = None) -> Array:
        """DG (d,): how the gradient changes, to first order, on the way from π° to other policies (S, A) of each context.

        V̂ is taken to be the soft value of the policy, and to change with it; with `values` (S,) it goes there instead.
        """
        weights = self.linearised.model.probabilities
        moved, beside, by_weight = [], np.zeros(self.problem.dim), []
        for c, (p, s, to) in enumerate(zip(weights, self.contexts, policies, strict=True)):
            goal = None if values is None else values[c] - s.follower.value
            arrays, direct, value = _derivative(self.problem, self.theta, s, to - s.follower.policy, goal)
            moved.append(arrays.scaled(float(p)))
            beside += float(p) * direct
            by_weight.append(value)
        return np.asarray(self.linearised.pullback(ContextualArrays(tuple(moved), np.array(by_weight))) + beside)


def plug_in(
    problem: ConfigurableMDP, theta: Array, linearised: LinearisedBuild, followers: Sequence[FollowerSolution]
) -> PlugIn:
    """The formula under each context's follower as it is.  Raises: NotConverged, NotDifferentiable."""
    contexts = tuple(_solved(problem, theta, f) for f in followers)
    value, cotangent, outside = assemble(problem, theta, linearised.model.probabilities, contexts)
    gradient = linearised.pullback(cotangent) + outside
    return PlugIn(problem, theta, linearised, contexts, value, gradient, cotangent, outside)


def _solved(problem: ConfigurableMDP, theta: Array, follower: FollowerSolution) -> ContextSolution:
    return adjoin(follower.model, follower, evaluate(follower.model, problem, theta, follower))


def _derivative(
    problem: ConfigurableMDP, theta: Array, s: ContextSolution, step: Array, value_step: Array | None
) -> tuple[TabularArrays, Array, float]:
    """(d cotangent, d ∂f/∂θ, dJ) along a change of policy `step` (S, A), whose rows sum to zero."""
    model, follower, policy, tau = s.model, s.follower, s.follower.policy, s.model.temperature
    own, gamma = model.follower_kernel, model.follower_discount
    if value_step is None:
        gained = (step * (follower.q - tau * log_of(policy))).sum(axis=1)
        value_step = follower.system.solve(gained).x
    direct, world = np.zeros(theta.size), np.zeros_like(np.asarray(model.kernel.values, float))
    if s.leader is None:
        assert isinstance(problem.objective, PolicyObjective)
        assert s.policy_gradient is not None
        direct, w_step = _objective_steps(problem.objective, theta, policy, step, tau)
        v_L_step, visits_step = np.zeros(len(policy)), np.zeros_like(policy)
        value = float((s.policy_gradient * step).sum())
    else:
        leader, gamma_L = s.leader, model.leader_discount
        v_L_step = leader.system.solve((step * leader.q).sum(axis=1)).x
        q_step = gamma_L * model.kernel.expect(v_L_step)
        if model.leader_temperature:
            q_step = q_step - model.leader_temperature * np.divide(
                step, policy, out=np.zeros_like(step), where=policy > 0
            )
        nu = leader.occupancy
        nu_step = leader.system.solve_transposed(gamma_L * model.kernel.accumulate(nu[:, None] * step)).x
        visits_step = nu_step[:, None] * policy + nu[:, None] * step
        swing = centred(policy, q_step) - (step * leader.advantage).sum(axis=1)[:, None]
        w_step = (visits_step * leader.benefit + nu[:, None] * policy * swing) / tau
        value = float(model.initial @ v_L_step)
        world += model.kernel.outer(gamma_L * visits_step, leader.value)
        world += model.kernel.outer(gamma_L * nu[:, None] * policy, v_L_step)
    y_step = follower.system.solve_transposed(gamma * own.accumulate(w_step + step * s.adjoint[:, None])).x
    m_step = w_step + step * s.adjoint[:, None] + policy * y_step[:, None]
    planned = own.outer(gamma * m_step, follower.value) + own.outer(gamma * s.sensitivity, value_step)
    if not model.own_kernel:
        world += planned
    return TabularArrays(world, v_L_step, m_step, visits_step, planned if model.own_kernel else None), direct, value


def _objective_steps(
    objective: PolicyObjective, theta: Array, policy: Array, step: Array, tau: float
) -> tuple[Array, Array]:
    """(d ∂f/∂θ, dw) of a general objective, by differences that leave no probability negative.

    w = π (∂f/∂π − its mean)/τ is differenced as a whole: where a probability is small, ∂f/∂π may be as large as π is not.
    """
    moved = float(np.divide(np.abs(step), policy, out=np.zeros_like(step), where=policy > 0.0).max())
    h = _STEP / moved if moved else 1.0

    def at(t: float) -> tuple[Array, Array]:
        there = policy + t * step
        direct, slope = objective.gradients(theta, there)
        return direct, there * centred(there, slope) / tau

    def difference(t: float) -> tuple[Array, ...]:
        return tuple(0.5 * (a - b) / t for a, b in zip(at(t), at(-t), strict=True))

    # Two steps, extrapolated: the error is of the fourth order in them.
    direct, w = ((4.0 * near - far) / 3.0 for near, far in zip(difference(0.5 * h), difference(h), strict=True))
    return direct, w
