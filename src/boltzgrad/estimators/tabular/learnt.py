r"""Worlds whose follower is not solved for but learnt: trained for a while, or made out from what was seen of it.

What an estimator then calls π and V_F, in its sums over actions, in ∇Q_F and in the values under a score, is what the learner
has.  Trajectories are the follower's own: it acts as the learner's policy says, or, where that is itself an estimate of
somebody who was watched (`Learned.watched`), as that one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.tabular.newton import soften
from boltzgrad.estimators.tabular.worlds import TabularWorlds
from boltzgrad.followers import Learned, Learner
from boltzgrad.solvers.suboptimal import log_of, with_values

Values = Literal["believed", "evaluated", "improved"]


class LearntWorlds(TabularWorlds):
    """`TabularWorlds` whose followers a `learner` leaves; `learnt` is what it left in each world.

    `values` "believed": V_F is what the learner has; "evaluated": the soft value of its policy, exactly; "improved": that,
    beside the policy π⁰ exp(Q°/τ) that answers it.  With `own` trajectories and the leader's values are those of `policy`,
    whoever was watched.  A learner goes on from `after`, what it left in the same worlds at another θ.
    """

    def __init__(
        self,
        *arguments: Any,
        learner: Learner,
        generators: Sequence[np.random.Generator],
        values: Values = "believed",
        own: bool = False,
        after: Sequence[Learned] | None = None,
        **options: Any,
    ) -> None:
        self._learner, self._generators, self._values, self._own = learner, generators, values, own
        self._after = after
        super().__init__(*arguments, **options)

    def _solve(self, warm: Array | None) -> None:
        theta_of = np.searchsorted(self.offsets, np.arange(len(self.models)), side="right") - 1
        after: Sequence[Learned | None] = self._after or [None] * len(self.models)
        self.learnt = [
            self._learner.train(m, self._generators[i], after=a)
            for m, i, a in zip(self.models, theta_of, after, strict=True)
        ]
        self.policy = np.stack([x.policy for x in self.learnt])
        watched = [x.policy if x.watched is None else x.watched for x in self.learnt]
        self.acting = self.policy if self._own or all(x.watched is None for x in self.learnt) else np.stack(watched)
        if self._values == "believed":
            self.value = np.stack([x.value / m.unit for x, m in zip(self.learnt, self.models, strict=True)])
        else:
            self.value = self._evaluated()
        if self._values == "improved":
            q = self.r_F + self.gamma_F * self.expect(self.value, planned=True)
            self.policy = soften(q, self.tau)[1]  # an action that is not there has a reward that nobody takes
            self.acting = self.policy if self._own else self.acting
        if not self.dense:
            self.followers = [
                with_values(m, v, p) for m, v, p in zip(self.models, self.value, self.policy, strict=True)
            ]

    def _evaluated(self) -> Array:
        """V° = (I − γ_F P_π)⁻¹ Σ_a π (r_F − τ log π), (W, S)."""
        paid = (self.policy * (self.r_F - self.tau * log_of(self.policy))).sum(axis=2)
        if self.dense:
            return np.stack([f.solve(x) for f, x in zip(self.factors(follower=True), paid, strict=True)])
        zero = np.zeros(self.S)
        systems_ = [with_values(m, zero, p).system for m, p in zip(self.models, self.policy, strict=True)]
        return np.stack([s.solve(x).x for s, x in zip(systems_, paid, strict=True)])
