"""The follower's answer over finitely many steps, what a bundle holds of it, and the problem made of that again."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BundleUnusable
from boltzgrad.families.content import described, discounts
from boltzgrad.families.family import Answer, Content, Entry
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr_steps.adjoint import numbers, planned
from boltzgrad.families.lqr_steps.model import STEPWISE, FiniteHorizonLQModel, LQStepsArrays
from boltzgrad.families.lqr_steps.reference import LQStepsHypergradient, StepsFollower, lqr_steps_hypergradient
from boltzgrad.families.remade import Line, Load
from boltzgrad.families.remade import numbers as constant_numbers

_MOST_STEPS = 100_000
EPS = float(np.finfo(float).eps)


def answer(problem: LinearQuadratic, theta: Array, context: int) -> Answer:
    """P (H + 1, n, n), K (H, m, n), the covariances of u (H, m, m), and K_w where the follower sees the disturbance."""
    found = lqr_steps_hypergradient(problem, theta)
    solved, model = found.follower, found.model
    values = {"P": solved.P, "K": solved.K, "covariance": solved.covariance}
    if model.observed:
        values["K_w"] = solved.K_w
    bounds = {name: 8.0 * EPS * model.horizon * float(np.abs(x).max()) for name, x in values.items()}
    return Answer(values, bounds, float(model.horizon), mistaken=lambda: mistaken(model, solved))


def mistaken(model: FiniteHorizonLQModel, solved: StepsFollower) -> list[tuple[str, dict[str, Array]]]:
    """(the mistake, the arrays that it gets wrong)."""
    no_end, _ = planned(model, {**numbers(model), "terminal_Q": [np.zeros_like(model.terminal_Q)]})
    loops = planned(model, {**numbers(model), "terminal_Q": [np.zeros_like(model.terminal_Q)]})[1]
    return [
        ("the cost of the last state forgotten", {"P": np.array(no_end), "K": np.array([at.K for at in loops])}),
        ("the first step's gain at every step", {"K": np.broadcast_to(solved.K[0], solved.K.shape)}),
        ("t off by one: the gain of the next step", {"K": np.roll(solved.K, -1, axis=0)}),
        ("the steps in reverse order", {"K": solved.K[::-1], "P": solved.P[::-1]}),
        ("the gain with the other sign: u = +Kx", {"K": -solved.K}),
    ]


def content(reference: LQStepsHypergradient) -> Content:
    """Its arrays, its constants, and the derivative of the arrays for each parameter."""
    model, solved = reference.model, reference.follower
    out = described(model.arrays(), "model") | described(reference.cotangent, "cotangent", model)
    for name in STEPWISE:
        for where in (f"model/{name}", f"cotangent/{name}"):
            entry, each = out[where], model.stepwise(name)
            axes = entry.axes.replace("[step,] ", "step, " if each else "").replace("[step]", "step" if each else "")
            out[where] = Entry(entry.array, entry.meaning, axes)
    out["follower/P"] = Entry(
        solved.P, "the follower's cost matrices P_t, the last one the terminal", "step, state, state"
    )
    out["follower/K"] = Entry(solved.K, "its gains: u_t ~ N(−K_t x, Σ_t)", "step, input, state")
    out["follower/covariance"] = Entry(solved.covariance, "Σ_t = (τ/2)(R + γB'P_{t+1}B)⁻¹", "step, input, input")
    if model.observed:
        out["follower/K_w"] = Entry(solved.K_w, "its gains on the disturbance, which it sees", "step, input, state")
    constants = {"horizon": model.horizon, "observed": model.observed, **discounts(model)}
    columns = (
        {f"model/{name}": np.asarray(x) for name, x in column.named()} for column in reference.linearised.columns()
    )
    return Content(out, constants, columns)


def remade(theta: Array, constants: dict[str, Any], array: Load, name: str) -> LinearQuadratic:
    """The problem, its arrays to first order around θ.  Raises: BundleUnusable."""
    line, steps = Line(theta, array), constants.get("horizon")
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= _MOST_STEPS:
        raise BundleUnusable("bundle.json: constants has no 'horizon', the number of steps; export it again")
    options = {"horizon": steps, "observed": constants.get("observed"), **constant_numbers(constants)}

    def build(t: Any) -> FiniteHorizonLQModel:
        return FiniteHorizonLQModel(**{f.name: line.at(t, f.name) for f in fields(LQStepsArrays)}, **options)

    return LinearQuadratic(build, dim=theta.size, name=name)
