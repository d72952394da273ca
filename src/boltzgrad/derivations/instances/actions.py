"""Random functions of a few actions at a complex point, for statements about one state."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import moving, moving_probabilities
from boltzgrad.derivations.kit.numbers import STEP, Instance
from boltzgrad.derivations.symbols import actions as s

ACTIONS = 4


def random_actions(rng: np.random.Generator) -> Instance:
    """Everything a statement about one state may mention."""
    return at_one_state(rng, {name: moving(rng, ACTIONS) for name in ("q", "y", "w", "h")})


def at_one_state(rng: np.random.Generator, functions: dict[str, Any]) -> Instance:
    """The same with given values of Q_F (q), Q_L (y) and two further functions (w, h) at every action."""
    functions = dict(functions)
    functions["level"] = moving(rng)
    functions["mu_i"] = rng.uniform(0.5, 2.0, size=len(functions["q"]))
    functions["mu"] = moving_probabilities(rng, len(functions["q"]))
    functions["kappa"] = moving_probabilities(rng, len(functions["q"]))
    functions["T"] = float(rng.uniform(0.3, 1.0)) + 1j * STEP * rng.normal()
    functions["p"] = moving_probabilities(rng, len(functions["q"]))
    values: dict[Any, Any] = {
        s.A: len(functions["q"]),
        s.a: 2,  # a statement for every action is tried at one
        s.S: len(functions["q"]),
        s.tau: float(rng.uniform(0.3, 1.0)),
        s.gamma: float(rng.uniform(0.3, 0.9)),
        s.c: float(rng.uniform(0.5, 2.0)),
        s.t: float(rng.uniform(0.2, 3.0)),
        s.b: float(rng.normal()),
        s.u: float(rng.uniform(0.5, 2.0)),
        s.v: float(rng.uniform(0.5, 2.0)),
        s.x: 0.0,
        s.e: float(rng.uniform(0.3, 0.9)),
    }
    return Instance(values, {}, functions)
