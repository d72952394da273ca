"""Plausible wrong hypergradients of the tabular family: Theorem 1 with one mistake each."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.sweep import sweep
from boltzgrad.families.game.sweeps import lse
from boltzgrad.families.mistake import WrongFormula, mutants_of
from boltzgrad.families.tabular import penalty_mistakes as penalty
from boltzgrad.families.tabular.contexts import ContextualArrays, ContextualModel
from boltzgrad.families.tabular.expectation import applied
from boltzgrad.families.tabular.fixed_points import soft_fixed_point
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP, LinearisedBuild
from boltzgrad.families.tabular.sweeps import matrix_of, paid, planned, soft_backup, state_kernel

# Most mistakes begin with the same follower and the same derivatives of its world: computed once for all that are made
# on one problem at one θ.  Derivatives of more numbers than this are not kept.
_KEPT = 1e7


@lru_cache(maxsize=2)
def _linearised(problem: ConfigurableMDP, theta: bytes) -> LinearisedBuild:
    return problem.linearise(np.frombuffer(theta))


def _columns(problem: ConfigurableMDP, theta: bytes) -> tuple[ContextualArrays, ...]:
    models = _linearised(problem, theta).model.models
    numbers = problem.dim * sum(x.size for m in models for x in m.arrays().parts())
    return _kept_columns(problem, theta) if numbers <= _KEPT else tuple(_linearised(problem, theta).columns())


@lru_cache(maxsize=2)
def _kept_columns(problem: ConfigurableMDP, theta: bytes) -> tuple[ContextualArrays, ...]:
    return tuple(_linearised(problem, theta).columns())


@lru_cache(maxsize=8)
def _soft_fixed_point(m: TabularModel) -> Array:
    return soft_fixed_point(m, np.zeros(m.n_states))


# Nobody unrolls further.
_MOST_STEPS = 20_000


def steps_for(discount: float) -> int:
    """The horizon 1/(1 − γ), in whole steps: what undiscounted or truncated sums run over."""
    return int(min(np.ceil(1.0 / (1.0 - discount) - 1e-9), _MOST_STEPS)) if discount < 1.0 else _MOST_STEPS


def summed(step: Array, start: Array, terms: int) -> Array:
    """Σ_{t < terms} stepᵗ start."""
    total, term = start, start
    for _ in range(terms - 1):
        term = step @ term
        total = total + term
    return np.asarray(total)


class Formula(WrongFormula):
    """Theorem 1 (or SoBiRL (24)), dense and small, one method a step.  Source: BC-HG (5), (6)."""

    mistake = "none: the correct formula"
    exposed_by = ("garnet", {})

    def __init__(self, problem: ConfigurableMDP, theta: Array) -> None:
        self.problem, self.theta = problem, theta

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        contexts = _linearised(self.problem, self.theta.tobytes()).model
        columns = _columns(self.problem, self.theta.tobytes())
        total = np.zeros(self.problem.dim)
        for c in range(len(contexts.models)):
            total += self.of_context(c, contexts, columns)
        if self.problem.regulariser is not None:
            total += self.problem.regulariser.gradient_at(self.theta)
        return total

    def of_context(self, c: int, contexts: ContextualModel, columns: tuple[ContextualArrays, ...]) -> Array:
        """What context c adds: P(c) ∇J_c + ∇P(c) J_c."""
        m = contexts.models[c]
        weight = self.context_weight(c, contexts.probabilities)
        moved = np.array([column.probabilities[c] for column in columns])
        through_probability = moved * self.value(m) if moved.any() else 0.0
        return weight * self.context(m, [column.models[c] for column in columns]) + through_probability

    def value(self, m: TabularModel) -> float:
        """J of one model."""
        policy = self.policy(m, self.soft_value(m))
        if isinstance(self.problem.objective, PolicyObjective):
            return self.problem.objective.value(self.theta, policy)
        return float(m.initial @ self.v_leader(m, policy))

    def context(self, m: TabularModel, columns: list[TabularArrays]) -> Array:
        """The gradient of one model's value."""
        v = self.soft_value(m)
        policy = self.policy(m, v)
        u = np.stack([self.immediate(m, c, self.continuation_value(m, v, policy)) for c in columns], axis=1)
        grad_q = self.grad_q(m, policy, u, self.immediate_later(columns, u), v)
        objective = self.problem.objective
        if isinstance(objective, PolicyObjective):
            direct, worth = objective.gradients(self.theta, policy)
        else:
            v_leader = self.v_leader(m, policy)
            q_leader = self.q_leader(m, policy, v_leader)
            occupancy = self.occupancy(m, policy)
            direct = np.array([self.direct(m, c, policy, occupancy, v_leader) for c in columns])
            worth = occupancy[:, None] * self.steered_by(m, q_leader, v)
        return np.asarray(direct + self.indirect(m, policy, self.centred(policy, worth), grad_q))

    # The steps, in order.

    def context_weight(self, c: int, probabilities: Array) -> float:
        """The probability of context c."""
        return float(probabilities[c])

    def soft_value(self, m: TabularModel) -> Array:
        """V_F, the soft fixed point."""
        return _soft_fixed_point(m)

    def policy(self, m: TabularModel, v: Array) -> Array:
        """The Boltzmann policy of Q_F."""
        return soft_backup(m, planned(m), v)[1]

    def continuation_value(self, m: TabularModel, v: Array, policy: Array) -> Array:
        """What ∇p is multiplied with on the follower's side: V_F(s')."""
        return v

    def immediate(self, m: TabularModel, c: TabularArrays, v: Array) -> Array:
        """∇r_F + γ_F Σ ∇p V_F, (S·A,)."""
        moved = c.transition if c.follower_transition is None else c.follower_transition
        return c.follower_reward.ravel() + self.discount_of_kernel(m) * applied(moved, planned(m), v)

    def discount_of_kernel(self, m: TabularModel) -> float:
        """The discount before ∇p on the follower's side."""
        return m.follower_discount

    def immediate_later(self, columns: list[TabularArrays], u: Array) -> Array:
        """U = ∇r_F + γ_F Σ ∇p V_F at every step after the first."""
        return u

    def grad_q(self, m: TabularModel, policy: Array, u: Array, later: Array, v: Array) -> Array:
        """∇Q_F (S, A, d) from its Bellman equation: u now, and u at `later` steps."""
        u3, later3 = u.reshape(*policy.shape, -1), later.reshape(*policy.shape, -1)
        grad_v = self.grad_v(m, policy, np.einsum("sa,sad->sd", policy, later3))
        ahead = (self.follower_matrix(m) @ grad_v).reshape(u3.shape)
        return np.asarray(u3 + self.discount_of_backup(m) * ahead)

    def grad_v(self, m: TabularModel, policy: Array, mean_u: Array) -> Array:
        """∇V_F = (I − γ_F P_π)⁻¹ Σ_a π u, (S, d)."""
        kernel = self.kernel_of_solve(m, policy)
        return np.linalg.solve(np.eye(len(kernel)) - self.discount_of_solve(m) * kernel, mean_u)

    def kernel_of_solve(self, m: TabularModel, policy: Array) -> Array:
        """P_π in ∇V_F's equation; the adjoint solve has its transpose."""
        return state_kernel(self.follower_matrix(m), policy)

    def follower_matrix(self, m: TabularModel) -> Any:
        """The kernel in ∇Q_F's Bellman equation: the one the follower plans with."""
        return planned(m)

    def discount_of_grad_q(self, m: TabularModel) -> float:
        """The discount in ∇Q_F's Bellman equation."""
        return m.follower_discount

    def discount_of_solve(self, m: TabularModel) -> float:
        """The discount in the solve for ∇V_F."""
        return self.discount_of_grad_q(m)

    def discount_of_backup(self, m: TabularModel) -> float:
        """The discount in ∇Q_F = u + γ_F P ∇V_F."""
        return self.discount_of_grad_q(m)

    def discount_of_leader(self, m: TabularModel) -> float:
        """The leader's discount, wherever the leader counts."""
        return m.leader_discount

    def leader_reward(self, m: TabularModel, policy: Array) -> Array:
        """r_L − τ_L log π, as V_L and Q_L have it."""
        return paid(m, policy)

    def v_leader(self, m: TabularModel, policy: Array) -> Array:
        """V_L under the follower's policy."""
        kernel = state_kernel(matrix_of(m.transition), policy)
        return np.linalg.solve(
            np.eye(len(kernel)) - self.discount_of_q_leader(m) * kernel,
            (policy * self.leader_reward(m, policy)).sum(axis=1),
        )

    def discount_of_q_leader(self, m: TabularModel) -> float:
        """The discount in V_L and Q_L."""
        return self.discount_of_leader(m)

    def q_leader(self, m: TabularModel, policy: Array, v_leader: Array) -> Array:
        """Q_L."""
        carried = (matrix_of(m.transition) @ v_leader).reshape(policy.shape)
        return np.asarray(self.leader_reward(m, policy) + self.discount_of_leaders_backup(m) * carried)

    def discount_of_leaders_backup(self, m: TabularModel) -> float:
        """The discount in Q_L = r_L + γ_L P V_L."""
        return self.discount_of_q_leader(m)

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        """ν, the discounted number of visits."""
        kernel = self.kernel_of_occupancy(m, policy)
        return np.linalg.solve(np.eye(len(kernel)) - self.discount_of_occupancy(m) * kernel, m.initial)

    def kernel_of_occupancy(self, m: TabularModel, policy: Array) -> Array:
        """P_πᵀ in ν's equation."""
        return state_kernel(matrix_of(m.transition), policy).T

    def discount_of_occupancy(self, m: TabularModel) -> float:
        """The discount in ν."""
        return self.discount_of_leader(m)

    def direct(self, m: TabularModel, c: TabularArrays, policy: Array, occupancy: Array, v_leader: Array) -> float:
        """Σ ∇ρ V_L + Σ ν π (∇r_L + γ_L ∇p V_L) for one coordinate."""
        moved = self.leader_reward_term(c) + self.leader_kernel_term(m, c, v_leader)
        return float(self.start_term(c, v_leader) + ((occupancy[:, None] * policy) * moved).sum())

    def start_term(self, c: TabularArrays, v_leader: Array) -> float:
        """∇ρ·V_L."""
        return float(c.initial @ v_leader)

    def leader_reward_term(self, c: TabularArrays) -> Array:
        """∇r_L."""
        return c.leader_reward

    def leader_kernel_term(self, m: TabularModel, c: TabularArrays, v_leader: Array) -> Array:
        """γ_L Σ ∇p V_L."""
        shape = m.leader_reward.shape
        return self.discount_of_kernel_leader(m) * applied(c.transition, matrix_of(m.transition), v_leader).reshape(
            shape
        )

    def discount_of_kernel_leader(self, m: TabularModel) -> float:
        """The discount before ∇p on the leader's side."""
        return self.discount_of_leader(m)

    def steered_by(self, m: TabularModel, q_leader: Array, v: Array) -> Array:
        """What the leader gains from an action: Q_L."""
        return q_leader

    def centred(self, policy: Array, worth: Array) -> Array:
        """Worth minus its mean under the policy: the Benefit."""
        return np.asarray(worth - (policy * worth).sum(axis=1, keepdims=True))

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        """(1/τ) Σ ν π ∇Q_F B."""
        return np.asarray(np.einsum("sa,sa,sad->d", policy, benefit, grad_q) / m.temperature)


# Mistakes with discounts.


class LeadersDiscountInGradQ(Formula):
    mistake = "γ_L used in ∇Q_F"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"leader_discount": 0.99})

    def discount_of_grad_q(self, m: TabularModel) -> float:
        return m.leader_discount


class LeadersDiscountForFollower(Formula):
    mistake = "γ_L for γ_F wherever the follower plans: in V_F and in ∇Q_F"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"leader_discount": 0.99})

    def context(self, m: TabularModel, columns: list[TabularArrays]) -> Array:
        return super().context(replace(m, follower_discount=m.leader_discount), columns)


class FollowersDiscountInOccupancy(Formula):
    mistake = "γ_F used in the occupancy"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"leader_discount": 0.99})

    def discount_of_occupancy(self, m: TabularModel) -> float:
        return m.follower_discount


class FollowersDiscountInQLeader(Formula):
    mistake = "γ_F used in V_L and Q_L"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"leader_discount": 0.99})

    def discount_of_q_leader(self, m: TabularModel) -> float:
        return m.follower_discount


class ExponentOffByOne(Formula):
    mistake = "γ_L^(t+1) for γ_L^t in the third term"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"n_actions": 1})

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        return m.leader_discount * super().indirect(m, policy, benefit, grad_q)


class NormalisedVisits(Formula):
    mistake = "normalised visitation without its 1/(1 − γ_L)"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    hidden_by = ("garnet", {"leader_discount": 0.0})

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        return (1.0 - m.leader_discount) * super().occupancy(m, policy)


class FollowersDiscountForLeader(Formula):
    mistake = "γ_F for γ_L throughout: in V_L, Q_L, the occupancy and before ∇p V_L"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"leader_discount": 0.99})

    def discount_of_leader(self, m: TabularModel) -> float:
        return m.follower_discount


class LeadersDiscountInSolve(Formula):
    mistake = "γ_L in the solve for ∇V_F only: the adjoint solve (I − γ_L P)⁻ᵀ, where γ_F belongs"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"leader_discount": 0.99})

    def discount_of_solve(self, m: TabularModel) -> float:
        return m.leader_discount


class ForgottenDiscountInGradQ(Formula):
    mistake = "∇Q_F = u + P ∇V_F: its γ_F forgotten"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"n_actions": 1})

    def discount_of_backup(self, m: TabularModel) -> float:
        return 1.0


class ForgottenDiscountInQLeader(Formula):
    mistake = "Q_L = r_L + P V_L: its γ_L forgotten"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"n_actions": 1})

    def discount_of_leaders_backup(self, m: TabularModel) -> float:
        return 1.0


class KernelUndiscountedFollower(Formula):
    mistake = "∇p V_F without its γ_F in ∇Q_F"
    exposed_by = ("garnet", {})
    hidden_by = ("four-rooms", {"temperature": 0.003})

    def discount_of_kernel(self, m: TabularModel) -> float:
        return 1.0


class KernelUndiscountedLeader(Formula):
    mistake = "∇p V_L without its γ_L"
    exposed_by = ("garnet", {})
    hidden_by = ("four-rooms", {"temperature": 0.003})

    def discount_of_kernel_leader(self, m: TabularModel) -> float:
        return 1.0


class AlmostTheDiscount(Formula):
    mistake = "∇Q_F solved with 0.999 γ_F"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"n_actions": 1})

    def discount_of_grad_q(self, m: TabularModel) -> float:
        return 0.999 * m.follower_discount


# Mistakes with the third term.


class UncentredBenefit(Formula):
    mistake = "Q_L for the Benefit Q_L − V_L"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    spares = 1  # the leader's reward moves no ∇Q_F

    def centred(self, policy: Array, worth: Array) -> Array:
        return worth


class StoppedGradient(Formula):
    mistake = "no third term: the follower's answer is not differentiated (Naive-PGD)"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    hidden_by = ("garnet", {"n_actions": 1})

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        return np.zeros(grad_q.shape[-1])


class TemperatureTwice(Formula):
    mistake = "1/τ applied twice"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    hidden_by = ("garnet", {"temperature": 1.0})

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        return np.asarray(super().indirect(m, policy, benefit, grad_q) / m.temperature)


class LostTemperature(Formula):
    mistake = "1/τ lost"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    hidden_by = ("garnet", {"temperature": 1.0})

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        return np.asarray(m.temperature * super().indirect(m, policy, benefit, grad_q))


class FlippedSign(Formula):
    mistake = "third term subtracted"
    exposed_by = ("synthetic-hard", {})
    hidden_by = ("garnet", {"n_actions": 1})

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        return -super().indirect(m, policy, benefit, grad_q)


class OneStepTruncation(Formula):
    mistake = "∇r_F for ∇Q_F: SoBiRL's one-step truncation; the identity for the inverse Jacobian of Q's fixed point"
    exposed_by = ("synthetic-hard", {})
    hidden_by = ("garnet", {"follower_discount": 0.0})

    def grad_q(self, m: TabularModel, policy: Array, u: Array, later: Array, v: Array) -> Array:
        return u.reshape(*policy.shape, -1)


class IdentityForInverse(Formula):
    mistake = "∇V_F = Σ π u: the identity for (I − γ_F P)⁻¹, two steps of the sum"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"follower_discount": 0.0})

    def grad_v(self, m: TabularModel, policy: Array, mean_u: Array) -> Array:
        return mean_u


class TenTermsOfTheInverse(Formula):
    mistake = "ten terms of the Neumann series for (I − γ_F P)⁻¹"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"follower_discount": 0.0})

    def grad_v(self, m: TabularModel, policy: Array, mean_u: Array) -> Array:
        return summed(self.discount_of_solve(m) * self.kernel_of_solve(m, policy), mean_u, 10)


class TransposedSolve(Formula):
    mistake = "P for Pᵀ in the adjoint solve"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"follower_discount": 0.0})

    def kernel_of_solve(self, m: TabularModel, policy: Array) -> Array:
        return super().kernel_of_solve(m, policy).T


class DampedHessian(Formula):
    mistake = "the follower's Hessian in softmax logits damped, (H + ηI)⁻¹ with η = 1e-3 (PARL)"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"n_actions": 1})
    damping = 1e-3

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        # H = −τ d (diag π − ππᵀ), d the follower's own occupancy; ∂J/∂logits = π·benefit; cross derivative d K ∇Q_F.
        kernel = state_kernel(planned(m), policy)
        d = np.linalg.solve(np.eye(len(kernel)) - m.follower_discount * kernel.T, m.initial)
        fisher = d[:, None, None] * (policy[:, :, None] * (np.eye(policy.shape[1]) - policy[:, None, :]))
        damped = m.temperature * fisher + self.damping * np.eye(policy.shape[1])
        return np.asarray(np.einsum("sa,sad->d", policy * benefit, np.linalg.solve(damped, fisher @ grad_q)))


class FollowersQInBenefit(Formula):
    mistake = "Q_F for Q_L in the Benefit"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"n_actions": 1})

    def steered_by(self, m: TabularModel, q_leader: Array, v: Array) -> Array:
        shape = m.follower_reward.shape
        return np.asarray(m.follower_reward + m.follower_discount * (planned(m) @ v).reshape(shape))


class EntropyTwice(Formula):
    mistake = "∇V_F = Σ π∇Q_F + Σ ∇π Q_F: the entropy's gradient left in (no envelope theorem)"
    exposed_by = ("garnet", {"temperature": 0.3})
    hidden_by = ("garnet", {"n_actions": 1})

    def grad_q(self, m: TabularModel, policy: Array, u: Array, later: Array, v: Array) -> Array:
        # ∇V = Σ_a π(∇Q + (∇Q − ∇V̄)Q/τ) = Σ_a π(1 + (Q − Q̄)/τ)∇Q: the same recursion under a signed "policy".
        q = m.follower_reward + m.follower_discount * (planned(m) @ v).reshape(policy.shape)
        tilted = policy * (1.0 + (q - (policy * q).sum(axis=1, keepdims=True)) / m.temperature)
        return super().grad_q(m, tilted, u, later, v)


# Forgotten terms.


class ForgottenKernelFollower(Formula):
    mistake = "∇log p V_F forgotten in ∇Q_F"
    exposed_by = ("garnet", {})
    hidden_by = ("four-rooms", {"temperature": 0.003})

    def immediate(self, m: TabularModel, c: TabularArrays, v: Array) -> Array:
        return c.follower_reward.ravel()


class ForgottenKernelInSolve(Formula):
    mistake = "∇log p V_F forgotten in the solve for ∇V_F: there at the first step, missing at all later ones"
    exposed_by = ("garnet", {})
    hidden_by = ("four-rooms", {"temperature": 0.003})

    def immediate_later(self, columns: list[TabularArrays], u: Array) -> Array:
        return np.stack([c.follower_reward.ravel() for c in columns], axis=1)


class ForgottenKernelLeader(Formula):
    mistake = "∇log p V_L forgotten"
    exposed_by = ("garnet", {})
    hidden_by = ("four-rooms", {"temperature": 0.003})

    def leader_kernel_term(self, m: TabularModel, c: TabularArrays, v_leader: Array) -> Array:
        return np.zeros_like(m.leader_reward)


class ForgottenStart(Formula):
    mistake = "∇log ρ V_L forgotten"
    exposed_by = ("garnet", {})
    hidden_by = ("four-rooms", {"temperature": 0.003})

    def start_term(self, c: TabularArrays, v_leader: Array) -> float:
        return 0.0


class ForgottenReward(Formula):
    mistake = "∇r_L forgotten"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    spares = 0  # the follower's reward is not the leader's

    def leader_reward_term(self, c: TabularArrays) -> Array:
        return np.zeros_like(c.leader_reward)


class EntropyForgotten(Formula):
    mistake = "Σ π Q_F for V_F (entropy forgotten) where ∇p is multiplied with it"
    exposed_by = ("garnet", {"temperature": 0.3})
    hidden_by = ("garnet", {"n_actions": 1})

    def continuation_value(self, m: TabularModel, v: Array, policy: Array) -> Array:
        q = m.follower_reward + m.follower_discount * (planned(m) @ v).reshape(policy.shape)
        return np.asarray((policy * q).sum(axis=1))


# Mistakes with what the leader wants.


class EntropyForLeader(Formula):
    mistake = "the follower's entropy added to the leader's reward: r_L − τ log π for r_L"
    exposed_by = ("garnet", {"temperature": 0.3})
    hidden_by = ("garnet", {"n_actions": 1})

    def leader_reward(self, m: TabularModel, policy: Array) -> Array:
        return np.asarray(m.leader_reward - m.temperature * np.log(np.maximum(policy, 1e-300)))


class SoftLeader(Formula):
    mistake = "V_L backed up softly, with the follower's entropy; the Benefit without"
    exposed_by = ("garnet", {"temperature": 0.3})
    hidden_by = ("garnet", {"n_actions": 1})

    def v_leader(self, m: TabularModel, policy: Array) -> Array:
        entropy = -(policy * np.log(np.maximum(policy, 1e-300))).sum(axis=1, keepdims=True)
        return super().v_leader(replace(m, leader_reward=m.leader_reward + m.temperature * entropy), policy)


# Mistakes of the value penalty, J(θ, π) − λ (V*_F − V_F^π) at its maximum over π.


class PenaltyMethod(Formula):
    mistake = "the value penalty with λ = 2: its one-sided difference quotient, not yet the limit (PBRL)"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"n_actions": 1})

    def context(self, m: TabularModel, columns: list[TabularArrays]) -> Array:
        if isinstance(self.problem.objective, PolicyObjective):
            return super().context(m, columns)  # the leader's reward is what is added to the follower's
        return penalty.quotient(m, columns, self.soft_value(m))


class PenaltyOptimumConstant(Formula):
    mistake = "the value penalty with λ = 2 and its optimum V*_F taken as a constant"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"n_actions": 1})
    spares = 1  # the leader's reward moves no V*_F

    def context(self, m: TabularModel, columns: list[TabularArrays]) -> Array:
        if isinstance(self.problem.objective, PolicyObjective):
            return super().context(m, columns)
        return penalty.optimum_constant(m, columns, self.soft_value(m))


class PenaltyDetached(Formula):
    mistake = "the value penalty (λ = 2) detached: no θ in it, only in the leader's own terms at the penalised policy"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"n_actions": 1})

    def context(self, m: TabularModel, columns: list[TabularArrays]) -> Array:
        if isinstance(self.problem.objective, PolicyObjective):
            return super().context(m, columns)
        policy = penalty.penalised_policy(m, self.soft_value(m))
        v_leader, occupancy = self.v_leader(m, policy), self.occupancy(m, policy)
        return np.array([self.direct(m, c, policy, occupancy, v_leader) for c in columns])


# Mistakes with the follower and the chain.


class TemperatureOneInPolicy(Formula):
    mistake = "softmax(Q_F) for softmax(Q_F/τ): τ = 1 in the policy"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"temperature": 1.0})

    def policy(self, m: TabularModel, v: Array) -> Array:
        return super().policy(replace(m, temperature=1.0), v)


class TemperatureOneInValue(Formula):
    mistake = "τ = 1 in V_F's log-sum-exp"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"temperature": 1.0})

    def soft_value(self, m: TabularModel) -> Array:
        return super().soft_value(replace(m, temperature=1.0))


class TemperatureOneThroughout(Formula):
    mistake = "τ = 1 throughout"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"temperature": 1.0})

    def context(self, m: TabularModel, columns: list[TabularArrays]) -> Array:
        return super().context(replace(m, temperature=1.0), columns)


class UndiscountedPlanner(Formula):
    mistake = "the follower planned without a discount, over 1/(1 − γ_F) steps"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"follower_discount": 0.0})

    def soft_value(self, m: TabularModel) -> Array:
        v = np.zeros(m.n_states)
        for _ in range(steps_for(m.follower_discount) - 1):
            v = lse(self._undiscounted(m, v), m.temperature)[0]
        return v

    def policy(self, m: TabularModel, v: Array) -> Array:
        return np.asarray(lse(self._undiscounted(m, v), m.temperature)[1])

    def _undiscounted(self, m: TabularModel, v: Array) -> Array:
        return np.asarray(m.follower_reward + (planned(m) @ v).reshape(m.follower_reward.shape))


class HardMax(Formula):
    mistake = "max for the soft maximum in V_F"
    exposed_by = ("garnet", {"temperature": 0.3})
    hidden_by = ("garnet", {"n_actions": 1})

    def soft_value(self, m: TabularModel) -> Array:
        matrix, shape = planned(m), m.follower_reward.shape

        def step(v: Array) -> Array:
            return np.asarray((m.follower_reward + m.follower_discount * (matrix @ v).reshape(shape)).max(axis=1))

        return sweep(step, np.zeros(m.n_states), max_sweeps=5000).x


class StoppedEarly(Formula):
    mistake = "the follower stopped after 25 sweeps"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    hidden_by = ("garnet", {"follower_discount": 0.0})

    def soft_value(self, m: TabularModel) -> Array:
        v = np.zeros(m.n_states)
        for _ in range(25):
            v = soft_backup(m, planned(m), v)[0]
        return v


class TransposedKernel(Formula):
    mistake = "P for Pᵀ in the occupancy"
    exposed_by = ("garnet", {})
    hidden_by = ("garnet", {"leader_discount": 0.0})

    def kernel_of_occupancy(self, m: TabularModel, policy: Array) -> Array:
        return super().kernel_of_occupancy(m, policy).T


class UndiscountedVisits(Formula):
    mistake = "visits counted without γ_L^t over 1/(1 − γ_L) steps, where values are discounted"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"leader_discount": 0.0})

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        return summed(self.kernel_of_occupancy(m, policy), m.initial, steps_for(self.discount_of_occupancy(m)))


class VisitsCut(Formula):
    mistake = "visits counted over 1/(1 − γ_L) steps only"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    hidden_by = ("garnet", {"leader_discount": 0.0})

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        gamma = self.discount_of_occupancy(m)
        return summed(gamma * self.kernel_of_occupancy(m, policy), m.initial, steps_for(gamma))


class VisitsFromOne(Formula):
    mistake = "t ≥ 1 for t ≥ 0 in the occupancy: the first visit not counted"
    exposed_by = ("garnet", {"leader_discount": 0.9})
    spares = 3  # the start's own term has V_L only

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        return np.asarray(super().occupancy(m, policy) - m.initial)


class UniformOccupancy(Formula):
    mistake = "occupancy of the uniform policy, uncorrected"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    hidden_by = ("garnet", {"n_actions": 1})

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        return super().occupancy(m, np.full_like(policy, 1.0 / policy.shape[1]))


def _renormalised(matrix: Any) -> Array:
    dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    sums = dense.sum(axis=1, keepdims=True)
    return np.asarray(dense / np.where(sums > 0.0, sums, 1.0))


class EndingsIgnored(Formula):
    mistake = "endings ignored: rows of p renormalised in ∇Q_F"
    exposed_by = ("garnet", {"ending": 0.2})
    hidden_by = ("garnet", {"ending": 0.0})

    def follower_matrix(self, m: TabularModel) -> Any:
        return _renormalised(planned(m))


class EndingsIgnoredInVisits(Formula):
    mistake = "endings ignored: rows of p renormalised in the occupancy"
    exposed_by = ("garnet", {"ending": 0.2})
    hidden_by = ("garnet", {"ending": 0.0})

    def kernel_of_occupancy(self, m: TabularModel, policy: Array) -> Array:
        return state_kernel(_renormalised(matrix_of(m.transition)), policy).T


class WorldsKernelForFollower(Formula):
    mistake = "the world's kernel in ∇Q_F of a follower that plans with its own"
    exposed_by = ("four-rooms", {"kernel": "as-published", "temperature": 0.003})
    hidden_by = ("four-rooms", {"kernel": "simulator", "temperature": 0.003})

    def follower_matrix(self, m: TabularModel) -> Any:
        return matrix_of(m.transition)


class FirstContextOnly(Formula):
    mistake = "one context's gradient for the mean over all"
    exposed_by = ("four-rooms-two-goals", {"temperature": 0.003})
    hidden_by = ("four-rooms", {"temperature": 0.003})

    def context_weight(self, c: int, probabilities: Array) -> float:
        return 1.0 if c == 0 else 0.0


MUTANTS = mutants_of(Formula)
