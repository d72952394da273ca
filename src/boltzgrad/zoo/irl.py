"""Inverse reinforcement learning: a reward under which the follower would have done what was demonstrated."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import LogLikelihood
from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.apprenticeship import feature_matching
from boltzgrad.zoo.options import generator, one_of, positive_integer, real

_ITERATIONS = 200


def irl(
    n_states: int = 6,
    n_actions: int = 3,
    n_features: int = 4,
    seed: int = 0,
    n_demonstrations: int = 0,
    counts: str = "discounted",
    objective: str = "likelihood",
    discount: float = 0.9,
    temperature: float = 0.5,
) -> ConfigurableMDP:
    """The leader's θ (n_features,) is a reward r_θ = φ θ; J is the log-likelihood of an expert's choices, Σ μ log π_θ.

    The expert is a follower of the same kind with a θ of its own (`irl_tables`), and μ(s, a) says how often it took a in s:
    "discounted" counts step t for γᵗ, and ∇J is (1/τ) Σ (μ − μ_θ) φ, the difference of feature expectations; "plain" counts
    the first 1/(1 − γ) steps for one each, and that formula is wrong, while ∇J is still zero at the expert's θ.
    The `objective` may also be "features", −½ ‖Σ μ φ − Σ μ_θ φ‖²: the apprentice's (`zoo/apprenticeship.py`).
    `n_demonstrations` = 0 takes the expectation; else so many episodes are seen (discounted: each goes on with probability γ).
    States are a line, walked from the first.  SoBiRL B names the application (apprenticeship learning), the formula is maximum
    causal entropy's (Ziebart 2010); no numbers are given, these are chosen here.  Raises: InvalidOption, InvalidModel.
    """
    move, features, true = irl_tables(n_states, n_actions, n_features, seed)
    S, A, k = features.shape
    start, gamma, tau = np.eye(S)[0], real("discount", discount), real("temperature", temperature)
    plain = one_of("counts", counts, ("discounted", "plain")) == "plain"
    matched = one_of("objective", objective, ("likelihood", "features")) == "features"
    many = positive_integer("n_demonstrations", n_demonstrations, least=0)

    def build(theta: Any) -> TabularModel:
        return TabularModel(
            move, start, anp.dot(features, theta), np.zeros((S, A)),
            follower_discount=gamma, leader_discount=gamma, temperature=tau,
        )  # fmt: skip

    build(true)  # rates that are none are refused before anybody plans with them
    policy = _optimal(move, features @ true, gamma, tau)
    length = round(1.0 / (1.0 - gamma)) if plain else None
    if many:
        weights = _seen(move, start, policy, gamma, length, many, generator(seed).spawn(1)[0])
    else:
        weights = _expected(move, start, policy, gamma, length)
    seen = np.einsum("sa,sak->k", weights, features)
    wanted = feature_matching(move, features, start, gamma, seen) if matched else LogLikelihood(weights)
    return ConfigurableMDP(build, dim=k, objective=wanted, name="irl")


def irl_tables(n_states: int = 6, n_actions: int = 3, n_features: int = 4, seed: int = 0) -> tuple[Array, Array, Array]:
    """(p (S, A, S), a softmax of N(0, 1) − |s' − s|; features φ (S, A, k) and the expert's θ (k,), N(0, 1)).

    Raises: InvalidOption.
    """
    sizes = {"n_states": n_states, "n_actions": n_actions, "n_features": n_features}
    S, A, k = (positive_integer(name, x) for name, x in sizes.items())
    rng, apart = generator(seed), np.abs(np.subtract.outer(np.arange(S), np.arange(S)))
    move = np.asarray(softmax(rng.standard_normal((S, A, S)) - apart[:, None, :]))
    return move, rng.standard_normal((S, A, k)), rng.standard_normal(k)


def _optimal(move: Array, reward: Array, gamma: float, tau: float) -> Array:
    """The soft-optimal policy (S, A), by soft policy iteration."""
    policy = np.asarray(softmax(reward / tau))
    for _ in range(_ITERATIONS):
        entropy = -tau * np.where(policy > 0.0, np.log(np.where(policy > 0.0, policy, 1.0)), 0.0)
        chain = np.einsum("sa,saz->sz", policy, move)
        v = np.linalg.solve(np.eye(len(move)) - gamma * chain, (policy * (reward + entropy)).sum(axis=1))
        last, policy = policy, np.asarray(softmax((reward + gamma * move @ v) / tau))
        if np.abs(policy - last).max() <= 1e-15:
            break
    return policy


def _expected(move: Array, start: Array, policy: Array, gamma: float, length: int | None) -> Array:
    """μ (S, A): every step for γᵗ, or the first `length` for one each."""
    chain = np.einsum("sa,saz->sz", policy, move)
    if length is None:
        return np.asarray(np.linalg.solve(np.eye(len(start)) - gamma * chain.T, start)[:, None] * policy)
    where, total = start, np.zeros_like(start)
    for _ in range(length):
        where, total = chain.T @ where, total + where
    return np.asarray(total[:, None] * policy)


def _seen(
    move: Array, start: Array, policy: Array, gamma: float, length: int | None, many: int, rng: np.random.Generator
) -> Array:
    """The same as counted in `many` episodes, a mean over them."""
    S, A = policy.shape
    counts = np.zeros((S, A))
    for _ in range(many):
        s = rng.choice(S, p=start)
        for _ in range(rng.geometric(1.0 - gamma) if length is None else length):
            a = rng.choice(A, p=policy[s])
            counts[s, a] += 1.0
            s = rng.choice(S, p=move[s, a])
    return counts / many
