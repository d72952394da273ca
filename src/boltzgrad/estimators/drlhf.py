"""DRLHF: the reward model is fitted to preferences, as if the policy that is trained on it did not answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.trajectory_sampling import TrajectoryEstimator
from boltzgrad.families.tabular.model import TabularModel


@dataclass(frozen=True, eq=False, kw_only=True)
class DRLHF(TrajectoryEstimator):
    r"""$\mathbb E\,\nabla\ell(d_1,\dots,d_I;\theta)$, trajectories the follower's: (12) without (13).  Biased by design.

    `tuples` M are drawn a batch (None: the expectation); `expectation(problem, theta)` is the mean of the estimate, exactly.

    Source: Christiano, Leike, Brown, Martic, Legg, Amodei 2017, as SoBiRL (Yang, Gao, Yuan 2025, arXiv:2405.19697), 8,
    compares with it; (12).

    >>> import numpy as np
    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("rlhf")
    >>> theta = problem.initial_theta(seed=0)
    >>> exact = bg.hypergradient(problem, theta).gradient
    >>> bool(np.linalg.norm(DRLHF().expectation(problem, theta) - exact) > 0.1 * np.linalg.norm(exact))
    True
    """

    name: ClassVar[str] = "drlhf"
    label: ClassVar[str] = "DRLHF"

    def scores(self, model: TabularModel, policy: Array, rewards: Array) -> Array | None:
        """None: the follower does not answer."""
        return None
