r"""The Riccati equation as a semidefinite program whose dual block is the adjoint Lyapunov solution.

    maximise <C, P>  subject to  [[Q + γA'PA − P, γA'PB], [γB'PA, R + γB'PB]] ⪰ 0

has the Riccati solution as its optimum for every C ≻ 0, and the multiplier's (x, x) block is Z = γFZF' + C.
Source: derivation `riccati-program-dual`.
The signed ∂J/∂P is the difference of two positive definite C's.  Centred at P̂ (P = P̂ + D), scaled by ‖P̂‖.
The explicit part of the derivative is autograd's.  Needs the extra `conic`.

An interior point method has tolerances, so it is given the problem in natural units, `natural_units.py`, which the
reference uses, too: powers of two, here made from another solution of the Riccati equation (`doubling.py`).  P and Z
themselves are Clarabel's alone.
"""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.errors import MissingExtra, Unfinished
from boltzgrad.families.lqr.doubling import Powers, cost_matrix, gain
from boltzgrad.families.lqr.explicit import explicit, riccati_forcing
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.families.lqr.natural_units import units_of
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.sweeps import backup, value_rounding

_TOLERANCES = (1e-12, 1e-10, 1e-8)
_ROUNDS = 3
_FAR = 1e-2  # a program's P that one Newton step still moves by this has not been solved
STATE_LIMIT = 10


def program(model: LQModel, centre: Array, C: Array) -> tuple[Array, Array]:
    """(P, Z): the optimum and the multiplier's state block, for an objective C ≻ 0.  Raises: Unfinished."""
    import cvxpy as cp

    gamma, A, B, n = model.follower_discount, model.A, model.B, model.n_states
    scale, weight = max(float(np.linalg.norm(centre)), 1.0), float(np.abs(C).max())
    D = cp.Variable((n, n), symmetric=True)
    P = centre + scale * D
    block = cp.bmat(
        [[model.Q + gamma * A.T @ P @ A - P, gamma * A.T @ P @ B], [gamma * B.T @ P @ A, model.R + gamma * B.T @ P @ B]]
    )
    positive = (block + block.T) / (2 * scale) >> 0
    problem = cp.Problem(cp.Maximize(cp.trace(C / weight @ D)), [positive])
    for tolerance in _TOLERANCES:
        options = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # accuracy is measured by the caller
            try:
                problem.solve(solver=cp.CLARABEL, max_iter=200, **options)
            except cp.error.SolverError:
                continue
        if problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            Z = np.asarray(positive.dual_value)[:n, :n]
            return centre + scale * np.asarray(D.value), weight * (Z + Z.T) / 2
    raise Unfinished("Riccati semidefinite program: Clarabel gave no solution")


def _refined(model: LQModel) -> Array:
    """P from programs centred at one another's answers: the one whose Riccati residual is measured smallest."""
    n = model.n_states
    best, least, centre = np.zeros((n, n)), np.inf, np.array(model.Q)
    for _ in range(_ROUNDS):
        centre, _ = program(model, centre, np.eye(n))
        left = float(np.abs(backup(model, centre) - centre).max())
        if left < least:
            best, least = centre, left
    return best


def _dual(model: LQModel, P: Array, F: Array, load: Array) -> Array:
    """Z = γFZF' + load as differences of duals, refined by programs in what is left."""
    gamma, Z, left = model.follower_discount, np.zeros_like(load), load
    for _ in range(_ROUNDS):
        size = float(np.linalg.norm(left, 2))
        if size == 0.0:
            break
        eye = 1.5 * size * np.eye(len(load))
        step = program(model, P, eye + left)[1] - program(model, P, eye)[1]
        rest = load - (Z + step - gamma * F @ (Z + step) @ F.T)
        if np.linalg.norm(rest) > 0.5 * np.linalg.norm(left):
            break
        Z, left = Z + step, rest
    return Z


def _assemble(model: LQModel, columns: list[LQArrays], P: Array, Z: Array) -> tuple[float, Array]:
    J, direct, _ = explicit(model, P)
    out = []
    for column in columns:
        _, forcing = riccati_forcing(model, P, column)
        moved = sum(float((c * s).sum()) for c, s in zip(direct.parts(), column.parts(), strict=True))
        out.append(moved + float((Z * forcing).sum()))
    return J, np.array(out)


def run(problem: LinearQuadratic, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,).  Raises: MissingExtra, Unfinished."""
    if importlib.util.find_spec("cvxpy") is None:
        raise MissingExtra("the conic route needs cvxpy: pip install 'boltzgrad[conic]'")
    at = problem.linearise(theta)
    units = units_of(at.model, cost_matrix(at.model)[0])
    model, columns = units.model(at.model), [units.arrays(column) for column in at.columns()]
    P = _refined(model)
    _, F = gain(model, P)
    powers = Powers(F, model.follower_discount)
    Z = _dual(model, P, F, explicit(model, P)[2])
    value, gradient = _assemble(model, columns, P, Z)
    # Measured, not believed: one correction of P and of Z, and the change that it makes.
    better = P + powers.backward(backup(model, P) - P)
    moved = float(np.abs(better - P).max() / np.abs(P).max())
    if not moved <= _FAR:
        raise Unfinished(f"Clarabel's P is moved by {moved:.1e} of its size by one Newton step")
    _, F = gain(model, better)
    load = explicit(model, better)[2]
    corrected = Z + Powers(F, model.follower_discount).forward(load - (Z - model.follower_discount * F @ Z @ F.T))
    again, further = _assemble(model, columns, better, corrected)
    return RouteResult(
        units.reward * value,
        units.reward * gradient,
        2.0 * units.reward * np.abs(gradient - further),
        value_error=units.reward * (2.0 * abs(value - again) + value_rounding(model, better)),
    )


def skip(problem: LinearQuadratic, theta: Array) -> str:
    """Why the program is not solved, or ""."""
    if importlib.util.find_spec("cvxpy") is None:
        return "cvxpy is not installed: pip install 'boltzgrad[conic]'"
    return f"more than {STATE_LIMIT} states" if problem.model(theta).n_states > STATE_LIMIT else ""


CONIC = Route("conic", "Riccati semidefinite program; its dual block is the adjoint", run, skip)
