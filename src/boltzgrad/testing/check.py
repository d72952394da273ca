"""A gradient of somebody else's beside the reference: the record of a check, with everything that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.model_check import ModelCheck
from boltzgrad.testing import wording
from boltzgrad.testing.explanations import explanations
from boltzgrad.testing.judged import Judged
from boltzgrad.testing.second_opinions import second_opinions
from boltzgrad.verify import AgreementReport, Verdict
from boltzgrad.verify.agreement import Known
from boltzgrad.verify.mutants.recognise import Mistake, Mistakes
from boltzgrad.verify.tolerances import (
    Judgement,
    Yardstick,
    candidate_allowance,
    judge,
    negligible_part,
    relative,
)


@dataclass(frozen=True, eq=False)
class HypergradientCheck(Judged):
    """A gradient of somebody else's beside the reference.

    `gradient` (d,) as it was computed, in `precision` ("float64" or "float32").  `verdict` is that of `verify`'s judge:
    "agrees", "disagrees", "cannot tell" where an allowance is so wide that this could be a known mistake, "zero to rounding"
    where ∇J is zero as far as its rounding tells, or "model's derivative is wrong", before anybody is blamed.  Each entry
    has its own allowance, `allowances` (d,) [J/θ_j]; `where` is the coordinate that strains it most, or that the verdict
    hangs on, `difference` and `allowed` the numbers there.  `further` is rounding [J/θ_j] of what the problem was before
    it came from a file, beside the reference's own.  Worked out when first asked for: `model`, the check of the
    model's own derivative, `mistakes`, the known mistakes on this problem, and `report`, what the other routes say.
    """

    reference: Hypergradient
    gradient: Array = field(repr=False)
    precision: str
    tolerance: float | None
    thorough: bool = False
    further: float | Array = 0.0

    @property
    def problem(self) -> Any:
        """The problem the gradient is of."""
        return self.reference.problem

    @property
    def target(self) -> Array:
        """The gradient (d,) that this one has to be."""
        return self.reference.gradient

    @property
    def model(self) -> ModelCheck:
        """Whether the model repeats itself, and its derivative is its slope."""
        return self.reference.model_check

    @cached_property
    def yardstick(self) -> Yardstick:
        """What the comparison is measured by."""
        own = Yardstick.of(self.reference)
        return replace(own, rounding=own.rounding + self.further)

    @cached_property
    def judgement(self) -> Judgement:
        """What the judge says of the numbers, whatever the model's own derivative is worth."""
        precision = np.dtype(self.precision)
        return judge(
            self.yardstick,
            self.gradient,
            self.allowances,
            mistakes=self._known,
            negligible=negligible_part(precision, self.tolerance),
            by_difference=True,
        )

    @cached_property
    def allowances(self) -> Array:
        """The most that is explained by rounding and by `tolerance`, in each entry (d,) [J/θ_j]."""
        return candidate_allowance(self.yardstick, np.dtype(self.precision), self.tolerance)

    @property
    def off(self) -> Array:
        """|yours − target| (d,) [J/θ_j]."""
        return np.asarray(np.abs(self.gradient - self.target))

    @property
    def relative(self) -> float:
        """The largest difference, relative to the largest entry of ∇J, both in natural steps [1]."""
        return relative(self.yardstick, self.gradient)

    @property
    def verdict(self) -> Verdict:
        """What is to be said of the gradient."""
        if not self.model.ok:
            return Verdict.MODEL
        said = self.judgement.verdict
        return Verdict.CANNOT_TELL if said == Verdict.AGREES and self.model.doubtful else said

    @property
    def not_excluded(self) -> tuple[Mistake, ...]:
        """The known mistakes that the allowance would let pass and that this gradient is not clearly further from."""
        return self.judgement.near

    @cached_property
    def _known(self) -> Known:
        return Known(self.reference)

    @property
    def mistakes(self) -> Mistakes:
        """The known mistakes that show on this problem at this θ."""
        return self._known()

    @cached_property
    def report(self) -> AgreementReport:
        """The reference and the other routes; all of them if `thorough`, else those that take little work."""
        return second_opinions(self.reference, thorough=self.thorough, known=self._known)

    @property
    def looks_like(self) -> tuple[str, ...]:
        """In words, the known mistakes that explain the difference; empty where it agrees or none does."""
        return explanations(self) if self.verdict in (Verdict.DISAGREES, Verdict.CANNOT_TELL) else ()

    def __str__(self) -> str:
        return wording.text(self)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain numbers and text, for machines."""
        return wording.record(self)
