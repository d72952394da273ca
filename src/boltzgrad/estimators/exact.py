"""The exact hypergradient, in the clothes of an estimator: the reference curve of every experiment.

For tabular returns it is Theorem 1 in expectation, with stacked solves for all θ at once (tested against
`boltzgrad.hypergradient`); everything else asks `boltzgrad.hypergradient` itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.one_by_one import OneByOne
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.cotangents import TabularCotangents
from boltzgrad.estimators.tabular.worlds import TabularWorlds, as_tabular, stackable
from boltzgrad.families.registry import hypergradient
from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False, kw_only=True)
class NoisyExact(Estimator):
    """∇J + (g₁ − g₂)/√2 with two independent estimates by `like`: the exact gradient with that estimator's own covariance.

    What it does and `like` does not shows the estimator's bias; what both do shows its noise.

    Source: this library's own control; no paper's method.
    """

    like: Estimator
    name: ClassVar[str] = "noisy-exact"
    label: ClassVar[str] = "exact + noise"

    def check(self, problem: Any) -> None:
        """As `like` refuses."""
        self.like.check(problem)

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _NoisyRun(self.like, problem, draws)


class _NoisyRun(Run):
    def __init__(self, like: Estimator, problem: Any, draws: Draws) -> None:
        self.exact = ExactGradient().run(problem, draws)
        self.pair = [like.run(problem, draws.below(name)) for name in ("first", "second")]

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        for run in (self.exact, *self.pair):
            run.temperature = self.temperature
        a, b = (run.estimate(thetas, lane_theta) for run in self.pair)
        exact = self.exact.estimate(thetas, lane_theta).gradient
        return Estimates(exact + (a.gradient - b.gradient) / np.sqrt(2.0), a.steps + b.steps)


@dataclass(frozen=True, eq=False, kw_only=True)
class ExactGradient(Estimator):
    """∇J without error of sampling; every lane of one θ gets the same numbers.

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), Theorem 1, (5), in expectation.
    """

    name: ClassVar[str] = "exact"
    label: ClassVar[str] = "exact hypergradient"

    def check(self, problem: Any) -> None:
        """Nothing is refused."""

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _Stacked(as_tabular(problem)) if stackable(problem) else OneByOne(problem, _hypergradient)


class _Stacked(Run):
    """All worlds solved at once."""

    def __init__(self, problem: ConfigurableMDP) -> None:
        self.problem = problem
        self.worlds: TabularWorlds | None = None

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        places = every_context(self.problem, thetas)
        self.worlds = TabularWorlds(self.problem, thetas, **places, previous=self.worlds, temperature=self.temperature)
        if not shares(self.worlds).all():
            # No lane stands for a context of probability zero, and ∇ of that probability still counts.
            single = OneByOne(self.problem, _hypergradient)
            single.temperature = self.temperature
            return single.estimate(thetas, lane_theta)
        gradient = in_expectation(self.worlds)
        lanes = np.arange(len(thetas)) if lane_theta is None else lane_theta
        return Estimates(gradient[lanes], np.zeros(lanes.size, int))


def every_context(problem: ConfigurableMDP, thetas: Array) -> dict[str, Array]:
    """One lane for each context of each θ, as `TabularWorlds` takes them."""
    n, contexts = len(thetas), len(problem.contexts(thetas[0]).models)
    return {"lane_theta": np.repeat(np.arange(n), contexts), "contexts": np.tile(np.arange(contexts), n)}


def shares(w: TabularWorlds) -> Array:
    """The probability of each lane's context."""
    return np.array([w.probability_of(lane) for lane in range(w.lanes)])


def in_expectation(w: TabularWorlds, *, guided: bool = True) -> Array:
    """Theorem 1 under the policy and V_F of worlds with `every_context`, (n_theta, d); unless `guided` its first terms."""
    v, q = w.leader
    visits = w.occupancy()[:, :, None] * w.acting
    sums = TabularCotangents(w)
    sums.add_expected_direct(visits)
    if guided:
        sums.add_white_box(visits * (q - v[:, :, None]) / w.tau)
    weighted = shares(w)[:, None] * sums.gradients()
    return np.asarray(weighted.reshape(len(w.thetas), -1, weighted.shape[1]).sum(axis=1))


def _hypergradient(problem: Any, theta: Array) -> Array:
    return np.asarray(hypergradient(problem, theta).gradient)
