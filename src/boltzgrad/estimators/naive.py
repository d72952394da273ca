"""Naive-PGD: the partial derivative only, as if the follower did not answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from boltzgrad.estimators.sampled import SampledEstimator


@dataclass(frozen=True, eq=False, kw_only=True)
class NaivePGD(SampledEstimator):
    """The first terms of Theorem 1 (or 2), without the follower's answer.  Biased by design.

    `baseline` and `as_published` as in `BCHG`.

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), C.1, Algorithm 8.
    """

    name: ClassVar[str] = "naive"
    label: ClassVar[str] = "Naive-PGD"
    takes_follower: ClassVar[bool] = True
    baseline: bool = False

    def combine(self, episodes: Any, values: Any) -> None:
        """The partial derivative."""
        if self.as_published:
            episodes.published_direct(values)
        else:
            episodes.direct(values, baseline=self.baseline)
