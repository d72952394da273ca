r"""BC-HG: the guiding term through the leader's Benefit (Theorems 1 and 2).

∇J = E[∇log ρ V_L] + E Σ_t γ_L^t [∇r_L + γ_L ∇log p V_L(s_{t+1}) + (1/τ) ∇Q_F(s_t, a_t) B_L(s_t, a_t)]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.sampled import SampledEstimator
from boltzgrad.estimators.tabular.episodes import Segments, check_segments
from boltzgrad.estimators.tabular.family import TabularFamily


@dataclass(frozen=True, eq=False, kw_only=True)
class BCHG(SampledEstimator):
    r"""Boltzmann covariance hypergradient.

    `segments` says where ∇Q_F(s_t, a_t) comes from: "sampled" (the trajectory's own segment, (6)), a λ in [0, 1] (λ-returns
    with the white-box follower's ∇V_F), "exact" (the white-box follower's ∇Q_F: the conditional expectation of the
    segment), or "averaged" (the mean over all visits to (s, a), as published; tabular only).  `baseline` subtracts from
    every V(s_{t+1}) under a score its expectation given (s_t, a_t); with continuous states, V at the mean next state.
    Unbiased with critic="exact", whatever `segments` ("averaged" apart) and `baseline` are: derivations `theorem-1`,
    `lambda-returns`, `transition-control-variate`.

    `actions` "expected" sums the guiding term over the follower's actions at every visited state instead of taking the one
    that was drawn (segments="exact" and a critic with a table; tabular only).

    `as_published`: averaged segments, direct term averaged over visits, sums divided by finished episodes, cuts and
    time-outs taken for ends; with continuous states, ∇log p clipped to norm 1 in the direct term.

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), Algorithm 1; (5)(6), (8)(9).
    """

    name: ClassVar[str] = "bc-hg"
    label: ClassVar[str] = "BC-HG"
    takes_follower: ClassVar[bool] = True
    segments: Segments = "sampled"
    baseline: bool = False
    actions: Literal["sampled", "expected"] = "sampled"

    def check(self, problem: Any) -> None:
        """See `SampledEstimator.check`."""
        check_segments(self.segments)
        super().check(problem)
        if not self.as_published:
            self.check_white_box(problem, self.segments)
        if self.actions not in ("sampled", "expected"):
            raise InvalidOption(f"actions is {self.actions!r}; expected 'sampled' or 'expected'")
        if self.actions == "expected" and (
            self.segments != "exact" or self.as_published or not isinstance(self.family(problem), TabularFamily)
        ):
            raise InvalidOption(
                "actions='expected' goes with segments='exact', a tabular problem, and not with as_published: it needs "
                "∇Q_F at actions that were not taken"
            )

    def combine(self, episodes: Any, values: Any) -> None:
        """The partial derivative, and Σ γ_L^t (B_L/τ) ∇Q_F."""
        weights = episodes.weights * (values.q - values.v) / episodes.tau
        if self.as_published:
            episodes.published_direct(values)
            episodes.guide(weights, episodes.published_segments)
            return
        episodes.direct(values, baseline=self.baseline)
        if self.actions == "expected":
            episodes.guide_in_expectation(values)
            return
        episodes.guide(weights, self.segments, baseline=self.baseline)


def variance_reduced(**options: Any) -> BCHG:
    """`BCHG` with the exact conditional ∇Q_F and centred scores: what a white-box follower allows.  Source: as `BCHG`."""
    return BCHG(**{"segments": "exact", "baseline": True, **options})
