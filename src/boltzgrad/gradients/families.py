"""The families of problems: for each its reference and its witnesses, in the order in which a report shows them."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.errors import InvalidOption, NotDifferentiable, unknown
from boltzgrad.gradients.game import differences as game_differences
from boltzgrad.gradients.game import unrolled as game_unrolled
from boltzgrad.gradients.game.lifted import LIFTED
from boltzgrad.gradients.game.reference import GameHypergradient, game_hypergradient
from boltzgrad.gradients.game.theorem2 import THEOREM2
from boltzgrad.gradients.lqr import conic as lqr_conic
from boltzgrad.gradients.lqr import covariance as lqr_covariance
from boltzgrad.gradients.lqr import differences as lqr_differences
from boltzgrad.gradients.lqr import implicit as lqr_implicit
from boltzgrad.gradients.lqr import unrolled as lqr_unrolled
from boltzgrad.gradients.lqr.reference import LQHypergradient, lqr_hypergradient
from boltzgrad.gradients.reference import Hypergradient
from boltzgrad.gradients.route import Route
from boltzgrad.gradients.tabular.conic import CONIC
from boltzgrad.gradients.tabular.covariance import COVARIANCE
from boltzgrad.gradients.tabular.differences import COMPLEX, DIFFERENCES
from boltzgrad.gradients.tabular.hpgd import HPGD
from boltzgrad.gradients.tabular.implicit import IMPLICIT
from boltzgrad.gradients.tabular.reference import TabularHypergradient, tabular_hypergradient
from boltzgrad.gradients.tabular.unrolled import UNROLLED, UNROLLED_IMPLICIT
from boltzgrad.problems.configurable import ConfigurableMDP
from boltzgrad.problems.game import MarkovGame
from boltzgrad.problems.lqr import LinearQuadratic


@dataclass(frozen=True)
class Family:
    """A kind of problem, the function that computes its reference, and the routes that can witness for it."""

    kind: type
    reference: Callable[..., Hypergradient]
    routes: tuple[Route, ...]


FAMILIES = (
    Family(
        ConfigurableMDP,
        tabular_hypergradient,
        (COVARIANCE, HPGD, IMPLICIT, UNROLLED, UNROLLED_IMPLICIT, CONIC, COMPLEX, DIFFERENCES),
    ),
    Family(
        MarkovGame,
        game_hypergradient,
        (
            THEOREM2,
            *LIFTED,
            game_unrolled.UNROLLED,
            game_unrolled.UNROLLED_IMPLICIT,
            game_differences.COMPLEX,
            game_differences.DIFFERENCES,
        ),
    ),
    Family(
        LinearQuadratic,
        lqr_hypergradient,
        (
            lqr_covariance.COVARIANCE,
            lqr_implicit.IMPLICIT,
            lqr_unrolled.UNROLLED,
            lqr_unrolled.UNROLLED_IMPLICIT,
            lqr_conic.CONIC,
            lqr_differences.COMPLEX,
            lqr_differences.DIFFERENCES,
        ),
    ),
)


def family_of(problem: Any) -> Family:
    """The family of a problem.  Raises: InvalidOption for any other object."""
    for family in FAMILIES:
        if isinstance(problem, family.kind):
            return family
    kinds = ", ".join(family.kind.__name__ for family in FAMILIES)
    raise InvalidOption(f"problem is a {type(problem).__name__}; expected one of {kinds}, or a problem of the zoo")


def hypergradient(
    problem: Any,
    theta: Any,
    *,
    warm_start: Any = None,
    tolerance: float | None = None,
) -> Hypergradient:
    r"""The exact hypergradient ∇J(θ) by Newton and one adjoint solve.

    Shapes: theta (d,) -> gradient (d,).  Source: BC-HG Theorem 1, (5), in adjoint form; SoBiRL (24) for a
    general objective.  `warm_start` is an earlier result of the same problem, whose values start Newton.
    `tolerance` is the follower's residual ‖TV − V‖_∞ to stop at (by default, what float64 can reach and one refinement
    in extended precision); `error_bound` covers what is left.  Linear-quadratic problems use neither.
    Checked by: covariance, hpgd, implicit, complex-step, differences, unrolled, conic (`boltzgrad.verify`).
    Raises: InvalidTheta, InvalidModel, InvalidOption, NotDifferentiable, NotConverged.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("four-rooms", temperature=0.003)
    >>> ref = bg.hypergradient(problem, problem.initial_theta(seed=0))
    >>> ref.gradient.shape, bool(ref.error_bound < 1e-6)
    ((105,), True)
    """
    family = family_of(problem)
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


def _reduced(reference: Hypergradient) -> Any:
    """How a reference is pickled: as its problem and θ, to be solved again; factorisations and tapes do not travel."""
    return hypergradient, (reference.problem, reference.theta)


for _kind in (TabularHypergradient, GameHypergradient, LQHypergradient):
    copyreg.pickle(_kind, _reduced)
