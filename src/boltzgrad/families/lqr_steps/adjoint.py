r"""The reference over finitely many steps: one pass back for the gains, one forward for the state, one each way for cotangents.

With F = A − BK, N the covariance of x' given x, C = Q_L + K'R_LK, and every step's weight γ_L^t in it:

    L_H = γ_L^H Q_{L,end},  L_t = γ_L^t C_t + F_t'L_{t+1}F_t,   X_0 = S_0 + m_0m_0',  X_{t+1} = F_tX_tF_t' + N_t,
    J = Σ γ_L^t (c_t − tr R_L Σ_{u,t}) − tr L_0X_0 − Σ tr L_{t+1}N_t,
    ∂J/∂F_t = −2L_{t+1}F_tX_t,   ∂J/∂N_t = −L_{t+1},   ∂J/∂K_t = −2γ_L^t R_LK_tX_t,   ∂J/∂Σ_{u,t} = −γ_L^t R_L.

What the gains owe to P_{t+1} adds to P̄_{t+1}, and the Riccati step itself, which no gain moves to first order, γF_tP̄_tF_t':
P̄ runs forward.  Written with @, +, .T, `inverse`, `trace` only, so that it also runs on balls.
Source: BC-HG (59)–(98), step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.adjoint import Loop, back_to_P, loop, symmetric
from boltzgrad.families.lqr_steps.model import STEPWISE, FiniteHorizonLQModel
from boltzgrad.solvers.balls import as_ball, trace

Numbers = dict[str, list[Any]]
"""The arrays of a model by name, at every step: numbers or balls; those of the start and the end are lists of one."""


@dataclass(frozen=True, eq=False)
class StepArrays:
    """One step's arrays, as `families.lqr.adjoint.loop` reads them."""

    A: Any
    B: Any
    W: Any
    R: Any
    shift: Any = None


@dataclass(frozen=True, eq=False)
class StepsSolution:
    """What was found on the way: `P` (H + 1), the loops (H), second moments X (H + 1)."""

    P: list[Any]
    loops: list[Loop]
    moments: list[Any]


def numbers(model: FiniteHorizonLQModel) -> Numbers:
    """A model's own arrays."""
    names = [name for name, _ in model.arrays().named()]
    return {name: model.each(name) if name in STEPWISE else [getattr(model, name)] for name in names}


def planned(model: FiniteHorizonLQModel, a: Numbers, nudge: Any = None) -> tuple[list[Any], list[Loop]]:
    """(P_t, the closed loop of each step); `nudge` adds what rounding does to gains and to P."""
    P, gamma = [a["terminal_Q"][0]], model.follower_discount
    loops: list[Loop] = []
    for t in range(model.horizon - 1, -1, -1):
        at = loop(model, StepArrays(a["A"][t], a["B"][t], a["W"][t], a["R"][t]), P[0], nudge)
        now = symmetric(a["Q"][t] + at.K.T @ a["R"][t] @ at.K + gamma * (at.F.T @ P[0] @ at.F))
        loops.insert(0, at)
        P.insert(0, now if nudge is None else nudge(now))
    return P, loops


@dataclass(frozen=True, eq=False)
class _Cotangents:
    """∂J/∂ what a step's loop is made of, as `back_to_P` reads it."""

    F: Any
    noise: Any
    K: Any
    action: Any


def cotangents(model: FiniteHorizonLQModel, a: Numbers, nudge: Any = None) -> tuple[Any, Numbers, StepsSolution]:
    """(J, cotangents of every array at every step, what was found on the way); on arrays, or on balls."""
    H, gamma, weights = model.horizon, model.follower_discount, model.leader_discount ** np.arange(model.horizon + 1.0)
    P, loops = planned(model, a, nudge)
    mean = a["mean"][0]
    X = [a["covariance"][0] + _square(mean)]
    for at in loops:
        X.append(at.F @ X[-1] @ at.F.T + at.noise)
    L = [weights[H] * a["leader_terminal_Q"][0]]
    value: Any = 0.0
    for t in range(H - 1, -1, -1):
        at, R = loops[t], a["leader_R"][t]
        value = value + weights[t] * (a["leader_constant"][t] - trace(R @ at.action)) - trace(L[0] @ at.noise)
        L.insert(0, symmetric(weights[t] * (a["leader_Q"][t] + at.K.T @ R @ at.K) + at.F.T @ L[0] @ at.F))
    value = value - trace(L[0] @ X[0])
    out: Numbers = {name: [None] * H for name in STEPWISE}
    P_bar: Any = np.zeros((model.n_states, model.n_states))
    for t, at in enumerate(loops):
        R = a["leader_R"][t]
        lead = _Cotangents(
            F=-2.0 * (L[t + 1] @ at.F @ X[t]),
            noise=-1.0 * L[t + 1],
            K=-2.0 * weights[t] * (R @ at.K @ X[t]),
            action=-weights[t] * R,
        )
        own = StepArrays(a["A"][t], a["B"][t], a["W"][t], a["R"][t])
        back = back_to_P(model, own, P[t + 1], at, lead)
        carried = 2.0 * gamma * (P[t + 1] @ at.F @ P_bar)
        out["A"][t], out["B"][t] = back.A + carried, back.B - carried @ at.K.T
        out["W"][t], out["Q"][t] = back.W, P_bar
        out["R"][t] = back.M + at.K @ P_bar @ at.K.T
        out["leader_Q"][t] = -weights[t] * X[t]
        out["leader_R"][t] = -weights[t] * (at.K @ X[t] @ at.K.T + at.action)
        out["leader_constant"][t] = np.asarray(weights[t])
        P_bar = symmetric(back.P + gamma * (at.F @ P_bar @ at.F.T))
    out["terminal_Q"], out["leader_terminal_Q"] = [P_bar], [-weights[H] * X[H]]
    out["mean"], out["covariance"] = [-2.0 * (L[0] @ mean)], [-1.0 * L[0]]
    return value, out, StepsSolution(P, loops, X)


def _square(x: Any) -> Any:
    if not isinstance(x, np.ndarray):
        ball = as_ball(x)
        column = type(ball)(ball.mid[:, None], ball.radius)
        return column @ column.T
    return np.multiply.outer(x, x)


def gathered(model: FiniteHorizonLQModel, name: str, steps: list[Any]) -> Array:
    """A cotangent in the shape of its array: of one that is the same at every step, the sum over them."""
    if name not in STEPWISE:
        return np.asarray(steps[0])
    return np.stack(steps) if model.stepwise(name) else np.asarray(sum(steps[1:], steps[0]))
