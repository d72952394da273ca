"""The reference hypergradient: value, gradient, how wrong they can be, and what they were made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.errors import InvalidOption
from boltzgrad.gradients.tabular.adjoint import ContextSolution, assemble, solve_context
from boltzgrad.gradients.tabular.error_bound import coordinate_bounds, magnitudes
from boltzgrad.gradients.tabular.error_estimate import rounding_estimate
from boltzgrad.problems.configurable import ConfigurableMDP, LinearisedBuild
from boltzgrad.problems.contexts import ContextualArrays
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.tabular import TabularArrays
from boltzgrad.solvers import FollowerSolution, LeaderSolution


@dataclass(frozen=True, eq=False)
class Hypergradient:
    """J(θ) and ∇J(θ) with their exact solutions.

    `value` (float), `gradient` (d,), `contexts` the solved models.  Computed when first asked for:
    `coordinate_bounds` (d,), a proved bound on each entry's error, and `error_bound`, their maximum (infinite when vacuous);
    `error_estimate`, a sharp estimate of ‖error‖_∞; `magnitude`, the size of the terms the gradient is a sum of.
    """

    value: float
    gradient: Array
    theta: Array
    problem: ConfigurableMDP
    contexts: tuple[ContextSolution, ...]
    linearised: LinearisedBuild
    contextual_cotangent: ContextualArrays
    outside: Array

    def __repr__(self) -> str:
        return (
            f"<Hypergradient J = {self.value:.12g}, ‖∇J‖ = {np.linalg.norm(self.gradient):.6g}, d = {self.theta.size}>"
        )

    @property
    def follower(self) -> FollowerSolution:
        """The follower's exact answer, where there is one context."""
        return self._only("follower").follower

    @property
    def leader(self) -> LeaderSolution | None:
        """The leader's values, where there is one context; None for a general objective f(θ, π)."""
        return self._only("leader").leader

    @property
    def cotangent(self) -> TabularArrays | ContextualArrays:
        """∂J/∂(each array of the model), as a pull-back receives it."""
        full = self.contextual_cotangent
        return full.models[0] if len(full.models) == 1 else full

    @cached_property
    def coordinate_bounds(self) -> Array:
        """A proved bound on the error of each entry of `gradient` (d,); see `tabular/error_bound.py`."""
        return coordinate_bounds(
            self.problem, self.theta, self.linearised, self.contexts, self.contextual_cotangent, self.outside
        )

    @property
    def error_bound(self) -> float:
        """A proved bound on ‖error‖_∞ of `gradient`; infinite when vacuous."""
        return float(self.coordinate_bounds.max())

    @cached_property
    def error_estimate(self) -> float:
        """A sharp first-order estimate of ‖error‖_∞ of `gradient`; see `tabular/error_estimate.py`."""
        return rounding_estimate(self.problem, self.theta, self.linearised, self.contexts, self.gradient)

    @cached_property
    def magnitude(self) -> float:
        """The largest sum of absolute terms in any entry: where it exceeds ‖∇J‖ the gradient is a cancellation."""
        return float((magnitudes(self.linearised, self.contextual_cotangent) + np.abs(self.outside)).max())

    def _only(self, what: str) -> ContextSolution:
        if len(self.contexts) != 1:
            raise InvalidOption(f"this problem has {len(self.contexts)} contexts; use contexts[i].{what}")
        return self.contexts[0]


def hypergradient(
    problem: ConfigurableMDP,
    theta: Any,
    *,
    warm_start: Hypergradient | None = None,
    tolerance: float | None = None,
) -> Hypergradient:
    r"""The exact hypergradient ∇J(θ) by Newton and one adjoint solve.

    Shapes: theta (d,) -> gradient (d,).  Source: BC-HG Theorem 1, (5), in adjoint form; SoBiRL (24) for a
    general objective.  `warm_start` is an earlier result of the same problem, whose values start Newton.
    `tolerance` is the follower's residual ‖TV − V‖_∞ to stop at (by default, what float64 can reach and one refinement
    in extended precision); `error_bound` covers what is left.
    Checked by: covariance, hpgd, implicit, complex-step, differences, unrolled, conic (`boltzgrad.verify`).
    Raises: InvalidTheta, InvalidModel, NotDifferentiable, NotConverged.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("four-rooms", temperature=0.003)
    >>> ref = bg.hypergradient(problem, problem.initial_theta(seed=0))
    >>> ref.gradient.shape, bool(ref.error_bound < 1e-6)
    ((105,), True)
    """
    if not isinstance(problem, ConfigurableMDP):
        raise InvalidOption(f"problem is a {type(problem).__name__}; expected a ConfigurableMDP or a zoo problem")
    linearised = problem.linearise(theta)
    theta = problem.check_theta(theta)
    starts: list[Array | None] = [None] * len(linearised.contexts.models)
    if warm_start is not None:
        starts = [s.follower.value for s in warm_start.contexts]
        if len(starts) != len(linearised.contexts.models):
            raise InvalidOption(f"warm_start has {len(starts)} contexts, the problem {len(linearised.contexts.models)}")
    solutions = tuple(
        solve_context(model, problem, theta, warm_start=start, tolerance=tolerance)
        for model, start in zip(linearised.contexts.models, starts, strict=True)
    )
    value, cotangent, outside = assemble(problem, theta, linearised.contexts, solutions)
    return Hypergradient(
        value=value,
        gradient=linearised.pullback(cotangent) + outside,
        theta=theta,
        problem=problem,
        contexts=solutions,
        linearised=linearised,
        contextual_cotangent=cotangent,
        outside=outside,
    )
