"""`boltzgrad experiment NAME`: an experiment of the papers, run again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from boltzgrad.cli.arguments import AGREEMENT, option
from boltzgrad.errors import InvalidOption


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Put the command among the others."""
    again = commands.add_parser("experiment", help="run an experiment of the papers again, or go on with it")
    again.add_argument("name", nargs="?", help="which one (without a name: a list of them)")
    again.add_argument(
        "--preset",
        default="smoke",
        help="smoke (seconds), small (minutes), full (the published length, one step size), paper (the whole published grid)",
    )
    again.add_argument("--out", metavar="DIR", help="where rows, table and figures go (default: results/NAME-PRESET)")
    again.add_argument("--jobs", type=int, default=1, metavar="N", help="worker processes on this machine (default: 1)")
    again.add_argument("--dask", metavar="ADDRESS", help="send the tasks to the dask cluster with this scheduler")
    again.add_argument(
        "--optimiser", metavar="NAME[,OPTION=VALUE…]", help="a step rule in place of every curve's own: adam,rate=0.05"
    )
    again.add_argument("--only", default="", metavar="TEXT", help="only curves with TEXT in 'setting: method'")
    again.add_argument("--fresh", action="store_true", help="put earlier results in DIR aside and begin anew")
    again.add_argument("--no-plots", action="store_true", help="rows and table only")
    again.add_argument("--json", action="store_true", help="print the table as JSON")
    again.set_defaults(run=_experiment)


def _experiment(arguments: argparse.Namespace) -> int:
    from boltzgrad.experiments import catalogue, tables
    from boltzgrad.experiments.perform import perform, strict

    if arguments.name is None and arguments.json:
        known_ones = [catalogue.get(name) for name in catalogue.names()]
        rows = [{"name": e.name, "title": e.title, "source": e.source, "presets": list(e.seeds)} for e in known_ones]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return AGREEMENT
    if arguments.name is None:
        for name in catalogue.names():
            known = catalogue.get(name)
            print(f"{name:22} {known.title} ({known.source}); {', '.join(known.seeds)}")
        return AGREEMENT
    if arguments.jobs < 1:
        raise InvalidOption(f"--jobs {arguments.jobs}: expected at least 1")
    folder = arguments.out or str(Path("results") / f"{arguments.name}-{arguments.preset}")
    table = perform(
        arguments.name,
        preset=arguments.preset,
        out=folder,
        workers=arguments.jobs,
        dask=arguments.dask,
        optimiser=None if arguments.optimiser is None else _rule(arguments.optimiser),
        only=arguments.only,
        fresh=arguments.fresh,
        plots=not arguments.no_plots,
    )
    if arguments.json:
        print(json.dumps(strict(table), indent=2, ensure_ascii=False))
    else:
        print(tables.as_text(table))
        print(f"\nrows, table and figures: {folder}")
    return AGREEMENT


def _rule(text: str) -> dict[str, Any]:
    """A step rule as the experiments take it."""
    name, *options = text.split(",")
    return {"name": name, **dict(option(part, "--optimiser") for part in options)}
