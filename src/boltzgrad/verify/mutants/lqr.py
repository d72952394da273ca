"""Plausible wrong hypergradients of linear-quadratic problems: the forward derivative with one mistake each."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.errors import Unfinished
from boltzgrad.gradients.lqr.adjoint import LeaderAdjoint, Loop, finite_leader, infinite_leader, loop
from boltzgrad.gradients.lqr.doubling import Powers, cost_matrix
from boltzgrad.gradients.lqr.explicit import riccati_forcing
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import LQArrays, LQModel
from boltzgrad.solvers.balancing import units_of
from boltzgrad.verify.mutants.mutant import WrongFormula, mutants_of

LQR = "random-lqr"
LEADER_ONLY: tuple[str, dict[str, Any]] = (LQR, {"moves": "leader"})  # the follower's answer does not depend on θ


class Formula(WrongFormula):
    """Differentiate Riccati equation, gains, closed loop and leader's value in turn, one method a step.

    Source: BC-HG Props 1 and 2, (59)–(98); MATH 7.
    """

    mistake = "none: the correct formula"
    exposed_by = (LQR, {})
    hidden_by = LEADER_ONLY

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        at = self.problem.linearise(self.theta)
        # In natural units, so that a mistake is the same in any: in others some of them would only be rounding.
        units = units_of(at.model, cost_matrix(at.model)[0])
        model = units.model(at.model)
        a, (P, _, _) = model.arrays(), cost_matrix(model)
        closed = loop(model, a, P)
        forever = model.horizon is None and model.bump is None
        lead = infinite_leader(model, a, closed) if forever else finite_leader(model, a, closed)
        return np.array([units.reward * self.slope(model, P, closed, lead, units.arrays(column)) for column in at.columns()])

    def slope(self, m: LQModel, P: Array, at: Loop, lead: LeaderAdjoint, c: LQArrays) -> float:
        """DJ along one coordinate."""
        dP = self.dP(m, P, c)
        dM = c.R + m.follower_discount * (c.B.T @ P @ m.B + m.B.T @ dP @ m.B + m.B.T @ P @ c.B)
        dK = self.dK(m, P, at, c, dP, dM)
        dsigma = self.dsigma(m, at, dM)
        dK_w = self.dK_w(m, P, at, c, dP, dM) if m.observed else None
        dF = self.dF(m, at, c, dK)
        follower = float((lead.F * dF).sum()) + self.action_terms(m, at, lead, c, dK, dsigma, dK_w)
        follower += self.noise_term(m, lead, self.dnoise(m, at, c, dsigma, dK_w))
        return follower + self.start_terms(lead, c) + self.leader_terms(lead, c)

    # The steps, in order.

    def dP(self, m: LQModel, P: Array, c: LQArrays) -> Array:
        """DP = γF'dPF + dS."""
        F, forcing = riccati_forcing(m, P, c)
        return self.fixed_point(F, forcing, self.riccati_discount(m))

    def riccati_discount(self, m: LQModel) -> float:
        """The discount in the Riccati equation's derivative."""
        return m.follower_discount

    def fixed_point(self, F: Array, forcing: Array, discount: float) -> Array:
        """X = γF'XF + forcing, by doubling; only as many terms as a solve of the right equation has, should it be a wrong one."""
        try:
            return np.asarray(Powers(F, discount).backward(forcing))
        except Unfinished:
            return np.full_like(forcing, np.nan)

    def dK(self, m: LQModel, P: Array, at: Loop, c: LQArrays, dP: Array, dM: Array) -> Array:
        """d(γM⁻¹B'PA)."""
        inner = c.B.T @ P @ m.A + m.B.T @ dP @ m.A + m.B.T @ P @ c.A
        return np.asarray(at.M_inv @ (self.gain_discount(m) * inner - dM @ at.K))

    def gain_discount(self, m: LQModel) -> float:
        """The discount in K."""
        return m.follower_discount

    def dsigma(self, m: LQModel, at: Loop, dM: Array) -> Array:
        """d((τ/2)M⁻¹)."""
        return np.asarray(-0.5 * m.temperature * at.M_inv @ dM @ at.M_inv)

    def dK_w(self, m: LQModel, P: Array, at: Loop, c: LQArrays, dP: Array, dM: Array) -> Array:
        """d(γM⁻¹B'P)."""
        return np.asarray(at.M_inv @ (m.follower_discount * (c.B.T @ P + m.B.T @ dP) - dM @ at.K_w))

    def dF(self, m: LQModel, at: Loop, c: LQArrays, dK: Array) -> Array:
        """d(A − BK)."""
        return np.asarray(c.A - c.B @ at.K - m.B @ dK)

    def dnoise(self, m: LQModel, at: Loop, c: LQArrays, dsigma: Array, dK_w: Array | None) -> Array:
        """D of the covariance of x' given x."""
        spread = c.B @ at.sigma @ m.B.T
        out = m.B @ dsigma @ m.B.T + spread + spread.T
        if dK_w is None:
            return np.asarray(out + c.W)
        moved = -(c.B @ at.K_w + m.B @ dK_w) @ m.W @ at.G.T
        return np.asarray(out + at.G @ c.W @ at.G.T + moved + moved.T)

    def noise_term(self, m: LQModel, lead: LeaderAdjoint, dnoise: Array) -> float:
        """What the noise adds: the trace term."""
        return float((lead.noise * dnoise).sum())

    def action_terms(
        self, m: LQModel, at: Loop, lead: LeaderAdjoint, c: LQArrays, dK: Array, dsigma: Array, dK_w: Array | None
    ) -> float:
        """What the leader pays for u."""
        daction: Any = dsigma
        if dK_w is not None:
            half = dK_w @ m.W @ at.K_w.T
            daction = dsigma + half + half.T + at.K_w @ c.W @ at.K_w.T
        return float((lead.K * dK).sum() + (lead.action * daction).sum())

    def start_terms(self, lead: LeaderAdjoint, c: LQArrays) -> float:
        """∇ of x₀'s distribution."""
        return float((lead.mean * c.mean).sum() + (lead.covariance * c.covariance).sum())

    def leader_terms(self, lead: LeaderAdjoint, c: LQArrays) -> float:
        """∇r_L."""
        costs = (lead.leader_Q * c.leader_Q).sum() + (lead.leader_R * c.leader_R).sum()
        return float(costs + lead.constant * c.leader_constant)


class FrozenRiccati(Formula):
    mistake = "P not differentiated"

    def dP(self, m: LQModel, P: Array, c: LQArrays) -> Array:
        return np.zeros_like(P)


class LeadersDiscountInRiccati(Formula):
    mistake = "γ_L in the Riccati equation's derivative"
    hidden_by = (LQR, {"leader_discount": 0.9})

    def riccati_discount(self, m: LQModel) -> float:
        return m.leader_discount


class TransposedLyapunov(Formula):
    mistake = "F dP F' for F' dP F"

    def fixed_point(self, F: Array, forcing: Array, discount: float) -> Array:
        return super().fixed_point(F.T, forcing, discount)


class GainWithoutDiscount(Formula):
    mistake = "K = M⁻¹B'PA differentiated without its γ"

    def gain_discount(self, m: LQModel) -> float:
        return 1.0


class LeadersDiscountInGain(Formula):
    mistake = "γ_L in K"
    hidden_by = (LQR, {"leader_discount": 0.9})

    def gain_discount(self, m: LQModel) -> float:
        return m.leader_discount


class MissingTrace(Formula):
    mistake = "the trace term of the noise not differentiated"

    def noise_term(self, m: LQModel, lead: LeaderAdjoint, dnoise: Array) -> float:
        return 0.0


class NoiseOneStepEarly(Formula):
    mistake = "1/(1 − γ_L) for γ_L/(1 − γ_L) in the noise's trace term"

    def noise_term(self, m: LQModel, lead: LeaderAdjoint, dnoise: Array) -> float:
        return super().noise_term(m, lead, dnoise) / m.leader_discount


class TauForHalfTau(Formula):
    mistake = "Σ = τM⁻¹ for (τ/2)M⁻¹, differentiated"

    def dsigma(self, m: LQModel, at: Loop, dM: Array) -> Array:
        return 2.0 * super().dsigma(m, at, dM)


class FrozenExploration(Formula):
    mistake = "the policy's covariance not differentiated"

    def dsigma(self, m: LQModel, at: Loop, dM: Array) -> Array:
        return np.zeros_like(dM)


class ForgottenInput(Formula):
    mistake = "dF = dA − B dK: dB K forgotten"

    def dF(self, m: LQModel, at: Loop, c: LQArrays, dK: Array) -> Array:
        return np.asarray(c.A - m.B @ dK)


class FrozenGain(Formula):
    mistake = "the follower's answer K not differentiated (Naive-PGD)"

    def dK(self, m: LQModel, P: Array, at: Loop, c: LQArrays, dP: Array, dM: Array) -> Array:
        return np.zeros_like(at.K)


class FrozenDisturbanceGain(Formula):
    mistake = "the answer to the observed disturbance, K_w, not differentiated"
    exposed_by = (LQR, {"observed": True})
    hidden_by = (LQR, {"observed": False})

    def dK_w(self, m: LQModel, P: Array, at: Loop, c: LQArrays, dP: Array, dM: Array) -> Array:
        return np.zeros_like(at.K_w)


class DisturbanceUnanswered(Formula):
    mistake = "the observed disturbance taken as noise that nobody answers"
    exposed_by = (LQR, {"observed": True})
    hidden_by = (LQR, {"observed": False})

    def dnoise(self, m: LQModel, at: Loop, c: LQArrays, dsigma: Array, dK_w: Array | None) -> Array:
        return super().dnoise(m, at, c, dsigma, None)


class ForgottenActionCost(Formula):
    mistake = "the leader's cost of u not differentiated through the follower"

    def action_terms(
        self, m: LQModel, at: Loop, lead: LeaderAdjoint, c: LQArrays, dK: Array, dsigma: Array, dK_w: Array | None
    ) -> float:
        return 0.0


class ForgottenStart(Formula):
    mistake = "∇log ρ forgotten: x₀'s distribution taken as fixed"
    hidden_by = (LQR, {"moves": "follower"})

    def start_terms(self, lead: LeaderAdjoint, c: LQArrays) -> float:
        return 0.0


class ForgottenReward(Formula):
    mistake = "∇r_L forgotten"
    hidden_by = (LQR, {"moves": "follower"})

    def leader_terms(self, lead: LeaderAdjoint, c: LQArrays) -> float:
        return 0.0


MUTANTS = mutants_of(Formula)
