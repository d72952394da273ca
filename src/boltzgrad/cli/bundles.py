"""`boltzgrad export NAME…` and `boltzgrad check DIR`: reference bundles, written and judged against."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from boltzgrad import problems
from boltzgrad.cli.arguments import AGREEMENT, DISAGREEMENT, option, own_problem
from boltzgrad.cli.arguments import theta as at_theta
from boltzgrad.errors import InvalidOption


def add_parsers(commands: argparse._SubParsersAction[Any]) -> None:
    """Put the two commands among the others."""
    write = commands.add_parser(
        "export", help="write a problem, θ and its exact solution as files that any language reads"
    )
    write.add_argument("names", nargs="*", metavar="NAME", help="problems of the zoo (see `boltzgrad list`), or all")
    write.add_argument("--problem", metavar="MODULE:FACTORY", help="your own: a problem or a function that makes one")
    write.add_argument("--theta", default="0", metavar="zeros|SEED|FILE.npy", help="where (default: seed 0)")
    write.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the problems")
    write.add_argument("-o", "--output", required=True, metavar="DIR", help="each bundle becomes the folder DIR/NAME")
    write.add_argument("--force", action="store_true", help="replace bundles that are there")
    write.set_defaults(run=_export)

    judge = commands.add_parser("check", help="judge a gradient that was computed elsewhere against a reference bundle")
    judge.add_argument("folder", metavar="DIR", help="a bundle, or a folder with one bundle in it")
    judge.add_argument(
        "--gradient", required=True, metavar="FILE", help=".npy, .json (a list), or text, one number a line"
    )
    judge.add_argument("--tolerance", type=float, metavar="X", help="what your method leaves, relative to ‖∇J‖_∞")
    judge.add_argument(
        "--precision", choices=("float64", "float32"), help="it was computed in (default: as in the file)"
    )
    judge.add_argument("--json", action="store_true", help="print the outcome as JSON")
    judge.set_defaults(run=_check)


def _export(arguments: argparse.Namespace) -> int:
    from boltzgrad.testing import bundles

    if bool(arguments.names) == (arguments.problem is not None):
        raise InvalidOption("give names of zoo problems, or --problem module:factory (one of them)")
    options = dict(option(text) for text in arguments.set)
    if arguments.problem is not None:
        own = own_problem(arguments.problem, options)
        chosen = [(own.name or arguments.problem.rpartition(":")[2], own)]
    else:
        names = problems.names() if arguments.names == ["all"] else list(dict.fromkeys(arguments.names))
        chosen = [(name, problems.load(name, **options)) for name in names]
    source = f"seed {arguments.theta}" if arguments.theta.isdigit() else arguments.theta
    for name, problem in chosen:
        if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
            raise InvalidOption(f"a problem named {name!r} cannot have a folder of that name; give it another name")
        made = bundles.export(
            problem,
            at_theta(problem, arguments.theta),
            Path(arguments.output) / name,
            theta_source=source,
            replace=arguments.force,
        )
        print(f"{name}: {made}")
    return AGREEMENT


def _check(arguments: argparse.Namespace) -> int:
    from boltzgrad.testing import bundles

    found = bundles.check(
        bundles.find(arguments.folder), arguments.gradient, tolerance=arguments.tolerance, precision=arguments.precision
    )
    print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False) if arguments.json else found)
    return AGREEMENT if found.ok else DISAGREEMENT
