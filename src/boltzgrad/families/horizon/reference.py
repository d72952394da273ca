"""The reference hypergradient of finite-horizon followers, with the exact solutions it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient, open_policy
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.families.horizon import errors
from boltzgrad.families.horizon.adjoint import (
    PLAIN,
    Arithmetic,
    HorizonFollower,
    HorizonLeader,
    HorizonSolution,
    plan,
    solve,
)
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.problem import ConfigurableMDP, LinearisedBuild


@dataclass(frozen=True, eq=False, repr=False)
class HorizonHypergradient(Hypergradient):
    """J(θ) and ∇J(θ) of a `ConfigurableMDP` whose build returns `FiniteHorizonModel`s; `contexts` are the solved models."""

    contexts: tuple[HorizonSolution, ...]
    linearised: LinearisedBuild
    contextual_cotangent: ContextualArrays
    outside: Array

    def __reduce__(self) -> Any:
        """Pickled as problem and θ, to be solved again: tapes do not travel."""
        return horizon_hypergradient, (self.problem, self.theta)

    @property
    def follower(self) -> HorizonFollower:
        """The follower's exact answer, step by step, where there is one context."""
        return self._only("follower").follower

    @property
    def leader(self) -> HorizonLeader | None:
        """The leader's values, where there is one context; None for a general objective f(θ, π)."""
        return self._only("leader").leader

    @property
    def cotangent(self) -> Any:
        """∂J/∂(each array of the model): `HorizonArrays`, or `ContextualArrays` of several contexts."""
        full = self.contextual_cotangent
        return full.models[0] if len(full.models) == 1 else full

    def solved_for(
        self, models: Sequence[FiniteHorizonModel], weights: Array, ops: Arithmetic, problem: Any = None
    ) -> tuple[ContextualArrays, Array]:
        """(cotangent, the part of ∇J that does not go through arrays) for other numbers in the models."""
        problem = self.problem if problem is None else problem
        solved = tuple(solve_model(problem, self.theta, model, ops) for model in models)
        _, cotangent, outside = assembled(problem, self.theta, weights, solved)
        return cotangent, outside

    @property
    def size(self) -> str:
        """Steps, states, actions and contexts in words."""
        sizes = {(s.model.horizon, s.model.n_states, s.model.n_actions) for s in self.contexts}
        many = f", {len(self.contexts)} contexts" if len(self.contexts) > 1 else ""
        return ", ".join(f"{H} steps × {S} states × {A} actions" for H, S, A in sorted(sizes)) + many

    @property
    def solution(self) -> str:
        """How the follower was solved, in words."""
        return "backward induction, one pass in float64"

    def _coordinate_bounds(self, among: Sequence[int]) -> Array:
        return errors.coordinate_bounds(self, among)

    def _coordinate_estimates(self) -> Array:
        return errors.coordinate_estimates(self)

    def _term_sizes(self) -> Array:
        through = self.array_map.root_sum_squares(self.contextual_cotangent.parts())
        return np.asarray(through + np.abs(self.outside))

    def _value_scale(self) -> float:
        weights = self.linearised.model.probabilities
        total = sum(float(p) * self._terms_of(s) for p, s in zip(weights, self.contexts, strict=True))
        regulariser = self.problem.regulariser
        return total + (0.0 if regulariser is None else abs(regulariser.value(self.theta)))

    def _terms_of(self, s: HorizonSolution) -> float:
        """Σ |terms| of one context's value."""
        if s.slope is not None:
            assert s.direct is not None
            through = float((np.stack(s.policy) * np.abs(s.slope)).sum())
            return abs(float(s.value)) + through + float(np.abs(s.direct * self.theta).sum())
        steps = zip(s.visits, s.policy, s.paid, strict=False)  # one more visit than steps: the end's
        ends = float(s.visits[-1] @ np.abs(s.model.terminal_leader_reward))
        return ends + sum(float(v @ (pi * np.abs(c)).sum(axis=1)) for v, pi, c in steps)

    def _largest_value(self) -> float:
        return max([self.value_scale, *(float(np.abs(s.U).max()) for s in self.contexts if s.slope is None)])

    def _policy_rounding(self) -> float:
        weights, total = self.linearised.model.probabilities, 0.0
        for p, s in zip(weights, self.contexts, strict=True):
            tau = float(np.min(s.model.temperature))
            for t in range(s.model.horizon):
                worth = s.q_leader[t] if s.slope is None else s.slope[t]
                visits = s.visits[t] if s.slope is None else np.ones(s.model.n_states)
                total += float(p) * open_policy(s.q[t], tau, worth, visits)
        return total

    def _remaining_steps(self) -> float:
        return max(
            sum(float(np.max(gamma)) ** t for t in range(s.model.horizon))
            for s in self.contexts
            for gamma in (s.model.follower_discount, s.model.leader_discount)
        )

    def _array_map(self) -> ArrayMap:
        found: ArrayMap = self.problem.array_map(self.theta, self.linearised)
        return found

    def _further_slopes(self) -> tuple[ArrayMap, ...]:
        policies = tuple(np.stack(s.policy) for s in self.contexts)
        found: tuple[ArrayMap, ...] = self.problem.further_slopes(self.theta, policies, self.units)
        return found

    def _only(self, what: str) -> HorizonSolution:
        if len(self.contexts) != 1:
            raise InvalidOption(f"this problem has {len(self.contexts)} contexts; use contexts[i].{what}")
        return self.contexts[0]


def solve_model(
    problem: ConfigurableMDP, theta: Array, model: FiniteHorizonModel, ops: Arithmetic = PLAIN
) -> HorizonSolution:
    """One model solved for the problem's objective.  Raises: NotDifferentiable."""
    objective = problem.objective
    if not isinstance(objective, PolicyObjective):
        return solve(model, ops)
    policy = np.stack(plan(model, ops)[2])
    direct, slope = objective.gradients(theta, policy)
    return solve(model, ops, (objective.value(theta, policy), direct, slope))


def assembled(
    problem: ConfigurableMDP, theta: Array, weights: Array, solved: Sequence[HorizonSolution]
) -> tuple[float, ContextualArrays, Array]:
    """(J, cotangent of all arrays, the part of ∇J that does not go through them)."""
    pairs = list(zip(weights, solved, strict=True))
    value, outside = float(sum(p * s.value for p, s in pairs)), np.zeros(problem.dim)
    for p, s in pairs:
        outside += 0.0 if s.direct is None else p * s.direct
    if problem.regulariser is not None:
        value += problem.regulariser.value(theta)
        outside += problem.regulariser.gradient_at(theta)
    arrays = tuple(s.cotangent.scaled(float(p)) for p, s in pairs)
    return value, ContextualArrays(arrays, np.array([float(s.value) for s in solved])), outside


def horizon_hypergradient(
    problem: ConfigurableMDP, theta: Any, *, warm_start: Any = None, tolerance: float | None = None
) -> HorizonHypergradient:
    """The exact hypergradient by backward induction and one forward pass of the adjoint; neither option is used."""
    linearised = problem.linearise(theta)
    theta = problem.check_theta(theta)
    solved = tuple(solve_model(problem, theta, model) for model in linearised.model.models)
    value, cotangent, outside = assembled(problem, theta, linearised.model.probabilities, solved)
    return HorizonHypergradient(
        value=value,
        gradient=linearised.pullback(cotangent) + outside,
        theta=theta,
        problem=problem,
        contexts=solved,
        linearised=linearised,
        contextual_cotangent=cotangent,
        outside=outside,
    )
