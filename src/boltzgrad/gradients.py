"""The reference hypergradient of any problem and the routes that can witness for it."""

from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.model_check import ModelCheck
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.families.registry import hypergradient, select, witnesses

__all__ = ["Hypergradient", "ModelCheck", "Route", "RouteResult", "hypergradient", "select", "witnesses"]
