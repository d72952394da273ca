"""Numbers: discounts and temperatures up to the edges, quarters for entries, θs."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption

_DISCOUNTS = (0.5, 0.0, 0.9, 0.99, 0.999, 0.9999)
_TEMPERATURES = (1.0, 0.1, 0.01, 0.001, 10.0, 1000.0)


def discounts(*, highest: float = 0.9999) -> st.SearchStrategy[float]:
    """Discounts in [0, `highest`]: ½, 0, and nines up to the edge; now and then any number between."""
    if not 0.0 <= highest < 1.0:
        raise InvalidOption(f"highest is {highest!r}; discounts lie in [0, 1)")
    common = [x for x in _DISCOUNTS if x <= highest]
    return st.sampled_from(common) | st.floats(0.0, highest, allow_subnormal=False)


def temperatures(*, lowest: float = 0.001, highest: float = 1000.0) -> st.SearchStrategy[float]:
    """Temperatures in [`lowest`, `highest`]: powers of ten up to the edges; now and then any number between."""
    if not 0.0 < lowest <= highest < float("inf"):
        raise InvalidOption(f"lowest, highest are {lowest!r}, {highest!r}; temperatures are positive and finite")
    common = [x for x in _TEMPERATURES if lowest <= x <= highest] or [lowest]
    return st.sampled_from(common) | st.floats(lowest, highest, allow_subnormal=False)


def a_strategy(name: str, given: Any, default: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    """What was given for a discount or a temperature: a strategy, a number, or None.  Raises: InvalidOption."""
    if given is None:
        return default
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return st.just(float(given))
    if not isinstance(given, st.SearchStrategy):
        raise InvalidOption(f"{name} is {given!r}; expected a number or a strategy such as bst.{name}s()")
    return given


def quarters(shape: tuple[int, ...], *, most: int = 8) -> st.SearchStrategy[Array]:
    """Arrays of k/4, |k| ≤ `most`."""
    size = int(np.prod(shape))
    numbers = st.lists(st.integers(-most, most), min_size=size, max_size=size)
    return numbers.map(lambda ks: np.array(ks, dtype=float).reshape(shape) / 4.0)


def thetas(dim: int | Any, *, most: int = 8) -> st.SearchStrategy[Array]:
    """θs (d,) of k/4, |k| ≤ `most`; `dim` is d, or a problem."""
    return quarters((int(getattr(dim, "dim", dim)),), most=most)


def listed(x: Any) -> str:
    """An array in a line, as it would be typed; numbers to twelve digits."""
    text = np.array2string(
        np.asarray(x),
        separator=",",
        max_line_width=10_000,
        threshold=10_000,
        formatter={"float_kind": lambda v: f"{v:.12g}"},
    )
    return ", ".join(" ".join(text.split()).replace(", ", ",").split(","))
