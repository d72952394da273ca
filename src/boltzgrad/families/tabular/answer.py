"""The follower's exact answer in a table, and known ways to get it wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Answer, only_context
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.solvers import FollowerSolution, solve_follower
from boltzgrad.solvers.follower import as_given
from boltzgrad.solvers.soft_bellman import boltzmann

_SWEEPS = 20_000


def answer(problem: ConfigurableMDP, theta: Array, context: int) -> Answer:
    """V, Q and the policy of one context."""
    models = problem.contexts(theta).models
    model = models[only_context(context, len(models))]
    follower = as_given(solve_follower(model))
    values = {"V": follower.value, "Q": follower.q, "policy": follower.policy}
    return with_bounds(values, model, follower, model)


def with_bounds(
    values: dict[str, Array], like: TabularModel, follower: FollowerSolution, model: TabularModel | None
) -> Answer:
    """Values that are as right as `follower` is, with what is known of `model`, the one that the follower plans in."""
    bounds = {
        name: 2.0 * follower.sup_bound / (np.min(like.unit) * like.temperature)
        if name == "policy"
        else follower.sup_bound
        for name in values
    }
    gamma = like.follower_discount
    horizon = 1.0 / (1.0 - gamma) if gamma < 1.0 else follower.system.remaining_steps
    if model is None:
        return Answer(values, bounds, horizon)
    size = float(np.abs(values["Q"]).max()) / (float(np.min(model.unit)) * model.temperature)
    if (
        model.given is not None
        or np.any(model.unit != 1.0)
        or model.reference is not None
        or model.available is not None
    ):
        return Answer(values, bounds, horizon, size)  # mistakes are known of plain followers
    return Answer(values, bounds, horizon, size, partial(mistaken, model), lambda v: backup(model, v)[1])


def backup(model: TabularModel, v: Array) -> tuple[Array, Array]:
    """(Q, τ log Σ exp(Q/τ)) for values V (S,) of the next state."""
    q = model.follower_reward + model.follower_discount * model.follower_kernel.expect(v)
    return q, boltzmann(q, model.temperature)[1]


def mistaken(model: TabularModel) -> list[tuple[str, dict[str, Array]]]:
    """(the mistake, the arrays that it gets wrong), each swept to its own fixed point."""
    tau, n = model.temperature, model.n_actions

    def swept(maximum: Callable[[Array], Array], discount: float = model.follower_discount) -> tuple[Array, Array]:
        v, q = np.zeros(model.n_states), model.follower_reward
        for _ in range(_SWEEPS):
            q = model.follower_reward + discount * model.follower_kernel.expect(v)
            new = maximum(q)
            moved, v = float(np.abs(new - v).max()), new
            if moved <= 1e-13 * max(1.0, float(np.abs(v).max())):
                break
        return q, v

    def soft(q: Array) -> Array:
        return boltzmann(q, tau)[1]

    def policy_of(q: Array) -> Array:
        return boltzmann(q, tau)[0]

    def greedy(q: Array) -> Array:
        return np.asarray((q >= q.max(axis=1, keepdims=True) - 1e-12).astype(float))

    hard, mean = swept(lambda q: np.asarray(q.max(axis=1))), swept(lambda q: soft(q) - tau * np.log(n))
    no_entropy = swept(lambda q: np.asarray((policy_of(q) * q).sum(axis=1)))
    other, right = swept(soft, model.leader_discount), swept(soft)
    values = [
        ("max for the soft maximum", hard),
        ("the mean of exponentials for their sum: τ log(1/A) lost at every step", mean),
        ("Σ π Q for the soft maximum: the entropy is not rewarded", no_entropy),
        ("γ_L for the follower's discount", other),
    ]
    policies = [
        ("the greedy policy of the soft Q", greedy(right[0])),
        ("the greedy policy, no temperature at all", greedy(hard[0])),
        ("exp(Q) without 1/τ", boltzmann(right[0], 1.0)[0]),
        ("the uniform policy", np.full_like(right[0], 1.0 / n)),
    ]
    return [
        *((words, {"Q": q, "V": v, "policy": policy_of(q)}) for words, (q, v) in values),
        *((words, {"policy": policy}) for words, policy in policies),
    ]
