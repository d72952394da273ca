"""What every estimator is: a description of a method, from which runs on a problem are opened.

An `Estimator` is a frozen record of options.  `estimator(problem, theta, rng)` is one estimate; `batches(problem, theta, n,
rng)` is n independent ones; `open(problem, streams)` begins a run whose critics and warm starts live on from one call to
the next, in as many lanes (seeds) as there are streams.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.sampling import positive_count
from boltzgrad.estimators.streams import Draws, Stream


@dataclass(frozen=True, eq=False)
class Estimates:
    """One estimate in every lane: `gradient` (L, d), environment `steps` used (L,), and J(θ) where the method knows it."""

    gradient: Array
    steps: Array


class Run(ABC):
    """An estimator at work on one problem, in L lanes.

    `temperature`, if set, takes the place of the problem's own (temperature continuation); tabular problems only.
    """

    temperature: float | None = None

    def refuse_temperature(self, problem: Any) -> None:
        """For runs that only know the problem's own temperature.  Raises: InvalidOption if another one is set."""
        if self.temperature is not None:
            raise InvalidOption(
                f"temperature is set to {self.temperature:g}; continuation is for tabular problems with a leader's reward, "
                f"not for {problem!r}"
            )

    @abstractmethod
    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """One estimate a lane at θ = thetas[lane_theta[lane]] (by default lane i at row i)."""


class Estimator(ABC):
    """A method of estimating ∇J, with its options."""

    name: ClassVar[str]
    label: ClassVar[str]

    @abstractmethod
    def check(self, problem: Any) -> None:
        """Refuses problems that the method cannot be applied to.  Raises: InvalidOption, with the reason."""

    @abstractmethod
    def _open(self, problem: Any, draws: Draws) -> Run: ...

    def run(self, problem: Any, draws: Draws) -> Run:
        """A run that draws from `draws`.  Raises: as `open`."""
        self.check(problem)
        return self._open(problem, draws)

    def open(self, problem: Any, streams: list[Stream]) -> Run:
        """A run with one lane a stream.  Raises: InvalidOption before the first sample where the method does not apply."""
        return self.run(problem, Draws(list(streams), len(streams)))

    def batches(self, problem: Any, theta: Any, n: int, rng: np.random.Generator) -> Array:
        """N independent estimates (n, d) at θ, each from a batch and critics of its own.  Raises: as `open`."""
        positive_count("n", n)
        if not isinstance(problem, ParametricProblem):
            raise InvalidOption(f"problem is {problem!r}; expected a ConfigurableMDP, MarkovGame or LinearQuadratic")
        self.check(problem)
        if not isinstance(rng, np.random.Generator):
            raise InvalidOption(f"rng is {rng!r}; expected a NumPy generator, np.random.default_rng(seed)")
        theta = problem.check_theta(theta)
        out, done = np.empty((n, theta.size)), 0
        while done < n:
            lanes = min(n - done, self.lanes_at_once)
            run = self._open(problem, Draws(rng, lanes))
            out[done : done + lanes] = run.estimate(theta[None], np.zeros(lanes, int)).gradient
            done += lanes
        return out

    def __call__(self, problem: Any, theta: Any, rng: np.random.Generator) -> Array:
        """One estimate (d,)."""
        return np.asarray(self.batches(problem, theta, 1, rng)[0])

    @property
    def lanes_at_once(self) -> int:
        """How many batches are drawn side by side when many are asked for."""
        return 100
