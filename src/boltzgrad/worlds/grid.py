r"""Continuous control on a grid: a sparse kernel by multilinear interpolation, and how far the grid is from the continuum.

A step from a node lands between nodes; its probability is shared out among the 2ⁿ corners of the cell with the weights of
multilinear interpolation, which keep the mean exactly and add the variance of less than half a cell: the chain is consistent
with the continuous one (Kushner and Dupuis, 2001), and values converge with the square of the cell where they are smooth.
How fast ∇J converges is measured, not assumed: `refinement`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption, InvalidWorld
from boltzgrad.worlds.outcomes import gathered
from boltzgrad.worlds.reading import checked_discount, notes_of
from boltzgrad.worlds.world import World

_MOST_CORNERS = 2e8


@dataclass(frozen=True, eq=False)
class Discretised(World):
    """A world on a grid, states in row-major order.

    `axes` are the nodes along each dimension, `actions` (A, m) what the actions stand for, `periodic` which dimensions wrap.
    """

    axes: tuple[Array, ...] = ()
    actions: Array = field(default_factory=lambda: np.zeros((0, 0)))
    periodic: tuple[bool, ...] = ()

    @property
    def states(self) -> Array:
        """The nodes (S, n)."""
        return _nodes(self.axes)

    def weights(self, points: Any) -> tuple[Array, Array]:
        """(states (N, 2ⁿ), weights (N, 2ⁿ)) that stand for points (N, n): a value at a point is Σ weights · value."""
        return interpolated(_points(points, self.axes, self.periodic), self.axes, self.periodic)

    def start_at(self, points: Any) -> Array:
        """A start (S,) that is uniform over points (N, n)."""
        states, weights = self.weights(points)
        return np.bincount(states.ravel(), weights.ravel(), minlength=self.shape[0]) / len(states)


def discretise(
    step: Callable[[Array, Array], Any],
    *,
    low: Sequence[float],
    high: Sequence[float],
    shape: Sequence[int],
    actions: Any,
    reward: Callable[[Array, Array, Array], Any],
    discount: float,
    noise: tuple[Any, Any] | None = None,
    periodic: Sequence[bool] | None = None,
    terminal: Callable[[Array], Any] | None = None,
    initial: Any = None,
) -> Discretised:
    """A continuous world on a grid of `shape` nodes in the box [low, high].

    `step(x, u)` moves states (N, n) under one action u (m,) to (N, n); `noise` is (probabilities (k,), displacements (k, n)),
    added to where that leads (the quadrature nodes of whatever noise there is).  `reward(x, u, x')` (N,).  A dimension that is
    `periodic` wraps around: `high` is `low` again.  In the others what leaves the box is put on its edge.  Where `terminal(x')`
    (N,) the episode ends, and reward is still paid.  `actions` (A, m) or (A,).  `initial`: points (N, n), by default the grid.

    Raises: InvalidWorld for shapes and values that are none; InvalidOption.

    >>> walk = discretise(lambda x, u: x + u, low=[0.0], high=[1.0], shape=[11], actions=[-0.05, 0.05],
    ...                   reward=lambda x, u, y: -(y[:, 0] - 0.5) ** 2, discount=0.9)
    >>> walk.shape, round(float(walk.transition[5, 1] @ walk.states[:, 0]), 12)
    ((11, 2), 0.55)
    """
    least, most, wraps = _box(low, high, shape, periodic)
    n = least.size
    if any(isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 2 for k in shape):
        raise InvalidOption(f"shape is {tuple(shape)}; expected at least 2 nodes along each dimension")
    controls = np.asarray(actions, float)
    controls = controls[:, None] if controls.ndim == 1 else controls
    if controls.ndim != 2 or not len(controls) or not np.isfinite(controls).all():
        raise InvalidOption(f"actions has shape {controls.shape}; expected (A, m) finite numbers")
    chances, shifts = _noise(noise, n)
    S, A = int(np.prod(shape)), len(controls)
    if S * A * len(chances) * 2.0**n > _MOST_CORNERS:
        raise InvalidOption(
            f"{S} nodes × {A} actions × {len(chances)} noises × {2**n} corners are too many; take fewer nodes"
        )
    axes = tuple(
        np.linspace(a, b, k, endpoint=not wrap) for a, b, k, wrap in zip(least, most, shape, wraps, strict=True)
    )
    x = _nodes(axes)
    parts = []
    for a, u in enumerate(controls):
        ahead = _called("step", step(x.copy(), u.copy()), (S, n))
        for chance, shift in zip(chances, shifts, strict=True):
            y = _inside(ahead + shift, least, most, wraps)
            paid = _called("reward", reward(x.copy(), u.copy(), y.copy()), (S,))
            over = np.zeros(S, bool) if terminal is None else np.asarray(terminal(y.copy()), bool)
            if over.shape != (S,):
                raise InvalidWorld(f"terminal returned shape {over.shape}, expected ({S},)")
            corners, weights = interpolated(y, axes, wraps)
            k = corners.shape[1]
            parts.append(
                (
                    np.repeat(np.arange(S) * A + a, k), corners.ravel(), (chance * weights).ravel(),
                    np.repeat(paid, k), np.repeat(over, k),
                )
            )  # fmt: skip
    row, successor, p, paid, over = (np.concatenate(c) for c in zip(*parts, strict=True))
    kept = p > 0.0
    outcomes, merged = gathered(
        row[kept],
        successor[kept],
        p[kept],
        paid[kept],
        over[kept],
        (S, A),
        there=np.ones((S, A), bool),
        label=lambda k: f"step (node {k // A}, action {k % A})",
    )
    world = Discretised(
        outcomes, np.full(S, 1.0 / S), checked_discount(discount), axes=axes, actions=controls, periodic=wraps,
        notes=(f"grid of {' × '.join(map(str, shape))} nodes", *notes_of(outcomes, merged, np.zeros(0, int), range(S))),
    )  # fmt: skip
    if initial is None:
        return world
    start = world.start_at(initial)
    return Discretised(outcomes, start, world.discount, axes=axes, actions=controls, periodic=wraps, notes=world.notes)


def _box(low: Any, high: Any, shape: Any, periodic: Any) -> tuple[Array, Array, tuple[bool, ...]]:
    """(low, high, which dimensions wrap), checked.  Raises: InvalidOption."""
    try:
        least, most = (np.asarray(x, float) for x in (low, high))
        n, wraps = least.size, None if periodic is None else tuple(bool(x) for x in periodic)
        sizes = (least.shape, most.shape, (len(shape),), (n if wraps is None else len(wraps),))
    except (TypeError, ValueError):
        raise InvalidOption("low, high, shape and periodic are lists, with an entry for each dimension") from None
    if set(sizes) != {(n,)} or n < 1 or not np.all(least < most) or not np.isfinite(np.r_[least, most]).all():
        told = ", ".join(str(x[0]) if len(x) == 1 else "no list" for x in sizes)
        raise InvalidOption(
            f"low, high, shape and periodic have {told} entries; expected as many each, with low < high"
        )
    return least, most, wraps or (False,) * n


def _points(points: Any, axes: tuple[Array, ...], periodic: tuple[bool, ...]) -> Array:
    """Points (N, n) inside of a grid's box, those of a periodic dimension wrapped.  Raises: InvalidWorld."""
    x, n = np.asarray(points, float), len(axes)
    if x.ndim == 1:
        x = x[:, None] if n == 1 else x[None, :]
    if x.ndim != 2 or x.shape[1] != n or not len(x) or not np.isfinite(x).all():
        raise InvalidWorld(
            f"points have shape {np.shape(points)}; expected (N, {n}) finite numbers, at least one point"
        )
    for d, (axis, wraps) in enumerate(zip(axes, periodic, strict=True)):
        if wraps:
            x = x.copy()
            x[:, d] = axis[0] + np.mod(x[:, d] - axis[0], axis.size * (axis[1] - axis[0]))
        elif x[:, d].min() < axis[0] - 1e-12 or x[:, d].max() > axis[-1] + 1e-12:
            bad = int(np.argmax((x[:, d] < axis[0]) | (x[:, d] > axis[-1])))
            raise InvalidWorld(f"point {bad} is {x[bad]}: dimension {d} runs from {axis[0]:g} to {axis[-1]:g}")
    return x


def _nodes(axes: tuple[Array, ...]) -> Array:
    return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=1)


def _noise(noise: Any, n: int) -> tuple[Array, Array]:
    if noise is None:
        return np.ones(1), np.zeros((1, n))
    try:
        chances, shifts = (np.asarray(x, float) for x in noise)
    except (TypeError, ValueError):
        raise InvalidOption("noise is not (probabilities (k,), displacements (k, n))") from None
    shifts = shifts[:, None] if shifts.ndim == 1 and n == 1 else shifts
    if chances.ndim != 1 or not chances.size or shifts.shape != (chances.size, n) or not np.isfinite(shifts).all():
        raise InvalidOption(
            f"noise has shapes {chances.shape} and {shifts.shape}, expected (k,) and (k, {n}), all finite"
        )
    if not (chances.min() >= 0.0 and abs(chances.sum() - 1.0) < 1e-9):
        raise InvalidOption(f"noise's probabilities sum to {chances.sum():.8g}, their least is {chances.min():.3g}")
    return chances, shifts


def _called(name: str, found: Any, shape: tuple[int, ...]) -> Array:
    x = np.asarray(found, float)
    if x.shape != shape:
        raise InvalidWorld(f"{name} returned shape {x.shape}, expected {shape}")
    if not np.isfinite(x).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(x))[0]))
        raise InvalidWorld(f"{name} returned {x[at]} at node {at[0]}")
    return x


def _inside(x: Array, low: Array, high: Array, wraps: tuple[bool, ...]) -> Array:
    wrapped = low + np.mod(x - low, high - low)
    return np.where(wraps, wrapped, np.clip(x, low, high))


def interpolated(points: Array, axes: tuple[Array, ...], periodic: tuple[bool, ...]) -> tuple[Array, Array]:
    """(corners (N, 2ⁿ), weights (N, 2ⁿ)) of points (N, n) inside a grid's box: multilinear interpolation."""
    sides = []
    for d, (axis, wraps) in enumerate(zip(axes, periodic, strict=True)):
        width = axis[1] - axis[0]
        t = (points[:, d] - axis[0]) / width
        cells = axis.size if wraps else axis.size - 1
        cell = np.clip(np.floor(t).astype(int), 0, cells - 1)
        part = np.clip(t - cell, 0.0, 1.0)
        sides.append(((cell, 1.0 - part), ((cell + 1) % axis.size, part)))
    corners, weights = [], []
    for chosen in itertools.product(*sides):
        index, weight = np.zeros(len(points), int), np.ones(len(points))
        for axis, (at, share) in zip(axes, chosen, strict=True):
            index, weight = index * axis.size + at, weight * share
        corners.append(index)
        weights.append(weight)
    return np.stack(corners, axis=1), np.stack(weights, axis=1)
