"""Small random linear-quadratic problems whose follower plans for a few steps."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st

from boltzgrad.core.arrays import Array
from boltzgrad.families.drawing.scalars import a_strategy, discounts, quarters, temperatures
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr_steps.model import FiniteHorizonLQModel


@st.composite
def finite_linear_quadratics(
    draw: st.DrawFn,
    *,
    max_steps: int = 4,
    max_states: int = 2,
    max_inputs: int = 2,
    temperature: st.SearchStrategy[float] | float | None = None,
) -> LinearQuadratic:
    """A, B, R's roots, ends and the start move with θ; discounts up to 1; numbers that change from step to step."""
    H, n, m, d = (draw(st.integers(1, most)) for most in (max_steps, max_states, max_inputs, 3))
    each = (H,) if draw(st.booleans()) else ()
    observed = draw(st.booleans())

    def line(*shape: int) -> Any:
        base, slope = draw(quarters(shape, most=4)), draw(quarters((*shape, d), most=2)) / 8.0
        return lambda t: base + anp.dot(slope, t)

    def square(k: int, floor: float, *steps: int) -> Any:
        root = line(*steps, k, k)
        eye: Array = floor * np.eye(k)
        return lambda t: anp.matmul(root(t), anp.swapaxes(root(t), -1, -2)) + eye

    A, B, mean, constant = line(*each, n, n), line(*each, n, m), line(n), line(*each)
    W, Q, R, start = square(n, 0.0), square(n, 0.0, *each), square(m, 0.25, *each), square(n, 0.0)
    ends, costs = (square(n, 0.0), square(n, 0.0)), (square(n, 0.0), square(m, 0.0))
    gammas = [draw(st.just(1.0) | discounts()) for _ in range(2)]
    tau = draw(a_strategy("temperature", temperature, temperatures(lowest=0.01, highest=10.0)))

    def build(t: Any) -> FiniteHorizonLQModel:
        return FiniteHorizonLQModel(
            A(t), B(t), W(t), Q(t), R(t), mean(t), start(t), costs[0](t), costs[1](t), constant(t), ends[0](t), ends[1](t),
            horizon=H, follower_discount=gammas[0], leader_discount=gammas[1], temperature=tau, observed=observed,
        )  # fmt: skip

    return LinearQuadratic(build, dim=d, name="drawn")
