"""Random linear-quadratic problems whose follower plans for a finite number of steps."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr_steps.model import FiniteHorizonLQModel
from boltzgrad.zoo.options import generator, one_of, positive_integer, real


def finite_lqr(
    horizon: int = 6,
    n: int = 3,
    m: int = 2,
    n_parameters: int = 6,
    seed: int = 0,
    follower_discount: float = 0.97,
    leader_discount: float = 1.0,
    temperature: float = 0.2,
    terminal: float = 1.0,
    observed: bool = False,
    moves: str = "all",
) -> LinearQuadratic:
    """`random-lqr` for `horizon` steps: A, B, W, Q, R, the ends' costs (`terminal` times) and x₀ move with θ.

    `moves` "leader": only the leader's costs do, its end's among them.  Chosen here: no source.  Raises: InvalidOption.
    """
    H, n, m = (positive_integer(k, x) for k, x in (("horizon", horizon), ("n", n), ("m", m)))
    dim, rng = positive_integer("n_parameters", n_parameters), generator(seed)
    moves, worth = one_of("moves", moves, ("all", "leader")), real("terminal", terminal)

    def family(*shape: int, leader: bool = False) -> Any:
        base, tilt = rng.standard_normal(shape), rng.standard_normal((*shape, dim))
        reach = 0.2 / np.sqrt(shape[-1] * dim) if leader or moves == "all" else 0.0
        return lambda theta: base / np.sqrt(shape[-1]) + reach * anp.dot(tilt, theta)

    def square(k: int, floor: float, leader: bool = False) -> Any:
        root = family(k, k, leader=leader)
        return lambda theta: anp.dot(root(theta), root(theta).T) + floor * np.eye(k)

    a, b, mean, constant = family(n, n), family(n, m), family(n), family(1, leader=True)
    w, q, r, start, end = square(n, 0.0), square(n, 0.1), square(m, 0.5), square(n, 0.0), square(n, 0.1)
    leader_q, leader_r, leader_end = square(n, 0.0, True), square(m, 0.0, True), square(n, 0.0, True)
    gammas = real("follower_discount", follower_discount), real("leader_discount", leader_discount)
    tau = real("temperature", temperature)

    def build(theta: Any) -> FiniteHorizonLQModel:
        return FiniteHorizonLQModel(
            a(theta),
            b(theta),
            w(theta),
            q(theta),
            r(theta),
            mean(theta),
            start(theta),
            leader_q(theta),
            leader_r(theta),
            constant(theta)[0],
            worth * end(theta),
            worth * leader_end(theta),
            horizon=H,
            follower_discount=gammas[0],
            leader_discount=gammas[1],
            temperature=tau,
            observed=bool(observed),
        )

    return LinearQuadratic(build, dim=dim, name="finite-lqr")
