"""Routes from a problem to its hypergradient: one file a route, all with one signature."""

from boltzgrad.gradients.reference import Hypergradient, hypergradient
from boltzgrad.gradients.route import Route, RouteResult
from boltzgrad.gradients.routes import select, witnesses

__all__ = ["Hypergradient", "Route", "RouteResult", "hypergradient", "select", "witnesses"]
