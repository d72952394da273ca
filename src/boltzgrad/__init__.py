"""Reference hypergradients for bilevel reinforcement learning: exact, bounded, and held against witnesses."""

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
    "errors",
    "hypergradient",
    "problems",
    "solvers",
    "verify",
]
