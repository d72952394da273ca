"""`boltzgrad ledger`: the statements of the papers, proved."""

from __future__ import annotations

import argparse
from typing import Any

from boltzgrad.cli.arguments import AGREEMENT, DISAGREEMENT
from boltzgrad.cli.progress import Counter
from boltzgrad.errors import InvalidOption


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Put the command among the others."""
    book = commands.add_parser("ledger", help="prove every statement of the papers, and reject its mutants")
    book.add_argument("names", nargs="*", metavar="NAME", help="only these statements (default: all)")
    book.add_argument("--topic", help="only the statements of a topic, such as theorem-1, hpgd, lqr")
    book.add_argument("--seed", type=int, default=0, help="of the random instances (default: 0)")
    shape = book.add_mutually_exclusive_group()
    for form in ("json", "tex", "markdown"):
        shape.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=f"print {form}")
    book.set_defaults(run=_ledger)


def _ledger(arguments: argparse.Namespace) -> int:
    from boltzgrad import derivations  # SymPy, only here
    from boltzgrad.verify.ledger import ledger

    if arguments.topic is not None and arguments.names:
        raise InvalidOption("give names or --topic, not both")
    names = arguments.names or derivations.names(arguments.topic)
    with Counter(len(names)) as progress:
        book = ledger(names, seed=arguments.seed, progress=progress)
    print(getattr(book, f"to_{arguments.form}")() if arguments.form else book)
    return AGREEMENT if book.ok else DISAGREEMENT
