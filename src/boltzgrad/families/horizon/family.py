"""Finite horizons: what the rest of the library asks of them."""

from __future__ import annotations

from boltzgrad.families.family import Family
from boltzgrad.families.horizon.differences import COMPLEX, DIFFERENCES
from boltzgrad.families.horizon.expanded import EXPANDED
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.horizon.reference import horizon_hypergradient
from boltzgrad.families.horizon.unrolled import UNROLLED
from boltzgrad.families.tabular.problem import ConfigurableMDP

HORIZON = Family(
    "horizon",
    ConfigurableMDP,
    horizon_hypergradient,
    (*EXPANDED, UNROLLED, COMPLEX, DIFFERENCES),
    holds=lambda problem: problem.model_kind is FiniteHorizonModel,
)
