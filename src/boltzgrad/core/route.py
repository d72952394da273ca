"""What a route is: one way from a problem to its hypergradient, all with one signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.arrays import Array


@dataclass(frozen=True, eq=False)
class RouteResult:
    """What a route found.

    `gradient` (d,), or slopes (k,) along the rows of `directions` (k, d) where a route is too costly in
    every coordinate.  `error_estimate` is the route's own sharp estimate of what its *method* leaves in
    each entry (truncation, step size, solver residual), apart from the rounding that any float64
    computation of this problem carries: one number (that of every entry), or (d,) or (k,) numbers, in the units of the
    entries.  `value_error` is the same for `value`.  `note` says what a reader of the table should know.

    A route whose iterations did not come to rest raises `errors.Unfinished` with the reason.
    """

    value: float
    gradient: Array
    error_estimate: float | Array
    directions: Array | None = None
    note: str = ""
    value_error: float = 0.0

    def seen_by(self, gradient: Array) -> Array:
        """The entries of another gradient (d,) that this result can be compared with."""
        return gradient if self.directions is None else np.asarray(self.directions @ gradient)


@dataclass(frozen=True)
class Route:
    """A named way to a hypergradient: `run(problem, theta)`, and when it does not apply.

    `skip(problem, theta)` returns the reason not to run, or "".  `independent` routes share none of the reference's solvers,
    only the problem itself and its build's derivative, so that they can witness for it.  `work(reference)` is about how many
    multiplications it takes on the reference's problem, `CALL` for each call of NumPy: what a caller with little patience
    decides by, and not by the clock.
    """

    name: str
    summary: str
    run: Callable[[Any, Array], RouteResult]
    skip: Callable[[Any, Array], str]
    independent: bool = True
    work: Callable[[Hypergradient], float] = lambda reference: 0.0


CALL = 3e4
"""[multiplications] What a call of NumPy costs besides."""


def always(problem: Any, theta: Array) -> str:
    """Never a reason to skip."""
    return ""
