"""The test kit: other people's gradients, followers and estimators, checked in one line.

`boltzgrad.testing.plugin` is loaded in every pytest run of an environment that has boltzgrad, so this package imports
nothing until it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boltzgrad.testing import bundles, jax, strategies, torch
    from boltzgrad.testing.assertions import assert_follower, assert_hypergradient, assert_unbiased
    from boltzgrad.testing.check import HypergradientCheck
    from boltzgrad.testing.comparison import check_hypergradient
    from boltzgrad.testing.trained import TrainedCheck

__all__ = [
    "HypergradientCheck",
    "TrainedCheck",
    "assert_follower",
    "assert_hypergradient",
    "assert_unbiased",
    "bundles",
    "check_hypergradient",
    "jax",
    "strategies",
    "torch",
]

_ROOMS = ("bundles", "jax", "strategies", "torch")
_ELSEWHERE = {"HypergradientCheck": "check", "TrainedCheck": "trained", "check_hypergradient": "comparison"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"boltzgrad.testing.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'boltzgrad.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"boltzgrad.testing.{_ELSEWHERE.get(name, 'assertions')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
