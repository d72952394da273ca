"""What was last measured of every finding, in `record.json`: listing them computes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boltzgrad.errors import InvalidOption
from boltzgrad.findings.finding import Finding, Numbers, Rows

PATH = Path(__file__).with_name("record.json")


def kept() -> list[dict[str, Any]]:
    """Each finding with its number, as `Finding.filled` has it."""
    return [{"number": i, **entry} for i, entry in enumerate(json.loads(PATH.read_text(encoding="utf-8")), start=1)]


def numbers_of(finding: Finding, rows: Rows | None = None) -> Numbers:
    """What a finding's sentences are made of, measured now or read from committed rows.

    Raises: InvalidOption for one that is read from rows, without any.
    """
    if finding.measure is not None:
        return {key: float(x) for key, x in finding.measure().items()}
    if finding.read is None or rows is None:
        raise InvalidOption(
            f"{finding.name} is read from committed rows of long runs; {finding.again} makes them again"
        )
    return {key: float(x) for key, x in finding.read(rows).items()}


def filled(findings: tuple[Finding, ...], numbers: Mapping[str, Numbers]) -> list[dict[str, Any]]:
    """The record of these findings."""
    return [finding.filled(numbers[finding.name]) for finding in findings]


def save(entries: list[dict[str, Any]]) -> None:
    """Keep a record."""
    PATH.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
