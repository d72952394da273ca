r"""Theorem 1 as written: the third term is a covariance under the follower's policy.

$\nabla J = \mathbb E[\nabla\log\rho\,V_L] + \mathbb E\sum_t \gamma_L^t[\nabla r_L + \gamma_L \nabla\log p\,V_L
+ \tau^{-1}\nabla Q_F\,B_L]$, the expectation taken exactly.

Source: BC-HG Theorem 1, (5), (24).  For a general f(θ, π): SoBiRL (24) with ∂f/∂π in place of ν Q_L.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.families.tabular.expectation import Ingredients, by_expectation, too_large
from boltzgrad.families.tabular.problem import ConfigurableMDP


def indirect(at: Ingredients) -> Array:
    """Σ π (1/τ) ∇Q_F (worth − its mean): ∇Q_F against the centred Benefit."""
    benefit = at.worth - (at.policy * at.worth).sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("sa,sa,sad->d", at.policy, benefit, at.grad_q) / at.model.temperature)


def run(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,)."""
    return by_expectation(problem, theta, indirect)


COVARIANCE = Route("covariance", "Theorem 1 as an exact expectation, (5)", run, too_large)
