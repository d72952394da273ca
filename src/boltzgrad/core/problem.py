"""What every problem has: a θ of fixed length, checked where it comes in, and a reproducible starting point."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import refuse_mask
from boltzgrad.core.tree import Tree
from boltzgrad.errors import InvalidOption, InvalidTheta

ENTRY_ULPS = 8
"""How many units in the last place an entry computed from θ may be off, by default."""


class ParametricProblem:
    """A problem with a parameter θ (d,).

    `initial_theta(seed)` draws from N(0, initial_scale²).  `entry_error` is the relative error that entries computed
    from θ in floating point may carry; proved bounds allow for it.
    """

    def __init__(
        self,
        *,
        dim: int,
        name: str = "",
        initial_scale: float = 1.0,
        entry_error: float = ENTRY_ULPS * float(np.finfo(float).eps),
    ) -> None:
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
            raise InvalidOption(f"dim is {dim!r}; expected a positive integer, the length of theta")
        self.initial_scale = _number("initial_scale", initial_scale)
        self.entry_error = _number("entry_error", entry_error)
        if self.entry_error < 0.0:
            raise InvalidOption(f"entry_error is {entry_error!r}; expected at least 0")
        self.dim, self.name = int(dim), name
        self.tree: Tree | None = None  # the shape of a θ that is several arrays
        self.recipe: tuple[str, dict[str, Any]] | None = None  # the name and options that the zoo made it from

    def __copy__(self) -> Any:
        """A shallow copy: somebody's own from here on, whatever the zoo made."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, recipe=None)
        return other

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, dim={self.dim}>"

    def initial_theta(self, seed: int = 0) -> Array:
        """A reproducible starting point (d,), N(0, initial_scale²).  Raises: InvalidOption for a bad seed."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise InvalidOption(f"seed is {seed!r}; expected a non-negative integer")
        return self.initial_scale * np.random.default_rng(seed).standard_normal(self.dim)

    def entry(self, coordinate: int) -> str:
        """What θ_j is called: theta[j], or its leaf and the place in it."""
        return f"theta[{coordinate}]" if self.tree is None else f"theta{self.tree.entry(coordinate)}"

    def settle(self, theta: Any) -> None:
        """Learn at a θ what only the problem's own build tells: which kind of problem it is.  Nothing is raised."""

    def check_theta(self, theta: Any) -> Array:
        """`theta` as a fresh float64 array (d,), also where it is given as the problem's tree.  Raises: InvalidTheta."""
        if self.tree is not None and self.tree.fits(theta):
            theta = self.tree.pack(theta)
        refuse_mask("theta", theta, InvalidTheta)
        try:
            array = np.asarray(theta)
        except ValueError as error:
            raise InvalidTheta(f"theta is not an array of numbers: {error}") from None
        if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
            raise InvalidTheta(f"theta holds {array.dtype} values, expected real numbers (float64)")
        if array.shape != (self.dim,):
            raise InvalidTheta(f"theta has shape {array.shape}, expected ({self.dim},)")
        array = np.array(array, dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(array))
        if bad.size:
            raise InvalidTheta(f"{self.entry(int(bad[0]))} is {array[bad[0]]}; every entry must be finite")
        return array


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, str)):
        raise InvalidOption(f"{name} is {value!r}; expected a real number")
    try:
        out = float(value)
    except (TypeError, ValueError):
        raise InvalidOption(f"{name} is {value!r}; expected a real number") from None
    if not np.isfinite(out):
        raise InvalidOption(f"{name} is {value!r}; expected a finite number")
    return out
