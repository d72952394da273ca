"""J of a tabular problem by value iteration, for differencing."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.sweep import EPS
from boltzgrad.families.tabular.average import Average
from boltzgrad.families.tabular.contexts import as_contexts
from boltzgrad.families.tabular.given import Given
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sweeps import (
    evaluation_work,
    expected_steps,
    leader_values,
    matrix_of,
    most_steps,
    paid,
    planned,
    soft_backup,
    soft_values,
)
from boltzgrad.families.tabular.valued import valued
from boltzgrad.witnesses.differences import Evaluator, difference_routes, too_many_sweeps

_OPEN = 0.05
"""[1] What rounding may move log π by, from which on first order says nothing of the policy."""


class TabularEvaluator(Evaluator):
    """J(θ) of a `ConfigurableMDP` by soft value iteration and policy evaluation sweeps."""

    def __init__(self, problem: ConfigurableMDP) -> None:
        self.problem = problem
        self._starts: list[tuple[Array, Array]] = []

    def __call__(self, theta: Array) -> complex:
        """J at θ.  Raises: whatever `build` raises there."""
        problem, contexts, first = self.problem, as_contexts(self.problem.build(theta)), not self._starts
        total: complex = 0.0
        for c, (model, weight) in enumerate(zip(contexts.models, contexts.probabilities, strict=True)):
            start_v, start_l = (None, None) if first else self._starts[c]
            if model.given is not None and not isinstance(problem.objective, PolicyObjective):
                total += weight * self._as_given(model.given, start_v, float(np.real(weight)), first)
                continue
            follower = soft_values(model, start_v)
            _, policy = soft_backup(model, planned(model), follower.x)
            change, sweeps, v_leader = follower.change, follower.sweeps, np.zeros(0)
            if isinstance(problem.objective, PolicyObjective):
                total += weight * problem.objective.function(theta, policy)
                if first:
                    # f may be a difference of large terms: of values, whose slopes in π are as large as they are.
                    slope = problem.objective.gradients(np.real(theta), np.real(policy))[1]
                    size = float(np.abs(total)) + float(np.abs(slope * policy).sum())
                    self.rounding += EPS * size * (1.0 + float(np.abs(follower.x).max()) / model.temperature)
            else:
                leader = leader_values(model, policy, start_l)
                change, sweeps, v_leader = max(change, leader.change), sweeps + leader.sweeps, leader.x
                total += weight * (model.initial @ v_leader)
                if first:
                    self.rounding += float(np.real(weight)) * rounding_of(model, follower.x, policy, v_leader)
            entries = model.transition.size if isinstance(model.transition, np.ndarray) else model.transition.nnz
            self.change = max(self.change, change)
            if first:
                both = (most_steps(model, planned_ones=own) for own in (False, True))
                self.horizon = max(self.horizon, *both)
            if first:
                self.work += float(sweeps * (entries + 30 * model.follower_reward.size))
                self._starts.append((follower.x, v_leader))
        if problem.regulariser is not None:
            total += problem.regulariser.function(theta)
        return total

    def _as_given(self, given: Given, start: Array | None, weight: float, first: bool) -> Any:
        """The value of a model that the routes solve as another table, by its own definition."""
        found = valued(given, start)
        # An average is a difference of large numbers: an entry of ∇J that vanishes rounds as its terms do.
        rounded = 8.0 * EPS if isinstance(given, Average) else 0.0
        self.change = max(self.change, found.change, rounded)
        if first:
            self.rounding += weight * found.rounding
            self.horizon = max(self.horizon, found.steps)
            self.work += float(found.sweeps * 60 * given.n_states * given.n_actions)
            self._starts.append((found.start, np.zeros(0)))
        return found.value

    def units(self, theta: Array) -> Array:
        """The problem's own natural steps (d,)."""
        average = any(isinstance(m.given, Average) for m in self.problem.contexts(theta).models)
        units: Array = (self.problem.given_map if average else self.problem.array_map)(theta).units
        return units


def rounding_of(model: TabularModel, v: Array, policy: Array, v_leader: Array) -> float:
    """What J can round off [J]: log π is off by a rounding of Q_F/τ, V_L by one of itself, at every step that remains."""
    world = matrix_of(model.transition)
    q_leader = np.real(paid(model, policy)) + model.leader_discount * (world @ v_leader).reshape(policy.shape)
    benefit = float((policy * np.abs(q_leader - v_leader[:, None])).sum(axis=1).max())
    cold = float(np.abs(v).max() / model.temperature)
    # Beyond first order a weight of 10⁻³⁰ may become one: the policy itself is open, and J with it.
    left_open = min(4.0 * EPS * cold, 1.0) if 4.0 * EPS * cold > _OPEN else 0.0
    wide_open = left_open * float(np.ptp(q_leader, axis=1).max())
    return expected_steps(model, policy) * (4.0 * EPS * (float(np.abs(v_leader).max()) + cold * benefit) + wide_open)


def _work(reference: Any) -> float:
    return sum(evaluation_work(s.model, reference.remaining_steps) for s in reference.contexts)


COMPLEX, DIFFERENCES = difference_routes(
    TabularEvaluator,
    "value iteration",
    lambda problem, theta: next(filter(None, map(too_many_sweeps, problem.contexts(theta).models)), ""),
    _work,
)
