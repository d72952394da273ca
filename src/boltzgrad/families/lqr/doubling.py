r"""Riccati and Lyapunov equations for the witnesses, by doubling: quadratically convergent, the same in any units.

**Lyapunov.**  X = Σ_t γ^t F^t C F'^t by X ← X + E X E', E ← E² from E = √γF (Smith 1968): k steps sum 2^k terms.

**Riccati, from nothing.**  With C'C = Q, ΓΓ' = γBR⁻¹B', S = CΓ = UσV', one step of the structure-preserving doubling
algorithm (Anderson 1978; Chu, Fan, Lin 2005), which starts from √γA for A, goes from t to 2t steps of value iteration,

    C'C ← C'C + A'C'(I + SS')⁻¹CA,   ΓΓ' ← ΓΓ' + AΓ(I + S'S)⁻¹Γ'A',   A ← A(A − ΓVσ(1 + σ²)⁻¹U'CA),      C'C → P,

here on the factors C and Γ themselves: nothing is subtracted that could leave less than zero, S has no unit, and QR does not
see the scale of a column.  C'C starts at the cost of one step, so it ends at the follower's optimum, whatever other solutions
the equation has.

**Riccati, from near.**  P ← Σ_t γ^t F'^t (Q + K'RK) F^t (Kleinman 1968).  One step from the real solution makes the imaginary
part of a complex step right, so this runs on complex arrays; a second step shows that it was.

Nothing here is shared with the reference: no SciPy solver, no scaling of the problem.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from boltzgrad.core.arrays import Array
from boltzgrad.errors import Unfinished
from boltzgrad.families.lqr.model import LQModel

EPS = float(np.finfo(float).eps)
_LOG_LEFT = 92.0  # sums are cut where ρ^2t is below e^(-2·92) = 1e-80: derivatives and transients have their share
_NEAREST = 1e-13
_STEPS, _NEWTON = 70, 12
_REST, _SETTLED = 64.0 * EPS, 1e-4


class Powers:
    """√γF, (√γF)², (√γF)⁴, … until nothing is left of them, and the sums that they double.

    Raises: Unfinished where √γ ρ(F) is not below one by 1e-13.
    """

    def __init__(self, F: Array, discount: float) -> None:
        E = np.sqrt(discount) * F
        self.radius = float(np.abs(np.linalg.eigvals(np.real(E))).max())
        self.squares = [E]
        for _ in range(doublings(self.radius, len(F)) - 1):
            self.squares.append(self.squares[-1] @ self.squares[-1])

    def forward(self, C: Array) -> Array:
        """Σ γ^t F^t C F'^t."""
        for E in self.squares:
            C = C + E @ C @ E.T
        return C

    def backward(self, C: Array) -> Array:
        """Σ γ^t F'^t C F^t."""
        for E in self.squares:
            C = C + E.T @ C @ E
        return C

    @property
    def longest(self) -> float:
        """1/(1 − γρ²): the discounted steps that the slowest mode remains."""
        return 1.0 / (1.0 - self.radius**2)


def doublings(radius: float, n: int) -> int:
    """How often to double a sum of powers of a matrix (n, n) with this spectral radius.  Raises: Unfinished."""
    if not radius < 1.0 - _NEAREST:
        raise Unfinished(f"√γ ρ(A − BK) is {radius:.15g}: a sum over all steps does not come to an end")
    terms = max(2.0 * n, _LOG_LEFT / -np.log(radius) if radius > 0.0 else 0.0)
    return int(np.ceil(np.log2(terms)))


def scaled_solve(M: Any, b: Array) -> Array:
    """M⁻¹b for a positive definite M, scaled to a diagonal of ones first; also complex."""
    d = 1.0 / np.sqrt(np.real(np.diag(M)))
    return np.asarray(d[:, None] * np.linalg.solve(M * (d[:, None] * d), d[:, None] * b))


def gain(model: Any, P: Array) -> tuple[Array, Array]:
    """(K, F) for a cost matrix P."""
    gamma, A, B = model.follower_discount, model.A, model.B
    K = scaled_solve(model.R + gamma * B.T @ P @ B, gamma * B.T @ P @ A)
    return K, A - B @ K


def cost_matrix(model: LQModel, start: Array | None = None) -> tuple[Array, int, float]:
    """(P, steps, what they left of P relative to √(P_ii P_jj), or 0 for rounding), real or complex.

    From nothing, or from the answer to a problem nearby.
    Raises: Unfinished if the iterations do not come to rest.
    """
    steps = 0
    moving = any(np.iscomplexobj(x) for x in (model.A, model.B, model.Q, model.R))
    if start is not None:
        try:
            return (_differentiated if moving else _polished)(model, np.real(start))
        except Unfinished:
            pass  # too far away: from nothing, then
    start, steps = from_nothing(real_part(model) if moving else model)
    if moving:
        start, _, _ = _polished(real_part(model), start)
    P, more, left = (_differentiated if moving else _polished)(model, start)
    return P, steps + more, left


def real_part(model: LQModel) -> LQModel:
    """The model without the imaginary parts of a complex step."""
    arrays = type(model.arrays())(*(np.real(x) for x in model.arrays().parts()))
    return model.rescaled(arrays, model.bump, model.temperature)


def from_nothing(model: LQModel) -> tuple[Array, int]:
    """(P, doublings) by the square-root doubling above.  Raises: Unfinished."""
    root = np.sqrt(model.follower_discount)
    A, C = root * model.A, _root_of(np.asarray(model.Q))
    G = root * solve_triangular(np.linalg.cholesky(model.R), model.B.T, lower=True).T
    P = C.T @ C
    for count in range(1, _STEPS + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            S = C @ G
            if not (np.isfinite(S).all() and np.isfinite(A).all()):
                break
            U, s, V = np.linalg.svd(S)
            seen, moved = U.T @ C @ A, G @ V.T
            own = np.concatenate([1.0 / np.hypot(1.0, s), np.ones(max(len(U), len(V)) - len(s))])
            k = len(s)
            answer = moved[:, :k] @ ((s / (1.0 + s * s))[:, None] * seen[:k])
            C = _upper(np.vstack([C, own[: len(U), None] * seen]))
            G = _upper(np.hstack([G, A @ moved * own[: len(V)]]).T).T
            A = A @ (A - answer)
            last, P = P, C.T @ C
        if not np.isfinite(P).all():
            break
        if moved_by(P, last) <= 4.0 * EPS:
            return P, count
    raise Unfinished(
        "the Riccati equation's doubling steps do not come to rest: the follower's cost is infinite, or nearly so"
    )


def _upper(x: Array) -> Array:
    """R of x = QR: a factor of x'x with as many rows as columns."""
    return np.asarray(np.linalg.qr(x, mode="r"))


def _root_of(Q: Array) -> Array:
    """C with C'C = Q ⪰ 0, judged by Q_ij/√(Q_ii Q_jj)."""
    d = np.sqrt(np.diag(Q))
    unit = np.where(d > 0.0, d, 1.0)
    values, vectors = np.linalg.eigh(Q / (unit[:, None] * unit))
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T * d)


def moved_by(new: Array, old: Array) -> float:
    """The largest change of an entry relative to √(P_ii P_jj), which no choice of units alters."""
    root = np.sqrt(np.maximum(np.real(np.diag(new)), 0.0))
    size = root[:, None] * root
    return float((np.abs(new - old)[size > 0.0] / size[size > 0.0]).max(initial=0.0))


def _polished(model: LQModel, P: Array) -> tuple[Array, int, float]:
    """(P, steps, what they left) by Newton from a P that stabilises.  Raises: Unfinished."""
    last = np.inf
    for count in range(1, _NEWTON + 1):
        new, powers = newton(model, P)
        change, P = moved_by(new, P), new
        if change <= _REST * powers.longest:
            return P, count, 0.0  # rounding, which any solution of this equation has
        if _SETTLED > change > 0.5 * last:
            return P, count, min(1.0, change * powers.longest)
        last = change
    raise Unfinished(f"Newton's steps for the Riccati equation still move P by {last:.1e} of its size")


def _differentiated(model: LQModel, P: Array) -> tuple[Array, int, float]:
    """The same where the model has imaginary parts: real steps first, then one that differentiates and one that confirms."""
    P, count, left = _polished(real_part(model), P)
    first, _ = newton(model, P)
    second, powers = newton(model, first)
    K, F = (np.real(x) for x in gain(model, P))
    size = np.abs(F.T @ P)
    forced = np.abs(np.imag(model.Q)) + np.abs(K).T @ np.abs(np.imag(model.R)) @ np.abs(K)
    moved_F = np.abs(np.imag(model.A)) + np.abs(np.imag(model.B)) @ np.abs(K)
    forced = forced + 2.0 * model.follower_discount * size @ moved_F
    root = np.sqrt(np.maximum(np.diag(P), 0.0))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0.0)
    natural = inverse[:, None] * inverse
    moved, most = (float((np.abs(x) * natural).max()) for x in (second.imag - first.imag, second.imag))
    most = max(most, float((forced * natural).max()))
    change = moved / most if most > 0.0 else 0.0
    if change > max(_SETTLED, _REST * powers.longest):
        raise Unfinished(f"the imaginary part of P still moves by {change:.1e} of its size")
    return second, count + 2, left if change <= _REST * powers.longest else max(left, change)


def newton(model: Any, P: Array) -> tuple[Array, Powers]:
    """One step, and the powers of the closed loop it was made with.  Raises: Unfinished if that is not stable."""
    K, F = gain(model, P)
    powers = Powers(F, model.follower_discount)
    new = powers.backward(model.Q + K.T @ model.R @ K)
    return (new + new.T) / 2, powers
