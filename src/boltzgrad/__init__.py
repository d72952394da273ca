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
from boltzgrad.verify import AgreementReport, EstimatorCheck, check_estimator, check_samples, verify

if TYPE_CHECKING:
    from boltzgrad import derivations, estimators

__version__ = "0.1.0"

__all__ = [
    "AgreementReport",
    "ConfigurableMDP",
    "ContextualModel",
    "EstimatorCheck",
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
    "check_estimator",
    "check_samples",
    "derivations",
    "errors",
    "estimators",
    "hypergradient",
    "problems",
    "solvers",
    "verify",
]


def __getattr__(name: str) -> Any:
    """`derivations` (SymPy) and `estimators` are imported when they are first used."""
    if name in ("derivations", "estimators"):
        return importlib.import_module(f"boltzgrad.{name}")
    raise AttributeError(f"module 'boltzgrad' has no attribute {name!r}")
