r"""θ ↦ the named arrays of a model, at one θ, with its derivative both ways: what every family's `build` comes down to.

Nothing here knows what the arrays mean.  `scales` say how large a change of each is large for the follower or the leader, so
that a step in θ can be measured by what it does to the model and not by the unit that θ happens to be given in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array, Parts

_PROBES = 6
_SHORTER, _BENT = 24, 3.0
_NOTHING, _MOVES = 0.25 * float(np.finfo(float).eps), 1e-6
_SEED = 20_261_127  # the directions are part of the definition of what is measured along them


@dataclass(frozen=True, eq=False)
class ArrayMap:
    """The arrays of a model as a function of θ (d,).

    `names`, `values` and `scales` go together: an array at `theta`, and the size of change of it that matters, in its own
    units (a probability: 1; the follower's reward: its temperature): one number, or one for each entry where entries differ
    in unit.  `evaluate(theta)` calls the problem's own build, also at a complex θ; `pull(cotangents) -> (d,)` and
    `push(direction) -> tangents` are its derivative as the library uses it, and `again(theta)` is the same map at another θ.
    """

    theta: Array
    names: tuple[str, ...]
    values: Parts
    scales: tuple[float | Array, ...]
    evaluate: Callable[[Array], Parts]
    pull: Callable[[Parts], Array]
    push: Callable[[Array], Parts]
    takes_complex: bool = True
    steps: Array | None = None
    again: Callable[[Array], ArrayMap] | None = None

    def root_sum_squares(self, weights: Parts) -> Array:
        r"""$\sqrt{\sum_i w_i^2 (\partial x_i/\partial\theta_j)^2}$ for each j (d,), in a number of pull-backs that
        does not grow
        with d: with random weights s of mean square one, the mean square of Σ s_i w_i ∂x_i/∂θ_j is that sum.
        """
        rng, total = np.random.default_rng(_SEED), np.zeros(self.theta.size)
        for _ in range(_PROBES):
            signed = tuple(w * _weights(rng, np.shape(w)) for w in weights)
            total = np.hypot(total, self.pull(signed))  # no square on the way that would overflow
        return np.asarray(total / np.sqrt(_PROBES))

    @cached_property
    def slopes(self) -> Array:
        """How much of their `scales` the arrays move for each coordinate (d,) [1/θ_j]."""
        return self.root_sum_squares(
            tuple(np.broadcast_to(1.0 / scale, np.shape(x)) for x, scale in zip(self.values, self.scales, strict=True))
        )

    @cached_property
    def units(self) -> Array:
        r"""The natural step of each coordinate (d,), in the units of θ: one that moves the arrays by about their `scales`, or
        as far as they move in proportion, if that is less.

        A softmax that is saturated moves by 10⁻¹⁷ a unit of its logit; no step of 10¹⁷ is meant by that.  So the slopes are
        looked at again half a step away, and steps along which they have changed threefold are made shorter.  Where no array
        moves by more than rounding when θ_j moves by itself, |θ_j|, or one.  `steps` are they, where they were given.
        """
        if self.steps is not None:
            return self.steps
        with np.errstate(divide="ignore", over="ignore"):
            found = 1.0 / self.slopes
        fallback = np.where(self.theta != 0.0, np.abs(self.theta), 1.0)
        dead = (self.slopes * np.abs(self.theta) <= _NOTHING) & (self.theta != 0.0)
        units = np.where(np.isfinite(found) & (found > 0.0) & ~dead, found, fallback)
        unmoved = (self.slopes == 0.0) & (self.theta == 0.0)
        if unmoved.any():
            units = np.where(unmoved, self._found_by_moving(unmoved), units)
        rng = np.random.default_rng(_SEED)
        for _ in range(_SHORTER):
            bent = np.zeros(units.size, bool)
            for share in (0.5, 0.11, 0.023):  # a slope that comes back (sin) is not met at all of them
                unlike = rng.choice((-1.0, 1.0), size=units.size) * rng.uniform(0.5, 1.0, size=units.size)
                bent |= self._bent(self.theta + share * units * unlike)
            if not bent.any():
                break
            # The boldest of them first: their neighbours may be bent by them alone.
            bold = units * self.slopes
            units = np.where(bent & (8.0 * bold >= bold[bent].max()), units / 8.0, units)
        return np.where(bent, fallback, units)  # slopes that never settle are rounding, and nothing moves

    def _found_by_moving(self, unmoved: Array) -> float:
        """A step at which arrays move although the derivative says that none does (θ_j = 0 gives no size either); else one."""
        rng = np.random.default_rng(_SEED)
        signs = unmoved * rng.choice((-1.0, 1.0), size=unmoved.size)
        for step in 10.0 ** np.arange(0, 15, 2):
            try:
                with np.errstate(all="ignore"):
                    there = self.evaluate(self.theta + step * signs)
                    moved = max(
                        float(np.max(np.abs(y - x) / s, initial=0.0))
                        for x, y, s in zip(self.values, there, self.scales, strict=True)
                    )
            except Exception:  # whatever a build raises far away: there is no step to be found there
                return 1.0
            if moved > _MOVES:
                return float(step)
        return 1.0

    def _bent(self, theta: Array) -> Array:
        """Which coordinates (d,) have slopes elsewhere that differ threefold; all, where the model is none there."""
        if self.again is None:
            return np.zeros(theta.size, bool)
        try:
            # Far away exponentials may overflow: what comes out is no number then, and bent.
            with np.errstate(all="ignore"):
                there = self.again(theta)
                if [np.shape(x) for x in there.values] != [np.shape(x) for x in self.values]:
                    return np.ones(theta.size, bool)
                # With the scales of here: those of there may have grown, too.
                slopes = replace(there, scales=self.scales).slopes
        except Exception:  # whatever a build raises where it is not defined
            return np.ones(theta.size, bool)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = slopes / self.slopes
        return np.asarray(np.where(self.slopes > 0.0, ~((ratio >= 1.0 / _BENT) & (ratio <= _BENT)), False))

    @property
    def in_one_unit(self) -> ArrayMap:
        """The same map with the entries of each array in one unit: those whose scales differ are divided by them."""
        if all(np.ndim(scale) == 0 for scale in self.scales):
            return self
        per = tuple(np.asarray(scale) if np.ndim(scale) else np.ones(()) for scale in self.scales)

        def over(parts: Parts) -> Parts:
            return tuple(x / s if np.shape(s) == np.shape(x) else x for x, s in zip(parts, per, strict=True))

        return replace(
            self,
            values=over(self.values),
            scales=tuple(1.0 if np.ndim(scale) else scale for scale in self.scales),
            steps=self.units,
            evaluate=lambda theta: over(self.evaluate(theta)),
            pull=lambda parts: self.pull(over(parts)),
            push=lambda direction: over(self.push(direction)),
        )

    def unit_of(self, k: int, entry: int) -> float:
        """What an entry of array k, in row-major order, is divided by in `in_one_unit`."""
        scale = self.scales[k]
        return float(np.ravel(scale)[entry]) if np.ndim(scale) else 1.0


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Random signs of unlike sizes: equal ones would let two terms that cancel do so in one of many columns every time."""
    return np.asarray(rng.choice((-1.0, 1.0), size=shape) * rng.uniform(0.5, 1.5, size=shape) / np.sqrt(13.0 / 12.0))


def scalar_map(name: str, at: Array, function: Callable[[Any], Any], gradient: Array, *, steps: Array) -> ArrayMap:
    """A function of a vector to one number as a map to one array, with its gradient at one point; `steps` are natural ones.

    Its scale is its size, there or a step away: where it is a square of something that vanishes, its size there is rounding.
    """
    value = np.atleast_1d(np.asarray(function(at), float))

    def away(side: float) -> float:
        try:
            with np.errstate(all="ignore"):
                found = float(np.abs(np.asarray(function(at + side * steps))).max())
        except Exception:  # whatever a function raises where it is not defined; its size here will have to do
            return 0.0
        return found if np.isfinite(found) else 0.0

    return ArrayMap(
        theta=at,
        names=(name,),
        values=(value,),
        # The smaller of both sides: on one of them there may be a pole.
        scales=(max(float(np.abs(value).max()), min(away(1.0), away(-1.0))) or 1.0,),
        evaluate=lambda x: (np.atleast_1d(np.asarray(function(x))),),
        pull=lambda parts: parts[0][0] * gradient,
        push=lambda direction: (np.array([gradient @ direction]),),
        steps=steps,
    )
