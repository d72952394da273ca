"""What the rounding of a traced build, of its arrays and of its derivative, does to the gradient: measured, not proved.

Every operation of the build is rounded at random (`core/stochastic.py`), and the change of the gradient is looked at:
of the pull-back alone, and of everything solved again for the arrays that come out.  Zero where a derivative was written by
hand, or by another framework: those are taken to be right to the problem's `entry_error`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.stochastic import scatter
from boltzgrad.errors import BoltzgradError
from boltzgrad.families.tabular.adjoint import ContextSolution, assemble, solve_context
from boltzgrad.families.tabular.contexts import ContextualArrays, arrays_of
from boltzgrad.families.tabular.linearise import unflatten
from boltzgrad.families.tabular.problem import ConfigurableMDP, LinearisedBuild

RUNS, _SEED = 6, 20_261_126
Again = Callable[[ConfigurableMDP, ContextualArrays], Array]


def build_rounding(
    problem: ConfigurableMDP,
    theta: Array,
    linearised: LinearisedBuild,
    cotangent: ContextualArrays,
    gradient: Array,
    again: Again,
    runs: int = RUNS,
) -> Array:
    """The largest change (d,) of the gradient; infinite where rounded arrays make no model.

    `again(problem, arrays)` is the gradient of a problem for other arrays, pulled back as before.
    """
    beside: Array = _regulariser(problem, theta, runs) + _objective(problem, theta, linearised, gradient, again, runs)
    if linearised.rounded is None:
        return np.asarray(beside)
    rng, largest = np.random.default_rng(_SEED), np.zeros_like(gradient)
    parts, like = cotangent.parts(), arrays_of(linearised.model)
    pulled = linearised.pullback(cotangent)
    for _ in range(runs):
        own = np.abs(linearised.rounded.pull(parts, rng) - pulled)
        arrays = unflatten(list(linearised.rounded.parts(rng)), like)
        largest = np.maximum(largest, own + np.abs(_or_infinite(again, problem, arrays) - gradient))
    return np.asarray(largest + beside)


def _or_infinite(again: Again, problem: ConfigurableMDP, arrays: ContextualArrays) -> Array:
    try:
        return again(problem, arrays)
    except BoltzgradError:
        return np.full(problem.dim, np.inf)


def _regulariser(problem: ConfigurableMDP, theta: Array, runs: int) -> Array:
    """The largest change (d,) of the regulariser's traced gradient; zero where it was written by hand."""
    regulariser = problem.regulariser
    if regulariser is None or regulariser.gradient is not None:
        return np.zeros(theta.size)
    rng, slope = np.random.default_rng(_SEED), grad(regulariser.function)
    here = regulariser.gradient_at(theta)
    return np.asarray(np.max([np.abs(np.asarray(scatter(slope, theta, rng)) - here) for _ in range(runs)], axis=0))


def _objective(
    problem: ConfigurableMDP,
    theta: Array,
    linearised: LinearisedBuild,
    gradient: Array,
    again: Again,
    runs: int,
) -> Array:
    """The largest change (d,) when a general objective's traced gradients are rounded; zero where they were written by hand."""
    objective = problem.objective
    if not isinstance(objective, PolicyObjective) or objective.gradient is not None:
        return np.zeros(theta.size)
    rng, largest = np.random.default_rng(_SEED), np.zeros(theta.size)

    def rounded(t: Array, policy: Array) -> tuple[Array, Array]:
        def joint(x: Any) -> Any:
            return objective.function(x[: t.size], anp.reshape(x[t.size :], policy.shape))

        x = np.asarray(scatter(grad(joint), np.concatenate([t, policy.ravel()]), rng), float)
        return x[: t.size], x[t.size :].reshape(policy.shape)

    other = copy.copy(problem)
    other.objective = PolicyObjective(objective.function, rounded, objective.variation)
    for _ in range(runs):
        moved = _or_infinite(again, other, arrays_of(linearised.model))
        largest = np.maximum(largest, np.abs(moved - gradient))
    return largest


def solved_again(theta: Array, linearised: LinearisedBuild, solutions: tuple[ContextSolution, ...]) -> Again:
    """How tabular models are solved again, from the old values."""

    def again(problem: ConfigurableMDP, arrays: ContextualArrays) -> Array:
        models = [s.model.with_arrays(a.clipped()) for s, a in zip(solutions, arrays.models, strict=True)]
        solved = tuple(
            solve_context(model, problem, theta, warm_start=s.follower.value)
            for model, s in zip(models, solutions, strict=True)
        )
        _, cotangent, outside = assemble(problem, theta, np.maximum(arrays.probabilities, 0.0), solved)
        return np.asarray(linearised.pullback(cotangent) + outside)

    return again
