r"""Forward implicit-function theorem: differentiate the two fixed-point equations, column by column.

    F(V, θ) = TV − V = 0:      (I − γ_F P_π) dV = ∂_θ(TV),       dπ = π (dQ − Σ π dQ)/τ,
    G(V_L, π, θ) = 0:          (I − γ_L P_π) dV_L = Σ_a [dπ Q_L + π (dr_L + γ_L dp V_L)],
    dJ = dρ·V_L + ρ·dV_L,      or  df = ∂_θf + ∂_πf·dπ.

No occupancy and no Benefit: the leader's equation is differentiated like the follower's.
Source: SoBiRL (17), (24), Prop 4.1, 5.1.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.core.sweep import solved
from boltzgrad.families.tabular.expectation import applied, too_large
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sweeps import matrix_of, paid, planned, soft_backup, soft_values, state_kernel


def _derivative(
    problem: ConfigurableMDP, theta: Array, model: TabularModel, columns: list[TabularArrays], v: Array
) -> tuple[float, Array]:
    S, A, tau = model.n_states, model.n_actions, model.temperature
    plan, world = planned(model), matrix_of(model.transition)
    _, policy = soft_backup(model, plan, v)
    # ∂_θ Q at fixed V, then dV from the linearised fixed point, then the total dQ and dπ.
    dq = np.stack(
        [
            c.follower_reward.ravel()
            + model.follower_discount
            * applied(c.transition if c.follower_transition is None else c.follower_transition, plan, v)
            for c in columns
        ],
        axis=1,
    )
    steps = model.follower_discount * state_kernel(plan, policy)  # 1 + ∂F/∂V
    dv = solved(steps, (policy[:, :, None] * dq.reshape(S, A, -1)).sum(axis=1))
    dq = (dq + model.follower_discount * (plan @ dv)).reshape(S, A, -1)
    dpolicy = policy[:, :, None] * (dq - (policy[:, :, None] * dq).sum(axis=1, keepdims=True)) / tau
    if isinstance(problem.objective, PolicyObjective):
        in_theta, in_policy = problem.objective.gradients(theta, policy)
        return problem.objective.value(theta, policy), in_theta + np.tensordot(in_policy, dpolicy, axes=2)
    reward = paid(model, policy)  # its own derivative −τ_L dπ/π has mean zero
    evaluation = model.leader_discount * state_kernel(world, policy)
    v_leader = solved(evaluation, (policy * reward).sum(axis=1))
    q_leader = reward + model.leader_discount * (world @ v_leader).reshape(S, A)
    forcing = (dpolicy * q_leader[:, :, None]).sum(axis=1)
    for j, c in enumerate(columns):
        moved = c.leader_reward + model.leader_discount * applied(c.transition, world, v_leader).reshape(S, A)
        forcing[:, j] += (policy * moved).sum(axis=1)
    dv_leader = solved(evaluation, forcing)
    start = np.stack([c.initial for c in columns], axis=1)
    return float(model.initial @ v_leader), model.initial @ dv_leader + v_leader @ start


def run(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,)."""
    linearised = problem.linearise(theta)
    columns = list(linearised.columns())
    value, gradient, error = 0.0, np.zeros(problem.dim), np.zeros(problem.dim)
    for c, (model, p) in enumerate(zip(linearised.model.models, linearised.model.probabilities, strict=True)):
        mine = [column.models[c] for column in columns]
        v = soft_values(model).x
        worth, slope = _derivative(problem, theta, model, mine, v)
        tv, policy = soft_backup(model, planned(model), v)
        steps = model.follower_discount * state_kernel(planned(model), policy)
        _, further = _derivative(problem, theta, model, mine, v + solved(steps, tv - v))
        value += float(p) * worth
        gradient += p * slope + worth * np.array([column.probabilities[c] for column in columns])
        error += p * (further - slope)
    if problem.regulariser is not None:
        value += problem.regulariser.value(theta)
        gradient += problem.regulariser.gradient_at(theta)
    return RouteResult(value, gradient, np.abs(error))


IMPLICIT = Route("implicit", "forward implicit-function Jacobian, SoBiRL (17)", run, too_large)
