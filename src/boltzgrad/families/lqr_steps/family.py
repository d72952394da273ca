"""Linear-quadratic followers over finitely many steps: what the rest of the library asks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.families.family import Family
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr_steps import mistakes
from boltzgrad.families.lqr_steps.content import answer, content, remade
from boltzgrad.families.lqr_steps.model import FiniteHorizonLQModel
from boltzgrad.families.lqr_steps.penalty import PENALTY
from boltzgrad.families.lqr_steps.reference import LQStepsHypergradient, lqr_steps_hypergradient
from boltzgrad.families.lqr_steps.routes import COMPLEX, DIFFERENCES, IMPLICIT, UNROLLED

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

FORMULAS = """\
    P_H = terminal_Q,  M_t = R + γ_F B'P_{t+1}B,  K_t = γ_F M_t⁻¹B'P_{t+1}A,  F = A − BK_t,  P_t = Q + K_t'RK_t + γ_F F'P_{t+1}F
    u_t ~ N(−K_t x, (τ/2) M_t⁻¹),   J = E Σ_{t<H} γ_L^t (c − x'Q_L x − u'R_L u) − γ_L^H x_H'(leader_terminal_Q) x_H"""


def describe(problem: LinearQuadratic) -> dict[str, Any]:
    """Steps, and dimensions of state and input."""
    model = problem.model(np.zeros(problem.dim))
    return {"size": f"{model.horizon} steps × {model.n_states} states, {model.n_inputs} inputs"}


def factors(reference: LQStepsHypergradient) -> dict[str, float]:
    """Of the model."""
    m = reference.model
    return {"γ_L": m.leader_discount, "γ_F": m.follower_discount, "τ": m.temperature, "1/τ": 1.0 / m.temperature}


def draw() -> SearchStrategy[LinearQuadratic]:
    """Small random problems."""
    from boltzgrad.families.lqr_steps.draw import finite_linear_quadratics

    return finite_linear_quadratics()


LQR_STEPS = Family(
    "lqr-over-steps",
    LinearQuadratic,
    lqr_steps_hypergradient,
    (IMPLICIT, PENALTY, UNROLLED, COMPLEX, DIFFERENCES),
    holds=lambda problem: problem.model_kind is FiniteHorizonLQModel,
    describe=describe,
    mistakes=mistakes,
    factors=factors,
    answer=answer,
    draw=draw,
    content=content,
    remade=remade,
    formulas=FORMULAS,
)
