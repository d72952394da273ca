"""J and ∇J along a run, exactly: what every learning curve is drawn from, whatever the method saw."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.estimator import Run
from boltzgrad.estimators.exact import ExactGradient
from boltzgrad.estimators.gaussian.worlds import GaussianWorlds, closed_form
from boltzgrad.estimators.streams import Stream
from boltzgrad.estimators.tabular.worlds import TabularWorlds, as_tabular, stackable
from boltzgrad.families.registry import hypergradient


class Evaluator:
    """J (L,) and ∇J (L, d) of one problem at many θ; warm-started, stacked where that is possible."""

    def __init__(self, problem: Any) -> None:
        self.problem = problem
        self.stacked, self.closed_form = stackable(problem), closed_form(problem)
        self._exact: Any = None
        self._worlds: TabularWorlds | None = None

    def objective(self, thetas: Array, run: Run | None = None) -> Array:
        """J at every row; a `run` on the same problem that has just solved its worlds there lends them."""
        lent = getattr(run, "worlds", None)
        if lent is not None and self._serves(lent, thetas):
            return np.asarray(lent.objective())
        lanes = np.arange(len(thetas))
        if self.closed_form:
            return GaussianWorlds(self.problem, thetas, lanes).objective()
        if not self.stacked:
            return np.array([hypergradient(self.problem, theta).value for theta in thetas])
        tabular = as_tabular(self.problem)
        self._worlds = TabularWorlds(tabular, thetas, lanes, contexts=0 * lanes, previous=self._worlds)
        return self._worlds.objective()

    def _serves(self, worlds: Any, thetas: Array) -> bool:
        """Whether worlds are this problem's at these θ, of a follower that is the optimal one at its own temperature."""
        kind = GaussianWorlds if self.closed_form else TabularWorlds if self.stacked else None
        if kind is None or type(worlds) is not kind or worlds.problem is not self.problem:
            return False
        if isinstance(worlds, TabularWorlds) and (worlds.continued or worlds.acting is not worlds.policy):
            return False
        return bool(np.array_equal(worlds.thetas, thetas))

    def gradient(self, thetas: Array) -> Array:
        """∇J at every row."""
        if self._exact is None:
            self._exact = ExactGradient().open(self.problem, [Stream(0)] * len(thetas))
        return np.asarray(self._exact.estimate(thetas).gradient)


def cosine(a: Array, b: Array) -> Array:
    """The cosine of every pair of rows; NaN where one of them is zero."""
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0.0))
