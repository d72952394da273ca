"""Plausible wrong hypergradients of linear-quadratic problems: the forward derivative with one mistake each."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.adjoint import LeaderAdjoint, Loop, finite_leader, infinite_leader, loop
from boltzgrad.families.lqr.explicit import riccati_forcing
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.families.lqr.natural_units import Units, units_of
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.sweeps import backup, cost_matrix
from boltzgrad.families.mistake import WrongFormula, mutants_of

LQR = "random-lqr"
LEADER_ONLY: tuple[str, dict[str, Any]] = (LQR, {"moves": "leader"})  # the follower's answer does not depend on θ

# Every mistake begins with the same matrices and their derivatives: traced once for all that are made at one θ.


@lru_cache(maxsize=2)
def _linearised(problem: LinearQuadratic, theta: bytes) -> tuple[LQModel, tuple[LQArrays, ...]]:
    at = problem.linearise(np.frombuffer(theta))
    return at.model, tuple(at.columns())


@lru_cache(maxsize=4)
def _cost_matrix(m: LQModel) -> Array:
    return cost_matrix(m)[0]


@lru_cache(maxsize=4)
def _natural(m: LQModel) -> tuple[Units, LQModel]:
    units = units_of(m, cost_matrix(m)[0])
    return units, units.model(m)


class Formula(WrongFormula):
    """Differentiate Riccati equation, gains, closed loop and leader's value in turn, one method a step.

    Source: BC-HG Props 1 and 2, (59)–(98); derivation `riccati-derivative`.
    """

    mistake = "none: the correct formula"
    exposed_by = (LQR, {})
    hidden_by = LEADER_ONLY

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        model, columns = _linearised(self.problem, self.theta.tobytes())
        return self.of_model(model, columns)

    def of_model(self, m: LQModel, columns: tuple[LQArrays, ...]) -> Array:
        """The gradient of one model's value; in natural units, so that rounding is no mistake in any."""
        self.units, m = _natural(m)
        P = self.cost_matrix(m)
        closed = loop(m, m.arrays(), P)
        lead = self.leader(m, closed)
        slopes = [self.slope(m, P, closed, lead, self.units.arrays(column)) for column in columns]
        return self.units.reward * np.array(slopes)

    def slope(self, m: LQModel, P: Array, at: Loop, lead: LeaderAdjoint, c: LQArrays) -> float:
        """dJ/dθ_j, where c is the derivative of the arrays in θ_j."""
        dP = self.dP(m, P, c)
        dM = self.dM(m, P, c, dP)
        dK = self.dK(m, P, at, c, dP, dM)
        dsigma = self.dsigma(m, at, dM)
        dK_w = self.dK_w(m, P, at, c, dP, dM) if m.observed else None
        dF = self.dF(m, at, c, dK)
        follower = float((lead.F * dF).sum()) + self.action_terms(m, at, lead, c, dK, dsigma, dK_w)
        follower += self.entropy_term(m, at, lead, dsigma)
        follower += self.noise_term(m, lead, self.dnoise(m, at, c, dsigma, dK_w))
        return follower + self.start_terms(lead, c) + self.leader_terms(lead, c)

    # The steps, in order.

    def cost_matrix(self, m: LQModel) -> Array:
        """P, the follower's cost matrix."""
        return _cost_matrix(m)

    def leader(self, m: LQModel, at: Loop) -> LeaderAdjoint:
        """J's cotangents in the closed loop."""
        forever = m.horizon is None and m.bump is None
        return (infinite_leader if forever else finite_leader)(m, m.arrays(), at)

    def dP(self, m: LQModel, P: Array, c: LQArrays) -> Array:
        """The derivative of P: dP = γF'dPF + dS."""
        F, forcing = self.forcing(m, P, c)
        return self.fixed_point(F, forcing, self.riccati_discount(m))

    def forcing(self, m: LQModel, P: Array, c: LQArrays) -> tuple[Array, Array]:
        """(F, dS), dS = dQ + K'dRK + γ(dA − dB K)'PF + its transpose."""
        return riccati_forcing(m, P, c)

    def riccati_discount(self, m: LQModel) -> float:
        """The discount in the Riccati equation's derivative."""
        return m.follower_discount

    def fixed_point(self, F: Array, forcing: Array, discount: float) -> Array:
        """X = γF'XF + forcing = Σ γᵗF'ᵗ forcing Fᵗ, by doubling the number of terms."""
        out, power = forcing, np.sqrt(discount) * F
        for _ in range(40):
            last, out, power = out, out + power.T @ out @ power, power @ power
            if np.array_equal(last, out):
                break
        return np.asarray(out)

    def dM(self, m: LQModel, P: Array, c: LQArrays, dP: Array) -> Array:
        """D(R + γB'PB)."""
        moved = c.B.T @ P @ m.B + m.B.T @ dP @ m.B + m.B.T @ P @ c.B
        return np.asarray(c.R + self.matrix_discount(m) * moved)

    def matrix_discount(self, m: LQModel) -> float:
        """The discount in M."""
        return m.follower_discount

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

    def entropy_term(self, m: LQModel, at: Loop, lead: LeaderAdjoint, dsigma: Array) -> float:
        """What the policy's entropy is worth to the leader: nothing."""
        return 0.0

    def start_terms(self, lead: LeaderAdjoint, c: LQArrays) -> float:
        """∇ of x₀'s distribution."""
        return float((lead.mean * c.mean).sum() + (lead.covariance * c.covariance).sum())

    def leader_terms(self, lead: LeaderAdjoint, c: LQArrays) -> float:
        """∇r_L."""
        costs = (lead.leader_Q * c.leader_Q).sum() + (lead.leader_R * c.leader_R).sum()
        spent = 0.0 if c.shift is None else (lead.K * c.shift).sum()
        return float(costs + lead.constant * c.leader_constant + spent)


class FrozenRiccati(Formula):
    mistake = "P not differentiated"

    def dP(self, m: LQModel, P: Array, c: LQArrays) -> Array:
        return np.zeros_like(P)


class LeadersDiscountInRiccati(Formula):
    mistake = "γ_L in the Riccati equation's derivative"
    hidden_by = (LQR, {"leader_discount": 0.9})

    def riccati_discount(self, m: LQModel) -> float:
        return m.leader_discount


class LeadersDiscountForFollower(Formula):
    mistake = "γ_L for γ_F wherever the follower plans: in P, K, Σ and their derivatives"
    hidden_by = (LQR, {"leader_discount": 0.9})

    def of_model(self, m: LQModel, columns: tuple[LQArrays, ...]) -> Array:
        return super().of_model(replace(m, follower_discount=m.leader_discount), columns)


class FollowersDiscountForLeader(Formula):
    mistake = "γ_F for γ_L throughout the leader's sum"
    hidden_by = (LQR, {"leader_discount": 0.9})

    def leader(self, m: LQModel, at: Loop) -> LeaderAdjoint:
        return super().leader(replace(m, leader_discount=m.follower_discount), at)


class FollowersDiscountInMoments(Formula):
    mistake = "γ_F in Y = Σ γ_L^t E[xx'], γ_L in the cost-to-go: discounted differently on the two sides"
    hidden_by = (LQR, {"leader_discount": 0.9})

    def leader(self, m: LQModel, at: Loop) -> LeaderAdjoint:
        right = super().leader(m, at)
        if m.horizon is not None or m.bump is not None:
            return right  # no such Y: moments and costs-to-go go step by step
        Y = -super().leader(replace(m, leader_discount=m.follower_discount), at).leader_Q
        moved = -2.0 * m.leader_discount * (-right.covariance @ at.F @ Y)
        return replace(right, F=moved, K=-2.0 * (m.leader_R @ at.spent @ Y), leader_Q=-Y)


class FollowersDiscountInCostToGo(Formula):
    mistake = "γ_F in the leader's cost-to-go P_L, γ_L in the moments: discounted differently on the two sides"
    hidden_by = (LQR, {"leader_discount": 0.9})

    def leader(self, m: LQModel, at: Loop) -> LeaderAdjoint:
        right = super().leader(m, at)
        if m.horizon is not None or m.bump is not None:
            return right
        P_L = -super().leader(replace(m, leader_discount=m.follower_discount), at).covariance
        gamma = m.leader_discount
        return replace(
            right,
            F=-2.0 * gamma * (P_L @ at.F @ -right.leader_Q),
            noise=-gamma / (1.0 - gamma) * P_L,
            mean=-2.0 * (P_L @ m.mean),
            covariance=-P_L,
        )


class UndiscountedLeader(Formula):
    mistake = "the leader's sum over H steps without its discount"
    exposed_by = (LQR, {"horizon": 6})
    hidden_by = (LQR, {"horizon": None})

    def leader(self, m: LQModel, at: Loop) -> LeaderAdjoint:
        # A discount of one is refused; this one differs from it by less than rounding shows.
        return super().leader(m if m.horizon is None else replace(m, leader_discount=1.0 - 2.0**-53), at)


class OneStepTooMany(Formula):
    mistake = "H + 1 steps for H in the leader's sum"
    exposed_by = (LQR, {"horizon": 6})
    hidden_by = (LQR, {"horizon": None})

    def leader(self, m: LQModel, at: Loop) -> LeaderAdjoint:
        return super().leader(m if m.horizon is None else replace(m, horizon=m.horizon + 1), at)


class OneStepTooFew(Formula):
    mistake = "H − 1 steps for H in the leader's sum"
    exposed_by = (LQR, {"horizon": 6})
    hidden_by = (LQR, {"horizon": None})

    def leader(self, m: LQModel, at: Loop) -> LeaderAdjoint:
        return super().leader(m if m.horizon is None else replace(m, horizon=max(1, m.horizon - 1)), at)


class VisitsLongerThanCosts(Formula):
    mistake = "moments counted over H + 1 steps, costs-to-go over H"
    exposed_by = (LQR, {"horizon": 6})
    hidden_by = (LQR, {"horizon": None})

    def leader(self, m: LQModel, at: Loop) -> LeaderAdjoint:
        right = super().leader(m, at)
        if m.horizon is None:
            return right
        longer = super().leader(replace(m, horizon=m.horizon + 1), at)
        return replace(right, K=longer.K, action=longer.action, leader_Q=longer.leader_Q, leader_R=longer.leader_R)


class RiccatiStoppedEarly(Formula):
    mistake = "the Riccati equation stopped after three sweeps"
    hidden_by = (LQR, {"follower_discount": 0.0})

    def cost_matrix(self, m: LQModel) -> Array:
        P = m.Q
        for _ in range(3):
            P = backup(m, P)
        return np.asarray(P)


class IdentityForInverse(Formula):
    mistake = "dP = dS: the identity for the inverse of the Lyapunov equation, one step of its sum"

    def fixed_point(self, F: Array, forcing: Array, discount: float) -> Array:
        return forcing


class ThreeTermsOfTheInverse(Formula):
    mistake = "three terms of the Lyapunov equation's sum"

    def fixed_point(self, F: Array, forcing: Array, discount: float) -> Array:
        out = forcing
        for _ in range(2):
            out = forcing + discount * F.T @ out @ F
        return np.asarray(out)


class ForcingOnce(Formula):
    mistake = "2γ(dA − dB K)'PF for its sum with its transpose in dS: not symmetric"

    def forcing(self, m: LQModel, P: Array, c: LQArrays) -> tuple[Array, Array]:
        F, both = super().forcing(m, P, c)
        gamma = m.follower_discount
        K = np.linalg.solve(m.R + gamma * m.B.T @ P @ m.B, gamma * m.B.T @ P @ m.A)
        half = gamma * F.T @ P @ (c.A - c.B @ K)
        return F, np.asarray(both - half + half.T)


class ForcingWithoutDiscount(Formula):
    mistake = "dS = dQ + K'dRK + (dA − dB K)'PF + its transpose: its γ_F forgotten"

    def forcing(self, m: LQModel, P: Array, c: LQArrays) -> tuple[Array, Array]:
        F, both = super().forcing(m, P, c)
        costs = super().forcing(m, P, replace(c, A=np.zeros_like(c.A), B=np.zeros_like(c.B)))[1]
        return F, np.asarray(costs + (both - costs) / m.follower_discount)


class MatrixWithoutDiscount(Formula):
    mistake = "M = R + B'PB differentiated without its γ"

    def matrix_discount(self, m: LQModel) -> float:
        return 1.0


class TransposedLyapunov(Formula):
    mistake = "F dP F' for F' dP F"

    def fixed_point(self, F: Array, forcing: Array, discount: float) -> Array:
        # In the user's units: in others it is another mistake.
        d, s = self.units.state, self.units.of_P
        return s * super().fixed_point((F * (d[:, None] / d)).T, forcing / s, discount)


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


class TemperatureOne(Formula):
    mistake = "Σ = ½M⁻¹ for (τ/2)M⁻¹: τ = 1"
    hidden_by = (LQR, {"temperature": 1.0})

    def of_model(self, m: LQModel, columns: tuple[LQArrays, ...]) -> Array:
        return super().of_model(replace(m, temperature=1.0), columns)


class EntropyForLeader(Formula):
    mistake = "the follower's entropy added to the leader's reward: + τ Σ γ_L^t ½ log det Σ"

    def entropy_term(self, m: LQModel, at: Loop, lead: LeaderAdjoint, dsigma: Array) -> float:
        temperature = m.temperature * self.units.cost / self.units.reward  # τ in the unit that the leader is paid in
        return float(0.5 * temperature * lead.constant * np.trace(np.linalg.solve(at.sigma, dsigma)))


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
