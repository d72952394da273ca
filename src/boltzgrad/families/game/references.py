"""What the players of a game are kept near; zeros of the follower's reference are actions that are not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import check_policy, real_array
from boltzgrad.errors import InvalidModel
from boltzgrad.families.tabular.plain_form import NEVER


def log_positive(name: str, x: Any, shapes: Sequence[tuple[int, ...]]) -> Array:
    """The log of a policy without zeros.  Raises: InvalidModel."""
    policy = real_array(name, x)
    positive = check_policy(name, policy, shapes)
    if not positive.all():
        at = ", ".join(map(str, np.argwhere(~positive)[0]))
        raise InvalidModel(f"{name}[{at}] is 0: its log is infinite; leave the action out of the game")
    return np.asarray(np.log(policy))


def log_reference(reference: Any, shape: tuple[int, int, int], *, sees_action: bool) -> tuple[Array, Array | None]:
    """(log π⁰ (S, A, B) or (S, 1, B), zero where an action is not there; where actions are, or None).  Raises: InvalidModel."""
    S, _, B = shape
    shapes: list[tuple[int, ...]] = [shape, (S, B)] if sees_action else [(S, B)]
    if not sees_action and np.shape(reference) == shape:
        raise InvalidModel(
            f"reference has shape {shape}, but this follower plans without the leader's action: expected ({S}, {B})"
        )
    policy = real_array("reference", reference)
    there = check_policy("reference", policy, shapes)
    log = np.log(np.where(there, policy, 1.0))
    log, there = (log, there) if log.ndim == 3 else (log[:, None, :], there[:, None, :])
    return log, None if there.all() else there


def without(there: Array, transition: Any, follower_reward: Array, temperature: float) -> tuple[Any, Array]:
    """The kernel and the follower's reward (S, A, B), an action that is not there a copy of one that is, at NEVER τ less.

    As in tables: its weight exp(−NEVER) is exactly zero.  Source: `families/tabular/plain_form.py`.
    """
    S, A, B = follower_reward.shape
    there = np.broadcast_to(there, follower_reward.shape)
    instead = np.where(there, np.arange(B), there.argmax(axis=2)[:, :, None])
    reward = np.take_along_axis(follower_reward, instead, axis=2) - np.where(there, 0.0, NEVER * temperature)
    rows = (np.arange(S * A).reshape(S, A, 1) * B + instead).ravel()
    if sparse.issparse(transition):
        return sparse.csr_array(transition)[rows], reward
    return transition.reshape(S * A * B, -1)[rows].reshape(transition.shape), reward
