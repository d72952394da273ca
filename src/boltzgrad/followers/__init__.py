"""Followers that are not optimal: what they do to a hypergradient, and learners that leave one."""

from boltzgrad.followers.gains import FittedGain, GainLearner, LearnedGain, RiccatiSweeps
from boltzgrad.followers.learner import Learned, Learner
from boltzgrad.followers.observed import FromSamples
from boltzgrad.followers.planning import FittedQ, NaturalPolicyGradient, PolicyGradient, SoftValueIteration
from boltzgrad.followers.required import required_accuracy
from boltzgrad.followers.sampled import Sarsa, SoftQLearning
from boltzgrad.followers.suboptimal import ApproximateFollower, approximate

__all__ = [
    "ApproximateFollower",
    "FittedGain",
    "FittedQ",
    "FromSamples",
    "GainLearner",
    "Learned",
    "LearnedGain",
    "Learner",
    "NaturalPolicyGradient",
    "PolicyGradient",
    "RiccatiSweeps",
    "Sarsa",
    "SoftQLearning",
    "SoftValueIteration",
    "approximate",
    "required_accuracy",
]
