"""What a bundle holds of a configurable MDP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import SparseKernel
from boltzgrad.families.content import described, discounts
from boltzgrad.families.family import Content, Entries, Entry
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.reference import TabularHypergradient


def model_entries(model: TabularModel) -> Entries:
    """The arrays of a tabular model; of a sparse kernel its values, and where they stand."""
    out = described(model.arrays(), "model")
    kernels = {"transition": model.kernel} | (
        {"follower_transition": model.follower_kernel} if model.own_kernel else {}
    )
    for name, kernel in kernels.items():
        if isinstance(kernel, SparseKernel):
            where, pattern = f"model/{name}", kernel.pattern
            row = "the values of a CSR matrix, row s·A + a holds the successors of action a in state s"
            out[where] = Entry(out[where].array, f"{out[where].meaning}; {row}", "entry")
            out[f"{where}_indices"] = Entry(pattern.indices, "the next state of each value", "entry")
            out[f"{where}_indptr"] = Entry(pattern.indptr, "where each row begins among the values, and the end", "row")
    return out


def content(reference: TabularHypergradient) -> Content:
    """Its arrays, its constants, and the derivative of the arrays for each parameter."""
    many = len(reference.contexts) > 1
    out: Entries = {}
    for c, (solved, cotangent) in enumerate(
        zip(reference.contexts, reference.contextual_cotangent.models, strict=True)
    ):
        one = model_entries(solved.model)
        for name, entry in described(cotangent, "cotangent", solved.model).items():
            one[name] = Entry(entry.array, entry.meaning, one[name.replace("cotangent", "model")].axes)
        follower = solved.follower
        one["follower/V"] = Entry(follower.value, "the follower's soft value V_F", "state")
        one["follower/Q"] = Entry(follower.q, "Q_F", "state, action")
        one["follower/policy"] = Entry(follower.policy, "the follower's Boltzmann policy π(a|s)", "state, action")
        if solved.leader is not None:
            one["leader/V"] = Entry(solved.leader.value, "the leader's value V_L under π", "state")
            one["leader/Q"] = Entry(solved.leader.q, "Q_L", "state, action")
            one["leader/occupancy"] = Entry(solved.leader.occupancy, "ν(s), the discounted number of visits", "state")
        out |= {_in_context(name, c, many): entry for name, entry in one.items()}
    if many:
        weights = np.asarray(reference.linearised.model.probabilities)
        out["model/probabilities"] = Entry(weights, "the probability of each context", "context")
        out["cotangent/probabilities"] = Entry(
            reference.contextual_cotangent.probabilities, "∂J/∂(probabilities)", "context"
        )
    if reference.outside.any():
        meaning = "the part of ∇J that does not go through the arrays: ∂f/∂θ of the objective, and the regulariser's"
        out["outside"] = Entry(reference.outside, meaning, "parameter")
    constants: dict[str, Any] = {
        "contexts": len(reference.contexts),
        "objective": "return" if reference.contexts[0].leader is not None else "a function f(theta, policy) of its own",
        "regularised": reference.problem.regulariser is not None,
        **_numbers(reference.contexts[0].model),
    }
    if many:
        constants["context_constants"] = [_numbers(solved.model) for solved in reference.contexts]
    return Content(out, constants, _columns(reference, many))


def _numbers(model: TabularModel) -> dict[str, Any]:
    own: dict[str, Any] = {"leader_temperature": model.leader_temperature} if model.leader_temperature else {}
    if model.weighted:
        own["state_temperatures"] = model.unit.tolist()
    return {**discounts(model), **own}


def _in_context(name: str, c: int, many: bool) -> str:
    return f"context-{c}/{name}" if many else name


def _columns(reference: TabularHypergradient, many: bool) -> Iterator[dict[str, Array]]:
    for column in reference.linearised.columns():
        out = {}
        for c, arrays in enumerate(column.models):
            for name in vars(arrays):
                if (x := getattr(arrays, name)) is not None:
                    out[_in_context(f"model/{name}", c, many)] = np.asarray(x)
        if many:
            out["model/probabilities"] = column.probabilities
        yield out
