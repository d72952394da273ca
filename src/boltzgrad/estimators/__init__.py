"""Sample-based hypergradients, one file a method."""

from boltzgrad.estimators.amd import AMD
from boltzgrad.estimators.bchg import BCHG, variance_reduced
from boltzgrad.estimators.bi_ac import BiAC
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.exact import ExactGradient, NoisyExact
from boltzgrad.estimators.hpgd import HPGD, HPGDOracle
from boltzgrad.estimators.lqr_game import GameBCHG, GameNaivePGD
from boltzgrad.estimators.m_sobirl import MSoBiRL
from boltzgrad.estimators.naive import NaivePGD
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.sobirl import SoBiRL
from boltzgrad.estimators.stoc_sobirl import StocSoBiRL
from boltzgrad.estimators.streams import Stream
from boltzgrad.estimators.zero_order import ZeroOrder

__all__ = [
    "AMD",
    "BCHG",
    "HPGD",
    "BiAC",
    "Estimates",
    "Estimator",
    "ExactGradient",
    "GameBCHG",
    "GameNaivePGD",
    "HPGDOracle",
    "MSoBiRL",
    "NaivePGD",
    "NoisyExact",
    "Run",
    "Sampling",
    "SoBiRL",
    "StocSoBiRL",
    "Stream",
    "ZeroOrder",
    "variance_reduced",
]
