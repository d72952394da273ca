r"""Forward implicit-function theorem: dP from one Lyapunov equation a coordinate, dP = γF'dPF + dS (MATH 7).

The explicit part of J's derivative is autograd's; P comes from Riccati sweeps.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_discrete_lyapunov

from boltzgrad.gradients.lqr.explicit import explicit, riccati_forcing
from boltzgrad.gradients.lqr.sweeps import backup, cost_matrix
from boltzgrad.gradients.route import Route, RouteResult
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import LinearisedLQ, LinearQuadratic


def _gradient(at: LinearisedLQ, P: Array) -> tuple[float, Array]:
    model = at.model
    J, direct, in_P = explicit(model, P)
    out = []
    for column in at.columns():
        F, forcing = riccati_forcing(model, P, column)
        dP = solve_discrete_lyapunov(np.sqrt(model.follower_discount) * F.T, forcing)
        moved = sum(float((c * s).sum()) for c, s in zip(direct.parts(), column.parts(), strict=True))
        out.append(moved + float((in_P * dP).sum()))
    return J, np.array(out)


def run(problem: LinearQuadratic, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,)."""
    at = problem.linearise(theta)
    P, _, _ = cost_matrix(at.model)
    value, gradient = _gradient(at, P)
    # What the sweeps left: one Newton correction further.
    F, _ = riccati_forcing(at.model, P, next(at.columns()))
    gap = solve_discrete_lyapunov(np.sqrt(at.model.follower_discount) * F.T, backup(at.model, P) - P)
    _, further = _gradient(at, P + gap)
    return RouteResult(value, gradient, float(np.abs(gradient - further).max()))


def skip(problem: LinearQuadratic, theta: Array) -> str:
    """Why it is not run, or ""."""
    return "more than 60 states" if problem.model(theta).n_states > 60 else ""


IMPLICIT = Route("implicit", "forward derivative of the Riccati equation", run, skip)
