"""What a bundle's arrays are made into a problem with: an array and its Jacobian, and the constants of its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BundleUnusable

Load = Callable[[str], "Array | None"]
_DISCOUNTS = ("follower_discount", "leader_discount", "temperature")


class Line:
    """θ ↦ array + Jacobian (θ − θ₀), for autograd; just the array where it does not depend on θ."""

    def __init__(self, theta: Array, array: Load, prefix: str = "") -> None:
        self.theta, self.array, self.prefix = theta, array, prefix

    def has(self, name: str) -> bool:
        """Whether the bundle has the array."""
        return self.array(f"{self.prefix}model/{name}") is not None

    def at(self, theta: Any, name: str) -> Any:
        """The array at θ.  Raises: BundleUnusable."""
        base, slope = (self.array(f"{self.prefix}{kind}/{name}") for kind in ("model", "jacobian"))
        if base is None:
            raise BundleUnusable(f"there is no array '{self.prefix}model/{name}'; export the bundle again")
        if slope is None:
            return base
        if slope.shape != (*base.shape, self.theta.size):
            raise BundleUnusable(
                f"the array '{self.prefix}jacobian/{name}' has shape {slope.shape}, expected {(*base.shape, self.theta.size)}"
            )
        return base + anp.reshape(anp.dot(anp.reshape(slope, (-1, self.theta.size)), theta - self.theta), base.shape)


def numbers(constants: dict[str, Any]) -> dict[str, Any]:
    """Discounts and temperature among a bundle's constants.  Raises: BundleUnusable."""
    try:
        own = {name: constants[name] for name in ("leader_temperature",) if name in constants}
        if "state_temperatures" in constants:
            own["unit"] = _positive(constants["state_temperatures"])
        return {name: constants[name] for name in _DISCOUNTS} | own
    except KeyError as error:
        raise BundleUnusable(f"bundle.json: constants has no {error}; export the bundle again") from None


def _positive(x: Any) -> Array:
    try:
        out = np.array(x, float)
    except (TypeError, ValueError):
        out = np.zeros(1)
    if out.ndim != 1 or not np.all((out > 0.0) & np.isfinite(out)):
        raise BundleUnusable("bundle.json: state_temperatures among constants is no list of positive numbers")
    return out
