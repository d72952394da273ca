"""What an array is here: NumPy's, float64 unless a complex step passes through it; and how records say what theirs hold."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Parts = tuple[Array, ...]


def meaning(words: str, axes: str, **options: Any) -> Any:
    """A field of a record of arrays: what it holds, in words, and its axes, comma-separated ("" for a number)."""
    return field(metadata={"meaning": words, "axes": axes}, **options)
