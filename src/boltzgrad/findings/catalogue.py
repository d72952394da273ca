"""All findings, in the order in which they are numbered.  What they are made from is imported when they are asked for."""

from __future__ import annotations

import importlib

from boltzgrad.errors import unknown
from boltzgrad.findings.finding import Finding
from boltzgrad.findings.record import kept

KINDS = {
    "of_experiments": "The papers' figures",
    "of_papers": "The papers' problems and formulas",
    "of_statements": "The papers' statements",
    "of_audits": "Public packages",
    "of_software": "General tools",
}
"""The files of findings, with the heading of each on the page."""


def findings(kind: str | None = None) -> tuple[Finding, ...]:
    """Those of one file of `KINDS`, or all."""
    kinds = KINDS if kind is None else (kind,)
    return tuple(f for k in kinds for f in importlib.import_module(f"boltzgrad.findings.{k}").FINDINGS)


def names() -> list[str]:
    """Their names, as recorded."""
    return [entry["name"] for entry in kept()]


def get(name: str) -> Finding:
    """The finding of that name.  Raises: UnknownName."""
    kinds = {"statement-": "of_statements", "audit-": "of_audits"}
    kind = next((k for start, k in kinds.items() if name.startswith(start)), None)
    among = findings(kind) if kind else findings("of_experiments") + findings("of_papers") + findings("of_software")
    for finding in among:
        if finding.name == name:
            return finding
    raise unknown("finding", name, names())
