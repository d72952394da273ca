"""Garnet: a random sparse graph, an expander, on which direct factorisations fill in."""

from __future__ import annotations

import numpy as np

from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import generator, positive_integer, probability, real
from boltzgrad.zoo.tiles import Tiles, split, tiled_problem


def garnet(
    n_states: int = 100,
    n_actions: int = 4,
    branching: int = 4,
    n_parameters: int = 64,
    seed: int = 0,
    follower_discount: float = 0.99,
    leader_discount: float = 0.99,
    temperature: float = 0.05,
    ending: float = 0.0,
) -> ConfigurableMDP:
    """`branching` random successors for each (s, a) with random logits, rewards U(0, 1), no structure.

    θ (n_parameters,) shifts random groups of the follower's rewards, the leader's rewards, the transition
    logits and the start's logits.  With `ending` > 0 a step ends the episode with a probability drawn from
    U(0, `ending`) for each (s, a).  Source: Archibald et al. 1995 (Garnet: generic average-reward test problems).
    """
    return tiled_problem(
        garnet_tiles(n_states, n_actions, branching, n_parameters, seed, ending),
        dim=n_parameters,
        follower_discount=real("follower_discount", follower_discount),
        leader_discount=real("leader_discount", leader_discount),
        temperature=real("temperature", temperature),
        name="garnet",
    )


def garnet_tiles(
    n_states: int = 100,
    n_actions: int = 4,
    branching: int = 4,
    n_parameters: int = 64,
    seed: int = 0,
    ending: float = 0.0,
) -> Tiles:
    """The tables behind `garnet`.  Raises: InvalidOption."""
    S = positive_integer("n_states", n_states)
    A = positive_integer("n_actions", n_actions)
    k = positive_integer("branching", branching)
    dim = positive_integer("n_parameters", n_parameters, least=4)
    rng = generator(seed)
    successors = rng.integers(S, size=(S * A, k), dtype=np.int32)
    follower, leader, kernel, start = split(dim)
    return Tiles(
        successors,
        follower_reward=rng.uniform(size=(S, A)),
        leader_reward=rng.uniform(size=(S, A)),
        logits=rng.standard_normal((S * A, k)),
        initial_logits=rng.standard_normal(S),
        follower_tile=rng.choice(follower, size=(S, A)),
        leader_tile=rng.choice(leader, size=(S, A)),
        logit_tile=rng.choice(kernel, size=(S * A, k)),
        initial_tile=rng.choice(start, size=S),
        continuation=1.0 - probability("ending", ending) * rng.uniform(size=(S * A, 1)),
    )
