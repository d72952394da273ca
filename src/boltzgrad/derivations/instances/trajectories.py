"""Random finite families of trajectories, for statements about losses of whole trajectories."""

from __future__ import annotations

import numpy as np

from boltzgrad.derivations.instances.mdp import moving
from boltzgrad.derivations.kit.numbers import Instance
from boltzgrad.derivations.symbols import actions as s

TUPLES, STEPS = 3, 4


def random_trajectories(rng: np.random.Generator) -> Instance:
    """Losses, fixed factors, and the two values of every step of every tuple."""
    return Instance(
        {s.S: TUPLES, s.H: STEPS, s.z: 2, s.tau: float(rng.uniform(0.3, 0.8)), s.x: 0.0},
        {},
        {
            "l": moving(rng, TUPLES),
            "K": rng.uniform(0.2, 1.0, size=TUPLES),
            "Qk": moving(rng, STEPS, TUPLES),
            "Vk": moving(rng, STEPS, TUPLES),
        },
    )
