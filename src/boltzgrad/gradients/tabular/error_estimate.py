r"""A sharp first-order estimate of what float64 leaves in a hypergradient of this problem.

The proved bound adds worst cases up; this measures.  Every entry of the model is moved by a random relative rounding
(two units in the last place, about what computing it costs), everything is solved again from the old
solution, and the change of the gradient is what such roundings do.  Any backward stable float64 route to the same
gradient carries an error of about this size, the reference and its witnesses alike.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.gradients.tabular.adjoint import ContextSolution, assemble, solve_context
from boltzgrad.problems.configurable import ConfigurableMDP, LinearisedBuild
from boltzgrad.problems.contexts import ContextualModel
from boltzgrad.problems.kernel import Array

_ULPS = 2.0
_PROBES = 2
_SEED = 20_260_101  # the probe is part of the definition of the estimate, so it is fixed


def rounding_estimate(
    problem: ConfigurableMDP,
    theta: Array,
    linearised: LinearisedBuild,
    solutions: tuple[ContextSolution, ...],
    gradient: Array,
) -> float:
    """The largest change of any entry of the gradient under random roundings of the model's entries."""
    rng = np.random.default_rng(_SEED)
    size = _ULPS * float(np.finfo(float).eps)

    def nudge(x: Array) -> Array:
        return np.asarray(x * (1.0 + size * rng.choice((-1.0, 1.0), size=x.shape)))

    largest = 0.0
    for _ in range(_PROBES):
        models = [m.with_arrays(m.arrays().map(nudge)) for m in linearised.contexts.models]
        contexts = ContextualModel(models, linearised.contexts.probabilities)
        nudged = tuple(
            solve_context(model, problem, theta, warm_start=old.follower.value)
            for model, old in zip(models, solutions, strict=True)
        )
        _, cotangent, outside = assemble(problem, theta, contexts, nudged)
        moved = linearised.pullback(cotangent) + outside - gradient
        largest = max(largest, float(np.abs(moved).max()))
    return largest + float(np.finfo(float).eps) * float(np.abs(gradient).max())
