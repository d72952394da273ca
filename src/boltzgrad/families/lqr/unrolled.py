r"""Automatic differentiation: through every Riccati sweep, or through an implicit VJP of the fixed point.

The sweeps are P ← Ric(P); the fixed point itself comes from doubling.  The implicit VJP of P = Ric(P) is u = g + γFuF',
summed by doubling, and corrected by what autograd's own derivative of a sweep says is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from autograd.builtins import tuple as traced_tuple
from autograd.core import make_vjp
from autograd.extend import defvjp, primitive

from boltzgrad.core.arrays import Array
from boltzgrad.core.linearise import constants_allowed
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.errors import NotDifferentiable, Unfinished
from boltzgrad.families.lqr.doubling import Powers, cost_matrix, gain
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.sweeps import backup, value, value_rounding
from boltzgrad.witnesses.tape import Arrays, FixedPoint, taped

_BELOW = 1e-17
_SWEEP_LIMIT = 3_000
_STATE_LIMIT = 30
_CORRECTIONS = 3


def sweeps_needed(model: LQModel, P: Array) -> int:
    """The number of sweeps that a derivative through them needs: (γρ(F)²)ⁿ is below rounding."""
    rate = Powers(gain(model, P)[1], model.follower_discount).radius ** 2
    return int(np.ceil(np.log(_BELOW) / np.log(rate))) + 20 if 1e-12 < rate < 1.0 else 40


class _With:
    """A model with other (traced) matrices, for one sweep."""

    def __init__(self, model: LQModel, A: Any, B: Any, Q: Any, R: Any) -> None:
        self.A, self.B, self.Q, self.R, self.follower_discount = A, B, Q, R, model.follower_discount


def _answer(arrays: Any, step: Callable[[Any, Arrays], Any], start: Array, powers: Powers) -> Array:
    """The fixed point itself: `start` is already converged; what matters is the derivative below."""
    return start


def _solved_vjp(ans: Array, arrays: Any, step: Callable[[Any, Arrays], Any], start: Array, powers: Powers) -> Any:
    in_P, _ = make_vjp(lambda P: step(P, arrays), ans)
    in_arrays, _ = make_vjp(lambda a: traced_tuple((step(ans, a),)), traced_tuple(arrays))

    def vjp(g: Array) -> Any:
        g = (g + g.T) / 2  # P is symmetric, so only this part of a cotangent counts
        u, last, size = np.zeros_like(g), np.inf, _size(powers.forward(g), ans)
        for _ in range(_CORRECTIONS):
            carried = in_P(u)
            rest = g + (carried + carried.T) / 2 - u
            left = _size(powers.forward(rest), ans)
            if left >= 0.5 * last:
                break
            u, last = u + powers.forward(rest), left
        if not left <= 1e-6 * max(size, np.finfo(float).tiny):
            raise Unfinished(f"the implicit derivative of P is left with {left / size:.1e} of its size")
        return in_arrays((u,))

    return vjp


def _size(u: Array, P: Array) -> float:
    """The size of a cotangent of P beside P itself: Σ |u_ij| √(P_ii P_jj), in the units of J whatever those of the states."""
    root = np.sqrt(np.maximum(np.diag(P), 0.0))
    return float(root @ np.abs(u) @ root)


_solved: Any = primitive(_answer)
defvjp(_solved, _solved_vjp, None, None, None)


def implicit(model: LQModel) -> FixedPoint:
    """A fixed point as one primitive with the implicit vector-Jacobian product."""

    def fixed_point(step: Callable[[Any, Arrays], Any], arrays: Arrays, start: Array, sweeps: int) -> Any:
        powers = Powers(gain(model, start)[1], model.follower_discount)
        return _solved(traced_tuple(arrays), step, start, powers)

    return fixed_point


def _differentiate(problem: LinearQuadratic, theta: Array, how: Callable[[LQModel], FixedPoint]) -> RouteResult:
    base = problem.model(theta)
    start, _, _ = cost_matrix(base)
    count, fixed_point = sweeps_needed(base, start), how(base)

    def J(theta: Any) -> Any:
        model = problem.build(theta)

        def step(P: Any, arrays: Arrays) -> Any:
            A, B, Q, R = arrays
            return backup(_With(model, A, B, Q, R), P)  # type: ignore[arg-type]

        return value(model, fixed_point(step, (model.A, model.B, model.Q, model.R), start, count))

    try:
        with constants_allowed():
            vjp, J0 = make_vjp(J, theta)
    except (TypeError, NotImplementedError) as error:
        raise NotDifferentiable(f"autograd cannot trace this problem's build: {error}") from error
    gradient = np.asarray(vjp(1.0))
    return RouteResult(float(J0), gradient, 4e-16 * np.abs(gradient), value_error=value_rounding(base, start))


def _skip_implicit(problem: LinearQuadratic, theta: Array) -> str:
    return f"more than {_STATE_LIMIT} states" if problem.model(theta).n_states > _STATE_LIMIT else ""


def _skip_unrolled(problem: LinearQuadratic, theta: Array) -> str:
    reason = _skip_implicit(problem, theta)
    if reason:
        return reason
    model = problem.model(theta)
    try:
        count = sweeps_needed(model, cost_matrix(model)[0])
    except Unfinished as error:
        return f"too many sweeps to unroll ({error})"
    return f"{count} sweeps to unroll" if count > _SWEEP_LIMIT else ""


UNROLLED = Route(
    "unrolled",
    "autograd through every Riccati sweep",
    lambda p, t: _differentiate(p, t, lambda _: taped),
    _skip_unrolled,
)
UNROLLED_IMPLICIT = Route(
    "unrolled-implicit",
    "autograd through an implicit VJP",
    lambda p, t: _differentiate(p, t, implicit),
    _skip_implicit,
)
