r"""Learners that know the model: soft value iteration, natural and vanilla policy gradient, fitted linear Q.

Rates (tests measure them): k sweeps leave ‖π − π*‖_∞ ≤ γᵏ (R + τ log A)/(τ (1 − γ)) (HPGD Proposition E.4); natural policy
gradient ‖log π − log π*‖_∞ ≤ 2 C (1 − ητ)ᵗ/τ (E.7; Cen et al. 2022), quadratic at ητ = 1 − γ, which is soft policy
iteration; vanilla policy gradient converges without a rate that is known beforehand (E.6; Mei et al. 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.followers.learner import Learned, Learner, World, positive_count, positive_number
from boltzgrad.solvers import boltzmann
from boltzgrad.solvers.linear import LinearSystem
from boltzgrad.solvers.suboptimal import evaluate_policy, log_of

_HALVINGS = 60


@dataclass(frozen=True)
class SoftValueIteration(Learner):
    """V ← TV, `sweeps` ≥ 0 times from V = 0: HPGD Algorithm 3.  The policy is that of Q = r_F + γ_F P V.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> SoftValueIteration(10).train(problem.model(problem.initial_theta(seed=0))).steps
    10
    """

    sweeps: int

    def __post_init__(self) -> None:
        positive_count("sweeps", self.sweeps, least=0)

    def _train(self, world: World, rng: np.random.Generator, after: Learned | None, bar: Any) -> Learned:
        v, done = (np.zeros(world.shape[0]), 0) if after is None else (after.state, after.steps)
        for _ in bar(range(self.sweeps)):
            v = world.greedy(world.ahead(v))[1]
        q = world.ahead(v)
        return world.learned(world.greedy(q)[0], q, v, done + self.sweeps, v)


@dataclass(frozen=True)
class NaturalPolicyGradient(Learner):
    """π ← π^(1 − ητ/(1 − γ)) exp(η Q/(1 − γ)), normalised, with the exact soft Q of π: HPGD (18), E.7; Cen et al. (2022).

    `rate` η [1/reward] is at most (1 − γ_F)/τ, which is soft policy iteration and the default.  No `steps`, 0, leave the policy
    that it begins with: the uniform one, or π⁰.
    """

    steps: int
    rate: float | None = None

    def __post_init__(self) -> None:
        positive_count("steps", self.steps, least=0)
        if self.rate is not None:
            positive_number("rate", self.rate)

    def _train(self, world: World, rng: np.random.Generator, after: Learned | None, bar: Any) -> Learned:
        share = self._share(world)
        logits, done = (log_of(world.uniform()), 0) if after is None else (after.state, after.steps)
        policy = world.greedy(world.temperature * logits)[0]
        for _ in bar(range(self.steps)):
            q = evaluate_policy(world.model, policy).q
            # Less the largest of each row: a constant is no policy, and would grow from step to step.
            logits = (1.0 - share) * logits + share * q / world.temperature
            logits = logits - np.where(world.there, logits, -np.inf).max(axis=1, keepdims=True)
            policy = world.greedy(world.temperature * logits)[0]
        own = evaluate_policy(world.model, policy)
        return world.learned(policy, None, own.value, done + self.steps, logits)

    def _share(self, world: World) -> float:
        """ητ/(1 − γ) ≤ 1."""
        if self.rate is None:
            return 1.0
        # The rate is per unit of the reward as it was given, of which a moving temperature is one unit here.
        tau = world.temperature * float(np.max(world.model.unit))
        if np.ndim(world.model.unit):
            raise InvalidOption(
                "rate is one for all states, and this follower has a temperature for each: leave it out"
            )
        share = self.rate * tau * world.horizon
        if not share <= 1.0 + 1e-12:
            most = (
                f"(1 − γ)/τ = {1.0 / (tau * world.horizon):.6g}"
                if math.isfinite(world.horizon)
                else "0 without a discount"
            )
            raise InvalidOption(f"rate is {self.rate:.6g}; expected at most {most}, which is soft policy iteration")
        return float(min(share, 1.0))


@dataclass(frozen=True)
class PolicyGradient(Learner):
    """Ascent of V°(start) in softmax logits, ∂V°/∂logit(s,a) = d(s) π(a|s) A(s,a), with exact values: HPGD Algorithm 6, E.6.

    d (S,) are the discounted visits from a start that is half the model's and half uniform, so that no state is forgotten.
    `rate` [1/reward] is the first step's; each is halved until it gains at least half of what its slope promises.
    """

    steps: int
    rate: float = 1.0

    def __post_init__(self) -> None:
        positive_count("steps", self.steps)
        positive_number("rate", self.rate)

    def _train(self, world: World, rng: np.random.Generator, after: Learned | None, bar: Any) -> Learned:
        model, S = world.model, world.shape[0]
        start = 0.5 * model.initial + 0.5 / S
        first = (log_of(world.uniform()), self.rate)
        (logits, rate), done = (first, 0) if after is None else (after.state, after.steps)
        policy = boltzmann(np.where(world.there, logits, -np.inf), 1.0)[0]
        own = evaluate_policy(model, policy)
        for _ in bar(range(self.steps)):
            system = LinearSystem(world.kernel, policy, world.discount)
            visits = system.solve_transposed(start).x
            advantage = own.q - world.temperature * log_of(policy) - own.value[:, None]
            slope = visits[:, None] * policy * np.where(world.there, advantage, 0.0)
            gain = float((slope**2).sum())
            for _ in range(_HALVINGS):
                trial = boltzmann(np.where(world.there, logits + rate * slope, -np.inf), 1.0)[0]
                there = evaluate_policy(model, trial)
                if float(start @ (there.extended - own.extended)) >= 0.5 * rate * gain:
                    break
                rate *= 0.5
            else:
                break  # no step gains anything in float64: it has arrived
            logits, policy, own, rate = logits + rate * slope, trial, there, 2.0 * rate
        return world.learned(policy, None, own.value, done + self.steps, (logits, rate))


@dataclass(frozen=True, eq=False)
class FittedQ(Learner):
    """Fitted soft Q iteration on linear features: w ← argmin Σ (φ w − (r_F + γ_F P τ log Σ exp(φ w/τ)))², `sweeps` times.

    `features` (S, A, k).  Where they do not hold every Q there is a bias that no training removes, and the iteration may
    diverge: a projection is no contraction.  Of a follower with a reference φ w is to be Q + τ log π⁰.
    """

    features: Array
    sweeps: int

    def __post_init__(self) -> None:
        positive_count("sweeps", self.sweeps)
        try:
            features = np.asarray(self.features, float)
        except (TypeError, ValueError) as error:
            raise InvalidOption(f"features is no array of numbers: {error}") from None
        if features.ndim != 3 or not np.isfinite(features).all():
            what = f"{features.ndim} axes" if features.ndim != 3 else "entries that are not finite"
            raise InvalidOption(f"features has {what}; expected finite numbers (states, actions, features)")

    def _train(self, world: World, rng: np.random.Generator, after: Learned | None, bar: Any) -> Learned:
        features = np.asarray(self.features, float)
        if features.shape[:2] != world.shape:
            raise InvalidOption(
                f"features has shape {features.shape}, the model {world.shape[0]} states × {world.shape[1]} actions"
            )
        flat = features[world.there]
        weights, done = (np.zeros(flat.shape[1]), 0) if after is None else (after.state, after.steps)
        solve = np.linalg.pinv(flat)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in bar(range(self.sweeps)):
                value = world.greedy(features @ weights)[1]
                weights = solve @ world.ahead(value)[world.there]
                if not np.isfinite(weights).all():
                    break
            q = features @ weights
            policy, value = world.greedy(q)
        return world.learned(policy, q, value, done + self.sweeps, weights)
