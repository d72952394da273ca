r"""Natural units of a linear-quadratic problem, so that nothing depends on those it is given in.

With x = D x̂, u = E û (D, E positive diagonal), the follower's costs divided by c and the leader's rewards by l,

    Â = D⁻¹AD, B̂ = D⁻¹BE, Ŵ = D⁻¹WD⁻¹, Q̂ = DQD/c, R̂ = ERE/c, τ̂ = τ/c, m̂ = D⁻¹m, Q̂_L = DQ_LD/l, R̂_L = ER_LE/l, ĥ = h/l

is the same problem, with P̂ = DPD/c, K̂ = E⁻¹KD, Σ̂ = E⁻¹ΣE⁻¹, F̂ = D⁻¹FD and Ĵ = J/l (the leader's reward holds no entropy,
so no constant log det shifts).  Every array is multiplied by a matrix of numbers, X̂ = s_X ∘ X, entry by entry; a cotangent of
J is then X̄ = l (s_X ∘ ∂Ĵ/∂X̂).  All these numbers are **powers of two**: no digit is lost on the way there and back.

**Which.**  Once P is known: D_i = √(c/P_ii) and E_i = √(c/M_ii), M = R + γB'PB, up to a factor of √2.  Then P̂ and M̂ have a
diagonal of ones and no entry above one, up to that factor, and F̂ a norm that the contraction of F in P^{1/2} allows; another
choice of units by the user gives the same hats.  c is the larger of τ and what a typical state costs, so that x̂ is not above
one, and l the largest entry of the leader's scaled costs.  A state that costs the follower nothing now or later (P_ii = 0) is
measured by its own size: its first moments, the noise in it, what flows into it.

**Before P is known**, p_i = Q_ii stands for P_ii, and where that is zero max_j A_ji² p_j, which is what the state costs a step
later.  Units made from that turn with the user's as well, but P may exceed Q by any factor, where an unstable mode is hard to
reach: `solvers/lqr.py` then tries larger costs for a unit.

The reference solves in these units.  Of the witnesses the semidefinite program is given them, made from another P, and real
differences measure their steps by them; the others work on the arrays as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.model import Bump, LQArrays, LQModel

_FURTHEST = 400  # binary orders of magnitude: products of a few factors stay in float64's range


@dataclass(frozen=True, eq=False)
class Units:
    """Powers of two: the units of each state (n,), of each input (m,), of the follower's cost, and of the leader's."""

    state: Array
    action: Array
    cost: float
    reward: float

    @cached_property
    def factors(self) -> LQArrays:
        """What each array of a model is multiplied with, entry by entry, to have it in these units."""
        d, e = self.state, self.action
        moment = 1.0 / (d[:, None] * d)
        return LQArrays(
            A=d / d[:, None],
            B=e / d[:, None],
            W=moment,
            Q=self.of_P,
            R=(e[:, None] * e) / self.cost,
            mean=1.0 / d,
            covariance=moment,
            leader_Q=(d[:, None] * d) / self.reward,
            leader_R=(e[:, None] * e) / self.reward,
            leader_constant=np.asarray(1.0 / self.reward),
            shift=d / e[:, None],
        )

    def factors_of(self, a: LQArrays) -> list[Array]:
        """Those of the arrays that are there."""
        return [getattr(self.factors, name) for name, _ in a.named()]

    @cached_property
    def of_P(self) -> Array:
        """The same for the follower's cost matrix P."""
        return np.asarray((self.state[:, None] * self.state) / self.cost)

    def arrays(self, a: LQArrays) -> LQArrays:
        """Arrays, or tangents of them, in these units."""
        return LQArrays(*(x * s for x, s in zip(a.parts(), self.factors_of(a), strict=True)))

    def scales(self, model: LQModel, steps: float) -> LQArrays:
        """The change of each entry that matters, in the user's units, where a closed loop's slowest mode remains `steps`.

        A covariance or a follower's cost changes by a part of itself, √(X_ii X_jj), so that it stays definite; A and B by
        what changes a sum over those steps; the mean by the spread of the first state.
        """
        factors = self.factors

        def own(name: str) -> Array:
            root = np.sqrt(np.abs(np.diag(getattr(model, name))))
            size = np.multiply.outer(root, root)
            return np.asarray(np.where(size > 0.0, size, 1.0 / getattr(factors, name)))

        spread = np.sqrt(model.mean**2 + np.abs(np.diag(model.covariance)))
        return LQArrays(
            A=1.0 / (factors.A * steps),
            B=1.0 / (factors.B * steps),
            W=own("W"),
            Q=own("Q"),
            R=own("R"),
            mean=np.where(spread > 0.0, spread, self.state),
            covariance=own("covariance"),
            leader_Q=1.0 / factors.leader_Q,
            leader_R=1.0 / factors.leader_R,
            leader_constant=np.asarray(self.reward),
            shift=None if model.shift is None else 1.0 / factors.shift,
        )

    def model(self, model: LQModel) -> LQModel:
        """The model in these units."""
        bump = model.bump
        if bump is not None:
            precision = bump.precision * (self.state[:, None] * self.state)
            bump = Bump(bump.target / self.state, precision, bump.height / self.reward)
        return model.rescaled(self.arrays(model.arrays()), bump, model.temperature / self.cost)

    def cotangents(self, c: LQArrays) -> LQArrays:
        """∂J/∂X from ∂Ĵ/∂X̂."""
        return LQArrays(*((self.reward * s) * x for x, s in zip(c.parts(), self.factors_of(c), strict=True)))


def first_guess(model: LQModel) -> Units:
    """Units from the problem's matrices alone."""
    p = _a_step_later(model)
    return _units(model, p, np.diag(model.R) + model.follower_discount * (p @ model.B**2))


def units_of(model: LQModel, P: Array) -> Units:
    """Units from the follower's cost matrix P, or anything of about its size."""
    guess, p = _a_step_later(model), np.diag(P)
    M = np.diag(model.R) + model.follower_discount * ((P @ model.B) * model.B).sum(axis=0)
    # Rounding is no cost: a state that no cost can see has P_ii = 0, whatever a solver leaves there.
    return _units(model, np.where((guess > 0.0) & (p > 0.0), p, guess), np.maximum(M, np.diag(model.R)))


def _a_step_later(model: LQModel) -> Array:
    """Q_ii, and where that is zero max_j A_ji² p_j (n,); zero for a state that the follower's cost never sees."""
    p = np.array(np.diag(model.Q))
    if not p.all():
        squares = model.A**2
        for _ in range(model.n_states):
            p = np.where(p == 0.0, (squares * p[:, None]).max(axis=0), p)
    return p


def _units(model: LQModel, p: Array, r: Array) -> Units:
    """D from the cost p of each state, E from that of each input; see above."""
    unseen = p == 0.0
    size = np.sqrt(model.mean**2 + np.abs(np.diag(model.covariance)) + np.abs(np.diag(model.W)))
    cost = power_of_two(max(model.temperature, float((p * size**2).max())))
    state = np.sqrt(cost) / np.sqrt(np.where(unseen, 1.0, p))
    action = np.sqrt(cost) / np.sqrt(r)
    if unseen.any():
        state = _sizes_of_unseen(model, state, action, size, unseen)
    state, action = power_of_two(state), power_of_two(action)
    bump = abs(model.bump.height) if model.bump is not None else 0.0
    worth = max(
        float((np.abs(model.leader_Q) * (state[:, None] * state)).max()),
        float((np.abs(model.leader_R) * (action[:, None] * action)).max()),
        abs(float(model.leader_constant)),
        bump,
    )
    return Units(state, action, float(cost), float(power_of_two(worth or 1.0)))


def _sizes_of_unseen(model: LQModel, state: Array, action: Array, size: Array, unseen: Array) -> Array:
    """Units for states that the follower's cost never sees: their own size, or that of what flows into them."""
    state = np.where(unseen, size, state)
    for _ in range(model.n_states):
        inflow = np.maximum((np.abs(model.A) * state).max(axis=1), (np.abs(model.B) * action).max(axis=1))
        state = np.where(state == 0.0, inflow, state)
    watched = np.sqrt(np.abs(np.diag(model.leader_Q)))
    largest = max(float((watched * state).max()), 0.0) or 1.0
    with np.errstate(divide="ignore"):
        return np.where(state > 0.0, state, np.where(watched > 0.0, largest / watched, 1.0))


def power_of_two(x: Array | float) -> Array:
    """The power of two nearest to each positive number, in ratio."""
    return np.exp2(np.clip(np.round(np.log2(x)), -_FURTHEST, _FURTHEST))
