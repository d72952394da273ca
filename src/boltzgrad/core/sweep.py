"""Fixed points by plain sweeps, for the witnesses of any family.

Nothing here is shared with a reference: no factorisation that it made, none of its stopping rules.  Everything also runs on
complex arrays, for complex-step differentiation.

Sweeps take about 37 times as many steps as remain in the chain.  Where that is too many (γ near one, ends that are rare), a
small problem is brought to rest by Newton with dense solves of its own instead (a very small one always is, after a few
hundred sweeps); a large one says that it is unfinished.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgWarning, lu_factor, lu_solve

from boltzgrad.core.arrays import Array
from boltzgrad.errors import Unfinished

EPS = float(np.finfo(float).eps)
MAX_SWEEPS = 500_000
BEFORE_SOLVES, WARM_SWEEPS, FEW_WARM = 200, 100, 3
"""[sweeps] The most before dense solves that do better anyway, and from a start that sweeps alone have reached before: of such
a table, and of one whose dense solves cost no more than a few sweeps."""
CHEAP_STATES = 300
_AT_REST = (
    1e-6  # Newton's last step, relative: where many steps remain, rounding moves the values by as many of its units
)
COMPLEX_STEP = 1e-30
"""The step of complex-step differentiation: its square vanishes beside any number in a model."""


# Sweeps before dense solves take over, and the most states for which they do.
FEW_SWEEPS, DENSE_STATES = 4_000, 1_500
_NEWTON = 60


@dataclass(frozen=True)
class Swept:
    """A fixed point reached by sweeps: the answer, the last change relative to its size, and the count."""

    x: Array
    change: float
    sweeps: int


def sweep(
    step: Any,
    x: Array,
    *,
    max_sweeps: int = MAX_SWEEPS,
    jacobian: Callable[[Array], Array] | None = None,
    scale: float = 0.0,
) -> Swept:
    """Iterate x ← step(x) until rounding stops the changes from falling.

    Real and imaginary parts are followed apart: under a complex step the derivative lives in an imaginary part some
    twenty orders smaller than the value.  `jacobian(x)` (S, S) is that of `step`, or its real part: with it a small problem is
    brought to rest for good by Newton.  `scale` is the size of what x is a difference of: what cancels rests at a rounding of
    that.

    Raises: Unfinished if nothing brings it to rest.
    """
    best, since, change, settled = np.inf, 0, np.inf, False
    dense = jacobian is not None and x.size <= DENSE_STATES
    most = min(max_sweeps, BEFORE_SOLVES if x.size <= CHEAP_STATES else FEW_SWEEPS) if dense else max_sweeps
    for count in range(1, most + 1):  # noqa: B007 - returned
        old, x = x, step(x)
        change, whole = _change(x, old)
        if change < 0.9 * best:
            best, since = change, 0
        else:
            since += 1
        # An entry that cancels never rests relative to itself: there it is enough that the whole does.
        settled = (
            change <= EPS
            or (since >= 30 and best < 1e-13)
            or (since >= 100 and (whole < 1e-13 or _is_noise(x, old, scale)))
        )
        if settled:
            break
    # Sweeps that stand still may have far to go yet, by 10⁻¹⁴ a step and a million steps: a correction is solved for.
    if dense and (not settled or x.size <= CHEAP_STATES or max_sweeps == BEFORE_SOLVES):
        assert jacobian is not None
        return _newton(step, jacobian, x, count, scale)
    if not settled:
        raise Unfinished(f"after {count} sweeps the values still move by {change:.1e} of themselves")
    return Swept(x, min(change, whole), count)


class Factors:
    """The factors of I − K for a kernel K ≥ 0 (S, S) of a chain that loses weight, real or complex.

    They are those of the orientation whose columns are dominated by their diagonal, so that no pivot is ever needed: they keep
    the signs of I − K, nothing cancels, and a state from which b cannot be reached gets exactly zero.  Pivoting would leave it
    a rounding of the largest entry, where the exact derivative is zero.  Raises: LinAlgError.
    """

    def __init__(self, kernel: Array) -> None:
        size = np.abs(kernel)
        rows, columns = float(size.sum(axis=1).max()), float(size.sum(axis=0).max())
        rest = np.eye(len(kernel)) - kernel
        self.scale: Array | None = None
        if min(rows, columns) > 1.0 + 1e-9:
            # Weights, not probabilities: their chain in the units of the steps that remain.
            steps = np.linalg.solve(np.eye(len(kernel)) - size, np.ones(len(kernel)))
            if steps.min() > 0.0:
                self.scale, rest, rows = steps, rest * steps, 0.0
        self.transposed = rows <= columns
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)  # of a singular factor, which is an error here
            self.factors = lu_factor(rest.T if self.transposed else rest, check_finite=False)
        if not np.all(np.diagonal(self.factors[0])):
            raise np.linalg.LinAlgError("Singular matrix")

    def solve(self, b: Array) -> Array:
        """(I − K)⁻¹ b for b (S,) or (S, k)."""
        x = lu_solve(self.factors, b, trans=1 if self.transposed else 0, check_finite=False)
        return np.asarray(x if self.scale is None else (x.T * self.scale).T)

    def solve_beside(self, kernel: Array, b: Array) -> Array:
        """(I − K)⁻¹ b (S,) for a complex kernel that is this one but for an imaginary part some thirty orders below it."""
        x = self._complex(b)
        return np.asarray(x + self._complex(b - x + kernel @ x))

    def _complex(self, b: Array) -> Array:
        real, imaginary = self.solve(np.stack([b.real, b.imag], axis=1)).T
        return np.asarray(real + 1j * imaginary)


def solved(kernel: Array, b: Array) -> Array:
    """(I − K)⁻¹ b, b (S,) or (S, k): see `Factors`.  Raises: LinAlgError."""
    return Factors(kernel).solve(b)


def _newton(step: Any, jacobian: Callable[[Array], Array], x: Array, count: int, scale: float) -> Swept:
    """Solve x = step(x) by Newton from where the sweeps left it.

    Under a complex step the real part comes to rest by itself, and then stays to the bit while the imaginary part, which is
    linear in what that leaves, does: a value that jitters by a rounding moves a cold policy's slope by far more.
    """
    if not np.iscomplexobj(x):
        return _solve_for(
            lambda at: step(at) - at,
            lambda at: Factors(jacobian(at)),
            x,
            count,
            lambda at: max(float(np.abs(at).max()), scale) if scale else 0.0,
        )
    real, imaginary = x.real.copy(), x.imag.copy()

    def slope(at: Array) -> Factors:
        return Factors(np.real(jacobian(at + 1j * imaginary)))

    if np.abs(step(x).real - real).max() > 4.0 * EPS * np.abs(real).max():
        real = _solve_for(
            lambda at: step(at + 1j * imaginary).real - at,
            slope,
            real,
            count,
            lambda at: max(float(np.abs(at).max()), scale),
        ).x
    once, size = slope(real), COMPLEX_STEP * max(float(np.abs(real).max()), scale)
    found = _solve_for(
        lambda at: step(real + 1j * at).imag - at, lambda _: once, imaginary, count, lambda _: size, known=scale > 0.0
    )
    return Swept(real + 1j * found.x, found.change, found.sweeps)


def _solve_for(
    off: Callable[[Array], Array],
    slope: Callable[[Array], Factors],
    x: Array,
    count: int,
    size: Callable[[Array], float],
    *,
    known: bool = True,
) -> Swept:
    """The real x at which `off` vanishes, by Newton.

    What moves by less than a rounding of `size(x)` is at rest, and said to be so where that size is `known` to be what x is a
    difference of.
    """
    best, since = np.inf, 0
    for _ in range(_NEWTON):
        old, x = x, x + slope(x).solve(off(x))
        _, change = _relative(x, old)
        best, since = (change, 0) if change < 0.5 * best else (best, since + 1)
        if change <= EPS or since >= 2:
            break
    noise = bool(np.abs(x - old).max() <= 64.0 * EPS * size(x))
    if not best <= _AT_REST and not noise:
        raise Unfinished(f"Newton's steps with dense solves still move the values by {best:.1e} of themselves")
    if not best <= _AT_REST and known:
        best = 64.0 * EPS  # of that size
    return Swept(x, best, count)


def _change(new: Array, old: Array) -> tuple[float, float]:
    """The largest change of any entry relative to itself, and of the whole relative to its largest entry."""
    if not np.iscomplexobj(new):
        return _relative(new, old)
    (a, b), (c, d) = _relative(new.real, old.real), _relative(new.imag, old.imag)
    return max(a, c), max(b, d)


def _is_noise(new: Array, old: Array, scale: float) -> bool:
    """Whether all that still moves is what rounds off in the values, or in the `scale` that they cancel from; under a complex
    step in h times these: J does not depend on this coordinate.
    """
    size = max(float(np.abs(new.real).max()), scale)
    if not np.iscomplexobj(new):
        return scale > 0.0 and bool(np.abs(new - old).max() <= 64.0 * EPS * size)
    still = float(np.abs(new.real - old.real).max()) <= 64.0 * EPS * scale
    if not still and _relative(new.real, old.real)[1] > 1e-13:
        return False
    return bool(np.abs(new.imag - old.imag).max() <= 64.0 * EPS * COMPLEX_STEP * size)


def _relative(new: Array, old: Array) -> tuple[float, float]:
    """(the largest change of any entry relative to itself, of the whole relative to its largest entry), of real arrays."""
    moved = np.abs(new - old)
    largest = float(moved.max())
    if not largest:
        return 0.0, 0.0
    size = np.abs(new)
    whole = float(size.max())
    moved[moved <= 1e-290] = 0.0  # what underflows is at rest
    np.maximum(size, 1e-290, out=size)
    return float((moved / size).max()), largest / whole if whole > 0.0 else 1.0


def needed_sweeps(discount: float) -> float:
    """How many sweeps a chain that never ends takes at a discount; none, where it has to end."""
    return float(np.log(EPS) / np.log(max(discount, 0.1))) if discount < 1.0 else 0.0
