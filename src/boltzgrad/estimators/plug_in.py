r"""The formula under a follower that a learner leaves, in expectation: `boltzgrad.approximate` along a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.exact import every_context, in_expectation, shares
from boltzgrad.estimators.streams import Draws, generators
from boltzgrad.estimators.tabular.family import TabularFamily
from boltzgrad.estimators.tabular.learnt import LearntWorlds, Values
from boltzgrad.estimators.tabular.worlds import stackable
from boltzgrad.families.lqr.plug_in import GaussianPolicy, answering, cotangents_under, evaluated
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.followers import GainLearner, Learned, LearnedGain, Learner

Form = Literal["evaluated", "believed", "improved", "naive"]
_FORMS: dict[str, Values] = {
    "evaluated": "evaluated",
    "believed": "believed",
    "improved": "improved",
    "naive": "evaluated",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class PlugInGradient(Estimator):
    """Theorem 1 with π° and V° of a trained follower in it, without error of sampling.

    `follower` is a learner of `boltzgrad.followers`, of gains for a linear-quadratic problem.  `form` "evaluated": V° is the
    soft value of π°; "believed": the values that the learner has; "improved": the formula after one soft policy improvement,
    π¹ ∝ π⁰ exp(Q°/τ), with V°; "naive": the direct term under π°, as if the follower did not answer.

    With `warm` a run is a single loop: the follower goes on, from one θ to the next, from where it is, by as many steps as its
    learner takes; `first`, a learner of the same kind, is how it was trained before, at the first θ (None: not at all).  Else
    it is trained from its beginning at every θ.  `follower_seed` as in `SampledEstimator`.

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), (5) under π°; derivation
    `one-improvement-squares-the-error`.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("garnet", n_states=6)
    >>> theta = problem.initial_theta(seed=0)
    >>> learner = bg.followers.SoftValueIteration(5)
    >>> mine = PlugInGradient(follower=learner)(problem, theta, np.random.default_rng(0))
    >>> found = bg.approximate(problem, theta, policy=learner(problem.model(theta)))
    >>> bool(abs(mine - found.gradient).max() < 1e-9 * abs(mine).max())
    True
    """

    name: ClassVar[str] = "plug-in"
    label: ClassVar[str] = "plug-in gradient"
    follower: Learner | GainLearner
    form: Form = "evaluated"
    warm: bool = False
    first: Learner | GainLearner | None = None
    follower_seed: int = 0

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for what is no learner, and problems that are not solved side by side as tables."""
        if not isinstance(self.follower, (Learner, GainLearner)):
            raise InvalidOption(
                f"follower is a {type(self.follower).__name__}; expected a learner of boltzgrad.followers"
            )
        if self.first is not None and not (self.warm and type(self.first) is type(self.follower)):
            raise InvalidOption(
                f"first is {self.first!r}; with warm=True a {type(self.follower).__name__} as `follower`, else None"
            )
        if self.form not in _FORMS:
            raise InvalidOption(f"form is {self.form!r}; expected {', '.join(map(repr, _FORMS))}")
        gains = isinstance(problem, LinearQuadratic)
        if gains != isinstance(self.follower, GainLearner):
            raise InvalidOption(
                f"follower is a {type(self.follower).__name__}, and {problem!r} is {'' if gains else 'not '}linear-quadratic: "
                "RiccatiSweeps and FittedGain are for those, the other learners for tables"
            )
        if gains:
            # What no learner of gains takes is named there.
            self.follower.train(problem.model(problem.initial_theta(seed=0)))
            return
        if not stackable(problem):
            raise InvalidOption(
                f"{self.label} is for tables that pay the leader at every step, their contexts alike; {problem!r} is none: "
                "boltzgrad.approximate has what another policy does at one theta"
            )
        TabularFamily(problem).check_learner(self.label)

    def _open(self, problem: Any, draws: Draws) -> Run:
        return (
            _GainRun(self, problem, draws) if isinstance(problem, LinearQuadratic) else _PlugInRun(self, problem, draws)
        )


class _PlugInRun(Run):
    def __init__(self, estimator: PlugInGradient, problem: Any, draws: Draws) -> None:
        self.estimator, self.draws = estimator, draws
        self.problem = TabularFamily(problem).problem
        self.worlds: LearntWorlds | None = None

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        own = self.estimator
        lanes = np.arange(len(thetas)) if lane_theta is None else lane_theta
        if self.worlds is None and own.first is not None:
            self.worlds = self._trained(thetas, lanes, own.first)
        self.worlds = self._trained(thetas, lanes, own.follower)
        if not shares(self.worlds).all():
            raise InvalidOption(f"a context of {self.problem!r} has probability zero here: no lane can stand for it")
        gradient = in_expectation(self.worlds, guided=own.form != "naive")
        return Estimates(gradient[lanes], np.zeros(lanes.size, int))

    def _trained(self, thetas: Array, lanes: Array, learner: Any) -> LearntWorlds:
        own = self.estimator
        after: Sequence[Learned] | None = self.worlds.learnt if own.warm and self.worlds is not None else None
        return LearntWorlds(
            self.problem,
            thetas,
            **every_context(self.problem, thetas),
            previous=self.worlds,
            temperature=self.temperature,
            learner=learner,
            generators=generators(self.draws, lanes, len(thetas), own.follower_seed),
            values=_FORMS[own.form],
            own=True,
            after=after,
        )


class _GainRun(Run):
    """Linear-quadratic problems, one θ after the other."""

    def __init__(self, estimator: PlugInGradient, problem: LinearQuadratic, draws: Draws) -> None:
        self.estimator, self.problem, self.draws = estimator, problem, draws
        self.learnt: list[LearnedGain] = []

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        self.refuse_temperature(self.problem)
        own = self.estimator
        lanes = np.arange(len(thetas)) if lane_theta is None else lane_theta
        linearised = [self.problem.linearise(theta) for theta in thetas]
        learners = [own.follower] if self.learnt or own.first is None else [own.first, own.follower]
        for learner in learners:
            assert isinstance(learner, GainLearner)
            after = self.learnt if own.warm and self.learnt else [None] * len(thetas)
            made = generators(self.draws, lanes, len(thetas), own.follower_seed)
            self.learnt = [
                learner.train(lin.model, rng, after=a) for lin, rng, a in zip(linearised, made, after, strict=True)
            ]
        out = []
        for lin, x in zip(linearised, self.learnt, strict=True):
            policy = GaussianPolicy(x.K, x.covariance, x.P)
            if own.form != "believed":
                policy = evaluated(lin.model, x.K, x.covariance)
            if own.form == "improved":
                policy = answering(lin.model, policy.P)
            out.append(lin.pullback(cotangents_under(lin.model, policy, guided=own.form != "naive")[1]))
        return Estimates(np.stack(out)[lanes], np.zeros(lanes.size, int))
