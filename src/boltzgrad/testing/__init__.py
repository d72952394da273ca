"""The test kit: other people's gradients, followers and estimators, checked in one line.

`boltzgrad.testing.plugin` is loaded in every pytest run of an environment that has boltzgrad, so this package imports
nothing until it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boltzgrad.testing import bundles, jax, strategies, torch
    from boltzgrad.testing.assertions import assert_follower, assert_hypergradient, assert_unbiased
    from boltzgrad.testing.comparison import HypergradientCheck, check_hypergradient

__all__ = [
    "HypergradientCheck",
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
_FROM_COMPARISON = ("HypergradientCheck", "check_hypergradient")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"boltzgrad.testing.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'boltzgrad.testing' has no attribute {name!r}")
    module = "comparison" if name in _FROM_COMPARISON else "assertions"
    return getattr(importlib.import_module(f"boltzgrad.testing.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
