"""Linear-quadratic models and problems that their follower can stabilise."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidModel
from boltzgrad.families.drawing.scalars import a_strategy, discounts, listed, quarters, temperatures
from boltzgrad.families.lqr.model import Bump, LQArrays, LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.reference import lqr_hypergradient

_HIGHEST = 0.99


def _square(k: int, floor: float) -> st.SearchStrategy[Array]:
    """Symmetric matrices ⪰ floor·I."""
    return quarters((k, k), most=4).map(lambda root: np.asarray(root @ root.T + floor * np.eye(k)))


@st.composite
def lq_models(
    draw: st.DrawFn,
    *,
    max_states: int = 3,
    max_inputs: int = 2,
    discount: st.SearchStrategy[float] | float | None = None,
    temperature: st.SearchStrategy[float] | float | None = None,
) -> LQModel:
    """Linear-quadratic models: stable ones with any inputs, and unstable ones with an input for every state.

    Finite and infinite horizons, with and without a bump, with and without an observed disturbance.
    """
    n = draw(st.integers(1, max_states))
    stable = draw(st.booleans())
    m = draw(st.integers(1, max_inputs)) if stable else n
    A = draw(quarters((n, n), most=4 if stable else 8))
    if stable:
        A = A / max(1.0, 2.0 * float(np.abs(A).sum(axis=1).max()))
        B = draw(quarters((n, m), most=4))
    else:
        B = np.eye(n)
    discount = a_strategy("discount", discount, discounts(highest=_HIGHEST))
    temperature = a_strategy("temperature", temperature, temperatures(lowest=0.01, highest=10.0))
    bump = None
    if draw(st.booleans()):
        bump = Bump(draw(quarters((n,), most=4)), draw(_square(n, 0.25)), draw(st.sampled_from([1.0, 5.0])))
    return LQModel(
        A,
        B,
        draw(_square(n, 0.0)),
        draw(_square(n, 0.25)),
        draw(_square(m, 0.25)),
        draw(quarters((n,), most=4)),
        draw(_square(n, 0.0)),
        leader_Q=draw(_square(n, 0.0)),
        leader_R=draw(_square(m, 0.0)),
        leader_constant=draw(st.integers(-4, 4)) / 4.0,
        bump=bump,
        follower_discount=draw(discount),
        leader_discount=draw(discount),
        temperature=draw(temperature),
        horizon=draw(st.sampled_from([None, 1, 2, 7])),
        observed=draw(st.booleans()),
        shift=draw(quarters((m, n), most=4)) if draw(st.booleans()) else None,
    )


class DrawnLQ(LinearQuadratic):
    """A linear-quadratic problem that prints what it is made of."""

    def __init__(self, base: LQModel, slopes: LQArrays, dim: int) -> None:
        self.base, self.slopes = base, slopes

        def build(theta: Any) -> LQModel:
            moved = {name: x + anp.dot(getattr(slopes, name), theta) for name, x in base.arrays().named()}
            return base.with_arrays(LQArrays(**moved))

        super().__init__(build, dim=dim, name="drawn")

    def __repr__(self) -> str:
        parts = [
            f"{name}={listed(x)} + {listed(getattr(self.slopes, name))}·θ" for name, x in self.base.arrays().named()
        ]
        base = self.base
        rest = {"bump": base.bump, "follower_discount": base.follower_discount, "leader_discount": base.leader_discount,
                "temperature": base.temperature, "horizon": base.horizon, "observed": base.observed}  # fmt: skip
        return (
            f"<LinearQuadratic dim={self.dim}: {', '.join(parts)}, {', '.join(f'{k}={v!r}' for k, v in rest.items())}>"
        )


@st.composite
def linear_quadratics(
    draw: st.DrawFn,
    *,
    max_states: int = 3,
    max_inputs: int = 2,
    max_dim: int = 3,
    discount: st.SearchStrategy[float] | float | None = None,
    temperature: st.SearchStrategy[float] | float | None = None,
) -> LinearQuadratic:
    """Linear-quadratic problems, made to be stabilisable where |θ_j| ≤ 2, and tried at 0, 2 and −2.

    A, B, Q, R, the mean and the leader's costs move linearly with θ, by little; the covariances stand still.
    """
    d = draw(st.integers(1, max_dim))
    base = draw(lq_models(max_states=max_states, max_inputs=max_inputs, discount=discount, temperature=temperature))
    n, m = base.n_states, base.n_inputs

    def symmetric(k: int, reach: float) -> Array:
        half = draw(quarters((k, k, d), most=2))
        return np.asarray(reach * (half + half.transpose(1, 0, 2)) / max(1, k * d))

    slopes = LQArrays(
        A=draw(quarters((n, n, d), most=2)) / 16.0,
        B=draw(quarters((n, m, d), most=2)) / 16.0,
        W=np.zeros((n, n, d)),
        Q=symmetric(n, 0.05),
        R=symmetric(m, 0.05),
        mean=draw(quarters((n, d), most=4)),
        covariance=np.zeros((n, n, d)),
        leader_Q=symmetric(n, 0.25),
        leader_R=symmetric(m, 0.25),
        leader_constant=draw(quarters((d,), most=4)),
        shift=None if base.shift is None else draw(quarters((m, n, d), most=2)) / 16.0,
    )
    problem = DrawnLQ(base, slopes, d)
    for corner in (np.zeros(d), np.full(d, 2.0), np.full(d, -2.0)):
        try:
            lqr_hypergradient(problem, corner)
        except InvalidModel:
            assume(False)
    return problem
