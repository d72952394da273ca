"""The command line: `boltzgrad verify`, `list`, `enclose`, `export`, `check`, `report`, `ledger`, `experiment`, `audit`,
`findings`; a file each.

Exit status: 0 agreement (all proved, experiment done), 1 disagreement (or nothing could confirm the gradient, a solve failed, a
statement is not proved, an experiment was stopped by an error), 2 wrong use.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

import boltzgrad
from boltzgrad.cli import audit, bundles, enclosure, experiment, findings, ledger, report, verification
from boltzgrad.cli.arguments import AGREEMENT, DISAGREEMENT, WRONG_USE
from boltzgrad.cli.plain import ERRORS
from boltzgrad.errors import (
    BoltzgradError,
    ClusterUnusable,
    NotConverged,
    NotDifferentiable,
    ResultsNotWritten,
    TaskFailed,
    WorkersLost,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)  # a terminal without γ shows gamma
    parser = make_parser()
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


def make_parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    parser = argparse.ArgumentParser(prog="boltzgrad", description=boltzgrad.__doc__)
    parser.add_argument("--version", action="version", version=f"boltzgrad {boltzgrad.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    verification.add_parsers(commands)
    enclosure.add_parser(commands)
    bundles.add_parsers(commands)
    report.add_parser(commands)
    ledger.add_parser(commands)
    experiment.add_parser(commands)
    audit.add_parser(commands)
    findings.add_parser(commands)
    return parser
