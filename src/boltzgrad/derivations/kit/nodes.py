r"""Unevaluated nodes of a statement: the total derivative ∇(…), pointwise products, traces, Gaussian means and log-integrals.

They are written down as they are read; the proof methods evaluate them by their rules, `numbers.py` evaluates them by
numbers, and the two share nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sympy


class Nabla(sympy.Expr):  # type: ignore[misc]
    r"""∇(argument), the total derivative in θ.  Rule: linear and Leibniz.  Numbers: a complex step."""

    is_commutative: ClassVar[bool] = False

    def __new__(cls, argument: Any) -> Any:
        return sympy.Expr.__new__(cls, sympy.sympify(argument))

    def _latex(self, printer: Any) -> str:
        return rf"\nabla\left({printer._print(self.args[0])}\right)"

    def _sympystr(self, printer: Any) -> str:
        return f"∇({printer._print(self.args[0])})"


class D(sympy.Function):  # type: ignore[misc]
    r"""Pointwise multiplication by a function: D(X)·Y = X·Y.  Rules: linear, commuting, D(X)Y = D(Y)X."""

    is_commutative: ClassVar[bool] = False

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return rf"\operatorname{{D}}\!\left[{printer._print(self.args[0])}\right]"


class Tr(sympy.Function):  # type: ignore[misc]
    """The trace.  Rules: linear, cyclic, tr X = tr X'."""

    is_commutative: ClassVar[bool] = True

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return rf"\operatorname{{tr}}\left({printer._print(self.args[0])}\right)"


class GaussianMean(sympy.Expr):  # type: ignore[misc]
    """E[scalar] over one vector ~ N(0, covariance).  Rule: Isserlis' pairings.  Numbers: Gauss-Hermite, exact to degree 5."""

    is_commutative: ClassVar[bool] = False

    def __new__(cls, scalar: Any, vector: Any, covariance: Any) -> Any:
        return sympy.Expr.__new__(cls, sympy.sympify(scalar), vector, covariance)

    def _latex(self, printer: Any) -> str:
        scalar, vector, _ = (printer._print(arg) for arg in self.args)
        return rf"\mathbb{{E}}_{{{vector}}}\left[{scalar}\right]"

    def _sympystr(self, printer: Any) -> str:
        return f"E_{self.args[1]}[{printer._print(self.args[0])}]"


class LogIntegral(sympy.Expr):  # type: ignore[misc]
    """τ log ∫ exp(q/τ) du.  Rule: complete the square −(u+h)'M(u+h) with given M, h, dim u, log det M.  Numbers: quadrature."""

    is_commutative: ClassVar[bool] = False

    def __new__(cls, q: Any, vector: Any, tau: Any, precision: Any, centre: Any, size: Any, volume: Any) -> Any:
        return sympy.Expr.__new__(cls, sympy.sympify(q), vector, tau, precision, sympy.sympify(centre), size, volume)

    def _latex(self, printer: Any) -> str:
        q, vector, tau = (printer._print(arg) for arg in self.args[:3])
        return rf"{tau}\log\int\exp\left(\tfrac1{{{tau}}}\left[{q}\right]\right)\mathrm{{d}}{vector}"

    def _sympystr(self, printer: Any) -> str:
        q, vector, tau = (printer._print(arg) for arg in self.args[:3])
        return f"{tau}·log∫exp(({q})/{tau})d{vector}"
