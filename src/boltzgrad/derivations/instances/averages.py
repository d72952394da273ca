"""Random chains with their long-run averages at a complex point, by relative value iteration: no formula of a derivative."""

from __future__ import annotations

import numpy as np

from boltzgrad.derivations.instances.mdp import ACTIONS, STATES, moving, moving_probabilities, soft_max
from boltzgrad.derivations.kit.numbers import Array, Instance
from boltzgrad.derivations.symbols import averages as v

SWEEPS = 2000


def random_average(rng: np.random.Generator) -> Instance:
    """A follower with entropy whose kernel and reward move."""
    p, reward = moving_probabilities(rng, STATES, ACTIONS, STATES), moving(rng, STATES, ACTIONS)
    tau = float(rng.uniform(0.3, 1.0))
    h, gain, policy = relative_values(p, reward, tau)
    stationary = np.full((1, STATES), 1.0 / STATES)
    for _ in range(SWEEPS):
        stationary = stationary @ (policy.real[:, :, None] * p.real).sum(axis=1)
    return letters(p, reward, h=h, gain=gain, policy=policy, stationary=stationary)


def relative_values(p: Array, reward: Array, tau: float) -> tuple[Array, complex, Array]:
    """(h, zero in the first state, g, π) by relative value iteration."""
    h = np.zeros(len(p), complex)
    for _ in range(SWEEPS):
        backed = soft_max(reward + p @ h, tau)
        h = backed - backed[0]
    q = reward + p @ h
    backed = soft_max(q, tau)
    return h, complex(backed[0]), np.asarray(np.exp((q - backed[:, None]) / tau))


def letters(
    p: Array, reward: Array, *, h: Array, gain: complex, policy: Array, stationary: Array, cut: int = 1
) -> Instance:
    """Every letter from a chain and its averages; episodes are cut where they enter state `cut`."""
    states, actions = reward.shape
    average = np.kron(np.eye(states), np.ones(actions)) * policy.real.reshape(-1)
    kernel = p.reshape(-1, states)
    rest = kernel.real * (np.arange(states) != cut)
    values = {
        v.one_S: np.ones((states, 1)),
        v.one_SA: np.ones((states * actions, 1)),
        v.Pi: average,
        v.P: kernel,
        v.P_cut: rest,
        v.R: np.linalg.inv(np.eye(states) - average @ rest),
        v.r: reward.reshape(-1, 1),
        v.h: h.reshape(-1, 1),
        v.g: np.array([[gain]]),
        v.d: stationary.reshape(1, -1),
        v.rho: np.eye(1, states, states - 2),
        v.enters: kernel.real[:, [cut]],
    }
    return Instance(values, v.AVERAGE.differentials)
