"""Witnesses over finitely many steps: forward sensitivities column by column, autograd, and differences of J."""

from __future__ import annotations

from typing import Any

import numpy as np
from autograd.core import make_vjp

from boltzgrad.core.arrays import Array
from boltzgrad.core.linearise import constants_allowed
from boltzgrad.core.route import Route, RouteResult, always
from boltzgrad.errors import NotDifferentiable
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr_steps.mistakes import Formula
from boltzgrad.families.lqr_steps.value import value, value_rounding
from boltzgrad.witnesses.differences import Evaluator, difference_routes

_LONGEST = 2_000


def _implicit(problem: LinearQuadratic, theta: Array) -> RouteResult:
    model: Any = problem.model(theta)
    return RouteResult(float(value(model)), Formula(problem, theta).gradient(), 0.0, value_error=value_rounding(model))


def _unrolled(problem: LinearQuadratic, theta: Array) -> RouteResult:
    build: Any = problem.build
    try:
        with constants_allowed():
            vjp, J = make_vjp(lambda t: value(build(t)), theta)
    except (TypeError, NotImplementedError) as error:
        raise NotDifferentiable(f"autograd cannot trace this problem's build: {error}") from error
    gradient = np.asarray(vjp(1.0))
    return RouteResult(float(J), gradient, 4e-16 * np.abs(gradient), value_error=value_rounding(build(theta)))


def _too_long(problem: LinearQuadratic, theta: Array) -> str:
    steps = problem.model(theta).horizon or 0
    return f"{steps} steps to unroll (at most {_LONGEST})" if steps > _LONGEST else ""


IMPLICIT = Route("implicit", "forward sensitivities of gains and moments, step by step", _implicit, always)
UNROLLED = Route("unrolled", "autograd through every step", _unrolled, _too_long)


class StepsEvaluator(Evaluator):
    """J(θ) over finitely many steps."""

    def __init__(self, problem: LinearQuadratic) -> None:
        self.problem = problem

    def __call__(self, theta: Array) -> complex:
        """J at θ."""
        model: Any = self.problem.build(theta)
        if not self.work:
            self.work = 40.0 * model.horizon * (model.n_states**3 * 8.0 + 1e4)
            self.rounding = value_rounding(model)
        return complex(np.asarray(value(model)).item())

    def units(self, theta: Array) -> Array:
        """The problem's own natural steps (d,)."""
        return self.problem.array_map(theta).units


COMPLEX, DIFFERENCES = difference_routes(StepsEvaluator, "recursion over the steps")
