"""`boltzgrad verify NAME` and `boltzgrad list`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import boltzgrad
from boltzgrad import problems
from boltzgrad.cli.arguments import AGREEMENT, DISAGREEMENT, chosen_problem, option, problem_arguments
from boltzgrad.cli.arguments import theta as at_theta
from boltzgrad.cli.progress import RouteProgress
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.errors import InvalidOption
from boltzgrad.families.registry import family_of


def add_parsers(commands: argparse._SubParsersAction[Any]) -> None:
    """Put the two commands among the others."""
    check = commands.add_parser("verify", help="hold a problem's reference hypergradient against every witness")
    problem_arguments(check)
    check.add_argument("--routes", metavar="A,B", help="only these witnesses")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument("--html", metavar="FILE", help="write the report as a page, too")
    check.add_argument(
        "--distributed", action="store_true", help="by rows, over the processes of an mpiexec (grid-world, garnet)"
    )
    check.set_defaults(run=_verify)

    listing = commands.add_parser("list", help="every problem of the zoo, with sizes and options")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=_list)


def _verify(arguments: argparse.Namespace) -> int:
    if arguments.distributed:
        return _verify_distributed(arguments)
    problem = chosen_problem(arguments)
    theta = at_theta(problem, arguments.theta)
    routes = None if arguments.routes is None else arguments.routes.split(",")
    with RouteProgress() as progress:
        report = boltzgrad.verify(problem, theta, routes=routes, progress=progress)
    if arguments.html:
        try:
            Path(arguments.html).write_text(report.to_html(), encoding="utf-8")
        except OSError as error:
            raise InvalidOption(f"--html {arguments.html}: {error.strerror}") from error
    print(report.to_json() if arguments.json else report)
    return AGREEMENT if report.ok else DISAGREEMENT


def _verify_distributed(arguments: argparse.Namespace) -> int:
    from boltzgrad.solvers.distributed import Processes
    from boltzgrad.verify.distributed import verify_distributed
    from boltzgrad.zoo.rows import by_rows

    if arguments.routes is not None or arguments.html:
        raise InvalidOption("--distributed has witnesses of its own and no page: leave --routes and --html out")
    if arguments.name is None or arguments.problem is not None:
        raise InvalidOption("--distributed is for a problem of the zoo by name; of your own, write core.row_block.Rows")
    options = dict(option(text) for text in arguments.set)
    rows = by_rows(arguments.name, **options)
    processes = Processes()
    report = verify_distributed(
        rows, at_theta(rows, arguments.theta), processes, lambda: problems.load(arguments.name, **options)
    )
    if processes.rank == 0:
        print(report.to_json() if arguments.json else report)
    return AGREEMENT if report.ok else DISAGREEMENT


def _list(arguments: argparse.Namespace) -> int:
    rows = [
        {
            "name": entry.name,
            **_described(entry.factory()),
            "options": entry.options,
            "summary": entry.summary,
        }
        for entry in problems.entries()
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return AGREEMENT
    width, size = (max(len(str(row[key])) for row in rows) for key in ("name", "size"))
    print(f"{'name':{width}}  {'size':{size}}    d  what it is")
    for row in rows:
        print(f"{row['name']:{width}}  {row['size']:{size}}  {row['dim']:>3}  {row['summary']}")
        print(f"{'':{width}}  --set {', '.join(f'{k}={v!r}' for k, v in row['options'].items())}")
    return AGREEMENT


def _described(problem: ParametricProblem) -> dict[str, Any]:
    """The sizes of a problem, for `boltzgrad list`."""
    family = family_of(problem)
    return {"family": family.name, **family.describe(problem), "dim": problem.dim}
