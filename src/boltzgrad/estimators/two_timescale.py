r"""Two timescales: the leader differentiates through the few steps that its follower took, and no further.

At the optimum ∂Q^π/∂π = 0, and a natural-gradient step log π ← (1 − ητ) log π + η Q^π moves with θ by (1 − ητ) ∂ log π + η ∂Q*,
centred: K steps have the share 1 − (1 − ητ)^K of the follower's answer, in every direction alike.  Vanilla steps have it in the
directions of the policy's Hessian, 1 − (1 − ημ)^K for an eigenvalue −μ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimator, Run
from boltzgrad.estimators.one_by_one import OneByOne
from boltzgrad.estimators.streams import Draws
from boltzgrad.families.registry import hypergradient
from boltzgrad.families.tabular.hessian import unrolled_gradient
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False, kw_only=True)
class TwoTimescale(Estimator):
    """∂J/∂θ through `steps` K policy-gradient steps of size `rate` η [1/r_F], taken by the follower from its optimum.

    K = 0 is the partial derivative, Naive-PGD's target; as K grows it becomes ∇J.  `natural` steps keep 1 − (1 − ητ)^K of the
    follower's answer; vanilla ones, in softmax logits from the model's own start, keep least of states that are rarely
    visited and actions that are rarely taken.  The warm start is the optimum itself: what is missing is the answer, not the
    follower's own error.  Nothing is sampled.

    Source: this library's own control for single-loop methods; no paper's method.  The steps are HPGD's (Thoma et al. 2024,
    arXiv:2406.01575), E.6, E.7.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("rlhf", temperature=0.5)
    >>> theta = problem.initial_theta(seed=0)
    >>> rng, exact = np.random.default_rng(0), bg.hypergradient(problem, theta).gradient
    >>> off = [np.linalg.norm(TwoTimescale(steps=k, rate=1.0, natural=True)(problem, theta, rng) - exact) for k in (0, 1, 2)]
    >>> bool(np.isclose(off[1] / off[0], 0.5)), bool(np.isclose(off[2] / off[0], 0.25))
    (True, True)
    """

    name: ClassVar[str] = "two-timescale"
    label: ClassVar[str] = "two timescales"
    steps: int = 1
    rate: float = 1.0
    natural: bool = False

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for what is no table of one temperature, and for options that are no such numbers."""
        if isinstance(self.steps, bool) or not isinstance(self.steps, (int, np.integer)) or self.steps < 0:
            raise InvalidOption(f"steps is {self.steps!r}; expected an integer of at least 0")
        if isinstance(self.rate, bool) or not isinstance(self.rate, (int, float)) or not 0.0 < self.rate < np.inf:
            raise InvalidOption(f"rate is {self.rate!r}; expected a positive number")
        if not isinstance(self.natural, bool):
            raise InvalidOption(f"natural is {self.natural!r}; expected True or False")
        if not isinstance(problem, ConfigurableMDP) or problem.model_kind is not TabularModel:
            raise InvalidOption(f"two timescales are of a table's policy; {problem!r} is none")
        models = problem.contexts(problem.initial_theta(seed=0)).models
        if len({m.temperature for m in models}) > 1 or any(np.ndim(m.unit) or m.unit != 1.0 for m in models):
            raise InvalidOption(
                f"steps of size η have 1 − ητ in common, and {problem!r} has several temperatures, or one that depends on θ"
            )

    def _open(self, problem: Any, draws: Draws) -> Run:
        return OneByOne(problem, self._gradient)

    def _gradient(self, problem: Any, theta: Array) -> Array:
        if not self.natural:
            return unrolled_gradient(problem, theta, self.steps, self.rate)
        direct = unrolled_gradient(problem, theta, 0, self.rate)
        tau = problem.contexts(theta).models[0].temperature
        share = 1.0 - (1.0 - self.rate * tau) ** self.steps
        return np.asarray(direct + share * (hypergradient(problem, theta).gradient - direct))
