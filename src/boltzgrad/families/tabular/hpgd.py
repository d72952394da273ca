r"""HPGD's form: the centring sits on ∇Q_F, and the leader's Q_L is used as it is.

$\nabla J = \ldots + \tau^{-1}\,\mathbb E\sum_t\gamma_L^t(\nabla Q_F - \mathbb E_{a'}\nabla Q_F)\,Q_L$, exactly.

Source: HPGD Theorem 2.2, Prop C.1; BC-HG (7), (41).
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.families.tabular.expectation import Ingredients, by_expectation, too_large
from boltzgrad.families.tabular.problem import ConfigurableMDP


def indirect(at: Ingredients) -> Array:
    """Σ ∇π · worth, with ∇π = π (∇Q_F − ∇V_F) / τ."""
    grad_policy = at.policy[:, :, None] * (at.grad_q - at.grad_v[:, None, :]) / at.model.temperature
    return np.asarray(np.einsum("sad,sa->d", grad_policy, at.worth))


def run(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,)."""
    return by_expectation(problem, theta, indirect)


HPGD = Route("hpgd", "centred ∇Q_F against Q_L, (7)", run, too_large)
