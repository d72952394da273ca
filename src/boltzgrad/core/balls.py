"""Ball arithmetic on arrays: NumPy arrays of python-flint's `arb`, each a midpoint and a radius that hold the exact number.

Rounding is part of every ball, so what comes out of a computation contains what exact arithmetic would have given.  Of plain
floats the exact binary numbers are meant.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import MissingExtra

try:
    import flint
except ImportError:
    flint = None

Balls = Any
"""An `arb`, or an object array of them."""

__all__ = [
    "Balls",
    "as_balls",
    "flint",
    "floats",
    "least",
    "most",
    "need_flint",
    "outward",
    "precision",
    "total",
    "widened",
]


def need_flint() -> None:
    """Raises: MissingExtra without python-flint."""
    if flint is None:
        raise MissingExtra("ball arithmetic needs python-flint: pip install 'boltzgrad[rigorous]'")


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """`bits` of working precision; python-flint's is a global, and is put back."""
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def _ball(x: Any) -> Any:
    return x if isinstance(x, flint.arb) else flint.arb(x.item() if isinstance(x, np.generic) else x)


_balls = np.frompyfunc(_ball, 1, 1)
_size = np.frompyfunc(lambda x: flint.arb(x.abs_upper()), 1, 1)


def as_balls(x: Any) -> Balls:
    """Numbers (floats, exactly, or balls) as balls."""
    if isinstance(x, flint.arb):
        return x
    x = np.asarray(x)
    return _ball(x.item()) if x.ndim == 0 else np.asarray(_balls(x.astype(object)))


def floats(x: Balls) -> Array:
    """The midpoints, to float64."""
    return np.asarray(np.frompyfunc(lambda b: float(b.mid()), 1, 1)(x), float)


def most(x: Balls) -> Any:
    """An upper bound on max |x|, an exact number."""
    return max(np.ravel(np.asarray(_size(x), object)), default=flint.arb(0))


def total(x: Balls) -> Any:
    """An upper bound on Σ |x|, an exact number."""
    return flint.arb(sum(np.ravel(np.asarray(_size(x), object)), flint.arb(0)).abs_upper())


def widened(x: Balls, radius: Any) -> Balls:
    """Balls about x that hold everything within `radius` of it."""
    around = flint.arb(0, radius)
    return x + around


def least(x: Balls) -> Any:
    """A lower bound on min x, an exact number."""
    return min(b.lower() for b in np.ravel(np.asarray(x, object)))


def outward(x: Any) -> tuple[float, float]:
    """The smallest float64 interval that is known to contain a ball."""
    low, high = float(x.lower()), float(x.upper())
    if not flint.arb(low) <= x.lower():
        low = math.nextafter(low, -math.inf)
    if not flint.arb(high) >= x.upper():
        high = math.nextafter(high, math.inf)
    return low, high
