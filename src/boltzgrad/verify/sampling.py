"""Batches drawn from an estimator, and refused where they are no gradients: which batch, which coordinate, what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption, InvalidSamples


@runtime_checkable
class BatchEstimator(Protocol):
    """An estimator that draws many batches at once."""

    def batches(self, problem: Any, theta: Array, n: int, rng: np.random.Generator) -> Array:
        """Independent estimates of ∇J(θ), (n, d), or these and their weights (n,)."""
        ...


Estimator: TypeAlias = BatchEstimator | Callable[[Any, Array, np.random.Generator], Any]

# Rows that have to be different among themselves before their repetition cannot be chance.
_DISTINCT = 8
_LARGEST = 1e100


def as_samples(samples: Any, d: int, *, first: int = 0) -> Array:
    """`samples` as a fresh float64 array (n, d); `first` is the number of the first row, for the message.

    Raises: InvalidSamples.
    """
    try:
        array = np.asarray(samples)
    except ValueError as error:
        raise InvalidSamples(f"the batches are not an array of numbers: {error}") from None
    if array.dtype == object or not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        hint = "; take the real part if the imaginary part is rounding" if np.iscomplexobj(array) else ""
        raise InvalidSamples(f"the batches hold {array.dtype} values, expected real numbers (float64){hint}")
    if array.ndim != 2 or array.shape[1] != d:
        raise InvalidSamples(f"the batches have shape {array.shape}, expected (n, {d}): one gradient a row")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        i, j = bad[0]
        more = f" ({len(bad)} such entries in {len(np.unique(bad[:, 0]))} batches)" if len(bad) > 1 else ""
        raise InvalidSamples(f"batch {first + i}, coordinate {j} is {array[i, j]}{more}; every entry must be finite")
    out = array.astype(np.float64)
    if out.size and np.abs(out).max() > _LARGEST:
        i, j = np.unravel_index(int(np.argmax(np.abs(out))), out.shape)
        raise InvalidSamples(
            f"batch {first + i}, coordinate {j} is {out[i, j]:.3g}; entries beyond {_LARGEST:g} have no variance in float64"
        )
    return out


def as_weights(weights: Any, n: int) -> Array:
    """`weights` as a fresh float64 array (n,), none negative, not all zero.  Raises: InvalidSamples."""
    try:
        array = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidSamples(f"the weights are not an array of numbers: {error}") from None
    if array.shape != (n,):
        raise InvalidSamples(f"the weights have shape {array.shape}, expected ({n},): one a batch")
    if not np.isfinite(array).all() or array.min() < 0.0 or not array.max() > 0.0:
        i = int(np.argmin(np.where(np.isfinite(array), array, -np.inf)))
        raise InvalidSamples(f"weight {i} is {array[i]}; expected finite numbers, none negative, not all zero")
    return np.asarray(array / array.max())


class Stream:
    """The batches of one estimator at one θ, drawn one after the other from one generator.

    `weights` are those of all batches so far, where the estimator gives them; `random` whether it has used its generator.

    Raises: InvalidOption if the estimator is neither callable nor has `batches`.
    """

    def __init__(self, estimator: Estimator, problem: Any, theta: Array, rng: np.random.Generator) -> None:
        if isinstance(estimator, type):
            raise InvalidOption(
                f"estimator is the class {estimator.__name__}; expected an estimator: {estimator.__name__}() makes one"
            )
        if not callable(estimator) and not callable(getattr(estimator, "batches", None)):
            raise InvalidOption(
                f"estimator is a {type(estimator).__name__}; expected a function (problem, theta, rng) -> (d,), "
                "or an object with a method batches(problem, theta, n, rng) -> (n, d)"
            )
        self._estimator, self._problem, self._theta, self._rng = estimator, problem, theta, rng
        self._first: Array | None = None
        self._drawn = 0
        self._weights: list[Any] = []
        self._untouched = rng.bit_generator.state

    @property
    def weights(self) -> Array | None:
        """The weights (n,) of all batches drawn so far, or None."""
        return as_weights(self._weights, self._drawn) if self._weights else None

    @property
    def random(self) -> bool:
        """Whether the generator has been used at all."""
        return bool(self._rng.bit_generator.state != self._untouched)

    def draw(self, n: int) -> Array:
        """The next n batches (n, d).  Asked for in two halves, so that one that starts over again is seen.

        Raises: InvalidSamples; what the estimator itself raises passes through.
        """
        return np.concatenate([self._half(k) for k in (n // 2, n - n // 2)])

    def _half(self, n: int) -> Array:
        rows = self._vectorised(n) if callable(getattr(self._estimator, "batches", None)) else self._one_by_one(n)
        if self._first is None:
            self._first = rows
        else:
            k = min(len(rows), len(self._first))
            if np.array_equal(rows[:k], self._first[:k]) and len(np.unique(rows[:k], axis=0)) >= _DISTINCT:
                raise InvalidSamples(
                    f"batches {self._drawn} to {self._drawn + k - 1} repeat batches 0 to {k - 1} number for number: the "
                    "estimator ignores the generator it is given and seeds one of its own; let it draw from `rng`"
                )
        self._drawn += n
        return rows

    def _vectorised(self, n: int) -> Array:
        estimator: Any = self._estimator
        found = self._unweighted(estimator.batches(self._problem, self._theta.copy(), n, self._rng))
        rows = as_samples(found, self._theta.size, first=self._drawn)
        if len(rows) != n:
            raise InvalidSamples(f"batches() returned {len(rows)} rows, {n} were asked for")
        return rows

    def _one_by_one(self, n: int) -> Array:
        estimator: Any = self._estimator
        d, rows = self._theta.size, []
        for i in range(self._drawn, self._drawn + n):
            row = np.asarray(self._unweighted(estimator(self._problem, self._theta.copy(), self._rng)))
            if row.shape != (d,):
                raise InvalidSamples(f"batch {i} has shape {row.shape}, expected ({d},): one gradient")
            rows.append(as_samples(row[None], d, first=i)[0])
        return np.array(rows)

    def _unweighted(self, found: Any) -> Any:
        """What was drawn, without its weights, which are kept."""
        if not (isinstance(found, tuple) and len(found) == 2 and np.ndim(found[0]) == np.ndim(found[1]) + 1):
            return found
        values, weights = found
        self._weights.extend(np.atleast_1d(weights))
        return values
