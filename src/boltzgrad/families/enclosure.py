"""J and ∇J proved to as many digits as are asked for: `enclose`, in ball arithmetic."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.balls import flint, most, need_flint, outward, precision
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import BoltzgradError, InvalidOption, NotConverged
from boltzgrad.families.registry import family_of, hypergradient

_MOST_DIGITS, _TRIES = 1000, 4
# python-flint's precision and what is kept from autograd are of the whole process.
_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True)
class Ball:
    """A number within `radius` of `midpoint`, decimal strings, and between the floats `lower` and `upper`: that is proved."""

    midpoint: str
    radius: str
    lower: float
    upper: float

    def __contains__(self, x: Any) -> bool:
        """Whether a number (float, int, decimal string, Decimal, Fraction) is in the ball, by exact arithmetic."""
        return self.distance(x)[0] == 0

    def __iter__(self) -> Any:
        """Midpoint and radius."""
        return iter((self.midpoint, self.radius))

    def __float__(self) -> float:
        """The midpoint, to float64."""
        return float(self.midpoint)

    def __str__(self) -> str:
        return f"{self.midpoint} ± {self.radius}"

    def distance(self, x: Any) -> tuple[Fraction, Fraction]:
        """(least, most) that a number can be from the exact one."""
        try:
            off = abs(Fraction(x.item() if isinstance(x, np.generic) else x) - Fraction(self.midpoint))
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidOption(f"{x!r} is no finite number") from error
        return max(off - Fraction(self.radius), Fraction(0)), off + Fraction(self.radius)


@dataclass(frozen=True, eq=False)
class Enclosure:
    """J(θ), `value`, and ∇J(θ), `gradient` (d `Ball`s), each proved to contain the exact number.

    Exact means: what `build` says in real arithmetic, of θ and of constants that are the binary numbers which are stored.
    `digits` are those of the largest entry; `bits` is the working precision that it took.
    """

    problem: Any = field(repr=False)
    theta: Array = field(repr=False)
    value: Ball
    gradient: tuple[Ball, ...]
    digits: int
    bits: int

    @property
    def lower(self) -> Array:
        """Floats (d,) at or below ∇J."""
        return np.array([x.lower for x in self.gradient])

    @property
    def upper(self) -> Array:
        """Floats (d,) at or above ∇J."""
        return np.array([x.upper for x in self.gradient])

    def errors(self, gradient: Any) -> Array:
        """Upper bounds (d,) on how far each entry of any gradient is from the exact one: proved, and as sharp as the balls.

        Raises: InvalidOption for another shape, or for an entry that is no finite number.
        """
        found = np.asarray(gradient, float)
        if found.shape != self.theta.shape:
            raise InvalidOption(f"gradient has shape {found.shape}, expected {self.theta.shape}")
        most_off = [x.distance(float(g))[1] for x, g in zip(self.gradient, found, strict=True)]
        return np.array([np.nextafter(float(x), np.inf) for x in most_off])

    def __str__(self) -> str:
        widest = max((Decimal(x.radius) for x in self.gradient), default=Decimal(0))
        return f"J = {self.value}\n∇J to {self.digits} digits, every radius ≤ {widest:.1E} ({self.bits} bits)"


def enclose(problem: Any, theta: Any, digits: int = 30) -> Enclosure:
    """J and ∇J of a table, a finite horizon or a Markov game, in balls that contain the exact numbers.

    `digits` are those of the largest entry.  Everything is in ball arithmetic: `build` and its derivative (as autograd sees
    them), the follower's fixed point, the leader's values and the adjoint; branches of `build` are those that float64 takes.
    For up to some 1000 states.  Needs python-flint (`boltzgrad[rigorous]`).  Source: BC-HG Theorem 1, (5), and (22), the
    contraction of the soft Bellman operator.

    Raises: InvalidOption for another family, where the problem is too large, or where build uses an operation that has no ball
    arithmetic or is another framework's; NotConverged where nothing can be proved; MissingExtra.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("garnet", n_states=5, n_parameters=6)
    >>> theta = problem.initial_theta(seed=0)
    >>> reference = bg.hypergradient(problem, theta)
    >>> bool(bg.enclose(problem, theta).errors(reference.gradient).max() <= reference.error_bound)
    True
    """
    need_flint()
    if isinstance(digits, bool) or not isinstance(digits, (int, np.integer)) or not 1 <= digits <= _MOST_DIGITS:
        raise InvalidOption(f"digits is {digits!r}; expected an integer from 1 to {_MOST_DIGITS}")
    enclosed = family_of(problem).enclosed
    if enclosed is None:
        raise InvalidOption(f"enclose is for tables, finite horizons and Markov games; {problem!r} is none")
    reference = hypergradient(problem, theta)
    bits, why = int(3.33 * digits) + 80, ""
    for _ in range(_TRIES):
        with _ONE_AT_A_TIME, precision(bits):
            try:
                value, gradient = enclosed(problem, reference.theta, bits)
            except NotConverged as error:
                bits, why = 2 * bits, f" ({error})"
                continue
            except BoltzgradError:
                raise
            except Exception as error:
                raise InvalidOption(
                    f"enclose follows build, objective and regulariser by autograd, and could not: {type(error).__name__}: "
                    f"{error}. Write them in autograd.numpy, of real float64 numbers, with a scalar for what is one"
                ) from error
            if _fine(value, gradient, reference, digits):
                told = [_told(x, int(digits)) for x in (value, *gradient)]
                return Enclosure(problem, reference.theta, told[0], tuple(told[1:]), int(digits), bits)
        bits *= 2
    raise NotConverged(
        f"enclose: {digits} digits were not reached with {bits // 2} bits{why}; ask for fewer, or J may not be smooth here "
        "(0 to a power, a kink)"
    )


def _fine(value: Any, gradient: Any, reference: Hypergradient, digits: int) -> bool:
    """Whether radii are small enough: beside the largest entry, or what it is a sum of, or J's own terms where all is zero."""
    aim, scale = flint.arb(10) ** (-int(digits)), flint.arb(float(reference.value_scale))
    if not all(x.is_finite() for x in (value, *gradient)):
        return False
    size, terms = most(gradient), flint.arb(float(reference.term_sizes.max()))
    beside = size if size > aim * max(terms, scale) else max(terms, scale)
    widest = most([flint.arb(0, x.rad()) for x in gradient])
    return bool(widest <= aim * beside and value.rad() <= aim * scale)


_PRINTED = re.compile(r"\[(?:(?P<mid>[^ ]+) )?\+/- (?P<rad>[^\]]+)\]")


def _told(x: Any, digits: int) -> Ball:
    text = x.str(digits + 20)
    found = _PRINTED.fullmatch(text)
    mid, rad = (found["mid"] or "0", found["rad"]) if found else (text, "0")
    return Ball(mid, rad, *outward(x))
