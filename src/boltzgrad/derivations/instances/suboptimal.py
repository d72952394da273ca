"""Random followers that are not optimal, beside their optimum: both by sweeps, no formula of their difference."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import STATES, drawn, letters, solved
from boltzgrad.derivations.kit.numbers import Array, Instance
from boltzgrad.derivations.symbols import mdp as m


def random_suboptimal(rng: np.random.Generator) -> Instance:
    """Every letter of one policy that is not the follower's answer, and of the answer."""
    arrays = drawn(rng)
    policy = rng.dirichlet(np.ones(arrays["r_F"].shape[1]), size=STATES)
    return beside(arrays, solved(**arrays), solved(**arrays, policy=policy), policy)


def beside(arrays: dict[str, Any], exact: dict[str, Any], own: dict[str, Any], policy: Array) -> Instance:
    """A policy (S, A) with its own soft values, beside the exact solution of the same arrays."""
    best = np.real(exact["policy"])
    here = letters(**arrays, solution={**own, "policy": policy})
    values = {
        **here.values,
        m.V_star: np.real(exact["V_F"]).reshape(-1, 1),
        m.Q_star: np.real(exact["Q_F"]).reshape(-1, 1),
        m.KL_up: (policy * np.log(policy / best)).sum(axis=1, keepdims=True),
    }
    return Instance(values, m.MDP.differentials)
