"""Configurable MDPs: what the rest of the library asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Family, discounts_lost
from boltzgrad.families.laid_out import Table
from boltzgrad.families.mistake import Catalogue
from boltzgrad.families.tabular import mistakes, mistakes_of_kinds
from boltzgrad.families.tabular.answer import answer
from boltzgrad.families.tabular.average import Average
from boltzgrad.families.tabular.conic import CONIC
from boltzgrad.families.tabular.content import content
from boltzgrad.families.tabular.covariance import COVARIANCE
from boltzgrad.families.tabular.differences import COMPLEX, DIFFERENCES
from boltzgrad.families.tabular.enclosure import enclosed
from boltzgrad.families.tabular.hessian import HESSIAN
from boltzgrad.families.tabular.hpgd import HPGD
from boltzgrad.families.tabular.implicit import IMPLICIT
from boltzgrad.families.tabular.later import later
from boltzgrad.families.tabular.model import TabularModel, size_of
from boltzgrad.families.tabular.penalty import PENALTY
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.reference import TabularHypergradient, tabular_hypergradient
from boltzgrad.families.tabular.remade import remade
from boltzgrad.families.tabular.unrolled import UNROLLED, UNROLLED_IMPLICIT

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

# The formulas are dense: the largest (numbers of all arrays) × d, states and d that they are evaluated for.
_MOST_NUMBERS, _MOST_STATES, _MOST_PARAMETERS = 1e8, 1500, 2000

FORMULAS = """\
    V_F(s) = τ log Σ_a exp(Q_F(s,a)/τ),   Q_F = r_F + γ_F Σ p(s'|s,a) V_F(s'),   π(a|s) ∝ exp(Q_F(s,a)/τ)
    V_L(s) = Σ_a π(a|s) Q_L(s,a),         Q_L = r_L + γ_L Σ p(s'|s,a) V_L(s'),   J = Σ_s ρ(s) V_L(s)"""


def describe(problem: ConfigurableMDP) -> dict[str, Any]:
    """States, actions and contexts."""
    models = problem.contexts(np.zeros(problem.dim)).models
    many = f", {len(models)} contexts" if len(models) > 1 else ""
    size = f"{size_of(models[0])}{many}"
    return {"size": size, "contexts": len(models)}


def too_large(problem: ConfigurableMDP, theta: Array) -> str:
    """Why dense formulas are not tried, or ""."""
    return too_many(problem.contexts(theta).models, theta)


def formulated(problem: ConfigurableMDP) -> tuple[Catalogue, ConfigurableMDP]:
    """The mistakes of tables, and those of the kinds of followers that the problem has."""
    return mistakes_of_kinds.catalogue(problem), problem


def too_many(models: Sequence[TabularModel], theta: Array) -> str:
    """Why dense formulas of these models are not tried, or ""."""
    states = max(m.n_states for m in models)
    numbers = theta.size * sum(float(x.size) for m in models for x in m.arrays().parts())
    if states > _MOST_STATES or numbers > _MOST_NUMBERS or theta.size > _MOST_PARAMETERS:
        return f"{states} states and d = {theta.size} are too many for their dense formulas"
    return ""


def factors(reference: TabularHypergradient) -> dict[str, float]:
    """Of the first context's model."""
    model = reference.contexts[0].model
    return discounts_lost(model.leader_discount, model.follower_discount, model.temperature)


def table(problem: ConfigurableMDP, theta: Array) -> Table | str:
    """The problem itself; a leader who counts steps has the follower's rows once for each."""
    models, copies = problem.contexts(theta).models, 1
    for m in models:
        if isinstance(m.given, Average):
            return "the table of a long-run average has the optimum's own average in it, and another policy has another"
        if m.given is not None:
            copies = m.n_states // m.given.n_states
    shapes = tuple((m.n_states // copies, m.n_actions) for m in models)
    bonus = tuple(_bonus(m)[: shape[0]] for m, shape in zip(models, shapes, strict=True))
    return Table(problem, shapes, "(states, actions)", copies, bonus)


def _bonus(m: TabularModel) -> Array:
    """τ log π⁰ (S, A), zero without a reference and for what is not there."""
    if m.reference is None:
        return np.zeros((m.n_states, m.n_actions))
    unit = m.unit[:, None] if np.ndim(m.unit) else m.unit
    return np.asarray(unit * m.temperature * np.log(np.where(m.reference > 0.0, m.reference, 1.0)))


def draw() -> SearchStrategy[ConfigurableMDP]:
    """Small random problems."""
    from boltzgrad.families.tabular.draw import configurable_mdps

    return configurable_mdps()


TABULAR = Family(
    "tabular",
    ConfigurableMDP,
    tabular_hypergradient,
    (COVARIANCE, HPGD, IMPLICIT, PENALTY, HESSIAN, UNROLLED, UNROLLED_IMPLICIT, CONIC, COMPLEX, DIFFERENCES),
    holds=lambda problem: problem.model_kind is TabularModel,
    describe=describe,
    mistakes=mistakes,
    formulated=formulated,
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
