"""A random Markov game over a finite number of steps, with everything that its players can have."""

from __future__ import annotations

import numpy as np

from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.zoo.options import generator, positive_integer, probability, real
from boltzgrad.zoo.random_game import random_kernel


def finite_game(
    horizon: int = 6,
    n_states: int = 6,
    n_leader_actions: int = 2,
    n_follower_actions: int = 3,
    branching: int = 2,
    seed: int = 0,
    follower_discount: float = 0.97,
    leader_discount: float = 1.0,
    temperature: float = 0.3,
    terminal: float = 1.0,
    reference: float = 1.0,
    unavailable: float = 0.2,
    leader_temperature: float = 0.1,
    observes: bool = True,
) -> MarkovGame:
    """`random-game` for `horizon` steps; rewards drift from step to step, and the last state is paid for.

    The follower's reference policy has `reference` times normal numbers for logits (0: a uniform one), and actions are missing
    with probability `unavailable`; terminal rewards are `terminal` × U(0, 1).  Chosen here: no source.  Raises: InvalidOption.
    """
    H, S = positive_integer("horizon", horizon), positive_integer("n_states", n_states)
    A, B = (
        positive_integer("n_leader_actions", n_leader_actions),
        positive_integer("n_follower_actions", n_follower_actions),
    )
    rng = generator(seed)
    kernel = random_kernel(rng, S, A * B, positive_integer("branching", branching))
    initial, rewards, ends = rng.dirichlet(np.ones(S)), rng.uniform(size=(2, H, S, A, B)), rng.uniform(size=(2, S))
    seen = (S, A, B) if observes else (S, B)
    logits, missing = rng.standard_normal(seen), rng.uniform(size=seen) < probability("unavailable", unavailable)
    missing[..., 0] = False
    weights = np.exp(real("reference", reference) * logits) * ~missing
    return MarkovGame(
        kernel,
        initial,
        rewards[0],
        rewards[1],
        horizon=H,
        follower_discount=real("follower_discount", follower_discount),
        leader_discount=real("leader_discount", leader_discount),
        temperature=real("temperature", temperature),
        terminal_follower_reward=real("terminal", terminal) * ends[0],
        terminal_leader_reward=real("terminal", terminal) * ends[1],
        reference=weights / weights.sum(axis=-1, keepdims=True) if reference or missing.any() else None,
        leader_temperature=real("leader_temperature", leader_temperature),
        observes=bool(observes),
        name="finite-game",
    )
