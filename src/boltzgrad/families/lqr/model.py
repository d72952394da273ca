r"""Entropy-regularised linear-quadratic models, as numbers at one θ.

    x' = A x + B u + w,  w ~ N(0, W);  follower: cost x'Qx + u'Ru, discount γ_F, temperature τ;
    leader: reward  c − x'Q_L x − u'R_L u + h exp(−½ (x − x̄)'Λ(x − x̄)),  discount γ_L, over `horizon` steps or for ever.

The follower's Boltzmann answer is Gaussian and stationary (Prop 1); with `observed` it sees w before it picks u (Prop 2).
Source: BC-HG appendix (52)–(98); 5.2, 5.4.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import Box

from boltzgrad.core.arrays import Array, ArrayRecord, meaning
from boltzgrad.core.checks import numeric_array, real_number, untraced
from boltzgrad.errors import InvalidModel

_SYMMETRY = 1e-10
_DEFINITE = 1e-12
_EXPECTED = {
    "A": "the (n, n) matrix of x' = A x + B u + w",
    "B": "the (n, m) matrix of x' = A x + B u + w",
    "Q": "the follower's (n, n) cost of the state",
    "R": "the follower's (m, m) cost of the input, positive definite",
    "mean": "the (n,) mean of the first state",
    "leader_constant": "a number, the leader's reward of every step; zero if there is none",
    "follower_discount": "a number in [0, 1]",
    "leader_discount": "a number in [0, 1), or 1 with a horizon",
    "temperature": "a positive number",
}


@dataclass(frozen=True, eq=False)
class LQArrays(ArrayRecord):
    """Everything in an `LQModel` that may depend on θ, or a tangent or cotangent of it."""

    A: Any = meaning("x' = A x + B u + w", "state, state")
    B: Any = meaning("B", "state, input")
    W: Any = meaning("covariance of w", "state, state")
    Q: Any = meaning("the follower's cost of the state", "state, state")
    R: Any = meaning("the follower's cost of the input", "input, input")
    mean: Any = meaning("mean of x₀", "state")
    covariance: Any = meaning("covariance of x₀", "state, state")
    leader_Q: Any = meaning("the leader's cost of the state", "state, state")
    leader_R: Any = meaning("the leader's cost of the input", "input, input")
    leader_constant: Any = meaning("the leader's constant reward", "")
    shift: Any = meaning(
        "C = R⁻¹N' of a cross term N: the input is v − Cx, v that of a cost without one", "input, state", default=None
    )


@dataclass(frozen=True, eq=False)
class Bump:
    """A Gaussian bump h·exp(−½ (x − target)'Λ(x − target)) in the leader's reward; `precision` Λ (n, n) positive definite."""

    target: Array
    precision: Array
    height: float = 1.0


@dataclass(frozen=True, eq=False)
class LQModel:
    r"""A linear-quadratic follower and a leader's reward, as numbers at one θ: a plant, its regulator, and who pays for both.

    **Dynamics.**  x' = A x + B u + w,  w ~ N(0, W) anew at every step,  x₀ ~ N(`mean`, `covariance`).

    **The follower** is the regulator.  It minimises, for ever, E Σ_t γ^t [x_t'Q x_t + u_t'R u_t − τ H(π(·|x_t))]: Q and R are
    *costs* (its reward is minus the cost), there is *no ½* (x'Qx, not ½x'Qx: the Q and R of `dlqr` are used as they are), a
    cross term 2x_t'N u_t only with `N` (n, m), γ = `follower_discount` ≤ 1, and an entropy bonus H, whose `temperature` τ has
    the unit of the cost.  Its optimum, the Boltzmann policy ∝ exp(Q_F(x, u)/τ) of its own action value Q_F, is Gaussian:

        u ~ N(−K x, (τ/2) M⁻¹),  M = R + γB'PB,  K = γM⁻¹B'PA,  P = Q + γA'PA − γ²A'PB M⁻¹B'PA.

    K and P do not depend on τ, W or the start.  They are those of undiscounted `dlqr` on (√γ A, √γ B, Q, R): γ = 1 is plain
    `dlqr` of (A, B, Q, R) (`LQModel.from_dlqr`; its cost for ever is infinite where there is noise, its policy is not).  As
    τ → 0 the policy becomes u = −K x.  J and ∇J are affine in τ where no `bump` sees the spread, but τ must be positive all the
    same: it is what makes the answer a Boltzmann policy.  With `observed` the follower sees w before it picks u, and u has the
    mean −K x − K_w w, K_w = γM⁻¹B'P.

    **The leader** gets, with γ_L = `leader_discount` and without the follower's entropy,

        J = E Σ_t γ_L^t [c − x_t'Q_L x_t − u_t'R_L u_t + h exp(−½ (x_t − x̄)'Λ(x_t − x̄))],

    t from 0, for ever or for `horizon` steps (the follower plans for ever all the same), and then with γ_L up to 1.  `leader_Q`
    and `leader_R` are costs, too, zero if not given and not necessarily definite; c is `leader_constant`; the last term is
    `bump`, there if one is given.  J is to be maximised.

    Shapes: A (n, n), B (n, m), W (n, n) ⪰ 0 (None: no noise), Q (n, n) ⪰ 0, R (m, m) ≻ 0, `mean` (n,), `covariance`
    (n, n) ⪰ 0 (None: the first state is known), `leader_Q` (n, n), `leader_R` (m, m), `leader_constant` a number a step.

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), Props 1 and 2, (52)–(98).

    With a cross term the formulas above hold for v = u + Cx, C = R⁻¹N', and what is kept are their matrices: A − BC, Q − NC and
    `shift` C.  `follower.K` is the gain of u all the same.

    Assumes: (√γ A, √γ B) stabilisable, (√γ A, Q) detectable; √γ_L ρ(A − BK) < 1 unless there is a horizon.

    Raises: InvalidModel, with the offending entry or eigenvalue.

    >>> from scipy.linalg import solve_discrete_are
    >>> A, B, Q, R = np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([[0.0], [0.1]]), np.eye(2), np.eye(1)
    >>> def build(theta):
    ...     return LQModel(A, theta[0] * B, 0.01 * np.eye(2), Q, R, np.ones(2), np.zeros((2, 2)), leader_Q=Q,
    ...                    follower_discount=0.9, leader_discount=0.9, temperature=0.1)
    >>> from boltzgrad import LinearQuadratic, hypergradient
    >>> K = hypergradient(LinearQuadratic(build, dim=1), [1.0]).follower.K
    >>> a, b = np.sqrt(0.9) * A, np.sqrt(0.9) * B
    >>> P = solve_discrete_are(a, b, Q, R)
    >>> bool(np.allclose(K, np.linalg.solve(R + b.T @ P @ b, b.T @ P @ a)))  # dlqr(a, b, Q, R)
    True
    """

    A: Any
    B: Any
    W: Any = None
    Q: Any = None
    R: Any = None
    mean: Any = None
    covariance: Any = None
    leader_Q: Any = None
    leader_R: Any = None
    leader_constant: Any = 0.0
    bump: Bump | None = None
    follower_discount: float = field(kw_only=True)
    leader_discount: float = field(kw_only=True)
    temperature: float = field(kw_only=True)
    horizon: int | None = field(kw_only=True, default=None)
    observed: bool = field(kw_only=True, default=False)
    N: Any = field(kw_only=True, default=None)
    shift: Any = field(kw_only=True, default=None, repr=False)

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name, meant in _EXPECTED.items():
            if getattr(self, name) is None:
                raise InvalidModel(f"{name} is None; expected {meant}")
        put("A", numeric_array("A", self.A, ndim=2, axes="(n, n)"))
        put("B", numeric_array("B", self.B, ndim=2, axes="(n, m)"))
        n, m = self.B.shape
        if self.A.shape != (n, n):
            raise InvalidModel(f"A has shape {self.A.shape}, expected ({n}, {n}) as B has {n} rows")
        for name, k in (("W", n), ("covariance", n), ("leader_Q", n), ("leader_R", m)):
            if getattr(self, name) is None:
                put(name, np.zeros((k, k)))
        for name, k in (("W", n), ("Q", n), ("R", m), ("covariance", n), ("leader_Q", n), ("leader_R", m)):
            put(name, numeric_array(name, getattr(self, name), ndim=2, axes=f"({k}, {k})"))
            if getattr(self, name).shape != (k, k):
                raise InvalidModel(f"{name} has shape {getattr(self, name).shape}, expected ({k}, {k})")
            check_symmetric(name, np.real(untraced(getattr(self, name))))
        for name, definite in (("W", False), ("Q", False), ("R", True), ("covariance", False)):
            check_definite(name, np.real(untraced(getattr(self, name))), strictly=definite)
        put("mean", numeric_array("mean", self.mean, ndim=1, axes="(n,)"))
        if self.mean.shape != (n,):
            raise InvalidModel(f"mean has shape {self.mean.shape}, expected ({n},)")
        self._take_cross_term(put)
        put("leader_constant", numeric_array("leader_constant", self.leader_constant, ndim=0))
        for name in ("follower_discount", "leader_discount"):
            value = real_number(name, getattr(self, name))
            if not 0.0 <= value <= 1.0 or (value == 1.0 and name == "leader_discount" and self.horizon is None):
                raise InvalidModel(f"{name} is {value!r}; expected {_EXPECTED[name]}")
            put(name, value)
        put("temperature", real_number("temperature", self.temperature))
        if not (self.temperature > 0.0 and np.isfinite(self.temperature)):
            raise InvalidModel(
                f"temperature is {self.temperature!r}; it must be positive and finite (the mean answer −Kx does not depend on "
                "it: for a deterministic follower take a small one)"
            )
        if self.horizon is not None and (not isinstance(self.horizon, (int, np.integer)) or self.horizon < 1):
            raise InvalidModel(f"horizon is {self.horizon!r}; expected None or a positive number of steps")
        if self.bump is not None:
            if not isinstance(self.bump, Bump):
                raise InvalidModel(f"bump is a {type(self.bump).__name__}, expected a Bump")
            if isinstance(self.bump.target, Box) or isinstance(self.bump.precision, Box):
                raise InvalidModel("the bump may not depend on theta: give target and precision as plain numbers")
            target = np.asarray(numeric_array("the bump's target", self.bump.target))
            if target.shape != (n,):
                raise InvalidModel(f"the bump's target has shape {target.shape}, expected ({n},)")
            precision = np.asarray(numeric_array("the bump's precision", self.bump.precision))
            if precision.shape != (n, n):
                raise InvalidModel(f"the bump's precision has shape {precision.shape}, expected ({n}, {n})")
            check_symmetric("the bump's precision", precision)
            check_definite("the bump's precision", precision, strictly=True)
            put("bump", Bump(target, precision, real_number("the bump's height", self.bump.height)))

    def _take_cross_term(self, put: Any) -> None:
        """x'Qx + 2x'Nu + u'Ru = x'(Q − NR⁻¹N')x + v'Rv with v = u + R⁻¹N'x, in which x' = (A − BR⁻¹N')x + Bv + w."""
        if self.shift is not None:
            put("shift", numeric_array("shift", self.shift, ndim=2, axes="(m, n)"))
        if self.N is None:
            return
        N = numeric_array("N", self.N, ndim=2, axes="(n, m)")
        if N.shape != self.B.shape:
            raise InvalidModel(f"N has shape {N.shape}, expected {self.B.shape} as B: x'Nu is a number")
        if self.shift is not None:
            raise InvalidModel(
                "a copy of a model that has taken its cross term in is given another; make it anew with that"
            )
        shift = anp.linalg.solve(self.R, N.T)
        put("A", self.A - anp.dot(self.B, shift))
        rest = self.Q - anp.dot(N, shift)
        put("Q", 0.5 * (rest + rest.T))
        put("shift", shift)
        put("N", None)
        check_definite("Q − N R⁻¹N'", np.real(untraced(self.Q)), strictly=False)

    @classmethod
    def from_dlqr(
        cls,
        A: Any,
        B: Any,
        Q: Any,
        R: Any,
        N: Any = None,
        *,
        mean: Any,
        temperature: float,
        leader_discount: float,
        **rest: Any,
    ) -> LQModel:
        """The undiscounted regulator `dlqr(A, B, Q, R, N)`, of the cost x'Qx + u'Ru + 2x'Nu, as a follower.

        `rest` as in `LQModel`, costs of the leader among them.

        >>> model = LQModel.from_dlqr(np.eye(1), np.eye(1), np.eye(1), np.eye(1), mean=[1.0], temperature=0.1,
        ...                           leader_discount=0.9, leader_Q=np.eye(1))
        >>> model.follower_discount
        1.0
        """
        rest |= {"follower_discount": 1.0, "leader_discount": leader_discount, "temperature": temperature}
        return cls(A, B, Q=Q, R=R, N=N, mean=mean, **rest)

    @property
    def n_states(self) -> int:
        """Dimension n of the state."""
        return int(self.B.shape[0])

    @property
    def n_inputs(self) -> int:
        """Dimension m of the follower's action."""
        return int(self.B.shape[1])

    def arrays(self) -> LQArrays:
        """Everything that may depend on θ, traced or not."""
        return LQArrays(*(getattr(self, f.name) for f in fields(LQArrays)))

    def with_arrays(self, arrays: LQArrays) -> LQModel:
        """The model with other numbers in its arrays."""
        return replace(self, **{f.name: getattr(arrays, f.name) for f in fields(LQArrays)})

    def rescaled(self, arrays: LQArrays, bump: Bump | None, temperature: float) -> LQModel:
        """The model in other units, or untraced: what was checked once is not checked again."""
        out = copy(self)
        for name, value in (*vars(arrays).items(), ("bump", bump), ("temperature", temperature)):
            object.__setattr__(out, name, value)
        return out

    def untraced(self) -> LQModel:
        """The model with plain arrays in place of autograd boxes."""
        if not any(isinstance(x, Box) for x in self.arrays().parts()):
            return self
        return self.rescaled(LQArrays(*map(untraced, self.arrays().parts())), self.bump, self.temperature)


def check_symmetric(name: str, x: Array) -> None:
    """Refuse x_ij ≠ x_ji, relative to the largest of |x_ij|, |x_ji| and √|x_ii x_jj|: other units change nothing."""
    off, root = np.abs(x - x.T), np.sqrt(np.abs(np.diag(x)))
    if not off.any():
        return
    far = off > _SYMMETRY * np.maximum(np.maximum(np.abs(x), np.abs(x.T)), np.multiply.outer(root, root))
    if far.any():
        i, j = np.unravel_index(int(np.argmax(far)), far.shape)
        raise InvalidModel(
            f"{name} is not symmetric: {name}[{i}, {j}] is {x[i, j]:.6g}, {name}[{j}, {i}] is {x[j, i]:.6g}"
        )


def check_definite(name: str, x: Array, *, strictly: bool) -> None:
    """Refuse what is not definite, judged by x_ij/√(x_ii x_jj): a congruence with any diagonal matrix changes nothing."""
    diagonal = np.diag(x)
    root = np.sqrt(np.maximum(diagonal, 0.0))
    unit = np.where(root > 0.0, root, 1.0)
    correlation = (x + x.T) / 2 / unit[:, None] / unit
    # An entry beside a zero on the diagonal: [[0, x], [x, 1]] is indefinite for every x ≠ 0.
    lost = bool((diagonal < 0.0).any() or (correlation[root == 0.0] != 0.0).any())
    diagonal_only = np.count_nonzero(correlation) == np.count_nonzero(np.diag(correlation))
    values = np.diag(correlation) if diagonal_only else np.linalg.eigvalsh(correlation)
    least = float(values.min()) if not lost else -1.0
    if lost or least < -_DEFINITE or (strictly and least <= 0.0):
        kind = "positive definite" if strictly else "positive semidefinite"
        smallest = float(np.linalg.eigvalsh((x + x.T) / 2).min())
        clearly = smallest < -1e-14 * float(np.abs(x).max(initial=0.0)) or (strictly and smallest == 0.0)
        shown = f"its smallest eigenvalue is {smallest:.6g}" if clearly else _worst_entry(name, x, unit, least)
        raise InvalidModel(f"{name} is not {kind}: {shown}")


def _worst_entry(name: str, x: Array, unit: Array, least: float) -> str:
    """What is wrong with a matrix whose entries differ so much in size that its smallest eigenvalue does not say it."""
    i = int(np.argmin(np.diag(x) / unit**2))
    if x[i, i] < 0.0:
        return f"{name}[{i}, {i}] is {x[i, i]:.6g}"
    size = np.abs(np.triu(x, 1)) / unit[:, None] / unit
    empty = np.diag(x) == 0.0
    size[(empty[:, None] | empty) & (size > 0.0)] = np.inf
    i, j = map(int, np.unravel_index(int(np.argmax(size)), size.shape))
    entries = ", ".join(f"{name}[{k}, {m}] is {x[k, m]:.6g}" for k, m in ((i, i), (j, j), (i, j)))
    scaled = f"; divided by the roots of its diagonal it has the eigenvalue {least:.6g}" if not empty.any() else ""
    return entries + scaled
