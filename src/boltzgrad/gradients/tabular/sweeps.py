"""Value iteration and policy evaluation by plain sweeps, for the witnesses.

Nothing here is shared with the reference: no factorisation that it made, no kernel class, none of its stopping rules, only
products with the matrix (S·A, S) that the problem itself hands over.  Everything also runs on complex arrays, for complex-step
differentiation.

Sweeps take about 37 times as many steps as remain in the chain.  Where that is too many (γ near one, ends that are rare), a
small problem is brought to rest by Newton with dense solves of its own instead; a large one says that it is unfinished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from boltzgrad.errors import Unfinished
from boltzgrad.gradients.route import CALL
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.tabular import TabularModel

EPS = float(np.finfo(float).eps)
MAX_SWEEPS = 500_000
_BEFORE_SOLVES, _WARM_SWEEPS = 200, 100
_CHEAP_STATES = 300
_AT_REST = (
    1e-6  # Newton's last step, relative: where many steps remain, rounding moves the values by as many of its units
)
COMPLEX_STEP = 1e-30
"""The step of complex-step differentiation: its square vanishes beside any number in a model."""


# Sweeps before dense solves take over, and the most states for which they do.
FEW_SWEEPS, DENSE_STATES = 4_000, 1_500
_NEWTON = 60


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


def sweep(
    step: Any, x: Array, *, max_sweeps: int = MAX_SWEEPS, jacobian: Callable[[Array], Array] | None = None
) -> Swept:
    """Iterate x ← step(x) until rounding stops the changes from falling.

    Real and imaginary parts are followed apart: under a complex step the derivative lives in an imaginary part some
    twenty orders smaller than the value.  `jacobian(x)` (S, S) is that of `step`: with it a small problem is brought to
    rest for good by Newton.

    Raises: Unfinished if nothing brings it to rest.
    """
    best, since, change, settled = np.inf, 0, np.inf, False
    dense = jacobian is not None and x.size <= DENSE_STATES
    most = min(max_sweeps, FEW_SWEEPS) if dense else max_sweeps
    for count in range(1, most + 1):  # noqa: B007 - returned
        old, x = x, step(x)
        change, whole = _change(x, old)
        if change < 0.9 * best:
            best, since = change, 0
        else:
            since += 1
        # An entry that cancels never rests relative to itself: there it is enough that the whole does.
        settled = (
            change <= EPS or (since >= 30 and best < 1e-13) or (since >= 100 and (whole < 1e-13 or _is_noise(x, old)))
        )
        if settled:
            break
    # Sweeps that stand still may have far to go yet, by 10⁻¹⁴ a step and a million steps: a correction is solved for.
    if dense and (not settled or x.size <= _CHEAP_STATES or max_sweeps == _BEFORE_SOLVES):
        assert jacobian is not None
        return _newton(step, jacobian, x, count)
    if not settled:
        raise Unfinished(f"after {count} sweeps the values still move by {change:.1e} of themselves")
    return Swept(x, min(change, whole), count)


def _newton(step: Any, jacobian: Callable[[Array], Array], x: Array, count: int) -> Swept:
    """Solve x = step(x) by Newton from where the sweeps left it."""
    eye, best, since = np.eye(x.size), np.inf, 0
    for _ in range(_NEWTON):
        correction = np.linalg.solve(eye - jacobian(x), step(x) - x)
        old, x = x, x + correction
        _, change = _change(x, old)
        best, since = (change, 0) if change < 0.5 * best else (best, since + 1)
        if change <= EPS or since >= 2:
            break
    if not best <= _AT_REST and not _is_noise(x, old):
        raise Unfinished(f"Newton's steps with dense solves still move the values by {best:.1e} of themselves")
    return Swept(x, best, count)


def _change(new: Array, old: Array) -> tuple[float, float]:
    """The largest change of any entry relative to itself, and of the whole relative to its largest entry."""
    parts = [(new.real, old.real), (new.imag, old.imag)] if np.iscomplexobj(new) else [(new, old)]
    return max(_relative(*p, each=True) for p in parts), max(_relative(*p) for p in parts)


def _is_noise(new: Array, old: Array) -> bool:
    """Whether all that still moves is what rounds off in h·|value|: J does not depend on this coordinate."""
    if not np.iscomplexobj(new) or _relative(new.real, old.real) > 1e-13:
        return False
    return bool(np.abs(new.imag - old.imag).max() <= 64.0 * EPS * COMPLEX_STEP * np.abs(new.real).max())


def _relative(new: Array, old: Array, each: bool = False) -> float:
    moved = np.abs(new - old)
    largest = float(moved.max())
    if not largest:
        return 0.0
    size = np.abs(new)
    if not each:
        whole = float(size.max())
        return largest / whole if whole > 0.0 else 1.0
    felt = moved > 1e-290  # what underflows is at rest
    return float((moved[felt] / np.maximum(size[felt], 1e-290)).max()) if felt.any() else 0.0


def soft_values(model: TabularModel, start: Array | None = None) -> Swept:
    """The follower's V by soft value iteration."""
    matrix = planned(model)
    dtype = np.result_type(model.follower_reward, matrix.dtype)
    v = np.zeros(model.n_states) if start is None else start

    def jacobian(x: Array) -> Array:
        return model.follower_discount * state_kernel(matrix, soft_backup(model, matrix, x)[1])

    return sweep(
        lambda x: soft_backup(model, matrix, x)[0],
        v.astype(dtype),
        max_sweeps=affordable(model, model.follower_discount, warm=start is not None),
        jacobian=jacobian,
    )


def leader_values(model: TabularModel, policy: Array, start: Array | None = None) -> Swept:
    """The leader's V_L under a policy, by sweeps V ← r_π + γ P_π V."""
    matrix, gamma = matrix_of(model.transition), model.leader_discount
    shape = model.leader_reward.shape
    dtype = np.result_type(model.leader_reward, policy, matrix.dtype)
    v = np.zeros(model.n_states) if start is None else start

    def step(x: Array) -> Array:
        return np.asarray((policy * (model.leader_reward + gamma * (matrix @ x).reshape(shape))).sum(axis=1))

    kernel = None

    def jacobian(x: Array) -> Array:
        nonlocal kernel
        kernel = gamma * state_kernel(matrix, policy) if kernel is None else kernel
        return kernel

    return sweep(step, v.astype(dtype), max_sweeps=affordable(model, gamma, warm=start is not None), jacobian=jacobian)


def affordable(model: TabularModel, discount: float, *, warm: bool = False) -> int:
    """The most sweeps worth making before dense solves: few where they do better anyway, and from a `warm` start, which sweeps
    alone have reached before.
    """
    small = model.n_states <= DENSE_STATES
    sums = (np.real(kernel.row_sums).min() for kernel in (model.kernel, model.follower_kernel))
    never_ends = bool(min(sums) >= 1.0 - 1e-12)
    if small and never_ends and needed_sweeps(discount) > FEW_SWEEPS:
        return _BEFORE_SOLVES
    return _WARM_SWEEPS if small and warm else MAX_SWEEPS


def needed_sweeps(discount: float) -> float:
    """How many sweeps a chain that never ends takes at a discount."""
    return float(np.log(EPS) / np.log(max(discount, 0.1)))


def expected_steps(model: TabularModel, policy: Array) -> float:
    """max_s E[Σ γ_L^t | s]: the most discounted steps that remain from any state, by sweeps of its own."""
    ones = replace(model, leader_reward=np.ones(policy.shape))
    return float(np.real(leader_values(ones, np.real(policy)).x).max())


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
