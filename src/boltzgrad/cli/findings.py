"""`boltzgrad findings`: what was found, with its size and the command that makes it again; or one of them, measured now."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

from boltzgrad.cli.arguments import AGREEMENT, DISAGREEMENT


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Put the command among the others."""
    found = commands.add_parser("findings", help="what was found in papers and packages, and what makes it again")
    found.add_argument("name", nargs="?", help="measure this one again (without a name: a list of them, as recorded)")
    found.add_argument("--json", action="store_true", help="print JSON")
    found.set_defaults(run=_findings)


def _findings(arguments: argparse.Namespace) -> int:
    from boltzgrad.findings import kept

    entries = kept()
    if arguments.name is not None:
        return _one(arguments.name, entries, arguments.json)
    if arguments.json:
        print(json.dumps(entries, indent=2, ensure_ascii=False))
        return AGREEMENT
    width = max(len(entry["name"]) for entry in entries)
    cut = max(len(entry["cuts"]) for entry in entries)
    for entry in entries:
        print(f"{entry['number']:3}  {entry['name']:{width}}  {entry['cuts']:{cut}}  {entry['size']}")
    print("\n`boltzgrad findings NAME` says what it is and measures it again.")
    return AGREEMENT


def _one(name: str, entries: list[dict[str, Any]], as_json: bool) -> int:
    from boltzgrad.findings import apart, get, numbers_of

    finding = get(name)
    (entry,) = (e for e in entries if e["name"] == name)
    changed = (
        [] if finding.measure is None else apart(numbers_of(finding), entry["numbers"], finding.near, finding.below)
    )
    if as_json:
        out = {**entry, "measured_now": finding.measure is not None, "changed": changed}
        print(json.dumps(out, indent=2, ensure_ascii=False))
        return DISAGREEMENT if changed else AGREEMENT
    print(f"{entry['number']}. {name}: {entry['about']} ({entry['cuts']})\n")
    print(textwrap.fill(entry["finding"], 100))
    if finding.measure is None:
        print(f"\nfrom committed rows of long runs; again: {entry['again']}")
    else:
        print("\nmeasured again now: " + ("; ".join(changed) if changed else "the same"))
    return DISAGREEMENT if changed else AGREEMENT
