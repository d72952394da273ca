"""Slopes of arrays from differences over falling steps, extrapolated (Ridders 1982), with each entry's own error."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from boltzgrad.core.arrays import Array, Parts

EPS = float(np.finfo(float).eps)
FIRST, RATIO, STEPS = 0.05, 4.0, 8  # natural steps


class Slope(NamedTuple):
    """d(arrays)/dt at 0 along a direction, how far off each array's may be, and whether slopes from right and left differ."""

    parts: Parts
    errors: tuple[Array, ...]
    kinked: tuple[bool, ...] = ()


def extrapolated(
    x: Array, ahead: list[Array], behind: list[Array] | None, steps: list[float], jitter: float
) -> tuple[Array, Array, bool]:
    """(slope of one array, each entry's error, whether it has a kink) from its values ahead and behind at falling steps."""
    size = 2.0 * EPS * np.abs(x)
    kinked = False
    if behind is None:
        first, order, noise = [np.asarray((a - x) / t) for a, t in zip(ahead, steps, strict=True)], 1, 2.0 * size
    else:
        first = [np.asarray((a - b) / (2.0 * t)) for a, b, t in zip(ahead, behind, steps, strict=True)]
        order, bent = 2, [np.abs(a - 2.0 * x + b) for a, b in zip(ahead, behind, strict=True)]
        # Curvature falls with the square of the step; what is left of it at the smallest is noise (single precision, too).
        noise = np.maximum(np.abs(bent[-1] - bent[-2] / RATIO**2), size)
        gaps = [float((gap / t).max(initial=0.0)) for gap, t in zip(bent[-3:], steps[-3:], strict=True)]
        rounding = (
            40.0 * float(size.max(initial=0.0)) + 8.0 * jitter * float(np.abs(first[0]).max(initial=0.0))
        ) / steps[-3]
        # Slopes from right and left: a smooth array brings them together, noise drives them apart, a kink keeps them.
        kinked = min(gaps) > rounding and all(0.5 < b / a < 2.0 for a, b in pairwise(gaps))
    noise = noise + jitter * float(np.abs(first[0]).max(initial=0.0))
    best, error = np.zeros_like(x, dtype=float), np.full(np.shape(x), np.inf)
    row: list[Array] = []
    for i, t in enumerate(steps):
        new, factor = [first[i]], RATIO**order
        for j in range(i):
            new.append((factor * new[j] - row[j]) / (factor - 1.0))
            factor *= RATIO**order
            off = np.maximum(np.abs(new[-1] - new[-2]), np.abs(new[-1] - row[j])) + noise / t
            best, error = np.where(off < error, new[-1], best), np.minimum(off, error)
        row = new
    return best, error, kinked
