"""J of a linear-quadratic problem by doubling, for differencing.

The steps are natural ones, by `natural_units.py`, which the reference uses, too, from this route's own P; J itself is
computed in the user's units.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.doubling import Powers, cost_matrix, gain
from boltzgrad.families.lqr.natural_units import units_of
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.sweeps import value, value_rounding
from boltzgrad.witnesses.differences import Evaluator, difference_routes


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
            self._start, self.rounding = P, value_rounding(model, P)
        return complex(np.asarray(value(model, P)).item())

    def units(self, theta: Array) -> Array:
        """The problem's own natural steps (d,)."""
        model = self.problem.model(theta)
        P, _, _ = cost_matrix(model)
        powers = Powers(gain(model, P)[1], model.follower_discount)
        scales = units_of(model, P).scales(model, powers.longest)
        return replace(self.problem.array_map(theta), scales=scales.parts()).units


COMPLEX, DIFFERENCES = difference_routes(LQEvaluator, "Riccati doubling")
