"""A linear-quadratic problem from a later step on; see `families/later.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Later
from boltzgrad.families.later import half_of
from boltzgrad.families.lqr.adjoint import loop
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.lqr.sweeps import cost_matrix


def later(problem: LinearQuadratic, theta: Array) -> Later | None:
    """The second half of a problem at θ, or None where it has one step."""
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
        model: LQModel = problem.build(t)
        return replace(model, mean=mean, covariance=covariance, horizon=horizon)

    return Later(LinearQuadratic(build, dim=problem.dim), weight)
