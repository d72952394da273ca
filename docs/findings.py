"""Measures every finding, and writes docs/findings.md and the record that `boltzgrad findings` lists.

    python docs/findings.py             measure all of them
    python docs/findings.py --page      the page only, from the record

What long runs say is read from the rows in docs/results.
"""

from __future__ import annotations

import sys
from pathlib import Path

from boltzgrad.findings import CUTS, CommittedRows, filled, findings, kept, numbers_of
from boltzgrad.findings.catalogue import KINDS
from boltzgrad.findings.record import save

HERE = Path(__file__).resolve().parent
PAGE = HERE / "findings.md"
HEAD = """# Findings

What came out where papers, the code published with them and general tools were held against exact gradients. Each has its size, whom
it speaks against, and the command that makes it again: `boltzgrad findings NAME` measures one now and compares it with what is
recorded here; those of long runs are read from the rows in `docs/results`. This page is written by
`docs/findings.py`; `boltzgrad findings --json` has the same for a machine.
"""


def page() -> str:
    """The whole page, from the record."""
    entries = {entry["name"]: entry for entry in kept()}
    counts = [e["cuts"] for e in entries.values()]
    rows = [f"| {cuts} | {words} | {counts.count(cuts)} |" for cuts, words in CUTS.items()]
    parts = [HEAD, "\n".join(["| | meaning | findings |", "| --- | --- | ---: |", *rows]), ""]
    for kind, heading in KINDS.items():
        lines = [f"## {heading}\n", "| | finding | size | speaks |", "| ---: | --- | --- | --- |"]
        mine = [entries[f.name] for f in findings(kind)]
        lines += [f"| {e['number']} | [{e['name']}](#{e['name']}) | {cell(e['size'])} | {e['cuts']} |" for e in mine]
        parts.append("\n".join(lines) + "\n")
        parts += [
            f"### {e['name']}\n\n{e['number']}. {cell(e['finding'])} ({cell(e['about'])}; {e['cuts']}.)\n\n`{e['again']}`\n"
            for e in mine
        ]
    return "\n".join(parts)


def cell(text: str) -> str:
    """What Markdown would take for its own is escaped."""
    return text.replace("|", "\\|")


def main() -> int:
    """Measure, unless only the page is asked for, and write."""
    if "--page" not in sys.argv[1:]:
        rows = CommittedRows(HERE / "results")
        every = findings()
        save(filled(every, {finding.name: numbers_of(finding, rows) for finding in every}))
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
