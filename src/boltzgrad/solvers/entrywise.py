r"""Balls entry by entry: a float64 array and how far each of its entries may be from the exact number.

Every operation rounds once more, by u relative and by the smallest subnormal, and says so in the radius.  Radii themselves are
computed in float64 and made larger by 1 + 8u each time, which is more than their own few roundings lose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import Kernel, summed_outer
from boltzgrad.core.softmaxes import centred
from boltzgrad.solvers.soft_bellman import passed_on

EPS = float(np.finfo(float).eps)
TINY = float(np.finfo(float).smallest_subnormal)


@dataclass(frozen=True, eq=False)
class Entrywise:
    """|exact − mid| ≤ rad, entry by entry; radii may be infinite, and then nothing is known."""

    mid: Array
    rad: Array

    __array_ufunc__ = None  # NumPy leaves 2.0 * ball to the ball

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return int(np.ndim(self.mid))

    def __getitem__(self, index: Any) -> Entrywise:
        return Entrywise(self.mid[index], self.rad[index])

    def __neg__(self) -> Entrywise:
        return Entrywise(-self.mid, self.rad)

    def __add__(self, other: Any) -> Entrywise:
        b = ball(other)
        return rounded(self.mid + b.mid, self.rad + b.rad)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Entrywise:
        return self + -ball(other)

    def __rsub__(self, other: Any) -> Entrywise:
        return ball(other) - self

    def __mul__(self, other: Any) -> Entrywise:
        b = ball(other)
        return rounded(self.mid * b.mid, _times(np.abs(self.mid), b.rad) + _times(self.rad, np.abs(b.mid) + b.rad))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Entrywise:
        b = ball(other)
        mid, least = self.mid / b.mid, np.abs(b.mid) - b.rad
        with np.errstate(divide="ignore", invalid="ignore"):
            rad = np.where(least > 0.0, (self.rad + _times(np.abs(mid), b.rad)) / least, np.inf)
        return rounded(mid, rad)

    def sum(self, axis: int | None = None) -> Entrywise:
        """A sum, in whatever order NumPy takes."""
        n = self.mid.size if axis is None else self.mid.shape[axis]
        return rounded(self.mid.sum(axis=axis), self.rad.sum(axis=axis) + n * EPS * np.abs(self.mid).sum(axis=axis))


def ball(x: Any) -> Entrywise:
    """A number that is exact as it stands, as a ball."""
    return x if isinstance(x, Entrywise) else Entrywise(np.asarray(x, float), np.zeros(np.shape(x)))


def rounded(mid: Any, rad: Any) -> Entrywise:
    """The ball after one rounding of its midpoint; NaN is not known."""
    rad = (np.asarray(rad) + EPS * np.abs(mid)) * (1.0 + 8.0 * EPS) + TINY
    return Entrywise(np.asarray(mid), np.where(np.isnan(rad) | ~np.isfinite(mid), np.inf, rad))


def _times(x: Array, rad: Array) -> Array:
    """A product with a radius: 0 · ∞ is 0, since what is multiplied with an exact zero does not matter."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where((x == 0.0) | (rad == 0.0), 0.0, x * rad))


class BallArithmetic:
    """The operations of a soft control problem on balls; entries of arrays and kernels are known to a relative `eps`."""

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def array(self, x: Any) -> Entrywise:
        """A number that the model holds."""
        return Entrywise(np.asarray(x, float), self.eps * np.abs(x) * (1.0 + 8.0 * EPS))

    def logarithm(self, x: Any) -> Entrywise:
        """The logarithm of a number that the model holds."""
        return Entrywise(np.asarray(x, float), self.eps * (1.0 + np.abs(x)) * (1.0 + 8.0 * EPS))

    def _linear(self, apply: Callable[[Array], Array], x: Entrywise, terms: int) -> Entrywise:
        """A product with the kernel's entries, none of which is negative, in sums of so many terms."""
        known = np.where(np.isfinite(x.rad), x.rad, 0.0)
        rad = (1.0 + self.eps) * apply(known) + (self.eps + (terms + 2) * EPS) * apply(np.abs(x.mid))
        if not np.isfinite(x.rad).all():
            rad = np.where(apply((~np.isfinite(x.rad)).astype(float)) > 0.0, np.inf, rad)
        return rounded(apply(x.mid), rad)

    def expect(self, kernel: Kernel, v: Entrywise) -> Entrywise:
        """Σ_s' p v (S, A)."""
        return self._linear(kernel.expect, v, kernel.n_states)

    def accumulate(self, kernel: Kernel, x: Entrywise) -> Entrywise:
        """Σ_{s,a} p x (S,)."""
        return self._linear(kernel.accumulate, x, kernel.longest_sum)

    def outer(self, kernel: Kernel, xs: Sequence[Entrywise], vs: Sequence[Entrywise]) -> Entrywise:
        """Σ_t x_t(s,a) v_t(s') for every entry of a kernel."""
        rad = summed_outer(kernel, [x.rad for x in xs], [np.abs(v.mid) + v.rad for v in vs]) + summed_outer(
            kernel, [np.abs(x.mid) for x in xs], [v.rad + (len(xs) + 2) * EPS * np.abs(v.mid) for v in vs]
        )
        return rounded(summed_outer(kernel, [x.mid for x in xs], [v.mid for v in vs]), rad)

    def backup(self, reward: Entrywise, ahead: Entrywise) -> Entrywise:
        """The sum reward + ahead (S, A)."""
        return reward + ahead

    def soften(self, x: Entrywise, there: Array | None) -> tuple[Entrywise, Entrywise, Entrywise]:
        """(x − lse, softmax, log Σ exp): with e(a) the radius of x, lse moves by at most log Σ π exp(e), and log π by that
        and e together.
        """
        exponents = x.mid if there is None else np.where(there, x.mid, -np.inf)
        e = x.rad if there is None else np.where(there, x.rad, 0.0)
        top = exponents.max(axis=1)
        weights = np.exp(exponents - top[:, None])
        total = weights.sum(axis=1)
        policy, lse = weights / total[:, None], top + np.log(total)
        n = x.mid.shape[1] + 8
        far = np.abs(np.where(np.isfinite(exponents), exponents - top[:, None], 0.0))
        own = EPS * (n + (policy * far).sum(axis=1))  # of exp (its argument's rounding), the sum and the logarithm
        with np.errstate(invalid="ignore", over="ignore"):
            soft = passed_on(policy, e, 1.0) + own + 2.0 * EPS * np.abs(lse)
            lse_ball = rounded(lse, soft)
            log = np.where(np.isfinite(exponents), x.mid - lse[:, None], 0.0)
            moved = e + soft[:, None] + EPS * (np.abs(log) + 2.0 * np.abs(x.mid))
            relative = np.expm1(e + passed_on(policy, e, 1.0)[:, None] + own[:, None] + EPS * (n + far))
        there = np.isfinite(exponents)
        # An exponent below the smallest number is a weight of zero, whatever it is exactly: it stays below e^λ of that.
        open_at_most = np.where(policy > 0.0, relative * policy, np.exp(np.minimum(log + moved, 0.0)))
        return (
            Entrywise(log, np.where(there, np.where(np.isnan(moved), np.inf, moved), 0.0)),
            rounded(policy, np.where(there, np.minimum(np.where(np.isnan(open_at_most), 1.0, open_at_most), 1.0), 0.0)),
            lse_ball,
        )

    def centred(self, policy: Entrywise, q: Entrywise) -> Entrywise:
        """The difference q − Σ_b π(b) q(b) (S, A)."""
        mid, mean = centred(policy.mid, q.mid), self.mean(policy, q)
        return rounded(mid, q.rad + mean.rad[:, None] + (q.mid.shape[1] + 8) * EPS * np.abs(q.mid))

    def mean(self, policy: Entrywise, q: Entrywise) -> Entrywise:
        """Σ_a π(a) q(a) (S,), in which Σ (π* − π) = 0 takes a constant out."""
        off = _times(policy.mid + policy.rad, q.rad) + _times(policy.rad, np.abs(centred(policy.mid, q.mid)))
        size = (policy.mid * np.abs(q.mid)).sum(axis=1)
        return rounded((policy.mid * q.mid).sum(axis=1), off.sum(axis=1) + (q.mid.shape[1] + 8) * EPS * size)

    def total(self, x: Entrywise, axis: int | None = None) -> Entrywise:
        """A sum."""
        return x.sum(axis=axis)

    def stacked(self, parts: Sequence[Entrywise], each: bool) -> Entrywise:
        """The parts one a step, or their sum."""
        whole = Entrywise(np.stack([x.mid for x in parts]), np.stack([x.rad for x in parts]))
        return whole if each else whole.sum(axis=0)
