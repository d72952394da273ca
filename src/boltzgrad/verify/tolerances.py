r"""When two gradients agree: the only file in which a tolerance is argued about.

A difference between the reference and a witness has three honest sources: rounding of the reference, rounding of the
witness, and what the witness's method leaves (truncation, step size, solver residual).  The first two are
about equal and are *measured* for this problem at this θ (`Hypergradient.error_estimate`); the third the witness
reports.  The allowance is their sum times `SAFETY`:

    allowed = SAFETY · (2 · rounding + method),     rounding = estimate + u · horizon · Σ |cotangent||array|,

times ‖u‖₁ for a slope along u, because |u·e| ≤ ‖u‖₁ ‖e‖_∞.  A comparison is always with the whole vector's scale,
never entry by entry relative, and never "absolute or relative".

The second part of the rounding is what plain iterations lose from J's ingredients however small the gradient is.

An allowance that could hide a plausible mistake proves nothing.  `RESOLUTION` is the relative size of
difference that a comparison must be able to see; every mutant in `mutants/` is further from the truth than
that, and a test says so.  A larger allowance gives the verdict "cannot tell".  For a gradient of somebody else's, whose
method may leave more, the mistakes are made on the very problem instead (`clearly_right`, `CLEARLY`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from boltzgrad.gradients import Hypergradient
from boltzgrad.problems.kernel import Array

SAFETY = 16.0
RESOLUTION = 1e-5
# A gradient that is a cancellation is judged against this fraction of the terms it is a sum of.
CANCELLATION = 1e-3
# A gradient that vanishes is judged against this fraction of what J is made of, Σ |cotangent||array|.
VANISHING = 1e-4
# Values J are compared to this relative size: no estimate of their rounding is needed to see a wrong one.
VALUE_RESOLUTION = 1e-6
# What a gradient of somebody else's may be off by, relative to its scale, where nothing is known of its method.
HALF_THE_DIGITS = float(np.sqrt(np.finfo(np.float64).eps))
# Single precision: JAX sweeping on the zoo (rewards, kernels, four temperatures) is off by 0.07 to 0.7 of the estimate.
SINGLE_SAFETY = 4.0
# Where an allowance is wide enough to let a known mistake pass, a gradient must be this many times nearer to the truth
# than to the mistake: rounding has no reason to point from the one to the other in every coordinate at once.
CLEARLY = 4.0


class Verdict(StrEnum):
    """What a witness says."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    CANNOT_TELL = "cannot tell"
    NOT_SMOOTH = "not smooth"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Judgement:
    """A comparison: the largest difference, where it is, what was allowed, and the verdict."""

    difference: float
    where: int
    allowed: float
    verdict: Verdict


def natural_scale(reference: Hypergradient) -> float:
    """The size against which `judge` measures a gradient that cancels or vanishes (before `CANCELLATION`)."""
    return max(reference.magnitude, VANISHING / CANCELLATION * reference.ingredients)


def scale_of(gradient: Array, magnitude: float) -> float:
    """The size that differences of a gradient are relative to; `magnitude` as in `judge`.

    One where everything is zero: differences are then absolute.
    """
    return max(float(np.abs(gradient).max()), CANCELLATION * magnitude) or 1.0


def candidate_allowance(reference: Hypergradient, precision: np.dtype[Any], tolerance: float | None) -> float:
    """The largest difference from the reference that a gradient computed elsewhere, in `precision`, may have.

    In double precision that is `allowance`'s, with `tolerance` for what the candidate's own method leaves, relative to
    `scale_of`; one that says nothing of its method may leave half of its digits unused.  In single precision the estimate
    is as many times larger as a unit in the last place, and 16 times that would hide every mistake: `SINGLE_SAFETY`.
    """
    eps, scale = float(np.finfo(np.float64).eps), scale_of(reference.gradient, natural_scale(reference))
    method = (HALF_THE_DIGITS if tolerance is None else tolerance) * scale
    if precision == np.float32:
        return SINGLE_SAFETY * reference.error_estimate * float(np.finfo(np.float32).eps) / eps + method
    return allowance(reference.error_estimate + reference.rounding_floor, 0.0, None) + method


def clearly_right(difference: float, allowed: float, size: float) -> bool:
    """Whether a difference within its allowance needs no look at known mistakes: the allowance or it is below them all.

    `size` is `size_of` the reference: relative to the terms of a gradient that cancels, even its negative is near.
    """
    return allowed <= RESOLUTION * size or (1.0 + CLEARLY) * difference <= RESOLUTION * size


def size_of(reference: Hypergradient) -> float:
    """‖∇J‖_∞, what mistakes are measured against; the whole scale where ∇J is zero as far as its own rounding tells."""
    size = float(np.abs(reference.gradient).max())
    if size <= CLEARLY * reference.error_estimate:
        return scale_of(reference.gradient, natural_scale(reference))
    return size


def allowance(rounding: float, method: float, directions: Array | None) -> float:
    """The largest difference that honest arithmetic explains."""
    stretch = 1.0 if directions is None else float(np.abs(directions).sum(axis=1).max())
    return SAFETY * (2.0 * rounding * stretch + method)


def judge(
    reference: Array,
    candidate: Array,
    *,
    allowed: float,
    magnitude: float,
    values: tuple[float, float] | None = None,
) -> Judgement:
    """Compare a candidate with what the reference says of the same entries.

    `magnitude` is the natural scale: the size of the terms that the gradient is a sum of; `values` the two J's.
    A NaN anywhere is a disagreement.
    """
    off = np.abs(candidate - reference)
    off[np.isnan(off)] = np.inf
    where = int(np.argmax(off))
    difference = float(off[where])
    scale = scale_of(reference, magnitude)
    wrong_value = values is not None and not abs(values[0] - values[1]) <= VALUE_RESOLUTION * max(1.0, abs(values[0]))
    if wrong_value or not difference <= allowed:
        verdict = Verdict.DISAGREES
    elif allowed > RESOLUTION * scale:
        verdict = Verdict.CANNOT_TELL
    else:
        verdict = Verdict.AGREES
    return Judgement(difference, where, allowed, verdict)
