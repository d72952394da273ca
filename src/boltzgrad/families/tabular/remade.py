"""Configurable MDPs made again from a bundle."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.core.objectives import Regulariser
from boltzgrad.errors import BundleUnusable
from boltzgrad.families.remade import Line, Load, numbers
from boltzgrad.families.tabular.contexts import ContextualModel
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP


def table(line: Line, discounts: dict[str, Any], shape: tuple[int, int]) -> TabularModel:
    """The tabular model at θ₀, with S states and A actions."""
    kernels: dict[str, Any] = {}
    for name in ("transition", "follower_transition"):
        if not line.has(name):
            continue
        values = line.at(line.theta, name)
        if line.has(f"{name}_indptr"):
            indptr, indices = line.at(line.theta, f"{name}_indptr"), line.at(line.theta, f"{name}_indices")
            pattern = SparsePattern(indptr, indices, n_states=shape[0], n_actions=shape[1])
            kernels[name] = SparseKernel(pattern, values)
        else:
            kernels[name] = values.reshape(shape[0], shape[1], shape[0])
    rest = {name: line.at(line.theta, name).reshape(shape) for name in ("follower_reward", "leader_reward")}
    return TabularModel(**{"transition": None, **kernels}, initial=line.at(line.theta, "initial"), **rest, **discounts)


def remade(theta: Array, constants: dict[str, Any], array: Load, name: str) -> ConfigurableMDP | None:
    """The problem, or None where its objective is a function of somebody's own."""
    if constants.get("objective") != "return":
        return None  # a function of one's own is not in any file
    count, many = constants.get("contexts"), constants.get("context_constants")
    if not isinstance(count, int) or not 1 <= count <= 10_000:
        raise BundleUnusable(f"bundle.json: constants has {'contexts'!r} = {count!r}; export the bundle again")
    if count > 1 and not (isinstance(many, list) and len(many) == count and all(isinstance(x, dict) for x in many)):
        raise BundleUnusable("bundle.json: constants has no 'context_constants', one object a context")
    lines = [Line(theta, array, f"context-{c}/" if count > 1 else "") for c in range(count)]
    models = []
    for c, line in enumerate(lines):
        reward = line.at(theta, "follower_reward")
        if reward.ndim != 2:
            raise BundleUnusable(f"the array '{line.prefix}model/follower_reward' has shape {reward.shape}")
        models.append(table(line, numbers(many[c] if many and count > 1 else constants), reward.shape))

    def build(t: Any) -> Any:
        out = []
        for line, model in zip(lines, models, strict=True):
            own = line.at(t, "follower_transition") if model.own_kernel else None
            names = ("transition", "initial", "follower_reward", "leader_reward")
            arrays = {name: line.at(t, name) for name in names}
            out.append(model.with_arrays(TabularArrays(**arrays, follower_transition=own)))
        if count == 1:
            return out[0]
        return ContextualModel(out, Line(theta, array).at(t, "probabilities"))

    outside = array("outside")
    regulariser = None if outside is None else Regulariser(lambda t: anp.dot(outside, t - theta))
    return ConfigurableMDP(build, dim=theta.size, regulariser=regulariser, name=name)
