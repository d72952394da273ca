"""Constants that something is made of before θ comes in: to be followed where nothing may be rounded unseen."""

from __future__ import annotations

import contextvars
from typing import Any

ZERO: contextvars.ContextVar[Any] = contextvars.ContextVar("zero", default=None)
"""A zero that the trace in force follows (`core/ball_trace.py`), or None."""


def followed(x: Any) -> Any:
    """A constant, or where a trace follows every number, the same as one of those: what is made of it is then enclosed, too."""
    zero = ZERO.get()
    return x if zero is None else x + zero
