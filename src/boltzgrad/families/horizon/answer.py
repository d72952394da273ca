"""The follower's exact answer over a finite horizon, and known ways to get it wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Answer, only_context
from boltzgrad.families.horizon.adjoint import plan
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.solvers.entrywise import BallArithmetic


def answer(problem: ConfigurableMDP, theta: Array, context: int) -> Answer:
    """V (H + 1, S), Q and the policy (H, S, A) of one context."""
    models = problem.contexts(theta).models
    model: Any = models[only_context(context, len(models))]
    balls: Any = dict(zip(("V", "Q", "policy"), plan(model, BallArithmetic(0.0)), strict=False))  # type: ignore[arg-type]
    bounds = {name: max(float(x.rad.max()) for x in steps) for name, steps in balls.items()}
    values = {name: np.stack([x.mid for x in steps]) for name, steps in balls.items()}
    size = float(np.abs(values["Q"]).max() / np.min(model.temperature))
    return Answer(values, bounds, float(model.horizon), size, lambda: mistaken(model))


def mistaken(model: FiniteHorizonModel) -> list[tuple[str, dict[str, Array]]]:
    """(the mistake, the arrays that it gets wrong)."""
    arrays = model.arrays()

    def answered(**changes: Array) -> dict[str, Array]:
        other = model.with_arrays(replace(arrays, **changes)) if changes else model
        return dict(zip(("V", "Q", "policy"), map(np.stack, plan(other)[:3]), strict=True))

    right = answered()["policy"]
    hot = answered(temperature=np.ones_like(arrays.temperature))["policy"]
    out = [
        ("the terminal reward forgotten", answered(terminal_follower_reward=np.zeros(model.n_states))),
        ("γ_L for the follower's discount", answered(follower_discount=arrays.leader_discount)),
        ("exp(Q) without 1/τ", {"policy": hot}),
        ("the first step's policy at every step", {"policy": np.broadcast_to(right[0], right.shape)}),
        ("t off by one: the policy of the next step", {"policy": np.roll(right, -1, axis=0)}),
        ("the steps in reverse order", {"policy": right[::-1]}),
        ("the uniform policy", {"policy": np.full_like(right, 1.0 / model.n_actions)}),
    ]
    if model.log_reference.any():
        entropy = answered(log_reference=np.zeros_like(arrays.log_reference))
        out.append(("entropy for KL: the reference policy forgotten", entropy))
    return out
