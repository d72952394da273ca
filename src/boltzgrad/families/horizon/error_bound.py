"""A proved bound on a finite-horizon hypergradient's error, entry by entry: the formula again in ball arithmetic.

Every number of the model is a ball of relative radius `problem.entry_error`; what comes out holds the exact cotangents, and
from there on the bound is that of tables (`families/tabular/error_bound.py`, step 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.families.horizon.adjoint import HorizonSolution, plan, solve
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.error_bound import EPS, through_columns
from boltzgrad.solvers.entrywise import BallArithmetic, Entrywise

if TYPE_CHECKING:
    from boltzgrad.families.horizon.reference import HorizonHypergradient


def coordinate_bounds(found: HorizonHypergradient, among: Sequence[int]) -> Array:
    """The bounds on the entries `among` those of the gradient [J/θ_j], one push-forward for each."""
    problem, linearised, eps = found.problem, found.linearised, found.problem.entry_error
    errors, values, beside = [], [], np.zeros(problem.dim)
    with np.errstate(all="ignore"):
        for weight, solved in zip(linearised.model.probabilities, found.contexts, strict=True):
            balls, direct = _in_balls(problem.objective, found.theta, solved, eps)
            exact: Any = balls.arrays.parts()
            stored = zip(exact, solved.arrays.parts(), strict=True)
            off = solved.arrays.of(tuple(b.rad + np.abs(b.mid - x) for b, x in stored))
            errors.append(off.scaled(float(weight) * (1.0 + eps)))
            values.append(float(balls.value.rad))
            beside += float(weight) * direct
        return through_columns(
            problem,
            found.theta,
            linearised,
            found.contextual_cotangent,
            ContextualArrays(tuple(errors), np.array(values)),
            found.outside,
            beside,
            found.gradient,
            found.solved_again,
            among,
        )


def _in_balls(objective: Any, theta: Array, solved: HorizonSolution, eps: float) -> tuple[HorizonSolution, Array]:
    """(the solution in balls, the error of ∂f/∂θ at fixed policy (d,))."""
    ops: Any = BallArithmetic(eps)
    if not isinstance(objective, PolicyObjective):
        return solve(solved.model, ops), np.zeros(theta.size)
    assert solved.slope is not None
    assert solved.direct is not None
    policies = plan(solved.model, ops)[2]
    policy, e_pi = np.stack([p.mid for p in policies]), np.stack([p.rad for p in policies])
    if objective.variation is None:
        direct, e_q = np.full(theta.size, np.inf), np.full(policy.shape, np.inf)
    else:
        direct, e_q = objective.variation(theta, policy, e_pi)
    slope = Entrywise(solved.slope, e_q + 4 * EPS * np.abs(solved.slope))
    off = float((e_pi * (np.abs(slope.mid) + slope.rad)).sum()) + 8 * EPS * abs(float(solved.value))
    value = Entrywise(np.asarray(solved.value), np.asarray(off))
    return solve(solved.model, ops, (value, solved.direct, slope)), direct + 8 * EPS * np.abs(solved.direct)  # type: ignore[arg-type]
