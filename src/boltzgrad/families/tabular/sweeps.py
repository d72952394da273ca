"""Value iteration and policy evaluation by plain sweeps, for the witnesses.

Nothing here is shared with the reference: no factorisation that it made, no kernel class, none of its stopping rules
(`core/sweep.py` has its own), only products with the matrix (S·A, S) that the problem itself hands over.  Everything also runs
on complex arrays, for complex-step differentiation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array, largest
from boltzgrad.core.route import CALL
from boltzgrad.core.sweep import (
    BEFORE_SOLVES,
    CHEAP_STATES,
    DENSE_STATES,
    FEW_SWEEPS,
    FEW_WARM,
    MAX_SWEEPS,
    WARM_SWEEPS,
    Swept,
    needed_sweeps,
    sweep,
)
from boltzgrad.families.tabular.model import TabularModel


def matrix_of(transition: Any) -> Any:
    """The kernel as a matrix (S·A, S): a view of a dense array, or the CSR matrix itself."""
    return transition.reshape(-1, transition.shape[-1]) if isinstance(transition, np.ndarray) else transition


def planned(model: TabularModel) -> Any:
    """The matrix (S·A, S) that the follower plans with."""
    return matrix_of(model.transition if model.follower_transition is None else model.follower_transition)


def soft_backup(model: TabularModel, matrix: Any, v: Array) -> tuple[Array, Array]:
    """(τ log Σ exp(Q/τ), π) for Q = r + γ P v; real or complex."""
    q = model.follower_reward + model.follower_discount * (matrix @ v).reshape(model.follower_reward.shape)
    top = largest(q)
    e = np.exp((q - top) / model.temperature)
    z = e.sum(axis=1, keepdims=True)
    return (top + model.temperature * np.log(z))[:, 0], e / z


def soft_values(model: TabularModel, start: Array | None = None) -> Swept:
    """The follower's V by soft value iteration."""
    matrix = planned(model)
    dtype = np.result_type(model.follower_reward, matrix.dtype)
    v = np.zeros(model.n_states) if start is None else start

    def jacobian(x: Array) -> Array:
        return model.follower_discount * state_kernel(matrix, np.real(soft_backup(model, matrix, x)[1]))

    return sweep(
        lambda x: soft_backup(model, matrix, x)[0],
        v.astype(dtype),
        max_sweeps=affordable(model, model.follower_discount, warm=start is not None),
        jacobian=jacobian,
    )


def paid(model: TabularModel, policy: Array) -> Array:
    """The leader's running reward (S, A), r_L − τ_L log π; real or complex."""
    if not model.leader_temperature:
        return np.asarray(model.leader_reward)
    return np.asarray(model.leader_reward - model.leader_temperature * np.log(np.where(policy != 0.0, policy, 1.0)))


def leader_values(model: TabularModel, policy: Array, start: Array | None = None) -> Swept:
    """The leader's V_L under a policy, by sweeps V ← r_π + γ P_π V."""
    matrix, gamma = matrix_of(model.transition), model.leader_discount
    reward = paid(model, policy)
    dtype = np.result_type(reward, policy, matrix.dtype)
    v = np.zeros(model.n_states) if start is None else start

    def step(x: Array) -> Array:
        return np.asarray((policy * (reward + gamma * (matrix @ x).reshape(reward.shape))).sum(axis=1))

    kernel = None

    def jacobian(x: Array) -> Array:
        nonlocal kernel
        kernel = gamma * state_kernel(matrix, np.real(policy)) if kernel is None else kernel
        return kernel

    return sweep(step, v.astype(dtype), max_sweeps=affordable(model, gamma, warm=start is not None), jacobian=jacobian)


def visits(matrix: Any, policy: Array, start: Array, discount: float) -> Swept:
    """The discounted visits x = start + γ P_πᵀ x (S,), by sweeps; real or complex."""

    def step(x: Array) -> Array:
        return np.asarray(start + discount * (matrix.T @ (x[:, None] * policy).ravel()))

    def jacobian(x: Array) -> Array:
        return discount * state_kernel(matrix, policy).T

    begin = start.astype(np.result_type(policy, matrix.dtype))
    small = start.size <= DENSE_STATES and (discount == 1.0 or needed_sweeps(discount) > FEW_SWEEPS)
    return sweep(step, begin, max_sweeps=BEFORE_SOLVES if small else MAX_SWEEPS, jacobian=jacobian)


def affordable(model: TabularModel, discount: float, *, warm: bool = False) -> int:
    """The most sweeps worth making before dense solves: few where they do better anyway, and from a `warm` start, which sweeps
    alone have reached before.
    """
    small = model.n_states <= DENSE_STATES
    sums = (np.real(kernel.row_sums).min() for kernel in (model.kernel, model.follower_kernel))
    never_ends = bool(min(sums) >= 1.0 - 1e-12)
    if small and never_ends and needed_sweeps(discount) > FEW_SWEEPS:
        return BEFORE_SOLVES
    if small and warm:
        return FEW_WARM if model.n_states <= CHEAP_STATES else WARM_SWEEPS
    return MAX_SWEEPS


def expected_steps(model: TabularModel, policy: Array) -> float:
    """max_s E[Σ γ_L^t | s]: the most discounted steps that remain from any state, by sweeps of its own."""
    ones = replace(model, leader_reward=np.ones(policy.shape), leader_temperature=0.0)
    return float(np.real(leader_values(ones, np.real(policy)).x).max())


def most_steps(model: TabularModel, *, planned_ones: bool) -> float:
    """1/(1 − γ), or of a chain that is not discounted the expected number of steps when every action is as likely: of the
    world's chain and the leader's discount, or of the one the follower plans in and its own.
    """
    discount = model.follower_discount if planned_ones else model.leader_discount
    if discount < 1.0:
        return 1.0 / (1.0 - discount)
    even = np.full(model.follower_reward.shape, 1.0 / model.n_actions)
    if not planned_ones:
        return expected_steps(model, even)
    matrix = planned(model)

    def step(x: Array) -> Array:
        return np.asarray(1.0 + (even * np.real(matrix @ x).reshape(even.shape)).sum(axis=1))

    found = sweep(
        step,
        np.zeros(model.n_states),
        max_sweeps=affordable(model, discount),
        jacobian=lambda _: np.real(state_kernel(matrix, even)),
    )
    return float(found.x.max())


def evaluation_work(model: TabularModel, remaining_steps: float, dim: int = 1) -> float:
    """About how many multiplications it takes to bring both players' values to rest, times `dim` numbers a state."""
    entries, states = float(np.size(model.kernel.values)), float(model.n_states)
    sweeps = 37.0 * remaining_steps
    one = dim * (entries + 30.0 * model.follower_reward.size) + CALL
    if states <= DENSE_STATES and sweeps > FEW_SWEEPS:
        return float(2.0 * FEW_SWEEPS * one + 20.0 * states**3)
    return float(2.0 * sweeps * one)


def remaining(matrix: Any, policy: Array, discount: float, below: float, limit: int) -> int:
    """The number of sweeps n after which max_s ((γP_π)ⁿ 1)(s) ≤ `below`, or `limit` + 1."""
    x, n = np.ones(policy.shape[0]), 0
    while x.max() > below and n <= limit:
        x = discount * (policy * (matrix @ x).reshape(policy.shape)).sum(axis=1)
        n += 1
    return n


def state_kernel(matrix: Any, policy: Array) -> Array:
    """P_π as a dense (S, S) array."""
    S, A = policy.shape
    dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    return np.asarray((policy.reshape(S * A, 1) * dense).reshape(S, A, S).sum(axis=1))
