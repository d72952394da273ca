"""How far ∇J on a grid is from the continuum's: the same problem on finer and finer grids."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.families.registry import hypergradient


@dataclass(frozen=True, eq=False)
class Refinement:
    """∇J on grids whose cells shrink by one factor from each to the next.

    `gradients` (k, d) and `values` (k,); `order` the observed p in error ≈ C hᵖ, from the last three; `error` (d,) what is
    estimated to be left on the finest, and `extrapolated` (d,) the finest with that taken off (Richardson).  Estimates: nothing
    here is proved.  `steady` says whether the last two orders are alike, which takes four grids: without that the grids may be
    too coarse to tell, nothing is extrapolated, and `error` is the whole of the last change.
    """

    sizes: tuple[float, ...]
    values: Array
    gradients: Array
    factor: float

    @property
    def orders(self) -> Array:
        """The observed order from each three grids in a row (k − 2,)."""
        steps = np.linalg.norm(np.diff(self.gradients, axis=0), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(steps[:-1] / steps[1:]) / np.log(self.factor))

    @property
    def order(self) -> float:
        """The observed order from the last three."""
        return float(self.orders[-1])

    @property
    def steady(self) -> bool:
        """Whether the last two observed orders are alike, and above one half."""
        last = self.orders[-2:]
        return bool(last.size == 2 and np.all(np.isfinite(last)) and np.ptp(last) < 0.5 and last.min() > 0.5)

    @property
    def _change(self) -> Array:
        return np.asarray(self.gradients[-1] - self.gradients[-2])

    @property
    def error(self) -> Array:
        """What is estimated to be left of the finest grid's error (d,)."""
        return np.asarray(np.abs(self._change) / (self.factor**self.order - 1.0 if self.steady else 1.0))

    @property
    def extrapolated(self) -> Array:
        """The finest grid's gradient with its estimated error taken off (d,); itself where the order is not steady."""
        last = self.gradients[-1]
        return np.asarray(last + self._change / (self.factor**self.order - 1.0)) if self.steady else last

    def __str__(self) -> str:
        size = float(np.abs(self.gradients[-1]).max())
        lines = [
            f"cell {h:.4g}: J = {v:.8g}, ‖∇J‖_∞ = {np.abs(g).max():.8g}"
            for h, v, g in zip(self.sizes, self.values, self.gradients, strict=True)
        ]
        left = float(self.error.max())
        told = f"{left / size:.1e} of ‖∇J‖_∞ estimated to be left" if size else "∇J is zero"
        if not self.steady:
            why = "one order alone says little: take a fourth grid" if len(self.orders) < 2 else "grids too coarse"
            told = f"not steady ({why}), so the last change, {left / size if size else 0.0:.1e} of ‖∇J‖_∞, may be left"
        orders = ", ".join(f"{x:.2f}" for x in self.orders)
        return "\n".join([*lines, f"observed order {orders}; {told}"])


def refinement(problem_of: Callable[[float], Any], theta: Any, *, cells: Sequence[float]) -> Refinement:
    """∇J of `problem_of(h)` at one θ for at least three cell sizes h, each the same factor below the last.

    θ has to mean the same on every grid: features of the state, physical parameters, not an entry for each node.
    Raises: InvalidOption; what the problems raise.
    """
    try:
        sizes = tuple(float(h) for h in cells)
    except (TypeError, ValueError):
        sizes = ()
    if not sizes or min(sizes) <= 0.0:
        raise InvalidOption(
            f"cells is {cells!r}; expected three or more positive numbers, each the same factor below the last"
        )
    ratios = [a / b for a, b in itertools.pairwise(sizes)]
    if len(sizes) < 3 or min(ratios) <= 1.0 or max(ratios) - min(ratios) > 0.05 * ratios[0]:
        raise InvalidOption(
            f"cells is {sizes}; expected three or more, each the same factor (above 1) below the one before"
        )
    found = [hypergradient(problem_of(h), theta) for h in sizes]
    if len({x.gradient.shape for x in found}) > 1:
        raise InvalidOption(
            "theta has another length on each grid: it must mean the same on all, such as features of the state"
        )
    return Refinement(
        sizes, np.array([x.value for x in found]), np.stack([x.gradient for x in found]), float(np.mean(ratios))
    )
