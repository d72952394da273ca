"""The command line: `boltzgrad verify NAME`, `boltzgrad list`, `boltzgrad ledger`, `boltzgrad experiment NAME`,
`boltzgrad report DIR`.

Exit status: 0 agreement (all proved, experiment done), 1 disagreement (or nothing could confirm the gradient, a solve failed, a
statement is not proved, an experiment was stopped by an error), 2 wrong use.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import json
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

import boltzgrad
from boltzgrad import cli_report, problems
from boltzgrad.errors import (
    BoltzgradError,
    ClusterUnusable,
    InvalidOption,
    InvalidTheta,
    NotConverged,
    NotDifferentiable,
    ResultsNotWritten,
    TaskFailed,
    WorkersLost,
)
from boltzgrad.problems import ConfigurableMDP, LinearQuadratic, MarkovGame, ParametricProblem

AGREEMENT, DISAGREEMENT, WRONG_USE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ✓ shows ?
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (NotConverged, NotDifferentiable, TaskFailed, WorkersLost, ResultsNotWritten, ClusterUnusable) as error:
        print(f"boltzgrad: {type(error).__name__}: {error}", file=sys.stderr)
        return DISAGREEMENT
    except BoltzgradError as error:
        print(f"boltzgrad: {type(error).__name__}: {error}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print("boltzgrad: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return AGREEMENT
    except OSError as error:
        print(f"boltzgrad: cannot write the answer: {error.strerror}", file=sys.stderr)
        return WRONG_USE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="boltzgrad", description=boltzgrad.__doc__)
    parser.add_argument("--version", action="version", version=f"boltzgrad {boltzgrad.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("verify", help="hold a problem's reference hypergradient against every witness")
    check.add_argument("name", nargs="?", help="a problem of the zoo (see `boltzgrad list`)")
    check.add_argument("--problem", metavar="MODULE:FACTORY", help="your own: a problem or a function that makes one")
    check.add_argument("--theta", default="0", metavar="zeros|SEED|FILE.npy", help="where to look (default: seed 0)")
    check.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the problem")
    check.add_argument("--routes", metavar="A,B", help="only these witnesses")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument("--html", metavar="FILE", help="write the report as a page, too")
    check.set_defaults(run=_verify)

    cli_report.add_parser(commands, _Counter)

    listing = commands.add_parser("list", help="every problem of the zoo, with sizes and options")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=_list)

    book = commands.add_parser("ledger", help="prove every statement of the papers, and reject its mutants")
    book.add_argument("names", nargs="*", metavar="NAME", help="only these statements (default: all)")
    book.add_argument("--topic", help="only the statements of a topic, such as theorem-1, hpgd, lqr")
    book.add_argument("--seed", type=int, default=0, help="of the random instances (default: 0)")
    shape = book.add_mutually_exclusive_group()
    for form in ("json", "tex", "markdown"):
        shape.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=f"print {form}")
    book.set_defaults(run=_ledger)

    again = commands.add_parser("experiment", help="run an experiment of the papers again, or go on with it")
    again.add_argument("name", nargs="?", help="which one (without a name: a list of them)")
    again.add_argument("--preset", default="smoke", help="smoke (seconds), small (minutes), paper (the published grid)")
    again.add_argument("--out", metavar="DIR", help="where rows, table and figures go (default: results/NAME-PRESET)")
    again.add_argument("--jobs", type=int, default=1, metavar="N", help="worker processes on this machine (default: 1)")
    again.add_argument("--dask", metavar="ADDRESS", help="send the tasks to the dask cluster with this scheduler")
    again.add_argument(
        "--optimiser", metavar="NAME[,OPTION=VALUE…]", help="a step rule in place of every curve's own: adam,rate=0.05"
    )
    again.add_argument("--fresh", action="store_true", help="put earlier results in DIR aside and begin anew")
    again.add_argument("--no-plots", action="store_true", help="rows and table only")
    again.add_argument("--json", action="store_true", help="print the table as JSON")
    again.set_defaults(run=_experiment)
    return parser


def _verify(arguments: argparse.Namespace) -> int:
    if (arguments.name is None) == (arguments.problem is None):
        raise InvalidOption("give the name of a zoo problem, or --problem module:factory (one of them)")
    options = dict(_option(text) for text in arguments.set)
    if arguments.name is not None:
        problem = problems.load(arguments.name, **options)
    else:
        problem = _own_problem(arguments.problem, options)
    theta = _theta(problem, arguments.theta)
    routes = None if arguments.routes is None else arguments.routes.split(",")
    with _Progress() as progress:
        report = boltzgrad.verify(problem, theta, routes=routes, progress=progress)
    if arguments.html:
        try:
            Path(arguments.html).write_text(report.to_html(), encoding="utf-8")
        except OSError as error:
            raise InvalidOption(f"--html {arguments.html}: {error.strerror}") from error
    print(report.to_json() if arguments.json else report)
    return AGREEMENT if report.ok else DISAGREEMENT


def _list(arguments: argparse.Namespace) -> int:
    rows = [
        {
            "name": entry.name,
            **_sizes(entry.factory()),
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


def _ledger(arguments: argparse.Namespace) -> int:
    from boltzgrad import derivations  # SymPy, only here
    from boltzgrad.verify.ledger import ledger

    if arguments.topic is not None and arguments.names:
        raise InvalidOption("give names or --topic, not both")
    names = arguments.names or derivations.names(arguments.topic)
    with _Counter(len(names)) as progress:
        book = ledger(names, seed=arguments.seed, progress=progress)
    print(getattr(book, f"to_{arguments.form}")() if arguments.form else book)
    return AGREEMENT if book.ok else DISAGREEMENT


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
        fresh=arguments.fresh,
        plots=not arguments.no_plots,
    )
    if arguments.json:
        print(json.dumps(strict(table), indent=2, ensure_ascii=False))
    else:
        print(tables.as_text(table))
        print(f"\nrows, table and figures: {folder}")
    return AGREEMENT


def _sizes(problem: ParametricProblem) -> dict[str, Any]:
    """The sizes of a problem, for `boltzgrad list`."""
    if isinstance(problem, ConfigurableMDP):
        models = problem.contexts(np.zeros(problem.dim)).models
        many = f", {len(models)} contexts" if len(models) > 1 else ""
        size = f"{models[0].n_states} states × {models[0].n_actions} actions{many}"
        return {"family": "tabular", "size": size, "contexts": len(models), "dim": problem.dim}
    if isinstance(problem, LinearQuadratic):
        model = problem.model(np.zeros(problem.dim))
        return {"family": "lqr", "size": f"{model.n_states} states, {model.n_inputs} inputs", "dim": problem.dim}
    assert isinstance(problem, MarkovGame)
    size = f"{problem.n_states} states × {problem.n_leader_actions} × {problem.n_follower_actions} actions"
    return {"family": "game", "size": size, "dim": problem.dim}


def _option(text: str, flag: str = "--set") -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InvalidOption(f"{flag} {text!r}: expected OPTION=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _rule(text: str) -> dict[str, Any]:
    """A step rule as the experiments take it."""
    name, *options = text.split(",")
    return {"name": name, **dict(_option(option, "--optimiser") for option in options)}


def _own_problem(path: str, options: dict[str, Any]) -> ParametricProblem:
    module_name, sign, attribute = path.partition(":")
    if not sign or not module_name or not attribute:
        raise InvalidOption(f"--problem {path!r}: expected module:factory")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidOption(f"--problem {path!r}: cannot import {module_name!r}: {reason}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InvalidOption(f"--problem {path!r}: {module_name!r} has no {attribute!r}")
        found = getattr(found, part)
    if isinstance(found, ParametricProblem):
        if options:
            raise InvalidOption(f"--set goes with a factory; {path!r} is a finished problem")
        return found
    if not isinstance(found, Callable):  # type: ignore[arg-type]
        raise InvalidOption(f"--problem {path!r} is a {type(found).__name__}, expected a problem or a factory")
    try:
        problem = found(**options)
    except BoltzgradError:
        raise
    except Exception as error:
        raise InvalidOption(f"--problem {path!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(problem, ParametricProblem):
        raise InvalidOption(f"--problem {path!r} returned a {type(problem).__name__}, expected a problem")
    return problem


def _theta(problem: ParametricProblem, text: str) -> Any:
    if text == "zeros":
        return np.zeros(problem.dim)
    if text.isascii() and text.isdigit():
        return problem.initial_theta(seed=int(text))
    path = Path(text)
    if path.suffix != ".npy":
        raise InvalidTheta(f"--theta {text!r}: expected 'zeros', a seed (0, 1, …) or a .npy file")
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidTheta(f"--theta {text}: cannot read it: {error}") from error


class _Progress:
    """A line on standard error for each route that takes more than a second, kept up to date while it runs."""

    def __enter__(self) -> Callable[[Literal["start", "end"], str], None]:
        self._timer: threading.Timer | None = None
        return self._event

    def __exit__(self, *exc: object) -> None:
        self._cancel()

    def _event(self, event: Literal["start", "end"], name: str) -> None:
        self._cancel()
        if event == "start":
            self._later(name, 1, 1)

    def _later(self, name: str, seconds: int, wait: int) -> None:
        self._timer = threading.Timer(wait, self._say, (name, seconds))
        self._timer.daemon = True
        self._timer.start()

    def _say(self, name: str, seconds: int) -> None:
        print(f"  … {name}: {seconds} s", file=sys.stderr, flush=True)
        self._later(name, 2 * seconds, seconds)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Counter:
    """How far a long list is, as one line on a terminal's standard error."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def __enter__(self) -> Callable[[str], None]:
        return self._next

    def __exit__(self, *exc: object) -> None:
        self._show("")

    def _next(self, name: str) -> None:
        self.done += 1
        self._show(f"[{self.done}/{self.total}] {name}")

    @staticmethod
    def _show(line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
