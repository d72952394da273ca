"""A random graph for followers that are solved as another table: averages, counted steps, a temperature for each state."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp

from boltzgrad.core.kernel import SparseKernel
from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.tabular.average import AverageRewardModel
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.garnet import garnet_tiles
from boltzgrad.zoo.options import generator, one_of, positive_integer, real
from boltzgrad.zoo.tiles import split


def general_garnet(
    kind: str = "average",
    n_states: int = 8,
    n_actions: int = 3,
    branching: int = 3,
    n_parameters: int = 16,
    seed: int = 0,
    leader_horizon: int = 5,
    follower_discount: float = 0.9,
    leader_discount: float = 0.95,
    temperature: float = 0.3,
    spread: float = 0.5,
    warmth: float = 0.3,
    reference: float = 1.0,
) -> ConfigurableMDP:
    """`garnet` with a follower that averages ("average"), a leader who counts `leader_horizon` steps ("counted"), or a
    temperature for each state ("temperatures"); the first two with a reference policy that depends on θ.

    τ(s) is `temperature` · exp(`spread` · N(0, 1) + `warmth` · θ of the state's group); the reference's logits are `reference`
    times normal numbers and θ.  Chosen here: no source.  Raises: InvalidOption.
    """
    kind, H = (
        one_of("kind", kind, ("average", "counted", "temperatures")),
        positive_integer("leader_horizon", leader_horizon),
    )
    tiles, rng = garnet_tiles(n_states, n_actions, branching, n_parameters, seed), generator(seed).spawn(1)[0]
    S, A = tiles.follower_reward.shape
    follower, *_ = split(n_parameters)
    logits, warm = rng.standard_normal((S, A)), real("spread", spread) * rng.standard_normal(S)
    logit_tiles, heated = rng.choice(follower, (S, A)), rng.choice(follower, S)
    tau, more, strength = real("temperature", temperature), real("warmth", warmth), real("reference", reference)
    gammas: dict[str, Any] = {
        "follower_discount": real("follower_discount", follower_discount),
        "leader_discount": real("leader_discount", leader_discount),
    }

    def build(theta: Any) -> Any:
        mine, leaders = (
            tiles.follower_reward + theta[tiles.follower_tile],
            tiles.leader_reward + theta[tiles.leader_tile],
        )
        kernel = SparseKernel(tiles.pattern, tiles.kernel_values(theta))
        habit = softmax(strength * (logits + theta[logit_tiles])) if strength else None
        options: dict[str, Any] = {"reference": habit, "temperature": tau}
        if kind == "average":
            return AverageRewardModel(kernel, None, mine, leaders, **options)
        if kind == "counted":
            return TabularModel(kernel, tiles.initial(theta), mine, leaders, leader_horizon=H, **gammas, **options)
        options = {"temperature": tau * anp.exp(warm + more * theta[heated])}
        return TabularModel(kernel, tiles.initial(theta), mine, leaders, **gammas, **options)

    return ConfigurableMDP(build, dim=n_parameters, initial_scale=0.3, name="general-garnet")
