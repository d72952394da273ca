"""Random functions of a few actions at a complex point, for statements about one state."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import moving, moving_probabilities
from boltzgrad.derivations.kit.numbers import Instance
from boltzgrad.derivations.symbols import actions as s

ACTIONS = 4


def random_actions(rng: np.random.Generator) -> Instance:
    """Everything a statement about one state may mention."""
    names = ("q", "y", "w", "h")
    functions: dict[str, Any] = {name: moving(rng, ACTIONS) for name in names}
    functions["level"] = moving(rng)
    functions["mu_i"] = rng.uniform(0.5, 2.0, size=ACTIONS)
    functions["mu"] = moving_probabilities(rng, ACTIONS)
    functions["p"] = moving_probabilities(rng, ACTIONS)
    values: dict[Any, Any] = {
        s.A: ACTIONS,
        s.a: 2,  # a statement for every action is tried at one
        s.S: ACTIONS,
        s.tau: float(rng.uniform(0.3, 1.0)),
        s.gamma: float(rng.uniform(0.3, 0.9)),
        s.c: float(rng.uniform(0.5, 2.0)),
        s.t: float(rng.uniform(0.2, 3.0)),
        s.b: float(rng.normal()),
        s.u: float(rng.uniform(0.5, 2.0)),
        s.v: float(rng.uniform(0.5, 2.0)),
        s.x: 0.0,
    }
    return Instance(values, {}, functions)
