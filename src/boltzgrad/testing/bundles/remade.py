"""Somebody's own problem made again from its bundle: the arrays at θ and their Jacobian, which is the problem to first order.

∇J(θ) needs no more of a problem than that, so nothing that a bundle says about its gradient has to be believed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.errors import BundleUnusable
from boltzgrad.problems import (
    ConfigurableMDP,
    ContextualModel,
    LinearQuadratic,
    LQModel,
    MarkovGame,
    Regulariser,
    SparseKernel,
    SparsePattern,
    TabularModel,
)
from boltzgrad.problems.game import LeaderPolicy
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import Bump
from boltzgrad.problems.tabular import TabularArrays

Load = Callable[[str], "Array | None"]
_DISCOUNTS = ("follower_discount", "leader_discount", "temperature")


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
    make = {"game": _game, "lqr": _lqr, "tabular": _tabular}.get(manifest["problem"]["family"])
    if make is None:
        raise BundleUnusable(f"bundle.json: the family {manifest['problem']['family']!r} is none of this version's")
    return make(theta, constants, array, str(manifest["problem"]["name"]))


class _Line:
    """θ ↦ array + Jacobian (θ − θ₀), for autograd; just the array where it does not depend on θ."""

    def __init__(self, theta: Array, array: Load, prefix: str = "") -> None:
        self.theta, self.array, self.prefix = theta, array, prefix

    def has(self, name: str) -> bool:
        return self.array(f"{self.prefix}model/{name}") is not None

    def at(self, theta: Any, name: str) -> Any:
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


def _numbers(constants: dict[str, Any]) -> dict[str, Any]:
    try:
        return {name: constants[name] for name in _DISCOUNTS}
    except KeyError as error:
        raise BundleUnusable(f"bundle.json: constants has no {error}; export the bundle again") from None


def _table(line: _Line, numbers: dict[str, Any], shape: tuple[int, int]) -> TabularModel:
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
    return TabularModel(**{"transition": None, **kernels}, initial=line.at(line.theta, "initial"), **rest, **numbers)


def _tabular(theta: Array, constants: dict[str, Any], array: Load, name: str) -> Any:
    if constants.get("objective") != "return":
        return None  # a function of one's own is not in any file
    count, many = constants.get("contexts"), constants.get("context_constants")
    if not isinstance(count, int) or not 1 <= count <= 10_000:
        raise BundleUnusable(f"bundle.json: constants has {'contexts'!r} = {count!r}; export the bundle again")
    if count > 1 and not (isinstance(many, list) and len(many) == count and all(isinstance(x, dict) for x in many)):
        raise BundleUnusable("bundle.json: constants has no 'context_constants', one object a context")
    lines = [_Line(theta, array, f"context-{c}/" if count > 1 else "") for c in range(count)]
    models = []
    for c, line in enumerate(lines):
        reward = line.at(theta, "follower_reward")
        if reward.ndim != 2:
            raise BundleUnusable(f"the array '{line.prefix}model/follower_reward' has shape {reward.shape}")
        models.append(_table(line, _numbers(many[c] if many and count > 1 else constants), reward.shape))

    def build(t: Any) -> Any:
        out = []
        for line, model in zip(lines, models, strict=True):
            own = line.at(t, "follower_transition") if model.own_kernel else None
            names = ("transition", "initial", "follower_reward", "leader_reward")
            arrays = {name: line.at(t, name) for name in names}
            out.append(model.with_arrays(TabularArrays(**arrays, follower_transition=own)))
        if count == 1:
            return out[0]
        return ContextualModel(out, _Line(theta, array).at(t, "probabilities"))

    outside = array("outside")
    regulariser = None if outside is None else Regulariser(lambda t: anp.dot(outside, t - theta))
    return ConfigurableMDP(build, dim=theta.size, regulariser=regulariser, name=name)


def _game(theta: Array, constants: dict[str, Any], array: Load, name: str) -> Any:
    line = _Line(theta, array)
    rewards = line.at(theta, "follower_reward")
    if rewards.ndim != 3:
        raise BundleUnusable(f"the array 'model/follower_reward' has shape {rewards.shape}, expected (S, A, B)")
    S, A, B = rewards.shape
    joint = _table(line, _numbers(constants), (S, A * B))
    sees = (constants.get("follower_acts_on"), constants.get("follower_plans_on"))
    kinds: dict[Any, dict[str, Any]] = {
        ("action", "action"): {},
        ("action", "state"): {"as_published": True},
        ("state", "state"): {"observes": False},
    }
    if sees not in kinds:
        raise BundleUnusable(f"bundle.json: a follower that acts and plans on {sees} is none of this version's")
    transition = (
        joint.transition if not isinstance(joint.transition, np.ndarray) else joint.transition.reshape(S, A, B, S)
    )
    return MarkovGame(
        transition,
        joint.initial,
        rewards,
        line.at(theta, "leader_reward"),
        policy=LeaderPolicy(lambda t: line.at(t, "policy"), theta.size),
        name=name,
        **_numbers(constants),
        **kinds[sees],
    )


def _lqr(theta: Array, constants: dict[str, Any], array: Load, name: str) -> Any:
    line = _Line(theta, array)
    height, target, precision = constants.get("bump_height"), array("model/bump_target"), array("model/bump_precision")
    bump = None if height is None or target is None or precision is None else Bump(target, precision, height)
    matrices = ("A", "B", "W", "Q", "R", "mean", "covariance", "leader_Q", "leader_R", "leader_constant")
    options = {"horizon": constants.get("horizon"), "observed": constants.get("observed"), **_numbers(constants)}

    def build(t: Any) -> LQModel:
        return LQModel(**{name: line.at(t, name) for name in matrices}, bump=bump, **options)

    return LinearQuadratic(build, dim=theta.size, name=name)
