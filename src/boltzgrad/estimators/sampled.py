"""Estimators made of sampled trajectories: what BC-HG, HPGD, SoBiRL, Naive-PGD and Bi-AC have in common.

A method says what it multiplies with what (`combine`); the family says how trajectories are drawn and how cotangents are put
on the model's arrays (`tabular/`, `gaussian/`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption, unknown
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.gaussian.family import GaussianFamily
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws, generators
from boltzgrad.estimators.tabular.family import TabularFamily
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.followers import Learner


@dataclass(frozen=True, eq=False, kw_only=True)
class SampledEstimator(Estimator):
    """Options of every method that samples trajectories.

    `critic` is a name ("exact", "monte-carlo", "sarsa", "td", "network"; which of them exist depends on the family) or a
    critic of that family.  `as_published` takes the authors' code at its word; what that changes is in each method's
    docstring.

    `follower` None is a follower that is optimal and white-box.  A learner of `boltzgrad.followers` leaves another one at
    each θ, and π and V_F are what it has: BC-HG, HPGD, SoBiRL and Naive-PGD on tables.  With `FromSamples` it is a black
    box: the follower itself acts, and the estimator knows of it what was seen.  `follower_seed` is what `batches` lets it
    learn from, always the same, so that a check measures the bias beside that one follower; in a run each lane has its own.
    """

    takes_follower: ClassVar[bool] = False

    sampling: Sampling = field(default_factory=Sampling)
    critic: Any = "exact"
    as_published: bool = False
    follower: Learner | None = None
    follower_seed: int = 0

    @abstractmethod
    def combine(self, episodes: Any, values: Any) -> None:
        """Puts the method's terms on the batch's cotangents."""

    def family(self, problem: Any) -> TabularFamily | GaussianFamily:
        """How this problem is sampled.  Raises: InvalidOption for a problem of no known family."""
        if isinstance(problem, (ConfigurableMDP, MarkovGame)):
            return TabularFamily(problem)
        if isinstance(problem, LinearQuadratic):
            if problem.model_kind is not LQModel:
                raise InvalidOption(
                    f"{problem!r} has a follower that plans for a number of steps; {self.label} samples one that plans for ever"
                )
            return GaussianFamily(problem)
        raise InvalidOption(f"problem is {problem!r}; expected a ConfigurableMDP, MarkovGame or LinearQuadratic")

    def check(self, problem: Any) -> None:
        """Refuses general objectives f(θ, π), and what the method itself refuses."""
        if not isinstance(self.sampling, Sampling):
            raise InvalidOption(f"sampling is {self.sampling!r}; expected Sampling(episodes=…, horizon=…)")
        for name in ("baseline", "as_published"):
            if not isinstance(getattr(self, name, False), bool):
                raise InvalidOption(f"{name} is {getattr(self, name)!r}; expected True or False")
        family = self.family(problem)
        family.check(self.label)
        self.critic_for(family)
        self._check_follower(problem, family)
        if self.as_published and isinstance(family, TabularFamily) and self.sampling.steps is None:
            raise InvalidOption(
                "as_published needs sampling=Sampling(episodes=…, steps=…): the published code runs environments for a "
                "fixed number of steps"
            )
        sampling = self.sampling
        if isinstance(family, GaussianFamily) and (sampling.steps is not None or sampling.time_limit is not None):
            raise InvalidOption(
                f"sampling is {sampling!r}; linear-quadratic episodes do not end or start again: use horizon=…, not steps "
                "or time_limit"
            )

    def _check_follower(self, problem: Any, family: Any) -> None:
        if self.follower is None:
            return
        if not isinstance(self.follower, Learner):
            raise InvalidOption(
                f"follower is a {type(self.follower).__name__}; expected a learner of boltzgrad.followers"
            )
        if not self.takes_follower:
            raise InvalidOption(
                f"{self.label} takes no follower=: it knows the optimal one; BC-HG, HPGD, SoBiRL and Naive-PGD do"
            )
        if self.as_published:
            raise InvalidOption("follower= does not go with as_published: the published code plans with the model")
        if not isinstance(family, TabularFamily):
            raise InvalidOption(f"follower= is learnt on a table, and {problem!r} is not tabular")
        family.check_learner(self.label)

    def check_white_box(self, problem: Any, segments: Any) -> None:
        """Raises: InvalidOption where segments along the trajectory cannot be those of the follower's ∇Q_F."""
        family = self.family(problem)
        if segments == "averaged" and not isinstance(family, TabularFamily):
            raise InvalidOption(
                f"{self.label} with segments='averaged' averages over visits to a state, and no state of {problem!r} is "
                "visited twice: use segments='sampled', a λ, or 'exact'"
            )
        if segments != "exact" and not self.as_published:
            family.check_follower(f"{self.label} with segments={segments!r}")

    def critic_for(self, family: Any) -> Any:
        """The critic of this family.  Raises: UnknownName, InvalidOption."""
        if not isinstance(self.critic, str):
            if not isinstance(self.critic, family.critic_type):
                raise InvalidOption(
                    f"critic is {self.critic!r}; {family.name} problems take {', '.join(family.critics)}"
                )
            return self.critic
        if self.critic not in family.critics:
            raise unknown(f"critic for {family.name} problems:", self.critic, family.critics)
        return family.critics[self.critic]()

    def _open(self, problem: Any, draws: Draws) -> Run:
        return SampledRun(self, problem, draws)


class SampledRun(Run):
    """A sampled estimator at work: critics and warm starts live on from call to call."""

    def __init__(self, estimator: SampledEstimator, problem: Any, draws: Draws) -> None:
        self.estimator, self.draws = estimator, draws
        self.family = estimator.family(problem)
        self.critic = estimator.critic_for(self.family)
        self.worlds: Any = None
        self.state: Any = None

    def episodes(self, thetas: Array, lane_theta: Array | None = None) -> Any:
        """The next batch in every lane."""
        lane_theta = np.arange(self.draws.lanes) if lane_theta is None else lane_theta
        if self.estimator.follower is None:
            self.worlds = self.family.worlds(thetas, lane_theta, self.draws, self.worlds, self.temperature)
        else:
            made = generators(self.draws, lane_theta, len(thetas), self.estimator.follower_seed)
            learnt: Any = self.family
            self.worlds = learnt.worlds_of(
                self.estimator.follower, made, thetas, lane_theta, self.draws, self.worlds, self.temperature
            )
        return self.family.episodes(
            self.worlds, self.estimator.sampling, self.draws, as_published=self.estimator.as_published
        )

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        episodes = self.episodes(thetas, lane_theta)
        if self.state is None:
            self.state = self.critic.start(episodes.shape, self.draws)
        values, self.state = self.critic.fit(episodes, self.state, self.draws)
        self.estimator.combine(episodes, values)
        return Estimates(episodes.gradients(), episodes.steps)
