r"""The follower's Riccati equation and its Gaussian answer, with a proved error of P.

    P = Ric(P) = Q + γA'PA − γ²A'PB M⁻¹B'PA,  M = R + γB'PB,  K = γM⁻¹B'PA,  Σ = (τ/2) M⁻¹,  K_w = γM⁻¹B'P,  F = A − BK

(BC-HG (59), Props 1 and 2).  P comes from SciPy's `solve_discrete_are` on (√γA, √γB), then from Newton (Kleinman) steps
P ← 𝓛⁻¹(Q + K'RK) with 𝓛(X) = X − γF'XF, whose fixed point it is.

**Bound.**  Let E = Ric(P̂) − P̂ (over every model within the entry errors).  P̂ solves the Riccati equation with Q − E for
Q; along the path Q − (1 − s)E the solution moves by dP/ds = 𝓛_{F(s)}⁻¹(E), so while ‖P(s) − P̂‖ ≤ r,
‖P* − P̂‖ ≤ ‖E‖ ‖𝓛⁻¹‖ over all F of such P.  If that is at most r the path never leaves the ball, and r is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_discrete_are

from boltzgrad.errors import InvalidModel, NotConverged
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import LQModel
from boltzgrad.solvers.balls import lyapunov

EPS = float(np.finfo(float).eps)
_NEWTON = 6
_ACCEPT = 1e-9


@dataclass(frozen=True, eq=False)
class LQSolution:
    """The follower's answer: cost matrix P, gains K and K_w (the latter zero unless the noise is observed), Σ, F.

    `residual` is ‖Ric(P) − P‖ (Frobenius) relative to ‖P‖, `radius` the discounted spectral radius √γ_F ρ(F).
    A proved bound on ‖P − P*‖ is computed with the hypergradient's (`gradients/lqr/error_bound.py`).
    """

    P: Array
    K: Array
    K_w: Array
    covariance: Array
    closed: Array
    residual: float
    iterations: int
    radius: float

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
    gamma, root = model.follower_discount, np.sqrt(model.follower_discount)
    _check_modes(model)
    if gamma * float(np.linalg.norm(model.A)) ** 2 <= EPS:
        # ‖P − Q‖ ≤ γ‖A‖²‖P‖: the future is below rounding, and SciPy's balancing overflows at discounts near 1e-300.
        P = np.array(model.Q)
    else:
        try:
            P = solve_discrete_are(root * model.A, root * model.B, model.Q, model.R)
        except (np.linalg.LinAlgError, ValueError) as error:
            raise InvalidModel(
                f"the Riccati equation has no stabilising solution: {error} (is every undamped mode seen by Q?)"
            ) from None
    residual, count = _residual(model, P), 0
    for _ in range(_NEWTON):
        _, K = gain(model, P)
        F = model.A - model.B @ K
        better = lyapunov(F.T, model.Q + K.T @ model.R @ K, gamma)
        better = (better + better.T) / 2
        size = _residual(model, better)
        if not size < residual:
            break
        P, residual, count = better, size, count + 1
    M, K = gain(model, P)
    F = model.A - model.B @ K
    radius = float(root * np.abs(np.linalg.eigvals(F)).max())
    if not (np.isfinite(residual) and residual <= _ACCEPT):
        raise NotConverged(
            f"Riccati equation: relative residual {residual:.3g}, allowed {_ACCEPT:g}; the problem is ill-posed"
        )
    if radius >= 1.0:
        raise InvalidModel(
            f"the follower's closed loop is not stable: √γ ρ(A − BK) = {radius:.9f}, expected less than 1"
        )
    K_w = np.linalg.solve(M, gamma * model.B.T @ P) if model.observed else np.zeros_like(K)
    covariance = 0.5 * model.temperature * np.linalg.inv(M)
    return LQSolution(P, K, K_w, (covariance + covariance.T) / 2, F, residual, count, radius)


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


def _check_modes(model: LQModel) -> None:
    """Hautus tests at every eigenvalue of √γA on or outside the unit circle.  Raises: InvalidModel.

    A mode that B cannot reach makes the value infinite; one that Q does not see is left unstable by the optimal answer,
    which is then not the stabilising solution.
    """
    root, n = np.sqrt(model.follower_discount), model.n_states
    for value in np.linalg.eigvals(model.A):
        if root * np.abs(value) < 1.0:
            continue
        shifted = model.A - value * np.eye(n)
        size = f"eigenvalue {value:.6g} of A (√γ|λ| = {root * np.abs(value):.6f} ≥ 1)"
        if _deficient(np.hstack([shifted, model.B])):
            raise InvalidModel(f"(√γA, √γB) is not stabilisable: the mode with {size} cannot be reached through B")
        if _deficient(np.vstack([shifted, model.Q])):
            raise InvalidModel(
                f"(√γA, Q) is not detectable: the mode with {size} costs the follower nothing, and its optimal answer "
                "leaves it unstable"
            )


def _deficient(pencil: Array) -> bool:
    least = np.linalg.svd(pencil, compute_uv=False)[-1]
    return bool(least <= 1e-10 * max(1.0, float(np.linalg.norm(pencil))))
