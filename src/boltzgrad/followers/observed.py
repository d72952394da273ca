r"""A follower that is a black box: its policy and its values from trajectories alone.

π̂(a|s) = (n(s,a) + c π⁰(a|s))/(n(s) + c),   V̂(s) = mean over visits of Σ_k γ_Fᵏ (r_F − τ log π̂)(s_{t+k}, a_{t+k}).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.followers.learner import Learned, Learner, World, positive_count, positive_number
from boltzgrad.followers.sampled import drawn
from boltzgrad.solvers import solve_follower
from boltzgrad.solvers.suboptimal import log_of


@dataclass(frozen=True)
class FromSamples(Learner):
    """What an observer makes of `trajectories` of `length` steps each of a follower: policy by counts, values by returns.

    The follower is the optimal one, or what a `learner` leaves.  Trajectories begin in a state drawn uniformly.  `prior` c > 0
    is how many visits the uniform policy (π⁰ where there is one) counts for, so that no action gets zero; a state that was
    never seen has that policy, and the mean of the values that were seen.  Returns are cut at the end of a trajectory: they
    count in its first half, where the cut is γ^(length/2) of a return.
    """

    trajectories: int
    length: int = 200
    prior: float = 1.0
    learner: Learner | None = None

    def __post_init__(self) -> None:
        positive_count("trajectories", self.trajectories)
        positive_count("length", self.length)
        positive_number("prior", self.prior)
        if self.learner is not None and not isinstance(self.learner, Learner):
            raise InvalidOption(f"learner is a {type(self.learner).__name__}; expected one of boltzgrad.followers")

    def _train(self, world: World, rng: np.random.Generator, after: Learned | None, bar: Any) -> Learned:
        S, A = world.shape
        true = solve_follower(world.model).policy if self.learner is None else self.learner(world.model, rng)
        counts, seen = (np.zeros(world.shape), []) if after is None else after.state
        counts, seen = counts.copy(), list(seen)
        states = np.full((self.length, self.trajectories), -1)
        actions = np.zeros_like(states)
        now = rng.integers(S, size=self.trajectories)
        for t in bar(range(self.length)):
            on = now >= 0
            states[t] = now
            actions[t, on] = drawn(true[now[on]], rng)
            now = np.where(on, now, 0)
            now = np.where(on, world.successors(now, actions[t], rng), -1)
        alive = states >= 0
        counts += np.bincount((states * A + actions)[alive], minlength=S * A).reshape(S, A)
        seen.append((states, actions))
        policy = (counts + self.prior * world.uniform()) / (counts.sum(axis=1, keepdims=True) + self.prior)
        value = self._returns(world, policy, seen)
        steps = self.trajectories + (0 if after is None else after.steps)
        return replace(world.learned(policy, None, value, steps, (counts, seen)), watched=true)

    def _returns(self, world: World, policy: Array, seen: list[tuple[Array, Array]]) -> Array:
        S = world.shape[0]
        paid = world.reward - world.temperature * log_of(policy)
        total, visits = np.zeros(S), np.zeros(S)
        for states, actions in seen:
            alive = states >= 0
            rewards = np.where(alive, paid[states, actions], 0.0)
            ahead = np.zeros(states.shape[1])
            for t in range(len(states) - 1, -1, -1):
                ahead = rewards[t] + world.discount * ahead
                counted = alive[t] & (2 * t < len(states))
                total += np.bincount(states[t][counted], ahead[counted], minlength=S)
                visits += np.bincount(states[t][counted], minlength=S)
        mean = total.sum() / max(visits.sum(), 1.0)
        return np.asarray(np.where(visits > 0, total / np.maximum(visits, 1.0), mean))
