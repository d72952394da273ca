"""Every witness of a family, in the order in which a report shows them."""

from __future__ import annotations

from typing import Any

from boltzgrad.errors import InvalidOption, unknown
from boltzgrad.gradients.route import Route
from boltzgrad.gradients.tabular.conic import CONIC
from boltzgrad.gradients.tabular.covariance import COVARIANCE
from boltzgrad.gradients.tabular.differences import COMPLEX, DIFFERENCES
from boltzgrad.gradients.tabular.hpgd import HPGD
from boltzgrad.gradients.tabular.implicit import IMPLICIT
from boltzgrad.gradients.tabular.unrolled import UNROLLED, UNROLLED_IMPLICIT
from boltzgrad.problems.configurable import ConfigurableMDP

_TABULAR = (COVARIANCE, HPGD, IMPLICIT, UNROLLED, UNROLLED_IMPLICIT, CONIC, COMPLEX, DIFFERENCES)


def witnesses(problem: Any) -> tuple[Route, ...]:
    """The routes that can witness for a problem's reference hypergradient.  Raises: InvalidOption."""
    if isinstance(problem, ConfigurableMDP):
        return _TABULAR
    raise InvalidOption(f"no routes for a {type(problem).__name__}")


def select(problem: Any, names: list[str] | tuple[str, ...] | None) -> tuple[Route, ...]:
    """The named witnesses of a problem, or all of them.  Raises: UnknownName."""
    available = {route.name: route for route in witnesses(problem)}
    if names is None:
        return tuple(available.values())
    for name in names:
        if name not in available:
            raise unknown("route", name, available)
    return tuple(available[name] for name in names)
