"""Problems: θ ↦ numbers, and the named problems of the zoo."""

from boltzgrad.problems.configurable import ConfigurableMDP, LinearisedBuild
from boltzgrad.problems.contexts import ContextualArrays, ContextualModel
from boltzgrad.problems.game import LeaderPolicy, MarkovGame, softmax_table
from boltzgrad.problems.kernel import DenseKernel, SparseKernel, SparsePattern
from boltzgrad.problems.lqr import Bump, LinearQuadratic, LinearQuadraticGame, LQArrays, LQModel
from boltzgrad.problems.objectives import PolicyObjective, Regulariser
from boltzgrad.problems.parametric import ParametricProblem
from boltzgrad.problems.softmaxes import log_softmax, sigmoid, softmax
from boltzgrad.problems.tabular import TabularArrays, TabularModel
from boltzgrad.problems.zoo import entries, load, names

__all__ = [
    "Bump",
    "ConfigurableMDP",
    "ContextualArrays",
    "ContextualModel",
    "DenseKernel",
    "LQArrays",
    "LQModel",
    "LeaderPolicy",
    "LinearQuadratic",
    "LinearQuadraticGame",
    "LinearisedBuild",
    "MarkovGame",
    "ParametricProblem",
    "PolicyObjective",
    "Regulariser",
    "SparseKernel",
    "SparsePattern",
    "TabularArrays",
    "TabularModel",
    "entries",
    "load",
    "log_softmax",
    "names",
    "sigmoid",
    "softmax",
    "softmax_table",
]
