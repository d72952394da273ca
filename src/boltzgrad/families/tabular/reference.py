"""The reference hypergradient of tabular problems, with the exact solutions it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import open_policy
from boltzgrad.errors import InvalidOption
from boltzgrad.families.tabular.adjoint import ContextSolution, assemble, solve_context
from boltzgrad.families.tabular.as_given import Stated, cotangent_of, leader_of
from boltzgrad.families.tabular.average import Average
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.contextual import ContextualHypergradient
from boltzgrad.families.tabular.error_bound import coordinate_bounds
from boltzgrad.families.tabular.error_estimate import rounding_estimates
from boltzgrad.families.tabular.model import size_of
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sensitivities import Sensitivities, sensitivities
from boltzgrad.solvers import FollowerSolution, LeaderSolution
from boltzgrad.solvers.follower import as_given


@dataclass(frozen=True, eq=False, repr=False)
class TabularHypergradient(ContextualHypergradient):
    """J(θ) and ∇J(θ) of a `ConfigurableMDP`; `contexts` are the solved models, in their plain form."""

    contexts: tuple[ContextSolution, ...]

    def __reduce__(self) -> Any:
        """Pickled as problem and θ, to be solved again: factorisations and tapes do not travel."""
        return tabular_hypergradient, (self.problem, self.theta)

    @property
    def follower(self) -> FollowerSolution:
        """The follower's exact answer, where there is one context."""
        only: ContextSolution = self._only("follower")
        return as_given(only.follower)

    @property
    def leader(self) -> LeaderSolution | None:
        """The leader's values, where there is one context; None for a general objective f(θ, π)."""
        only: ContextSolution = self._only("leader")
        given = only.model.given
        return only.leader if given is None or only.leader is None else leader_of(given, only.leader)

    @cached_property
    def cotangent(self) -> Sensitivities | Stated | ContextualArrays:
        """∂J/∂(each array of the model), as a pull-back receives it, and of one model ∂J/∂ its temperature, discounts and
        reference.
        """
        full = self.contextual_cotangent
        return self.sensitivities[0] if len(full.models) == 1 else full

    @cached_property
    def sensitivities(self) -> tuple[Sensitivities | Stated, ...]:
        """The cotangent of each context's model."""
        models, weights = self.contextual_cotangent.models, self.linearised.model.probabilities
        triples = zip(models, self.contexts, weights, strict=True)
        found = ((sensitivities(arrays, solved, float(p)), solved.model.given) for arrays, solved, p in triples)
        return tuple(x if given is None else cotangent_of(given, x) for x, given in found)

    @property
    def size(self) -> str:
        """States, actions and contexts in words."""
        sizes = {size_of(s.model) for s in self.contexts}
        many = f", {len(self.contexts)} contexts" if len(self.contexts) > 1 else ""
        ends = ", episodes end" if any(s.model.ends and s.model.given is None for s in self.contexts) else ""
        return ", ".join(sorted(sizes)) + many + ends

    @property
    def solution(self) -> str:
        """How each context's follower was solved, and how well."""
        return "; ".join(s.follower.describe() for s in self.contexts)

    @cached_property
    def units(self) -> Array:
        """See `Hypergradient.units`; of averages those of the arrays as they were given."""
        average = any(isinstance(s.model.given, Average) for s in self.contexts)
        return (self._checked_map() if average else self.array_map).units

    def _term_sizes(self) -> Array:
        """Of averages also in the arrays as they were given: the table's reward has lost what is the same for all actions."""
        plain = super()._term_sizes()
        if not any(isinstance(s.model.given, Average) for s in self.contexts):
            return plain
        weights: list[Array] = []
        for s, found in zip(self.contexts, self.sensitivities, strict=True):
            assert isinstance(s.model.given, Average)
            for name, x in s.model.given.model.arrays().named():
                weights.append(np.abs(np.broadcast_to(getattr(found, name, 0.0), np.shape(x))))
        values = np.array([s.value for s in self.contexts])
        return np.asarray(np.maximum(plain, self._checked_map().root_sum_squares((*weights, values))))

    def _checked_map(self) -> ArrayMap:
        if all(s.model.given is None for s in self.contexts):
            return self.array_map
        found: ArrayMap = self.problem.given_map(self.theta)
        return found

    def _coordinate_bounds(self, among: Sequence[int]) -> Array:
        return coordinate_bounds(
            self.problem,
            self.theta,
            self.linearised,
            self.contexts,
            self.contextual_cotangent,
            self.outside,
            self.gradient,
            among,
        )

    def _coordinate_estimates(self) -> Array:
        return rounding_estimates(self.problem, self.theta, self.linearised, self.contexts, self.gradient)

    def _terms_of(self, s: ContextSolution) -> float:
        """Σ |terms| of one context's value: visits times rewards, or what a general f(θ, π) is made of to first order."""
        if s.leader is not None:
            return s.leader.size
        assert s.policy_gradient is not None
        assert s.direct is not None
        return self._of_objective(s.value, s.follower.policy, s.policy_gradient, s.direct)

    def _largest_value(self) -> float:
        values = [float(np.abs(s.leader.value).max()) for s in self.contexts if s.leader is not None]
        return max([self.value_scale, *values])

    def _policy_rounding(self) -> float:
        weights, total = self.linearised.model.probabilities, 0.0
        for p, s in zip(weights, self.contexts, strict=True):
            worth, visits = (s.leader.q, s.leader.occupancy) if s.leader is not None else (s.policy_gradient, None)
            assert worth is not None
            visits = np.ones(len(worth)) if visits is None else visits
            total += float(p) * open_policy(s.follower.q, s.follower.model.temperature, worth, visits)
        return total

    def _remaining_steps(self) -> float:
        solved = [s.follower.system for s in self.contexts] + [s.leader.system for s in self.contexts if s.leader]
        return max(system.remaining_steps for system in solved)


def tabular_hypergradient(
    problem: ConfigurableMDP,
    theta: Any,
    *,
    warm_start: TabularHypergradient | None = None,
    tolerance: float | None = None,
) -> TabularHypergradient:
    """The exact hypergradient by Newton and one adjoint solve (BC-HG Theorem 1, (5), in adjoint form)."""
    linearised = problem.linearise(theta)
    theta = problem.check_theta(theta)
    starts: list[Array | None] = [None] * len(linearised.model.models)
    if warm_start is not None:
        starts = [s.follower.value for s in warm_start.contexts]
        if len(starts) != len(linearised.model.models):
            raise InvalidOption(f"warm_start has {len(starts)} contexts, the problem {len(linearised.model.models)}")
    solutions = tuple(
        solve_context(model, problem, theta, warm_start=start, tolerance=tolerance)
        for model, start in zip(linearised.model.models, starts, strict=True)
    )
    value, cotangent, outside = assemble(problem, theta, linearised.model.probabilities, solutions)
    return TabularHypergradient(
        value=value,
        gradient=linearised.pullback(cotangent) + outside,
        theta=theta,
        problem=problem,
        contexts=solutions,
        linearised=linearised,
        contextual_cotangent=cotangent,
        outside=outside,
    )
