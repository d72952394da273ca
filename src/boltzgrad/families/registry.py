"""The families of problems, and what is asked of whichever a problem is of: its reference hypergradient and its witnesses."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.core.route import Route
from boltzgrad.errors import InvalidOption, NotDifferentiable, unknown
from boltzgrad.families.family import Family
from boltzgrad.families.game.family import GAME, GAME_OVER_STEPS
from boltzgrad.families.horizon.family import HORIZON
from boltzgrad.families.lqr.family import LQR
from boltzgrad.families.lqr_steps.family import LQR_STEPS
from boltzgrad.families.tabular.family import TABULAR

_families: list[Family] = [TABULAR, HORIZON, GAME, GAME_OVER_STEPS, LQR, LQR_STEPS]


def families() -> tuple[Family, ...]:
    """Every family, those of the library first."""
    return tuple(_families)


def register(family: Family) -> None:
    """Add a family of somebody's own, before `hypergradient`, `verify` and all else that asks for one.

    Raises: InvalidOption if its name is taken.
    """
    if family.name in [known.name for known in _families]:
        raise InvalidOption(f"there is a family {family.name!r} already")
    _families.append(family)


def named(name: str) -> Family:
    """The family of a name.  Raises: UnknownName."""
    known = {family.name: family for family in _families}
    if name not in known:
        raise unknown("family", name, known)
    return known[name]


def family_of(problem: Any, theta: Any = None) -> Family:
    """The family of a problem, looked up at a θ where one is at hand.  Raises: InvalidOption for any other object."""
    if theta is not None and isinstance(problem, ParametricProblem):
        problem.settle(theta)
    for family in _families:
        if isinstance(problem, family.kind) and family.holds(problem):
            return family
    kinds = ", ".join(dict.fromkeys(family.kind.__name__ for family in _families))
    raise InvalidOption(f"problem is a {type(problem).__name__}; expected one of {kinds}, or a problem of the zoo")


def hypergradient(
    problem: Any,
    theta: Any,
    *,
    warm_start: Any = None,
    tolerance: float | None = None,
) -> Hypergradient:
    r"""The exact hypergradient ∇J(θ) by Newton and one adjoint solve; over a finite horizon, by one pass each way.

    Shapes: theta (d,) -> gradient (d,).  Source: BC-HG Theorem 1, (5), in adjoint form; SoBiRL (24) for a
    general objective.  `warm_start` is an earlier result of the same problem, whose values start Newton.
    `tolerance` is the follower's residual ‖TV − V‖_∞ to stop at (by default, what float64 can reach and one refinement
    in extended precision); `error_bound` covers what is left.  Linear-quadratic problems and finite horizons use neither.
    Checked by: covariance, hpgd, implicit, penalty, hessian, complex-step, differences, unrolled, conic (`boltzgrad.verify`).
    Raises: InvalidTheta, InvalidModel, InvalidOption, NotDifferentiable, NotConverged.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("four-rooms", temperature=0.003)
    >>> ref = bg.hypergradient(problem, problem.initial_theta(seed=0))
    >>> ref.gradient.shape, bool(ref.error_bound < 1e-6)
    ((105,), True)
    """
    family = family_of(problem, theta)
    if tolerance is not None:
        tolerance = _positive("tolerance", tolerance)
    if warm_start is not None and not (
        isinstance(warm_start, Hypergradient) and family_of(warm_start.problem) is family
    ):
        raise InvalidOption(
            f"warm_start is a {type(warm_start).__name__}; expected an earlier result of bg.hypergradient for this problem"
        )
    found = family.reference(problem, theta, warm_start=warm_start, tolerance=tolerance)
    bad = np.flatnonzero(~np.isfinite(found.gradient))
    if bad.size or not np.isfinite(found.value):
        what = f"gradient[{bad[0]}] is {found.gradient[bad[0]]}" if bad.size else f"the value is {found.value}"
        raise NotDifferentiable(f"{what}: the build's pull-back, objective or regulariser is not finite at this theta")
    return found


def _positive(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if isinstance(value, (str, bool)) or not (np.isfinite(number) and number > 0.0):
        raise InvalidOption(f"{name} is {value!r}; expected a positive finite number")
    return number


def witnesses(problem: Any) -> tuple[Route, ...]:
    """The routes that can witness for a problem's reference hypergradient.  Raises: InvalidOption."""
    return family_of(problem).routes


def select(problem: Any, names: list[str] | tuple[str, ...] | None) -> tuple[Route, ...]:
    """The named witnesses of a problem, or all of them.  Raises: UnknownName."""
    available = {route.name: route for route in witnesses(problem)}
    for name in names or ():
        if name not in available:
            raise unknown("route", name, available)
    return tuple(available.values()) if names is None else tuple(available[name] for name in names)
