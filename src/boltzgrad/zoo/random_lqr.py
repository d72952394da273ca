"""Random stabilisable LQR problems in which every matrix depends on θ."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.zoo.options import generator, one_of, positive_integer, real


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
    moves: str = "all",
) -> LinearQuadratic:
    """A, B move with θ linearly; W, Q, R and x₀'s covariance through square roots; the leader's costs, too.

    `moves` says what depends on θ: "all", the "follower"'s world (A, B, W, Q, R), the "leader"'s costs, or the "start".
    """
    n, m = positive_integer("n", n), positive_integer("m", m)
    dim = positive_integer("n_parameters", n_parameters)
    rng = generator(seed)

    moves = one_of("moves", moves, ("all", "follower", "leader", "start"))

    def family(*shape: int, of: str = "follower") -> Any:
        base, tilt = (
            rng.standard_normal(shape) / np.sqrt(shape[-1]),
            rng.standard_normal((*shape, dim)) / np.sqrt(shape[-1] * dim),
        )
        reach = 0.2 if moves in ("all", of) else 0.0
        return lambda theta: base + reach * anp.dot(tilt, theta)

    def square(k: int, floor: float, of: str = "follower") -> Any:
        root = family(k, k, of=of)
        return lambda theta: anp.dot(root(theta), root(theta).T) + floor * np.eye(k)

    a, b, mean = family(n, n), family(n, m), family(n, of="start")
    w, q, r, start = square(n, 0.0), square(n, 0.1), square(m, 0.5), square(n, 0.0, "start")
    leader_q, leader_r, constant = square(n, 0.0, "leader"), square(m, 0.0, "leader"), family(1, of="leader")

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
