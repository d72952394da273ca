"""A random sparse graph over a finite horizon, with everything that a follower can have: a reference, missing actions, ends."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp

from boltzgrad.core.kernel import SparseKernel
from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.garnet import garnet_tiles
from boltzgrad.zoo.options import generator, positive_integer, probability, real
from boltzgrad.zoo.tiles import split


def finite_garnet(
    horizon: int = 8,
    n_states: int = 12,
    n_actions: int = 3,
    branching: int = 3,
    n_parameters: int = 24,
    seed: int = 0,
    follower_discount: float = 0.97,
    leader_discount: float = 1.0,
    temperature: float = 0.3,
    terminal: float = 1.0,
    reference: float = 1.0,
    unavailable: float = 0.2,
    leader_temperature: float = 0.1,
) -> ConfigurableMDP:
    """`garnet` for `horizon` steps; rewards drift from step to step, and the last state is paid for.

    θ (n_parameters,) shifts random groups of both players' rewards (terminal ones too), of the transition logits, of the
    start's logits, and, in the follower's groups, of the logits of its reference policy, `reference` times normal numbers (0: a
    uniform reference).  Terminal rewards are `terminal` × U(0, 1); actions are missing with probability `unavailable`.
    Chosen here: no source.  Raises: InvalidOption.
    """
    H = positive_integer("horizon", horizon)
    tiles = garnet_tiles(n_states, n_actions, branching, n_parameters, seed)
    S, A = tiles.follower_reward.shape
    rng = generator(seed).spawn(1)[0]  # other numbers than the graph's
    drift = rng.uniform(-0.3, 0.3, size=(2, H, 1, 1))
    follower, leader, *_ = split(n_parameters)
    ends, tiles_of_ends = rng.uniform(size=(2, S)), (rng.choice(follower, S), rng.choice(leader, S))
    logits, logit_tiles = rng.standard_normal((S, A)), rng.choice(follower, (S, A))
    missing = rng.uniform(size=(S, A)) < probability("unavailable", unavailable)
    missing[:, 0] = False
    strength, worth = real("reference", reference), real("terminal", terminal)
    constants: dict[str, Any] = {
        "horizon": H,
        "follower_discount": real("follower_discount", follower_discount),
        "leader_discount": real("leader_discount", leader_discount),
        "temperature": real("temperature", temperature),
        "leader_temperature": real("leader_temperature", leader_temperature),
    }

    def build(theta: Any) -> FiniteHorizonModel:
        weights = softmax(strength * (logits + theta[logit_tiles]) - 1e3 * missing)
        return FiniteHorizonModel(
            SparseKernel(tiles.pattern, tiles.kernel_values(theta)),
            tiles.initial(theta),
            tiles.follower_reward + theta[tiles.follower_tile] + drift[0],
            tiles.leader_reward + theta[tiles.leader_tile] + drift[1],
            terminal_follower_reward=worth * (ends[0] + theta[tiles_of_ends[0]]),
            terminal_leader_reward=worth * (ends[1] + theta[tiles_of_ends[1]]),
            reference=anp.where(missing, 0.0, weights),
            **constants,
        )

    return ConfigurableMDP(build, dim=n_parameters, initial_scale=0.3, name="finite-garnet")
