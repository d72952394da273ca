r"""Linear-quadratic followers that are not optimal: a regulator designed by a few Riccati sweeps, or made out from its moves.

P ← Q + γA'PA − γ²A'PB M⁻¹B'PA          k times from P = 0: value iteration, the error falls by γρ(F)² a sweep
K̂ = argmin Σ |u_i + K x_i|²,   Σ̂ = Σ (u_i + K̂x_i)(u_i + K̂x_i)'/(N − n)          the error falls like N^{−½}
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidModel, InvalidOption
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.plug_in import GaussianPolicy, answering, evaluated
from boltzgrad.followers.learner import positive_count
from boltzgrad.solvers.lqr import riccati, solve_lqr


@dataclass(frozen=True, eq=False)
class LearnedGain:
    """What is there after `steps` steps: u ~ N(−`K` x, `covariance`), and the cost matrix `P` that goes with it.

    `state` is what the learner needs to go on: give the whole to `train(…, after=)`.
    """

    K: Array
    covariance: Array
    P: Array
    steps: int
    state: Any = field(repr=False, default=None)
    learner: str = ""


class GainLearner(ABC):
    """A linear-quadratic follower that learns: `learner.train(model, rng)` is a `LearnedGain`."""

    def train(self, model: Any, rng: Any = None, *, after: LearnedGain | None = None) -> LearnedGain:
        """Learn for an `LQModel`, from the beginning or where an earlier result left off; `rng` is a seed or a generator, by
        default 0.

        Raises: InvalidModel for another model, or a follower that sees the disturbance, or a gain whose value is infinite;
        InvalidOption for an `after` of another learner or size.
        """
        if not isinstance(model, LQModel) or model.observed:
            what = type(model).__name__ if not isinstance(model, LQModel) else "follower that sees the disturbance"
            raise InvalidModel(
                f"a learner of gains was given a {what}; expected an LQModel whose follower does not see it"
            )
        mine = type(self).__name__
        shape = (model.n_inputs, model.n_states)
        if after is not None and not (
            isinstance(after, LearnedGain) and after.learner == mine and after.K.shape == shape
        ):
            raise InvalidOption(
                "after is not what this learner left for this model; expected an earlier result of train"
            )
        made = np.random.default_rng(0 if rng is None else rng)
        return replace(self._train(model, made, after), learner=mine)

    @abstractmethod
    def _train(self, model: LQModel, rng: np.random.Generator, after: LearnedGain | None) -> LearnedGain: ...


@dataclass(frozen=True)
class RiccatiSweeps(GainLearner):
    """P ← Ric(P), `sweeps` ≥ 0 times from P = 0; the policy is the Boltzmann policy of the action value that P makes.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("thermal-control")
    >>> theta = problem.initial_theta(seed=0)
    >>> found = RiccatiSweeps(100).train(problem.model(theta))
    >>> bool(np.allclose(found.K, bg.hypergradient(problem, theta).follower.K))
    True
    """

    sweeps: int

    def __post_init__(self) -> None:
        positive_count("sweeps", self.sweeps, least=0)

    def _train(self, model: LQModel, rng: np.random.Generator, after: LearnedGain | None) -> LearnedGain:
        P, done = (np.zeros_like(model.Q), 0) if after is None else (after.state, after.steps)
        for _ in range(self.sweeps):
            P = riccati(model, P)
        return _learned(answering(model, P), done + self.sweeps, P)


@dataclass(frozen=True)
class FittedGain(GainLearner):
    """What an observer makes of `samples` moves of the optimal follower: gain and covariance by least squares.

    The states are drawn as the first one is, and have to span all dimensions.  P is what the gain that was found costs.
    """

    samples: int

    def __post_init__(self) -> None:
        positive_count("samples", self.samples)

    def _train(self, model: LQModel, rng: np.random.Generator, after: LearnedGain | None) -> LearnedGain:
        n, m = model.n_states, model.n_inputs
        seen = (np.zeros((0, n)), np.zeros((0, m))) if after is None else after.state
        if len(seen[0]) + self.samples < n + m + 1:
            raise InvalidOption(f"samples is {self.samples}; {n} states and {m} inputs need at least {n + m + 1}")
        best = solve_lqr(model)
        x = rng.multivariate_normal(model.mean, model.covariance, size=self.samples, method="eigh")
        u = -x @ best.K.T + rng.multivariate_normal(np.zeros(m), best.covariance, size=self.samples, method="eigh")
        x, u = np.concatenate([seen[0], x]), np.concatenate([seen[1], u])
        found, _, rank, _ = np.linalg.lstsq(x, u, rcond=None)
        if rank < n:
            raise InvalidModel(
                f"the first states span {rank} of {n} dimensions (mean, covariance): moves in them do not tell the whole gain"
            )
        K = -found.T
        left = u + x @ K.T
        return _learned(evaluated(model, K, left.T @ left / (len(x) - n)), len(x), (x, u))


def _learned(policy: GaussianPolicy, steps: int, state: Any) -> LearnedGain:
    return LearnedGain(policy.K, policy.covariance, policy.P, steps, state)
