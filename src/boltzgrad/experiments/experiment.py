"""What an experiment is: curves, each a method in a setting, with what was published beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import unknown
from boltzgrad.experiments.ascent import ascend, groups_of
from boltzgrad.experiments.optimisers import optimiser as make_optimiser
from boltzgrad.experiments.task import Row, Task, TaskFunction


@dataclass(frozen=True)
class Axis:
    """What a curve is drawn against: the field of its rows, in words, and whether in decades."""

    field: str = "iteration"
    label: str = "iteration"
    decades: bool = False


ITERATIONS = Axis()


@dataclass(frozen=True, eq=False)
class Curve:
    """One method in one setting.

    `setting` names the panel it is drawn in, `label` the method; `arguments` are those of `run` without seeds.
    `published` is the end value in print, where there is one, and `reference` marks the exact gradient's own curve.
    `run` makes the rows, along `axis`; None is `ascend`.
    """

    setting: str
    label: str
    arguments: dict[str, Any]
    published: float | None = None
    reference: bool = False
    run: TaskFunction | None = None
    axis: Axis = ITERATIONS

    @property
    def key(self) -> str:
        """What its tasks are called by."""
        return f"{self.setting}: {self.label}"


@dataclass(frozen=True)
class Experiment:
    """A figure or table of a paper, run again.

    `curves(preset)` are the curves of a preset, `seeds` how many seeds each has.  `quantity` is what is drawn, in words;
    `read(row)` takes it from a row, one number for each of its curve's axis, and `read_end` the number for the table.
    """

    name: str
    title: str
    source: str
    quantity: str
    curves: Callable[[str], list[Curve]]
    seeds: dict[str, int]
    read: Callable[[Row], Array]
    read_end: Callable[[Row], float]
    lower_is_better: bool = False

    def tasks(self, preset: str, optimiser: dict[str, Any] | None = None) -> list[Task]:
        """Every curve in groups of seeds; `optimiser` takes the place of each curve's own.

        Raises: UnknownName for a preset or an optimiser, InvalidOption.
        """
        if preset not in self.seeds:
            raise unknown(f"preset of {self.name!r}:", preset, self.seeds)
        groups = groups_of(self.seeds[preset])
        runs = {c.key: c.run or ascend for c in self.curves(preset)}
        return [
            Task(f"{key} seeds={g[0]}-{g[-1]}", runs[key], {**arguments, "seeds": g})
            for key, arguments in self._arguments(preset, optimiser).items()
            for g in groups
        ]

    def configuration(self, preset: str, optimiser: dict[str, Any] | None = None) -> dict[str, Any]:
        """What determines the results, for the header of the rows."""
        return {"seeds": self.seeds[preset], "curves": self._arguments(preset, optimiser)}

    def _arguments(self, preset: str, optimiser: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
        if optimiser is None:
            return {c.key: c.arguments for c in self.curves(preset)}
        if self.lower_is_better:
            optimiser = {**optimiser, "descend": True}  # a rule that can only climb is refused for it
        make_optimiser(optimiser)  # what is wrong with it shows before the first task
        return {c.key: {**c.arguments, "optimiser": optimiser} for c in self.curves(preset)}


def objective(row: Row) -> Array:
    """J along the run."""
    return np.asarray(row["objective"], float)


def objective_end(row: Row) -> float:
    """The mean of J over the last tenth of the run."""
    return float(row["end"])


def cosines(row: Row) -> Array:
    """The cosine between estimate and ∇J along the run; NaN where ∇J has fallen to rounding of its largest size."""
    size = np.asarray(row["exact_norm"], float)
    return np.where(size > 1e-7 * size.max(initial=0.0), np.asarray(row["cosine"], float), np.nan)


def rows_by_curve(experiment: Experiment, preset: str, rows: list[Row]) -> dict[Curve, list[Row]]:
    """The rows of every curve, seeds in order; curves without rows are left out."""
    out: dict[Curve, list[Row]] = {}
    for curve in experiment.curves(preset):
        mine = [r for r in rows if r["key"].rpartition(" seeds=")[0] == curve.key]
        if mine:
            out[curve] = sorted(mine, key=lambda r: int(r["seed"]))
    return out
