"""The problems that experiments load by name: those of the zoo, and worlds that are an experiment's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from boltzgrad import zoo
from boltzgrad.experiments.frozen_lake import frozen_lake

OWN: dict[str, Callable[..., Any]] = {"frozen-lake": frozen_lake}


def load(name: str, **options: Any) -> Any:
    """The problem of that name.  Raises: UnknownName, InvalidOption.

    >>> load("frozen-lake").dim
    64
    """
    return OWN[name](**options) if name in OWN else zoo.load(name, **options)
