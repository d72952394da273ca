"""Plausible wrong hypergradients of the tabular family: Theorem 1 with one mistake each."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from boltzgrad.gradients.tabular.expectation import applied
from boltzgrad.gradients.tabular.sweeps import matrix_of, planned, soft_backup, soft_values, state_kernel
from boltzgrad.problems import ConfigurableMDP, PolicyObjective, TabularArrays, TabularModel
from boltzgrad.problems.configurable import LinearisedBuild
from boltzgrad.problems.kernel import Array
from boltzgrad.verify.mutants.mutant import WrongFormula, mutants_of

# Every mistake but two begins with the same follower: swept once for all that are made on one problem at one θ.


@lru_cache(maxsize=2)
def _linearised(problem: ConfigurableMDP, theta: bytes) -> LinearisedBuild:
    return problem.linearise(np.frombuffer(theta))


@lru_cache(maxsize=4)
def _soft_fixed_point(m: TabularModel) -> Array:
    return soft_values(m).x


class Formula(WrongFormula):
    """Theorem 1 (or SoBiRL (24)), dense and small, one method a step.  Source: BC-HG (5), (6)."""

    mistake = "none: the correct formula"
    exposed_by = ("garnet", {})

    def __init__(self, problem: ConfigurableMDP, theta: Array) -> None:
        self.problem, self.theta = problem, theta

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        linearised = _linearised(self.problem, self.theta.tobytes())
        columns = list(linearised.columns())
        total = np.zeros(self.problem.dim)
        for c, model in enumerate(linearised.contexts.models):
            weight = self.context_weight(c, linearised.contexts.probabilities)
            total += weight * self.context(model, [column.models[c] for column in columns])
        if self.problem.regulariser is not None:
            total += self.problem.regulariser.gradient_at(self.theta)
        return total

    def context(self, m: TabularModel, columns: list[TabularArrays]) -> Array:
        """The gradient of one model's value."""
        v = self.soft_value(m)
        policy = self.policy(m, v)
        u = np.stack([self.immediate(m, c, self.continuation_value(m, v, policy)) for c in columns], axis=1)
        grad_q = self.grad_q(m, policy, u, v)
        objective = self.problem.objective
        if isinstance(objective, PolicyObjective):
            direct, worth = objective.gradients(self.theta, policy)
        else:
            v_leader = self.v_leader(m, policy)
            q_leader = self.q_leader(m, v_leader)
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
        return c.follower_reward.ravel() + m.follower_discount * applied(moved, planned(m), v)

    def grad_q(self, m: TabularModel, policy: Array, u: Array, v: Array) -> Array:
        """∇Q_F (S, A, d) from its Bellman equation."""
        matrix, gamma = self.follower_matrix(m), self.discount_of_grad_q(m)
        u3 = u.reshape(*policy.shape, -1)
        kernel = state_kernel(matrix, policy)
        grad_v = np.linalg.solve(np.eye(len(kernel)) - gamma * kernel, np.einsum("sa,sad->sd", policy, u3))
        return np.asarray(u3 + gamma * (matrix @ grad_v).reshape(u3.shape))

    def follower_matrix(self, m: TabularModel) -> Any:
        """The kernel in ∇Q_F's Bellman equation: the one the follower plans with."""
        return planned(m)

    def discount_of_grad_q(self, m: TabularModel) -> float:
        """The discount in ∇Q_F's Bellman equation."""
        return m.follower_discount

    def v_leader(self, m: TabularModel, policy: Array) -> Array:
        """V_L under the follower's policy."""
        kernel = state_kernel(matrix_of(m.transition), policy)
        return np.linalg.solve(
            np.eye(len(kernel)) - self.discount_of_q_leader(m) * kernel, (policy * m.leader_reward).sum(axis=1)
        )

    def discount_of_q_leader(self, m: TabularModel) -> float:
        """The discount in V_L and Q_L."""
        return m.leader_discount

    def q_leader(self, m: TabularModel, v_leader: Array) -> Array:
        """Q_L."""
        carried = (matrix_of(m.transition) @ v_leader).reshape(m.leader_reward.shape)
        return np.asarray(m.leader_reward + self.discount_of_q_leader(m) * carried)

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        """ν, the discounted number of visits."""
        kernel = state_kernel(matrix_of(m.transition), policy)
        return np.linalg.solve(np.eye(len(kernel)) - self.discount_of_occupancy(m) * kernel.T, m.initial)

    def discount_of_occupancy(self, m: TabularModel) -> float:
        """The discount in ν."""
        return m.leader_discount

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
        return m.leader_discount * applied(c.transition, matrix_of(m.transition), v_leader).reshape(shape)

    def steered_by(self, m: TabularModel, q_leader: Array, v: Array) -> Array:
        """What the leader gains from an action: Q_L."""
        return q_leader

    def centred(self, policy: Array, worth: Array) -> Array:
        """Worth minus its mean under the policy: the Benefit."""
        return np.asarray(worth - (policy * worth).sum(axis=1, keepdims=True))

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        """(1/τ) Σ ν π ∇Q_F B."""
        return np.asarray(np.einsum("sa,sa,sad->d", policy, benefit, grad_q)) / m.temperature


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
        return super().indirect(m, policy, benefit, grad_q) / m.temperature


class LostTemperature(Formula):
    mistake = "1/τ lost"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    hidden_by = ("garnet", {"temperature": 1.0})

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        return m.temperature * super().indirect(m, policy, benefit, grad_q)


class FlippedSign(Formula):
    mistake = "third term subtracted"
    exposed_by = ("synthetic-hard", {})
    hidden_by = ("garnet", {"n_actions": 1})

    def indirect(self, m: TabularModel, policy: Array, benefit: Array, grad_q: Array) -> Array:
        return -super().indirect(m, policy, benefit, grad_q)


class OneStepTruncation(Formula):
    mistake = "∇r_F for ∇Q_F: SoBiRL's one-step truncation"
    exposed_by = ("synthetic-hard", {})
    hidden_by = ("garnet", {"follower_discount": 0.0})

    def grad_q(self, m: TabularModel, policy: Array, u: Array, v: Array) -> Array:
        return u.reshape(*policy.shape, -1)


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

    def grad_q(self, m: TabularModel, policy: Array, u: Array, v: Array) -> Array:
        # ∇V = Σ_a π(∇Q + (∇Q − ∇V̄)Q/τ) = Σ_a π(1 + (Q − Q̄)/τ)∇Q: the same recursion under a signed "policy".
        q = m.follower_reward + m.follower_discount * (planned(m) @ v).reshape(policy.shape)
        tilted = policy * (1.0 + (q - (policy * q).sum(axis=1, keepdims=True)) / m.temperature)
        return super().grad_q(m, tilted, u, v)


# Forgotten terms.


class ForgottenKernelFollower(Formula):
    mistake = "∇log p V_F forgotten in ∇Q_F"
    exposed_by = ("garnet", {})
    hidden_by = ("four-rooms", {"temperature": 0.003})

    def immediate(self, m: TabularModel, c: TabularArrays, v: Array) -> Array:
        return c.follower_reward.ravel()


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


# Mistakes with the follower and the chain.


class HardMax(Formula):
    mistake = "max for the soft maximum in V_F"
    exposed_by = ("garnet", {"temperature": 0.3})
    hidden_by = ("garnet", {"n_actions": 1})

    def soft_value(self, m: TabularModel) -> Array:
        v = np.zeros(m.n_states)
        for _ in range(5000):
            q = m.follower_reward + m.follower_discount * (planned(m) @ v).reshape(m.follower_reward.shape)
            v = q.max(axis=1)
        return np.asarray(v)


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

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        kernel = state_kernel(matrix_of(m.transition), policy)
        return np.linalg.solve(np.eye(len(kernel)) - m.leader_discount * kernel, m.initial)


class UniformOccupancy(Formula):
    mistake = "occupancy of the uniform policy, uncorrected"
    exposed_by = ("four-rooms", {"temperature": 0.003})
    hidden_by = ("garnet", {"n_actions": 1})

    def occupancy(self, m: TabularModel, policy: Array) -> Array:
        return super().occupancy(m, np.full_like(policy, 1.0 / policy.shape[1]))


class EndingsIgnored(Formula):
    mistake = "endings ignored: rows of p renormalised in ∇Q_F"
    exposed_by = ("garnet", {"ending": 0.2})
    hidden_by = ("garnet", {"ending": 0.0})

    def follower_matrix(self, m: TabularModel) -> Any:
        matrix = planned(m)
        dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
        sums = dense.sum(axis=1, keepdims=True)
        return dense / np.where(sums > 0.0, sums, 1.0)


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
