"""J of a linear-quadratic problem by doubling, for differencing."""

from __future__ import annotations

import numpy as np

from boltzgrad.gradients.differences import Evaluator, difference_routes
from boltzgrad.gradients.lqr.sweeps import cost_matrix, value
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import LinearQuadratic


class LQEvaluator(Evaluator):
    """J(θ) of a `LinearQuadratic`."""

    def __init__(self, problem: LinearQuadratic) -> None:
        self.problem = problem
        self._start: Array | None = None

    def __call__(self, theta: Array) -> complex:
        """J at θ."""
        model = self.problem.build(theta)
        P, sweeps, change = cost_matrix(model, self._start)
        self.change = max(self.change, change)
        if self._start is None:
            # Multiplications; a step in Python is worth a hundred thousand.
            self.work = 40.0 * (sweeps + 20.0) * (model.n_states**3 * 8.0 + 1e4)
            self._start = P
        return complex(np.asarray(value(model, P)).item())

    def units(self, theta: Array) -> Array:
        """The problem's own natural steps (d,)."""
        units: Array = self.problem.array_map(theta).units
        return units


COMPLEX, DIFFERENCES = difference_routes(LQEvaluator, "Riccati doubling")
