"""Checks of the options that zoo problems take."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.errors import InvalidOption


def positive_integer(name: str, value: Any, *, least: int = 1) -> int:
    """`value` as an int ≥ `least`.  Raises: InvalidOption."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InvalidOption(f"{name} is {value!r}; expected an integer of at least {least}")
    return int(value)


def generator(seed: Any) -> np.random.Generator:
    """The random numbers of a seed.  Raises: InvalidOption."""
    return np.random.default_rng(positive_integer("seed", seed, least=0))


def real(name: str, value: Any) -> float:
    """`value` as a finite float.  Raises: InvalidOption."""
    if isinstance(value, (bool, str)):
        raise InvalidOption(f"{name} is {value!r}; expected a real number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidOption(f"{name} is {value!r}; expected a real number") from None
    if not np.isfinite(number):
        raise InvalidOption(f"{name} is {value!r}; expected a finite number")
    return number


def probability(name: str, value: Any) -> float:
    """`value` as a float in [0, 1].  Raises: InvalidOption."""
    number = real(name, value)
    if not 0.0 <= number <= 1.0:
        raise InvalidOption(f"{name} is {value!r}; expected a probability between 0 and 1")
    return number


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value` if it is among `choices`.  Raises: InvalidOption."""
    if value not in choices:
        raise InvalidOption(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}")
    return str(value)
