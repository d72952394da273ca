"""Linear-quadratic problems: what the rest of the library asks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Family, discounts_lost
from boltzgrad.families.lqr import mistakes
from boltzgrad.families.lqr.answer import answer
from boltzgrad.families.lqr.conic import CONIC
from boltzgrad.families.lqr.content import content
from boltzgrad.families.lqr.covariance import COVARIANCE
from boltzgrad.families.lqr.differences import COMPLEX, DIFFERENCES
from boltzgrad.families.lqr.implicit import IMPLICIT
from boltzgrad.families.lqr.later import later
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.penalty import PENALTY
from boltzgrad.families.lqr.pictures import pictures
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.reference import LQHypergradient, lqr_hypergradient
from boltzgrad.families.lqr.remade import remade
from boltzgrad.families.lqr.unrolled import UNROLLED, UNROLLED_IMPLICIT

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_MOST_DIMENSIONS = 60  # of the state, that formulas with Kronecker products are evaluated for

FORMULAS = """\
    P = Q + γ_F A'PA − γ_F² A'PB M⁻¹B'PA,   M = R + γ_F B'PB,   K = γ_F M⁻¹B'PA,   u ~ N(−K x, (τ/2) M⁻¹)
    J = E Σ_t γ_L^t (c − x'Q_L x − u'R_L u + bump(x)),   over `horizon` steps (null: for ever)"""


def describe(problem: LinearQuadratic) -> dict[str, Any]:
    """Dimensions of state and input."""
    model = problem.model(np.zeros(problem.dim))
    return {"size": f"{model.n_states} states, {model.n_inputs} inputs"}


def too_large(problem: LinearQuadratic, theta: Array) -> str:
    """Why formulas are not tried, or ""."""
    n = problem.model(theta).n_states
    return f"{n} state dimensions are too many for their formulas" if n > _MOST_DIMENSIONS else ""


def factors(reference: LQHypergradient) -> dict[str, float]:
    """Of the model."""
    model = reference.model
    return discounts_lost(model.leader_discount, model.follower_discount, model.temperature)


def draw() -> SearchStrategy[LinearQuadratic]:
    """Small random problems."""
    from boltzgrad.families.lqr.draw import linear_quadratics

    return linear_quadratics()


LQR = Family(
    "lqr",
    LinearQuadratic,
    lqr_hypergradient,
    (COVARIANCE, IMPLICIT, PENALTY, UNROLLED, UNROLLED_IMPLICIT, CONIC, COMPLEX, DIFFERENCES),
    holds=lambda problem: problem.model_kind is LQModel,
    describe=describe,
    mistakes=mistakes,
    too_large=too_large,
    factors=factors,
    later=later,
    answer=answer,
    draw=draw,
    content=content,
    remade=remade,
    formulas=FORMULAS,
    pictures=pictures,
)
