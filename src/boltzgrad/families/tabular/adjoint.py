r"""The reference for tabular problems: cotangents in the model's own arrays, whatever d is.

With occupancy ν, Benefit B_L, temperature τ (BC-HG Theorem 1, (5), in adjoint form):

    w(s,a) = ν(s) π(a|s) B_L(s,a) / τ
    y      = (I − γ_F P_π)⁻ᵀ γ_F Σ_{s,a} p_F(·|s,a) w(s,a)
    m(s,a) = w(s,a) + π(a|s) y(s)

    ∂J/∂ρ = V_L,   ∂J/∂r_L = ν π,   ∂J/∂r_F = m,
    ∂J/∂p(s'|s,a) = γ_L ν(s)π(a|s) V_L(s') + γ_F m(s,a) V_F(s').

A general objective f(θ, π) has w(s,a) = π(a|s) (f_π(s,a) − Σ_b π(b|s) f_π(s,b)) / τ instead and no leader's
terms (SoBiRL (24)).  Where the follower plans with a kernel of its own, the last line falls apart into
its two terms, one for each kernel.

The cost beyond the forward solve is one transposed solve with a matrix that is already factorised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import summed_outer
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.softmaxes import centred
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.solvers import FollowerSolution, LeaderSolution, evaluate_leader, solve_follower


@dataclass(frozen=True, eq=False)
class ContextSolution:
    """One model solved: the follower, the leader, and the cotangent of the leader's value.

    `guidance` w, `sensitivity` m (S, A) and `adjoint` y (S,) are the intermediate quantities of the formula;
    `direct` (d,) is ∂f/∂θ at fixed policy for a general objective, and None otherwise, when `leader` is given.
    """

    model: TabularModel
    follower: FollowerSolution
    leader: LeaderSolution | None
    value: float
    guidance: Array
    adjoint: Array
    sensitivity: Array
    policy_gradient: Array | None = None
    direct: Array | None = None

    def cotangent(self, weight: float = 1.0) -> TabularArrays:
        """∂(weight · value)/∂(each array of the model)."""
        model, leader, policy = self.model, self.leader, self.follower.policy
        m = weight * self.sensitivity
        theirs = model.follower_discount * m, self.follower.value
        if leader is not None and not model.own_kernel:
            visits = (weight * leader.occupancy)[:, None] * policy
            ours = model.leader_discount * visits, leader.value
            world = summed_outer(model.kernel, *zip(ours, theirs, strict=True))
            return TabularArrays(world, weight * leader.value, m, visits)
        own = model.follower_kernel.outer(*theirs)
        if leader is None:
            zero = np.zeros(model.n_states)
            world = own if not model.own_kernel else np.zeros_like(np.asarray(model.kernel.values))
            return TabularArrays(world, zero, m, np.zeros_like(m), own if model.own_kernel else None)
        visits = (weight * leader.occupancy)[:, None] * policy
        world = model.kernel.outer(model.leader_discount * visits, leader.value)
        return TabularArrays(world, weight * leader.value, m, visits, own)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The forward half: the leader's value under the follower's answer, before any adjoint."""

    value: float
    leader: LeaderSolution | None = None
    policy_gradient: Array | None = None
    direct: Array | None = None


def evaluate(model: TabularModel, problem: ConfigurableMDP, theta: Array, follower: FollowerSolution) -> Evaluation:
    """The leader's value of one model.  Raises: NotConverged, NotDifferentiable."""
    objective = problem.objective
    if isinstance(objective, PolicyObjective):
        direct, policy_gradient = objective.gradients(theta, follower.policy)
        return Evaluation(objective.value(theta, follower.policy), None, policy_gradient, direct)
    leader = evaluate_leader(model, follower)
    return Evaluation(leader.expected_return, leader)


def adjoin(
    model: TabularModel, follower: FollowerSolution, forward: Evaluation, *, rounding: Array | float = 0.0
) -> ContextSolution:
    """The adjoint of a solved model: w, y and m of the formula above.

    `rounding` (S, A) is added to the centred Benefit (or ∂f/∂π), for estimates of what its rounding does.
    """
    policy, leader, slope = follower.policy, forward.leader, forward.policy_gradient
    if leader is not None:
        guidance = leader.occupancy[:, None] * policy * (leader.benefit + rounding) / model.temperature
    else:
        assert slope is not None
        guidance = policy * (centred(policy, slope) + rounding) / model.temperature
    load = model.follower_discount * model.follower_kernel.accumulate(guidance)
    adjoint = follower.system.solve_transposed(load).x
    return ContextSolution(
        model=model,
        follower=follower,
        leader=leader,
        value=forward.value,
        guidance=guidance,
        adjoint=adjoint,
        sensitivity=guidance + policy * adjoint[:, None],
        policy_gradient=slope,
        direct=forward.direct,
    )


def solve_context(
    model: TabularModel,
    problem: ConfigurableMDP,
    theta: Array,
    *,
    warm_start: Array | None = None,
    tolerance: float | None = None,
) -> ContextSolution:
    """Solve one model and its adjoint.  Raises: NotConverged, NotDifferentiable."""
    if warm_start is None and model.given is not None:
        warm_start = model.given.start(model.unit)
    follower = solve_follower(model, warm_start=warm_start, tolerance=tolerance)
    return adjoin(model, follower, evaluate(model, problem, theta, follower))


def assemble(
    problem: ConfigurableMDP, theta: Array, weights: Array, solutions: Sequence[ContextSolution]
) -> tuple[float, ContextualArrays, Array]:
    """(J, cotangent of all arrays, the part of ∇J that does not go through them) from the solved contexts."""
    value = float(sum(p * s.value for p, s in zip(weights, solutions, strict=True)))
    cotangent = ContextualArrays(
        tuple(s.cotangent(float(p)) for p, s in zip(weights, solutions, strict=True)),
        np.array([s.value for s in solutions]),
    )
    outside = np.zeros(problem.dim)
    for p, solution in zip(weights, solutions, strict=True):
        if solution.direct is not None:
            outside += p * solution.direct
    if problem.regulariser is not None:
        value += problem.regulariser.value(theta)
        outside += problem.regulariser.gradient_at(theta)
    return value, cotangent, outside
