r"""What Theorem 1 is an expectation of, computed exactly and without the reference's solvers.

For each context: occupancy ν, policy, V_L, Q_L, and ∇r, ∇p, ∇ρ column by column; ∇Q_F from the Bellman
expectation equation of BC-HG (6), (23):

    u = ∇r_F + γ_F Σ ∇p V_F,   ∇V_F = (I − γ_F P_π)⁻¹ Σ_a π u,   ∇Q_F = u + γ_F P ∇V_F.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import RouteResult
from boltzgrad.core.sweep import solved
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sweeps import (
    leader_values,
    matrix_of,
    paid,
    planned,
    soft_backup,
    soft_values,
    state_kernel,
)

STATE_LIMIT = 3000
ENTRY_LIMIT = 40_000_000


@dataclass(frozen=True, eq=False)
class Ingredients:
    """Everything a gradient formula needs, at one context; ∇ arrays carry θ on their last axis (d).

    `worth` (S, A) is what one more visit to (s, a) is worth to the leader: ν(s) Q_L(s,a), or ∂f/∂π(s,a) for a
    general objective.
    """

    model: TabularModel
    value: float
    policy: Array
    v_follower: Array
    occupancy: Array
    v_leader: Array
    q_leader: Array
    worth: Array
    direct: Array
    grad_q: Array

    @property
    def grad_v(self) -> Array:
        """∇V_F = Σ_a π ∇Q_F (S, d)."""
        return np.asarray(np.einsum("sa,sad->sd", self.policy, self.grad_q))


def too_large(problem: ConfigurableMDP, theta: Array) -> str:
    """Why the dense formulas are not run, or ""."""
    for model in problem.contexts(theta).models:
        if model.n_states > STATE_LIMIT:
            return f"more than {STATE_LIMIT} states (dense solves)"
        if model.n_states * model.n_actions * problem.dim > ENTRY_LIMIT:
            return f"∇Q_F would hold more than {ENTRY_LIMIT:.0e} entries"
    return ""


def applied(tangent: Array, like: Any, v: Array) -> Array:
    """Σ_s' ∂p(s'|s,a) v(s') flat (S·A,), for the tangent of a kernel's values."""
    if not tangent.size or (not any(tangent.strides) and not tangent.flat[0]):  # one zero, broadcast: it does not move
        return np.zeros(like.shape[0])
    if isinstance(like, np.ndarray):
        return np.asarray(tangent.reshape(-1, like.shape[-1]) @ v)
    return np.asarray(sparse.csr_array((tangent, like.indices, like.indptr), shape=like.shape) @ v)


def ingredients(
    problem: ConfigurableMDP, theta: Array, model: TabularModel, columns: list[TabularArrays], v: Array
) -> Ingredients:
    """All ingredients at one context, for the follower's value `v`."""
    matrix, world = planned(model), matrix_of(model.transition)
    S, A, d = model.n_states, model.n_actions, len(columns)
    gamma_F, gamma_L = model.follower_discount, model.leader_discount
    _, policy = soft_backup(model, matrix, v)
    u = np.empty((S * A, d))
    for j, column in enumerate(columns):
        moved = column.transition if column.follower_transition is None else column.follower_transition
        u[:, j] = column.follower_reward.ravel() + gamma_F * applied(moved, matrix, v)
    p_follower = state_kernel(matrix, policy)
    grad_v = solved(gamma_F * p_follower, np.einsum("sa,sad->sd", policy, u.reshape(S, A, d)))
    grad_q = (u + gamma_F * (matrix @ grad_v)).reshape(S, A, d)
    if isinstance(problem.objective, PolicyObjective):
        direct, worth = problem.objective.gradients(theta, policy)
        value = problem.objective.value(theta, policy)
        nothing = np.zeros(S)
        return Ingredients(model, value, policy, v, nothing, nothing, np.zeros((S, A)), worth, direct, grad_q)
    v_leader = leader_values(model, policy).x
    q_leader = paid(model, policy) + gamma_L * (world @ v_leader).reshape(S, A)
    p_world = state_kernel(world, policy)
    occupancy = solved(gamma_L * p_world.T, model.initial)
    visits = occupancy[:, None] * policy
    direct = np.empty(d)
    for j, column in enumerate(columns):
        carried = column.leader_reward + gamma_L * applied(column.transition, world, v_leader).reshape(S, A)
        direct[j] = column.initial @ v_leader + (visits * carried).sum()
    return Ingredients(
        model=model,
        value=float(model.initial @ v_leader),
        policy=policy,
        v_follower=v,
        occupancy=occupancy,
        v_leader=v_leader,
        q_leader=q_leader,
        worth=occupancy[:, None] * q_leader,
        direct=direct,
        grad_q=grad_q,
    )


def by_expectation(problem: ConfigurableMDP, theta: Array, indirect: Callable[[Ingredients], Array]) -> RouteResult:
    """A whole route: direct terms plus `indirect(ingredients)` (d,), summed over contexts.

    The method's error is what value iteration leaves in V: the formula is evaluated again one Newton
    correction further, and the difference is reported.
    """
    linearised = problem.linearise(theta)
    models, weights = linearised.model.models, linearised.model.probabilities
    columns = list(linearised.columns())
    value, gradient, again = 0.0, np.zeros(problem.dim), np.zeros(problem.dim)
    for c, (model, weight) in enumerate(zip(models, weights, strict=True)):
        mine = [column.models[c] for column in columns]
        v = soft_values(model).x
        at = ingredients(problem, theta, model, mine, v)
        gap = soft_backup(model, planned(model), v)[0] - v
        kernel = model.follower_discount * state_kernel(planned(model), at.policy)
        further = ingredients(problem, theta, model, mine, v + solved(kernel, gap))
        value += weight * at.value
        through_weights = at.value * np.array([column.probabilities[c] for column in columns])
        gradient += through_weights + weight * (at.direct + indirect(at))
        again += through_weights + weight * (further.direct + indirect(further))
    if problem.regulariser is not None:
        value += problem.regulariser.value(theta)
        gradient = gradient + problem.regulariser.gradient_at(theta)
        again = again + problem.regulariser.gradient_at(theta)
    return RouteResult(float(value), gradient, np.abs(gradient - again))
