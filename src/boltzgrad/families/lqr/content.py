"""What a bundle holds of a linear-quadratic problem."""

from __future__ import annotations

import numpy as np

from boltzgrad.families.content import described, discounts
from boltzgrad.families.family import Content, Entry
from boltzgrad.families.lqr.reference import LQHypergradient


def content(reference: LQHypergradient) -> Content:
    """Its arrays, its constants, and the derivative of the arrays for each parameter."""
    model, solved = reference.model, reference.follower
    out = described(model.arrays(), "model") | described(reference.cotangent, "cotangent", model)
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
        {f"model/{name}": np.asarray(x) for name, x in column.named()} for column in reference.linearised.columns()
    )
    return Content(out, constants, columns)
