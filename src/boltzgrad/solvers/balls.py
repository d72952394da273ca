r"""Matrices with an error radius: enough ball arithmetic to run a formula of linear algebra and get a proved bound.

A `Ball` is every matrix within `radius` of `mid` in the Frobenius norm.  Sums, products, transposes, inverses and Lyapunov
solutions of balls enclose those of their members; a product of k terms adds k·u·‖X‖‖Y‖ for its own rounding.
The same formula, written with `@`, `+`, `.T`, `inverse`, `trace`, `lyapunov`, therefore runs on arrays for a value and on
balls for a bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov

from boltzgrad.core.arrays import Array

EPS = float(np.finfo(float).eps)


def norm(x: Array) -> float:
    """The Frobenius norm."""
    return float(np.linalg.norm(x))


def spectral(x: Array) -> float:
    """The spectral norm of a matrix (rounded up), the Euclidean one of a vector, the size of a number."""
    if not np.all(np.isfinite(x)):
        return np.inf  # an SVD of what is unknown would not converge
    return float(np.linalg.norm(x, 2)) * (1.0 + 1e-12) if x.ndim == 2 else norm(x)


class Ball:
    """All matrices (vectors, scalars) within `radius` of `mid`, in the Frobenius norm."""

    __array_ufunc__ = None  # so that array @ ball comes to us

    def __init__(self, mid: Any, radius: float = 0.0) -> None:
        self.mid, self.radius = np.asarray(mid, float), float(radius)

    @property
    def size(self) -> float:
        """An upper bound on the norm of any member."""
        return norm(self.mid) + self.radius

    @property
    def T(self) -> Ball:
        """The transposes."""
        return Ball(self.mid.T, self.radius)

    def __add__(self, other: Any) -> Ball:
        other = as_ball(other)
        mid = self.mid + other.mid
        return Ball(mid, self.radius + other.radius + EPS * (norm(self.mid) + norm(other.mid)))

    def __neg__(self) -> Ball:
        return Ball(-self.mid, self.radius)

    def __sub__(self, other: Any) -> Ball:
        return self + (-as_ball(other))

    def __matmul__(self, other: Any) -> Ball:
        other = as_ball(other)
        terms = self.mid.shape[-1] + 2
        # ‖XE‖_F ≤ ‖X‖₂ ‖E‖_F: a contraction in the spectral norm does not let radii grow.
        radius = self.radius * (spectral(other.mid) + other.radius) + spectral(self.mid) * other.radius
        return Ball(self.mid @ other.mid, radius + terms * EPS * norm(self.mid) * norm(other.mid))

    def __rmatmul__(self, other: Any) -> Ball:
        return as_ball(other) @ self

    def __mul__(self, scalar: Any) -> Ball:
        if isinstance(scalar, Ball):
            radius = self.radius * scalar.size + norm(self.mid) * scalar.radius
            return Ball(self.mid * scalar.mid, radius + 2 * EPS * norm(self.mid) * norm(scalar.mid))
        return Ball(scalar * self.mid, abs(scalar) * self.radius + 2 * EPS * abs(scalar) * norm(self.mid))

    __rmul__ = __mul__

    def __radd__(self, other: Any) -> Ball:
        return as_ball(other) + self

    def __rsub__(self, other: Any) -> Ball:
        return as_ball(other) - self


def as_ball(x: Any) -> Ball:
    """A ball as it is; numbers as a ball of radius zero."""
    return x if isinstance(x, Ball) else Ball(x)


def inverse(x: Any) -> Any:
    """The inverse; for a ball by ‖(X + E)⁻¹ − Y‖ ≤ ‖Y‖ ‖I − XY‖'/(1 − ‖I − XY‖'), the residual taken over the ball."""
    if not isinstance(x, Ball):
        return np.linalg.inv(x)
    y = np.linalg.inv(x.mid)
    left = (as_ball(np.eye(len(y))) - x @ y).size
    return Ball(y, spectral(y) * left / (1.0 - left) if left < 1.0 else np.inf)


def trace(x: Any) -> Any:
    """The trace; |tr E| ≤ √n ‖E‖."""
    if not isinstance(x, Ball):
        return np.trace(x)
    n = x.mid.shape[0]
    return Ball(np.trace(x.mid), np.sqrt(n) * (x.radius + n * EPS * norm(x.mid)))


def stretch(f: Any, discount: float) -> float:
    """An upper bound on ‖𝓛⁻¹‖, 𝓛(X) = X − γ F X F', in the spectral norm, for every F of a ball; infinite if none.

    𝓛⁻¹ is a positive map, so its norm is that of 𝓛⁻¹(I) =: X.  For any symmetric X ≥ 0 with 𝓛(X) ≥ (1 − η) I the truth
    is at most ‖X‖/(1 − η).
    """
    ball = as_ball(f)
    n = len(ball.mid)
    try:
        x = solve_discrete_lyapunov(np.sqrt(discount) * ball.mid, np.eye(n))
    except (np.linalg.LinAlgError, ValueError):
        return np.inf
    x = (x + x.T) / 2
    if not np.all(np.isfinite(x)) or np.linalg.eigvalsh(x).min() <= 0.0:
        return np.inf
    eta = (as_ball(np.eye(n)) - (as_ball(x) - discount * (ball @ x @ ball.T))).size
    return float(np.linalg.norm(x, 2) * (1 + 1e-12) / (1.0 - eta)) if eta < 1.0 else np.inf


def lyapunov(f: Any, c: Any, discount: float) -> Any:
    """The X of X = γ F X F' + C with C symmetric; for balls, its residual times `stretch` (√n from spectral to Frobenius)."""
    if not (isinstance(f, Ball) or isinstance(c, Ball)):
        return _solved(f, c, discount)
    ball, right = as_ball(f), as_ball(c)
    if not (np.all(np.isfinite(ball.mid)) and np.all(np.isfinite(right.mid))):
        return Ball(np.zeros_like(right.mid), np.inf)  # nothing is known
    x = _solved(ball.mid, (right.mid + right.mid.T) / 2, discount)
    x = (x + x.T) / 2  # the exact one is symmetric, so only the symmetric part of the residual counts
    left = (discount * (ball @ x @ ball.T) + right - x).size
    return Ball(x, np.sqrt(len(x)) * left * stretch(ball, discount))


def _solved(f: Array, c: Array, discount: float) -> Array:
    root = np.sqrt(discount) * f
    x = solve_discrete_lyapunov(root, c)
    # One step of refinement: the solver's residual is worth a solve.
    return np.asarray(x + solve_discrete_lyapunov(root, c + root @ x @ root.T - x))
