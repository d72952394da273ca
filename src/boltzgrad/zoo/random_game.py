"""Random sparse Markov games."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.zoo.options import generator, positive_integer, probability, real


def random_kernel(
    rng: np.random.Generator, n_states: int, n_pairs: int, branching: int, ending: float = 0.0
) -> sparse.csr_array:
    """`branching` random successors with random weights for each pair of actions, (S·A·B, S)."""
    rows = n_states * n_pairs
    weight = rng.uniform(0.1, 1.0, size=(rows, branching))
    weight /= weight.sum(axis=1, keepdims=True)
    weight *= 1.0 - ending * rng.uniform(size=(rows, 1))
    to = rng.integers(n_states, size=(rows, branching))
    return sparse.csr_array((weight.ravel(), to.ravel(), np.arange(rows + 1) * branching), shape=(rows, n_states))


def random_game(
    n_states: int = 20,
    n_leader_actions: int = 3,
    n_follower_actions: int = 3,
    branching: int = 3,
    seed: int = 0,
    follower_discount: float = 0.9,
    leader_discount: float = 0.95,
    temperature: float = 0.1,
    observes: bool = True,
    as_published: bool = False,
    ending: float = 0.0,
) -> MarkovGame:
    """`branching` random successors for each (s, a, b) with random weights; rewards U(0, 1); a softmax table for f.

    With `ending` > 0 a step ends the episode with a probability drawn from U(0, `ending`).
    """
    S, A = positive_integer("n_states", n_states), positive_integer("n_leader_actions", n_leader_actions)
    B, k = positive_integer("n_follower_actions", n_follower_actions), positive_integer("branching", branching)
    rng = generator(seed)
    return MarkovGame(
        random_kernel(rng, S, A * B, k, probability("ending", ending)),
        rng.dirichlet(np.ones(S)),
        rng.uniform(size=(S, A, B)),
        rng.uniform(size=(S, A, B)),
        follower_discount=real("follower_discount", follower_discount),
        leader_discount=real("leader_discount", leader_discount),
        temperature=real("temperature", temperature),
        observes=bool(observes),
        as_published=bool(as_published),
        name="random-game",
    )
