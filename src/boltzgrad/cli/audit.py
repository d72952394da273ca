"""`boltzgrad audit NAME`: other people's public code, judged by what was recorded, or run from a checkout and judged now."""

from __future__ import annotations

import argparse
import json
from typing import Any

from boltzgrad.cli.arguments import AGREEMENT, DISAGREEMENT
from boltzgrad.errors import InvalidOption


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Put the command among the others."""
    audit = commands.add_parser("audit", help="public packages, judged: what they compute, held against the reference")
    audit.add_argument("name", nargs="?", help="which one (without a name: a list of them)")
    audit.add_argument(
        "--checkout", action="append", default=[], metavar="DIR",
        help="run the code in this checkout, instead of reading what was recorded (one for each repository, in order)",
    )  # fmt: skip
    audit.add_argument("--installed", action="store_true", help="run the packages that are installed here")
    audit.add_argument("--save", metavar="FILE.npz", help="keep what was computed")
    audit.add_argument("--json", action="store_true", help="print JSON")
    audit.set_defaults(run=_audit)


def _audit(arguments: argparse.Namespace) -> int:
    from boltzgrad import audits

    if arguments.name is None:
        if arguments.checkout or arguments.installed or arguments.save:
            raise InvalidOption("--checkout, --installed and --save go with the name of an audit")
        return _list(arguments.json)
    audit = audits.get(arguments.name)
    if arguments.installed and audit.repositories:
        names = ", ".join(source.name for source in audit.repositories)
        raise InvalidOption(f"{audit.name} is of a repository, not of a package: give --checkout for {names}")
    now = arguments.installed or bool(arguments.checkout)
    kept = audits.recorded(audit)
    record = audits.run(audit, [audits.Checkout(folder) for folder in arguments.checkout]) if now else kept
    changed = audits.differences(audit, record, kept)
    outcomes = audits.judge(audit, record.outputs)
    if arguments.save:
        record.save(arguments.save)
    if arguments.json:
        out = {"audit": audit.name, "made": record.made, "run_now": now, "changed": changed}
        print(json.dumps({**out, "outcomes": [x.to_dict() for x in outcomes]}, indent=2, ensure_ascii=False))
    else:
        _print(audit, outcomes, now, changed)
    return AGREEMENT if all(x.as_expected for x in outcomes) else DISAGREEMENT


def _list(as_json: bool) -> int:
    from boltzgrad.audits import AUDITS

    if as_json:
        rows = [{"name": a.name, "sources": [str(s) for s in a.sources], "computes": a.computes} for a in AUDITS]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return AGREEMENT
    width = max(len(a.name) for a in AUDITS)
    for a in AUDITS:
        print(f"{a.name:{width}}  {', '.join(map(str, a.sources))}\n{'':{width}}  {a.computes}")
    return AGREEMENT


def _print(audit: Any, outcomes: Any, now: bool, changed: list[str]) -> None:
    print(f"{audit.name}: {', '.join(map(str, audit.sources))}, {'run now' if now else 'as recorded'}")
    print(f"computes {audit.computes}")
    for words in changed:
        print(f"note: {words}")
    for x in outcomes:
        size = "" if x.error != x.error else f", {x.error:.2g} off"
        print(f"\n{x.case.title}: {x.verdict}{size}")
        if x.words:
            print(f"  {x.words}")
        if x.case.mistake:
            print(f"  mistake: {x.case.mistake}")
        if x.apart == x.apart:
            also = "; repaired, it agrees" if x.as_expected else ""
            print(f"  the mistake made again is {x.apart:.0e} from it{also}")
        if x.recognised:
            print(f"  recognised: {x.recognised}")
        for fault in x.faults:
            print(f"  NOT AS EXPECTED: {fault}")
    print(f"\nshows {audit.shows}\n{'known: ' + audit.known if audit.known else ''}".rstrip())
