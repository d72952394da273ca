"""Which known mistake a wrong gradient looks like."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import BoltzgradError
from boltzgrad.families.mistake import Catalogue
from boltzgrad.families.registry import family_of
from boltzgrad.verify.tolerances import MARGIN, RESOLUTION, Yardstick, relative, share, witness_allowance

# A gradient is taken for a mistake's when it is this many times nearer to it than the right one is.
_NEARER = 1e3


@dataclass(frozen=True, eq=False)
class Mistake:
    """A known mistake made on one problem: its name in words, its gradient (d,), and how far that is from the right one,
    relative to the largest entry, both in natural steps [1].
    """

    name: str
    gradient: Array
    distance: float


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes that show on a problem at one θ.  `missing` says why none could be tried, "" where they were; `left_out` are
    those that leave no finite numbers here, and so are nobody's gradient.

    `shown` are formulas with a step wrong; `lengths` is ∇J times factors that people lose, and its negative.
    """

    yardstick: Yardstick
    shown: tuple[Mistake, ...]
    tried: int
    missing: str = ""
    lengths: tuple[Mistake, ...] = ()
    left_out: tuple[str, ...] = ()

    def like(self, gradient: Array, allowed: Array, rounding: Array) -> tuple[tuple[Mistake, float], ...]:
        """The mistakes that a gradient (d,) is within `allowed` (d,) of, each with the relative difference [1], nearest first.

        Nearer than `rounding` (d,) is no nearer: of mistakes that are one here a wrong length, the simplest, comes first.
        """
        near = [(m, self._apart(gradient, m)) for m in (*self.lengths, *self.shown)]
        return tuple(
            sorted(
                (
                    (m, off)
                    for m, off in near
                    if off <= m.distance / _NEARER or bool(np.all(np.abs(gradient - m.gradient) <= allowed))
                ),
                key=lambda x: 0.0 if np.all(np.abs(gradient - x[0].gradient) <= rounding) else x[1],
            )
        )

    def nearest(self, gradient: Array) -> tuple[Mistake, float] | None:
        """The mistake that a gradient (d,) is nearest to, and the relative difference [1]; None where the truth is nearer."""
        own = relative(self.yardstick, gradient)
        near = [(m, self._apart(gradient, m)) for m in (*self.shown, *self.lengths)]
        best = min(near, key=lambda x: x[1], default=None)
        return best if best is not None and best[1] < own else None

    def _apart(self, gradient: Array, mistake: Mistake) -> float:
        """The largest difference from a mistake's gradient, in natural steps beside the largest entry of the right one [1]."""
        return share(self.yardstick, gradient - mistake.gradient)

    def not_excluded(
        self, found: Array, exact: Array, allowed: Array, directions: Array | None = None
    ) -> tuple[Mistake, ...]:
        """The mistakes that an allowance (k,) would let pass and that entries `found` (k,) are not `MARGIN` further from than
        from the truth `exact`, each entry measured by what is allowed there; nearest first.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            own = float(np.max(_strain(found - exact, allowed)))
            near = []
            for m in (*self.shown, *self.lengths):
                seen = m.gradient if directions is None else directions @ m.gradient
                if np.all(np.abs(seen - exact) <= allowed):
                    off = float(np.max(_strain(found - seen, allowed)))
                    if off < MARGIN * own or off == 0.0:
                        near.append((off, m))
        return tuple(m for _, m in sorted(near, key=lambda x: x[0]))


def _strain(off: Array, allowed: Array) -> Array:
    return np.where(off == 0.0, 0.0, np.abs(off) / allowed)


def mistakes(reference: Hypergradient) -> Mistakes:
    """Every known mistake made on the reference's problem at its θ, as far as it makes a difference there."""
    yardstick, family = Yardstick.of(reference), family_of(reference.problem)
    found = family.catalogue(reference.problem)
    factors = family.factors(reference)
    if isinstance(found, str):
        return made(yardstick, found, None, reference.theta, factors)
    too_large = family.too_large(reference.problem, reference.theta)
    if too_large:
        return made(yardstick, f"known mistakes were not tried: {too_large}", None, reference.theta, factors)
    return made(yardstick, *found, reference.theta, factors)


def made(
    yardstick: Yardstick, catalogue: Catalogue | str, problem: Any, theta: Array, factors: dict[str, float]
) -> Mistakes:
    """The mistakes of a catalogue (or why there is none) made on a problem, where the right gradient is the yardstick's."""
    wrong_lengths = _lengths(yardstick, factors)
    if not isinstance(catalogue, str) and not _right(catalogue, problem, theta, yardstick):
        catalogue = "known mistakes were not tried: their formula is not right for this problem to begin with"
    if isinstance(catalogue, str):
        return Mistakes(yardstick, (), 0, catalogue, wrong_lengths)
    shown, failed = [], []
    for mutant in catalogue.MUTANTS:
        wrong = _evaluated(mutant.formula, problem, theta)
        if wrong is None:
            failed.append(mutant.mistake)
            continue
        if _shows(yardstick, wrong):
            shown.append(Mistake(mutant.mistake, wrong, relative(yardstick, wrong)))
    return Mistakes(yardstick, tuple(shown), len(catalogue.MUTANTS), "", wrong_lengths, tuple(failed))


def _shows(yardstick: Yardstick, wrong: Array) -> bool:
    """Whether a wrong gradient differs from the right one in any entry by more than rounding and than what is resolved."""
    least = np.maximum(RESOLUTION * np.abs(yardstick.gradient), MARGIN * yardstick.rounding)
    return bool(np.any(np.abs(wrong - yardstick.gradient) > least))


def _right(catalogue: Catalogue, problem: Any, theta: Array, yardstick: Yardstick) -> bool:
    """Whether a catalogue's own formula gives the yardstick's gradient."""
    right = _evaluated(catalogue.Formula, problem, theta)
    least = RESOLUTION * yardstick.terms + witness_allowance(yardstick, 0.0)
    return right is not None and bool(np.all(np.abs(right - yardstick.gradient) <= least))


def _lengths(yardstick: Yardstick, lost: dict[str, float]) -> tuple[Mistake, ...]:
    """∇J times the factors that people lose or count twice."""
    exact = yardstick.gradient
    factors = {"½": 0.5, "2": 2.0, **lost, "1/d": 1.0 / exact.size}
    named = {
        f"{name} × ∇J: right in direction, wrong in length": value
        for name, value in factors.items()
        if value not in (0.0, 1.0)
    }
    named["−∇J: the gradient of a loss, or a step of descent"] = -1.0
    named["zero: a graph that is cut (stop_gradient, detach), or a gradient never written"] = 0.0
    return tuple(
        Mistake(name, factor * exact, abs(factor - 1.0))
        for name, factor in named.items()
        if _shows(yardstick, factor * exact)
    )


def _evaluated(formula: Any, problem: Any, theta: Array) -> Array | None:
    """The gradient of a formula, or None where the mistake leaves no finite numbers."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = np.asarray(formula(problem, theta.copy()).gradient())
        except (BoltzgradError, np.linalg.LinAlgError, ArithmeticError):
            return None
    return found if np.isfinite(found).all() else None
