r"""PBRL: the follower's optimality as a penalty of finite weight in the leader's objective.

    J_λ(θ) = max_π J(θ, π) − λ (V*(ρ) − V^π(ρ)),   ∇J_λ = ∂J/∂θ(θ, π_λ) − λ (∂V* − ∂V^{π_λ})(ρ)/∂θ,

by the envelope theorem: no adjoint, and no inverse.  The leader's best π_λ leaves the follower's by O(1/λ).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import optimize

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption, NotConverged
from boltzgrad.estimators.estimator import Estimator, Run
from boltzgrad.estimators.one_by_one import OneByOne
from boltzgrad.estimators.streams import Draws
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.penalty_gradient import penalty_gradient
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.solvers import FollowerSolution, solve_follower
from boltzgrad.solvers.suboptimal import evaluate_policy

_AT_REST = 1e-10
_LEAST = 1e-200  # a probability below has no logit to move
_MOST_LOGITS = 200


@dataclass(frozen=True, eq=False, kw_only=True)
class PBRL(Estimator):
    r"""∇ of the leader's objective with the follower's value gap as a penalty of weight λ, `weight`, exactly.

    Of the leader's return it is `bg.penalty_gradient`, climbed.  Of a general f(θ, π) it is that of
    $\min_\pi f(\theta,\pi) + \lambda (V^* - V^\pi)(\rho)$, to be descended (with `descend=False` climbed), π_λ found from π*
    by Newton's method in logits.  Biased by O(1/λ).  Nothing is sampled.

    Source: PBRL (Shen, Yang, Chen 2024), value penalty, with the weight that SoBiRL (Yang, Gao, Yuan 2025, arXiv:2405.19697),
    J.2, compares with.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("rlhf")
    >>> theta = problem.initial_theta(seed=0)
    >>> off = [bg.check_estimator(PBRL(weight=w), problem, theta).relative_bias for w in (2.0, 1e2, 1e3)]
    >>> bool(off[0] > 0.01), bool(9.0 < off[1] / off[2] < 11.0)
    (True, True)
    """

    name: ClassVar[str] = "pbrl"
    label: ClassVar[str] = "PBRL"
    weight: float = 2.0
    descend: bool = True

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption where there is no such penalty: no table, several kernels, contexts of a general objective."""
        if isinstance(self.weight, bool) or not isinstance(self.weight, (int, float)) or not 0.0 < self.weight < np.inf:
            raise InvalidOption(f"weight is {self.weight!r}; expected a positive number")
        if not isinstance(self.descend, bool):
            raise InvalidOption(f"descend is {self.descend!r}; expected True or False")
        if not isinstance(problem, ConfigurableMDP) or problem.model_kind is not TabularModel:
            raise InvalidOption(f"PBRL is for a table; {problem!r} is none")
        theta = problem.initial_theta(seed=0)
        if not isinstance(problem.objective, PolicyObjective):
            penalty_gradient(problem, theta, self.weight)  # refuses players who differ
            return
        models = problem.contexts(theta).models
        size = models[0].n_states * models[0].n_actions
        if len(models) > 1 or models[0].own_kernel:
            raise InvalidOption(
                f"PBRL of a general objective needs one world, which the follower plans with; {problem!r} differs"
            )
        if size > _MOST_LOGITS:
            raise InvalidOption(f"PBRL of a general objective is solved densely: {size} logits, at most {_MOST_LOGITS}")

    def _open(self, problem: Any, draws: Draws) -> Run:
        return OneByOne(problem, self._gradient)

    def _gradient(self, problem: Any, theta: Array) -> Array:
        if not isinstance(problem.objective, PolicyObjective):
            return penalty_gradient(problem, theta, self.weight)
        at = problem.linearise(theta)
        model: TabularModel = at.model.models[0]
        best = solve_follower(model)
        penalised = _Penalised(problem.objective, theta, model, self.weight if self.descend else -self.weight)
        near = penalised.solve(best.policy)
        direct, _ = problem.objective.gradients(theta, near.policy)
        parts = (penalised.weight * (x - y) for x, y in zip(_of_value(best), _of_value(near), strict=True))
        gradient = direct + at.pullback(ContextualArrays((TabularArrays(*parts),), np.zeros(1)))
        if problem.regulariser is not None:
            gradient = gradient + problem.regulariser.gradient_at(theta)
        return np.asarray(gradient)


class _Penalised:
    """f(θ, π) + λ (V* − V^π)(ρ) over the logits of one table, at one θ; λ < 0 where f is climbed."""

    def __init__(self, objective: PolicyObjective, theta: Array, model: TabularModel, weight: float) -> None:
        self.objective, self.theta, self.model, self.weight = objective, theta, model, weight

    def solve(self, start: Array) -> FollowerSolution:
        """The best policy that is reached from `start`, with its values.  Raises: NotConverged."""
        there = start > _LEAST

        def policy(z: Array) -> Array:
            full = np.full(start.shape, -np.inf)
            full[there] = z
            e = np.exp(full - full.max(axis=1, keepdims=True))
            return np.asarray(e / e.sum(axis=1, keepdims=True))

        def value(z: Array) -> tuple[float, Array]:
            pi = policy(z)
            total = self.objective.value(self.theta, pi) / self.weight
            worth, s = self._worth(pi)
            visits = s.system.solve_transposed(self.model.initial).x[:, None] * pi
            slope = -visits * (worth - (pi * worth).sum(axis=1, keepdims=True))
            return total - float(self.model.initial @ s.value), slope[there]

        def rest(z: Array) -> Array:
            # At rest log π = (Q − ∂f/∂π/(λ d))/τ up to a number for each state.
            pi = policy(z)
            worth, _ = self._worth(pi)
            full = np.where(there, worth, -np.inf) / self.model.temperature + np.log(np.where(there, pi, 1.0))
            top = full.max(axis=1, keepdims=True)
            return np.asarray(z - (full - top - np.log(np.exp(full - top).sum(axis=1, keepdims=True)))[there])

        first = np.log(start[there])
        found = optimize.root(rest, first, tol=1e-13).x
        if not (np.abs(rest(found)).max() <= _AT_REST and value(found)[0] <= value(first)[0] + _AT_REST):
            found = optimize.minimize(value, first, jac=True, method="BFGS").x
            found = optimize.root(rest, found, tol=1e-13).x
        left = float(np.abs(rest(found)).max())
        if not left <= _AT_REST:
            raise NotConverged(
                f"PBRL's penalised policy at weight {abs(self.weight):g} is off rest by {left:.1e} (at most {_AT_REST:.0e}); "
                "take a larger weight"
            )
        return evaluate_policy(self.model, policy(found))

    def _worth(self, policy: Array) -> tuple[Array, FollowerSolution]:
        """(Q − τ log π − ∂f/∂π/(λ d) (S, A), the policy's values): even over actions where the objective is at rest."""
        _, in_policy = self.objective.gradients(self.theta, policy)
        s = evaluate_policy(self.model, policy)
        visits = s.system.solve_transposed(self.model.initial).x[:, None]
        log = np.log(np.where(policy > 0.0, policy, 1.0))
        per_visit = np.divide(in_policy, visits, out=np.zeros_like(in_policy), where=visits > 0.0)
        return s.q - self.model.temperature * log - per_visit / self.weight, s


def _of_value(s: FollowerSolution) -> tuple[Array, ...]:
    """∂V^π(ρ)/∂ each array."""
    visits = s.system.solve_transposed(s.model.initial).x[:, None] * s.policy
    kernel = s.model.follower_discount * s.model.kernel.outer(visits, s.value)
    return kernel, s.value, visits, np.zeros_like(visits)
