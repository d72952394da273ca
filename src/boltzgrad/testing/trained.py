"""A gradient that was computed with a trained follower: what of its difference from ∇J the follower explains, and what not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.registry import family_of
from boltzgrad.families.tabular.family import too_large
from boltzgrad.families.tabular.plug_in_mistakes import under
from boltzgrad.followers import ApproximateFollower
from boltzgrad.testing import wording
from boltzgrad.testing.check import HypergradientCheck
from boltzgrad.testing.explanations import explanations, unexplained
from boltzgrad.verify import Verdict
from boltzgrad.verify.mutants.recognise import Mistakes, made
from boltzgrad.verify.tolerances import Yardstick, candidate_allowance, share

_OPTIMUM = "optimal"
_V_F = {
    _OPTIMUM: "that of the optimum, policy and all",
    "evaluated": "the soft value of its policy",
    "believed": "the values that were given, or its table Q's",
    "swept": "the soft value of its policy, swept once more",
}


@dataclass(frozen=True, eq=False)
class TrainedCheck(HypergradientCheck):
    """A gradient beside what the right formula makes of the follower it was computed with.

    The verdict is on the *formula*: "agrees" means that all of the difference from ∇J is the follower's.  `form` says which
    values V_F it was held against, of those that a method may have (`ApproximateFollower.forms`).
    `off_by`, `followers_part` and `left` are the largest entries of yours − ∇J, of the follower's part of it, and of the
    rest, relative to the largest entry of ∇J, all in natural steps [1].
    """

    follower: ApproximateFollower = field(kw_only=True)

    @cached_property
    def form(self) -> str:
        """The V_F with which this gradient is right: "evaluated", "believed", "swept", or "optimal" if it is ∇J itself.

        Where it is right with none, the values that were given, or those of the policy.
        """
        forms = {**self.follower.forms, _OPTIMUM: self.reference.gradient}
        strains = {name: self._strain(gradient) for name, gradient in forms.items()}
        nearest = min(strains, key=strains.__getitem__)
        return nearest if strains[nearest] <= 1.0 else next(iter(forms))

    def _strain(self, gradient: Array) -> float:
        """The largest difference from a gradient, of what would be allowed."""
        allowed = candidate_allowance(self._about(gradient), np.dtype(self.precision), self.tolerance)
        off = np.abs(self.gradient - gradient)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.where(off == 0.0, 0.0, off / allowed).max())

    @property
    def target(self) -> Array:
        """The right formula's gradient (d,) under the follower."""
        return self.reference.gradient if self.form == _OPTIMUM else self.follower.forms[self.form]

    @cached_property
    def yardstick(self) -> Yardstick:
        """The reference's, about the formula under the follower."""
        return self._about(self.target)

    def _about(self, gradient: Array) -> Yardstick:
        own = Yardstick.of(self.reference)
        terms = np.maximum(own.terms, np.abs(gradient))
        return replace(own, gradient=gradient, rounding=own.rounding + self.further, terms=terms)

    @cached_property
    def _known(self) -> Any:
        return lambda: self.mistakes

    @cached_property
    def mistakes(self) -> Mistakes:
        """The known mistakes, made under this follower."""
        table, theta = self.follower.table.problem, self.reference.theta
        factors = family_of(self.problem).factors(self.reference)
        why = too_large(table, theta)
        if why:
            return made(self.yardstick, f"known mistakes were not tried: {why}", None, theta, factors)
        followers = self.follower.optimum if self.form == _OPTIMUM else self.follower.followers(self.form)
        return made(self.yardstick, under(followers), table, theta, factors)

    @property
    def off_by(self) -> float:
        """The largest entry of yours − ∇J beside the largest of ∇J [1]."""
        return self._share(self.gradient - self.reference.gradient)

    @property
    def followers_part(self) -> float:
        """That of target − ∇J: what the follower alone is off by [1]."""
        return self._share(self.target - self.reference.gradient)

    @property
    def left(self) -> float:
        """That of yours − target: what the follower does not explain [1]."""
        return self._share(self.gradient - self.target)

    def _share(self, difference: Array) -> float:
        return share(Yardstick.of(self.reference), difference)

    def __str__(self) -> str:
        if self.verdict == Verdict.MODEL:
            return wording.text(self)
        if self.verdict in (Verdict.ZERO, Verdict.CANNOT_TELL):
            return f"{wording.text(self)}\n{self._split()}"
        if self.ok:
            return f"{wording.title(self)}: agrees, under this follower ({_V_F[self.form]} for V_F); {self._split()}"
        j = self.where
        found = explanations(self)
        return "\n".join(
            [
                wording.title(self),
                f"coordinate {wording.named(self, j)}: yours {self.gradient[j]:.12g}, the formula under your follower "
                f"{self.target[j]:.12g}, ∇J {self.reference.gradient[j]:.12g}; "
                f"difference {self.difference:.2g}, allowed {self.allowed:.2g}",
                f"how far: {self._split()}",
                *([f"looks like: {words}" for words in found] or [f"looks like: {unexplained(self)}"]),
            ]
        )

    def _split(self) -> str:
        """How far it is, and whose that is."""
        if not np.abs(self.reference.gradient).any():
            yours, right = (float(np.abs(x).max()) for x in (self.gradient, self.target))
            return f"∇J is zero here; the largest entry of yours is {yours:.2g}, of the formula under your follower {right:.2g}"
        improved = self._share(self.follower.improved_error)
        mend = f"; after one soft policy improvement your follower's part would be {_percent(improved)}"
        rest = f"what is left, {_percent(self.left)}, is {'within what is allowed' if self.ok else 'yours'}"
        return (
            f"{_percent(self.off_by)} off ∇J, {_percent(self.followers_part)} of it is your follower's; {rest}"
            f"{mend if improved < self.followers_part else ''}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain numbers and text, for machines."""
        more = {"off_by": self.off_by, "followers_part": self.followers_part, "left": self.left, "form": self.form}
        return {**wording.record(self), "message": str(self), **more}


def _percent(x: float) -> str:
    return f"{100.0 * x:.2g} %"
