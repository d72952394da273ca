r"""SoBiRL on losses of trajectories: its hypergradient (12), (13), and the practical one (99) that looks one step ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.sampling import positive_count
from boltzgrad.estimators.trajectory_sampling import TrajectoryEstimator
from boltzgrad.families.tabular.model import TabularModel


@dataclass(frozen=True, eq=False, kw_only=True)
class TrajectorySoBiRL(TrajectoryEstimator):
    r"""$\mathbb E\,[\nabla\ell + \tau^{-1}\ell\sum_i\sum_h\nabla(Q - V)(s_h^i, a_h^i)]$ with ∇Q of the next `depth` rewards.

    `depth=1` is (99), ∇r − E_π ∇r in place of ∇(Q − V): biased, as any finite depth is, by a multiple of γ^depth at most.
    `depth=None` is (12) + (13), unbiased.  `tuples` M are drawn a batch (None: the expectation); ∇Q is the model's, not a
    sample's.  `baseline` takes the mean loss off every loss, which moves no mean and takes much noise away; it is not
    published.  `expectation(problem, theta)` is the mean of the estimate, exactly.

    Source: SoBiRL (Yang, Gao, Yuan 2025, arXiv:2405.19697), (12), (13), (99).

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("rlhf")
    >>> theta = problem.initial_theta(seed=0)
    >>> exact = bg.hypergradient(problem, theta).gradient
    >>> off = [np.linalg.norm(TrajectorySoBiRL(depth=n).expectation(problem, theta) - exact) for n in (1, 4, None)]
    >>> bool(off[0] > off[1] > 1e-6), bool(off[2] < 1e-12)
    (True, True)
    """

    name: ClassVar[str] = "trajectory-sobirl"
    label: ClassVar[str] = "SoBiRL on trajectories"
    depth: int | None = 1
    baseline: bool = False

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption, as `DRLHF`; and where `depth` is no positive integer."""
        if self.depth is not None:
            positive_count("depth", self.depth)
        if not isinstance(self.baseline, bool):
            raise InvalidOption(f"baseline is {self.baseline!r}; expected True or False")
        super().check(problem)

    def scores(self, model: TabularModel, policy: Array, rewards: Array) -> Array | None:
        """(∇Q − E_π ∇Q)/τ."""
        gamma, kernel = model.follower_discount, model.follower_kernel
        if self.depth is None:
            P = kernel.under(policy)
            P = np.asarray(P.toarray() if hasattr(P, "toarray") else P)
            own = np.einsum("sa,sad->sd", policy, rewards)
            ahead = np.linalg.solve(np.eye(model.n_states) - gamma * P, own)
            slope = rewards + gamma * kernel.expect(ahead)
        else:
            slope = rewards
            for _ in range(self.depth - 1):
                slope = rewards + gamma * kernel.expect(np.einsum("sa,sad->sd", policy, slope))
        return np.asarray((slope - np.einsum("sa,sad->sd", policy, slope)[:, None]) / model.temperature)
