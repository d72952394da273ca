r"""A linear-quadratic follower that plans for H steps, as numbers at one θ.

    x_{t+1} = A_t x_t + B_t u_t + w_t,  w_t ~ N(0, W_t);
    follower's cost: Σ_{t<H} γ_F^t (x'Q_t x + u'R_t u − τ H(π_t)) + γ_F^H x_H'Q_end x_H;
    leader's reward: Σ_{t<H} γ_L^t (c_t − x'Q_{L,t} x − u'R_{L,t} u) − γ_L^H x_H'Q_{L,end} x_H.

Source: BC-HG Props 1 and 2, (59), by backward recursion in place of the fixed point.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from autograd.extend import Box

from boltzgrad.core.arrays import Array, ArrayRecord, meaning
from boltzgrad.core.checks import numeric_array, real_number, untraced
from boltzgrad.errors import InvalidModel
from boltzgrad.families.lqr.model import check_definite, check_symmetric

STEPWISE = ("A", "B", "W", "Q", "R", "leader_Q", "leader_R", "leader_constant")
"""The arrays that may have a first axis for the step."""


@dataclass(frozen=True, eq=False)
class LQStepsArrays(ArrayRecord):
    """Everything in a `FiniteHorizonLQModel` that may depend on θ, or a tangent or cotangent of it."""

    A: Any = meaning("x' = A x + B u + w", "[step,] state, state")
    B: Any = meaning("B", "[step,] state, input")
    W: Any = meaning("covariance of w", "[step,] state, state")
    Q: Any = meaning("the follower's cost of the state", "[step,] state, state")
    R: Any = meaning("the follower's cost of the input", "[step,] input, input")
    mean: Any = meaning("mean of x₀", "state")
    covariance: Any = meaning("covariance of x₀", "state, state")
    leader_Q: Any = meaning("the leader's cost of the state", "[step,] state, state")
    leader_R: Any = meaning("the leader's cost of the input", "[step,] input, input")
    leader_constant: Any = meaning("the leader's constant reward", "[step]")
    terminal_Q: Any = meaning("the follower's cost of the last state", "state, state")
    leader_terminal_Q: Any = meaning("the leader's cost of the last state", "state, state")


@dataclass(frozen=True, eq=False)
class FiniteHorizonLQModel:
    r"""A linear-quadratic follower over `horizon` H steps, as numbers at one θ: what `build` returns to `bg.LinearQuadratic`.

    Conventions are those of `LQModel`: costs, no ½, an entropy bonus of weight τ.  The follower minimises them over the H steps
    and pays x_H'Q_end x_H for where it ends (`terminal_Q`); its gain changes from step to step, from

        P_H = Q_end,   M_t = R + γB'P_{t+1}B,   K_t = γM_t⁻¹B'P_{t+1}A,   P_t = Q + K_t'RK_t + γ(A − BK_t)'P_{t+1}(A − BK_t),

    and u_t ~ N(−K_t x_t, (τ/2) M_t⁻¹); with `observed` it sees w_t first, and has the mean −K_t x_t − γM_t⁻¹B'P_{t+1} w_t.  The
    leader counts the same steps, and −x_H'Q_{L,end} x_H (`leader_terminal_Q`).  Discounts are at most 1.

    Shapes: A (n, n), B (n, m), W (n, n) ⪰ 0 (None: no noise), Q (n, n) ⪰ 0, R (m, m) ≻ 0, `leader_Q`, `leader_R` (None: zero),
    `leader_constant`, each the same at every step or with a first axis (H, …); `mean` (n,), `covariance` (n, n) (None: the
    first state is known), `terminal_Q`, `leader_terminal_Q` (n, n) (None: zero).

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), Props 1 and 2, (59)–(98), step by step.
    Raises: InvalidModel, with the offending entry or eigenvalue.

    >>> FiniteHorizonLQModel(np.eye(2), np.ones((2, 1)), Q=np.eye(2), R=np.eye(1), mean=np.ones(2), horizon=5,
    ...                      follower_discount=1.0, leader_discount=1.0, temperature=0.1).n_inputs
    1
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
    terminal_Q: Any = None
    leader_terminal_Q: Any = None
    horizon: int = field(kw_only=True)
    follower_discount: float = field(kw_only=True)
    leader_discount: float = field(kw_only=True)
    temperature: float = field(kw_only=True)
    observed: bool = field(kw_only=True, default=False)

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        H = self.horizon
        if isinstance(H, bool) or not isinstance(H, (int, np.integer)) or H < 1:
            raise InvalidModel(f"horizon is {H!r}; expected a positive integer, the number of steps")
        put("horizon", int(H))
        for name in ("A", "B", "Q", "R", "mean"):
            if getattr(self, name) is None:
                raise InvalidModel(f"{name} is None; expected an array")
        put("B", numeric_array("B", self.B))
        if self.B.ndim not in (2, 3):
            raise InvalidModel(f"B has shape {self.B.shape}, expected (n, m), or ({H}, n, m)")
        n, m = self.B.shape[-2:]
        shapes = {"A": (n, n), "B": (n, m), "R": (m, m), "leader_R": (m, m), "mean": (n,), "leader_constant": ()}
        for f in fields(LQStepsArrays):
            shape, x = shapes.get(f.name, (n, n)), getattr(self, f.name)
            x = np.zeros(shape) if x is None else numeric_array(f.name, x)
            allowed = [shape, (H, *shape)] if f.name in STEPWISE else [shape]
            if x.shape not in allowed:
                raise InvalidModel(f"{f.name} has shape {x.shape}, expected {' or '.join(map(str, allowed))}")
            put(f.name, x)
            if f.name not in ("A", "B", "mean", "leader_constant"):
                self._check_matrix(f.name, np.asarray(untraced(x)))
        for name in ("follower_discount", "leader_discount"):
            put(name, real_number(name, getattr(self, name)))
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidModel(f"{name} is {getattr(self, name)!r}; expected a number in [0, 1]")
        put("temperature", real_number("temperature", self.temperature))
        if not 0.0 < self.temperature < np.inf:
            raise InvalidModel(f"temperature is {self.temperature!r}; it must be positive and finite")

    def _check_matrix(self, name: str, x: Array) -> None:
        for t, one in enumerate(x if x.ndim == 3 else [x]):
            where = f"{name}[{t}]" if x.ndim == 3 else name
            check_symmetric(where, np.real(one))
            # Under a complex step of h a root that is zero has the square −h².
            if not name.startswith("leader") and not np.iscomplexobj(one):
                check_definite(where, one, strictly=name == "R")

    @property
    def n_states(self) -> int:
        """Dimension n of the state."""
        return int(self.B.shape[-2])

    @property
    def n_inputs(self) -> int:
        """Dimension m of the follower's action."""
        return int(self.B.shape[-1])

    def arrays(self) -> LQStepsArrays:
        """Everything that may depend on θ, traced or not."""
        return LQStepsArrays(*(getattr(self, f.name) for f in fields(LQStepsArrays)))

    def with_arrays(self, arrays: LQStepsArrays) -> FiniteHorizonLQModel:
        """The model with other numbers in its arrays, which are not checked again."""
        out = copy(self)
        for name, x in arrays.named():
            object.__setattr__(out, name, x)
        return out

    def untraced(self) -> FiniteHorizonLQModel:
        """The model with plain arrays in place of autograd boxes."""
        arrays = self.arrays()
        return self.with_arrays(arrays.map(untraced)) if any(isinstance(x, Box) for x in arrays.parts()) else self

    def each(self, name: str) -> list[Any]:
        """An array at every step."""
        x = getattr(self, name)
        stepwise = x.ndim > len(np.shape(self._one(name)))
        return [x[t] for t in range(self.horizon)] if stepwise else [x] * self.horizon

    def stepwise(self, name: str) -> bool:
        """Whether an array has an axis for the step."""
        return bool(getattr(self, name).ndim > len(np.shape(self._one(name))))

    def _one(self, name: str) -> Array:
        return np.zeros(()) if name == "leader_constant" else np.zeros((1, 1))
