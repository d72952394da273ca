"""Value iteration and policy evaluation by plain sweeps, for the witnesses.

Nothing here is shared with the reference: no Newton, no factorisation, no kernel class, only products with the
matrix (S·A, S) that the problem itself hands over.  Everything also runs on complex arrays, for
complex-step differentiation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.problems.kernel import Array
from boltzgrad.problems.tabular import TabularModel

EPS = float(np.finfo(float).eps)
MAX_SWEEPS = 500_000
COMPLEX_STEP = 1e-30
"""The step of complex-step differentiation: its square vanishes beside any number in a model."""


@dataclass(frozen=True)
class Swept:
    """A fixed point reached by sweeps: the answer, the last change relative to its size, and the count."""

    x: Array
    change: float
    sweeps: int


def matrix_of(transition: Any) -> Any:
    """The kernel as a matrix (S·A, S): a view of a dense array, or the CSR matrix itself."""
    return transition.reshape(-1, transition.shape[-1]) if isinstance(transition, np.ndarray) else transition


def planned(model: TabularModel) -> Any:
    """The matrix (S·A, S) that the follower plans with."""
    return matrix_of(model.transition if model.follower_transition is None else model.follower_transition)


def soft_backup(model: TabularModel, matrix: Any, v: Array) -> tuple[Array, Array]:
    """(τ log Σ exp(Q/τ), π) for Q = r + γ P v; real or complex."""
    q = model.follower_reward + model.follower_discount * (matrix @ v).reshape(model.follower_reward.shape)
    top = q.real.max(axis=1, keepdims=True)
    e = np.exp((q - top) / model.temperature)
    z = e.sum(axis=1, keepdims=True)
    return (top + model.temperature * np.log(z))[:, 0], e / z


def sweep(step: Any, x: Array, *, max_sweeps: int = MAX_SWEEPS) -> Swept:
    """Iterate x ← step(x) until rounding stops the changes from falling.

    Real and imaginary parts are followed apart: under a complex step the derivative lives in an
    imaginary part some twenty orders smaller than the value.
    """
    best, since, change = np.inf, 0, np.inf
    for count in range(1, max_sweeps + 1):  # noqa: B007 - returned
        new = step(x)
        change = _relative(new.real, x.real)
        if np.iscomplexobj(new):
            # What rounds off in h·|value| is no derivative: a coordinate that J does not depend on is at rest.
            nothing = 8.0 * EPS * COMPLEX_STEP * float(np.abs(new.real).max())
            change = max(change, _relative(new.imag, x.imag, nothing))
        x = new
        if change < 0.9 * best:
            best, since = change, 0
        else:
            since += 1
        if change <= EPS or (since >= 30 and best < 1e-13):
            break
    return Swept(x, change, count)


def _relative(new: Array, old: Array, nothing: float = 0.0) -> float:
    size, moved = float(np.abs(new).max()), float(np.abs(new - old).max())
    return 0.0 if moved <= nothing else moved / size if size > 0.0 else 1.0


def soft_values(model: TabularModel, start: Array | None = None) -> Swept:
    """The follower's V by soft value iteration."""
    matrix = planned(model)
    dtype = np.result_type(model.follower_reward, matrix.dtype)
    v = np.zeros(model.n_states) if start is None else start
    return sweep(lambda x: soft_backup(model, matrix, x)[0], v.astype(dtype))


def leader_values(model: TabularModel, policy: Array, start: Array | None = None) -> Swept:
    """The leader's V_L under a policy, by sweeps V ← r_π + γ P_π V."""
    matrix, gamma = matrix_of(model.transition), model.leader_discount
    shape = model.leader_reward.shape
    dtype = np.result_type(model.leader_reward, policy, matrix.dtype)
    v = np.zeros(model.n_states) if start is None else start

    def step(x: Array) -> Array:
        return np.asarray((policy * (model.leader_reward + gamma * (matrix @ x).reshape(shape))).sum(axis=1))

    return sweep(step, v.astype(dtype))


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
