"""Which problems and θs a test marked `hypergradient_zoo` runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from boltzgrad import problems
from boltzgrad.core.arrays import Array
from boltzgrad.errors import UnknownName, unknown
from boltzgrad.families.registry import named

_OPTIONS = ("family", "names", "exclude", "where", "thetas")
_THETAS, _THOROUGH_THETAS = 2, 4
# What `--boltzgrad-thorough` adds: where answers are sharp, patient, one-sided, published otherwise than derived.
_HARDER: dict[str, tuple[dict[str, Any], ...]] = {
    "four-rooms": ({"temperature": 0.003}, {"kernel": "as-published"}),
    "garnet": ({"temperature": 0.3}, {"leader_discount": 0.9}, {"ending": 0.2}),
    "grid-world": ({"temperature": 0.3},),
    "irl": ({"counts": "plain"}, {"objective": "features"}),
    "rlhf-kl": ({"world": "bandit"},),
    "toy-game": ({"observes": False}, {"as_published": True}),
    "random-game": ({"temperature": 0.05}, {"n_leader_actions": 1}),
    "random-lqr": ({"observed": True}, {"horizon": 7}),
}


@dataclass(frozen=True, eq=False)
class ZooCase:
    """A problem of the zoo, with the options it was loaded with, and a θ drawn from a seed."""

    title: str
    seed: int
    problem: Any
    theta: Array

    @property
    def label(self) -> str:
        """What the test's name ends with."""
        return f"{self.title}-seed{self.seed}"


def refused(arguments: tuple[Any, ...], options: Mapping[str, Any], taken: Sequence[str]) -> str:
    """What is wrong with a marker's arguments and with the test it stands on, or ""."""
    if arguments:
        return f"hypergradient_zoo takes keywords only, got {arguments!r}: hypergradient_zoo(family='tabular')"
    for option in ("family", "names", "exclude"):
        value = options.get(option)
        if value is not None and not isinstance(value, (str, list, tuple, set, frozenset)):
            return f"{option}={value!r}: expected a name, or a list of names"
    try:
        for option in options:
            if option not in _OPTIONS:
                raise unknown("argument of hypergradient_zoo:", option, _OPTIONS)
        for family in _several(options.get("family")) or ():
            named(family)
        for name in (*(_several(options.get("names")) or ()), *(_several(options.get("exclude")) or ())):
            if name not in problems.names():
                raise unknown("problem", name, problems.names())
    except UnknownName as error:
        return str(error)
    thetas = options.get("thetas")
    if thetas is not None and (isinstance(thetas, bool) or not isinstance(thetas, int) or thetas < 1):
        return f"thetas={thetas!r}: expected how many for each problem, 1 or more"
    if options.get("where") is not None and not callable(options["where"]):
        return f"where={options['where']!r}: expected a function problem -> bool"
    if "problem" not in taken:
        return "a test marked hypergradient_zoo takes an argument `problem` (and `theta`)"
    return ""


def cases(
    *,
    family: str | Iterable[str] | None = None,
    names: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] = (),
    where: Callable[[Any], bool] | None = None,
    thetas: int | None = None,
    seed: int = 0,
    thorough: bool = False,
) -> list[ZooCase]:
    """The cases that fit, in the zoo's order; seeds are `seed`, `seed` + 1, …; with `thorough` more, and variants."""
    families, chosen, left_out = _several(family), _several(names), _several(exclude) or ()
    count = thetas or (_THOROUGH_THETAS if thorough else _THETAS)
    out = []
    for entry in problems.entries():
        fits = (families is None or entry.family in families) and (chosen is None or entry.name in chosen)
        if not fits or entry.name in left_out:
            continue
        for options in ({}, *(_HARDER.get(entry.name, ()) if thorough else ())):
            problem = _loaded(entry.name, tuple(sorted(options.items())))
            if where is not None and not where(problem):
                continue
            title = "-".join([entry.name, *(f"{key}={value}" for key, value in options.items())])
            out += [ZooCase(title, s, problem, problem.initial_theta(seed=s)) for s in range(seed, seed + count)]
    return out


def _several(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else (value,) if isinstance(value, str) else tuple(value)


@cache
def _loaded(name: str, options: tuple[tuple[str, Any], ...]) -> Any:
    return problems.load(name, **dict(options))
