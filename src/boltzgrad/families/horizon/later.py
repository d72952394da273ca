"""A finite-horizon problem from a later step on; see `families/later.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.families.family import Later
from boltzgrad.families.horizon.differences import matrices, planned
from boltzgrad.families.later import half_of
from boltzgrad.families.tabular.contexts import ContextualModel, as_contexts
from boltzgrad.families.tabular.problem import ConfigurableMDP


def later(problem: ConfigurableMDP, theta: Array) -> Later | None:
    """The second half of a problem at θ, or None where it has none: one step, f(θ, π), or derivatives by hand."""
    if isinstance(problem.objective, PolicyObjective) or not problem.traced:
        return None
    contexts = problem.contexts(theta)
    halves, starts, weights = [], [], []
    for m, probability in zip(contexts.models, contexts.probabilities, strict=True):
        n, crowd = half_of(1.0, m.horizon), np.asarray(m.initial)
        policies, kernels = planned(m)[0], matrices(m, "transition")
        for t in range(n):
            crowd = kernels[t].T @ (crowd[:, None] * policies[t]).ravel()
        weights.append(float(probability) * float(m.leader_discount) ** n * float(crowd.sum()))
        starts.append(crowd / crowd.sum() if crowd.sum() else crowd)
        halves.append(n)
    total = sum(weights)
    if total == 0.0 or not all(halves):
        return None
    chances = np.array(weights) / total
    usable = [np.asarray(m.initial) if not s.any() else s for m, s in zip(contexts.models, starts, strict=True)]

    def build(t: Any) -> ContextualModel:
        models = as_contexts(problem.build(t)).models
        return ContextualModel([m.later(n, s) for m, n, s in zip(models, halves, usable, strict=True)], chances)

    return Later(ConfigurableMDP(build, dim=problem.dim), total)
