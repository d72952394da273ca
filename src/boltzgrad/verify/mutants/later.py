"""The same problem n steps later, its start fixed at the law of x_n: what a mistake in half of the horizon is made with.

With J(ρ) the value from a start ρ that θ does not move, the steps t ≥ n contribute

    ∇J from t ≥ n = γ_L^n · mass · ∇J(law of x_n),   law of x_n = (P_πᵀ)^n ρ / mass, or mean and covariance of x_n;

mass < 1 where episodes end.  n halves the steps of a finite horizon and the weight of an infinite one, γ_L^n ≈ ½.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from boltzgrad.gradients.game.sweeps import acting_policy, follower_values, q_follower
from boltzgrad.gradients.lqr.adjoint import loop
from boltzgrad.gradients.lqr.sweeps import cost_matrix
from boltzgrad.gradients.tabular.sweeps import matrix_of, planned, soft_backup, state_kernel
from boltzgrad.problems import ConfigurableMDP, LinearQuadratic, MarkovGame, PolicyObjective
from boltzgrad.problems.contexts import ContextualArrays, ContextualModel, as_contexts
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.lqr import LQModel
from boltzgrad.problems.tabular import TabularModel
from boltzgrad.verify.mutants.follower import soft_fixed_point


@dataclass(frozen=True, eq=False)
class Later:
    """A problem that starts later, and what its gradient counts for in the whole."""

    problem: Any
    weight: float


def half_of(discount: float, horizon: int | None = None) -> int:
    """N: half of the horizon, or the number of steps after which γ_L^n ≤ ½."""
    if horizon is not None:
        return horizon // 2
    return int(np.ceil(np.log(0.5) / np.log(discount))) if discount > 0.0 else 1


def later(problem: Any, theta: Array) -> Later | None:
    """The second half of a problem at θ, or None where a problem has no halves (f(θ, π); one step)."""
    return _later(problem, theta.tobytes())


@lru_cache(maxsize=2)
def _later(problem: Any, theta: bytes) -> Later | None:
    at = np.frombuffer(theta)
    if isinstance(problem, LinearQuadratic):
        return _later_lqr(problem, at)
    if isinstance(problem, MarkovGame):
        return _later_game(problem, at)
    return None if isinstance(problem.objective, PolicyObjective) else _later_tabular(problem, at)


def _moved(kernel: Array, start: Array, n: int) -> tuple[Array, float]:
    """The law of s_n, and the probability that the episode still goes on."""
    for _ in range(n):
        start = kernel.T @ start
    mass = float(start.sum())
    return start / mass, mass


def _later_tabular(problem: ConfigurableMDP, theta: Array) -> Later | None:
    contexts = problem.contexts(theta)
    starts, weights = [], []
    for m, probability in zip(contexts.models, contexts.probabilities, strict=True):
        policy = soft_backup(m, planned(m), soft_fixed_point(m, np.zeros(m.n_states)))[1]
        n = half_of(m.leader_discount)
        start, mass = _moved(state_kernel(matrix_of(m.transition), policy), m.initial, n)
        starts.append(start)
        weights.append(float(probability) * m.leader_discount**n * mass)
    total = sum(weights)
    if total == 0.0:
        return None
    probabilities = np.array(weights) / total
    linearised = problem.linearise(theta)

    def moved_on(model: TabularModel | ContextualModel) -> ContextualModel:
        models = as_contexts(model).models
        return ContextualModel([replace(m, initial=s) for m, s in zip(models, starts, strict=True)], probabilities)

    def pushforward(_: Array, direction: Array) -> ContextualArrays:
        tangents = linearised.pushforward(direction)
        still = tuple(replace(x, initial=np.zeros_like(x.initial)) for x in tangents.models)
        return ContextualArrays(still, np.zeros(len(still)))

    def pullback(_: Array, cotangent: ContextualArrays) -> Array:
        still = tuple(replace(x, initial=np.zeros_like(x.initial)) for x in cotangent.models)
        return linearised.pullback(ContextualArrays(still, np.zeros(len(still))))

    second = ConfigurableMDP(
        lambda t: moved_on(problem.build(t)), dim=problem.dim, pullback=pullback, pushforward=pushforward
    )
    return Later(second, total)


def _later_game(problem: MarkovGame, theta: Array) -> Later | None:
    f = problem.leader_policy(theta)
    g = acting_policy(problem, f, q_follower(problem, follower_values(problem, f).x))
    joint = problem.joint
    n = half_of(joint.leader_discount)
    kernel = state_kernel(matrix_of(joint.transition), (f[:, :, None] * g).reshape(len(f), -1))
    start, mass = _moved(kernel, joint.initial, n)
    weight = joint.leader_discount**n * mass
    if weight == 0.0:
        return None
    second = copy.copy(problem)
    second.joint = replace(joint, initial=start)
    return Later(second, weight)


def _later_lqr(problem: LinearQuadratic, theta: Array) -> Later | None:
    m = problem.model(theta)
    n = half_of(m.leader_discount, m.horizon)
    weight = m.leader_discount**n
    if n == 0 or weight == 0.0:
        return None
    at = loop(m, m.arrays(), cost_matrix(m)[0])
    mean, covariance = m.mean, m.covariance
    for _ in range(n):
        mean, covariance = at.F @ mean, at.F @ covariance @ at.F.T + at.noise
    covariance = 0.5 * (covariance + covariance.T)
    horizon = None if m.horizon is None else m.horizon - n

    def build(t: Any) -> LQModel:
        return replace(problem.build(t), mean=mean, covariance=covariance, horizon=horizon)

    return Later(LinearQuadratic(build, dim=problem.dim), weight)
