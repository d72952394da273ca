"""How well a follower has to be trained for the hypergradient to be right to a given error: a proved answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import InvalidOption
from boltzgrad.families.registry import family_of, hypergradient
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.error_bound import cotangent_error, paired
from boltzgrad.families.tabular.reference import TabularHypergradient
from boltzgrad.followers.learner import positive_number
from boltzgrad.followers.suboptimal import checked_reference, table_of
from boltzgrad.solvers.enclosing import enclose_value
from boltzgrad.solvers.follower import FollowerSolution
from boltzgrad.solvers.perturbation import FollowerErrors, follower_errors

_HALVINGS = 40
_DECADES = 30.0


def required_accuracy(problem: Any, theta: Any, error: float, *, reference: Hypergradient | None = None) -> float:
    """A soft Bellman residual ‖TV° − V°‖_∞ of the follower that keeps the hypergradient within `error` of ∇J [reward].

    Proved for every V° with such a residual and its policy π° ∝ π⁰ exp(Q°/τ), Q° = r_F + γ_F P V°, put into BC-HG (5): each
    entry of the gradient is then within `error` [J/θ].  It may be far smaller than a given follower needs: `bg.approximate`
    has the error of that one.  `reference` is an earlier result of `bg.hypergradient`.

    Raises: InvalidOption where `error` is not positive, or smaller than what the reference itself is known to, or where no
    residual can be proved to do (an objective f(θ, π) without `variation`).

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> theta = problem.initial_theta(seed=0)
    >>> needed = bg.required_accuracy(problem, theta, 1e-3)
    >>> learnt = bg.followers.SoftValueIteration(400).train(problem.model(theta))
    >>> found = bg.approximate(problem, theta, policy=learnt.policy)
    >>> learnt.residual < needed, bool(abs(found.error).max() < 1e-3)
    (True, True)
    """
    size = positive_number("error", error)
    family_of(problem, theta)
    theta = problem.check_theta(theta)
    checked_reference(reference, problem, theta)
    table = table_of(problem, theta)
    exact = reference if table.problem is problem and reference is not None else hypergradient(table.problem, theta)
    assert isinstance(exact, TabularHypergradient)
    own = exact.coordinate_bounds
    if not own.max() < size:
        raise InvalidOption(
            f"error is {size:.3g}, and the reference is itself known to {own.max():.3g} only; ask for more than that"
        )
    columns = list(exact.linearised.columns())
    largest = min(float(np.max(s.model.unit)) * s.model.temperature for s in exact.contexts)

    def within(residual: float) -> bool:
        with np.errstate(invalid="ignore", over="ignore"):
            return bool(np.all(_moved(exact, columns, residual) + own <= size))

    high = np.log(largest) + 5.0
    low = high - _DECADES * np.log(10.0)
    if not within(float(np.exp(low))):
        raise InvalidOption(
            f"no residual down to {np.exp(low):.1e} is proved to keep the error within {size:.3g}: the bound is vacuous here"
        )
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if within(float(np.exp(middle))) else (low, middle)
    return float(np.exp(low))


def _moved(exact: TabularHypergradient, columns: list[ContextualArrays], residual: float) -> Array:
    """The most (d,) that the gradient can move by for followers within a residual, given in the units of the reward."""
    problem, theta, eps = exact.problem, exact.theta, exact.problem.entry_error
    errors, beside, values = [], np.zeros(theta.size), []
    for weight, s in zip(exact.linearised.model.probabilities, exact.contexts, strict=True):
        known = _errors(s.follower, residual, eps)
        error, direct, value = cotangent_error(problem, theta, s, eps, known)
        errors.append(error.scaled(float(weight)))
        beside += float(weight) * direct
        values.append(value)
    total = ContextualArrays(tuple(errors), np.array(values))
    moved = np.array([paired(column, exact.contextual_cotangent, total, eps) for column in columns])
    return np.asarray(np.where(np.isnan(moved + beside), np.inf, moved + beside))


def _errors(follower: FollowerSolution, residual: float, eps: float) -> FollowerErrors:
    """How far (V°, Q°, π°) with a residual can be from the computed optimum."""
    model, own = follower.model, follower_errors(follower.model, follower, eps)
    tau, gamma, kernel = model.temperature, model.follower_discount, model.follower_kernel
    largest = np.broadcast_to(residual / model.unit, (model.n_states,)).astype(float)
    apart = enclose_value(follower.system, largest, lambda r: float(np.expm1(min(4.0 * gamma * r / tau, 700.0))))
    value = own.value + apart
    further = (1.0 + eps) * gamma * kernel.expect(apart)
    λ = np.log1p(own.relative) + (further + further.max(axis=1)[:, None]) / tau
    relative = np.expm1(np.minimum(λ, 700.0))
    policy = np.minimum(relative * follower.policy + own.policy, 1.0)
    kappa = float((1.0 + own.kappa) * np.exp(np.minimum(λ.max(), 700.0)) - 1.0)
    return FollowerErrors(value, own.q + further, relative, policy, kappa)
