"""Problems: θ ↦ numbers, and the named problems of the zoo."""

from boltzgrad.core.arrival import arrival_reward
from boltzgrad.core.follower_objectives import JointObjective, ValueObjective, follower_value
from boltzgrad.core.kernel import DenseKernel, SparseKernel, SparsePattern
from boltzgrad.core.leader_mdp import LeaderMDP
from boltzgrad.core.objectives import LogLikelihood, PolicyObjective, Regulariser
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.core.softmaxes import log_softmax, sigmoid, softmax
from boltzgrad.core.trajectories import Trajectories
from boltzgrad.core.trajectory_objectives import Preferences, TrajectoryObjective
from boltzgrad.families.game.leader_policy import LeaderPolicy, softmax_table
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.horizon.model import FiniteHorizonModel, HorizonArrays
from boltzgrad.families.lqr.model import Bump, LQArrays, LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic, LinearQuadraticGame
from boltzgrad.families.lqr_steps.model import FiniteHorizonLQModel, LQStepsArrays
from boltzgrad.families.tabular.average import AverageRewardModel
from boltzgrad.families.tabular.contexts import ContextualArrays, ContextualModel
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP, LinearisedBuild
from boltzgrad.families.tabular.several import several_followers
from boltzgrad.zoo import entries, load, names

__all__ = [
    "AverageRewardModel",
    "Bump",
    "ConfigurableMDP",
    "ContextualArrays",
    "ContextualModel",
    "DenseKernel",
    "FiniteHorizonLQModel",
    "FiniteHorizonModel",
    "HorizonArrays",
    "JointObjective",
    "LQArrays",
    "LQModel",
    "LQStepsArrays",
    "LeaderMDP",
    "LeaderPolicy",
    "LinearQuadratic",
    "LinearQuadraticGame",
    "LinearisedBuild",
    "LogLikelihood",
    "MarkovGame",
    "ParametricProblem",
    "PolicyObjective",
    "Preferences",
    "Regulariser",
    "SparseKernel",
    "SparsePattern",
    "TabularArrays",
    "TabularModel",
    "Trajectories",
    "TrajectoryObjective",
    "ValueObjective",
    "arrival_reward",
    "entries",
    "follower_value",
    "load",
    "log_softmax",
    "names",
    "several_followers",
    "sigmoid",
    "softmax",
    "softmax_table",
]
