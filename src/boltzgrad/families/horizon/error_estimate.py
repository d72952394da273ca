"""A sharp first-order estimate of what float64 leaves in a finite-horizon hypergradient: the formula with random roundings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import centred
from boltzgrad.families.horizon.adjoint import Arithmetic
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.error_estimate import PROBES, noise, nudge, scatter_of

if TYPE_CHECKING:
    from boltzgrad.families.horizon.reference import HorizonHypergradient


class Nudged(Arithmetic):
    """Float64 in which every Q, and what is subtracted from every Q_L, is rounded once more at random."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def backup(self, reward: Any, ahead: Any) -> Any:
        """The sum, off by roundings of what it adds up."""
        return reward + ahead + noise(np.abs(reward) + np.abs(ahead), self.rng)

    def centred(self, policy: Any, q: Any) -> Any:
        """q − Σ π q as float64 leaves it: off by roundings of q."""
        if q.shape[1] == 1:
            return centred(policy, q)
        return centred(policy, q) + noise(q, self.rng)


def coordinate_estimates(found: HorizonHypergradient) -> Array:
    """What random roundings of the model, of every Q and of the build's own derivative do to each entry (d,) [J/θ_j]."""

    def probe(rng: np.random.Generator) -> tuple[ContextualArrays, Array]:
        models = [
            s.model.with_arrays(s.model.arrays().map(lambda x: nudge(np.asarray(x), rng))) for s in found.contexts
        ]
        return found.solved_for(models, found.linearised.model.probabilities, Nudged(rng))

    return scatter_of(
        found.problem,
        found.theta,
        found.linearised,
        found.contextual_cotangent,
        found.gradient,
        probe,
        found.solved_again,
        PROBES,
    )
