"""What an array is here: NumPy's, float64 unless a complex step passes through it; and how records say what theirs hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Parts = tuple[Array, ...]


def largest(x: Array) -> Array:
    """The largest number along the last axis, which stays; of complex ones that with the largest real part.

    Taken off before exp, it takes its imaginary part along: what all actions share tilts none, and would round as if it did.
    """
    if np.iscomplexobj(x):
        return np.take_along_axis(x, x.real.argmax(axis=-1)[..., None], axis=-1)
    return np.asarray(x.max(axis=-1, keepdims=True))


def meaning(words: str, axes: str, **options: Any) -> Any:
    """A field of a record of arrays: what it holds, in words, and its axes, comma-separated ("" for a number)."""
    return field(metadata={"meaning": words, "axes": axes}, **options)


@dataclass(frozen=True, eq=False)
class ArrayRecord:
    """Everything of a model that may depend on θ: its own numbers, a tangent or a cotangent of them.

    Its arrays are the fields that have a `meaning`; one that is None is not there.
    """

    def named(self) -> tuple[tuple[str, Array], ...]:
        """The arrays that are there with their names, in the order of the fields."""
        names = (f.name for f in fields(self) if "meaning" in f.metadata)
        return tuple((name, x) for name in names if (x := getattr(self, name)) is not None)

    def parts(self) -> Parts:
        """The same without names."""
        return tuple(x for _, x in self.named())

    def of(self, parts: Parts) -> Self:
        """The same record with other numbers, in the order of `parts`."""
        return type(self)(**dict(zip((name for name, _ in self.named()), parts, strict=True)))

    def map(self, function: Callable[[Array], Array]) -> Self:
        """The record with `function` applied to each array."""
        return self.of(tuple(map(function, self.parts())))

    def scaled(self, factor: float) -> Self:
        """The record times a number."""
        return self.map(lambda x: factor * x)

    def dot(self, other: ArrayRecord) -> float:
        """The pairing of a cotangent with a tangent."""
        return float(sum(np.vdot(a, b) for a, b in zip(self.parts(), other.parts(), strict=True)))
