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

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from boltzgrad.errors import BoltzgradError, SuspiciousModel
from boltzgrad.problems.array_map import ArrayMap, Parts
from boltzgrad.problems.kernel import Array

EPS = float(np.finfo(float).eps)
COMPLEX_STEP = 1e-30
# Two calls of one build may differ by the order in which a parallel sum is added up, not by more.
_REPEATS = 64.0 * EPS
# A complex step and an exact derivative differ by rounding; an array's derivative is held to this part of its largest entry.
_RIGHT = 1e-9
# What a softmax or the like loses to cancellation in its derivative, in roundings of the array itself: no mistake.
_CANCELLED = 1e3 * EPS
_COARSE = 1e-3  # the step, in natural units, of the real difference beside a complex one
_FLOOR = 1e-13  # of the largest entry: what an exact derivative of the others may round off
_FIRST, _RATIO, _STEPS = 0.05, 4.0, 8  # of the real differences
_SINGLY = 200  # the most coordinates that are looked at one by one
_CLEAR = 30.0  # a difference's own measured error, this many times, is no contradiction
_SEED = 20_261_128


@dataclass(frozen=True)
class ModelCheck:
    """What came out of it: `ok`, or a `complaint` that names array and coordinate.

    `kind` is "" where it is fine, else "random", "changes theta", "changes its arrays", "derivative" or "transpose".
    `array` is the array's name with the entry, `coordinate` that of θ (−1 where there is none), `derivative` and `slope` the
    two numbers [array/θ_j].  `method` says how slopes were measured, `unchecked` what could not be, and why; `doubtful` that
    this is a kink or noise in the model itself, on which no gradient should be judged.
    """

    kind: str = ""
    complaint: str = ""
    array: str = ""
    coordinate: int = -1
    derivative: float = float("nan")
    slope: float = float("nan")
    method: str = ""
    unchecked: str = ""
    doubtful: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.kind

    def __str__(self) -> str:
        if not self.ok:
            return self.complaint
        return f"the model's derivative is its slope (by {self.method})" + (
            f"; not checked: {self.unchecked}" if self.unchecked else ""
        )


class _Outside(BoltzgradError):
    """Build is not defined at a value of θ nearby."""


class _Slope(NamedTuple):
    """d(arrays)/dt at 0 along a direction, how far off each array's may be, and whether slopes from right and left differ."""

    parts: Parts
    errors: tuple[Array, ...]
    kinked: tuple[bool, ...] = ()


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
    found = _Probe(at, given_map.unit_of).check()
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
            label, before, after = _entry(name, off), *(z.ravel()[i] * at.unit_of(k, i) for z in (x, y))
            return ModelCheck(
                "random",
                f"build returned other numbers when it was called again with the same theta: {label} was {before:.6g} and then "
                f"{after:.6g}; it draws random numbers (fix them outside of build) or keeps state between calls",
                array=label,
                derivative=float(before),
                slope=float(after),
            )
    return None


def _entry(name: str, off: Array) -> str:
    """The name of an array with the index of the entry where `off` is largest."""
    where = np.unravel_index(int(np.argmax(off)), off.shape)
    return f"{name}[{', '.join(map(str, where))}]" if off.size > 1 else name


class _Probe:
    """Slopes of one map along one direction, by whichever way the build allows.

    The direction is random and moves every coordinate, unless one is given; `side` ±1 looks to one side of θ only.
    """

    def __init__(
        self, at: ArrayMap, unit_of: Callable[[int, int], float], direction: Array | None = None, side: int = 0
    ) -> None:
        self.at, self.unit_of, self.rng, self.side = at, unit_of, np.random.default_rng(_SEED), side
        if direction is None:
            # Unlike sizes: what is the same in two coordinates must not cancel.
            unlike = self.rng.choice((-1.0, 1.0), size=at.theta.size) * self.rng.uniform(0.5, 1.5, size=at.theta.size)
            direction = at.units * unlike
        self.direction = direction
        self.pushed = at.push(self.direction)
        self.direction, self.pushed = self._in_step(self.direction, self.pushed)

    def _in_step(self, v: Array, pushed: Parts) -> tuple[Array, Parts]:
        """The direction scaled so that no array moves by more than its own scale."""
        most = max(self._size(pushed), 1.0)
        if not any(x.any() for x in pushed):  # the derivative says that nothing moves; perhaps something does
            slope = self.by_complex_step(v)
            most = (self._size(slope) if slope is not None else 0.0) or 1.0
        return (v / most, tuple(x / most for x in pushed)) if np.isfinite(1.0 / most) else (v, pushed)

    def _evaluate(self, theta: Array) -> Parts:
        """The arrays near θ.  Raises: _Outside, whatever build raises there."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", SuspiciousModel)
                found = self.at.evaluate(theta)
        except Exception as error:
            raise _Outside(f"{type(error).__name__}: {error}") from error
        if [np.shape(x) for x in found] != [np.shape(x) for x in self.at.values]:
            raise _Outside("its arrays have other shapes there")
        return found

    def _size(self, parts: Parts) -> float:
        sizes = (float((np.abs(x) / s).max(initial=0.0)) for x, s in zip(parts, self.at.scales, strict=True))
        return max(sizes, default=0.0)

    def check(self) -> ModelCheck:
        """Hold push-forward and pull-back against the slope; one coordinate at a time where build is not defined all around."""
        try:
            return self._check()
        except _Outside as error:
            return self._one_by_one(str(error))

    def _check(self) -> ModelCheck:
        exact = self.by_complex_step(self.direction) if not self.side else None
        if exact is not None:
            slope = _Slope(exact, tuple(np.zeros(()) for _ in exact))
            if self._disagrees(self.pushed, slope) is None and self._near_real_difference():
                return self._transposed(slope, self.by_complex_step) or ModelCheck(method="complex step")
        slope = self.by_differences(self.direction)
        at_fault = self._disagrees(self.pushed, slope)
        if at_fault is not None or any(slope.kinked):
            nearer = self._nearer(slope)
            if nearer is not None:
                return nearer
        if any(slope.kinked) and not self.side:
            where = self.at.names[slope.kinked.index(True)]
            why = f"{where} has a kink at this theta, where no derivative is its slope"
            return ModelCheck(method="differences", unchecked=why, doubtful=True)
        if at_fault is not None:
            return self._complain(at_fault, slope)
        rough = [
            name
            for name, error, x, scale in zip(self.at.names, slope.errors, slope.parts, self.at.scales, strict=True)
            if float(error.max(initial=0.0))
            > max(1e-3 * float(np.abs(x).max(initial=0.0)), 1e6 * _CANCELLED * float(np.max(scale)))
        ]
        found = self._transposed(slope, None)
        unchecked = f"the slope of {', '.join(rough)} is too rough to be measured" if rough else ""
        return found or ModelCheck(method="differences", unchecked=unchecked, doubtful=bool(rough))

    def _nearer(self, slope: _Slope) -> ModelCheck | None:
        """The check by steps a hundred times shorter and more, if it is sharp and finds the derivative right.

        A sine beside 10⁵ has a natural step of 10⁵ waves.  A staircase (`round`) has a derivative of zero on every stair, too;
        but seen from afar its slope is the same at every step, which that of a wave is not.
        """
        if self._is_straight(slope):
            return None
        for shorter in (1e-2, 1e-4, 1e-6):
            near = _Probe(self.at, self.unit_of, shorter * self.direction, self.side)
            found = near.by_differences(near.direction)
            if near._disagrees(near.pushed, found) is not None or any(found.kinked):
                continue
            sharp = all(
                float(np.max(near._allowed(k, near.pushed, found), initial=0.0))
                <= 0.01 * float(np.max(np.abs(p - shorter * s), initial=0.0))
                for k, (p, s) in enumerate(zip(near.pushed, slope.parts, strict=True))
                if np.any(np.abs(self.pushed[k] - s) > self._allowed(k, self.pushed, slope))
            )
            if sharp:
                return near._transposed(found, None) or ModelCheck(method="differences")
        return None

    def _is_straight(self, slope: _Slope) -> bool:
        """Whether what moves otherwise than the derivative says does so by the same slope over the three longest steps."""
        secants = []
        for i in range(3):
            t = _FIRST * _RATIO**-i
            ahead = self._evaluate(self.at.theta + t * self.direction)
            behind = self._evaluate(self.at.theta - t * self.direction) if not self.side else self.at.values
            width = 2.0 * t if not self.side else t
            secants.append([(a - b) / width for a, b in zip(ahead, behind, strict=True)])
        for k, (p, s) in enumerate(zip(self.pushed, slope.parts, strict=True)):
            wrong = np.abs(p - s) > self._allowed(k, self.pushed, slope)
            first, *others = (np.asarray(x[k])[wrong] for x in secants)
            if any(np.any(np.abs(x - first) > 0.05 * np.abs(first)) for x in others):
                return False
        return True

    def _one_by_one(self, why: str) -> ModelCheck:
        """At the edge of where build is defined: each coordinate by itself, from both sides or from the one that there is."""
        if self.side or np.count_nonzero(self.direction) == 1 or self.direction.size > _SINGLY:
            return ModelCheck(unchecked=f"build does not take values of theta nearby ({why})", doubtful=True)
        left = []
        for j in np.flatnonzero(self.direction):
            alone = np.where(np.arange(self.direction.size) == j, self.direction, 0.0)
            for side in (0, 1, -1):
                try:
                    found = _Probe(self.at, self.unit_of, alone * (side or 1), side)._check()
                except _Outside:
                    continue
                if not found.ok:
                    return found
                break
            else:
                left.append(int(j))
        if not left:
            return ModelCheck(method="differences, one coordinate at a time")
        shown = ", ".join(map(str, left[:6])) + (", …" if len(left) > 6 else "")
        exact = self.by_complex_step(self.direction)
        doubtful = (
            exact is None or self._disagrees(self.pushed, _Slope(exact, tuple(np.zeros(()) for _ in exact))) is not None
        )
        return ModelCheck(
            method="differences, one coordinate at a time" + ("" if doubtful else ", and a complex step"),
            unchecked=f"build does not take values of theta nearby along {shown} ({why})",
            doubtful=doubtful,
        )

    def by_complex_step(self, v: Array) -> Parts | None:
        """Im x(θ + ihv)/h, or None where build takes no complex numbers."""
        if not self.at.takes_complex:
            return None
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                found = self.at.evaluate(self.at.theta + 1j * COMPLEX_STEP * v)
        except Exception:  # whatever a build raises about complex numbers; real differences do without
            return None
        slopes = tuple(np.imag(x) / COMPLEX_STEP for x in found)
        same = [np.shape(x) for x in slopes] == [np.shape(x) for x in self.at.values]
        return slopes if same and all(np.isfinite(x).all() for x in slopes) else None

    def _near_real_difference(self) -> bool:
        """Whether one coarse real difference lies near the derivative, as far as the curvature that it shows allows."""
        ahead, behind = (self._evaluate(self.at.theta + t * self.direction) for t in (_COARSE, -_COARSE))
        for x, a, b, p in zip(self.at.values, ahead, behind, self.pushed, strict=True):
            largest = float(np.abs(p).max(initial=0.0))
            curved = np.abs(a - 2.0 * x + b) / _COARSE
            rounded = (8.0 * EPS * np.abs(x) + self._jitter * largest) / _COARSE
            off = np.abs((a - b) / (2.0 * _COARSE) - p)
            if np.any(off > 1e-3 * np.abs(p) + curved + rounded + 1e-5 * largest):
                return False
        return True

    @property
    def _jitter(self) -> float:
        """What the rounding of θ + tv itself does, in steps: a θ of 10⁹ is known to 10⁻⁷."""
        moved = self.direction != 0.0
        with np.errstate(over="ignore"):
            return EPS * float(np.max(np.abs(self.at.theta[moved]) / np.abs(self.direction[moved]), initial=0.0))

    def by_differences(self, v: Array) -> _Slope:
        """Differences over falling steps, extrapolated (Ridders 1982), with the error that the table shows, entry by entry."""
        at, steps = self.at, [_FIRST * _RATIO**-i for i in range(_STEPS)]
        ahead = [self._evaluate(at.theta + t * v) for t in steps]
        behind = [self._evaluate(at.theta - t * v) for t in steps] if not self.side else None
        found = [
            _extrapolated(
                x, [a[k] for a in ahead], None if behind is None else [b[k] for b in behind], steps, self._jitter
            )
            for k, x in enumerate(at.values)
        ]
        return _Slope(*(tuple(part) for part in zip(*found, strict=True)))

    def _allowed(self, k: int, pushed: Parts, slope: _Slope) -> Array:
        """How far each entry of the derivative of array k may be from its slope [array per step].

        Each relative to itself, with what a softmax or the like cancels of the entry, and rounding of the largest.
        """
        size = np.maximum(np.abs(pushed[k]), np.abs(slope.parts[k]))
        floor = _FLOOR * float(size.max(initial=0.0)) + EPS * float(np.max(self.at.scales[k]))
        return np.asarray(_RIGHT * size + _CANCELLED * np.abs(self.at.values[k]) + floor + _CLEAR * slope.errors[k])

    def _disagrees(self, pushed: Parts, slope: _Slope) -> int | None:
        """The array whose push-forward is furthest from its slope, in allowances; None where none is."""
        off = [
            float((np.abs(p - s) / self._allowed(k, pushed, slope)).max(initial=0.0))
            for k, (p, s) in enumerate(zip(pushed, slope.parts, strict=True))
        ]
        worst = int(np.argmax(off))
        return worst if not off[worst] <= 1.0 else None

    def _transposed(self, slope: _Slope, again: Callable[[Array], Parts | None] | None) -> ModelCheck | None:
        """Hold ⟨pull-back(w), v⟩ against ⟨w, slope⟩; the complaint, or None."""
        at, v = self.at, self.direction
        sizes = [
            max(float(np.abs(p).max(initial=0.0)), float(np.abs(s).max(initial=0.0)), 1e-3 * scale)
            for p, s, scale in zip(self.pushed, slope.parts, at.scales, strict=True)
        ]
        weights = tuple(
            self.rng.choice((-1.0, 1.0), size=np.shape(x)) / size for x, size in zip(at.values, sizes, strict=True)
        )

        def gap(w: Parts, s: _Slope, direction: Array) -> tuple[float, float, float]:
            """(by the pull-back, by the slope, allowed)."""
            pulled = at.pull(w) * direction
            terms = [np.abs(x * y).sum() for x, y in zip(w, s.parts, strict=True)]
            errors = [
                (np.abs(x) * (_CANCELLED * c + _CLEAR * e)).sum()
                for x, c, e in zip(w, at.scales, s.errors, strict=True)
            ]
            straight = float(sum(float((x * y).sum()) for x, y in zip(w, s.parts, strict=True)))
            allowed = 0.1 * _RIGHT * (float(np.abs(pulled).sum()) + float(sum(terms))) + float(sum(errors))
            return float(pulled.sum()), straight, allowed

        back, straight, allowed = gap(weights, slope, v)
        if abs(back - straight) <= allowed:
            return None
        # Which array: each alone; then which coordinate.
        alone = [tuple(w if i == k else np.zeros_like(w) for i, w in enumerate(weights)) for k in range(len(weights))]
        off = [abs(b - s) / max(a, 1e-300) for b, s, a in (gap(w, slope, v) for w in alone)]
        k = int(np.argmax(off))
        measure = self._measure(again)

        def wrong(direction: Array) -> bool:
            b, s, a = gap(alone[k], measure(direction), direction)
            return abs(b - s) > a

        j = _bisect(wrong, v)
        here = np.where(np.arange(v.size) == j, v, 0.0)
        back, straight, _ = gap(alone[k], measure(here), here)
        right = _ratio(back, straight)
        return ModelCheck(
            "transpose",
            f"the pull-back of {at.names[k]} is wrong along theta[{j}]: for random cotangents it gives "
            f"{back / v[j]:.6g}, and the array's own slope gives {straight / v[j]:.6g}{right}; the push-forward agrees "
            "with the slope, so the pull-back is not its transpose",
            array=at.names[k],
            coordinate=j,
            derivative=back / float(v[j]),
            slope=straight / float(v[j]),
        )

    def _measure(self, again: Callable[[Array], Parts | None] | None) -> Callable[[Array], _Slope]:
        def measure(direction: Array) -> _Slope:
            found = again(direction) if again is not None else None
            return (
                self.by_differences(direction) if found is None else _Slope(found, tuple(np.zeros(()) for _ in found))
            )

        return measure

    def _complain(self, k: int, slope: _Slope) -> ModelCheck:
        """Array k's push-forward is not its slope: along which coordinate, at which entry, and what it looks like."""
        at, v = self.at, self.direction

        def wrong(direction: Array) -> bool:
            pushed, s = at.push(direction), self.by_differences(direction)
            return bool(np.any(np.abs(pushed[k] - s.parts[k]) > self._allowed(k, pushed, s)))

        j = _bisect(wrong, v)
        here = np.where(np.arange(v.size) == j, v, 0.0)
        pushed, risen = at.push(here)[k], self.by_differences(here).parts[k]
        off = np.abs(pushed - risen)
        label, i = _entry(at.names[k], off), int(np.argmax(off))
        says, rises = (float(x.ravel()[i] / v[j]) * self.unit_of(k, i) for x in (pushed, risen))
        pulled = _ratio(says, rises)
        cut = (
            "; a graph that is cut (stop_gradient, detach, item, round, a cast to a plain array)"
            if abs(says) < 1e-6 * abs(rises)
            else ""
        )
        return ModelCheck(
            "derivative",
            f"the derivative of {label} along theta[{j}] is {says:.6g}, and its slope {rises:.6g}{pulled}{cut}",
            array=label,
            coordinate=j,
            derivative=says,
            slope=rises,
        )


def _extrapolated(
    x: Array, ahead: list[Array], behind: list[Array] | None, steps: list[float], jitter: float
) -> tuple[Array, Array, bool]:
    """(slope of one array, each entry's error, whether it has a kink) from its values ahead and behind at falling steps."""
    size = 2.0 * EPS * np.abs(x)
    kinked = False
    if behind is None:
        first, order, noise = [np.asarray((a - x) / t) for a, t in zip(ahead, steps, strict=True)], 1, 2.0 * size
    else:
        first = [np.asarray((a - b) / (2.0 * t)) for a, b, t in zip(ahead, behind, steps, strict=True)]
        order, bent = 2, [np.abs(a - 2.0 * x + b) for a, b in zip(ahead, behind, strict=True)]
        # Curvature falls with the square of the step; what is left of it at the smallest is noise (single precision, too).
        noise = np.maximum(np.abs(bent[-1] - bent[-2] / _RATIO**2), size)
        gaps = [float((gap / t).max(initial=0.0)) for gap, t in zip(bent[-3:], steps[-3:], strict=True)]
        rounding = (
            40.0 * float(size.max(initial=0.0)) + 8.0 * jitter * float(np.abs(first[0]).max(initial=0.0))
        ) / steps[-3]
        # Slopes from right and left: a smooth array brings them together, noise drives them apart, a kink keeps them.
        kinked = min(gaps) > rounding and all(0.5 < b / a < 2.0 for a, b in pairwise(gaps))
    noise = noise + jitter * float(np.abs(first[0]).max(initial=0.0))
    best, error = np.zeros_like(x, dtype=float), np.full(np.shape(x), np.inf)
    row: list[Array] = []
    for i, t in enumerate(steps):
        new, factor = [first[i]], _RATIO**order
        for j in range(i):
            new.append((factor * new[j] - row[j]) / (factor - 1.0))
            factor *= _RATIO**order
            off = np.maximum(np.abs(new[-1] - new[-2]), np.abs(new[-1] - row[j])) + noise / t
            best, error = np.where(off < error, new[-1], best), np.minimum(off, error)
        row = new
    return best, error, kinked


def _ratio(says: float, rises: float) -> str:
    return f" ({says / rises:.6g} times it)" if rises and says and np.isfinite(says / rises) else ""


def _bisect(wrong: Callable[[Array], bool], v: Array) -> int:
    """A coordinate j such that `wrong` already shows along v_j alone, by halving."""
    among = np.flatnonzero(v)
    while among.size > 1:
        half = among[: among.size // 2]
        kept = np.zeros_like(v)
        kept[half] = v[half]
        among = half if wrong(kept) else among[among.size // 2 :]
    return int(among[0])
