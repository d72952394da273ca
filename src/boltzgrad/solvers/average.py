r"""Long-run averages: the follower's gain and bias by Newton, and chains that are cut where they come round again.

With g the gain and h the bias, h + g = τ log Σ_a π⁰ exp((r + P h)/τ).  From a state s₀ that every state reaches, episodes end
as they enter s₀ again: with P̂ the kernel without its column s₀,

    n = (I − P̂_π)⁻¹ 1,   x = (I − P̂_π)⁻¹ c_π,   g = x(s₀)/n(s₀),   h = x − g n,   h(s₀) = 0,

n(s₀) is the length of a cycle, and (I − P̂_π)⁻ᵀ e_{s₀}/n(s₀) the stationary distribution.  I − P̂_π is an M-matrix: whatever is
known of undiscounted chains that end holds.  Newton's method is soft policy iteration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import DenseKernel, Kernel
from boltzgrad.errors import InvalidModel, NotConverged
from boltzgrad.solvers.linear import LinearSystem

EPS = float(np.finfo(float).eps)
_MOST = 200
_FLOOR = 64.0
_LOOKS = 200  # steps of a lazy walk after which the most visited state is taken for the most visited


@dataclass(frozen=True, eq=False)
class Cycle:
    """Averages under one policy: `gain`, `bias` (S,), zero in `state` s₀, `stationary` (S,), cycles' `length` n(s₀)."""

    gain: float
    bias: Array
    stationary: Array
    length: float
    state: int


def without_column(kernel: Kernel, state: int) -> Kernel:
    """P̂: episodes end as they enter `state`."""
    if isinstance(kernel, DenseKernel):
        return kernel.with_values(kernel.values * (np.arange(kernel.n_states) != state))
    return kernel.with_values(kernel.values * (kernel.pattern.indices != state))


def cycle(kernel: Kernel, policy: Array, reward: Array, inside: Array) -> Cycle:
    """Averages of a reward c (S, A) under a policy; s₀ is one often visited, `inside` (S,) the class never left.

    Raises: NotConverged where rounding leaves some states without a way to the others.
    """
    S, state = kernel.n_states, _often_visited(kernel, policy, inside)
    system = LinearSystem(without_column(kernel, state), policy, 1.0)
    try:
        n, x = system.solve(np.ones(S)).x, system.solve((policy * reward).sum(axis=1)).x
    except NotConverged as error:
        raise NotConverged(
            f"the long-run average ({S} states): under the follower's policy some states lead to state {state} with no chance "
            f"that float64 can tell from none ({error}); try a higher temperature"
        ) from None
    visits = system.solve_transposed(np.eye(1, S, state)[0]).x
    gain = float(x[state] / n[state])
    bias = x - gain * n
    # The residual of what has been found is a reward of its own: x and g n cancel, its gain and bias are what they lost.
    left = (policy * (reward + kernel.expect(bias))).sum(axis=1) - bias - gain
    more = system.solve(left).x
    extra = float(more[state] / n[state])
    return Cycle(gain + extra, bias + more - extra * n, visits / n[state], float(n[state]), state)


def _often_visited(kernel: Kernel, policy: Array, inside: Array) -> int:
    """The state most visited after a lazy walk (with a period it would never settle)."""
    under = kernel.under(policy)
    x = inside / inside.sum()
    for _ in range(_LOOKS):
        x = 0.5 * (x + under.T @ x)
    return int(np.argmax(np.where(inside, x, -1.0)))


def soft_average(
    kernel: Kernel, reward: Array, temperature: Array | float, weights: Array | None, inside: Array
) -> tuple[Cycle, Array]:
    """The follower's soft-optimal average and its policy (S, A); `weights` π⁰ (S, A) are zero where no action is.

    `temperature` is a number or (S, 1).  Raises: NotConverged.
    """
    there = np.ones(reward.shape, bool) if weights is None else weights > 0.0
    log: Array | float = 0.0 if weights is None else np.log(np.where(there, weights, 1.0))
    found, best, stalled, state = np.zeros(kernel.n_states), np.inf, 0, -1
    for _ in range(_MOST):
        x = (reward + kernel.expect(found)) / temperature + log
        x = np.where(there, x, -np.inf)
        x = x - x.max(axis=1, keepdims=True)
        e = np.exp(x)
        total = e.sum(axis=1, keepdims=True)
        policy = e / total
        relative = np.where(policy > 0.0, np.where(np.isfinite(x), x, 0.0) - np.log(total) - log, 0.0)  # log π − log π⁰
        at = cycle(kernel, policy, reward - temperature * relative, inside)
        size = float(np.ptp(at.bias - found))  # whatever constant the biases differ by
        found, scale = at.bias, float(np.abs(at.bias).max() + np.abs(reward).max() + np.max(temperature))
        stalled = stalled + 1 if size > 0.5 * best else 0
        best = min(best, size)
        settled, state = at.state == state, at.state
        if settled and (size <= 4.0 * EPS * scale or (stalled >= 3 and size <= _FLOOR * at.length * EPS * scale)):
            return at, policy
    raise NotConverged(
        f"the follower's long-run average ({kernel.n_states} states): Newton's steps still move the bias by {size:.3g} after "
        f"{_MOST} iterations; try a higher temperature"
    )


def recurrent_class(name: str, kernel: Kernel, there: Array) -> Array:
    """Which states (S,) every state reaches; `there` (S, A) are the actions that are taken.

    Raises: InvalidModel where some states never meet: the long-run average depends on the start.
    """
    graph = sparse.csr_array(kernel.under(there / there.sum(axis=1, keepdims=True)), copy=True)
    graph.sum_duplicates()
    graph.eliminate_zeros()
    count, part = csgraph.connected_components(graph, directed=True, connection="strong")
    source, target = graph.nonzero()
    left = np.zeros(count, bool)
    left[part[source[part[source] != part[target]]]] = True
    closed = np.flatnonzero(~left)
    if closed.size > 1:
        one, other = (int(np.argmax(part == c)) for c in closed[:2])
        raise InvalidModel(
            f"{name}: states {one} and {other} are never reached from one another, and never left for others "
            f"({closed.size} classes): the long-run average depends on the start"
        )
    return np.asarray(part == closed[0])
