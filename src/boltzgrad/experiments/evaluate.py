"""J and ∇J along a run, exactly: what every learning curve is drawn from, whatever the method saw."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.exact import ExactGradient
from boltzgrad.estimators.streams import Stream
from boltzgrad.estimators.tabular.worlds import TabularWorlds, as_tabular, stackable
from boltzgrad.families.registry import hypergradient


class Evaluator:
    """J (L,) and ∇J (L, d) of one problem at many θ; warm-started, stacked where that is possible."""

    def __init__(self, problem: Any) -> None:
        self.problem = problem
        self.stacked = stackable(problem)
        self._exact: Any = None
        self._worlds: TabularWorlds | None = None

    def objective(self, thetas: Array) -> Array:
        """J at every row."""
        if not self.stacked:
            return np.array([hypergradient(self.problem, theta).value for theta in thetas])
        tabular = as_tabular(self.problem)
        lanes = np.arange(len(thetas))
        self._worlds = TabularWorlds(tabular, thetas, lanes, contexts=0 * lanes, previous=self._worlds)
        return self._worlds.objective()

    def gradient(self, thetas: Array) -> Array:
        """∇J at every row."""
        if self._exact is None:
            self._exact = ExactGradient().open(self.problem, [Stream(0)] * len(thetas))
        return np.asarray(self._exact.estimate(thetas).gradient)


def cosine(a: Array, b: Array) -> Array:
    """The cosine of every pair of rows; NaN where one of them is zero."""
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0.0))
