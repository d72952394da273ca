r"""Forward implicit-function theorem: dP from one Lyapunov equation a coordinate, dP = γF'dPF + dS (`riccati-derivative`).

The explicit part of J's derivative is autograd's; P and dP come from doubling, in the user's own units.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.families.lqr.doubling import Powers, cost_matrix, newton
from boltzgrad.families.lqr.explicit import explicit, riccati_forcing
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.sweeps import value_rounding


def _gradient(model: LQModel, columns: list[LQArrays], P: Array) -> tuple[float, Array]:
    J, direct, in_P = explicit(model, P)
    F, _ = riccati_forcing(model, P, columns[0])
    powers, out = Powers(F, model.follower_discount), []
    for column in columns:
        _, forcing = riccati_forcing(model, P, column)
        moved = sum(float((c * s).sum()) for c, s in zip(direct.parts(), column.parts(), strict=True))
        out.append(moved + float((in_P * powers.backward(forcing)).sum()))
    return J, np.array(out)


def run(problem: LinearQuadratic, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,).  Raises: Unfinished."""
    at = problem.linearise(theta)
    model, columns = at.model, list(at.columns())
    P, _, _ = cost_matrix(model)
    value, gradient = _gradient(model, columns, P)
    # What the steps left: one Newton step further.
    again, further = _gradient(model, columns, newton(model, P)[0])
    return RouteResult(
        value, gradient, np.abs(gradient - further), value_error=abs(value - again) + value_rounding(model, P)
    )


def skip(problem: LinearQuadratic, theta: Array) -> str:
    """Why it is not run, or ""."""
    return "more than 60 states" if problem.model(theta).n_states > 60 else ""


IMPLICIT = Route("implicit", "forward derivative of the Riccati equation", run, skip)
