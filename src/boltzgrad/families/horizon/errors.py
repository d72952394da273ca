"""How wrong a finite-horizon hypergradient may be: the formula again in balls (proved), and with random roundings (sharp)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.softmaxes import centred
from boltzgrad.families.horizon.adjoint import Arithmetic, HorizonSolution, plan, solve
from boltzgrad.families.horizon.model import FiniteHorizonModel, HorizonArrays
from boltzgrad.families.tabular.build_rounding import Again, build_rounding
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.error_bound import MEASURED, paired
from boltzgrad.families.tabular.error_estimate import EPS, PROBES, SEED, UNCORRELATED, noise, nudge
from boltzgrad.solvers.entrywise import BallArithmetic, Entrywise

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


def nudged_model(model: FiniteHorizonModel, rng: np.random.Generator) -> FiniteHorizonModel:
    """The model after one random rounding of its entries."""
    arrays = model.arrays()
    return model.with_arrays(arrays.of(tuple(nudge(np.asarray(x), rng) for x in arrays.parts())))


def coordinate_bounds(found: HorizonHypergradient, among: Sequence[int]) -> Array:
    """The bounds on the entries `among` those of the gradient [J/θ_j], one push-forward for each.

    Every number of the model is a ball of relative radius `problem.entry_error`; the formula in ball arithmetic holds the
    exact cotangents, and |ĝ_j − g_j| ≤ Σ |∂(array)/∂θ_j| · radius + roundings, as for tables.
    """
    problem, linearised, eps = found.problem, found.linearised, found.problem.entry_error
    errors, values, beside = [], [], np.zeros(problem.dim)
    with np.errstate(all="ignore"):
        for weight, solved in zip(linearised.model.probabilities, found.contexts, strict=True):
            balls, direct = _in_balls(problem.objective, found.theta, solved, eps)
            exact: Any = balls.cotangent.parts()
            stored = zip(exact, solved.cotangent.parts(), strict=True)
            off = solved.cotangent.of(tuple(b.rad + np.abs(b.mid - x) for b, x in stored))
            errors.append(off.scaled(float(weight) * (1.0 + eps)))
            values.append(float(balls.value.rad))
            beside += float(weight) * direct
        total = ContextualArrays(tuple(errors), np.array(values))
        bounds = beside + 4.0 * EPS * (len(values) + 1) * np.abs(found.outside)
        for j in among:
            column = linearised.pushforward(np.eye(1, problem.dim, j)[0])
            bounds[j] += paired(column, found.contextual_cotangent, total, eps)
            bounds[j] += abs(float(found.gradient[j] - found.outside[j]) - found.contextual_cotangent.dot(column))
        bounds += MEASURED * build_rounding(
            problem, found.theta, linearised, found.contextual_cotangent, found.gradient, again(found)
        )
    return np.where(np.isnan(bounds), np.inf, bounds)[list(among)]


def _in_balls(objective: Any, theta: Array, solved: HorizonSolution, eps: float) -> tuple[HorizonSolution, Array]:
    """(the solution in balls, the error of ∂f/∂θ at fixed policy (d,))."""
    ops: Any = BallArithmetic(eps)
    if not isinstance(objective, PolicyObjective):
        return solve(solved.model, ops), np.zeros(theta.size)
    assert solved.slope is not None
    assert solved.direct is not None
    policies = plan(solved.model, ops)[2]
    policy, e_pi = np.stack([p.mid for p in policies]), np.stack([p.rad for p in policies])
    if objective.variation is None:
        direct, e_q = np.full(theta.size, np.inf), np.full(policy.shape, np.inf)
    else:
        direct, e_q = objective.variation(theta, policy, e_pi)
    slope = Entrywise(solved.slope, e_q + 4 * EPS * np.abs(solved.slope))
    off = float((e_pi * (np.abs(slope.mid) + slope.rad)).sum()) + 8 * EPS * abs(float(solved.value))
    value = Entrywise(np.asarray(solved.value), np.asarray(off))
    return solve(solved.model, ops, (value, solved.direct, slope)), direct + 8 * EPS * np.abs(solved.direct)  # type: ignore[arg-type]


def coordinate_estimates(found: HorizonHypergradient) -> Array:
    """What random roundings of the model, of every Q and of the build's own derivative do to each entry (d,) [J/θ_j]."""
    rng, linearised = np.random.default_rng(SEED), found.linearised
    exact = found.contextual_cotangent
    largest, squares = np.zeros(found.theta.size), [np.zeros(np.shape(x)) for x in exact.parts()]
    for _ in range(PROBES):
        models = [nudged_model(s.model, rng) for s in found.contexts]
        cotangent, outside = found.solved_for(models, linearised.model.probabilities, Nudged(rng))
        largest = np.maximum(largest, np.abs(linearised.pullback(cotangent) + outside - found.gradient))
        for square, x, y in zip(squares, cotangent.parts(), exact.parts(), strict=True):
            square += (x - y) ** 2
    spread = tuple(np.sqrt(square / PROBES) for square in squares)
    through = found.array_map.root_sum_squares(spread)
    own = build_rounding(found.problem, found.theta, linearised, exact, found.gradient, again(found), PROBES)
    return np.maximum(largest, through / UNCORRELATED) + own + EPS * np.abs(found.gradient)


def again(found: HorizonHypergradient) -> Again:
    """How the models are solved again for other arrays."""

    def solved(problem: Any, arrays: ContextualArrays) -> Array:
        models = [s.model.with_arrays(_clipped(a)) for s, a in zip(found.contexts, arrays.models, strict=True)]
        weights = np.maximum(arrays.probabilities, 0.0)
        cotangent, outside = found.solved_for(models, weights, Arithmetic(), problem)
        return np.asarray(found.linearised.pullback(cotangent) + outside)

    return solved


def _clipped(arrays: HorizonArrays) -> HorizonArrays:
    """The arrays with probabilities that rounding has made negative set to zero."""
    chances = ("transition", "initial", "follower_transition")
    return arrays.of(tuple(np.maximum(x, 0.0) if name in chances else x for name, x in arrays.named()))
