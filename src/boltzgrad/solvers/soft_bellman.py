r"""The soft Bellman operator and the Boltzmann policy.

    Q(s,a) = r(s,a) + γ Σ_s' p(s'|s,a) V(s'),   (TV)(s) = τ log Σ_a exp(Q(s,a)/τ),   π(a|s) = exp((Q − TV)/τ)

Source: BC-HG (1)(22), HPGD (15)(16), SoBiRL (5)–(7).  T is a γ-contraction in the sup norm, convex and
monotone, with Jacobian γ P_π (SoBiRL Prop 4.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.compiled import available, compiled
from boltzgrad.core.kernel import DenseKernel, SparseKernel
from boltzgrad.families.tabular.model import TabularModel

EXTENDED_EPS = float(np.finfo(np.longdouble).eps)
"""Rounding of the extended precision of this machine (2e-16 where it has none)."""
COMPILED_ENTRIES = 20_000
"""From so many entries of a kernel on, one compiled pass beats NumPy's several."""
LOG_SMALLEST = -744.0
"""The logarithm of the smallest positive number: that of a weight which has underflowed is no larger."""


@dataclass(frozen=True)
class Backup:
    """One application of T to V: `q` (S, A), `policy` (S, A), `value` = TV (S,)."""

    q: Array
    policy: Array
    value: Array


def boltzmann(q: Array, temperature: float) -> tuple[Array, Array]:
    """(π, τ log Σ exp(q/τ)) by a normalised softmax, in the precision of `q`.

    exp((Q − V)/τ) would lose V·ε/τ a row; normalising does not.  Shapes (S, A) → (S, A), (S,).

    >>> boltzmann(np.zeros((1, 2)), 1.0)[0]
    array([[0.5, 0.5]])
    """
    top = _over_actions(np.maximum, q)
    weight = q - top[:, None]
    weight /= temperature
    np.exp(weight, out=weight)
    total = _over_actions(np.add, weight)
    weight /= total[:, None]
    return weight, top + temperature * np.log(total)


def _over_actions(ufunc: np.ufunc, x: Array) -> Array:
    """Reduce (S, A) over its short last axis; column by column is several times faster than NumPy's own loop."""
    if x.shape[1] > 16:
        return np.asarray(ufunc.reduce(x, axis=1))
    out: Array = x[:, 0].copy()
    for a in range(1, x.shape[1]):
        ufunc(out, x[:, a], out=out)
    return out


Soften = Callable[[Array, float], tuple[Array, Array]]
"""(Q (S, A), τ) ↦ (∂value/∂Q (S, A), value (S,)): `boltzmann`, or a leader's mixture of several (`solvers.game`)."""


def backup(model: TabularModel, v: Array, soften: Soften = boltzmann) -> Backup:
    """T applied to V in float64."""
    kernel = model.follower_kernel
    if (
        soften is boltzmann
        and available()
        and isinstance(kernel, SparseKernel)
        and kernel.pattern.nnz >= COMPILED_ENTRIES
    ):
        q, policy, value = np.empty_like(model.follower_reward), np.empty_like(model.follower_reward), np.empty_like(v)
        pattern, numbers = kernel.pattern, (float(model.follower_discount), float(model.temperature))
        _backup(pattern.indptr, pattern.indices, kernel.values, model.follower_reward, *numbers, v, q, policy, value)
        return Backup(q, policy, value)
    q = model.follower_reward + model.follower_discount * model.follower_kernel.expect(v)
    return Backup(q, *soften(q, model.temperature))


@compiled
def _backup(indptr, indices, values, reward, discount, temperature, v, q, policy, value):  # type: ignore[no-untyped-def]
    """Q, π and TV written into `q`, `policy` (S, A) and `value` (S,), in one pass over the kernel."""
    S, A = reward.shape
    for s in range(S):
        top = -np.inf
        for a in range(A):
            x = 0.0
            for e in range(indptr[s * A + a], indptr[s * A + a + 1]):
                x += values[e] * v[indices[e]]
            x = reward[s, a] + discount * x
            q[s, a] = x
            top = max(top, x)
        total = 0.0
        for a in range(A):
            weight = np.exp((q[s, a] - top) / temperature)
            policy[s, a] = weight
            total += weight
        for a in range(A):
            policy[s, a] /= total
        value[s] = top + temperature * np.log(total)


def backup_extended(model: TabularModel, v: Array, soften: Soften = boltzmann) -> Backup:
    """T applied to V in extended precision: the residual TV − V is a difference of nearly equal numbers."""
    discount = np.longdouble(model.follower_discount)
    q = model.follower_reward + discount * model.follower_kernel.expect_extended(v)
    return Backup(q, *soften(q, model.temperature))


def residual_rounding(model: TabularModel, v: Array, q: Array, weights: Array, eps: float) -> Array:
    r"""How far a computed TV − V can be from the exact one at this V, state by state (S,).

    A sum of n products is off by at most n·eps times the sum of their sizes, δ(s,a) for Q(s,a).  The soft maximum passes on
    |T(Q + δ) − T(Q)| ≤ τ log Σ_a π(a) exp(δ(s,a)/τ), with the Boltzmann weights π (S, A) of `q`: an action that is never
    taken passes on nothing, however large its reward.  max, exp, log and the outer sum add a few roundings of V and τ log A.
    """
    n = longest_row(model) + model.n_actions + 8
    delta = (
        n * eps * (np.abs(model.follower_reward) + model.follower_discount * model.follower_kernel.expect(np.abs(v)))
    )
    own = n * eps * (2.0 * np.abs(v) + model.temperature * (1.0 + np.log(model.n_actions)))
    return np.asarray(passed_on(weights, delta, model.temperature) + own)


def passed_on(weights: Array, delta: Array, temperature: float) -> Array:
    """τ log Σ_a π(a) exp(δ(s,a)/τ) (S,) for δ ≥ 0: what a soft maximum makes of changes by at most δ."""
    with np.errstate(divide="ignore"):
        # A weight that has underflowed is below the smallest number; its logarithm is taken to be that number's.
        exponents = np.where(weights > 0.0, np.log(weights), LOG_SMALLEST) + delta / temperature
    top, largest = exponents.max(axis=1), delta.max(axis=1) / temperature
    soft = temperature * (top + np.log(np.exp(exponents - top[:, None]).sum(axis=1)) + 8.0 * np.finfo(float).eps)
    # log Σ π exp(x) ≤ Σ π (exp(x) − 1) ≤ (1 + max x) Σ π x for x ≤ 1: the digits that the logarithm loses.
    return np.asarray(np.where(largest <= 1.0, (1.0 + largest) * (weights * delta).sum(axis=1), np.maximum(soft, 0.0)))


def longest_row(model: TabularModel) -> int:
    """The largest number of successors of a (state, action)."""
    kernel = model.follower_kernel
    return kernel.n_states if isinstance(kernel, DenseKernel) else int(kernel.pattern.row_lengths.max(initial=0))


def span(x: Array) -> float:
    """Max x − min x."""
    return float(x.max() - x.min())


def span_contraction(model: TabularModel) -> float:
    """β ≤ γ with sp(TV − TV') ≤ β sp(V − V'): γ(1 − Σ_s' min_{s,a} p(s'|s,a)), the Doeblin overlap.

    Meaningful where rows sum to one; with endings the constants are no longer invisible, and γ is returned.
    """
    kernel = model.follower_kernel
    if kernel.row_sums.min() < 1.0 - 1e-12:
        return model.follower_discount
    if isinstance(kernel, DenseKernel):
        overlap = float(kernel.flat.min(axis=0).sum())
    else:
        rows = kernel.n_states * kernel.n_actions
        everywhere = np.bincount(kernel.pattern.indices, minlength=kernel.n_states) >= rows
        overlap = 0.0
        if everywhere.any():
            overlap = float(kernel.flat[:, np.flatnonzero(everywhere)].toarray().min(axis=0).sum())
    return model.follower_discount * (1.0 - min(overlap, 1.0))
