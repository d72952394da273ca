r"""The slope of a model's arrays along a direction, held against push-forward and pull-back: see `model_check.py`."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array, Parts
from boltzgrad.core.model_record import ModelCheck, entry_name
from boltzgrad.core.slopes import FIRST, RATIO, STEPS, Slope, extrapolated
from boltzgrad.errors import BoltzgradError, SuspiciousModel

EPS = float(np.finfo(float).eps)
COMPLEX_STEP = 1e-30
# A complex step and an exact derivative differ by rounding; an array's derivative is held to this part of its largest entry.
_RIGHT = 1e-9
# What a softmax or the like loses to cancellation in its derivative, in roundings of the array itself: no mistake.
_CANCELLED = 1e3 * EPS
_COARSE = 1e-3  # the step, in natural units, of the real difference beside a complex one
_FLOOR = 1e-13  # of the largest entry: what an exact derivative of the others may round off
_SINGLY = 200  # the most coordinates that are looked at one by one
_CLEAR = 30.0  # a difference's own measured error, this many times, is no contradiction
_SEED = 20_261_128


class Outside(BoltzgradError):
    """Build is not defined at a value of θ nearby."""


class Probe:
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
        """The arrays near θ.  Raises: Outside, whatever build raises there."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", SuspiciousModel)
                found = self.at.evaluate(theta)
        except Exception as error:
            raise Outside(f"{type(error).__name__}: {error}") from error
        if [np.shape(x) for x in found] != [np.shape(x) for x in self.at.values]:
            raise Outside("its arrays have other shapes there")
        return found

    def _size(self, parts: Parts) -> float:
        sizes = (float((np.abs(x) / s).max(initial=0.0)) for x, s in zip(parts, self.at.scales, strict=True))
        return max(sizes, default=0.0)

    def check(self) -> ModelCheck:
        """Hold push-forward and pull-back against the slope; one coordinate at a time where build is not defined all around."""
        try:
            return self._check()
        except Outside as error:
            return self._one_by_one(str(error))

    def _check(self) -> ModelCheck:
        exact = self.by_complex_step(self.direction) if not self.side else None
        if exact is not None:
            slope = Slope(exact, tuple(np.zeros(()) for _ in exact))
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

    def _nearer(self, slope: Slope) -> ModelCheck | None:
        """The check by steps a hundred times shorter and more, if it is sharp and finds the derivative right.

        A sine beside 10⁵ has a natural step of 10⁵ waves.  A staircase (`round`) has a derivative of zero on every stair, too;
        but seen from afar its slope is the same at every step, which that of a wave is not.
        """
        if self._is_straight(slope):
            return None
        for shorter in (1e-2, 1e-4, 1e-6):
            near = Probe(self.at, self.unit_of, shorter * self.direction, self.side)
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

    def _is_straight(self, slope: Slope) -> bool:
        """Whether what moves otherwise than the derivative says does so by the same slope over the three longest steps."""
        secants = []
        for i in range(3):
            t = FIRST * RATIO**-i
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
                    found = Probe(self.at, self.unit_of, alone * (side or 1), side)._check()
                except Outside:
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
            exact is None or self._disagrees(self.pushed, Slope(exact, tuple(np.zeros(()) for _ in exact))) is not None
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
            if np.any(off > 1e-5 * (np.abs(p) + largest) + curved + rounded):
                return False
        return True

    @property
    def _jitter(self) -> float:
        """What the rounding of θ + tv itself does, in steps: a θ of 10⁹ is known to 10⁻⁷."""
        moved = self.direction != 0.0
        with np.errstate(over="ignore"):
            return EPS * float(np.max(np.abs(self.at.theta[moved]) / np.abs(self.direction[moved]), initial=0.0))

    def by_differences(self, v: Array) -> Slope:
        """Differences over falling steps, extrapolated (Ridders 1982), with the error that the table shows, entry by entry."""
        at, steps = self.at, [FIRST * RATIO**-i for i in range(STEPS)]
        ahead = [self._evaluate(at.theta + t * v) for t in steps]
        behind = [self._evaluate(at.theta - t * v) for t in steps] if not self.side else None
        found = [
            extrapolated(
                x, [a[k] for a in ahead], None if behind is None else [b[k] for b in behind], steps, self._jitter
            )
            for k, x in enumerate(at.values)
        ]
        return Slope(*(tuple(part) for part in zip(*found, strict=True)))

    def _allowed(self, k: int, pushed: Parts, slope: Slope) -> Array:
        """How far each entry of the derivative of array k may be from its slope [array per step].

        Each relative to itself, with what a softmax or the like cancels of the entry, or of the array's own scale where it is
        zero (the log of a probability of one), and rounding of the largest.
        """
        size = np.maximum(np.abs(pushed[k]), np.abs(slope.parts[k]))
        floor = _FLOOR * float(size.max(initial=0.0)) + _CANCELLED * float(np.max(self.at.scales[k]))
        return np.asarray(_RIGHT * size + _CANCELLED * np.abs(self.at.values[k]) + floor + _CLEAR * slope.errors[k])

    def _disagrees(self, pushed: Parts, slope: Slope) -> int | None:
        """The array whose push-forward is furthest from its slope, in allowances; None where none is."""
        off = [
            float((np.abs(p - s) / self._allowed(k, pushed, slope)).max(initial=0.0))
            for k, (p, s) in enumerate(zip(pushed, slope.parts, strict=True))
        ]
        worst = int(np.argmax(off))
        return worst if not off[worst] <= 1.0 else None

    def _transposed(self, slope: Slope, again: Callable[[Array], Parts | None] | None) -> ModelCheck | None:
        """Hold ⟨pull-back(w), v⟩ against ⟨w, slope⟩; the complaint, or None."""
        at, v = self.at, self.direction
        sizes = [
            max(float(np.abs(p).max(initial=0.0)), float(np.abs(s).max(initial=0.0)), 1e-3 * scale)
            for p, s, scale in zip(self.pushed, slope.parts, at.scales, strict=True)
        ]
        weights = tuple(
            self.rng.choice((-1.0, 1.0), size=np.shape(x)) / size for x, size in zip(at.values, sizes, strict=True)
        )

        def gap(w: Parts, s: Slope, direction: Array) -> tuple[float, float, float]:
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

    def _measure(self, again: Callable[[Array], Parts | None] | None) -> Callable[[Array], Slope]:
        def measure(direction: Array) -> Slope:
            found = again(direction) if again is not None else None
            return self.by_differences(direction) if found is None else Slope(found, tuple(np.zeros(()) for _ in found))

        return measure

    def _complain(self, k: int, slope: Slope) -> ModelCheck:
        """Array k's push-forward is not its slope: along which coordinate, at which entry, and what it looks like."""
        at, v = self.at, self.direction

        def wrong(direction: Array) -> bool:
            pushed, s = at.push(direction), self.by_differences(direction)
            return bool(np.any(np.abs(pushed[k] - s.parts[k]) > self._allowed(k, pushed, s)))

        j = _bisect(wrong, v)
        here = np.where(np.arange(v.size) == j, v, 0.0)
        pushed, risen = at.push(here)[k], self.by_differences(here).parts[k]
        off = np.abs(pushed - risen)
        label, i = entry_name(at.names[k], off), int(np.argmax(off))
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
