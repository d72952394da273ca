"""The zoo: named problems, loaded by name with options."""

from __future__ import annotations

import copyreg
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.problem import ParametricProblem
from boltzgrad.errors import unknown
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.lqr.problem import LinearQuadratic, LinearQuadraticGame
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo import (
    contract_design,
    finite_game,
    finite_garnet,
    finite_lqr,
    four_rooms,
    garnet,
    general_garnet,
    grid_world,
    irl,
    lqr_game,
    mechanism_design,
    meta_rl,
    navigation,
    principal_agent,
    random_game,
    random_lqr,
    reward_shaping,
    rlhf,
    rlhf_kl,
    synthetic,
    tax_design,
    thermal_control,
    toy_game,
)


@dataclass(frozen=True)
class ZooEntry:
    """A named problem: its family ("tabular", "game", …), what it is, and the function that makes it."""

    name: str
    family: str
    factory: Callable[..., ParametricProblem]
    summary: str

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults."""
        return {p.name: p.default for p in inspect.signature(self.factory).parameters.values()}


_ZOO = {
    entry.name: entry
    for entry in (
        ZooEntry("four-rooms", "tabular", four_rooms.four_rooms, "BC-HG 5.1: penalties on 104 cells, one goal"),
        ZooEntry("four-rooms-two-goals", "tabular", four_rooms.two_goals, "HPGD section 3: the goal is a context"),
        ZooEntry("synthetic", "tabular", synthetic.synthetic, "SoBiRL J.3: quadratic f(θ, π), degenerate"),
        ZooEntry("synthetic-hard", "tabular", synthetic.synthetic_hard, "its non-degenerate variant"),
        ZooEntry("garnet", "tabular", garnet.garnet, "random sparse graph; θ in rewards, kernel and start"),
        ZooEntry("finite-garnet", "horizon", finite_garnet.finite_garnet, "H steps: reference, missing actions, ends"),
        ZooEntry(
            "general-garnet",
            "tabular",
            general_garnet.general_garnet,
            "an average, counted steps, or τ(s); a reference",
        ),
        ZooEntry("grid-world", "tabular", grid_world.grid_world, "N × N slippery grid; θ in rewards, kernel and start"),
        ZooEntry("rlhf", "tabular", rlhf.rlhf, "SoBiRL 3.3: a reward model from preferences between trajectories"),
        ZooEntry(
            "rlhf-kl", "tabular", rlhf_kl.rlhf_kl, "the same near a reference policy: a bandit, or token by token"
        ),
        ZooEntry("irl", "tabular", irl.irl, "SoBiRL B: a reward from demonstrations, by their likelihood"),
        ZooEntry(
            "reward-shaping",
            "tabular",
            reward_shaping.reward_shaping,
            "SoBiRL 3.3: trained in one world, judged in another",
        ),
        ZooEntry(
            "contract-design",
            "tabular",
            contract_design.contract_design,
            "SoBiRL K: payments for transitions, over H steps",
        ),
        ZooEntry(
            "navigation", "tabular", navigation.navigation, "SoBiRL K: a goal that is moved in a maze, over H steps"
        ),
        ZooEntry(
            "tax-design", "tabular", tax_design.tax_design, "HPGD A: taxes on income and goods; two household types"
        ),
        ZooEntry(
            "principal-agent", "tabular", principal_agent.principal_agent, "HPGD A: a bonus for a population of agents"
        ),
        ZooEntry("meta-rl", "tabular", meta_rl.meta_rl, "HPGD A: the reference policy that suits all tasks"),
        ZooEntry(
            "mechanism-design",
            "tabular",
            mechanism_design.mechanism_design,
            "HPGD A: bidders are charged what they cost the others",
        ),
        ZooEntry("toy-game", "game", toy_game.toy_game, "BC-HG 5.3: three states, a bonus that tempts the follower"),
        ZooEntry(
            "random-game", "game", random_game.random_game, "random sparse Markov game, softmax table for the leader"
        ),
        ZooEntry(
            "finite-game", "game-over-steps", finite_game.finite_game, "H steps: reference, missing actions, ends"
        ),
        ZooEntry(
            "thermal-control", "lqr", thermal_control.thermal_control, "BC-HG 5.2: insulation and airflow of a building"
        ),
        ZooEntry("lqr-game", "lqr", lqr_game.lqr_game, "BC-HG 5.4: a leader steers the follower's state into a bump"),
        ZooEntry("random-lqr", "lqr", random_lqr.random_lqr, "random LQR, every matrix depends on θ"),
        ZooEntry("finite-lqr", "lqr-over-steps", finite_lqr.finite_lqr, "random LQR whose follower plans for H steps"),
    )
}


def names(family: str | None = None) -> list[str]:
    """Every name in the zoo, or those of one family.

    >>> names("game")
    ['toy-game', 'random-game']
    """
    return [name for name, entry in _ZOO.items() if family in (None, entry.family)]


def entries() -> list[ZooEntry]:
    """Every entry of the zoo."""
    return list(_ZOO.values())


def load(name: str, **options: Any) -> Any:
    """The named problem.

    Raises: UnknownName for a name or option that does not exist (with the nearest), InvalidOption for a bad value.

    >>> load("four-rooms", temperature=1e-3, penalty_weight=5.0)
    <ConfigurableMDP 'four-rooms', dim=105>
    """
    if not isinstance(name, str) or name not in _ZOO:
        raise unknown("problem", name, _ZOO)
    entry = _ZOO[name]
    for option in options:
        if option not in entry.options:
            raise unknown(f"option of {name!r}:", option, entry.options)
    problem = entry.factory(**options)
    problem.recipe = (name, {option: _plain(value) for option, value in options.items()})
    return problem


def _plain(value: Any) -> Any:
    """A NumPy number as Python's own, which JSON knows."""
    return value.item() if isinstance(value, np.generic) else value


def _reduced(problem: Any) -> Any:
    """How a problem is pickled: by name and options where the zoo made it, else as it is, by functions that can be imported."""
    if problem.recipe is None:
        return copyreg.__newobj__, (type(problem),), problem.__dict__  # type: ignore[attr-defined]
    name, options = problem.recipe
    return _loaded, (name, options)


def _loaded(name: str, options: dict[str, Any]) -> Any:
    return load(name, **options)


for _kind in (ConfigurableMDP, MarkovGame, LinearQuadratic, LinearQuadraticGame):
    copyreg.pickle(_kind, _reduced)
