"""An experiment from end to end: rows, table, figures, in one folder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from boltzgrad import __version__
from boltzgrad.errors import InvalidOption, ResultsCorrupt, ResultsNotWritten
from boltzgrad.experiments import catalogue, figures, tables
from boltzgrad.experiments.experiment import rows_by_curve
from boltzgrad.experiments.runner import run
from boltzgrad.experiments.store import Store


def strict(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table with null for numbers that JSON has no word for (NaN, infinities)."""
    return [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()} for row in table]


def perform(
    name: str,
    *,
    preset: str = "smoke",
    out: str | Path,
    workers: int = 1,
    dask: str | None = None,
    optimiser: dict[str, Any] | None = None,
    only: str = "",
    fresh: bool = False,
    plots: bool = True,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Runs what is missing of an experiment in the folder `out`, and writes its table and figures there; the table.

    `optimiser` takes the place of every curve's own step rule (see `optimisers`).  With `only`, curves whose "setting: method"
    has this text in it are run, and the table and figures are theirs.  The folder holds `rows.jsonl` (every row
    as it was done), `summary.json`, `summary.md` and the figures as SVG and PNG.
    Raises: UnknownName; InvalidOption; MissingExtra; and as `runner.run` and `Store`.
    """
    experiment = catalogue.get(name)
    every = experiment.tasks(preset, optimiser)
    tasks = [task for task in every if only in task.key]
    if not tasks:
        keys = dict.fromkeys(task.key.rpartition(" seeds=")[0] for task in every)
        raise InvalidOption(f"no curve of {name} ({preset}) has {only!r} in its name; it has " + "; ".join(keys))
    folder = Path(out)
    configuration = experiment.configuration(preset, optimiser)
    if plots:
        figures.require()  # not after hours of work
    with Store(
        folder, experiment=name, preset=preset, configuration=configuration, version=__version__, fresh=fresh
    ) as store:
        rows = run(tasks, store, workers=workers, dask=dask, progress=progress)
    for task in tasks:
        seeds = [row["seed"] for row in rows if row["key"] == task.key]
        if seeds != task.arguments["seeds"]:
            raise ResultsCorrupt(
                f"task {task.key!r} in {folder} has rows of seeds {seeds}, expected {task.arguments['seeds']}: the file was "
                "altered. Delete that task's line (it is then computed again), or begin anew (--fresh)"
            )
    curves = rows_by_curve(experiment, preset, rows)
    table = tables.summary(experiment, curves)
    try:
        (folder / "summary.json").write_text(
            json.dumps(strict(table), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (folder / "summary.md").write_text(tables.as_markdown(table) + "\n", encoding="utf-8")
        if plots:
            figures.save(figures.draw(experiment, curves), folder, name)
    except OSError as error:
        raise ResultsNotWritten(
            f"cannot write {error.filename or folder}: {error.strerror or error}; all rows are in {folder}, and the same "
            "command writes the table and the figures from them"
        ) from error
    return table
