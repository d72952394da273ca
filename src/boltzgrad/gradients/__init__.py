"""Routes from a problem to its hypergradient: one file a route, all with one signature."""

from boltzgrad.gradients.reference import Hypergradient, hypergradient

__all__ = ["Hypergradient", "hypergradient"]
