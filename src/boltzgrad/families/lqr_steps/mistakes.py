"""Plausible wrong hypergradients over finitely many steps: forward sensitivities with one mistake each."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr_steps.model import STEPWISE, FiniteHorizonLQModel, LQStepsArrays
from boltzgrad.families.mistake import WrongFormula, mutants_of

_ZOO = "finite-lqr"
_ONE_STEP = (_ZOO, {"horizon": 1})
_NO_END = (_ZOO, {"terminal": 0.0})

Steps = dict[str, list[Any]]


class Formula(WrongFormula):
    """Riccati recursion, gains, moments and J, each with its derivative along every θ_j; one method a step.

    Derivatives have θ on their first axis (d, …).  Source: BC-HG (59)–(98), step by step.
    """

    mistake = "none: the correct formula"
    exposed_by = (_ZOO, {})

    def gradient(self) -> Array:
        """∇J (d,) as this formula has it."""
        at = self.problem.linearise(self.theta)
        m, columns = at.model, list(at.columns())
        slopes = LQStepsArrays(
            *(np.stack([np.asarray(getattr(c, name)) for c in columns]) for name, _ in m.arrays().named())
        )
        return self.of_model(m, self.steps(m, m.arrays(), 0), self.steps(m, slopes, 1))

    def steps(self, m: FiniteHorizonLQModel, arrays: LQStepsArrays, axis: int) -> Steps:
        """Arrays, or derivatives of them, at every step."""
        out: Steps = {}
        for name, x in arrays.named():
            each = name in STEPWISE and m.stepwise(name)
            out[name] = [np.take(x, t, axis=axis) if each else x for t in range(m.horizon)]
        return out

    def of_model(self, m: FiniteHorizonLQModel, a: Steps, d: Steps) -> Array:
        """The derivative of J."""
        gains, spreads, K_w = self.followed(*self.plan(m, a, d))
        mean, dmean = m.mean, self.start(d["mean"][0])
        S, dS = m.covariance, d["covariance"][0]
        weight, total, H = 1.0, np.zeros(len(dmean)), self.steps_of_leader(m)
        for t in range(H):
            (K, dK), (sigma, dsigma) = gains[t], spreads[t]
            A, B, W, Q_L, R_L = (a[name][t] for name in ("A", "B", "W", "leader_Q", "leader_R"))
            dA, dB, dW, dQ_L, dR_L = (d[name][t] for name in ("A", "B", "W", "leader_Q", "leader_R"))
            F, dF = A - B @ K, dA - dB @ K - B @ dK
            noise, dnoise = B @ sigma @ B.T, _both(dB @ sigma @ B.T) + B @ dsigma @ B.T
            action, daction = sigma, dsigma
            if m.observed:
                G, dG = np.eye(len(A)) - B @ K_w[t][0], -(dB @ K_w[t][0]) - B @ K_w[t][1]
                noise, dnoise = noise + G @ W @ G.T, dnoise + _both(dG @ W @ G.T) + G @ dW @ G.T
                action = action + K_w[t][0] @ W @ K_w[t][0].T
                daction = daction + _both(K_w[t][1] @ W @ K_w[t][0].T) + K_w[t][0] @ dW @ K_w[t][0].T
            else:
                noise, dnoise = noise + W, dnoise + dW
            X, dX = S + np.outer(mean, mean), dS + _both(dmean[:, :, None] * mean)
            cost, dcost = Q_L + K.T @ R_L @ K, dQ_L + _both(_T(dK) @ R_L @ K) + K.T @ dR_L @ K
            moved = d["leader_constant"][t] - _dot(dcost, X) - _dot(dX, cost) - _dot(dR_L, action) - _dot(daction, R_L)
            total = total + weight * moved
            mean, dmean = F @ mean, dF @ mean + dmean @ F.T
            S, dS = F @ S @ F.T + self.noise(noise), _both(dF @ S @ F.T) + F @ dS @ F.T + self.noise(dnoise)
            weight *= self.discount_of_leader(m)
        end, dend = m.leader_terminal_Q, d["leader_terminal_Q"][0]
        X, dX = S + np.outer(mean, mean), dS + _both(dmean[:, :, None] * mean)
        return np.asarray(total - weight * self.end_of_leader(_dot(dend, X) + _dot(dX, end)))

    # The steps, in order.

    def plan(self, m: FiniteHorizonLQModel, a: Steps, d: Steps) -> tuple[Any, Any, Any]:
        """(gains, spreads, gains on the noise) with their derivatives, from the last step back."""
        gamma = self.discount_of_follower(m)
        P, dP = self.end_of_follower(a["terminal_Q"][0], d["terminal_Q"][0])
        gains: list[Any] = []
        spreads: list[Any] = []
        seen: list[Any] = []
        for t in range(m.horizon - 1, -1, -1):
            A, B, Q, R = (a[name][t] for name in "ABQR")
            dA, dB, dQ, dR = (d[name][t] for name in "ABQR")
            M, dM = R + gamma * B.T @ P @ B, dR + gamma * (_both(_T(dB) @ P @ B) + B.T @ dP @ B)
            inverse = np.linalg.inv(M)
            ahead, dahead = gamma * B.T @ P, gamma * (_T(dB) @ P + B.T @ dP)
            K, K_w = inverse @ ahead @ A, inverse @ ahead
            dK, dK_w = inverse @ (dahead @ A + ahead @ dA - dM @ K), inverse @ (dahead - dM @ K_w)
            sigma = 0.5 * m.temperature * inverse
            gains.insert(0, (K, dK))
            spreads.insert(0, (sigma, self.moved_spread(-(sigma @ dM @ inverse))))
            seen.insert(0, (K_w, dK_w))
            F, still = A - B @ K, dA - dB @ K  # no gain moves P to first order
            dP = dQ + K.T @ dR @ K + gamma * (_both(_T(still) @ P @ F) + F.T @ dP @ F)
            dP = self.moved_P(dP)
            P = Q + K.T @ R @ K + gamma * F.T @ P @ F
        return gains, spreads, seen

    def discount_of_follower(self, m: FiniteHorizonLQModel) -> float:
        """The discount that the follower plans with."""
        return m.follower_discount

    def end_of_follower(self, P: Array, dP: Array) -> tuple[Array, Array]:
        """Its cost of the last state, and the derivative."""
        return P, dP

    def moved_P(self, dP: Array) -> Array:
        """∇P_t."""
        return dP

    def moved_spread(self, dsigma: Array) -> Array:
        """∇ of the covariance of u."""
        return dsigma

    def followed(self, gains: Any, spreads: Any, seen: Any) -> tuple[Any, Any, Any]:
        """What the follower does at each step."""
        return gains, spreads, seen

    def start(self, dmean: Array) -> Array:
        """∇ of x₀'s mean."""
        return dmean

    def noise(self, x: Array) -> Array:
        """What noise adds to a covariance, or its derivative."""
        return x

    def discount_of_leader(self, m: FiniteHorizonLQModel) -> float:
        """The leader's discount."""
        return m.leader_discount

    def steps_of_leader(self, m: FiniteHorizonLQModel) -> int:
        """How many steps the leader counts."""
        return m.horizon

    def end_of_leader(self, moved: Array) -> Array:
        """What the last state costs the leader."""
        return moved


def _T(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _both(x: Array) -> Array:
    return x + _T(x)


def _dot(x: Array, y: Array) -> Array:
    """Σ_ij x_ij y_ij, one of them with θ on its first axis."""
    return np.asarray((x * y).sum(axis=(-1, -2)))


class FollowersEndForgotten(Formula):
    mistake = "the follower's cost of the last state forgotten in its plan"
    hidden_by = _NO_END

    def end_of_follower(self, P: Array, dP: Array) -> tuple[Array, Array]:
        return 0.0 * P, 0.0 * dP


class EndHeldFixed(Formula):
    mistake = "the follower's cost of the last state not differentiated"
    hidden_by = _NO_END

    def end_of_follower(self, P: Array, dP: Array) -> tuple[Array, Array]:
        return P, 0.0 * dP


class LeadersEndForgotten(Formula):
    mistake = "the leader's cost of the last state forgotten"
    hidden_by = _NO_END

    def end_of_leader(self, moved: Array) -> Array:
        return 0.0 * moved


class FirstGainThroughout(Formula):
    mistake = "the first step's gain at every step: a stationary regulator"
    hidden_by = _ONE_STEP

    def followed(self, gains: Any, spreads: Any, seen: Any) -> tuple[Any, Any, Any]:
        n = len(gains)
        return [gains[0]] * n, [spreads[0]] * n, [seen[0]] * n


class NextStepsGain(Formula):
    mistake = "t off by one: the gain of step t + 1 at step t"
    hidden_by = _ONE_STEP

    def followed(self, gains: Any, spreads: Any, seen: Any) -> tuple[Any, Any, Any]:
        return tuple([*x[1:], x[-1]] for x in (gains, spreads, seen))  # type: ignore[return-value]


class FrozenGains(Formula):
    mistake = "the gains are not differentiated: the regulator taken not to answer"
    hidden_by = (_ZOO, {"moves": "leader"})

    def followed(self, gains: Any, spreads: Any, seen: Any) -> tuple[Any, Any, Any]:
        gains, seen = ([(x, 0.0 * dx) for x, dx in found] for found in (gains, seen))
        return gains, spreads, seen


class FrozenRiccati(Formula):
    mistake = "P_{t+1} not differentiated"
    hidden_by = _ONE_STEP

    def moved_P(self, dP: Array) -> Array:
        return 0.0 * dP


class SpreadHeldFixed(Formula):
    mistake = "the covariance of u not differentiated: τ/2 M⁻¹ taken for a constant"
    hidden_by = (_ZOO, {"moves": "leader"})

    def moved_spread(self, dsigma: Array) -> Array:
        return 0.0 * dsigma


class NoiseForgotten(Formula):
    mistake = "what noise adds to the state's covariance forgotten"
    hidden_by = (_ZOO, {"horizon": 1, "terminal": 0.0})

    def noise(self, x: Array) -> Array:
        return 0.0 * x


class LastStepForgotten(Formula):
    mistake = "H − 1 steps for H in the leader's sum"
    hidden_by = (_ZOO, {"leader_discount": 0.0})

    def steps_of_leader(self, m: FiniteHorizonLQModel) -> int:
        return max(m.horizon - 1, 1)


class LeadersDiscountForFollower(Formula):
    mistake = "γ_L for γ_F wherever the follower plans"
    hidden_by = (_ZOO, {"follower_discount": 0.9, "leader_discount": 0.9})

    def discount_of_follower(self, m: FiniteHorizonLQModel) -> float:
        return m.leader_discount


class FollowersDiscountForLeader(Formula):
    mistake = "γ_F for γ_L wherever the leader counts"
    hidden_by = (_ZOO, {"follower_discount": 0.9, "leader_discount": 0.9})

    def discount_of_leader(self, m: FiniteHorizonLQModel) -> float:
        return m.follower_discount


class StartHeldFixed(Formula):
    mistake = "the mean of the first state not differentiated"
    hidden_by = (_ZOO, {"moves": "leader"})

    def start(self, dmean: Array) -> Array:
        return 0.0 * dmean


MUTANTS = mutants_of(Formula)
