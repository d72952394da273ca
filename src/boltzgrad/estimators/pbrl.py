r"""PBRL: the follower's optimality as a penalty of finite weight in the leader's objective.

    J_λ(θ) = max_π J(θ, π) − λ p(θ, π),   ∇J_λ = ∂J/∂θ(θ, π_λ) − λ ∂p/∂θ(θ, π_λ),

by the envelope theorem.  The leader's best π_λ leaves the follower's by O(1/λ).  The value penalty (V* − V^π)(ρ) needs no
inverse beyond two policies' values.  The Bellman penalty is τ E_ρ KL(π ‖ π*); λ ∂p/∂θ is then an adjoint whose guidance
λρ(π_λ − π*) is a difference quotient of the softmax's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimator, Run
from boltzgrad.estimators.one_by_one import OneByOne
from boltzgrad.estimators.penalised import BellmanPenalty, Penalised, ValuePenalty, Wish, arrays_of
from boltzgrad.estimators.streams import Draws
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.penalty_gradient import penalty_gradient
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.solvers import evaluate_leader, solve_follower

_MOST_LOGITS = 200
_PENALTIES: dict[str, type[Penalised]] = {"value": ValuePenalty, "bellman": BellmanPenalty}


@dataclass(frozen=True, eq=False, kw_only=True)
class PBRL(Estimator):
    r"""∇ of the leader's objective with what the follower loses as a penalty of weight λ, `weight`, exactly.

    `penalty` is "value", $(V^* - V^\pi)(\rho)$, or for starts ρ > 0 "bellman",
    $\sum_s \rho(s)\,[V^*(s) - \langle \pi_s, Q^*_s\rangle - \tau H(\pi_s)]$.  The leader's return is climbed; with the value
    penalty that is `bg.penalty_gradient`.  A general f(θ, π) is to be descended:
    $\min_\pi f(\theta,\pi) + \lambda p(\theta,\pi)$ (with `descend=False` climbed).  π_λ is found from π* by Newton's method in
    logits.  Biased by O(1/λ).  Nothing is sampled.

    Source: PBRL (Shen, Yang, Chen 2024), with the weight that SoBiRL (Yang, Gao, Yuan 2025, arXiv:2405.19697), J.2, compares
    with.

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
    penalty: str = "value"

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption where there is no such penalty: no table, states without a start, several worlds."""
        if isinstance(self.weight, bool) or not isinstance(self.weight, (int, float)) or not 0.0 < self.weight < np.inf:
            raise InvalidOption(f"weight is {self.weight!r}; expected a positive number")
        if not isinstance(self.descend, bool):
            raise InvalidOption(f"descend is {self.descend!r}; expected True or False")
        if not isinstance(self.penalty, str) or self.penalty not in _PENALTIES:
            raise InvalidOption(f"penalty is {self.penalty!r}; expected {' or '.join(map(repr, _PENALTIES))}")
        if not isinstance(problem, ConfigurableMDP) or problem.model_kind is not TabularModel:
            raise InvalidOption(f"PBRL is for a table; {problem!r} is none")
        theta, general = problem.initial_theta(seed=0), isinstance(problem.objective, PolicyObjective)
        if not general and self.penalty == "value":
            penalty_gradient(problem, theta, self.weight)  # refuses players who differ
            return
        models = problem.contexts(theta).models
        size = models[0].n_states * models[0].n_actions
        if general and (len(models) > 1 or (models[0].own_kernel and self.penalty == "value")):
            raise InvalidOption(
                f"PBRL of a general objective needs one world, which the follower plans with; {problem!r} differs"
            )
        if size > _MOST_LOGITS:
            what = "a general objective" if general else "the Bellman penalty"
            raise InvalidOption(f"PBRL of {what} is solved densely: {size} logits, at most {_MOST_LOGITS}")
        self._check_starts(models)

    def _check_starts(self, models: Any) -> None:
        for model in models:
            never = np.flatnonzero(model.initial <= 0.0)
            if self.penalty == "bellman" and never.size:
                raise InvalidOption(
                    f"the Bellman penalty says nothing about states where no episode starts (state {never[0]}, for one); "
                    'give a start that is positive everywhere, or take penalty="value"'
                )

    def _open(self, problem: Any, draws: Draws) -> Run:
        return OneByOne(problem, self._gradient)

    def _gradient(self, problem: Any, theta: Array) -> Array:
        general = isinstance(problem.objective, PolicyObjective)
        if not general and self.penalty == "value":
            return penalty_gradient(problem, theta, self.weight)
        at = problem.linearise(theta)
        self._check_starts(at.model.models)
        gradient, parts, values = np.zeros(problem.dim), [], []
        for model, p in zip(at.model.models, at.model.probabilities, strict=True):
            part, value, direct = (self._of_objective if general else self._of_return)(problem, theta, model)
            parts.append(part.scaled(float(p)))
            values.append(value)
            gradient = gradient + float(p) * direct
        gradient = gradient + at.pullback(ContextualArrays(tuple(parts), np.array(values)))
        if problem.regulariser is not None:
            gradient = gradient + problem.regulariser.gradient_at(theta)
        return np.asarray(gradient)

    def _penalised(self, wish: Wish, model: TabularModel, weight: float) -> tuple[Array, TabularArrays, float]:
        """(π_λ, weight · ∂p/∂ each array there, weight · p there)."""
        penalised = _PENALTIES[self.penalty](wish, solve_follower(model), weight)
        near = penalised.policy()
        moved = arrays_of(model, *(weight * x for x in penalised.cotangent(near)))
        return near, moved, weight * penalised.penalty(near)

    def _of_objective(self, problem: Any, theta: Array, model: TabularModel) -> tuple[TabularArrays, float, Array]:
        """(∂/∂ each array, the value, ∂f/∂θ at π_λ); the weight of a single world's value is none."""
        objective = problem.objective
        wish = Wish(lambda pi: objective.value(theta, pi), lambda pi: objective.gradients(theta, pi)[1])
        near, moved, _ = self._penalised(wish, model, self.weight if self.descend else -self.weight)
        return moved, 0.0, objective.gradients(theta, near)[0]

    def _of_return(self, problem: Any, theta: Array, model: TabularModel) -> tuple[TabularArrays, float, Array]:
        best = solve_follower(model)

        def slope(policy: Array) -> Array:
            leader = evaluate_leader(model, best, policy=policy)
            return np.asarray(leader.occupancy[:, None] * leader.q)

        wish = Wish(lambda pi: evaluate_leader(model, best, policy=pi).expected_return, slope)
        near, moved, lost = self._penalised(wish, model, -self.weight)
        leader = evaluate_leader(model, best, policy=near)
        visits = leader.occupancy[:, None] * near
        world = model.kernel.outer(model.leader_discount * visits, leader.value)
        total = replace(
            moved,
            transition=world + moved.transition,
            initial=leader.value + moved.initial,
            leader_reward=visits,
        )
        return total, leader.expected_return + lost, np.zeros(theta.size)
