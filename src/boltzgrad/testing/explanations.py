"""What a wrong gradient looks like: a known mistake, or a simple distortion of the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.verify.tolerances import RESOLUTION, candidate_allowance

if TYPE_CHECKING:
    from boltzgrad.testing.check import HypergradientCheck

_SHOWN = 3
# A mistake that leaves more than this part of the difference unexplained is not named: of many, one is always a little nearer.
_EXPLAINED = 0.5
# A factor as near to one as this is no wrong length.
_SAME_FACTOR = 1e-12
# A tolerance is advised only where it could hide no known mistake: each moves some entry by more than this part of it.
_SAFE_TO_ADVISE = RESOLUTION


def explanations(check: HypergradientCheck) -> tuple[str, ...]:
    """Known mistakes and simple distortions that explain a wrong gradient, the nearest first."""
    rounding = np.minimum(check.allowances, candidate_allowance(check.yardstick, np.dtype(check.precision), None))
    known = [
        f"‘{mistake.name}’ (it matches yours {_closeness(check, mistake.gradient)})"
        for mistake, _ in check.mistakes.like(check.gradient, check.allowances, rounding)
    ]
    if known:
        return tuple(known[:_SHOWN])
    found = _distortions(check)
    if found or _is_slight(check):
        return tuple(found)
    nearest = check.mistakes.nearest(check.gradient)
    if nearest is None or nearest[1] > _EXPLAINED * check.relative:
        return ()
    mistake, off = nearest
    return (
        f"nearly ‘{mistake.name}’ ({off:.1e} of ‖∇J‖_∞ from it, {check.relative:.1e} from the truth): that and more, or "
        "something like it",
    )


def _closeness(check: HypergradientCheck, mistake: Array) -> str:
    """How near a mistake's gradient is to yours."""
    if np.array_equal(check.gradient, mistake):
        return "to the last digit"
    within = bool(np.all(np.abs(check.gradient - mistake) <= check.allowances))
    return f"to {apart(check, check.gradient, mistake):.0e} of ‖∇J‖_∞{'' if within else ', nearly: more is wrong'}"


def apart(check: HypergradientCheck, one: Array, other: Array) -> float:
    """How far two gradients (d,) are from each other, relative to the largest entry of ∇J, all in natural steps [1]."""
    units = check.yardstick.units
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return float((np.abs(one - other) * units).max() / (np.abs(check.target) * units).max())


def _is_slight(check: HypergradientCheck) -> bool:
    """Whether the difference is smaller than that of any formula's mistake."""
    return check.relative <= RESOLUTION and check.precision == "float64"


def _distortions(check: HypergradientCheck) -> list[str]:
    """Another factor, another order."""
    yours, exact, units = check.gradient, check.target, check.yardstick.units
    with np.errstate(over="ignore", invalid="ignore"):
        # In natural steps, so that no unit of θ decides which entries count.
        yours, exact = yours * units, exact * units
        size = float(exact @ exact)
        largest = float(np.abs(exact).max())
        # An explanation has to leave next to nothing of the difference.
        near = min(max(float((check.allowances * units).max()), 1e-6 * largest), 0.01 * check.relative * largest)
        if not size or yours.size < 2:
            return []
        factor = float(yours @ exact) / size
    if (
        np.isfinite(factor)
        and np.abs(yours - factor * exact).max() <= near
        and abs(factor) > 1e-3
        and abs(factor - 1.0) > _SAME_FACTOR
    ):
        return [f"it is {factor:.9g} × ∇J: right in direction, wrong in length"]
    yours, exact = check.gradient, check.target
    near = min(max(float(check.allowances.max()), 1e-6 * float(np.abs(exact).max())), 0.01 * float(check.off.max()))
    if yours.size > 2 and np.abs(np.sort(yours) - np.sort(exact)).max() <= near:
        for rows in range(2, yours.size):
            if yours.size % rows == 0 and np.abs(yours.reshape(rows, -1).T.ravel() - exact).max() <= near:
                return [f"the right entries in column-major order: read as a table of {rows} rows, it is transposed"]
        return ["the right entries in another order"]
    return []


def unexplained(check: HypergradientCheck) -> str:
    """What is to be said of a difference that nothing explains."""
    tried = check.mistakes
    if _is_slight(check):
        words = (
            f"no formula's mistake ({check.relative:.0e} of ‖∇J‖_∞ is smaller than any of them): a solver stopped early, a "
            "step size, or single precision somewhere inside"
        )
        needed = _rounded_up(float(np.max(check.off / np.maximum(check.yardstick.terms, 5e-324))))
        if needed <= _SAFE_TO_ADVISE:
            words += f"; if that is your method's accuracy, say so with tolerance={needed:.0e}"
        return words
    if tried.missing:
        return f"unknown; {tried.missing}"
    return (
        f"none of the {tried.tried} known mistakes of this family; if you solve the follower on the way, check its V and "
        "policy first: bg.testing.assert_follower"
    )


def _rounded_up(x: float) -> float:
    """The next number of one digit above x."""
    power = 10.0 ** np.floor(np.log10(x))
    return float(np.ceil(1.01 * x / power) * power)
