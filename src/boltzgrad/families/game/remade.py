"""Markov games made again from a bundle."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BundleUnusable
from boltzgrad.families.game.leader_policy import LeaderPolicy
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.remade import Line, Load, numbers
from boltzgrad.families.tabular.remade import table


def remade(theta: Array, constants: dict[str, Any], array: Load, name: str) -> MarkovGame:
    """The game, its leader's policy to first order around θ."""
    line = Line(theta, array)
    rewards = line.at(theta, "follower_reward")
    if rewards.ndim != 3:
        raise BundleUnusable(f"the array 'model/follower_reward' has shape {rewards.shape}, expected (S, A, B)")
    S, A, B = rewards.shape
    joint = table(line, numbers(constants), (S, A * B))
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
        **numbers(constants),
        **kinds[sees],
    )
