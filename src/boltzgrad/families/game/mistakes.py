"""Plausible wrong hypergradients of Markov games: Theorem 2 with one mistake each."""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.game.problem import paid_to_leader
from boltzgrad.families.game.sweeps import lse
from boltzgrad.families.mistake import WrongFormula, mutants_of
from boltzgrad.families.tabular.fixed_points import at_rest
from boltzgrad.families.tabular.mistakes import steps_for, summed
from boltzgrad.families.tabular.sweeps import matrix_of, state_kernel

GAME = "random-game"
NO_FUTURE = (GAME, {"follower_discount": 0.0})  # ∇Q_F = 0: the third term vanishes
NO_CHOICE = (GAME, {"n_follower_actions": 1})  # the follower has nothing to answer


class Formula(WrongFormula):
    """Theorem 2 for a follower that sees the action, one method a step.  Source: BC-HG (8)(9)(33)(40)."""

    mistake = "none: the correct formula"
    exposed_by = (GAME, {})

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        game = self.problem
        at = game.linearise(self.theta)
        f, forward = at.model, at.pushforward
        slopes = np.stack([forward(e) for e in np.eye(game.dim)], axis=2)
        q = self.q_follower(self.planned(f))
        g = self.answer(f, q)
        weights = f[:, :, None] * g
        v_leader = self.v_leader(weights, g)
        q_leader = self.q_leader(g, v_leader)
        occupancy = self.occupancy(weights)
        grad_q = self.grad_q(f, slopes, weights, q)
        benefit = self.benefit(g, q_leader, v_leader)
        return self.direct(f, slopes, g, q_leader, occupancy) + self.indirect(weights, occupancy, grad_q, benefit)

    # The steps, in order.

    def planned(self, f: Array) -> Array:
        """The fixed point U (S,) of the follower's planning."""
        return at_rest(lambda u: self.continuation(f, self.q_follower(u)), np.zeros(self.problem.n_states))

    def q_follower(self, u: Array) -> Array:
        """Q_F = r_F + γ_F P U, (S, A, B)."""
        joint, shape = self.problem.joint, (self.problem.n_states, self.problem.n_leader_actions, -1)
        return np.asarray(
            joint.follower_reward.reshape(shape)
            + self.discount_of_follower() * (matrix_of(joint.transition) @ u).reshape(shape)
        )

    def discount_of_follower(self) -> float:
        """The discount that the follower plans with."""
        return float(self.problem.joint.follower_discount)

    def continuation(self, f: Array, q: Array) -> Array:
        """U(s) = Σ_a f V_F."""
        return np.asarray((f * lse(q, self.problem.joint.temperature)[0]).sum(axis=1))

    def answer(self, f: Array, q: Array) -> Array:
        """g(b|s,a)."""
        return np.asarray(lse(q, self.problem.joint.temperature)[1])

    def discount_of_leader(self) -> float:
        """The leader's discount, wherever the leader counts."""
        return float(self.problem.joint.leader_discount)

    def leader_reward(self, g: Array) -> Array:
        """r_L (S, A, B), as V_L and Q_L have it."""
        f = self.problem.leader_policy(self.theta)
        return np.asarray(paid_to_leader(self.problem, f).reshape(g.shape))

    def v_leader(self, weights: Array, g: Array) -> Array:
        """V_L under both policies."""
        kernel = self.kernel(weights)
        earned = (weights * self.leader_reward(g)).sum(axis=(1, 2))
        return np.linalg.solve(np.eye(len(kernel)) - self.discount_of_q_leader() * kernel, earned)

    def discount_of_q_leader(self) -> float:
        """The discount in V_L and Q_L."""
        return self.discount_of_leader()

    def q_leader(self, g: Array, v_leader: Array) -> Array:
        """Q_L."""
        carried = (matrix_of(self.problem.joint.transition) @ v_leader).reshape(g.shape)
        return np.asarray(self.leader_reward(g) + self.discount_of_leaders_backup() * carried)

    def discount_of_leaders_backup(self) -> float:
        """The discount in Q_L = r_L + γ_L P V_L."""
        return self.discount_of_q_leader()

    def occupancy(self, weights: Array) -> Array:
        """ν."""
        kernel = self.kernel_of_occupancy(weights)
        return np.linalg.solve(np.eye(len(kernel)) - self.discount_of_occupancy() * kernel, self.problem.joint.initial)

    def kernel_of_occupancy(self, weights: Array) -> Array:
        """P_fgᵀ in ν's equation."""
        return self.kernel(weights).T

    def discount_of_occupancy(self) -> float:
        """The discount in ν."""
        return self.discount_of_leader()

    def grad_q(self, f: Array, slopes: Array, weights: Array, q: Array) -> Array:
        """Lemma 2: ∇Q_F = γ_F P Γ, Γ = (I − γ_F P_fg)⁻¹ Σ_a ∇f V_F."""
        ahead = self.summed(weights, np.einsum("sad,sa->sd", slopes, self.value_ahead(q)))
        return self.expected(self.discount_of_backup() * ahead, q.shape)

    def value_ahead(self, q: Array) -> Array:
        """V_F (S, A), what ∇f is multiplied with in Lemma 2."""
        return np.asarray(lse(q, self.problem.joint.temperature)[0])

    def summed(self, weights: Array, now: Array) -> Array:
        """Γ = (I − γ_F P_fg)⁻¹ Σ_a ∇f V_F, (S, d)."""
        kernel = self.kernel_of_solve(weights)
        return np.linalg.solve(np.eye(len(kernel)) - self.discount_of_solve() * kernel, now)

    def kernel_of_solve(self, weights: Array) -> Array:
        """P_fg in Γ's equation; the adjoint solve has its transpose."""
        return self.kernel(weights)

    def discount_of_grad_q(self) -> float:
        """The discount in Lemma 2."""
        return float(self.problem.joint.follower_discount)

    def discount_of_solve(self) -> float:
        """The discount in Γ's equation."""
        return self.discount_of_grad_q()

    def discount_of_backup(self) -> float:
        """The discount in ∇Q_F = γ_F P Γ."""
        return self.discount_of_grad_q()

    def benefit(self, g: Array, q_leader: Array, v_leader: Array) -> Array:
        """Q_L − Σ_b g Q_L."""
        return np.asarray(q_leader - (g * q_leader).sum(axis=2, keepdims=True))

    def direct(self, f: Array, slopes: Array, g: Array, q_leader: Array, occupancy: Array) -> Array:
        """Σ ν ∇f g Q_L."""
        moved = np.einsum("s,sad->d", occupancy, slopes)  # f ∇log f
        direct = np.einsum("s,sad,sab,sab->d", occupancy, slopes, g, q_leader)
        return np.asarray(direct - self.problem.leader_temperature * moved)

    def indirect(self, weights: Array, occupancy: Array, grad_q: Array, benefit: Array) -> Array:
        """(1/τ) Σ ν f g ∇Q_F B_L."""
        total = np.einsum("s,sab,sabd,sab->d", occupancy, weights, grad_q, benefit)
        return np.asarray(total / self.problem.joint.temperature)

    def kernel(self, weights: Array) -> Array:
        """P_fg (S, S)."""
        return state_kernel(matrix_of(self.problem.joint.transition), weights.reshape(weights.shape[0], -1))

    def expected(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Σ_s' p x(s') for x (S, d): (S, A, B, d)."""
        return np.asarray((matrix_of(self.problem.joint.transition) @ x).reshape(*shape, x.shape[1]))


class LeadersDiscountInGradQ(Formula):
    mistake = "γ_L used in ∇Q_F (Lemma 2)"
    hidden_by = (GAME, {"follower_discount": 0.95})

    def discount_of_grad_q(self) -> float:
        return float(self.problem.joint.leader_discount)


class FollowersDiscountInOccupancy(Formula):
    mistake = "γ_F used in the occupancy"
    hidden_by = (GAME, {"follower_discount": 0.95})

    def discount_of_occupancy(self) -> float:
        return float(self.problem.joint.follower_discount)


class FollowersDiscountInQLeader(Formula):
    mistake = "γ_F used in V_L and Q_L"
    hidden_by = (GAME, {"follower_discount": 0.95})

    def discount_of_q_leader(self) -> float:
        return float(self.problem.joint.follower_discount)


class FollowersDiscountForLeader(Formula):
    mistake = "γ_F for γ_L throughout: in V_L, Q_L and the occupancy"
    hidden_by = (GAME, {"follower_discount": 0.95})

    def discount_of_leader(self) -> float:
        return float(self.problem.joint.follower_discount)


class LeadersDiscountInPlanning(Formula):
    mistake = "γ_L for γ_F where the follower plans, in V_F"
    hidden_by = (GAME, {"follower_discount": 0.95})

    def discount_of_follower(self) -> float:
        return float(self.problem.joint.leader_discount)


class LeadersDiscountInSolve(Formula):
    mistake = "γ_L in the solve for Γ only: the adjoint solve (I − γ_L P_fg)⁻ᵀ, where γ_F belongs"
    hidden_by = (GAME, {"follower_discount": 0.95})

    def discount_of_solve(self) -> float:
        return float(self.problem.joint.leader_discount)


class ForgottenDiscountInGradQ(Formula):
    mistake = "∇Q_F = P Γ: its γ_F forgotten"
    hidden_by = NO_CHOICE

    def discount_of_backup(self) -> float:
        return 1.0


class ForgottenDiscountInQLeader(Formula):
    mistake = "Q_L = r_L + P V_L: its γ_L forgotten"
    hidden_by = (GAME, {"n_leader_actions": 1})

    def discount_of_leaders_backup(self) -> float:
        return 1.0


class ExponentOffByOne(Formula):
    mistake = "γ_L^(t+1) for γ_L^t in the third term"
    hidden_by = NO_FUTURE

    def indirect(self, weights: Array, occupancy: Array, grad_q: Array, benefit: Array) -> Array:
        return float(self.problem.joint.leader_discount) * super().indirect(weights, occupancy, grad_q, benefit)


class UncentredBenefit(Formula):
    mistake = "Q_L for the Benefit"
    hidden_by = NO_FUTURE

    def benefit(self, g: Array, q_leader: Array, v_leader: Array) -> Array:
        return q_leader


class BenefitOverBothPlayers(Formula):
    mistake = "Q_L − V_L(s) for the Benefit: centred over the leader's action, too"
    hidden_by = NO_FUTURE

    def benefit(self, g: Array, q_leader: Array, v_leader: Array) -> Array:
        return np.asarray(q_leader - v_leader[:, None, None])


class FromTimeZeroUncentred(Formula):
    mistake = "t ≥ 0 for t ≥ 1 in Lemma 2, with an un-centred weight (harmless with the Benefit)"
    hidden_by = (GAME, {"n_leader_actions": 1})

    def grad_q(self, f: Array, slopes: Array, weights: Array, q: Array) -> Array:
        v = lse(q, self.problem.joint.temperature)[0]
        now = np.einsum("sad,sa->sad", slopes / np.maximum(f, 1e-300)[:, :, None], v)
        return np.asarray(super().grad_q(f, slopes, weights, q) + now[:, :, None, :])

    def benefit(self, g: Array, q_leader: Array, v_leader: Array) -> Array:
        return q_leader


class OneStepOnly(Formula):
    mistake = "only t = 1 of Lemma 2's sum"
    hidden_by = NO_FUTURE

    def grad_q(self, f: Array, slopes: Array, weights: Array, q: Array) -> Array:
        v = lse(q, self.problem.joint.temperature)[0]
        return self.expected(self.discount_of_grad_q() * np.einsum("sad,sa->sd", slopes, v), q.shape)


class ThreeTermsOfTheInverse(Formula):
    mistake = "three terms of Lemma 2's sum"
    hidden_by = NO_FUTURE

    def summed(self, weights: Array, now: Array) -> Array:
        return summed(self.discount_of_solve() * self.kernel_of_solve(weights), now, 3)


class TransposedSolve(Formula):
    mistake = "P for Pᵀ in the adjoint solve"
    hidden_by = NO_FUTURE

    def kernel_of_solve(self, weights: Array) -> Array:
        return super().kernel_of_solve(weights).T


class EntropyForgotten(Formula):
    mistake = "Σ g Q_F for V_F (entropy forgotten) in Lemma 2"
    hidden_by = NO_CHOICE

    def value_ahead(self, q: Array) -> Array:
        return np.asarray((lse(q, self.problem.joint.temperature)[1] * q).sum(axis=2))


class StoppedGradient(Formula):
    mistake = "no third term: the follower's answer is not differentiated (Naive-PGD)"
    hidden_by = NO_FUTURE

    def indirect(self, weights: Array, occupancy: Array, grad_q: Array, benefit: Array) -> Array:
        return np.zeros(grad_q.shape[-1])


class FlippedSign(Formula):
    mistake = "third term subtracted"
    hidden_by = NO_FUTURE

    def indirect(self, weights: Array, occupancy: Array, grad_q: Array, benefit: Array) -> Array:
        return -super().indirect(weights, occupancy, grad_q, benefit)


class LostTemperature(Formula):
    mistake = "1/τ lost"
    hidden_by = (GAME, {"temperature": 1.0})

    def indirect(self, weights: Array, occupancy: Array, grad_q: Array, benefit: Array) -> Array:
        return float(self.problem.joint.temperature) * super().indirect(weights, occupancy, grad_q, benefit)


class TemperatureTwice(Formula):
    mistake = "1/τ applied twice"
    hidden_by = (GAME, {"temperature": 1.0})

    def indirect(self, weights: Array, occupancy: Array, grad_q: Array, benefit: Array) -> Array:
        return super().indirect(weights, occupancy, grad_q, benefit) / float(self.problem.joint.temperature)


class DampedHessian(Formula):
    mistake = "the follower's Hessian in softmax logits damped, (H + ηI)⁻¹ with η = 1e-3 (PARL)"
    hidden_by = NO_FUTURE
    damping = 1e-3

    def indirect(self, weights: Array, occupancy: Array, grad_q: Array, benefit: Array) -> Array:
        # H = −τ d (diag g − ggᵀ) at each (s, a), d(s, a) the follower's own occupancy.
        kernel, joint = self.kernel(weights), self.problem.joint
        d = np.linalg.solve(np.eye(len(kernel)) - joint.follower_discount * kernel.T, joint.initial)
        f = weights.sum(axis=2, keepdims=True)
        g = weights / np.maximum(f, 1e-300)
        eye = np.eye(g.shape[2])
        fisher = d[:, None, None, None] * f[..., None] * (g[..., None] * (eye - g[:, :, None, :]))
        damped = np.linalg.solve(joint.temperature * fisher + self.damping * eye, fisher @ grad_q)
        return np.asarray(np.einsum("s,sab,sab,sabd->d", occupancy, weights, benefit, damped))


class ForgottenDirectTerm(Formula):
    mistake = "∇f Q_L forgotten"
    hidden_by = (GAME, {"n_leader_actions": 1})

    def direct(self, f: Array, slopes: Array, g: Array, q_leader: Array, occupancy: Array) -> Array:
        return np.zeros(slopes.shape[-1])


class PublishedBaseline(Formula):
    mistake = "baseline Σ_a' f Q_L(s,a',b) in the direct term although b depends on a (published code)"
    hidden_by = NO_CHOICE

    def direct(self, f: Array, slopes: Array, g: Array, q_leader: Array, occupancy: Array) -> Array:
        baseline = (f[:, :, None] * q_leader).sum(axis=1, keepdims=True)
        return super().direct(f, slopes, g, q_leader - baseline, occupancy)


class PublishedLogSumExp(Formula):
    mistake = "log-sum-exp of the averaged Q: a follower that plans as if it would not see the action (published code)"
    hidden_by = NO_CHOICE

    def continuation(self, f: Array, q: Array) -> Array:
        return lse((f[:, :, None] * q).sum(axis=1), self.problem.joint.temperature)[0]


class TemperatureOneInAnswer(Formula):
    mistake = "softmax(Q_F) for softmax(Q_F/τ): τ = 1 in the follower's policy"
    hidden_by = (GAME, {"temperature": 1.0})

    def answer(self, f: Array, q: Array) -> Array:
        return np.asarray(lse(q, 1.0)[1])


class TemperatureOneInValue(Formula):
    mistake = "τ = 1 in the log-sum-exp that the follower plans with"
    hidden_by = (GAME, {"temperature": 1.0})

    def continuation(self, f: Array, q: Array) -> Array:
        return np.asarray((f * lse(q, 1.0)[0]).sum(axis=1))


class UndiscountedPlanner(Formula):
    mistake = "the follower planned without a discount, over 1/(1 − γ_F) steps"
    hidden_by = NO_FUTURE

    def planned(self, f: Array) -> Array:
        u = np.zeros(self.problem.n_states)
        for _ in range(steps_for(float(self.problem.joint.follower_discount)) - 1):
            u = self.continuation(f, self.q_follower(u))
        return u

    def discount_of_follower(self) -> float:
        return 1.0


class StoppedEarly(Formula):
    mistake = "the follower stopped after five sweeps"
    hidden_by = NO_FUTURE

    def planned(self, f: Array) -> Array:
        u = np.zeros(self.problem.n_states)
        for _ in range(5):
            u = self.continuation(f, self.q_follower(u))
        return u


class EntropyForLeader(Formula):
    mistake = "the follower's entropy added to the leader's reward: r_L − τ log g for r_L"
    hidden_by = NO_CHOICE

    def leader_reward(self, g: Array) -> Array:
        return super().leader_reward(g) - float(self.problem.joint.temperature) * np.log(np.maximum(g, 1e-300))


class TransposedKernel(Formula):
    mistake = "P for Pᵀ in the occupancy"
    hidden_by = (GAME, {"leader_discount": 0.0})

    def kernel_of_occupancy(self, weights: Array) -> Array:
        return super().kernel_of_occupancy(weights).T


class NormalisedVisits(Formula):
    mistake = "normalised visitation without its 1/(1 − γ_L), in the third term"
    hidden_by = NO_FUTURE

    def indirect(self, weights: Array, occupancy: Array, grad_q: Array, benefit: Array) -> Array:
        return super().indirect(weights, (1.0 - self.discount_of_leader()) * occupancy, grad_q, benefit)


class UndiscountedVisits(Formula):
    mistake = "visits counted without γ_L^t over 1/(1 − γ_L) steps, where values are discounted"
    hidden_by = (GAME, {"leader_discount": 0.0})

    def occupancy(self, weights: Array) -> Array:
        steps = steps_for(self.discount_of_occupancy())
        return summed(self.kernel_of_occupancy(weights), self.problem.joint.initial, steps)


class VisitsCut(Formula):
    mistake = "visits counted over 1/(1 − γ_L) steps only"
    hidden_by = (GAME, {"leader_discount": 0.0})

    def occupancy(self, weights: Array) -> Array:
        gamma = self.discount_of_occupancy()
        return summed(gamma * self.kernel_of_occupancy(weights), self.problem.joint.initial, steps_for(gamma))


class VisitsFromOne(Formula):
    mistake = "t ≥ 1 for t ≥ 0 in the occupancy: the first visit not counted"
    hidden_by = (GAME, {"n_leader_actions": 1})

    def occupancy(self, weights: Array) -> Array:
        return np.asarray(super().occupancy(weights) - self.problem.joint.initial)


class HardMax(Formula):
    mistake = "max for the soft maximum in V_F"
    exposed_by = (GAME, {"temperature": 0.3})
    hidden_by = NO_CHOICE

    def continuation(self, f: Array, q: Array) -> Array:
        return np.asarray((f * q.max(axis=2)).sum(axis=1))


class BlindFollower(Formula):
    mistake = "the follower taken not to see the leader's action when it acts"
    hidden_by = NO_CHOICE

    def answer(self, f: Array, q: Array) -> Array:
        h = lse((f[:, :, None] * q).sum(axis=1), self.problem.joint.temperature)[1]
        return np.repeat(h[:, None, :], f.shape[1], axis=1)


MUTANTS = mutants_of(Formula)
