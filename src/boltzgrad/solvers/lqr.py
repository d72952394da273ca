r"""The follower's Riccati equation and its Gaussian answer, with a proved error of P.

    P = Ric(P) = Q + γA'PA − γ²A'PB M⁻¹B'PA,  M = R + γB'PB,  K = γM⁻¹B'PA,  Σ = (τ/2) M⁻¹,  K_w = γM⁻¹B'P,  F = A − BK

(BC-HG (59), Props 1 and 2).  P comes from SciPy's `solve_discrete_are` on (√γA, √γB), then from Newton (Kleinman) steps
P ← 𝓛⁻¹(Q + K'RK) with 𝓛(X) = X − γF'XF, whose fixed point it is.  All of it in natural units
(`families/lqr/natural_units.py`): every norm below is one of numbers without a unit, every test relative to its own matrix.

**Bound.**  Let E = Ric(P̂) − P̂ (over every model within the entry errors).  P̂ solves the Riccati equation with Q − E for
Q; along the path Q − (1 − s)E the solution moves by dP/ds = 𝓛_{F(s)}⁻¹(E), so while ‖P(s) − P̂‖ ≤ r,
‖P* − P̂‖ ≤ ‖E‖ ‖𝓛⁻¹‖ over all F of such P.  If that is at most r the path never leaves the ball, and r is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_discrete_are

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidModel, NotConverged
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.natural_units import Units, first_guess, units_of
from boltzgrad.solvers.balls import lyapunov

EPS = float(np.finfo(float).eps)
_NEWTON = 6
_ACCEPT = 1e-9
# A Hautus matrix with a smallest singular value below this, relative to its norm, has lost a rank.
_SINGULAR = 1e-12
# SciPy's answer is taken as a start where its residual is below this; else in units made from it, and in units of larger costs.
_START = 1e-4
_AGAIN = 3
_COSTLIER = tuple(range(0, 61, 6))


@dataclass(frozen=True, eq=False)
class LQSolution:
    """The follower's answer: cost matrix P, gains K (of what was given, cross term and all) and K_w (zero unless the noise is
    observed), Σ, F.

    `residual` is ‖Ric(P) − P‖ (Frobenius) relative to ‖P‖ in natural `units`, `radius` the discounted spectral radius
    √γ_F ρ(F).  Everything else is in the user's units.
    A proved bound on ‖P − P*‖ is computed with the hypergradient's (`families/lqr/error_bound.py`).
    """

    P: Array
    K: Array
    K_w: Array
    covariance: Array
    closed: Array
    residual: float
    iterations: int
    radius: float
    units: Units

    def describe(self) -> str:
        """How it was solved, and how well, in words."""
        return (
            f"Riccati, {self.iterations} Newton steps, relative residual {self.residual:.1e}, "
            f"√γ ρ(A − BK) = {self.radius:.6f}"
        )


def gain(model: LQModel, P: Array) -> tuple[Array, Array]:
    """(M, K) for a cost matrix P."""
    gamma = model.follower_discount
    M = model.R + gamma * model.B.T @ P @ model.B
    return M, np.linalg.solve(M, gamma * model.B.T @ P @ model.A)


def riccati(model: LQModel, P: Array) -> Array:
    """Ric(P), in the form Q + K'RK + γF'PF, which loses no digits to cancellation."""
    _, K = gain(model, P)
    F = model.A - model.B @ K
    out = model.Q + K.T @ model.R @ K + model.follower_discount * F.T @ P @ F
    return np.asarray((out + out.T) / 2)


def solve_lqr(model: LQModel) -> LQSolution:
    """The follower's stationary Gaussian answer.

    Raises: InvalidModel if (√γA, √γB) is not stabilisable, (√γA, Q) not detectable, or the closed loop not stable (each
    with the eigenvalue);
    NotConverged if the Riccati residual stays too large.
    """
    units = first_guess(model)
    _check_modes(model, units)
    start = _start(model, units)
    units = units_of(model, start)
    balanced = units.model(model)
    P, residual, count = _refined(balanced, start * units.of_P)
    M, K = gain(balanced, P)
    F = balanced.A - balanced.B @ K
    radius = float(np.sqrt(model.follower_discount) * np.abs(np.linalg.eigvals(F)).max())
    if not (np.isfinite(residual) and residual <= _ACCEPT):
        raise NotConverged(
            f"Riccati equation: relative residual {residual:.3g}, allowed {_ACCEPT:g}; the problem is ill-posed"
        )
    if radius >= 1.0:
        raise InvalidModel(
            f"the follower's closed loop is not stable: √γ ρ(A − BK) = {radius:.9f}, expected less than 1"
        )
    gamma, d, e = model.follower_discount, units.state, units.action
    K_w = np.linalg.solve(M, gamma * balanced.B.T @ P) if model.observed else np.zeros_like(K)
    covariance = 0.5 * balanced.temperature * np.linalg.inv(M)
    return LQSolution(
        P=P / units.of_P,
        K=K * (e[:, None] / d) + (0.0 if model.shift is None else model.shift),
        K_w=K_w * (e[:, None] / d),
        covariance=(covariance + covariance.T) / 2 * (e[:, None] * e),
        closed=F * (d[:, None] / d),
        residual=residual,
        iterations=count,
        radius=radius,
        units=units,
    )


def _start(model: LQModel, units: Units) -> Array:
    """Some P near the solution, in the user's units, from SciPy.  Raises: InvalidModel if there seems to be none.

    SciPy gives up where P is many orders of magnitude above Q, as where an unstable mode is hard to move.  With larger costs
    taken for a unit P is of order one, and Q small, which it does not mind; and what it then finds tells each state's unit.
    """
    balanced = units.model(model)
    if model.follower_discount * float(np.linalg.norm(balanced.A)) ** 2 <= EPS:
        # ‖P − Q‖ ≤ γ‖A‖²‖P‖: the future is below rounding, and SciPy's balancing overflows at discounts near 1e-300.
        return np.array(model.Q)
    best, least, reason = None, np.inf, ""
    for exponent in _COSTLIER:
        at = units if exponent == 0 else replace(units, state=units.state * 2.0**-exponent)
        for _ in range(_AGAIN):
            try:
                P, left = _by_scipy(balanced if at is units else at.model(model))
            except (np.linalg.LinAlgError, ValueError) as error:
                reason = reason or str(error)
                break
            if left < least:
                best, least = P / at.of_P, left
            if left <= _START:
                return P / at.of_P
            at = units_of(model, P / at.of_P)
    if best is None:
        raise InvalidModel(
            f"the Riccati equation has no stabilising solution: {reason} (is every undamped mode seen by Q?)"
        )
    return best


def _by_scipy(model: LQModel) -> tuple[Array, float]:
    """(P, its relative residual).  Raises: LinAlgError, ValueError."""
    root = np.sqrt(model.follower_discount)
    with np.errstate(all="ignore"):  # what it makes of numbers near the ends of the range is judged by the residual
        P = np.asarray(solve_discrete_are(root * model.A, root * model.B, model.Q, model.R))
    return P, _residual(model, P)


def _refined(model: LQModel, P: Array) -> tuple[Array, float, int]:
    """(P, its residual, steps) by Newton steps for as long as they help."""
    residual, count = _residual(model, P), 0
    for _ in range(_NEWTON):
        _, K = gain(model, P)
        F = model.A - model.B @ K
        better = lyapunov(F.T, model.Q + K.T @ model.R @ K, model.follower_discount)
        better = (better + better.T) / 2
        size = _residual(model, better)
        if not size < residual:
            break
        P, residual, count = better, size, count + 1
    return P, residual, count


def check_leader_stable(model: LQModel, solution: LQSolution) -> None:
    """An infinite-horizon quadratic leader needs √γ_L ρ(A − BK) < 1.  Raises: InvalidModel with the eigenvalue."""
    if model.horizon is None:
        values = np.linalg.eigvals(solution.closed)
        worst = values[int(np.argmax(np.abs(values)))]
        radius = float(np.sqrt(model.leader_discount) * np.abs(worst))
        if radius >= 1.0:
            raise InvalidModel(
                f"the leader's discounted value is infinite: the closed loop has eigenvalue {worst:.6g} and "
                f"√γ_L |λ| = {radius:.6f}, expected less than 1; use a finite horizon or a smaller leader_discount"
            )


def _residual(model: LQModel, P: Array) -> float:
    return float(np.linalg.norm(riccati(model, P) - P) / max(float(np.linalg.norm(P)), 1e-300))


def _check_modes(model: LQModel, units: Units) -> None:
    """Hautus tests at every eigenvalue of √γA on or outside the unit circle.  Raises: InvalidModel.

    A mode that B cannot reach makes the value infinite; one that Q does not see is left unstable by the optimal answer,
    which is then not the stabilising solution.  Neither depends on units: a mode is tested for being seen in units in which
    each state costs one, now or a step later, and for being reached in units in which each is moved by one.
    """
    root, n = np.sqrt(model.follower_discount), model.n_states
    values = np.linalg.eigvals(units.factors.A * model.A)
    values = values[root * np.abs(values) >= 1.0]
    if not values.size:
        return
    reached = _reach(model)
    A, B = _in_units(model.A, reached, reached), _in_units(model.B, reached, 1.0 / _columns(model.B, reached))
    seen, Q = units.factors.A * model.A, units.factors.Q * model.Q
    Q = Q / np.where(np.diag(Q) > 0.0, np.abs(Q).max(axis=1), 1.0)[:, None]
    for value in values:
        size = f"eigenvalue {value:.6g} of A (√γ|λ| = {root * np.abs(value):.6f} ≥ 1)"
        if _deficient(np.hstack([A - value * np.eye(n), B])):
            raise InvalidModel(f"(√γA, √γB) is not stabilisable: the mode with {size} cannot be reached through B")
        if _deficient(np.vstack([seen - value * np.eye(n), Q])):
            raise InvalidModel(
                f"(√γA, Q) is not detectable: the mode with {size} costs the follower nothing, and its optimal answer "
                "leaves it unstable"
            )


def _reach(model: LQModel) -> Array:
    """How far inputs of size R^{-1/2} move each state (n,), at once or a step later; one for a state that nothing moves."""
    reached = (np.abs(model.B) / np.sqrt(np.diag(model.R))).max(axis=1)
    for _ in range(model.n_states):
        reached = np.where(reached == 0.0, (np.abs(model.A) * reached).max(axis=1), reached)
    return np.where(reached > 0.0, reached, 1.0)


def _columns(B: Array, reached: Array) -> Array:
    """The largest entry of each column of B in these units (m,); one for an input that does nothing."""
    largest = np.abs(B / reached[:, None]).max(axis=0)
    return np.where(largest > 0.0, largest, 1.0)


def _in_units(x: Array, rows: Array, columns: Array) -> Array:
    return np.asarray(x * columns / rows[:, None])


def _deficient(pencil: Array) -> bool:
    least = np.linalg.svd(pencil, compute_uv=False)[-1]
    return bool(least <= _SINGULAR * max(1.0, float(np.linalg.norm(pencil))))
