"""The tabular routes on the game as a configurable MDP: Theorem 1 on the lifted problem is Theorem 2 on the game."""

from __future__ import annotations

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.tabular.conic import CONIC
from boltzgrad.families.tabular.covariance import COVARIANCE
from boltzgrad.families.tabular.hessian import HESSIAN
from boltzgrad.families.tabular.hpgd import HPGD
from boltzgrad.families.tabular.implicit import IMPLICIT
from boltzgrad.families.tabular.penalty import PENALTY
from boltzgrad.families.tabular.reference import tabular_hypergradient

ENTRY_LIMIT = 50_000_000


def _unliftable(game: MarkovGame) -> str:
    if game.plans_on != game.acts_on:
        return "as published, the follower plans otherwise than it acts: there is no such MDP"
    entries = game.joint.kernel.values.size * (game.n_leader_actions if game.acts_on == "action" else 1)
    return f"the lifted kernel would hold {entries:.1e} entries" if entries > ENTRY_LIMIT else ""


def lifted(route: Route) -> Route:
    """A tabular route on `game.as_configurable_mdp()`."""

    def run(game: MarkovGame, theta: Array) -> RouteResult:
        return route.run(game.as_configurable_mdp(), theta)

    def skip(game: MarkovGame, theta: Array) -> str:
        return _unliftable(game) or route.skip(game.as_configurable_mdp(), theta)

    return Route(f"lifted-{route.name}", f"on the lifted MDP: {route.summary}", run, skip, route.independent)


def _adjoint(game: MarkovGame, theta: Array) -> RouteResult:
    found = tabular_hypergradient(game.as_configurable_mdp(), theta)
    return RouteResult(found.value, found.gradient, 0.0)


LIFTED_ADJOINT = Route(
    "lifted-adjoint",
    "the tabular reference on the lifted MDP (shares the solvers)",
    _adjoint,
    lambda game, theta: _unliftable(game),
    independent=False,
)
LIFTED = (LIFTED_ADJOINT, *(lifted(route) for route in (COVARIANCE, HPGD, IMPLICIT, PENALTY, HESSIAN, CONIC)))
