"""What a check of somebody's gradient says: which coordinate, how far, what was allowed, who agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.testing.explanations import explanations, unexplained
from boltzgrad.verify import Row, Verdict
from boltzgrad.verify.tolerances import SAFETY, SINGLE_SAFETY, relative

if TYPE_CHECKING:
    from boltzgrad.testing.check import HypergradientCheck

_SHOWN = 3


def text(check: HypergradientCheck) -> str:
    """The whole message; one line where the gradient agrees."""
    if check.verdict == Verdict.MODEL:
        at = check.model.coordinate
        where = "" if at < 0 or _tree(check) is None else f" (theta[{at}] is {check.problem.entry(at)})"
        return "\n".join([title(check), f"{Verdict.MODEL}: {check.model}{where}", _NOT_YOURS])
    if check.ok:
        return f"{title(check)}: agrees; {_difference(check)}{_negligible(check)}"
    lines = [
        title(check),
        f"coordinate {named(check, check.where)}: {_numbers(check)}; {_difference(check)}",
        f"allowed: {_allowance(check)}",
    ]
    if check.verdict == Verdict.ZERO:
        lines.append(_zero(check))
        return "\n".join(lines)
    if check.verdict == Verdict.CANNOT_TELL:
        lines.append(_cannot_tell(check))
        return "\n".join(lines)
    lines.append(_extent(check))
    lines += _opinions(check)
    found = explanations(check)
    lines += [f"looks like: {words}" for words in found] or [f"looks like: {unexplained(check)}"]
    return "\n".join(lines)


_NOT_YOURS = (
    "nothing can be said of your gradient: the reference and every other route differentiate this model, so "
    "mend it first"
)


def title(check: HypergradientCheck) -> str:
    """The problem in a line."""
    reference = check.reference
    return f"{getattr(check.problem, 'name', '') or 'problem'}: {reference.size}, d = {reference.theta.size}"


def _tree(check: HypergradientCheck) -> Any:
    return getattr(check.problem, "tree", None)


def named(check: HypergradientCheck, coordinate: int) -> str:
    """A coordinate's number and, where θ is several arrays, its leaf and the place in it."""
    return f"{coordinate}{'' if _tree(check) is None else f', {check.problem.entry(coordinate)}'}"


def _numbers(check: HypergradientCheck) -> str:
    j, reference = check.where, check.reference
    bound = reference.bound_at(j)
    sure = f" ± {bound:.1e}" if np.isfinite(bound) else f" (± {reference.coordinate_estimates[j]:.1e}, estimated)"
    return f"yours {check.gradient[j]:.12g}, reference {reference.gradient[j]:.12g}{sure}"


def _difference(check: HypergradientCheck) -> str:
    return f"difference {check.difference:.2g}, allowed {check.allowed:.2g}"


def _allowance(check: HypergradientCheck) -> str:
    if check.tolerance is None:
        own = "half of float64's digits of its terms, but at most an eighth of itself"
    else:
        own = f"your tolerance of {check.tolerance:.2g} of its terms"
    rounding = (
        f"{SINGLE_SAFETY:g} × the rounding of single precision"
        if check.precision == "float32"
        else f"{SAFETY:g} × the rounding of both sides"
    )
    return f"{rounding} in this entry, and {own}, together {_of_entry(check, check.allowed)}"


def _of_entry(check: HypergradientCheck, x: float) -> str:
    """A number relative to the entry of ∇J that the verdict hangs on, or to its terms where that is zero."""
    size = abs(float(check.target[check.where]))
    if check.yardstick.zero[check.where]:
        terms = float(check.yardstick.terms[check.where])
        return f"{x / terms:.1e} of its terms" if terms else f"{x:.1e}"
    return f"{x / size:.1e} of it"


def _negligible(check: HypergradientCheck) -> str:
    count = check.judgement.negligible.size
    if not count:
        return ""
    return (
        f"; {count} of {check.gradient.size} entries {'are' if count > 1 else 'is'} negligible here (zero as far as rounding "
        f"tells, or nearly), and all that can be said is that {'yours are' if count > 1 else 'yours is'} as small"
    )


def _zero(check: HypergradientCheck) -> str:
    size = float(np.abs(check.target).max())
    return (
        f"{Verdict.ZERO}: ∇J is zero as far as its rounding tells (‖∇J‖_∞ = {size:.1e}, its rounding here "
        f"{float(check.yardstick.rounding.max()):.1e}), and so is yours; that confirms nothing, its negative would pass as "
        "well: check it at another theta"
    )


def _cannot_tell(check: HypergradientCheck) -> str:
    if check.model.doubtful:
        return f"cannot tell: the model itself is in doubt here: {check.model.unchecked}"
    near, judgement = check.not_excluded, check.judgement
    reasons = []
    if near:
        names = ", ".join(f"‘{m.name}’ ({m.distance:.1e} from the truth)" for m in near[:_SHOWN])
        more = f" and {len(near) - _SHOWN} more" if len(near) > _SHOWN else ""
        reasons.append(f"yours ({check.relative:.1e} from it) could as well be {names}{more}")
    elif judgement.missing:
        reasons.append(judgement.missing)
    elif check.yardstick.zero[check.where]:
        reasons.append(
            f"entry {named(check, check.where)} is zero as far as its rounding tells, and what is allowed there "
            f"({check.allowed:.2g}) is not small beside the largest entry"
        )
    else:
        exact = check.target[check.where]
        reasons.append(
            f"half of entry {named(check, check.where)} ({0.5 * exact:.3g} for {exact:.3g}) would have passed as well"
        )
    milder = "a problem that amplifies rounding less (higher temperature, lower discounts)"
    if check.precision == "float32":
        advice = f"compute it in float64, or on {milder}"
    else:
        advice = f"check it on {milder}" if check.tolerance is None else "give a smaller tolerance, and solve to it"
    return f"cannot tell: so wide an allowance would let a mistake pass: {'; '.join(reasons)}; {advice}"


def _extent(check: HypergradientCheck) -> str:
    yours, exact = check.gradient, check.target
    with np.errstate(over="ignore", invalid="ignore"):
        return _sizes(check, yours, exact)


def _sizes(check: HypergradientCheck, yours: Array, exact: Array) -> str:
    off = check.off > check.allowances
    wrong = int(off.sum())
    size, norm = float(np.linalg.norm(exact)), float(np.linalg.norm(yours))
    share = f"‖yours − ∇J‖ is {_share(float(np.linalg.norm(yours - exact)), size)}"
    cosine = f", cosine {float(yours @ exact) / (size * norm):.4f}" if size and norm else ""
    where = ""
    if 0 < wrong < yours.size:
        tree = _tree(check)
        first = [str(j) for j in np.flatnonzero(off)]
        if tree is not None:
            leaves = zip(tree.names, tree.pieces(off), strict=True)
            first = [f"{np.sum(x)} of {np.size(x)} in theta{name}" for name, x in leaves if np.any(x)]
        shown = ", ".join(first[:6]) + (", …" if len(first) > 6 else "")
        where = f" ({shown})"
    return f"how far: {wrong} of {yours.size} coordinates are off{where}; {share}{cosine}"


def _share(part: float, whole: float) -> str:
    if not whole:
        return f"{part:.2g} (∇J = 0)"
    return f"{100 * part / whole:.2g} % of ‖∇J‖" if part < 10 * whole else f"{part / whole:.2g} × ‖∇J‖"


def sides(check: HypergradientCheck, row: Row) -> tuple[float, float, bool]:
    """Of another route: its number at the worst coordinate (NaN where it has only slopes), how far all of yours is from its
    gradient or slopes relative to the largest entry [1], and whether it takes your side.
    """
    assert row.gradient is not None
    assert row.allowances is not None
    seen = check.gradient if row.directions is None else row.directions @ check.gradient
    number = float(row.gradient[check.where]) if row.directions is None else float("nan")
    yardstick = check.yardstick.along(row.directions)
    apart = relative(yardstick, yardstick.gradient + seen - row.gradient)
    yours = bool(np.all(np.abs(seen - row.gradient) <= row.allowances))
    return number, apart, yours and row.verdict == Verdict.DISAGREES


def _opinions(check: HypergradientCheck) -> list[str]:
    """What every other route says at this coordinate, and the conclusion."""
    rows = check.report.rows[1:]
    spoke = [row for row in rows if row.gradient is not None]
    lines = ["other routes:"]
    width = max((len(row.route) for row in rows), default=0)
    silent: dict[str, list[str]] = {}
    for row in rows:
        if row.gradient is None:
            silent.setdefault(f"{row.verdict}{f' ({row.note})' if row.note else ''}", []).append(row.route)
            continue
        number, apart, _ = sides(check, row)
        what = f"{number:.12g}" if np.isfinite(number) else f"slopes along {len(row.gradient)} directions"
        lines.append(
            f"  {row.route.ljust(width)}  {what}; from the reference {row.relative:.0e}, "
            f"from yours {apart:.0e} of ‖∇J‖_∞{'' if row.verdict == Verdict.AGREES else f'; {row.verdict}'}"
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
    reference: Array = check.target
    return {
        "problem": getattr(check.problem, "name", ""),
        "ok": check.ok,
        "model": str(check.model),
        "verdict": str(check.verdict),
        "difference": check.difference,
        "coordinate": check.where,
        "yours": float(check.gradient[check.where]),
        "reference": float(reference[check.where]),
        "allowed": check.allowed,
        "relative_difference": check.relative,
        "precision": check.precision,
        "looks_like": list(check.looks_like),
        "message": text(check),
    }
