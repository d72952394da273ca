"""Arrays of a bundle with their meaning: those of a tabular model, which games share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.problems import SparseKernel, TabularModel
from boltzgrad.problems.kernel import Array, Kernel

_TABULAR_AXES = {
    "transition": "state, action, next state",
    "initial": "state",
    "follower_reward": "state, action",
    "leader_reward": "state, action",
    "follower_transition": "state, action, next state",
}


@dataclass(frozen=True, eq=False)
class Entry:
    """An array of a bundle with its meaning and its axes, comma-separated."""

    array: Array
    meaning: str
    axes: str


Entries = dict[str, Entry]


def _kernel(name: str, kernel: Kernel, meaning: str) -> Entries:
    if not isinstance(kernel, SparseKernel):
        return {f"model/{name}": Entry(np.asarray(kernel.values), meaning, _TABULAR_AXES[name])}
    pattern = kernel.pattern
    row = "row s·A + a holds the successors of action a in state s"
    return {
        f"model/{name}": Entry(np.asarray(kernel.values), f"{meaning}; the values of a CSR matrix, {row}", "entry"),
        f"model/{name}_indices": Entry(pattern.indices, "the next state of each value", "entry"),
        f"model/{name}_indptr": Entry(pattern.indptr, "where each row begins among the values, and the end", "row"),
    }


def model_entries(model: TabularModel) -> Entries:
    """The arrays of a tabular model."""
    out = _kernel("transition", model.kernel, "p(s'|s,a); rows sum to one, or to less where an episode may end")
    for name, meaning in (
        ("initial", "the start ρ(s)"),
        ("follower_reward", "r_F(s,a)"),
        ("leader_reward", "r_L(s,a)"),
    ):
        out[f"model/{name}"] = Entry(np.asarray(getattr(model, name)), meaning, _TABULAR_AXES[name])
    if model.own_kernel:
        out |= _kernel("follower_transition", model.follower_kernel, "the kernel that the follower plans with")
    return out


def discounts(model: Any) -> dict[str, Any]:
    """What every family has besides arrays."""
    return {
        "follower_discount": model.follower_discount,
        "leader_discount": model.leader_discount,
        "temperature": model.temperature,
    }
