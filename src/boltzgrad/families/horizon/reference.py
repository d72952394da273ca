"""The reference hypergradient of finite-horizon followers, with the exact solutions it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import open_policy
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.families.horizon.adjoint import (
    PLAIN,
    Arithmetic,
    HorizonFollower,
    HorizonLeader,
    HorizonSolution,
    plan,
    solve,
)
from boltzgrad.families.horizon.error_bound import coordinate_bounds
from boltzgrad.families.horizon.error_estimate import coordinate_estimates
from boltzgrad.families.horizon.model import FiniteHorizonModel, HorizonArrays
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.contextual import ContextualHypergradient
from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False, repr=False)
class HorizonHypergradient(ContextualHypergradient):
    """J(θ) and ∇J(θ) of a `ConfigurableMDP` whose build returns `FiniteHorizonModel`s; `contexts` are the solved models."""

    contexts: tuple[HorizonSolution, ...]

    def __reduce__(self) -> Any:
        """Pickled as problem and θ, to be solved again: tapes do not travel."""
        return horizon_hypergradient, (self.problem, self.theta)

    @property
    def follower(self) -> HorizonFollower:
        """The follower's exact answer, step by step, where there is one context."""
        only: HorizonSolution = self._only("follower")
        return only.follower

    @property
    def leader(self) -> HorizonLeader | None:
        """The leader's values, where there is one context; None for a general objective f(θ, π)."""
        only: HorizonSolution = self._only("leader")
        return only.leader

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
        return assembled(problem, self.theta, weights, solved)[1:]

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

    def solved_again(self, problem: ConfigurableMDP, arrays: ContextualArrays) -> Array:
        """The gradient (d,) for other arrays, pulled back as before."""
        models = [s.model.with_arrays(_clipped(a)) for s, a in zip(self.contexts, arrays.models, strict=True)]
        cotangent, outside = self.solved_for(models, np.maximum(arrays.probabilities, 0.0), PLAIN, problem)
        return np.asarray(self.linearised.pullback(cotangent) + outside)

    def _coordinate_bounds(self, among: Sequence[int]) -> Array:
        return coordinate_bounds(self, among)

    def _coordinate_estimates(self) -> Array:
        return coordinate_estimates(self)

    def _terms_of(self, s: HorizonSolution) -> float:
        """Σ |terms| of one context's value."""
        if s.slope is not None:
            assert s.direct is not None
            return self._of_objective(float(s.value), s.follower.policy, s.slope, s.direct)
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
    """(J, cotangent of all arrays, the part of ∇J that does not go through them).

    The tabular reference is a witness here (`expanded-adjoint`): what it does to the same end is not called.
    """
    pairs = list(zip(weights, solved, strict=True))
    value, outside = float(sum(p * s.value for p, s in pairs)), np.zeros(problem.dim)
    for p, s in pairs:
        outside += 0.0 if s.direct is None else p * s.direct
    if problem.regulariser is not None:
        value += problem.regulariser.value(theta)
        outside += problem.regulariser.gradient_at(theta)
    arrays = tuple(s.cotangent(float(p)) for p, s in pairs)
    return value, ContextualArrays(arrays, np.array([float(s.value) for s in solved])), outside


def _clipped(arrays: HorizonArrays) -> HorizonArrays:
    """The arrays with probabilities that rounding has made negative set to zero."""
    chances = ("transition", "initial", "follower_transition")
    return arrays.of(tuple(np.maximum(x, 0.0) if name in chances else x for name, x in arrays.named()))


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
