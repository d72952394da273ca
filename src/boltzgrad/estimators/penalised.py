r"""The policy that a leader with a penalty of finite weight wishes for: π_λ, best for the objective F less λ times a penalty.

    value penalty     (V* − V^π)(ρ)                                at rest  log π = (Q^π + F_π/(λ d^π))/τ − …
    Bellman penalty   Σ ρ(s) (V*(s) − ⟨π_s, Q*_s⟩ − τ H(π_s))      at rest  log π = (Q* + F_π/(λ ρ))/τ − …

up to a number for each state, with d^π the follower's visits and F_π = ∂F/∂π.  The second is τ E_ρ KL(π ‖ π*): its V* and Q*
do not move with π.  Source: PBRL (Shen, Yang, Chen 2024), value and Bellman penalty.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize

from boltzgrad.core.arrays import Array
from boltzgrad.errors import NotConverged
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.solvers import FollowerSolution
from boltzgrad.solvers.suboptimal import evaluate_policy

_AT_REST = 1e-10
_LEAST = 1e-200  # a probability below has no logit to move


class Wish(NamedTuple):
    """What the leader wants of a policy (S, A): F, and ∂F/∂π (S, A)."""

    value: Callable[[Array], float]
    slope: Callable[[Array], Array]


class Penalised(ABC):
    """F + λ · penalty over the logits of one table; F is descended, or with λ < 0 climbed."""

    def __init__(self, wish: Wish, best: FollowerSolution, weight: float) -> None:
        self.wish, self.best, self.weight = wish, best, weight
        self.model: TabularModel = best.model

    @abstractmethod
    def penalty(self, policy: Array) -> float:
        """The penalty, up to what does not depend on the policy."""

    @abstractmethod
    def soft(self, policy: Array) -> tuple[Array, Array]:
        """(Q (S, A), by how much each state counts (S,)) of the penalty at a policy."""

    @abstractmethod
    def cotangent(self, policy: Array) -> tuple[Array, ...]:
        """∂ penalty / ∂ (kernel that the follower plans with, start, follower's reward) at a fixed policy."""

    def policy(self) -> Array:
        """π_λ (S, A), the best that is reached from the follower's own answer.  Raises: NotConverged."""
        start, tau = self.best.policy, self.model.temperature
        there = start > _LEAST

        def policy(z: Array) -> Array:
            full = np.full(start.shape, -np.inf)
            full[there] = z
            e = np.exp(full - full.max(axis=1, keepdims=True))
            return np.asarray(e / e.sum(axis=1, keepdims=True))

        def worth(pi: Array) -> tuple[Array, Array]:
            """(Q − F_π/(λ d) (S, A), d (S, 1)): at rest log π is that over τ, up to a number for each state."""
            q, counts = self.soft(pi)
            d = counts[:, None]
            return q - np.divide(self.wish.slope(pi), d, out=np.zeros_like(q), where=d > 0.0) / self.weight, d

        def total(z: Array) -> tuple[float, Array]:
            pi = policy(z)
            earned, d = worth(pi)
            earned = earned - tau * np.log(np.where(pi > 0.0, pi, 1.0))
            slope = -d * pi * (earned - (pi * earned).sum(axis=1, keepdims=True))
            return self.wish.value(pi) / self.weight + self.penalty(pi), slope[there]

        def rest(z: Array) -> Array:
            full = np.where(there, worth(policy(z))[0], -np.inf) / tau
            top = full.max(axis=1, keepdims=True)
            return np.asarray(z - (full - top - np.log(np.exp(full - top).sum(axis=1, keepdims=True)))[there])

        first = np.log(start[there])
        found = optimize.root(rest, first, tol=1e-13).x
        if not (np.abs(rest(found)).max() <= _AT_REST and total(found)[0] <= total(first)[0] + _AT_REST):
            found = optimize.minimize(total, first, jac=True, method="BFGS").x
            found = optimize.root(rest, found, tol=1e-13).x
        left = float(np.abs(rest(found)).max())
        if not left <= _AT_REST:
            raise NotConverged(
                f"PBRL's penalised policy at weight {abs(self.weight):g} is off rest by {left:.1e} (at most {_AT_REST:.0e}); "
                "take a larger weight"
            )
        return policy(found)


class ValuePenalty(Penalised):
    """(V* − V^π)(ρ)."""

    def penalty(self, policy: Array) -> float:
        """See `Penalised.penalty`."""
        return -float(self.model.initial @ evaluate_policy(self.model, policy).value)

    def soft(self, policy: Array) -> tuple[Array, Array]:
        """See `Penalised.soft`."""
        s = evaluate_policy(self.model, policy)
        return s.q, s.system.solve_transposed(self.model.initial).x

    def cotangent(self, policy: Array) -> tuple[Array, ...]:
        """See `Penalised.cotangent`: the envelope theorem at π*, and the values' own derivative at π."""
        ours, theirs = _of_value(self.best), _of_value(evaluate_policy(self.model, policy))
        return tuple(x - y for x, y in zip(ours, theirs, strict=True))


class BellmanPenalty(Penalised):
    """Σ_s ρ(s) (V*(s) − ⟨π_s, Q*_s⟩ − τ H(π_s)) = τ Σ_s ρ(s) KL(π_s ‖ π*_s)."""

    def _each(self, policy: Array) -> Array:
        log = np.log(np.where(policy > 0.0, policy, 1.0))
        return np.asarray(self.best.value - (policy * (self.best.q - self.model.temperature * log)).sum(axis=1))

    def penalty(self, policy: Array) -> float:
        """See `Penalised.penalty`."""
        return float(self.model.initial @ self._each(policy))

    def soft(self, policy: Array) -> tuple[Array, Array]:
        """See `Penalised.soft`."""
        return self.best.q, self.model.initial

    def cotangent(self, policy: Array) -> tuple[Array, ...]:
        """See `Penalised.cotangent`: Q* moves by ρ (π* − π), and what it leads to with it."""
        m, best = self.model, self.best
        moved = m.initial[:, None] * (best.policy - policy)
        ahead = best.system.solve_transposed(m.follower_discount * m.follower_kernel.accumulate(moved)).x
        reward = moved + ahead[:, None] * best.policy
        return m.follower_discount * m.follower_kernel.outer(reward, best.value), self._each(policy), reward


def _of_value(s: FollowerSolution) -> tuple[Array, ...]:
    """∂V^π(ρ)/∂(kernel, start, reward)."""
    visits = s.system.solve_transposed(s.model.initial).x[:, None] * s.policy
    return s.model.follower_discount * s.model.follower_kernel.outer(visits, s.value), s.value, visits


def arrays_of(model: TabularModel, kernel: Array, start: Array, reward: Array) -> TabularArrays:
    """A cotangent of the follower's own kernel, start and reward, as one of all arrays."""
    zero = np.zeros_like(reward)
    if model.own_kernel:
        return TabularArrays(np.zeros_like(np.asarray(model.kernel.values, float)), start, reward, zero, kernel)
    return TabularArrays(kernel, start, reward, zero)
