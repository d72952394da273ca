"""What a check of somebody's gradient says: which coordinate, how far, what was allowed, who agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.problems.kernel import Array
from boltzgrad.testing.explanations import explanations, unexplained
from boltzgrad.verify import Row, Verdict
from boltzgrad.verify.tolerances import SAFETY, SINGLE_SAFETY, size_of

if TYPE_CHECKING:
    from boltzgrad.testing.comparison import HypergradientCheck

_SHOWN = 3


def text(check: HypergradientCheck) -> str:
    """The whole message; one line where the gradient agrees."""
    if check.ok:
        return f"{title(check)}: agrees; {_difference(check)}{_vanishing(check)}"
    lines = [
        title(check),
        f"coordinate {check.where}: {_numbers(check)}; {_difference(check)}",
        f"allowed: {_allowance(check)}",
    ]
    if check.verdict == Verdict.CANNOT_TELL:
        lines.append(_cannot_tell(check))
        return "\n".join(lines)
    lines.append(_extent(check))
    lines += _opinions(check)
    found = explanations(check)
    lines += [f"looks like: {words}" for words in found] or [f"looks like: {unexplained(check)}"]
    return "\n".join(lines)


def title(check: HypergradientCheck) -> str:
    """The problem in a line."""
    reference = check.reference
    return f"{getattr(check.problem, 'name', '') or 'problem'}: {reference.size}, d = {reference.theta.size}"


def _numbers(check: HypergradientCheck) -> str:
    j, reference = check.where, check.reference
    bound = reference.coordinate_bounds[j]
    sure = f" ± {bound:.1e}" if np.isfinite(bound) else f" (± {reference.error_estimate:.1e}, estimated)"
    return f"yours {check.gradient[j]:.12g}, reference {reference.gradient[j]:.12g}{sure}"


def _difference(check: HypergradientCheck) -> str:
    return f"difference {check.difference:.2g}, allowed {check.allowed:.2g}"


def _allowance(check: HypergradientCheck) -> str:
    own = "half of float64's digits" if check.tolerance is None else f"your tolerance of {check.tolerance:.2g}"
    rounding = (
        f"{SINGLE_SAFETY:g} × the rounding of single precision"
        if check.precision == "float32"
        else f"{SAFETY:g} × the rounding of both sides"
    )
    return f"{rounding} on this problem, and {own}, together {check.allowed / check.scale:.1e} of {check.unit}"


def _vanishing(check: HypergradientCheck) -> str:
    size = float(np.abs(check.reference.gradient).max())
    if size_of(check.reference) == size:
        return ""
    return f"; ∇J is zero as far as rounding tells ({size:.1e}), and all that can be said is that yours is as small"


def _cannot_tell(check: HypergradientCheck) -> str:
    near, scale = check.not_excluded, check.scale
    reasons = []
    if near:
        names = ", ".join(f"‘{m.name}’ ({m.distance / scale:.1e} from the truth)" for m in near[:_SHOWN])
        more = f" and {len(near) - _SHOWN} more" if len(near) > _SHOWN else ""
        reasons.append(f"yours ({check.difference / scale:.1e} from it) could as well be {names}{more}")
    if check.mistakes.missing:
        reasons.append(check.mistakes.missing)
    milder = "a problem that amplifies rounding less (higher temperature, lower discounts)"
    if check.precision == "float32":
        advice = f"compute it in float64, or on {milder}"
    else:
        advice = f"check it on {milder}" if check.tolerance is None else "give a smaller tolerance, and solve to it"
    return f"cannot tell: so wide an allowance would let a mistake pass: {'; '.join(reasons)}; {advice}"


def _extent(check: HypergradientCheck) -> str:
    yours, exact = check.gradient, check.reference.gradient
    with np.errstate(over="ignore", invalid="ignore"):
        return _sizes(check, yours, exact)


def _sizes(check: HypergradientCheck, yours: Array, exact: Array) -> str:
    wrong = int((check.off > check.allowed).sum())
    size, norm = float(np.linalg.norm(exact)), float(np.linalg.norm(yours))
    share = f"‖yours − ∇J‖ is {_share(float(np.linalg.norm(yours - exact)), size)}"
    cosine = f", cosine {float(yours @ exact) / (size * norm):.4f}" if size and norm else ""
    where = ""
    if 0 < wrong < yours.size:
        first = np.flatnonzero(check.off > check.allowed)
        shown = ", ".join(map(str, first[:6])) + (", …" if first.size > 6 else "")
        where = f" ({shown})"
    return f"how far: {wrong} of {yours.size} coordinates are off{where}; {share}{cosine}"


def _share(part: float, whole: float) -> str:
    if not whole:
        return f"{part:.2g} (∇J = 0)"
    return f"{100 * part / whole:.2g} % of ‖∇J‖" if part < 10 * whole else f"{part / whole:.2g} × ‖∇J‖"


def sides(check: HypergradientCheck, row: Row) -> tuple[float, float, bool]:
    """Of another route: its number at the worst coordinate (NaN where it has only slopes), how far all of yours is from its
    gradient or slopes, and whether it takes your side.
    """
    assert row.gradient is not None
    seen = check.gradient if row.directions is None else row.directions @ check.gradient
    number = float(row.gradient[check.where]) if row.directions is None else float("nan")
    apart = float(np.abs(seen - row.gradient).max())
    return number, apart, bool(apart <= row.allowed and row.difference > row.allowed)


def _opinions(check: HypergradientCheck) -> list[str]:
    """What every other route says at this coordinate, and the conclusion."""
    rows = check.report.rows[1:]
    spoke = [row for row in rows if row.gradient is not None]
    lines, scale = ["other routes:"], check.scale
    width = max((len(row.route) for row in rows), default=0)
    silent: dict[str, list[str]] = {}
    for row in rows:
        if row.gradient is None:
            silent.setdefault(f"{row.verdict}{f' ({row.note})' if row.note else ''}", []).append(row.route)
            continue
        number, apart, _ = sides(check, row)
        what = f"{number:.12g}" if np.isfinite(number) else f"slopes along {len(row.gradient)} directions"
        lines.append(
            f"  {row.route.ljust(width)}  {what}; from the reference {row.difference / scale:.0e}, "
            f"from yours {apart / scale:.0e} of {check.unit}{'' if row.verdict == Verdict.AGREES else f'; {row.verdict}'}"
        )
    lines += [f"  {', '.join(names)}: {why}" for why, names in silent.items()]
    yours = [row.route for row in spoke if sides(check, row)[2]]
    agreeing = [row.route for row in check.report.agreeing]
    if yours:
        lines.append(
            f"{', '.join(yours)} sides with you against the reference: please report this problem to boltzgrad"
        )
    elif not check.report.ok:
        lines.append(f"the reference itself is not confirmed here: {check.report.summary()}")
    else:
        count = f"{len(agreeing)} independent routes agree" if len(agreeing) > 1 else f"{agreeing[0]} agrees"
        lines.append(f"{count} with the reference, none with yours: the difference is yours")
    return lines


def record(check: HypergradientCheck) -> dict[str, Any]:
    """The outcome as plain numbers and text."""
    reference: Array = check.reference.gradient
    return {
        "problem": getattr(check.problem, "name", ""),
        "ok": check.ok,
        "verdict": str(check.verdict),
        "difference": check.difference,
        "coordinate": check.where,
        "yours": float(check.gradient[check.where]),
        "reference": float(reference[check.where]),
        "allowed": check.allowed,
        "relative_difference": check.difference / check.scale,
        "precision": check.precision,
        "looks_like": list(check.looks_like),
        "message": text(check),
    }
