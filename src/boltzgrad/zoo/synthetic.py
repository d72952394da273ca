"""SoBiRL's synthetic problem, and a variant on which a wrong lower-level gradient shows.

Source: SoBiRL J.3.  Both minimise f(θ, π): `value` and `gradient` are those of f itself.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import generator, positive_integer

S, A, DISCOUNT, TEMPERATURE = 10, 5, 0.5, 1.0


def _random_kernel(rng: np.random.Generator) -> Array:
    """1 … 9 distinct successors for each (s, a), with normalised U(0,1) weights."""
    p = np.zeros((S, A, S))
    for s in range(S):
        for a in range(A):
            to = rng.choice(S, size=rng.integers(1, S), replace=False)
            weight = rng.uniform(size=to.size)
            p[s, a, to] = weight / weight.sum()
    return p


def _problem(
    name: str, dim: int, kernel: Array, reward: Any, jacobian: Any, objective: PolicyObjective
) -> ConfigurableMDP:
    """A problem whose θ moves the follower's reward only; `jacobian(theta)` is (S·A, d)."""
    start, unused = np.full(S, 1.0 / S), np.zeros((S, A))

    def build(theta: Any) -> TabularModel:
        return TabularModel(
            kernel,
            start,
            anp.reshape(reward(theta), (S, A)),
            unused,
            follower_discount=DISCOUNT,
            leader_discount=DISCOUNT,
            temperature=TEMPERATURE,
        )

    def pullback(theta: Array, cotangent: TabularArrays) -> Array:
        return np.asarray(cotangent.follower_reward.ravel() @ jacobian(theta))

    def pushforward(theta: Array, direction: Array) -> TabularArrays:
        moved = (jacobian(theta) @ direction).reshape(S, A)
        return TabularArrays(np.zeros_like(kernel), np.zeros(S), moved, unused)

    return ConfigurableMDP(build, dim=dim, pullback=pullback, pushforward=pushforward, objective=objective, name=name)


def synthetic(seed: int = 0, n_parameters: int = 100) -> ConfigurableMDP:
    """Objective f(x, π) = ½‖x‖² + ½‖π‖², r_sa(x) = c_sa · xᵀMx, with 10 states, 5 actions, γ = 0.5, τ = 1.

    Degenerate: every reward is c_sa times one scalar, and both parts of f are least at x = 0.
    Source: SoBiRL J.3 (M i.i.d. N(0,1), not symmetric; c_sa the product of two U(0,1)).
    """
    dim = positive_integer("n_parameters", n_parameters)
    rng = generator(seed)
    kernel = _random_kernel(rng)
    m = rng.standard_normal((dim, dim))
    c = rng.uniform(size=S * A) * rng.uniform(size=S * A)
    symmetric = m + m.T

    objective = PolicyObjective(
        lambda x, pi: 0.5 * anp.sum(x * x) + 0.5 * anp.sum(pi * pi),
        gradient=lambda x, pi: (x, pi),
        variation=lambda x, pi, error: (np.zeros_like(x), error),
    )
    return _problem(
        "synthetic",
        dim,
        kernel,
        lambda x: c * anp.dot(x, anp.dot(m, x)),
        lambda x: np.outer(c, symmetric @ x),
        objective,
    )


def synthetic_hard(seed: int = 0, n_parameters: int = 100) -> ConfigurableMDP:
    """The non-degenerate variant: independent reward directions, f with random coefficients of its own.

    r_sa(x) = c_sa·x/√d + (e_sa·x)²/(2d) with c_sa, e_sa ~ N(0, I);
    f(x, π) = (0.05/d)‖x − x₀‖² + Σ b_sa π_sa + ½ Σ h_sa π_sa², with b ~ N(0,1), h ~ U(½, 3/2), x₀ ~ N(0, I).
    The minimum asks for a follower that avoids the actions with large b, which x₀ does not bring about.
    """
    dim = positive_integer("n_parameters", n_parameters)
    rng = generator(seed)
    kernel = _random_kernel(rng)
    c, e = rng.standard_normal((2, S * A, dim)) / np.sqrt(dim)
    b, h = rng.standard_normal((S, A)), rng.uniform(0.5, 1.5, (S, A))
    centre, weight = rng.standard_normal(dim), 0.1 / dim

    def f(x: Any, pi: Any) -> Any:
        return 0.5 * weight * anp.sum((x - centre) ** 2) + anp.sum(b * pi) + 0.5 * anp.sum(h * pi * pi)

    objective = PolicyObjective(
        f,
        gradient=lambda x, pi: (weight * (x - centre), b + h * pi),
        variation=lambda x, pi, error: (np.zeros_like(x), h * error),
    )
    return _problem(
        "synthetic-hard",
        dim,
        kernel,
        lambda x: anp.dot(c, x) + 0.5 * anp.dot(e, x) ** 2,
        lambda x: c + (e @ x)[:, None] * e,
        objective,
    )
