r"""Estimators of leaders who are paid by trajectories: independent trajectories of the follower, taken I at a time.

    (1/M) Σ_m [∇ℓ(d₁, …, d_I; θ) + ℓ(d₁, …, d_I; θ) Σ_i Σ_h D(s_h, a_h)],   D in place of ∇ log π,

with M tuples from the law of H steps of the soft-optimal policy.  A method says what its D is; its expectation is exact, by
enumeration, and so is its bias.  Source: SoBiRL (12), (13), (99), (100).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from autograd import make_vjp

from boltzgrad.core.arrays import Array
from boltzgrad.core.choices import counted
from boltzgrad.core.trajectory_objectives import TrajectoryObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.sampling import positive_count
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.worlds import moves
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.solvers import solve_follower


@dataclass(frozen=True, eq=False, kw_only=True)
class TrajectoryEstimator(Estimator):
    """Options of every method that samples the trajectories of a `TrajectoryObjective`.

    `tuples` M are drawn a batch; None takes all there are, each as often as it is likely: the expectation.
    """

    tuples: int | None = 10

    @abstractmethod
    def scores(self, model: TabularModel, policy: Array, rewards: Array) -> Array | None:
        """D (S, A, d), from ∇r_F (S, A, d) and the follower's policy; None where the method has no such term."""

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for a problem without a loss of trajectories, or whose kernel or start depends on θ."""
        if self.tuples is not None:
            positive_count("tuples", self.tuples)
        if not isinstance(problem, ConfigurableMDP) or not isinstance(problem.objective, TrajectoryObjective):
            raise InvalidOption(
                f"{self.label} needs a loss of trajectories (TrajectoryObjective, Preferences); {problem!r} has none"
            )
        if problem.model_kind is not TabularModel:
            raise InvalidOption(
                f"{self.label} is for a follower with one policy for all steps; {problem!r} plans otherwise"
            )
        what = moves(problem.linearise(problem.initial_theta(seed=0)))
        if what.transition or what.initial:
            name = "transition kernel (or discount)" if what.transition else "start"
            raise InvalidOption(
                f"{self.label} does not exist for {problem!r}: its {name} depends on θ, and the trajectories' chances move "
                "with it beside the policy; only rewards may depend on θ (SoBiRL 5, 6)"
            )

    def expectation(self, problem: Any, theta: Any) -> Array:
        """The mean (d,) of the estimate at θ, exactly, over all trajectories.  Raises: InvalidOption, as `batches`."""
        self.check(problem)
        here = _Here(self, problem, problem.check_theta(theta))
        return here.estimate(here.together)

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _TrajectoryRun(self, problem, draws)


class _Here:
    """Everything at one θ: trajectories that differ, their chances (N,), losses (N, …, N) and Σ_h D (N, d)."""

    def __init__(self, estimator: TrajectoryEstimator, problem: ConfigurableMDP, theta: Array) -> None:
        at: Any = problem.linearise(theta)
        model: TabularModel = at.model.models[0]
        policy = solve_follower(model).policy
        objective: Any = problem.objective
        self.order = int(objective.trajectories)
        found = objective.enumerate(theta)
        losses, some, number = objective.tabulated(found)
        self.chances = np.asarray(counted(objective._chances(theta, policy, found), number, len(some)))
        self.chances = self.chances / self.chances.sum()
        self.lengths = some.steps.sum(axis=1)
        self.pullback, self.losses = make_vjp(losses)(theta)
        self.scores: Array | None = None
        rewards = np.stack([column.models[0].follower_reward for column in at.columns()], axis=-1)
        scores = estimator.scores(model, policy, rewards)
        if scores is not None:
            self.scores = np.stack([some.total(scores[:, :, j]) for j in range(theta.size)], axis=-1)
        self.together = self.chances
        for _ in range(self.order - 1):
            self.together = np.multiply.outer(self.together, self.chances)
        # Scores are centred in each state: a number taken off every loss moves no mean.
        self.baseline = float((self.together * self.losses).sum()) if getattr(estimator, "baseline", False) else 0.0
        self.added = np.zeros(theta.size)
        if problem.regulariser is not None:
            self.added = problem.regulariser.gradient_at(theta)

    def estimate(self, weights: Array) -> Array:
        """The estimate (d,) from how often each tuple was seen, (N, …, N) with sum one."""
        gradient = np.asarray(self.pullback(weights)) + self.added
        if self.scores is None:
            return gradient
        paid = weights * (self.losses - self.baseline)
        for i in range(self.order):
            others = tuple(j for j in range(self.order) if j != i)
            gradient = gradient + paid.sum(axis=others) @ self.scores
        return gradient


class _TrajectoryRun(Run):
    def __init__(self, estimator: TrajectoryEstimator, problem: ConfigurableMDP, draws: Draws) -> None:
        self.estimator, self.problem, self.draws = estimator, problem, draws

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        self.refuse_temperature(self.problem)
        lanes = np.arange(self.draws.lanes) if lane_theta is None else lane_theta
        here = {int(row): _Here(self.estimator, self.problem, thetas[row]) for row in np.unique(lanes)}
        gradient, steps = np.empty((lanes.size, thetas.shape[1])), np.zeros(lanes.size, int)
        if self.estimator.tuples is None:
            found = {row: at.estimate(at.together) for row, at in here.items()}
            return Estimates(np.stack([found[int(row)] for row in lanes]), steps)
        order = next(iter(here.values())).order
        uniform = self.draws.uniform("trajectories", self.estimator.tuples, order)
        for lane, row in enumerate(lanes):
            at = here[int(row)]
            drawn = np.searchsorted(np.cumsum(at.chances), uniform[lane], side="right")
            drawn = np.minimum(drawn, at.chances.size - 1)
            weights = np.zeros((at.chances.size,) * order)
            np.add.at(weights, tuple(drawn.T), 1.0 / self.estimator.tuples)
            gradient[lane], steps[lane] = at.estimate(weights), at.lengths[drawn].sum()
        return Estimates(gradient, steps)
