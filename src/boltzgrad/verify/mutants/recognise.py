"""Which known mistake a wrong gradient looks like."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.errors import BoltzgradError
from boltzgrad.gradients import Hypergradient
from boltzgrad.problems import ConfigurableMDP, LinearQuadratic, MarkovGame, TabularModel
from boltzgrad.problems.kernel import Array
from boltzgrad.verify.mutants import game, lqr, tabular
from boltzgrad.verify.tolerances import CLEARLY, RESOLUTION, natural_scale, scale_of, size_of

# A gradient is taken for a mistake's when it is this many times nearer to it than the right one is.
_NEARER = 1e3
# The formulas are dense: the largest (numbers of all arrays) × d and the most states that they are evaluated for.
_MOST_NUMBERS, _MOST_STATES, _MOST_DIMENSIONS = 1e8, 1500, 60


@dataclass(frozen=True, eq=False)
class Mistake:
    """A known mistake made on one problem: its name in words, its gradient (d,), how far that is from the right one."""

    name: str
    gradient: Array
    distance: float


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes that show on a problem at one θ.  `missing` says why not all could be tried, "" where they were.

    `shown` are formulas with a step wrong; `lengths` is ∇J times factors that people lose, and its negative.
    """

    shown: tuple[Mistake, ...]
    tried: int
    missing: str = ""
    lengths: tuple[Mistake, ...] = ()

    def like(self, gradient: Array, allowed: float) -> tuple[tuple[Mistake, float], ...]:
        """The mistakes that a gradient (d,) is within rounding of, each with the difference, nearest first."""
        near = [(m, float(np.abs(gradient - m.gradient).max())) for m in (*self.shown, *self.lengths)]
        return tuple(
            sorted(((m, off) for m, off in near if off <= max(allowed, m.distance / _NEARER)), key=lambda x: x[1])
        )

    def not_excluded(self, gradient: Array, difference: float, allowed: float) -> tuple[Mistake, ...]:
        """The mistakes that an allowance would let pass and that a gradient is not `CLEARLY` further from than from the
        truth, from which it is `difference` away; nearest first.
        """
        near = [
            (off, m)
            for m in (*self.shown, *self.lengths)
            if m.distance <= allowed and (off := float(np.abs(gradient - m.gradient).max())) < CLEARLY * difference
        ]
        return tuple(m for _, m in sorted(near, key=lambda x: x[0]))


def mistakes(reference: Hypergradient) -> Mistakes:
    """Every known mistake made on the reference's problem at its θ, as far as it makes a difference there."""
    wrong_lengths = _lengths(reference)
    formula = _formula(reference)
    if isinstance(formula, str):
        return Mistakes((), 0, formula, wrong_lengths)
    room, problem = formula
    shown, failed = [], []
    for mutant in room.MUTANTS:
        wrong = _evaluated(mutant.formula, problem, reference.theta)
        if wrong is None:
            failed.append(mutant.mistake)
            continue
        distance = float(np.abs(wrong - reference.gradient).max())
        if distance > RESOLUTION * size_of(reference):
            shown.append(Mistake(mutant.mistake, wrong, distance))
    missing = f"could not be evaluated here: {'; '.join(failed)}" if failed else ""
    return Mistakes(tuple(shown), len(room.MUTANTS), missing, wrong_lengths)


def _formula(reference: Hypergradient) -> tuple[Any, Any] | str:
    """The family's formulas and the problem that they apply to, or why none does."""
    problem, theta = reference.problem, reference.theta
    room: Any = tabular
    if isinstance(problem, LinearQuadratic):
        room = lqr
    elif isinstance(problem, MarkovGame):
        if problem.plans_on != problem.acts_on:
            return "known mistakes are not formulated for a follower that plans otherwise than it acts"
        if problem.acts_on == "action":
            room = game
        else:
            problem = problem.as_configurable_mdp()
    too_large = _too_large(problem, theta)
    if too_large:
        return f"known mistakes were not tried: {too_large}"
    scale = scale_of(reference.gradient, natural_scale(reference))
    right = _evaluated(room.Formula, problem, theta)
    if right is None or not float(np.abs(right - reference.gradient).max()) <= RESOLUTION * scale:
        return "known mistakes were not tried: their formula is not right for this problem to begin with"
    return room, problem


def _lengths(reference: Hypergradient) -> tuple[Mistake, ...]:
    """∇J times the factors that people lose or count twice."""
    problem, exact = reference.problem, reference.gradient
    model: Any
    if isinstance(problem, ConfigurableMDP):
        model = problem.contexts(reference.theta).models[0]
    else:
        model = problem.model(reference.theta) if isinstance(problem, LinearQuadratic) else problem.joint
    leader, follower, tau = model.leader_discount, model.follower_discount, model.temperature
    factors = {"½": 0.5, "2": 2.0, "(1 − γ_L)": 1.0 - leader, "1/(1 − γ_L)": 1.0 / (1.0 - leader), "γ_L": leader,
               "(1 − γ_F)": 1.0 - follower, "γ_F": follower, "τ": tau, "1/τ": 1.0 / tau, "1/d": 1.0 / exact.size}  # fmt: skip
    named = {
        f"{name} × ∇J: right in direction, wrong in length": value
        for name, value in factors.items()
        if value not in (0.0, 1.0)
    }
    named["−∇J: the gradient of a loss, or a step of descent"] = -1.0
    named["zero: a graph that is cut (stop_gradient, detach), or a gradient never written"] = 0.0
    size = float(np.abs(exact).max())
    return tuple(
        Mistake(name, factor * exact, abs(factor - 1.0) * size)
        for name, factor in named.items()
        if abs(factor - 1.0) * size > RESOLUTION * size_of(reference)
    )


def _evaluated(formula: Any, problem: Any, theta: Array) -> Array | None:
    """The gradient of a formula, or None where the mistake leaves no finite numbers."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = np.asarray(formula(problem, theta.copy()).gradient())
        except (BoltzgradError, np.linalg.LinAlgError, ArithmeticError):
            return None
    return found if np.isfinite(found).all() else None


def _too_large(problem: Any, theta: Array) -> str:
    if isinstance(problem, LinearQuadratic):
        n = problem.model(theta).n_states
        return f"{n} state dimensions are too many for their formulas" if n > _MOST_DIMENSIONS else ""
    models = problem.contexts(theta).models if isinstance(problem, ConfigurableMDP) else (problem.joint,)
    most: TabularModel = max(models, key=lambda m: m.n_states)
    numbers = theta.size * sum(float(x.size) for m in models for x in m.arrays().parts())
    if most.n_states > _MOST_STATES or numbers > _MOST_NUMBERS:
        return f"{most.n_states} states and d = {theta.size} are too many for their dense formulas"
    return ""
