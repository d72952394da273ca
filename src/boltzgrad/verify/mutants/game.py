"""Plausible wrong hypergradients of Markov games: Theorem 2 with one mistake each."""

from __future__ import annotations

import numpy as np

from boltzgrad.gradients.game.sweeps import leader_values, lse, q_follower
from boltzgrad.gradients.tabular.sweeps import matrix_of, state_kernel, sweep
from boltzgrad.problems.kernel import Array
from boltzgrad.verify.mutants.mutant import WrongFormula, mutants_of

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
        f, _, forward = game.linearise(self.theta)
        slopes = np.stack([forward(e) for e in np.eye(game.dim)], axis=2)
        u = sweep(lambda x: self.continuation(f, q_follower(game, x)), np.zeros(game.n_states)).x
        q = q_follower(game, u)
        g = self.answer(f, q)
        weights = f[:, :, None] * g
        v_leader = leader_values(game, weights).x
        joint, matrix = game.joint, matrix_of(game.joint.transition)
        q_leader = (joint.leader_reward + joint.leader_discount * (matrix @ v_leader).reshape(q.shape[0], -1)).reshape(
            q.shape
        )
        occupancy = self.occupancy(weights)
        grad_q = self.grad_q(f, slopes, weights, q)
        benefit = self.benefit(g, q_leader, v_leader)
        return self.direct(f, slopes, g, q_leader, occupancy) + self.indirect(weights, occupancy, grad_q, benefit)

    # The steps, in order.

    def continuation(self, f: Array, q: Array) -> Array:
        """U(s) = Σ_a f V_F."""
        return np.asarray((f * lse(q, self.problem.joint.temperature)[0]).sum(axis=1))

    def answer(self, f: Array, q: Array) -> Array:
        """g(b|s,a)."""
        return np.asarray(lse(q, self.problem.joint.temperature)[1])

    def occupancy(self, weights: Array) -> Array:
        """ν."""
        kernel = self.kernel(weights)
        return np.linalg.solve(
            np.eye(len(kernel)) - self.discount_of_occupancy() * kernel.T, self.problem.joint.initial
        )

    def discount_of_occupancy(self) -> float:
        """The discount in ν."""
        return float(self.problem.joint.leader_discount)

    def grad_q(self, f: Array, slopes: Array, weights: Array, q: Array) -> Array:
        """Lemma 2: ∇Q_F = γ_F P Γ, Γ = (I − γ_F P_fg)⁻¹ Σ_a ∇f V_F."""
        gamma, kernel = self.discount_of_grad_q(), self.kernel(weights)
        v = lse(q, self.problem.joint.temperature)[0]
        ahead = np.linalg.solve(np.eye(len(kernel)) - gamma * kernel, np.einsum("sad,sa->sd", slopes, v))
        return self.expected(gamma * ahead, q.shape)

    def discount_of_grad_q(self) -> float:
        """The discount in Lemma 2."""
        return float(self.problem.joint.follower_discount)

    def benefit(self, g: Array, q_leader: Array, v_leader: Array) -> Array:
        """Q_L − Σ_b g Q_L."""
        return np.asarray(q_leader - (g * q_leader).sum(axis=2, keepdims=True))

    def direct(self, f: Array, slopes: Array, g: Array, q_leader: Array, occupancy: Array) -> Array:
        """Σ ν ∇f g Q_L."""
        return np.asarray(np.einsum("s,sad,sab,sab->d", occupancy, slopes, g, q_leader))

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
