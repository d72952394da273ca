"""Reference hypergradients for bilevel reinforcement learning: exact, bounded, and held against witnesses."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boltzgrad import derivations, errors, estimators, followers, problems, solvers, testing, worlds
    from boltzgrad.core.hypergradient import Hypergradient
    from boltzgrad.families.enclosure import Enclosure, enclose
    from boltzgrad.families.registry import hypergradient
    from boltzgrad.families.tabular.hessian import parl_gradient
    from boltzgrad.families.tabular.penalty_gradient import penalty_gradient
    from boltzgrad.followers import ApproximateFollower, approximate, required_accuracy
    from boltzgrad.problems import (
        AverageRewardModel,
        ConfigurableMDP,
        ContextualModel,
        FiniteHorizonLQModel,
        FiniteHorizonModel,
        JointObjective,
        LeaderMDP,
        LeaderPolicy,
        LinearQuadratic,
        LinearQuadraticGame,
        LogLikelihood,
        LQModel,
        MarkovGame,
        PolicyObjective,
        Preferences,
        Regulariser,
        SparseKernel,
        SparsePattern,
        TabularModel,
        Trajectories,
        TrajectoryObjective,
        ValueObjective,
        arrival_reward,
        follower_value,
        log_softmax,
        several_followers,
        sigmoid,
        softmax,
    )
    from boltzgrad.verify import AgreementReport, EstimatorCheck, check_estimator, check_samples, verify

__version__ = "0.1.0"

__all__ = [
    "AgreementReport",
    "ApproximateFollower",
    "AverageRewardModel",
    "ConfigurableMDP",
    "ContextualModel",
    "Enclosure",
    "EstimatorCheck",
    "FiniteHorizonLQModel",
    "FiniteHorizonModel",
    "Hypergradient",
    "JointObjective",
    "LQModel",
    "LeaderMDP",
    "LeaderPolicy",
    "LinearQuadratic",
    "LinearQuadraticGame",
    "LogLikelihood",
    "MarkovGame",
    "PolicyObjective",
    "Preferences",
    "Regulariser",
    "SparseKernel",
    "SparsePattern",
    "TabularModel",
    "Trajectories",
    "TrajectoryObjective",
    "ValueObjective",
    "approximate",
    "arrival_reward",
    "check_estimator",
    "check_samples",
    "derivations",
    "enclose",
    "errors",
    "estimators",
    "follower_value",
    "followers",
    "hypergradient",
    "log_softmax",
    "parl_gradient",
    "penalty_gradient",
    "problems",
    "required_accuracy",
    "several_followers",
    "sigmoid",
    "softmax",
    "solvers",
    "testing",
    "verify",
    "worlds",
]

# Everything is imported when it is first used: the pytest plugin below this package is loaded in every pytest run of
# its users' environments, and must not bring NumPy and SciPy with it.
_ROOMS = ("derivations", "errors", "estimators", "followers", "gradients", "problems", "solvers", "testing", "worlds")
_FROM_VERIFY = ("AgreementReport", "EstimatorCheck", "check_estimator", "check_samples", "verify")
_ELSEWHERE = {
    "ApproximateFollower": "followers",
    "approximate": "followers",
    "required_accuracy": "followers",
    "Enclosure": "families.enclosure",
    "Hypergradient": "core.hypergradient",
    "enclose": "families.enclosure",
    "hypergradient": "families.registry",
    "parl_gradient": "families.tabular.hessian",
    "penalty_gradient": "families.tabular.penalty_gradient",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"boltzgrad.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'boltzgrad' has no attribute {name!r}")
    room = "verify" if name in _FROM_VERIFY else _ELSEWHERE.get(name, "problems")
    value = getattr(importlib.import_module(f"boltzgrad.{room}"), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The class of the package: `boltzgrad.verify` is the function, also after the import system has bound the room."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name == "verify" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
