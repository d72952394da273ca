r"""Learners that see samples only: soft Q-learning and soft SARSA, along several walks at once.

    Q(s,a) ← Q(s,a) + α (y − Q(s,a)),   y = r_F + γ_F τ log Σ_b exp(Q(s',b)/τ)          (HPGD (16), Algorithm 4)
                                        y = r_F + γ_F (Q(s',a') − τ log π(a'|s'))        (SARSA, a' ~ π ∝ π⁰ exp(Q/τ))

With α = h/(n + h) in the n-th visit of (s, a) and h (1 − γ) > ½ the error falls like the root of the samples (Proposition E.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.followers.learner import Learned, Learner, World, positive_count, positive_number
from boltzgrad.solvers.suboptimal import log_of


@dataclass(frozen=True, eq=False)
class _Walks:
    """Where the walks are, and what was learnt on the way."""

    q: Array
    visits: Array
    states: Array


@dataclass(frozen=True)
class SoftQLearning(Learner):
    """Soft Q-learning by `walkers` walks of `steps` steps each, under the uniform policy (π⁰ where there is one).

    `rate` h [1] sets α = h/(n + h) in the n-th visit, by default 2/(1 − γ_F).  A walk that ends begins again in a state drawn
    uniformly, so that every state is visited.  Source: HPGD Algorithm 4, Proposition E.5.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> model = problem.model(problem.initial_theta(seed=0))
    >>> first = SoftQLearning(100).train(model, 1)
    >>> first.residual > SoftQLearning(4000).train(model, 1).residual
    True
    """

    steps: int
    walkers: int = 32
    rate: float | None = None

    def __post_init__(self) -> None:
        positive_count("steps", self.steps)
        positive_count("walkers", self.walkers)
        if self.rate is not None:
            positive_number("rate", self.rate)

    def _train(self, world: World, rng: np.random.Generator, after: Learned | None, bar: Any) -> Learned:
        S, A = world.shape
        at, done = (self._begin(world, rng), 0) if after is None else (after.state, after.steps)
        q, visits, states = at.q.copy(), at.visits.copy(), at.states.copy()
        h, pairs = self._rate(world), np.arange(S * A)
        for _ in bar(range(self.steps)):
            actions = drawn(self._behaviour(world, q, states), rng)
            later = world.successors(states, actions, rng)
            goes_on = later >= 0
            arrived = np.where(goes_on, later, 0)
            value = self._value(world, q, arrived, rng)
            target = world.reward[states, actions] + world.discount * np.where(goes_on, value, 0.0)
            pair = states * A + actions
            count = np.bincount(pair, minlength=S * A)
            seen = pairs[count > 0]
            mean = np.bincount(pair, target, minlength=S * A)[seen] / count[seen]
            flat, n = q.ravel(), visits.ravel()
            flat[seen] += h / (n[seen] + h) * (mean - flat[seen])
            n[seen] += 1
            states = np.where(goes_on, arrived, rng.integers(S, size=states.size))
        policy, value = world.greedy(q)
        return world.learned(policy, q, value, done + self.steps, _Walks(q, visits, states))

    def _behaviour(self, world: World, q: Array, states: Array) -> Array:
        """The probabilities (walks, A) of what is tried next."""
        return world.uniform()[states]

    def _value(self, world: World, q: Array, states: Array, rng: np.random.Generator) -> Array:
        """What arriving in states is worth (walks,), as the method estimates it."""
        return world.greedy(q, states)[1]

    def _begin(self, world: World, rng: np.random.Generator) -> _Walks:
        return _Walks(np.zeros(world.shape), np.zeros(world.shape), rng.integers(world.shape[0], size=self.walkers))

    def _rate(self, world: World) -> float:
        if self.rate is not None:
            return self.rate
        if not math.isfinite(world.horizon):
            raise InvalidOption("rate is by default 2/(1 − γ), and this follower has no discount: give a rate")
        return 2.0 * world.horizon


@dataclass(frozen=True)
class Sarsa(SoftQLearning):
    """Soft SARSA: the target is that of one action drawn from the Boltzmann policy of the present Q, which the walks follow.

    They follow the uniform policy with probability `exploration`: actions that are hardly taken are hardly learnt.
    """

    exploration: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.exploration <= 1.0:
            raise InvalidOption(f"exploration is {self.exploration!r}; expected a probability above 0")

    def _behaviour(self, world: World, q: Array, states: Array) -> Array:
        own = world.greedy(q, states)[0]
        return np.asarray((1.0 - self.exploration) * own + self.exploration * world.uniform()[states])

    def _value(self, world: World, q: Array, states: Array, rng: np.random.Generator) -> Array:
        policy = world.greedy(q, states)[0]
        action = drawn(policy, rng)[:, None]
        taken = [np.take_along_axis(x, action, axis=1)[:, 0] for x in (q[states], policy)]
        return np.asarray(taken[0] - world.temperature * log_of(taken[1]))


def drawn(policy: Array, rng: np.random.Generator) -> Array:
    """An action for each row of probabilities."""
    sums = np.cumsum(policy, axis=1)
    return np.asarray((rng.random((len(policy), 1)) * sums[:, -1:] >= sums).sum(axis=1))
