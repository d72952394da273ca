"""What a wrong gradient looks like: a known mistake, or a simple distortion of the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from boltzgrad.verify.tolerances import RESOLUTION

if TYPE_CHECKING:
    from boltzgrad.testing.comparison import HypergradientCheck

_SHOWN = 3
# A factor as near to one as this is no wrong length.
_SAME_FACTOR = 1e-5


def explanations(check: HypergradientCheck) -> tuple[str, ...]:
    """Known mistakes and simple distortions that explain a wrong gradient, the nearest first."""
    known = [
        f"‘{mistake.name}’ (it matches yours {_to(off, check)}{'' if off <= check.allowed else ', nearly: more is wrong'})"
        for mistake, off in check.mistakes.like(check.gradient, check.allowed)
    ]
    return tuple(known[:_SHOWN] if known else _distortions(check))


def _to(off: float, check: HypergradientCheck) -> str:
    return f"to {off / check.scale:.0e} of {check.unit}" if off else "to the last digit"


def _distortions(check: HypergradientCheck) -> list[str]:
    """Another factor, another order."""
    yours, exact = check.gradient, check.reference.gradient
    size = float(exact @ exact)
    # An explanation has to leave next to nothing of the difference.
    near = min(max(check.allowed, 1e-6 * check.scale), 0.01 * check.difference)
    if not size or yours.size < 2:
        return []
    with np.errstate(over="ignore", invalid="ignore"):
        factor = float(yours @ exact) / size
    if (
        np.isfinite(factor)
        and np.abs(yours - factor * exact).max() <= near
        and abs(factor) > 1e-3
        and abs(factor - 1.0) > _SAME_FACTOR
    ):
        return [f"it is {factor:.6g} × ∇J: right in direction, wrong in length"]
    if yours.size > 2 and np.abs(np.sort(yours) - np.sort(exact)).max() <= near:
        for rows in range(2, yours.size):
            if yours.size % rows == 0 and np.abs(yours.reshape(rows, -1).T.ravel() - exact).max() <= near:
                return [f"the right entries in column-major order: read as a table of {rows} rows, it is transposed"]
        return ["the right entries in another order"]
    return []


def unexplained(check: HypergradientCheck) -> str:
    """What is to be said of a difference that nothing explains."""
    tried, scale = check.mistakes, check.scale
    if check.difference <= RESOLUTION * check.scale and check.precision == "float64":
        return (
            f"no formula's mistake ({check.difference / scale:.0e} of {check.unit} is smaller than any of them): a "
            "solver stopped early, a step size, or single precision somewhere inside; if that is your method's accuracy, "
            f"say so with tolerance={_rounded_up(check.difference / scale)}"
        )
    if tried.missing:
        return f"unknown; {tried.missing}"
    return (
        f"none of the {tried.tried} known mistakes of this family; if you solve the follower on the way, check its V and "
        "policy first: bg.testing.assert_follower"
    )


def _rounded_up(x: float) -> str:
    """The next number of one digit above x."""
    power = 10.0 ** np.floor(np.log10(x))
    return f"{np.ceil(1.01 * x / power) * power:.0e}"
