"""Automatic differentiation: through every Riccati sweep, or through an implicit VJP of the fixed point."""

from __future__ import annotations

from typing import Any

import numpy as np
from autograd.core import make_vjp

from boltzgrad.errors import NotDifferentiable
from boltzgrad.gradients.lqr.sweeps import backup, cost_matrix, value
from boltzgrad.gradients.route import Route, RouteResult
from boltzgrad.gradients.tape import Arrays, FixedPoint, implicit, taped
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import LinearQuadratic, LQModel
from boltzgrad.problems.objectives import constants_allowed

_BELOW = 1e-17
_SWEEP_LIMIT = 20_000
_STATE_LIMIT = 30


def sweeps_needed(model: LQModel, P: Array) -> int:
    """N with (γρ(F)²)ⁿ below rounding: what a derivative through sweeps needs."""
    gamma = model.follower_discount
    M = model.R + gamma * model.B.T @ P @ model.B
    F = model.A - model.B @ np.linalg.solve(M, gamma * model.B.T @ P @ model.A)
    rate = gamma * float(np.abs(np.linalg.eigvals(F)).max()) ** 2
    return int(np.ceil(np.log(_BELOW) / np.log(rate))) + 20 if 1e-12 < rate < 1.0 else 40


def _differentiate(problem: LinearQuadratic, theta: Array, fixed_point: FixedPoint) -> RouteResult:
    start, _, _ = cost_matrix(problem.model(theta))
    count = sweeps_needed(problem.model(theta), start)

    def J(theta: Any) -> Any:
        model = problem.build(theta)

        def step(P: Any, arrays: Arrays) -> Any:
            A, B, Q, R = arrays
            return backup(_With(model, A, B, Q, R), P)  # type: ignore[arg-type]

        return value(model, fixed_point(step, (model.A, model.B, model.Q, model.R), start, count))

    try:
        with constants_allowed():
            vjp, J0 = make_vjp(J, theta)
    except (TypeError, NotImplementedError) as error:
        raise NotDifferentiable(f"autograd cannot trace this problem's build: {error}") from error
    gradient = np.asarray(vjp(1.0))
    return RouteResult(float(J0), gradient, 4e-16 * float(np.abs(gradient).max()))


class _With:
    """A model with other (traced) matrices, for one sweep."""

    def __init__(self, model: LQModel, A: Any, B: Any, Q: Any, R: Any) -> None:
        self.A, self.B, self.Q, self.R, self.follower_discount = A, B, Q, R, model.follower_discount


def _skip(problem: LinearQuadratic, theta: Array) -> str:
    model = problem.model(theta)
    if model.n_states > _STATE_LIMIT:
        return f"more than {_STATE_LIMIT} states"
    count = sweeps_needed(model, cost_matrix(model)[0])
    return f"{count} sweeps to unroll" if count > _SWEEP_LIMIT else ""


UNROLLED = Route("unrolled", "autograd through every Riccati sweep", lambda p, t: _differentiate(p, t, taped), _skip)
UNROLLED_IMPLICIT = Route(
    "unrolled-implicit", "autograd through an implicit VJP", lambda p, t: _differentiate(p, t, implicit), _skip
)
