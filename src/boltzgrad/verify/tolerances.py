r"""When two gradients agree: the only file in which a tolerance is argued about, and the only judge.

**Units.**  θ_j has the unit that its author gave it, J has another; ∂J/∂θ_j is in [J/θ_j].  Whatever is compared with it is in
that unit, too: nothing here is a number of its own size, and no entry is measured against another entry's.  Under θ → Dθ, or
J → cJ, every allowance moves with the gradient, and no verdict moves at all.

**An allowance** is what honest arithmetic explains of a difference in one entry.  It has three sources: rounding of the
reference, rounding of the other side, and what the other side's method leaves (truncation, step size, solver residual).  The
first two are about equal and are *measured* for this problem at this θ (`Hypergradient.rounding`); the third the other side
reports.  Their sum is taken `SAFETY` times:

    allowed_j = SAFETY · (2 · rounding_j + method_j)                                     [J/θ_j]

and along a direction u, |u| · allowed, because a slope is Σ u_j ∂J/∂θ_j.

**An allowance that could hide a mistake proves nothing.**  An entry within its allowance is

- *told*, if the allowance (of a gradient of somebody else's: or the difference itself, clearly) is below `RESOLUTION` of it,
  which is less than what any known mistake does where it shows at all;
- *negligible*, if it is zero as far as rounding tells or its allowance reaches it, and in natural steps (`Hypergradient.units`)
  that allowance is still below `RESOLUTION` of the largest entry: its size is confirmed, its digits are not;
- *open*, otherwise.  Where half of an open entry would still have been accepted, so would its negative, and the verdict is
  "cannot tell".  Else every known mistake is made on this very problem, and the verdict is "cannot tell" if the allowance would
  let one pass that the gradient is not `MARGIN` further from than from the truth.

Where every entry is zero as far as rounding tells, nothing can be confirmed: "zero to rounding", or where that rounding is not
small beside J itself, "cannot tell".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient

if TYPE_CHECKING:
    from boltzgrad.verify.mutants.recognise import Mistake, Mistakes

SAFETY = 16.0
"""[1] How many times the measured errors a difference may be."""
RESOLUTION = 1e-5
"""[1] The relative size of difference that a comparison must be able to see; each mutant is further from the truth."""
VALUE_RESOLUTION = 1e-6
"""[1] Values J are compared to this part of the terms that J is a sum of; no estimate is needed to see a wrong one."""
HALF_THE_DIGITS = float(np.sqrt(np.finfo(np.float64).eps))
"""[1] What a gradient of somebody else's may be off by, relative to its terms, where nothing is known of its method."""
UNKNOWN_METHOD = 0.125
"""[1] But never more than this part of the entry itself: an unknown method must not hide half of it."""
SINGLE_SAFETY = 4.0
"""[1] The same as `SAFETY` in single precision: JAX sweeping on the zoo is off by 0.07 to 0.7 of the estimate."""
SINGLE_RESOLUTION = 1e-3
"""[1] What is negligible beside the largest entry where a gradient was computed in single precision."""
UNKNOWN = 1e-6
"""[1] Rounding of an entry in a natural step beyond this part of J is no zero: the entry is unknown."""
MARGIN = 4.0
"""[1] How many times nearer to the truth than to a mistake a gradient must be, where an allowance would let both pass:
rounding has no reason to point from the one to the other in every coordinate at once."""


class Verdict(StrEnum):
    """What is said of a gradient, a route, or a model, everywhere."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    CANNOT_TELL = "cannot tell"
    ZERO = "zero to rounding"
    NOT_SMOOTH = "not smooth"
    MODEL = "model's derivative is wrong"
    UNFINISHED = "unfinished"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What a comparison needs to know of the reference.

    `gradient` (d,), `rounding` (d,) what a plain float64 route to each entry may be off by, `terms` (d,) the size of the terms
    that each is a sum of, all [J/θ_j]; `natural()` the natural steps (d,) [θ_j]; `value`, `value_scale`, `value_rounding` [J].
    """

    gradient: Array
    rounding: Array
    terms: Array
    natural: Callable[[], Array]
    value: float = float("nan")
    value_scale: float = float("nan")
    value_rounding: float = 0.0

    @classmethod
    def of(cls, reference: Hypergradient) -> Yardstick:
        """That of a reference."""
        return cls(
            reference.gradient,
            reference.rounding,
            reference.term_sizes,
            lambda: reference.units,
            reference.value,
            reference.value_scale,
            reference.value_rounding,
        )

    @property
    def units(self) -> Array:
        """The natural steps (d,) [θ_j], worked out where a verdict needs them."""
        return self.natural()

    @cached_property
    def zero(self) -> Array:
        """Which entries (d,) are zero as far as their own rounding tells."""
        return np.asarray(np.abs(self.gradient) <= MARGIN * self.rounding)

    def along(self, directions: Array | None) -> Yardstick:
        """The same for slopes (k,) along the rows of `directions` (k, d) [θ]; their natural step is the direction itself."""
        if directions is None:
            return self
        size = np.abs(directions)
        return Yardstick(
            np.asarray(directions @ self.gradient),
            np.asarray(size @ self.rounding),
            np.asarray(size @ self.terms),
            lambda: np.ones(len(directions)),
            self.value,
            self.value_scale,
            self.value_rounding,
        )


@dataclass(frozen=True, eq=False)
class Judgement:
    """A comparison: the verdict, the entry `where` it hangs on, the `difference` there and what was `allowed` [J/θ_j].

    `allowances` are those of all entries.  `open` are the entries that a mistake could hide in, `negligible` those whose size
    alone is confirmed; `near` the known mistakes that would have passed, and `missing` why not all of them were tried.
    """

    verdict: Verdict
    where: int
    difference: float
    allowed: float
    allowances: Array
    open: Array
    negligible: Array
    near: tuple[Mistake, ...] = ()
    missing: str = ""
    values_differ: bool = False


def witness_allowance(yardstick: Yardstick, method: float | Array) -> Array:
    """The largest difference (k,) [J/θ_j] that honest arithmetic explains of a route whose method leaves `method` [J/θ_j]."""
    return np.asarray(SAFETY * (2.0 * yardstick.rounding + np.abs(method)))


def candidate_allowance(yardstick: Yardstick, precision: np.dtype[Any], tolerance: float | None) -> Array:
    """The largest difference (d,) [J/θ_j] that a gradient computed elsewhere, in `precision`, may have.

    In double precision that is a witness's, with `tolerance` [1] for what the candidate's own method leaves, relative to the
    terms of each entry; one that says nothing of its method may leave half of its digits unused.  In single precision the
    rounding is as many times larger as a unit in the last place, and 16 times that would hide every mistake: `SINGLE_SAFETY`.
    """
    if tolerance is None:
        method = np.minimum(HALF_THE_DIGITS * yardstick.terms, UNKNOWN_METHOD * np.abs(yardstick.gradient))
    else:
        method = tolerance * yardstick.terms
    if precision == np.float32:
        return np.asarray(SINGLE_SAFETY * _single(yardstick.rounding) + method)
    return np.asarray(witness_allowance(yardstick, 0.0) + method)


def _single(rounding: Array) -> Array:
    """Rounding [J/θ_j] of double precision as it would be in single."""
    return np.asarray(rounding * (float(np.finfo(np.float32).eps) / float(np.finfo(np.float64).eps)))


def negligible_part(precision: np.dtype[Any] | None = None, tolerance: float | None = None) -> float:
    """Below which part [1] of the largest entry, in natural steps, an entry need not be told apart from zero."""
    least = SINGLE_RESOLUTION if precision == np.float32 else RESOLUTION
    return max(least, min(tolerance or 0.0, SINGLE_RESOLUTION))


def judge(
    yardstick: Yardstick,
    found: Array,
    allowed: Array,
    *,
    mistakes: Callable[[], Mistakes] | None = None,
    directions: Array | None = None,
    negligible: float = RESOLUTION,
    by_difference: bool = False,
    values: tuple[float, float] | None = None,
) -> Judgement:
    """Hold entries `found` (k,) against those of the reference; a NaN anywhere is a disagreement.

    `yardstick` is already that `along` the `directions`, which are given again for the mistakes.  `mistakes` makes the known
    ones on this problem, if that becomes necessary; `values` is (the other J, its own error) [J].  `by_difference`: an entry is
    told by its difference alone, as a gradient is that was handed in once and for all; a witness must be able to resolve it.
    """
    exact, size = yardstick.gradient, np.abs(yardstick.gradient)
    off = np.abs(found - exact)
    off[np.isnan(off)] = np.inf
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        strain = np.where(off == 0.0, 0.0, off / allowed)
    told = (allowed <= RESOLUTION * size) & (size > 0.0)
    if by_difference:
        # As near as that to a reference that is itself unsure of half of the entry tells nothing.
        sure = 2.0 * witness_allowance(yardstick, 0.0) < size
        told |= ((1.0 + MARGIN) * off <= RESOLUTION * size) & sure
    small = np.zeros_like(told)
    if not told.all():
        natural = size * yardstick.units
        reached = yardstick.zero | (2.0 * allowed >= size)
        with np.errstate(over="ignore", invalid="ignore"):
            small = ~told & reached & (allowed * yardstick.units <= negligible * float(natural.max()))
    unclear = ~told & ~small

    def judged(verdict: Verdict, where: int, **more: Any) -> Judgement:
        return Judgement(
            verdict, where, float(off[where]), float(allowed[where]), allowed, np.flatnonzero(unclear),
            np.flatnonzero(small), **more,
        )  # fmt: skip

    worst = int(np.argmax(strain))
    if not strain[worst] <= 1.0:
        return judged(Verdict.DISAGREES, worst)
    if values is not None and _values_differ(yardstick, *values):
        return judged(Verdict.DISAGREES, worst, values_differ=True)
    if yardstick.zero.all():
        # Zero beside J itself; where rounding in a natural step is as large as J, nothing at all is known of ∇J.
        unknown = float((yardstick.rounding * yardstick.units).max()) > UNKNOWN * yardstick.value_scale > 0.0
        return judged(Verdict.CANNOT_TELL if unknown else Verdict.ZERO, worst)
    hidden = np.flatnonzero(unclear & (2.0 * allowed >= size))
    if hidden.size:  # the largest of the entries that could be anything
        return judged(Verdict.CANNOT_TELL, int(hidden[np.argmax((size * yardstick.units)[hidden])]))
    if not unclear.any():
        return judged(Verdict.AGREES, worst)
    known = mistakes() if mistakes is not None else None
    if known is None:
        return judged(Verdict.CANNOT_TELL, worst)
    near = known.not_excluded(found, exact, allowed, directions)
    # Where no mistake is formulated, what is left are the differences themselves.
    missing = known.missing if np.any((1.0 + MARGIN) * off[unclear] > RESOLUTION * size[unclear]) else ""
    return judged(Verdict.CANNOT_TELL if near or missing else Verdict.AGREES, worst, near=near, missing=missing)


def relative(yardstick: Yardstick, found: Array) -> float:
    """The largest difference of any entry from the reference, relative to the largest entry, both in natural steps [1]."""
    return share(yardstick, found - yardstick.gradient)


def share(yardstick: Yardstick, difference: Array) -> float:
    """The largest entry of a difference relative to the largest of the gradient, both in natural steps [1]."""
    natural = float((np.abs(yardstick.gradient) * yardstick.units).max(initial=0.0))
    off = float((np.abs(difference) * yardstick.units).max(initial=0.0))
    return off / natural if natural else (0.0 if not off else float("inf"))


def _values_differ(yardstick: Yardstick, value: float, error: float) -> bool:
    """Whether two values J differ by more than the other one's own error [J] explains."""
    allowed = VALUE_RESOLUTION * yardstick.value_scale + SAFETY * (2.0 * yardstick.value_rounding + error)
    return not abs(value - yardstick.value) <= allowed
