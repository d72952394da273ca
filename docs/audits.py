"""Writes docs/audits.md: public packages, judged, from what was recorded of each.

    python docs/audits.py [--check]

With --check nothing is written; the status is 1 if the page is not what the audits say.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from boltzgrad import audits

PAGE = Path(__file__).with_name("audits.md")

HEAD = """# Public code, judged

What public packages compute, held against the reference: each on one small problem, at the commit or version named, by calling
their own functions. Nothing of their code is here. What they computed is recorded beside each audit, every test run judges it
again, and a mistake is made again by code of ours from its mathematics: the package's numbers have to be those of the mistake,
and the same code without it has to agree with the reference. Controls, which agree, come first. A mistake shows in the setting
that is named and need not show in another; sizes are of these problems, and others have others.

This page is written by `docs/audits.py`. `boltzgrad audit` lists them; `boltzgrad audit NAME` judges the record, and with
`--checkout DIR` (or `--installed`) the code that you have.
"""


def size(outcome: audits.Outcome) -> str:
    """How far off, in words of two digits."""
    if np.isnan(outcome.error):
        return ""
    if outcome.verdict == "agrees":
        return "rounding" if outcome.error < 1e-8 else f"{outcome.error:.0e}"
    return f"{outcome.error:.1%}" if outcome.error >= 1e-3 else f"{outcome.error:.0e}"


def worst(outcomes: tuple[audits.Outcome, ...]) -> str:
    """The range of errors of those that do not agree."""
    off = sorted((x.error, size(x)) for x in outcomes if x.verdict == "disagrees")
    if not off:
        return ""
    return off[0][1] if len(off) == 1 or off[0][1] == off[-1][1] else f"{off[0][1]} to {off[-1][1]}"


def verdict(outcomes: tuple[audits.Outcome, ...]) -> str:
    """How many agree, and what the others do."""
    words = [x.verdict for x in outcomes]
    return ", ".join(f"{words.count(w)}\u00a0{w}" for w in dict.fromkeys(words))


def command(audit: audits.Audit) -> str:
    """What runs the code again."""
    if audit.repositories:
        folders = " ".join(f"--checkout {source.name.rpartition('/')[2]}" for source in audit.repositories)
        return f"boltzgrad audit {audit.name} {folders}"
    return f"boltzgrad audit {audit.name} --installed"


def evidence(audit: audits.Audit, outcomes: tuple[audits.Outcome, ...]) -> str:
    """The section of one audit."""
    sources = "; ".join(
        (f"<https://github.com/{s.name}> at {s.version[:10]}" if not s.installed else f"{s.name} {s.version}")
        + " ("
        + ", ".join(s.functions)
        + ")"
        for s in audit.sources
    )
    rows = ["| what was judged | verdict | off by | mistake made again |", "| --- | --- | ---: | ---: |"]
    for x in outcomes:
        apart = "" if np.isnan(x.apart) else f"within {x.case.near:.0e}"
        rows.append(f"| {x.case.title} | {x.verdict} | {size(x)} | {apart} |")
    mistakes = list(dict.fromkeys(x.case.mistake for x in outcomes if x.case.mistake))
    lines = [f"## {audit.name}", f"{audit.computes[0].upper()}{audit.computes[1:]}. {sources}.", "\n".join(rows)]
    if mistakes:
        lines.append("\n".join(f"- Mistake: {words}." for words in mistakes))
    named = sorted({x.recognised.partition("’")[0].lstrip("‘") for x in outcomes if x.recognised})
    lines += ["\n".join(f"- The judge names it, unasked: ‘{words}’." for words in named)] if named else []
    known = f" Known to its users: {audit.known}." if audit.known else ""
    lines.append(f"Shows {audit.shows}.{known}")
    lines.append(f"Again: `{command(audit)}`.")
    return "\n\n".join(lines) + "\n"


def page() -> str:
    """The whole page.  Raises: AssertionError if an audit is not as it says."""
    judged = [(audit, audits.judge(audit, audits.recorded(audit).outputs)) for audit in audits.AUDITS]
    for audit, outcomes in judged:
        assert all(x.as_expected for x in outcomes), (audit.name, [x.faults for x in outcomes])
    rows = [
        "| audit | what is judged | verdicts | off by | known to its users |",
        "| --- | --- | --- | ---: | --- |",
    ]
    for audit, outcomes in judged:
        rows.append(
            f"| [{audit.name}](#{audit.name}) | {audit.computes} | {verdict(outcomes)} | {worst(outcomes)} | {audit.known} |"
        )
    return "\n".join([HEAD, "\n".join(rows), "", *(evidence(audit, outcomes) for audit, outcomes in judged)])


def main() -> int:
    """Write the page, or check it."""
    if "--check" in sys.argv[1:]:
        same = PAGE.read_text(encoding="utf-8") == page()
        print("the page is up to date" if same else "the page is not what the audits say: python docs/audits.py")
        return 0 if same else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
