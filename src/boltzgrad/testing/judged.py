"""What every judged gradient answers, whichever reference it was held against."""

from __future__ import annotations

from boltzgrad.errors import GradientMismatch
from boltzgrad.verify import Verdict
from boltzgrad.verify.tolerances import Judgement


class Judged:
    """A gradient with a judgement: the coordinate it hangs on, the numbers there, and what follows."""

    @property
    def judgement(self) -> Judgement:
        """What the judge says of the numbers."""
        raise NotImplementedError

    @property
    def verdict(self) -> Verdict:
        """What is to be said of the gradient."""
        return self.judgement.verdict

    @property
    def where(self) -> int:
        """The coordinate that the verdict hangs on."""
        return self.judgement.where

    @property
    def difference(self) -> float:
        """The difference at that coordinate [J/θ_j]."""
        return self.judgement.difference

    @property
    def allowed(self) -> float:
        """What is allowed at that coordinate [J/θ_j]."""
        return self.judgement.allowed

    @property
    def ok(self) -> bool:
        """Whether the gradient agrees with the reference."""
        return self.verdict == Verdict.AGREES

    def raise_if_wrong(self) -> None:
        """Raise GradientMismatch unless `ok`: which coordinate, how far, what was allowed, who says what, and why.

        Nothing is raised where ∇J is zero as far as rounding tells and this gradient is as small: nothing is confirmed, and
        nothing is wrong.
        """
        __tracebackhide__ = True
        if not self.ok and self.verdict != Verdict.ZERO:
            raise GradientMismatch(str(self))
