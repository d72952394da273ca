"""Zero-order: a difference quotient of J along a random direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.worlds import TabularWorlds, as_tabular
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.registry import hypergradient
from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False, kw_only=True)
class ZeroOrder(Estimator):
    r"""$[J(\theta + uz) - J(\theta)]\,z/u$ with z ~ N(0, I).

    `radius` C gives u_t = C/t in the t-th call of a run (`decay=False`: u = C).  `central` takes
    [J(θ + uz) − J(θ − uz)]/(2u), whose bias is of order u² instead of u.  J is exact: the method's oracle.

    Source: HPGD (Thoma, Pásztor, Krause, Ramponi, Hu 2024, arXiv:2406.01575), Algorithm 8.
    """

    name: ClassVar[str] = "zero-order"
    label: ClassVar[str] = "zero-order"
    radius: float = 0.1
    decay: bool = True
    central: bool = False

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for a radius that is not positive."""
        if not self.radius > 0.0:
            raise InvalidOption(f"radius is {self.radius!r}; expected a positive number")

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _ZeroOrderRun(self, problem, draws)


class _ZeroOrderRun(Run):
    def __init__(self, estimator: ZeroOrder, problem: Any, draws: Draws) -> None:
        self.estimator, self.problem, self.draws = estimator, problem, draws
        self.calls = 0
        self.previous: dict[str, TabularWorlds] = {}

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        self.calls += 1
        e = self.estimator
        u = e.radius / self.calls if e.decay else e.radius
        lanes = np.arange(len(thetas)) if lane_theta is None else lane_theta
        z = self.draws.normal("direction", thetas.shape[1])
        theta = thetas[lanes]
        ahead = self._values(theta + u * z, "ahead")
        behind = self._values(theta - u * z, "behind") if e.central else self._values(thetas, "here")[lanes]
        slope = (ahead - behind) / (2.0 * u if e.central else u)
        return Estimates(slope[:, None] * z, np.zeros(lanes.size, int))

    def _values(self, thetas: Array, name: str) -> Array:
        """J of each row."""
        if isinstance(self.problem, (ConfigurableMDP, MarkovGame)):
            problem = as_tabular(self.problem)
            if not isinstance(problem.objective, PolicyObjective):
                first = np.arange(len(thetas))
                previous, zero = self.previous.get(name), 0 * first
                worlds = TabularWorlds(
                    problem, thetas, first, contexts=zero, previous=previous, temperature=self.temperature
                )
                self.previous[name] = worlds
                return worlds.objective()
        self.refuse_temperature(self.problem)
        return np.array([hypergradient(self.problem, theta).value for theta in thetas])
