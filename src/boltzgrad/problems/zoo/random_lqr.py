"""Random stabilisable LQR problems in which every matrix depends on θ."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.problems.lqr import LinearQuadratic, LQModel
from boltzgrad.problems.zoo.options import positive_integer, real


def random_lqr(
    n: int = 3,
    m: int = 2,
    n_parameters: int = 6,
    seed: int = 0,
    follower_discount: float = 0.9,
    leader_discount: float = 0.85,
    temperature: float = 0.2,
    horizon: int | None = None,
    observed: bool = False,
) -> LinearQuadratic:
    """Everything moves with θ: A, B linearly; W, Q, R and x₀'s covariance through square roots; the leader's costs, too."""
    n, m = positive_integer("n", n), positive_integer("m", m)
    dim = positive_integer("n_parameters", n_parameters)
    rng = np.random.default_rng(seed)

    def family(*shape: int) -> Any:
        base, tilt = (
            rng.standard_normal(shape) / np.sqrt(shape[-1]),
            rng.standard_normal((*shape, dim)) / np.sqrt(shape[-1] * dim),
        )
        return lambda theta: base + 0.2 * anp.dot(tilt, theta)

    def square(k: int, floor: float) -> Any:
        root = family(k, k)
        return lambda theta: anp.dot(root(theta), root(theta).T) + floor * np.eye(k)

    a, b, mean = family(n, n), family(n, m), family(n)
    w, q, r, start = square(n, 0.0), square(n, 0.1), square(m, 0.5), square(n, 0.0)
    leader_q, leader_r, constant = square(n, 0.0), square(m, 0.0), family(1)

    def build(theta: Any) -> LQModel:
        return LQModel(
            a(theta),
            b(theta),
            w(theta),
            q(theta),
            r(theta),
            mean(theta),
            start(theta),
            leader_Q=leader_q(theta),
            leader_R=leader_r(theta),
            leader_constant=constant(theta)[0],
            follower_discount=real("follower_discount", follower_discount),
            leader_discount=real("leader_discount", leader_discount),
            temperature=real("temperature", temperature),
            horizon=None if horizon is None else positive_integer("horizon", horizon),
            observed=bool(observed),
        )

    return LinearQuadratic(build, dim=dim, name="random-lqr")
