"""Random policies whose logits move while the model does: any policy, and the follower's optimum; values by sweeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import ACTIONS, STATES, drawn, letters, moving_probabilities, solved
from boltzgrad.derivations.kit.numbers import STEP, Array, Instance
from boltzgrad.derivations.symbols import logits as z
from boltzgrad.derivations.symbols import mdp as m


def random_logits(rng: np.random.Generator) -> Instance:
    """Any policy, whose logits move in a random direction; everything else moves, too."""
    arrays = drawn(rng)
    return moved_along(arrays, moving_probabilities(rng, STATES, ACTIONS).real, rng)


def random_optimum(rng: np.random.Generator) -> Instance:
    """The same at the follower's optimum: only there is the Hessian what it is."""
    arrays = drawn(rng)
    still: dict[str, Any] = {name: np.real(x) if isinstance(x, np.ndarray) else x for name, x in arrays.items()}
    return at_optimum(arrays, moved_along(arrays, solved(**still)["policy"].real, rng))


def tilted(policy: Array, direction: Array) -> Array:
    """The softmax of log π + iε·direction."""
    weights = policy * np.exp(1j * STEP * direction)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def moved_along(
    arrays: dict[str, Any], policy: Array, rng: np.random.Generator, own: dict[str, Any] | None = None
) -> Instance:
    """Every letter of a policy (S, A) that moves along random logits; `own` are the values at rest that somebody else found."""
    xi, zeta = rng.normal(size=(2, *policy.shape))
    solution = solved(**arrays, policy=tilted(policy, xi))
    for name, value in (own or {}).items():
        solution[name] = value + 1j * np.imag(solution[name])
    here = letters(**arrays, solution=solution)
    average, kernel = here.values[m.Pi], here.values[m.P]
    states, chain = len(policy), average @ kernel
    start = np.linspace(0.5, 1.5, states).reshape(1, -1) / states
    occupancy = term = start.astype(complex)
    while np.abs(term).max() > 1e-18:
        term = arrays["gammas"][0] * term @ chain
        occupancy = occupancy + term
    advantage = here.values[m.Q_F] - arrays["tau"] * here.values[m.log_pi] - here.values[m.E] @ here.values[m.V_F]
    more = {
        z.xi: xi.reshape(-1, 1),
        z.zeta: zeta.reshape(-1, 1),
        z.zeta_row: zeta.reshape(1, -1),
        z.A: advantage,
        z.occ: occupancy,
    }
    return Instance({**here.values, **more}, here.differentials)


def at_optimum(arrays: dict[str, Any], here: Instance) -> Instance:
    """The instance with the Hessian of the follower's objective, one of its components and its inverses."""
    policy = np.real(here.values[m.Pi].sum(axis=0)).reshape(arrays["r_F"].shape)
    states, actions = policy.shape
    visits = np.real(here.values[z.occ]).ravel()
    hessian = np.zeros((states, actions, states, actions))
    for s, (d, pi) in enumerate(zip(visits, policy, strict=True)):
        hessian[s, :, s, :] = arrays["tau"] * d * (np.diag(pi) - np.outer(pi, pi))
    flat = hessian.reshape(states * actions, -1)
    values, vectors = np.linalg.eigh(flat)
    middle = states + (states * actions - states) // 2  # the first S eigenvalues are zero
    damping = 0.7 * float(values[middle])
    slopes = np.imag(here.values[m.Q_F]).reshape(states, actions) / STEP
    more: dict[Any, Any] = {
        z.alike: np.kron(np.eye(states), np.full((1, actions), 1.0 / actions)),
        z.answer: ((slopes - slopes.mean(axis=1, keepdims=True)) / arrays["tau"]).reshape(-1, 1),
        z.H: flat,
        z.H_damped: np.linalg.inv(flat + damping * np.eye(len(flat))),
        z.e: vectors[:, [middle]],
        z.mu: float(values[middle]),
        z.damping: damping,
    }
    return Instance({**here.values, **more}, here.differentials)
