"""Sample-based hypergradients, one file a method."""

from boltzgrad.estimators.bchg import BCHG, variance_reduced
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.hpgd import HPGD, HPGDOracle
from boltzgrad.estimators.naive import NaivePGD
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.sobirl import SoBiRL
from boltzgrad.estimators.streams import Stream

__all__ = [
    "BCHG",
    "HPGD",
    "Estimates",
    "Estimator",
    "HPGDOracle",
    "NaivePGD",
    "Run",
    "Sampling",
    "SoBiRL",
    "Stream",
    "variance_reduced",
]
