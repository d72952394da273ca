"""Finite horizons: what the rest of the library asks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Family
from boltzgrad.families.horizon import mistakes
from boltzgrad.families.horizon.answer import answer
from boltzgrad.families.horizon.content import content, remade
from boltzgrad.families.horizon.differences import COMPLEX, DIFFERENCES
from boltzgrad.families.horizon.expanded import EXPANDED, expanded, no_table
from boltzgrad.families.horizon.later import later
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.horizon.reference import HorizonHypergradient, horizon_hypergradient
from boltzgrad.families.horizon.unrolled import UNROLLED
from boltzgrad.families.laid_out import Table
from boltzgrad.families.tabular.enclosure import enclosed as of_a_table
from boltzgrad.families.tabular.problem import ConfigurableMDP

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_MOST_NUMBERS, _MOST_PARAMETERS = 1e7, 2000  # of the model's arrays, times steps and d, that are pushed forward

FORMULAS = """\
    V_H = terminal_F,  Q_t = r_F + γ_F Σ p V_{t+1},  V_t = τ log Σ_a π⁰ exp(Q_t/τ),  π_t = π⁰ exp((Q_t − V_t)/τ)
    U_H = terminal_L,  U_t = Σ_a π_t (r_L − τ_L (log π_t − log π⁰_L) + γ_L Σ p U_{t+1}),   J = Σ_s ρ(s) U_0(s)"""


def describe(problem: ConfigurableMDP) -> dict[str, Any]:
    """Steps, states, actions and contexts."""
    models = problem.contexts(np.zeros(problem.dim)).models
    many = f", {len(models)} contexts" if len(models) > 1 else ""
    m = models[0]
    return {"size": f"{m.horizon} steps × {m.n_states} states × {m.n_actions} actions{many}", "contexts": len(models)}


def too_large(problem: ConfigurableMDP, theta: Array) -> str:
    """Why the mistakes' formulas are not tried, or ""."""
    models = problem.contexts(theta).models
    numbers = theta.size * sum(m.horizon * float(x.size) for m in models for x in m.arrays().parts())
    if numbers > _MOST_NUMBERS or theta.size > _MOST_PARAMETERS:
        return f"{numbers:.0e} numbers are too many to push forward step by step"
    return ""


def factors(reference: HorizonHypergradient) -> dict[str, float]:
    """Of the first context's model."""
    m = reference.contexts[0].model
    tau, H = float(np.mean(m.temperature)), float(m.horizon)
    gammas = {"γ_L": float(m.leader_discount), "γ_F": float(m.follower_discount)}
    return gammas | {"τ": tau, "1/τ": 1.0 / tau, "H": H, "1/H": 1.0 / H}


def table(problem: ConfigurableMDP, theta: Array) -> Table | str:
    """Pairs (step, state)."""
    why = no_table(problem, theta)
    if why:
        return why
    models = problem.contexts(theta).models
    shapes = tuple((m.horizon, m.n_states, m.n_actions) for m in models)
    bonus = tuple(
        np.broadcast_to(np.broadcast_to(m.temperature, m.n_states)[:, None] * m.log_reference, shape)
        for m, shape in zip(models, shapes, strict=True)
    )
    return Table(expanded(problem, theta), shapes, "(steps, states, actions)", 1, bonus)


def enclosed(problem: ConfigurableMDP, theta: Array, bits: int) -> tuple[Any, Any]:
    """J and ∇J in balls, as a table of pairs (step, state)."""
    return of_a_table(expanded(problem, theta), theta, bits)


def draw() -> SearchStrategy[ConfigurableMDP]:
    """Small random problems."""
    from boltzgrad.families.horizon.draw import finite_horizon_mdps

    return finite_horizon_mdps()


HORIZON = Family(
    "horizon",
    ConfigurableMDP,
    horizon_hypergradient,
    (*EXPANDED, UNROLLED, COMPLEX, DIFFERENCES),
    holds=lambda problem: problem.model_kind is FiniteHorizonModel,
    describe=describe,
    mistakes=mistakes,
    too_large=too_large,
    factors=factors,
    later=later,
    answer=answer,
    table=table,
    draw=draw,
    content=content,
    remade=remade,
    formulas=FORMULAS,
    enclosed=enclosed,
)
