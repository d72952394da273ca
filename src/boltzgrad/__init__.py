"""Reference hypergradients for bilevel reinforcement learning: exact, bounded, and held against witnesses."""

import importlib
from typing import TYPE_CHECKING, Any

from boltzgrad import errors, problems, solvers
from boltzgrad.gradients import Hypergradient, hypergradient
from boltzgrad.problems import (
    ConfigurableMDP,
    ContextualModel,
    LeaderPolicy,
    LinearQuadratic,
    LinearQuadraticGame,
    LQModel,
    MarkovGame,
    PolicyObjective,
    Regulariser,
    SparseKernel,
    SparsePattern,
    TabularModel,
)
from boltzgrad.verify import AgreementReport, verify

if TYPE_CHECKING:
    from boltzgrad import derivations

__version__ = "0.1.0"

__all__ = [
    "AgreementReport",
    "ConfigurableMDP",
    "ContextualModel",
    "Hypergradient",
    "LQModel",
    "LeaderPolicy",
    "LinearQuadratic",
    "LinearQuadraticGame",
    "MarkovGame",
    "PolicyObjective",
    "Regulariser",
    "SparseKernel",
    "SparsePattern",
    "TabularModel",
    "derivations",
    "errors",
    "hypergradient",
    "problems",
    "solvers",
    "verify",
]


def __getattr__(name: str) -> Any:
    """`boltzgrad.derivations` is imported when it is first used: SymPy takes longer to load than all the rest."""
    if name == "derivations":
        return importlib.import_module("boltzgrad.derivations")
    raise AttributeError(f"module 'boltzgrad' has no attribute {name!r}")
