"""J of a tabular problem by value iteration, for differencing."""

from __future__ import annotations

import numpy as np

from boltzgrad.gradients.differences import Evaluator, difference_routes, too_many_sweeps
from boltzgrad.gradients.tabular.sweeps import leader_values, planned, soft_backup, soft_values
from boltzgrad.problems.configurable import ConfigurableMDP
from boltzgrad.problems.contexts import as_contexts
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.objectives import PolicyObjective


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
            follower = soft_values(model, start_v)
            _, policy = soft_backup(model, planned(model), follower.x)
            change, sweeps, v_leader = follower.change, follower.sweeps, np.zeros(0)
            if isinstance(problem.objective, PolicyObjective):
                total += weight * problem.objective.function(theta, policy)
            else:
                leader = leader_values(model, policy, start_l)
                change, sweeps, v_leader = max(change, leader.change), sweeps + leader.sweeps, leader.x
                total += weight * (model.initial @ v_leader)
            entries = model.transition.size if isinstance(model.transition, np.ndarray) else model.transition.nnz
            self.change = max(self.change, change)
            self.horizon = max(self.horizon, 1.0 / (1.0 - max(model.follower_discount, model.leader_discount)))
            if first:
                self.work += float(sweeps * (entries + 30 * model.follower_reward.size))
                self._starts.append((follower.x, v_leader))
        if problem.regulariser is not None:
            total += problem.regulariser.function(theta)
        return total


COMPLEX, DIFFERENCES = difference_routes(
    TabularEvaluator,
    "value iteration",
    lambda problem, theta: next(filter(None, map(too_many_sweeps, problem.contexts(theta).models)), ""),
)
