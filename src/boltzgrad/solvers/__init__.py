"""Solvers: numbers ↦ exact answers, each with an error bound."""

from boltzgrad.solvers.follower import FollowerSolution, solve_follower
from boltzgrad.solvers.leader import LeaderSolution, evaluate_leader
from boltzgrad.solvers.linear import LinearSystem, Solved
from boltzgrad.solvers.soft_bellman import boltzmann

__all__ = [
    "FollowerSolution",
    "LeaderSolution",
    "LinearSystem",
    "Solved",
    "boltzmann",
    "evaluate_leader",
    "solve_follower",
]
