r"""The gradient that penalty methods follow, with the error that a finite weight leaves.

    max_π J(θ, π) − λ (V*_F(θ) − V_F^π(θ)) = λ [V*(r_F + r_L/λ) − V*(r_F)](ρ),   γ_L = γ_F and one kernel,

is differentiated by the envelope theorem, ∇V*(ρ) = ∇ρ V + Σ d π (∇r + γ ∇p V), d the follower's visits: no adjoint needed.
Its one-sided quotient differs from ∇J by O(1/λ), the two-sided one by O(1/λ²); rounding adds about ε λ.
Source: PBRL (Shen, Yang, Chen 2024), value penalty.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.solvers import solve_follower


def penalty_gradient(problem: Any, theta: Any, weight: float, *, two_sided: bool = False) -> Array:
    r"""∇ of the value-penalty objective with weight λ, (d,): what it costs that λ is finite is its difference from ∇J.

    Two-sided: $\tfrac{\lambda}{2} \nabla \bigl(V^*(r_F + r_L/\lambda) - V^*(r_F - r_L/\lambda)\bigr)(\rho)$.  Where the
    temperature depends on θ, the weight is that of rewards in units of it.  Raises: InvalidOption for a problem without the
    leader's return, or whose players differ in discount or kernel.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("garnet", leader_discount=0.95, follower_discount=0.95)
    >>> theta, exact = problem.initial_theta(seed=0), bg.hypergradient(problem, problem.initial_theta(seed=0)).gradient
    >>> off = [abs(bg.penalty_gradient(problem, theta, w) - exact).max() for w in (1e4, 1e5)]
    >>> bool(9.0 < off[0] / off[1] < 11.0)
    True
    """
    plain = isinstance(problem, ConfigurableMDP) and problem.model_kind is TabularModel
    if not plain or isinstance(problem.objective, PolicyObjective):
        raise InvalidOption(
            f"problem is {problem!r}; the penalty method is for a ConfigurableMDP with the leader's return"
        )
    if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not 0.0 < weight < np.inf:
        raise InvalidOption(f"weight is {weight!r}; expected a positive number")
    at = problem.linearise(theta)
    total, probabilities = np.zeros(problem.dim), at.model.probabilities
    parts, values = [], []
    for model, p in zip(at.model.models, probabilities, strict=True):
        if model.leader_temperature:
            raise InvalidOption(
                "the penalty method is for a leader without a regulariser of its own (leader_temperature)"
            )
        if model.leader_discount != model.follower_discount or model.own_kernel:
            raise InvalidOption(
                "the penalty method needs players with one discount and one kernel; this problem's differ "
                f"(γ_F = {model.follower_discount:g}, γ_L = {model.leader_discount:g}, own kernel: {model.own_kernel})"
            )
        ahead, v_ahead = _envelope(model, 1.0 / weight)
        behind, v_behind = _envelope(model, -1.0 / weight if two_sided else 0.0)
        scale = float(p) * weight / (2.0 if two_sided else 1.0)
        parts.append(TabularArrays(*(scale * (x - y) for x, y in zip(ahead.parts(), behind.parts(), strict=True))))
        values.append(scale / float(p) * (v_ahead - v_behind) if p else 0.0)
    total = total + at.pullback(ContextualArrays(tuple(parts), np.array(values)))
    if problem.regulariser is not None:
        total = total + problem.regulariser.gradient_at(problem.check_theta(theta))
    return np.asarray(total)


def _envelope(model: TabularModel, share: float) -> tuple[TabularArrays, float]:
    """(∂V*(ρ)/∂(each array), V*(ρ)) for the follower's reward r_F + share · r_L."""
    solved = solve_follower(replace(model, follower_reward=model.follower_reward + share * model.leader_reward))
    visits = solved.system.solve_transposed(model.initial).x[:, None] * solved.policy
    kernel = model.follower_discount * model.kernel.outer(visits, solved.value)
    cotangent = TabularArrays(kernel, solved.value, visits, share * visits)
    return cotangent, float(model.initial @ solved.value)
