"""Methods that read the model and draw nothing: one gradient for each θ, the same in every lane of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.estimator import Estimates, Run


class OneByOne(Run):
    """`gradient(problem, theta)` for each θ."""

    def __init__(self, problem: Any, gradient: Callable[[Any, Array], Array]) -> None:
        self.problem, self.gradient = problem, gradient

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        self.refuse_temperature(self.problem)
        gradient = np.stack([self.gradient(self.problem, theta) for theta in thetas])
        lanes = np.arange(len(thetas)) if lane_theta is None else lane_theta
        return Estimates(gradient[lanes], np.zeros(lanes.size, int))
