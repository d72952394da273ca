r"""HPGD's randomised early stopping: the follower's Q-learning is stopped at a random time, and the gradient corrected for it.

    F_{t_1} + (F_{t_{k+1}} − F_{t_k})/p_k,   t_k = 2^k,   k drawn from 1 … K − 1 with p_k ∝ 2^{−k},

has the mean of F_{t_K}, F_t the hypergradient under the policy after t steps, at O(K) steps on average for 2^K.  Squared
differences fall like 1/t_k, as the variance of Q-learning does, so that E‖correction‖² = Σ E‖F_{t_{k+1}} − F_{t_k}‖²/p_k grows
like K, while the variance of F_{t_K} falls like 2^{−K}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.sampling import positive_count
from boltzgrad.estimators.streams import Draws
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.followers.sampled import SoftQLearning
from boltzgrad.followers.suboptimal import approximate


@dataclass(frozen=True, eq=False, kw_only=True)
class RandomisedStopping(Estimator):
    """The exact hypergradient formula under a follower that soft Q-learning trains from nothing, stopped at random.

    `levels` K: the follower of F_{t_K} has had 2^K steps, of `walkers` walks each.  With `randomised=False` the estimate is
    F_{t_K} itself; both have its mean, and its bias.  `rate` as in `bg.followers.SoftQLearning`.

    The leader's formula is exact: all noise is the follower's.  The printed p_k = 2^{−k}/(1 − 2^{−K}) is a distribution over
    1 … K, whose correction telescopes to F_{t_{K+1}}; here k ends at K − 1, as in the text.

    Source: HPGD (Thoma et al. 2024, arXiv:2406.01575), C.2, Proposition E.8.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("rlhf")
    >>> RandomisedStopping(levels=6)(problem, problem.initial_theta(seed=0), np.random.default_rng(0)).shape
    (6,)
    """

    name: ClassVar[str] = "randomised-stopping"
    label: ClassVar[str] = "HPGD, stopped at random"
    levels: int = 8
    walkers: int = 1
    rate: float | None = None
    randomised: bool = True

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for what is no table of one context, or options that are no such numbers."""
        if positive_count("levels", self.levels) < 2:
            raise InvalidOption("levels is 1; expected at least 2, two times to take a difference of")
        if not isinstance(self.randomised, bool):
            raise InvalidOption(f"randomised is {self.randomised!r}; expected True or False")
        self._learner(1)
        if not isinstance(problem, ConfigurableMDP) or problem.model_kind is not TabularModel:
            raise InvalidOption(f"{self.label} trains the follower of a table; {problem!r} is none")
        if len(problem.contexts(problem.initial_theta(seed=0)).models) > 1:
            raise InvalidOption(f"{self.label} trains one follower; {problem!r} has several contexts")

    @property
    def probabilities(self) -> Array:
        """p_k (K − 1,), k = 1 … K − 1."""
        weights = 0.5 ** np.arange(1, self.levels)
        return np.asarray(weights / weights.sum())

    def gradients(self, problem: Any, theta: Array, rng: np.random.Generator, levels: tuple[int, ...]) -> Array:
        """F_{t_k} (n, d) for k in `levels`, which rise, along one run of Q-learning."""
        model, learned, out = problem.contexts(theta).models[0], None, []
        for k in levels:
            done = 0 if learned is None else learned.steps
            learned = self._learner(2**k - done).train(model, rng, after=learned)
            out.append(approximate(problem, theta, policy=learned.policy).gradient)
        return np.stack(out)

    def _learner(self, steps: int) -> SoftQLearning:
        return SoftQLearning(steps, walkers=self.walkers, rate=self.rate)

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _Stopped(self, problem, draws)


class _Stopped(Run):
    def __init__(self, estimator: RandomisedStopping, problem: Any, draws: Draws) -> None:
        self.estimator, self.problem, self.draws = estimator, problem, draws

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        self.refuse_temperature(self.problem)
        e, lanes = self.estimator, np.arange(self.draws.lanes) if lane_theta is None else lane_theta
        uniform = self.draws.uniform("stop", 1)[:, 0]
        generators = self.draws.next("q-learning").of("walks")
        gradient, steps = np.empty((lanes.size, thetas.shape[1])), np.empty(lanes.size, int)
        for lane, row in enumerate(lanes):
            rng = generators[lane % len(generators)]
            if not e.randomised:
                gradient[lane] = e.gradients(self.problem, thetas[row], rng, (e.levels,))[0]
                steps[lane] = e.walkers * 2**e.levels
                continue
            k = 1 + min(int(np.searchsorted(np.cumsum(e.probabilities), uniform[lane], side="right")), e.levels - 2)
            levels = tuple(dict.fromkeys((1, k, k + 1)))
            found = e.gradients(self.problem, thetas[row], rng, levels)
            gradient[lane] = found[0] + (found[-1] - found[-2]) / e.probabilities[k - 1]
            steps[lane] = e.walkers * 2 ** (k + 1)
        return Estimates(gradient, steps)
