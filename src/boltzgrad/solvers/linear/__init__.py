"""(I − γP) x = b and its transpose: factorise once, solve many times, always with the residual computed."""

from boltzgrad.solvers.linear.structure import choose, compiled_factors
from boltzgrad.solvers.linear.system import LinearSystem, Solved

__all__ = ["LinearSystem", "Solved", "choose", "compiled_factors"]
