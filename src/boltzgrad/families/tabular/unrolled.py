r"""Automatic differentiation of the solution process itself, by HIPS autograd.

**unrolled**: the tape runs through every backup V ← TV and every leader's sweep.  The sweeps start at the
converged values (as constants); n of them leave (γP_π)ⁿ of the derivative out, and n is chosen so that this
is below rounding.

**unrolled-implicit**: each fixed point is one autograd primitive whose vector-Jacobian product is the implicit one:
u ← g + (∂T/∂V)ᵀu is swept to its own fixed point with autograd's VJP of a *single* backup, and then pulled back to
the model's arrays by the same VJP.

Both differentiate everything from θ to J: `build`, solver and objective.  Source: SoBiRL section 4; Blondel et al.
2022 (implicit differentiation of fixed points).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.core.kernel import SparseKernel
from boltzgrad.core.linearise import constants_allowed
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.core.sweep import EPS
from boltzgrad.errors import NotDifferentiable
from boltzgrad.families.tabular.contexts import as_contexts
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sweeps import leader_values, matrix_of, planned, remaining, soft_backup, soft_values
from boltzgrad.witnesses.tape import Arrays, FixedPoint, implicit, kernel_product, soft_maximum, taped, taped_work

_BELOW = 1e-16
_SWEEP_LIMIT = 20_000
_TAPE_LIMIT = 2e8  # numbers on the tape


def _soft_step(model: TabularModel) -> Callable[[Any, Arrays], Any]:
    shape, gamma, tau = (model.n_states, model.n_actions), model.follower_discount, model.temperature

    def step(v: Any, arrays: Arrays) -> Any:
        reward, values = arrays
        q = reward + gamma * kernel_product(model.follower_kernel, values, v, shape)
        return soft_maximum(q, tau, 1)

    return step


def _policy(model: TabularModel, v: Any, arrays: Arrays) -> Any:
    reward, values = arrays
    q = reward + model.follower_discount * kernel_product(
        model.follower_kernel, values, v, (model.n_states, model.n_actions)
    )
    # Normalised: exp((Q − V)/τ) would carry V·ε/τ a row.  The shift is a constant, which the quotient forgets.
    e = anp.exp((q - np.max(untraced(q), axis=1, keepdims=True)) / model.temperature)
    return e / anp.sum(e, axis=1, keepdims=True)


def _leader_step(model: TabularModel) -> Callable[[Any, Arrays], Any]:
    shape, gamma = (model.n_states, model.n_actions), model.leader_discount

    def step(v: Any, arrays: Arrays) -> Any:
        reward, values, policy = arrays
        return anp.sum(policy * (reward + gamma * kernel_product(model.kernel, values, v, shape)), axis=1)

    return step


def _plain_solutions(model: TabularModel) -> tuple[Array, Array, int]:
    """(V_F, V_L, sweeps that reach rounding) of the untraced model."""
    v = soft_values(model).x
    _, policy = soft_backup(model, planned(model), v)
    v_leader = leader_values(model, policy).x
    count = max(
        remaining(planned(model), policy, model.follower_discount, _BELOW, _SWEEP_LIMIT),
        remaining(matrix_of(model.transition), policy, model.leader_discount, _BELOW, _SWEEP_LIMIT),
    )
    return v, v_leader, count


def _noise(model: TabularModel, sweeps: int) -> float:
    """Relative rounding of the tape [1]: N steps, each of which keeps the mass of what it pulls back to ε, so ε N."""
    steps = sweeps / -np.log(_BELOW) if sweeps <= _SWEEP_LIMIT else 1.0 / max(1.0 - model.follower_discount, EPS)
    return float(EPS * steps)


def _differentiate(problem: ConfigurableMDP, theta: Array, fixed_point: FixedPoint) -> RouteResult:
    solved = [_plain_solutions(model) for model in problem.contexts(theta).models]

    def J(theta: Any) -> Any:
        contexts = as_contexts(problem.build(theta))
        total: Any = 0.0
        for c, (model, (v0, v_leader0, sweeps)) in enumerate(zip(contexts.models, solved, strict=True)):
            arrays = (model.follower_reward, model.follower_kernel.values)
            v = fixed_point(_soft_step(model), arrays, v0, sweeps)
            policy = _policy(model, v, arrays)
            if isinstance(problem.objective, PolicyObjective):
                worth = problem.objective.function(theta, policy)
            else:
                reward = model.leader_reward
                if model.leader_temperature:
                    reward = reward - model.leader_temperature * anp.log(anp.where(untraced(policy) > 0.0, policy, 1.0))
                inputs = (reward, model.kernel.values, policy)
                worth = anp.sum(model.initial * fixed_point(_leader_step(model), inputs, v_leader0, sweeps))
            total = total + contexts.probabilities[c] * worth
        if problem.regulariser is not None:
            total = total + problem.regulariser.function(theta)
        return total

    try:
        with constants_allowed():
            vjp, value = make_vjp(J, theta)
    except (TypeError, NotImplementedError) as error:
        raise NotDifferentiable(f"autograd cannot trace this problem's build or objective: {error}") from error
    gradient = np.asarray(vjp(1.0))
    models = problem.contexts(theta).models
    noise = max(_noise(model, sweeps) for model, (*_, sweeps) in zip(models, solved, strict=True))
    return RouteResult(float(value), gradient, (4.0 * _BELOW + noise) * np.abs(gradient))


def unrolled(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Through every sweep.  Shapes: theta (d,) -> gradient (d,).  Raises: NotDifferentiable."""
    return _differentiate(problem, theta, taped)


def unrolled_implicit(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Through an implicit VJP at each fixed point.  Shapes: theta (d,) -> gradient (d,).  Raises: NotDifferentiable."""
    return _differentiate(problem, theta, implicit)


def _skip_taped(problem: ConfigurableMDP, theta: Array) -> str:
    tape = 0.0
    for model in problem.contexts(theta).models:
        if _sizes(model) > 2e6:
            return "the tape would be too long"
        *_, count = _plain_solutions(model)
        if count > _SWEEP_LIMIT:
            return f"more than {_SWEEP_LIMIT} sweeps to unroll (discount {model.follower_discount})"
        tape += 12.0 * count * _sizes(model)
    return f"the tape would hold {tape:.1e} numbers" if tape > _TAPE_LIMIT else ""


def _skip_implicit(problem: ConfigurableMDP, theta: Array) -> str:
    largest = max(_sizes(model) for model in problem.contexts(theta).models)
    return f"{largest:.1e} kernel entries: too slow without compilation" if largest > 2e6 else ""


def _sizes(model: TabularModel) -> float:
    return (
        float(np.size(model.kernel.values))
        if isinstance(model.kernel, SparseKernel)
        else float(model.follower_reward.size)
    )


UNROLLED = Route("unrolled", "autograd through every backup", unrolled, _skip_taped, work=taped_work)
UNROLLED_IMPLICIT = Route(
    "unrolled-implicit",
    "autograd through an implicit VJP of each fixed point",
    unrolled_implicit,
    _skip_implicit,
)
