"""Linear-quadratic problems made again from a bundle."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.model import Bump, LQArrays, LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.remade import Line, Load, numbers


def remade(theta: Array, constants: dict[str, Any], array: Load, name: str) -> LinearQuadratic:
    """The problem, its matrices to first order around θ."""
    line = Line(theta, array)
    height, target, precision = constants.get("bump_height"), array("model/bump_target"), array("model/bump_precision")
    bump = None if height is None or target is None or precision is None else Bump(target, precision, height)
    matrices = [f.name for f in fields(LQArrays) if f.name != "shift" or line.has("shift")]
    options = {"horizon": constants.get("horizon"), "observed": constants.get("observed"), **numbers(constants)}

    def build(t: Any) -> LQModel:
        return LQModel(**{name: line.at(t, name) for name in matrices}, bump=bump, **options)

    return LinearQuadratic(build, dim=theta.size, name=name)
