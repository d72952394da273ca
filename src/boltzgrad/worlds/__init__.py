"""Worlds: from an environment that somebody has to a leader over it, with an exact hypergradient, in ten lines."""

from boltzgrad.worlds.control import mountain_car, pendulum
from boltzgrad.worlds.grid import Discretised, discretise
from boltzgrad.worlds.leaders import Features, Logits, Payments, PenaltyBudget, Table, Temperatures
from boltzgrad.worlds.reading import from_arrays, from_dict, from_gymnasium
from boltzgrad.worlds.refinement import Refinement, refinement
from boltzgrad.worlds.world import World

__all__ = [
    "Discretised",
    "Features",
    "Logits",
    "Payments",
    "PenaltyBudget",
    "Refinement",
    "Table",
    "Temperatures",
    "World",
    "discretise",
    "from_arrays",
    "from_dict",
    "from_gymnasium",
    "mountain_car",
    "pendulum",
    "refinement",
]
