"""Plausible wrong hypergradients of followers that are solved as another table: the right formula for another model.

Averages, leaders who count their steps, and temperatures of states; besides the mistakes of all tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.errors import InvalidModel
from boltzgrad.families.mistake import Together, mutants_of
from boltzgrad.families.tabular import mistakes
from boltzgrad.families.tabular.average import AverageRewardModel
from boltzgrad.families.tabular.contexts import ContextualModel, as_contexts
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.plain_form import weighted
from boltzgrad.families.tabular.problem import ConfigurableMDP

_ZOO = "general-garnet"
_NEAR_ONE, _STEPS = 0.999, 100


class Formula(mistakes.Formula):
    """Theorem 1 on the problem of `changed` models, times `factor`; `kind` says what a problem has to be for the mistake."""

    kind: ClassVar[str] = ""
    factor: ClassVar[float] = 1.0
    exposed_by = (_ZOO, {"kind": "average"})

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        given = self.problem
        if self.kind:
            self.problem = another(given, self.changed)
        try:
            return self.factor * super().gradient()
        finally:
            self.problem = given

    def changed(self, model: Any) -> Any:
        """The model that is solved in place of the one that was given, traced or not."""
        return model


def another(problem: ConfigurableMDP, changed: Callable[[Any], Any]) -> ConfigurableMDP:
    """The problem of other models at every θ."""

    def build(theta: Any) -> Any:
        contexts = as_contexts(problem.source(theta))
        return ContextualModel([changed(m) for m in contexts.models], contexts.probabilities)

    other = ConfigurableMDP(build, dim=problem.dim, entry_error=problem.entry_error, name=problem.name)
    other.regulariser, other.objective = problem.regulariser, problem.objective
    return other


def catalogue(problem: ConfigurableMDP) -> Together:
    """The mistakes that can be made on a problem."""
    kinds = problem.kinds if problem.traced else frozenset()  # of what it was last solved at
    own = tuple(m for m in MUTANTS if m.formula.kind in kinds)  # type: ignore[attr-defined]
    return Together(mistakes.Formula, (*mistakes.MUTANTS, *own))


def _discounted(model: AverageRewardModel, gamma: float, **more: Any) -> TabularModel:
    """The discounted model of the same arrays, started anywhere."""
    S = model.n_states
    return TabularModel(
        model.kernel,
        np.full(S, 1.0 / S),
        model.follower_reward,
        model.leader_reward,
        model.follower_kernel if model.own_kernel else None,
        follower_discount=gamma,
        temperature=model.temperature,
        reference=model.reference,
        available=model.available,
        leader_temperature=model.leader_temperature,
        leader_reference=model.leader_reference,
        **{"leader_discount": gamma, **more},
    )


class DiscountedForAverage(Formula):
    kind, factor = "Average", 1.0 - _NEAR_ONE
    mistake = "(1 − γ) ∇J_γ at γ = .999 for the gradient of a long-run average"
    hidden_by = (_ZOO, {"n_states": 1})

    def changed(self, model: AverageRewardModel) -> TabularModel:
        return _discounted(model, _NEAR_ONE)


class FirstStepsForAverage(Formula):
    kind, factor = "Average", 1.0 / _STEPS
    mistake = "the mean over 100 steps from a uniform start for a long-run average"
    hidden_by = (_ZOO, {"n_states": 1})

    def changed(self, model: AverageRewardModel) -> TabularModel:
        return _discounted(model, _NEAR_ONE, leader_discount=1.0, leader_horizon=_STEPS)


class EntropyForKL(Formula):
    kind = "Average"
    mistake = "entropy for KL: the averaging follower's reference policy left out"
    hidden_by = (_ZOO, {"reference": 0.0})

    def changed(self, model: AverageRewardModel) -> AverageRewardModel:
        there = None if np.all(model.there) else model.there
        return replace(model, reference=None, available=there)


class ReferenceHeldFixed(Formula):
    kind = "Average"
    mistake = "∇ log π⁰ forgotten in the averaging follower's ∇ log π"
    hidden_by = (_ZOO, {"reference": 0.0})

    def changed(self, model: AverageRewardModel) -> AverageRewardModel:
        return replace(model, reference=_plain(model.reference))


class CountedForEver(Formula):
    kind = "Clocked"
    mistake = "the leader counting for ever, where it counts H steps"
    exposed_by = (_ZOO, {"kind": "counted"})
    hidden_by = (_ZOO, {"kind": "counted", "leader_discount": 0.0})

    def changed(self, model: TabularModel) -> TabularModel:
        return replace(model, leader_horizon=None)


class OneStepMore(Formula):
    kind = "Clocked"
    mistake = "H + 1 steps for the leader's H"
    exposed_by = (_ZOO, {"kind": "counted"})
    hidden_by = (_ZOO, {"kind": "counted", "leader_discount": 0.0})

    def changed(self, model: TabularModel) -> TabularModel:
        return replace(model, leader_horizon=(model.leader_horizon or 1) + 1)


class OneStepLess(Formula):
    kind = "Clocked"
    mistake = "H − 1 steps for the leader's H"
    exposed_by = (_ZOO, {"kind": "counted"})
    hidden_by = (_ZOO, {"kind": "counted", "leader_discount": 0.0})

    def changed(self, model: TabularModel) -> TabularModel:
        return replace(model, leader_horizon=max((model.leader_horizon or 1) - 1, 1))


class UndiscountedCount(Formula):
    kind = "Clocked"
    mistake = "γ_L^t lost in the sum of the leader's H steps"
    exposed_by = (_ZOO, {"kind": "counted"})
    hidden_by = (_ZOO, {"kind": "counted", "leader_horizon": 1})

    def changed(self, model: TabularModel) -> TabularModel:
        return replace(model, leader_discount=1.0)


class MeanTemperature(Formula):
    kind = "Weighted"
    mistake = "one temperature, the mean of τ(s), in every state"
    exposed_by = (_ZOO, {"kind": "temperatures"})
    hidden_by = (_ZOO, {"kind": "temperatures", "spread": 0.0, "warmth": 0.0})

    def changed(self, model: TabularModel) -> TabularModel:
        return _with_temperature(model, anp.mean(model.scale))


class TemperaturesHeldFixed(Formula):
    kind = "Weighted"
    mistake = "τ(s) not differentiated"
    exposed_by = (_ZOO, {"kind": "temperatures"})
    hidden_by = (_ZOO, {"kind": "temperatures", "warmth": 0.0})

    def changed(self, model: TabularModel) -> TabularModel:
        return _with_temperature(model, _plain(model.scale))


class WeightsLost(Formula):
    kind = "Weighted"
    mistake = "V(s')/τ(s') for V(s')/τ(s): each state's value taken in its own temperature"
    exposed_by = (_ZOO, {"kind": "temperatures"})
    hidden_by = (_ZOO, {"kind": "temperatures", "spread": 0.0, "warmth": 0.0})

    def changed(self, model: TabularModel) -> TabularModel:
        return _with_temperature(model, 1.0, reward=model.follower_reward)


def _with_temperature(model: TabularModel, temperature: Any, reward: Any = None) -> TabularModel:
    """A model with temperatures of states made anew with others; its reward keeps what it took in of a reference.

    Raises: InvalidModel where the follower plans with a kernel of its own, which the weights do not give back.
    """
    weights = float(model.moving["follower_discount"]) * np.asarray(untraced(weighted(model.kernel, model.unit).values))
    found = np.asarray(untraced(model.follower_kernel.values))
    if weights.shape != found.shape or not np.allclose(np.real(weights), np.real(found), rtol=1e-9, atol=0.0):
        raise InvalidModel("the follower of a model with temperatures of states plans with a kernel of its own")
    discount = model.moving["follower_discount"]
    return TabularModel(
        model.kernel,
        model.initial,
        model.follower_reward * model.scale[:, None] if reward is None else reward,
        model.leader_reward,
        follower_discount=float(np.real(untraced(discount))),
        leader_discount=model.leader_discount,
        temperature=temperature,
        available=model.available,
        leader_temperature=model.leader_temperature,
    )


def _plain(x: Any) -> Any:
    return None if x is None else np.array(np.real(np.asarray(untraced(x))))


MUTANTS = mutants_of(Formula)
