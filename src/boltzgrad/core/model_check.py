r"""The model held against itself, before anybody is blamed.

Every route differentiates the problem's own `build`, so a build whose derivative is not its slope misleads all of them
together: a graph that is cut (`stop_gradient`, `.detach()`, a cast), a hand-written pull-back with an error.  Therefore:

1. **It repeats itself**, leaves θ alone, and hands out arrays that a later call does not change.
2. **Its derivative is its slope** along a random direction v, in which every coordinate takes a natural step: array by array,
   push-forward(v) is Im x(θ + ihv)/h where build takes complex numbers, and the limit of (x(θ + tv) − x(θ − tv))/2t, whose
   error is measured, where it does not or where the two disagree.  A coarse real difference stands beside every complex step,
   because rounding and casts let an imaginary part through, or drop it, without a word.
3. **The pull-back is the transpose of it**: ⟨pull-back(w), v⟩ = ⟨w, slope(v)⟩ for random signs w.

What fails is looked for by halving the coordinates, so that a message can name array, entry and coordinate.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Parts
from boltzgrad.core.model_record import ModelCheck, entry_name
from boltzgrad.core.slope_check import Probe

__all__ = ["ModelCheck", "check_model"]

# Two calls of one build may differ by the order in which a parallel sum is added up, not by more.
_REPEATS = 64.0 * float(np.finfo(float).eps)


def check_model(arrays: ArrayMap, further: tuple[ArrayMap, ...] = ()) -> ModelCheck:
    """Check a model's map θ ↦ arrays, and the scalar functions that enter J beside it; the first fault ends it."""
    found = [_check(at) for at in (arrays, *further)]
    bad = next((check for check in found if not check.ok), None)
    if bad is not None:
        return bad
    unchecked = "; ".join(check.unchecked for check in found if check.unchecked)
    methods = {check.method: None for check in found if check.method}
    return ModelCheck(
        method=" and ".join(methods), unchecked=unchecked, doubtful=any(check.doubtful for check in found)
    )


def _check(given_map: ArrayMap) -> ModelCheck:
    at = given_map.in_one_unit  # the largest entry of an array is taken below: like with like
    given = at.theta.copy()
    first = at.evaluate(given)
    kept = tuple(np.array(x) for x in first)
    moved = np.flatnonzero(given != at.theta)
    if moved.size:
        j = int(moved[0])
        return ModelCheck(
            "changes theta",
            f"build changed the theta that it was given: theta[{j}] was {at.theta[j]:.6g} and is {given[j]:.6g} after the "
            "call; let it work on a copy",
            coordinate=j,
        )
    unlike = _unlike(given_map, at.values, kept)
    if unlike:
        return unlike
    found = Probe(at, given_map.unit_of).check()
    changed = _unlike(given_map, kept, first)
    if changed:
        return ModelCheck(
            "changes its arrays",
            f"build changes an array that it handed out before: {changed.array} was {changed.derivative:.6g} and, after it was "
            f"called with another theta, is {changed.slope:.6g}; return a fresh array each time",
            array=changed.array,
        )
    return found if not found.ok else _unlike(given_map, kept, at.evaluate(at.theta.copy())) or found


def _unlike(at: ArrayMap, one: Parts, other: Parts) -> ModelCheck | None:
    """The complaint about arrays, with the entries of each in one unit, that should be the same, or None."""
    if [np.shape(x) for x in one] != [np.shape(x) for x in other]:
        return ModelCheck(
            "random", "build returned arrays of other shapes when it was called again with the same theta"
        )
    for k, (name, x, y) in enumerate(zip(at.names, one, other, strict=True)):
        off = np.abs(np.asarray(y) - np.asarray(x))
        if off.size and not off.max() <= _REPEATS * float(np.abs(x).max()):
            i = int(np.argmax(off))
            label, before, after = entry_name(name, off), *(z.ravel()[i] * at.unit_of(k, i) for z in (x, y))
            return ModelCheck(
                "random",
                f"build returned other numbers when it was called again with the same theta: {label} was {before:.6g} and then "
                f"{after:.6g}; it draws random numbers (fix them outside of build) or keeps state between calls",
                array=label,
                derivative=float(before),
                slope=float(after),
            )
    return None
