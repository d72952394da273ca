"""Automatic differentiation of the whole computation, from θ to J over every step, by HIPS autograd."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.core.linearise import constants_allowed
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.core.sweep import EPS
from boltzgrad.errors import NotDifferentiable
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.contexts import as_contexts
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.witnesses.tape import kernel_product

_TAPE_LIMIT = 2e8  # numbers on the tape


def _policies(m: FiniteHorizonModel) -> list[Any]:
    """The policy of each step, on the tape."""
    shape, plans = (m.n_states, m.n_actions), m.kernels(own=True)
    tau = anp.reshape(m.temperature * np.ones(shape[0]), (-1, 1))
    v, out = m.terminal_follower_reward, []
    for t in reversed(range(m.horizon)):
        q = _of(m.follower_reward, t) + m.follower_discount * kernel_product(plans[t], plans[t].values, v, shape)
        x = q / tau + _of(m.log_reference, t)
        there = np.ones(shape, bool) if m.mask is None else _of(m.mask, t)
        shift = np.max(np.where(there, np.real(untraced(x)), -np.inf), axis=1, keepdims=True)  # a constant
        weight = there * anp.exp(anp.where(there, x - shift, 0.0))
        total = anp.sum(weight, axis=1, keepdims=True)
        out.append(weight / total)
        v = anp.ravel(tau * (shift + anp.log(total)))
    return out[::-1]


def _value(m: FiniteHorizonModel, policies: list[Any]) -> Any:
    """The leader's return, from the end."""
    shape, world = (m.n_states, m.n_actions), m.kernels()
    u = m.terminal_leader_reward
    for t in reversed(range(m.horizon)):
        reward = _of(m.leader_reward, t)
        if m.regularised:
            taken = untraced(policies[t]) > 0.0
            over = anp.log(anp.where(taken, policies[t], 1.0)) - _of(m.log_leader_reference, t)
            reward = reward - m.leader_temperature * anp.where(taken, over, 0.0)
        ahead = m.leader_discount * kernel_product(world[t], world[t].values, u, shape)
        u = anp.sum(policies[t] * (reward + ahead), axis=1)
    return anp.sum(m.initial * u)


def _of(x: Any, t: int) -> Any:
    return x[t] if x.ndim == 3 else x


def unrolled(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Through every step.  Shapes: theta (d,) -> gradient (d,).  Raises: NotDifferentiable."""

    def J(t: Any) -> Any:
        contexts = as_contexts(problem.build(t))
        total: Any = 0.0
        for c, m in enumerate(contexts.models):
            policies = _policies(m)
            objective = problem.objective
            if isinstance(objective, PolicyObjective):
                worth = objective.function(t, anp.stack(policies))
            else:
                worth = _value(m, policies)
            total = total + contexts.probabilities[c] * worth
        return total if problem.regulariser is None else total + problem.regulariser.function(t)

    try:
        with constants_allowed():
            vjp, value = make_vjp(J, theta)
    except (TypeError, NotImplementedError) as error:
        raise NotDifferentiable(f"autograd cannot trace this problem's build or objective: {error}") from error
    gradient = np.asarray(vjp(1.0))
    horizon = max(m.horizon for m in problem.contexts(theta).models)
    return RouteResult(float(value), gradient, EPS * horizon * np.abs(gradient))


def _skip(problem: ConfigurableMDP, theta: Array) -> str:
    if not problem.traced:
        return "autograd does not trace this build: its derivatives are by hand"
    models = problem.contexts(theta).models
    tape = sum(12.0 * m.horizon * (m.follower_reward.size + m.kernels()[0].values.size) for m in models)
    return f"the tape would hold {tape:.1e} numbers" if tape > _TAPE_LIMIT else ""


UNROLLED = Route("unrolled", "autograd through every step", unrolled, _skip)
