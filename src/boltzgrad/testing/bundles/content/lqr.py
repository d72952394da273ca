"""What a bundle holds of a linear-quadratic problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from boltzgrad.gradients.lqr.reference import LQHypergradient
from boltzgrad.problems.kernel import Array
from boltzgrad.testing.bundles.content.entries import Entries, Entry, discounts

_LQ = {
    "A": ("x' = A x + B u + w", "state, state"),
    "B": ("B", "state, input"),
    "W": ("covariance of w", "state, state"),
    "Q": ("the follower's cost of the state", "state, state"),
    "R": ("the follower's cost of the input", "input, input"),
    "mean": ("mean of x₀", "state"),
    "covariance": ("covariance of x₀", "state, state"),
    "leader_Q": ("the leader's cost of the state", "state, state"),
    "leader_R": ("the leader's cost of the input", "input, input"),
    "leader_constant": ("the leader's constant reward", ""),
}


def lqr(reference: LQHypergradient) -> tuple[Entries, dict[str, Any], Iterator[dict[str, Array]]]:
    """Its arrays, its constants, and the derivative of the arrays for each parameter."""
    model, solved = reference.model, reference.follower
    out: Entries = {}
    for name, (meaning, axes) in _LQ.items():
        out[f"model/{name}"] = Entry(np.asarray(getattr(model, name)), meaning, axes)
        out[f"cotangent/{name}"] = Entry(np.asarray(getattr(reference.cotangent, name)), f"∂J/∂({name})", axes)
    if model.bump is not None:
        out["model/bump_target"] = Entry(model.bump.target, "where the leader's bump is", "state")
        out["model/bump_precision"] = Entry(model.bump.precision, "Λ of h exp(−½ (x − x̄)'Λ(x − x̄))", "state, state")
    out["follower/P"] = Entry(solved.P, "the follower's cost matrix (Riccati)", "state, state")
    out["follower/K"] = Entry(solved.K, "its gain: u ~ N(−K x, Σ)", "input, state")
    out["follower/covariance"] = Entry(solved.covariance, "Σ = (τ/2)(R + γB'PB)⁻¹", "input, input")
    if model.observed:
        out["follower/K_w"] = Entry(
            solved.K_w, "its gain on the disturbance, which it sees: u ~ N(−K x − K_w w, Σ)", "input, state"
        )
    constants = {
        "horizon": model.horizon,
        "observed": model.observed,
        "bump_height": None if model.bump is None else model.bump.height,
        **discounts(model),
    }
    columns = (
        {f"model/{name}": np.asarray(getattr(column, name)) for name in _LQ}
        for column in reference.linearised.columns()
    )
    return out, constants, columns
