"""Somebody's own problem made again from its bundle: the arrays at θ and their Jacobian, which is the problem to first order.

∇J(θ) needs no more of a problem than that, so nothing that a bundle says about its gradient has to be believed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BundleUnusable
from boltzgrad.families.registry import families


def from_arrays(manifest: dict[str, Any], load: Callable[[str], Array]) -> Any:
    """The problem to first order around the bundle's θ, or None where something that ∇J needs is not in the bundle.

    `load(name)` reads an array.  Raises: BundleUnusable, InvalidModel, or what arrays that do not fit together raise.
    """
    if manifest["omitted"]:
        return None
    arrays = manifest["arrays"]

    def array(name: str) -> Array | None:
        return load(name) if name in arrays else None

    theta, constants = load("theta"), manifest["constants"]
    make = {family.name: family.remade for family in families()}.get(manifest["problem"]["family"])
    if make is None:
        raise BundleUnusable(f"bundle.json: the family {manifest['problem']['family']!r} is none of this version's")
    return make(theta, constants, array, str(manifest["problem"]["name"]))
