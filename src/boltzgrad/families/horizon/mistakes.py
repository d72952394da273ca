"""Plausible wrong hypergradients of finite horizons: the formula pushed forward through the steps, with one mistake each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.families.horizon.differences import matrices
from boltzgrad.families.horizon.model import FiniteHorizonModel, HorizonArrays
from boltzgrad.families.mistake import WrongFormula, mutants_of
from boltzgrad.families.tabular.contexts import ContextualArrays, ContextualModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_ZOO = "finite-garnet"


@dataclass(frozen=True, eq=False)
class Plan:
    """What the follower does at each step: log π_t, π_t (S, A), and their derivatives ∇ log π_t (S, A, d)."""

    log: list[Array]
    policy: list[Array]
    slope: list[Array]


def _at(x: Any, t: int, ndim: int = 3) -> Any:
    return x[t] if x.ndim == ndim else x


def _slopes(columns: list[HorizonArrays], name: str, t: int | None = None) -> Array:
    """∂(an array at a step)/∂θ, the parameter last."""
    each = [getattr(c, name) for c in columns]
    return np.stack([x if t is None else _at(x, t) for x in each], axis=-1)


def _ahead(m: FiniteHorizonModel, name: str, t: int, v: Array) -> Array:
    """P_t v (S, A, …)."""
    return np.asarray(matrices(m, name)[t] @ v).reshape(m.n_states, m.n_actions, *v.shape[1:])


def _moved(m: FiniteHorizonModel, columns: list[HorizonArrays], name: str, t: int, v: Array) -> Array:
    """Σ_s' ∂p_t v (S, A, d)."""
    out = [matrices(m, name, c)[t] @ v for c in columns]
    return np.stack(out, axis=-1).reshape(m.n_states, m.n_actions, -1)


class Formula(WrongFormula):
    """∇V_t, ∇ log π_t and ∇U_t from the last step to the first, one method a step."""

    mistake = "none: the correct formula"
    exposed_by = (_ZOO, {})

    def __init__(self, problem: ConfigurableMDP, theta: Array) -> None:
        self.problem, self.theta = problem, theta

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        at = self.problem.linearise(self.theta)
        columns = list(at.columns())
        total = np.zeros(self.problem.dim)
        for c in range(len(at.model.models)):
            total += self.of_context(c, at.model, columns)
        if self.problem.regulariser is not None:
            total += self.problem.regulariser.gradient_at(self.theta)
        return total

    def of_context(self, c: int, contexts: ContextualModel, columns: list[ContextualArrays]) -> Array:
        """What context c adds: P(c) ∇J_c + ∇P(c) J_c."""
        value, slope = self.context(self.model(contexts.models[c]), [column.models[c] for column in columns])
        through_probability = value * np.array([column.probabilities[c] for column in columns])
        return np.asarray(float(contexts.probabilities[c]) * slope + through_probability)

    def context(self, m: FiniteHorizonModel, columns: list[HorizonArrays]) -> tuple[float, Array]:
        """(J, ∇J) of one model."""
        plan = self.followed(self.plan(m, columns))
        objective = self.problem.objective
        if isinstance(objective, PolicyObjective):
            policy, slope = np.stack(plan.policy), np.stack(plan.slope)
            direct, worth = objective.gradients(self.theta, policy)
            return objective.value(self.theta, policy), direct + np.einsum("tsa,tsa,tsad->d", worth, policy, slope)
        u, grad = self.end_of_leader(m, columns)
        for t in reversed(range(self.steps_of_leader(m))):
            u, grad = self.leaders_step(m, columns, plan, min(t, m.horizon - 1), u, grad)
        return float(m.initial @ u), _slopes(columns, "initial").T @ u + m.initial @ grad

    # The steps, in order.

    def model(self, m: FiniteHorizonModel) -> FiniteHorizonModel:
        """The model that the gradient is worked out for."""
        return m

    def plan(self, m: FiniteHorizonModel, columns: list[HorizonArrays]) -> Plan:
        """The follower's policies and their derivatives, from the last step to the first."""
        out = Plan([], [], [])
        v, grad = self.end_of_follower(m, columns)
        for t in reversed(range(m.horizon)):
            q, grad_q = self.q_follower(m, columns, t, v, grad)
            tau, grad_tau = np.broadcast_to(m.temperature, m.n_states)[:, None], self.grad_temperature(m, columns)
            x = q / tau + self.log_reference(m, t)
            grad_x = grad_q / tau[..., None] - (q / tau**2)[..., None] * grad_tau[:, None]
            grad_x = grad_x + self.grad_log_reference(columns, t)
            there = self.there(m, t)
            top = np.where(there, x, -np.inf).max(axis=1, keepdims=True)
            weight = np.where(there, np.exp(np.where(there, x - top, 0.0)), 0.0)
            policy = weight / weight.sum(axis=1, keepdims=True)
            log_sum = (top + np.log(weight.sum(axis=1, keepdims=True)))[:, 0]
            mean = np.einsum("sa,sad->sd", policy, grad_x)
            out.log.insert(0, np.where(there, x - log_sum[:, None], 0.0))
            out.policy.insert(0, policy)
            out.slope.insert(0, np.where(there[..., None], self.centred(grad_x, mean), 0.0))
            v = tau[:, 0] * log_sum
            grad = grad_tau * log_sum[:, None] + tau * mean
        return out

    def end_of_follower(self, m: FiniteHorizonModel, columns: list[HorizonArrays]) -> tuple[Array, Array]:
        """(V_H, ∇V_H)."""
        return m.terminal_follower_reward, _slopes(columns, "terminal_follower_reward")

    def q_follower(
        self, m: FiniteHorizonModel, columns: list[HorizonArrays], t: int, v: Array, grad: Array
    ) -> tuple[Array, Array]:
        """(Q_t, ∇Q_t)."""
        name, gamma = "follower_transition" if m.own_kernel else "transition", self.discount_of_follower(m)
        ahead = _ahead(m, name, t, v)
        slope = _slopes(columns, "follower_reward", t) + _slopes(columns, "follower_discount") * ahead[..., None]
        slope = slope + gamma * self.moved_kernel(m, columns, name, t, v) + gamma * self.ahead(m, name, t, grad)
        return _at(m.follower_reward, t) + gamma * ahead, slope

    def moved_kernel(self, m: FiniteHorizonModel, columns: list[HorizonArrays], name: str, t: int, v: Array) -> Array:
        """Σ ∇p V_{t+1} on the follower's side."""
        return _moved(m, columns, name, t, v)

    def ahead(self, m: FiniteHorizonModel, name: str, t: int, grad: Array) -> Array:
        """P ∇V_{t+1}."""
        return _ahead(m, name, t, grad)

    def discount_of_follower(self, m: FiniteHorizonModel) -> Any:
        """γ_F."""
        return m.follower_discount

    def log_reference(self, m: FiniteHorizonModel, t: int) -> Array:
        """The logarithm of π⁰."""
        return np.asarray(_at(m.log_reference, t))

    def grad_log_reference(self, columns: list[HorizonArrays], t: int) -> Array:
        """∇ log π⁰."""
        return _slopes(columns, "log_reference", t)

    def grad_temperature(self, m: FiniteHorizonModel, columns: list[HorizonArrays]) -> Array:
        """∇τ (S, d)."""
        return np.broadcast_to(_slopes(columns, "temperature"), (m.n_states, len(columns)))

    def there(self, m: FiniteHorizonModel, t: int) -> Array:
        """Which actions are there."""
        return np.ones((m.n_states, m.n_actions), bool) if m.mask is None else np.asarray(_at(m.mask, t))

    def centred(self, grad_x: Array, mean: Array) -> Array:
        """∇ log π = ∇x − Σ π ∇x."""
        return np.asarray(grad_x - mean[:, None])

    def followed(self, plan: Plan) -> Plan:
        """What is played of the plan."""
        return plan

    def steps_of_leader(self, m: FiniteHorizonModel) -> int:
        """How many steps the leader counts."""
        return m.horizon

    def end_of_leader(self, m: FiniteHorizonModel, columns: list[HorizonArrays]) -> tuple[Array, Array]:
        """(U_H, ∇U_H)."""
        return m.terminal_leader_reward, _slopes(columns, "terminal_leader_reward")

    def leaders_step(
        self, m: FiniteHorizonModel, columns: list[HorizonArrays], plan: Plan, t: int, u: Array, grad: Array
    ) -> tuple[Array, Array]:
        """(U_t, ∇U_t) from those of the next step."""
        gamma, price = self.discount_of_leader(m), self.leader_temperature(m)
        over = plan.log[t] - _at(m.log_leader_reference, t)
        ahead = _ahead(m, "transition", t, u)
        q = _at(m.leader_reward, t) - price * over + gamma * ahead
        direct = _slopes(columns, "leader_reward", t) - over[..., None] * _slopes(columns, "leader_temperature")
        direct = direct - price * (plan.slope[t] - _slopes(columns, "log_leader_reference", t))
        direct = direct + _slopes(columns, "leader_discount") * ahead[..., None]
        direct = direct + gamma * (_moved(m, columns, "transition", t, u) + _ahead(m, "transition", t, grad))
        whole = direct + plan.slope[t] * self.worth(plan.policy[t], q)[..., None]
        return (plan.policy[t] * q).sum(axis=1), np.einsum("sa,sad->sd", plan.policy[t], whole)

    def worth(self, policy: Array, q: Array) -> Array:
        """What the leader gains from an action."""
        return q

    def discount_of_leader(self, m: FiniteHorizonModel) -> Any:
        """γ_L."""
        return m.leader_discount

    def leader_temperature(self, m: FiniteHorizonModel) -> Any:
        """τ_L."""
        return m.leader_temperature


class LeadersEndForgotten(Formula):
    mistake = "the leader's terminal reward forgotten"
    hidden_by = (_ZOO, {"terminal": 0.0})

    def end_of_leader(self, m: FiniteHorizonModel, columns: list[HorizonArrays]) -> tuple[Array, Array]:
        return np.zeros(m.n_states), np.zeros((m.n_states, len(columns)))


class FollowersEndForgotten(Formula):
    mistake = "the follower's terminal reward forgotten in its plan"
    hidden_by = (_ZOO, {"terminal": 0.0})

    def end_of_follower(self, m: FiniteHorizonModel, columns: list[HorizonArrays]) -> tuple[Array, Array]:
        return np.zeros(m.n_states), np.zeros((m.n_states, len(columns)))


class EndHeldFixed(Formula):
    mistake = "the follower's terminal reward not differentiated: ∇V_H = 0"
    hidden_by = (_ZOO, {"terminal": 0.0})

    def end_of_follower(self, m: FiniteHorizonModel, columns: list[HorizonArrays]) -> tuple[Array, Array]:
        v, grad = super().end_of_follower(m, columns)
        return v, 0.0 * grad


class StationaryPolicy(Formula):
    mistake = "the first step's policy at every step: stationary where it moves"
    hidden_by = (_ZOO, {"horizon": 1})

    def followed(self, plan: Plan) -> Plan:
        n = len(plan.policy)
        return Plan([plan.log[0]] * n, [plan.policy[0]] * n, [plan.slope[0]] * n)


class NextStepsSlope(Formula):
    mistake = "t off by one: ∇ log π of step t + 1 at step t"
    hidden_by = (_ZOO, {"horizon": 1})

    def followed(self, plan: Plan) -> Plan:
        return replace(plan, slope=[*plan.slope[1:], plan.slope[-1]])


class NextStepsPolicy(Formula):
    mistake = "t off by one: the policy of step t + 1 at step t"
    hidden_by = (_ZOO, {"horizon": 1})

    def followed(self, plan: Plan) -> Plan:
        return Plan(*(x[1:] + x[-1:] for x in (plan.log, plan.policy, plan.slope)))


class OneStepMore(Formula):
    mistake = "H + 1 steps for H in the leader's sum"
    exposed_by = (_ZOO, {"leader_discount": 0.97})
    hidden_by = (_ZOO, {"leader_discount": 0.0})

    def steps_of_leader(self, m: FiniteHorizonModel) -> int:
        return m.horizon + 1


class OneStepLess(Formula):
    mistake = "H − 1 steps for H in the leader's sum"
    hidden_by = (_ZOO, {"leader_discount": 0.0})

    def steps_of_leader(self, m: FiniteHorizonModel) -> int:
        return m.horizon - 1


class ContinuationStopped(Formula):
    mistake = "∇V_{t+1} dropped: the follower answers to this step's reward only"
    hidden_by = (_ZOO, {"follower_discount": 0.0})

    def ahead(self, m: FiniteHorizonModel, name: str, t: int, grad: Array) -> Array:
        return 0.0 * super().ahead(m, name, t, grad)


class FollowersKernelForgotten(Formula):
    mistake = "∇p missing in the follower's plan: Σ ∇p V_{t+1} dropped"
    hidden_by = (_ZOO, {"follower_discount": 0.0})

    def moved_kernel(self, m: FiniteHorizonModel, columns: list[HorizonArrays], name: str, t: int, v: Array) -> Array:
        return 0.0 * super().moved_kernel(m, columns, name, t, v)


class ReferenceNotDifferentiated(Formula):
    mistake = "∇ log π⁰ forgotten in ∇ log π"
    hidden_by = (_ZOO, {"reference": 0.0})

    def grad_log_reference(self, columns: list[HorizonArrays], t: int) -> Array:
        return 0.0 * super().grad_log_reference(columns, t)


class EntropyForKL(Formula):
    mistake = "entropy for KL: the follower's reference policy left out"
    hidden_by = (_ZOO, {"reference": 0.0, "unavailable": 0.0})

    def log_reference(self, m: FiniteHorizonModel, t: int) -> Array:
        return 0.0 * super().log_reference(m, t)

    def grad_log_reference(self, columns: list[HorizonArrays], t: int) -> Array:
        return 0.0 * super().grad_log_reference(columns, t)


class MaskIgnored(Formula):
    mistake = "the mask ignored in the normaliser: actions that are not there are played"
    hidden_by = (_ZOO, {"unavailable": 0.0})

    def there(self, m: FiniteHorizonModel, t: int) -> Array:
        return np.ones((m.n_states, m.n_actions), bool)


class LeadersEntropySign(Formula):
    mistake = "the leader's regulariser with the wrong sign"
    hidden_by = (_ZOO, {"leader_temperature": 0.0})

    def leader_temperature(self, m: FiniteHorizonModel) -> Any:
        return -m.leader_temperature


class LeadersRegulariserForgotten(Formula):
    mistake = "the leader's regulariser forgotten: τ_L = 0"
    hidden_by = (_ZOO, {"leader_temperature": 0.0})

    def leader_temperature(self, m: FiniteHorizonModel) -> Any:
        return 0.0


class LeadersDiscountForFollower(Formula):
    mistake = "γ_L for γ_F wherever the follower plans"
    hidden_by = (_ZOO, {"follower_discount": 0.9, "leader_discount": 0.9})

    def discount_of_follower(self, m: FiniteHorizonModel) -> Any:
        return m.leader_discount


class FollowersDiscountForLeader(Formula):
    mistake = "γ_F for γ_L wherever the leader counts"
    hidden_by = (_ZOO, {"follower_discount": 0.9, "leader_discount": 0.9})

    def discount_of_leader(self, m: FiniteHorizonModel) -> Any:
        return m.follower_discount


class StoppedGradient(Formula):
    mistake = "the follower's answer is not differentiated"
    spares = 1
    hidden_by = (_ZOO, {})

    def centred(self, grad_x: Array, mean: Array) -> Array:
        return 0.0 * grad_x


class NotNormalised(Formula):
    mistake = "∇Q/τ for ∇ log π: the normaliser is not differentiated"
    spares = 1
    hidden_by = (_ZOO, {})

    def centred(self, grad_x: Array, mean: Array) -> Array:
        return grad_x


class TemperatureLost(Formula):
    mistake = "1/τ lost in ∇ log π"
    hidden_by = (_ZOO, {"temperature": 1.0})

    def followed(self, plan: Plan) -> Plan:
        tau = float(np.mean(self.problem.contexts(self.theta).models[0].temperature))
        return replace(plan, slope=[tau * x for x in plan.slope])


MUTANTS = mutants_of(Formula)
