"""Instances with geometric horizons: every law is summed term by term, none is replaced by its discount."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import fixed_policy, random_mdp
from boltzgrad.derivations.kit.numbers import Array, Instance
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m

LONGEST = 300


def tails(root: float) -> Array:
    """The tail P(T ≥ t) of the geometric law with P(T = j) = (1 − root) rootʲ, as cumulated probabilities."""
    law = (1 - root) * root ** np.arange(4 * LONGEST)
    return np.asarray(law[::-1].cumsum()[::-1][:LONGEST])


def laws(step: Array, gamma: float) -> tuple[Array, Array, Array]:
    """E Σ_{t≤T} stepᵗ, E step^T/(1 − γ), and E Σ_{t≤T'} √γᵗ stepᵗ."""
    powers = [np.eye(len(step))]
    for _ in range(LONGEST - 1):
        powers.append(powers[-1] @ step)
    t, root = np.arange(LONGEST), np.sqrt(gamma)
    law = (1 - gamma) * gamma**t
    weights = (tails(gamma), law / (1 - gamma), root**t * tails(root))
    summed, visited, discounted = (np.tensordot(w, np.array(powers), 1) for w in weights)
    return summed, visited, discounted


def with_horizons(instance: Instance) -> Instance:
    """The instance and the laws of all horizons of its chain."""
    values = dict(instance.values)
    pairs = np.real(values[m.P] @ values[m.Pi])
    states = np.real(values[m.Pi] @ values[m.P])
    gamma_F, gamma_L = values[m.gamma_F], values[m.gamma_L]
    more: dict[Any, Any] = {}
    more[m.G_sum], more[m.G_visit], _ = laws(pairs, gamma_F)
    more[m.H_value] = laws(states, gamma_F)[2]
    more[m.K_sum], more[m.K_visit], more[m.K_value] = laws(states, gamma_L)
    more[m.K_Q] = laws(pairs, gamma_L)[2]
    return Instance({**values, **more}, instance.differentials, instance.functions)


def random_horizons(rng: np.random.Generator) -> Instance:
    """A random configurable MDP with the laws of all horizons."""
    return with_horizons(random_mdp(rng))


def fixed_policy_horizons(rng: np.random.Generator) -> Instance:
    """The same under a policy that does not move."""
    return with_horizons(fixed_policy(rng))


def random_levels(rng: np.random.Generator) -> Instance:
    """Random levels of an approximation, weights to draw one, and the mean that they make."""
    levels = 7
    f = rng.normal(size=levels)
    weights = rng.uniform(0.5, 1.0, size=levels)
    means = [f[0]]
    for k in range(1, levels):
        means.append(f[0] + sum(weights[i] * ((f[i + 1] - f[i]) / weights[i]) for i in range(k)))
    return Instance(
        {s.H: 5, s.k: 2, s.t: float(rng.uniform(0.1, 1.0)), s.c: float(rng.uniform(0.5, 2.0)), s.j: 2, s.n: 3, s.N: 4},
        {},
        {"F": f, "w_k": weights / weights[:5].sum(), "T": np.array(means)},
    )
