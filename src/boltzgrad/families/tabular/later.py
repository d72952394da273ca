"""A configurable MDP from a later step on; see `families/later.py`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.built import BuiltModel
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.families.family import Later
from boltzgrad.families.later import half_of, half_of_chain, moved
from boltzgrad.families.tabular.contexts import ContextualArrays, ContextualModel, as_contexts
from boltzgrad.families.tabular.fixed_points import soft_fixed_point
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sweeps import matrix_of, planned, soft_backup, state_kernel


def later(problem: ConfigurableMDP, theta: Array) -> Later | None:
    """The second half of a problem at θ, or None where it has no halves: f(θ, π)."""
    if isinstance(problem.objective, PolicyObjective):
        return None
    contexts = problem.contexts(theta)
    starts, weights = [], []
    for m, probability in zip(contexts.models, contexts.probabilities, strict=True):
        policy = soft_backup(m, planned(m), soft_fixed_point(m, np.zeros(m.n_states)))[1]
        kernel = state_kernel(matrix_of(m.transition), policy)
        n = half_of_chain(kernel, m.initial) if m.leader_discount == 1.0 else half_of(m.leader_discount)
        start, mass = moved(kernel, m.initial, n)
        starts.append(start)
        weights.append(float(probability) * m.leader_discount**n * mass)
    total = sum(weights)
    if total == 0.0:
        return None
    probabilities = np.array(weights) / total
    linearised = problem.linearise(theta)

    def moved_on(model: BuiltModel | ContextualModel) -> ContextualModel:
        models = as_contexts(model).models
        return ContextualModel(
            [replace(m, initial=s, given=None) for m, s in zip(models, starts, strict=True)], probabilities
        )

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
