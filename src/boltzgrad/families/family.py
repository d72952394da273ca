"""What a family of problems is: one record, which all else in the library asks what it has to know about a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.core.route import Route
from boltzgrad.errors import InvalidOption
from boltzgrad.families.laid_out import Table
from boltzgrad.families.mistake import Catalogue

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True, eq=False)
class Entry:
    """An array of a bundle with its meaning and its axes, comma-separated."""

    array: Array
    meaning: str
    axes: str


Entries = dict[str, Entry]


@dataclass(frozen=True, eq=False)
class Content:
    """What a bundle holds of a solved problem besides θ and the gradient.

    `entries` by name (`model/…`, `cotangent/…`, `follower/…`, `leader/…`), the `constants` of its model, and `columns`, the
    derivative of the model's arrays for each parameter in turn, by the names of their entries.
    """

    entries: Entries
    constants: dict[str, Any]
    columns: Iterator[dict[str, Array]]


@dataclass(frozen=True, eq=False)
class Answer:
    """The follower's exact answer: arrays by name, how wrong each may be, and 1/(1 − γ_F), the roundings in a value.

    `size` is the largest |Q_F|/τ where there is a policy whose rounding it decides; `mistaken()` are known ways to get the
    answer wrong, in words, each with the arrays that it gets wrong; `backup(V) -> V` is one more sweep of the follower's own.
    """

    values: dict[str, Array]
    bounds: dict[str, float]
    horizon: float
    size: float | None = None
    mistaken: Callable[[], list[tuple[str, dict[str, Array]]]] = list
    backup: Callable[[Array], Array] | None = None


@dataclass(frozen=True, eq=False)
class Later:
    """A problem that starts later, and what its gradient counts for in the whole."""

    problem: ParametricProblem
    weight: float


Remade = Callable[[Array, dict[str, Any], Callable[[str], "Array | None"], str], "ParametricProblem | None"]


@dataclass(frozen=True, eq=False)
class Family:
    """A kind of problem.  The first four fields have to be there; what the others are for is not offered without them.

    - `name`, `kind`: what it is called, and the class of its problems;
    - `reference(problem, theta, *, warm_start, tolerance)`: solves one;
    - `routes`: its witnesses, in the order in which a report shows them;
    - `holds(problem)`: whether a problem of that class is one, where several families share a class;
    - `describe(problem)`: its size in words, and what else `boltzgrad list` prints of it;
    - `mistakes`: its formula and the formula's mutants; `formulated(problem)` those that hold for one problem and the problem
      that they are made on, or why there are none; `too_large(problem, theta)` why they would take too long;
    - `factors(reference)`: the factors of its model that people lose, by name;
    - `later(problem, theta)`: the second half of its horizon;
    - `answer(problem, theta, context)`: the follower's exact answer, for `assert_follower`;
    - `table(problem, theta)`: the same problem as a table, for what is known of followers on tables, or why there is none;
    - `draw()`: a Hypothesis strategy of its problems;
    - `content(reference)`: what a bundle holds of it; `remade(theta, constants, array, name)`: the problem made of that again,
      None where a bundle does not hold it all; `formulas`: what its arrays mean, for the bundle's README;
    - `pictures(reference)`: (title, figure) for what people look at;
    - `enclosed(problem, theta, bits)`: (J, ∇J (d,)) in ball arithmetic (`families/enclosure.py`).
    """

    name: str
    kind: type[ParametricProblem]
    reference: Callable[..., Hypergradient]
    routes: tuple[Route, ...]
    holds: Callable[[Any], bool] = lambda problem: True
    describe: Callable[[Any], dict[str, Any]] = lambda problem: {"size": ""}
    mistakes: Catalogue | None = None
    formulated: Callable[[Any], tuple[Catalogue, ParametricProblem] | str] | None = None
    too_large: Callable[[Any, Array], str] = lambda problem, theta: ""
    factors: Callable[[Any], dict[str, float]] = lambda reference: {}
    later: Callable[[Any, Array], Later | None] = lambda problem, theta: None
    answer: Callable[[Any, Array, int], Answer] | None = None
    table: Callable[[Any, Array], Table | str] | None = None
    draw: Callable[[], SearchStrategy[Any]] | None = None
    content: Callable[[Any], Content] | None = None
    remade: Remade | None = None
    formulas: str = ""
    pictures: Callable[[Any], list[tuple[str, str]]] = lambda reference: []
    enclosed: Callable[[Any, Any, int], tuple[Any, Any]] | None = None

    def catalogue(self, problem: Any) -> tuple[Catalogue, ParametricProblem] | str:
        """The known mistakes that can be made on a problem and the problem to make them on, or why there are none."""
        if self.formulated is not None:
            return self.formulated(problem)
        return (
            (self.mistakes, problem)
            if self.mistakes is not None
            else "known mistakes of this family are not formulated"
        )


def discounts_lost(leader: float, follower: float, temperature: float) -> dict[str, float]:
    """The factors that every discounted follower with a temperature has to lose."""
    forever = {} if leader == 1.0 else {"(1 − γ_L)": 1.0 - leader, "1/(1 − γ_L)": 1.0 / (1.0 - leader)}
    return {
        **forever,
        "γ_L": leader,
        "(1 − γ_F)": 1.0 - follower,
        "γ_F": follower,
        "τ": temperature,
        "1/τ": 1.0 / temperature,
    }


def only_context(context: Any, count: int = 1) -> int:
    """`context` as an index.  Raises: InvalidOption."""
    if isinstance(context, bool) or not isinstance(context, (int, np.integer)) or not 0 <= context < count:
        raise InvalidOption(f"context is {context!r}; this problem has {count}, counted from 0")
    return int(context)
