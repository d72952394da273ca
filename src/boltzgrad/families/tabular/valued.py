"""J of a model by sweeps through it as it was given, without the table that the routes solve: for differences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.sweep import BEFORE_SOLVES, DENSE_STATES, EPS, MAX_SWEEPS, sweep
from boltzgrad.families.tabular.average import Average, over_actions
from boltzgrad.families.tabular.clocked import Clocked
from boltzgrad.families.tabular.given import Given
from boltzgrad.families.tabular.sweeps import matrix_of, paid, planned, soft_backup, soft_values, state_kernel


@dataclass(frozen=True)
class Valued:
    """J by sweeps through a model as it was given: [J] the value, which may be complex, the follower's values to start from
    next time, and what an estimate of its error needs: the last change of any sweep relative to its size, their number, the
    rounding [J] and how many steps count.
    """

    value: Any
    start: Array
    change: float
    sweeps: int
    rounding: float
    steps: float


@singledispatch
def valued(given: Given, start: Array | None) -> Valued:
    """J of a model, which may be complex; `start` (S,) is where the follower's values begin."""
    raise NotImplementedError(f"{type(given).__name__} has no valued")


@valued.register
def _by_steps(given: Clocked, start: Array | None) -> Valued:
    """The follower by value iteration, then H steps backward."""
    model, steps = given.model, given.steps
    follower = soft_values(model, start)
    policy = soft_backup(model, planned(model), follower.x)[1]
    reward, matrix = paid(model, policy), matrix_of(model.transition)
    value, most = np.zeros(given.n_states, dtype=np.result_type(reward, policy)), 0.0
    for _ in range(steps):
        value = (policy * (reward + model.leader_discount * (matrix @ value).reshape(policy.shape))).sum(axis=1)
        most = max(most, float(np.abs(value).max()))
    cold = float(np.abs(follower.x).max()) / model.temperature
    spread = float(np.abs(reward).max()) + most
    return Valued(
        model.initial @ value,
        follower.x,
        follower.change,
        follower.sweeps + steps,
        steps * 4.0 * EPS * (most + cold * spread),
        float(steps),
    )


@valued.register
def _by_relative_values(given: Average, start: Array | None) -> Valued:
    """J by relative value iteration; half a step is not taken, so that chains with a period come to rest."""
    model, S = given.model, given.n_states
    plan, world = model.follower_kernel.flat, model.kernel.flat
    most = BEFORE_SOLVES if S <= DENSE_STATES else MAX_SWEEPS
    tau, there = over_actions(model.temperature), model.there
    log = 0.0 if model.reference is None else np.log(np.where(there, model.reference, 1.0))

    def answer(h: Array) -> tuple[Array, Array]:
        x = (model.follower_reward + (plan @ h).reshape(there.shape)) / tau + log
        top = np.where(there, x.real, -np.inf).max(axis=1, keepdims=True)
        e = np.where(there, np.exp(np.where(there, x - top, 0.0)), 0.0)
        total = e.sum(axis=1, keepdims=True)
        return (tau * (top + np.log(total)) + np.zeros((S, 1)))[:, 0], e / total

    def half(matrix: Any, policy: Array, state: int) -> Array:
        kernel = state_kernel(matrix, policy)
        return np.asarray(0.5 * (np.eye(S) + kernel - kernel[state]))

    def follower_step(h: Array) -> Array:
        new = answer(h)[0]
        return np.asarray(0.5 * (h + new - new[given.followers.state]))

    begin = np.zeros(S) if start is None else start
    dtype = np.result_type(model.follower_reward, plan.dtype, np.asarray(tau), np.asarray(log))
    follower = sweep(
        follower_step,
        begin.astype(dtype),
        max_sweeps=most,
        jacobian=lambda h: half(plan, answer(h)[1], given.followers.state),
        scale=float(np.abs(np.real(model.follower_reward)).max()),
    )
    policy = answer(follower.x)[1]
    paid = np.asarray(model.leader_reward)
    if model.leader_temperature:
        likelihood = np.log(np.where(policy != 0.0, policy, 1.0))
        if model.leader_reference is not None:
            likelihood = likelihood - np.log(np.where(there, model.leader_reference, 1.0))
        paid = paid - model.leader_temperature * likelihood

    def ahead(u: Array) -> Array:
        return np.asarray((policy * (paid + (world @ u).reshape(there.shape))).sum(axis=1))

    def leader_step(u: Array) -> Array:
        new = ahead(u)
        return np.asarray(0.5 * (u + new - new[given.leaders.state]))

    leader = sweep(
        leader_step,
        np.zeros(S, dtype=np.result_type(policy, paid, world.dtype)),
        max_sweeps=most,
        jacobian=lambda _: half(world, policy, given.leaders.state),
        scale=float(np.abs(np.real(paid)).max()),  # values are differences of averages of that
    )
    cold = float(np.abs(follower.x).max() / np.min(np.real(np.asarray(tau))))
    spread = float(np.abs(paid).max() + np.abs(leader.x).max())
    return Valued(
        ahead(leader.x)[given.leaders.state],
        follower.x,
        max(follower.change, leader.change),
        follower.sweeps + leader.sweeps,
        4.0 * EPS * (1.0 + cold) * spread,
        float(given.leaders.length),
    )
