"""Sample-based hypergradients, one file a method.

The sources, as docstrings name them:

- BC-HG: Kudo, Tanabe, Wachi, Akimoto, "Sample-Efficient Hypergradient Estimation for Decentralized Bi-Level Reinforcement
  Learning", ICAPS 2026, arXiv:2603.14867.
- HPGD: Thoma, Pásztor, Krause, Ramponi, Hu, "Contextual Bilevel Reinforcement Learning for Incentive Alignment", NeurIPS 2024,
  arXiv:2406.01575.  Numbers of algorithms and theorems are those of its version at the ICML 2024 Agentic Markets workshop,
  "Bilevel Optimization with Lower-Level Contextual MDPs".
- SoBiRL: Yang, Gao, Yuan, "Bilevel Reinforcement Learning via the Development of Hyper-gradient without Lower-Level
  Convexity", AISTATS 2025, PMLR 258:4780–4788, arXiv:2405.19697.
"""

from boltzgrad.estimators.amd import AMD
from boltzgrad.estimators.bchg import BCHG, variance_reduced
from boltzgrad.estimators.bi_ac import BiAC
from boltzgrad.estimators.drlhf import DRLHF
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.exact import ExactGradient, NoisyExact
from boltzgrad.estimators.hpgd import HPGD, HPGDOracle
from boltzgrad.estimators.lqr_game import LQGameBCHG, LQGameNaivePGD
from boltzgrad.estimators.m_sobirl import MSoBiRL
from boltzgrad.estimators.naive import NaivePGD
from boltzgrad.estimators.parl import PARL
from boltzgrad.estimators.pbrl import PBRL
from boltzgrad.estimators.plug_in import PlugInGradient
from boltzgrad.estimators.randomised_stopping import RandomisedStopping
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.sobirl import SoBiRL
from boltzgrad.estimators.stoc_sobirl import StocSoBiRL
from boltzgrad.estimators.streams import Stream
from boltzgrad.estimators.trajectory_sobirl import TrajectorySoBiRL
from boltzgrad.estimators.two_timescale import TwoTimescale
from boltzgrad.estimators.zero_order import ZeroOrder

__all__ = [
    "AMD",
    "BCHG",
    "DRLHF",
    "HPGD",
    "PARL",
    "PBRL",
    "BiAC",
    "Estimates",
    "Estimator",
    "ExactGradient",
    "HPGDOracle",
    "LQGameBCHG",
    "LQGameNaivePGD",
    "MSoBiRL",
    "NaivePGD",
    "NoisyExact",
    "PlugInGradient",
    "RandomisedStopping",
    "Run",
    "Sampling",
    "SoBiRL",
    "StocSoBiRL",
    "Stream",
    "TrajectorySoBiRL",
    "TwoTimescale",
    "ZeroOrder",
    "variance_reduced",
]
