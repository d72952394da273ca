"""A game's follower and leader by plain sweeps over U (S,) and V_L (S,), real or complex, for the witnesses."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array, largest
from boltzgrad.core.sweep import Swept, sweep
from boltzgrad.families.game.problem import MarkovGame, paid_to_leader
from boltzgrad.families.tabular.sweeps import affordable, matrix_of, state_kernel


def lse(q: Array, temperature: float) -> tuple[Array, Array]:
    """(τ log Σ exp(q/τ), softmax) over the last axis; real or complex."""
    top = largest(q)
    e = np.exp((q - top) / temperature)
    z = e.sum(axis=-1, keepdims=True)
    return (top + temperature * np.log(z))[..., 0], e / z


def q_follower(game: MarkovGame, u: Array) -> Array:
    """Q_F (S, A, B) = r_F + γ_F P U."""
    S, A, B = game.n_states, game.n_leader_actions, game.n_follower_actions
    joint = game.joint
    return np.asarray(
        joint.follower_reward.reshape(S, A, B)
        + joint.follower_discount * (matrix_of(joint.transition) @ u).reshape(S, A, B)
    )


def continuation(game: MarkovGame, f: Array, q: Array) -> Array:
    """U (S,) from Q_F."""
    tau = game.joint.temperature
    if game.plans_on == "action":
        return np.asarray((f * lse(q, tau)[0]).sum(axis=1))
    return lse((f[:, :, None] * q).sum(axis=1), tau)[0]


def acting_policy(game: MarkovGame, f: Array, q: Array) -> Array:
    """The follower's policy (S, A, B)."""
    tau = game.joint.temperature
    if game.acts_on == "action":
        return lse(q, tau)[1]
    h = lse((f[:, :, None] * q).sum(axis=1), tau)[1]
    return np.repeat(h[:, None, :], f.shape[1], axis=1)


def follower_values(game: MarkovGame, f: Array, start: Array | None = None) -> Swept:
    """U by value iteration."""
    u = np.zeros(game.n_states) if start is None else start
    joint, matrix = game.joint, matrix_of(game.joint.transition)

    def jacobian(x: Array) -> Array:
        q, tau = q_follower(game, x), joint.temperature
        if game.plans_on == "action":
            weights = f[:, :, None] * lse(q, tau)[1]
        else:
            weights = f[:, :, None] * lse((f[:, :, None] * q).sum(axis=1), tau)[1][:, None, :]
        return joint.follower_discount * state_kernel(matrix, weights.reshape(game.n_states, -1))

    return sweep(
        lambda x: continuation(game, f, q_follower(game, x)),
        u.astype(f.dtype),
        max_sweeps=affordable(joint, joint.follower_discount, warm=start is not None),
        jacobian=jacobian,
    )


def leader_values(game: MarkovGame, weights: Array, start: Array | None = None) -> Swept:
    """V_L (S,) by sweeps, under the joint policy `weights` (S, A, B)."""
    joint, matrix = game.joint, matrix_of(game.joint.transition)
    flat = weights.reshape(joint.leader_reward.shape)
    paid = paid_to_leader(game, weights.sum(axis=2)) if game.leader_temperature else joint.leader_reward
    v = np.zeros(game.n_states) if start is None else start

    def step(x: Array) -> Any:
        q = paid + joint.leader_discount * (matrix @ x).reshape(flat.shape)
        return (flat * q).sum(axis=1)

    def jacobian(x: Array) -> Array:
        return joint.leader_discount * state_kernel(matrix, flat)

    return sweep(
        step,
        v.astype(weights.dtype),
        max_sweeps=affordable(joint, joint.leader_discount, warm=start is not None),
        jacobian=jacobian,
    )
