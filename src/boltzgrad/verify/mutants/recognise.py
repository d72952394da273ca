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
from boltzgrad.verify.tolerances import CLEARLY, RESOLUTION, Yardstick, relative, share, witness_allowance

# A gradient is taken for a mistake's when it is this many times nearer to it than the right one is.
_NEARER = 1e3
# The formulas are dense: the largest (numbers of all arrays) × d and the most states that they are evaluated for.
_MOST_NUMBERS, _MOST_STATES, _MOST_PARAMETERS, _MOST_DIMENSIONS = 1e8, 1500, 2000, 60


@dataclass(frozen=True, eq=False)
class Mistake:
    """A known mistake made on one problem: its name in words, its gradient (d,), and how far that is from the right one,
    relative to the largest entry, both in natural steps [1].
    """

    name: str
    gradient: Array
    distance: float


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes that show on a problem at one θ.  `missing` says why none could be tried, "" where they were; `left_out` are
    those that leave no finite numbers here, and so are nobody's gradient.

    `shown` are formulas with a step wrong; `lengths` is ∇J times factors that people lose, and its negative.
    """

    yardstick: Yardstick
    shown: tuple[Mistake, ...]
    tried: int
    missing: str = ""
    lengths: tuple[Mistake, ...] = ()
    left_out: tuple[str, ...] = ()

    def like(self, gradient: Array, allowed: Array, rounding: Array) -> tuple[tuple[Mistake, float], ...]:
        """The mistakes that a gradient (d,) is within `allowed` (d,) of, each with the relative difference [1], nearest first.

        Nearer than `rounding` (d,) is no nearer: two mistakes that are one here stay in the order of the catalogue.
        """
        near = [(m, self._apart(gradient, m)) for m in (*self.shown, *self.lengths)]
        return tuple(
            sorted(
                (
                    (m, off)
                    for m, off in near
                    if off <= m.distance / _NEARER or bool(np.all(np.abs(gradient - m.gradient) <= allowed))
                ),
                key=lambda x: 0.0 if np.all(np.abs(gradient - x[0].gradient) <= rounding) else x[1],
            )
        )

    def nearest(self, gradient: Array) -> tuple[Mistake, float] | None:
        """The mistake that a gradient (d,) is nearest to, and the relative difference [1]; None where the truth is nearer."""
        own = relative(self.yardstick, gradient)
        near = [(m, self._apart(gradient, m)) for m in (*self.shown, *self.lengths)]
        best = min(near, key=lambda x: x[1], default=None)
        return best if best is not None and best[1] < own else None

    def _apart(self, gradient: Array, mistake: Mistake) -> float:
        """The largest difference from a mistake's gradient, in natural steps beside the largest entry of the right one [1]."""
        return share(self.yardstick, gradient - mistake.gradient)

    def not_excluded(
        self, found: Array, exact: Array, allowed: Array, directions: Array | None = None
    ) -> tuple[Mistake, ...]:
        """The mistakes that an allowance (k,) would let pass and that entries `found` (k,) are not `CLEARLY` further from than
        from the truth `exact`, each entry measured by what is allowed there; nearest first.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            own = float(np.max(_strain(found - exact, allowed)))
            near = []
            for m in (*self.shown, *self.lengths):
                seen = m.gradient if directions is None else directions @ m.gradient
                if np.all(np.abs(seen - exact) <= allowed):
                    off = float(np.max(_strain(found - seen, allowed)))
                    if off < CLEARLY * own or off == 0.0:
                        near.append((off, m))
        return tuple(m for _, m in sorted(near, key=lambda x: x[0]))


def _strain(off: Array, allowed: Array) -> Array:
    return np.where(off == 0.0, 0.0, np.abs(off) / allowed)


def mistakes(reference: Hypergradient) -> Mistakes:
    """Every known mistake made on the reference's problem at its θ, as far as it makes a difference there."""
    yardstick = Yardstick.of(reference)
    wrong_lengths = _lengths(reference, yardstick)
    formula = _formula(reference, yardstick)
    if isinstance(formula, str):
        return Mistakes(yardstick, (), 0, formula, wrong_lengths)
    room, problem = formula
    shown, failed = [], []
    for mutant in room.MUTANTS:
        wrong = _evaluated(mutant.formula, problem, reference.theta)
        if wrong is None:
            failed.append(mutant.mistake)
            continue
        if _shows(yardstick, wrong):
            shown.append(Mistake(mutant.mistake, wrong, relative(yardstick, wrong)))
    return Mistakes(yardstick, tuple(shown), len(room.MUTANTS), "", wrong_lengths, tuple(failed))


def _shows(yardstick: Yardstick, wrong: Array) -> bool:
    """Whether a wrong gradient differs from the right one in any entry by more than rounding and than what is resolved."""
    least = np.maximum(RESOLUTION * np.abs(yardstick.gradient), CLEARLY * yardstick.rounding)
    return bool(np.any(np.abs(wrong - yardstick.gradient) > least))


def _formula(reference: Hypergradient, yardstick: Yardstick) -> tuple[Any, Any] | str:
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
    right = _evaluated(room.Formula, problem, theta)
    least = RESOLUTION * yardstick.terms + witness_allowance(yardstick, 0.0)
    if right is None or not np.all(np.abs(right - reference.gradient) <= least):
        return "known mistakes were not tried: their formula is not right for this problem to begin with"
    return room, problem


def _lengths(reference: Hypergradient, yardstick: Yardstick) -> tuple[Mistake, ...]:
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
    return tuple(
        Mistake(name, factor * exact, abs(factor - 1.0))
        for name, factor in named.items()
        if _shows(yardstick, factor * exact)
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
    if most.n_states > _MOST_STATES or numbers > _MOST_NUMBERS or theta.size > _MOST_PARAMETERS:
        return f"{most.n_states} states and d = {theta.size} are too many for their dense formulas"
    return ""
