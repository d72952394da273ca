"""The linear system (I − γ P_π) x = b and its transpose, behind one door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import DenseKernel, Kernel
from boltzgrad.errors import NotConverged
from boltzgrad.solvers.linear.direct import DenseLU, SparseLU
from boltzgrad.solvers.linear.incomplete import Incomplete
from boltzgrad.solvers.linear.krylov import Krylov
from boltzgrad.solvers.linear.relaxation import Relaxation
from boltzgrad.solvers.linear.structure import DENSE_LIMIT, Method, choose, compiled_factors

Factor = DenseLU | SparseLU | Krylov | Incomplete | Relaxation

EPS = float(np.finfo(float).eps)
# A solution is accepted when its residual is within this many roundings of the terms it is made of.
_ACCEPT = 64.0
_MAX_REFINEMENTS = 12
# Roundings are relative down to here; below, among the subnormal numbers, each is absolute and far smaller than this.
_UNDERFLOW = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Solved:
    """A solution x with what is known about it.

    `residual` is ‖b − Ax‖ and `bound` ≥ ‖x − x̂‖, both in the sup norm, or in the 1-norm for a transposed solve; in that
    norm ‖A⁻¹‖ is at most the system's `remaining_steps`.  `residual` is a float64 evaluation, off by at most `rounding`.
    """

    x: Array
    residual: float
    rounding: float
    refinements: int
    system: LinearSystem

    @property
    def bound(self) -> float:
        """A proved bound on the error of x in the norm of the solve."""
        return (self.residual + self.rounding) * self.system.remaining_steps


class LinearSystem:
    """(I − γ P_π) with a factorisation that serves forward and transposed solves.

    `kernel` and `policy` (S, A) define P_π, `discount` is γ.  The method (dense LU, sparse LU, GMRES; compiled, incomplete LU
    or Gauss–Seidel passes) is chosen from the kernel; a `reuse`d factorisation of a nearby policy serves as the preconditioner
    of an iterative refinement, so that no new factorisation is made.  Every solution's residual is computed; one that misses
    its tolerance makes the system factorise afresh, then change method (`given_up` says which was left), then raise
    NotConverged.
    """

    def __init__(
        self,
        kernel: Kernel,
        policy: Array,
        discount: float,
        *,
        method: Method | None = None,
        reuse: LinearSystem | None = None,
        given_up: tuple[str, ...] = (),
    ) -> None:
        self.discount, self._kernel, self._policy = discount, kernel, policy
        self.method: Method = method or (reuse.method if reuse is not None else choose(kernel))
        self.factorisations = 0
        self.given_up: tuple[str, ...] = reuse.given_up if reuse is not None else given_up
        self._factor: Factor | None = None
        if reuse is not None and reuse._factor is not None and reuse._factor.exact:
            self._factor = reuse._factor
        # Terms in a sum that a residual is made of: what a float64 evaluation of it may lose, in units of EPS.
        self.terms = kernel.longest_sum + kernel.n_actions + 3

    @cached_property
    def p(self) -> Any:
        """P_π (S, S), dense or CSR."""
        return self._kernel.under(self._policy)

    def apply(self, x: Array, transposed: bool = False) -> Array:
        """(I − γP_π) x, or (I − γP_π)ᵀ x."""
        if isinstance(self._factor, Incomplete):  # which has the matrix, and every entry once
            return self._factor.apply(x, transposed)
        return np.asarray(x - self.discount * ((self.p.T if transposed else self.p) @ x))

    @cached_property
    def heaviest(self) -> float:
        """A bound on the row sums of P_π: one, but for rounding; γ times it is T's contraction factor."""
        return max(1.0, float(self._kernel.row_sums.max()) * (1.0 + 2.0 * self.terms * EPS))

    @cached_property
    def remaining_steps(self) -> float:
        r"""A proved bound on ‖(I − γP_π)⁻¹‖_∞ = max_s E[Σ γ^t | s]: the most discounted steps that remain.

        Where no episode ends it is 1/(1 − γ).  Where some do, x ≥ 0 with (I − γP)x ≥ 1 − δ gives max x/(1 − δ), because the
        inverse is non-negative: one solve, and no condition number.
        """
        most = 1.0 / (1.0 - self.discount * self.heaviest) if self.discount * self.heaviest < 1.0 else np.inf
        if self._kernel.row_sums.min() >= 1.0 - 1e-12 and np.isfinite(most):
            return most
        ones = np.ones(self._kernel.n_states)
        try:
            x = np.maximum(self.solve(ones).x, 0.0)
        except NotConverged:
            return most
        applied = self.apply(x)
        delta = float(np.max(ones - applied + (self.terms + 2) * EPS * (2.0 * x - applied)))
        return min(most, float(x.max()) / (1.0 - delta) * (1.0 + 1e-12)) if delta < 0.5 else most

    @property
    def name(self) -> str:
        """The name of the factorisation in use."""
        return self._factored().name

    @property
    def unusual(self) -> str:
        """What has to be said of how it was solved, in parentheses: compiled loops, methods that were given up; or ""."""
        said = [self.name] if isinstance(self._factored(), (Incomplete, Relaxation)) else []
        said += [f"{self.name} after {name} missed its tolerance" for name in self.given_up[-1:]]
        return f" ({'; '.join(said)})" if said else ""

    def solve(self, b: Array, *, rtol: float = 0.0) -> Solved:
        """(I − γP_π) x = b.  With rtol > 0 an iterative method may stop at ‖residual‖ ≤ rtol ‖b‖."""
        return self._solve(b, False, rtol)

    def solve_transposed(self, b: Array, *, rtol: float = 0.0) -> Solved:
        """(I − γP_π)ᵀ x = b."""
        return self._solve(b, True, rtol)

    def _factored(self) -> Factor:
        if self._factor is None:
            self._factor = self._factorise()
        return self._factor

    def _factorise(self) -> Factor:
        self.factorisations += 1
        S = self._kernel.n_states
        fast = not self.given_up and compiled_factors(self._kernel)
        if fast and self.method == "krylov":
            return Relaxation(self.p.indptr, self.p.indices, self.discount * self.p.data)
        if self.method == "krylov":
            return Krylov(self.apply, S, self.discount)
        if self.method == "dense":
            matrix = np.multiply(
                self.p if isinstance(self.p, np.ndarray) else self.p.toarray(), -self.discount, order="F"
            )
            matrix.flat[:: S + 1] += 1.0
            return DenseLU(matrix)
        if fast and not isinstance(self._kernel, DenseKernel):
            try:
                return Incomplete(self._kernel, self._policy, self.discount)
            except NotConverged:
                self.given_up = (*self.given_up, Incomplete.name)
        merged = (
            sparse.csc_array(self.p)
            if isinstance(self._kernel, DenseKernel)
            else self._kernel.under_merged(self._policy)
        )
        return SparseLU(sparse.eye_array(S, format="csc") - self.discount * merged)

    def _solve(self, b: Array, transposed: bool, rtol: float) -> Solved:
        order = 1 if transposed else np.inf
        fresh = self.factorisations > 0
        while True:
            solved, accepted = self._refine(b, order, transposed, rtol)
            if accepted:
                return solved
            if not fresh:
                fresh, self._factor = True, None
            elif isinstance(self._factor, (Incomplete, Relaxation)):
                self.given_up, self._factor = (*self.given_up, self._factor.name), None
            elif self.method == "krylov":
                self.given_up = (*self.given_up, Krylov.name)
                self.method, self._factor = "dense" if b.size <= DENSE_LIMIT else "sparse", None
            else:
                allowed = _allowed(_norm(b, order), _norm(solved.x, order), rtol)
                raise NotConverged(
                    f"linear system ({b.size} states, discount {self.discount}, {self.name}): residual "
                    f"{solved.residual:.3g} after {solved.refinements} refinements, allowed "
                    f"{allowed:.3g}; try a smaller discount or a larger temperature"
                )

    def _refine(self, b: Array, order: float, transposed: bool, rtol: float) -> tuple[Solved, bool]:
        """Solve, then refine until the residual stops falling or is small enough."""
        factor = self._factored()
        inner = max(rtol, 0.0 if factor.exact else 1e-10)
        x = factor.solve(b, transposed=transposed, rtol=inner)
        r = b - self.apply(x, transposed)
        size, count, given, largest = _norm(r, order), 0, _norm(b, order), _norm(x, order)

        # One more solve by iteration costs as much as the first, and gains nothing from here on.
        rest = 2.0 if factor.exact else 8.0
        while size > max(rtol * given, rest * EPS * largest) and count < _MAX_REFINEMENTS and np.isfinite(size):
            step = factor.solve(r, transposed=transposed, rtol=max(inner, 1e-6))
            better = x + step
            r_better = b - self.apply(better, transposed)
            better_size = _norm(r_better, order)
            count += 1
            if not better_size < 0.7 * size:
                break
            x, r, size, largest = better, r_better, better_size, _norm(better, order)
        rounding = self.terms * EPS * (given + 2.0 * largest)
        if given:
            rounding += _UNDERFLOW
        allowed = _allowed(given, largest, rtol)
        return Solved(x, size, rounding, count, self), bool(np.isfinite(size) and size <= allowed)


def _allowed(b: float, x: float, rtol: float) -> float:
    """The residual that is accepted, of sizes of b and x."""
    return max(_ACCEPT * EPS * (b + 2.0 * x), rtol * b, _UNDERFLOW)


def _norm(x: Array, order: float) -> float:
    """The sup norm, or the 1-norm."""
    return float(np.abs(x).sum() if order == 1 else np.abs(x).max())
