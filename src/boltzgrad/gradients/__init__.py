"""Routes from a problem to its hypergradient: one file a route, all with one signature."""

from boltzgrad.gradients.families import hypergradient, select, witnesses
from boltzgrad.gradients.model_check import ModelCheck
from boltzgrad.gradients.reference import Hypergradient
from boltzgrad.gradients.route import Route, RouteResult

__all__ = ["Hypergradient", "ModelCheck", "Route", "RouteResult", "hypergradient", "select", "witnesses"]
