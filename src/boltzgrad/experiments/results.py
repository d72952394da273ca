"""Results as they lie in a folder: the format of `rows.jsonl`, and reading it.

The first line is a header: format, experiment, preset, configuration, version of boltzgrad, Python and NumPy, date.
Every further line is one finished task: its key, arguments, seconds, and rows.  A process killed while it writes
leaves a last line without its end, which is left out (and cut off when the folder is next added to).  Any other line that
cannot be read is an error.  `encoding` says how NaN and the infinities are written.
"""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad.errors import InvalidOption, ResultsCorrupt, ResultsMismatch
from boltzgrad.experiments import encoding
from boltzgrad.experiments.task import Row

FORMAT = 1
NAME = "rows.jsonl"
OTHERWISE = "give another folder (--out), or put these results aside and begin anew (--fresh)"


@dataclass(frozen=True)
class Record:
    """A finished task: what it was, how long it took, and what it returned."""

    key: str
    arguments: dict[str, Any]
    seconds: float
    rows: list[Row]


@dataclass(frozen=True)
class Results:
    """What a folder holds; `records` in the order in which they were finished."""

    header: dict[str, Any]
    records: tuple[Record, ...]

    @property
    def rows(self) -> list[Row]:
        """The rows of all tasks."""
        return [row for record in self.records for row in record.rows]


def read(folder: str | os.PathLike[str]) -> Results:
    """The results in a folder, also while another process adds to them; nothing is changed.

    Raises: InvalidOption if there are none; ResultsCorrupt with the line that cannot be read.
    """
    path = Path(folder) / NAME
    try:
        header, records, _ = parse(path, path.read_bytes())
    except OSError as error:
        raise InvalidOption(f"no results in {folder}: cannot read {path.name}: {error.strerror}") from error
    if header is None:
        raise InvalidOption(f"no results in {folder}: {path.name} is empty")
    return Results(header, tuple(records))


def header(asked: dict[str, Any]) -> str:
    """The first line of a new file."""
    return encoding.dumps(
        {
            "format": FORMAT,
            **asked,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
    )


def record(line: str | bytes) -> Record:
    """The task of one line.  Raises: ValueError, KeyError or TypeError if it is none."""
    found = encoding.loads(line)
    key, rows, arguments = found["task"], found["rows"], found["arguments"]
    if not isinstance(arguments, dict) or not isinstance(rows, list) or any(row["key"] != key for row in rows):
        raise ValueError("its rows are not those of one task")
    return Record(key, arguments, float(found["seconds"]), rows)


def parse(path: Path, data: bytes) -> tuple[dict[str, Any] | None, list[Record], int]:
    """Header (None if not even that is there), records, and the bytes up to the end of the last whole line."""
    whole, end, torn = data.rpartition(b"\n")
    if not end:
        start = f'{{"format":{FORMAT},'.encode()
        if not start.startswith(torn[: len(start)]):
            raise _corrupt(path, 1, "it is no header of results")
        return None, [], 0
    first, *lines = whole.split(b"\n")
    try:
        head = encoding.loads(first)
        if head["format"] != FORMAT:
            problem = f"{path} has format {head['format']}; this boltzgrad reads and writes format {FORMAT}"
            raise ResultsMismatch(f"{problem}: {OTHERWISE}")
        description(head)
    except ResultsMismatch:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _corrupt(path, 1, f"it is no header of results ({type(error).__name__}: {error})") from error
    records: dict[str, Record] = {}
    for number, line in enumerate(lines, start=2):
        try:
            found = record(line)
        except (ValueError, KeyError, TypeError) as error:
            raise _corrupt(path, number, f"{type(error).__name__}: {error}") from error
        if found.key in records:
            raise _corrupt(path, number, f"task {found.key!r} is there a second time")
        records[found.key] = found
    return head, list(records.values()), len(whole) + 1


def description(head: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same for results to belong together, from a header; one entry for each option."""
    options = {f"configuration {name!r}": value for name, value in head["configuration"].items()}
    return {name: head[name] for name in ("experiment", "preset", "version")} | options


_SHOWN = 3  # differences that are spelled out


def must_agree(there: dict[str, Any], asked: dict[str, Any], where: str, kind: str = "") -> None:
    """Raise ResultsMismatch, with the entries that differ and both values, unless two descriptions are the same."""
    differences = [kind + text for text in _differences(there, asked)]
    if differences:
        more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        shown = "; ".join(differences[:_SHOWN]) + more
        raise ResultsMismatch(f"{where} holds other results than asked for: {shown}. Try: {OTHERWISE}")


def _differences(there: dict[str, Any], asked: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*asked, *there]):
        if isinstance(there.get(name), dict) and isinstance(asked.get(name), dict):
            for text in _differences(there[name], asked[name]):
                yield f"{name} / {text}"
            continue
        found, wanted = (encoding.dumps(d[name], sort=True) if name in d else "absent" for d in (there, asked))
        if found != wanted:
            yield f"{name} is {_short(found)} there, {_short(wanted)} was asked for"


def _short(text: str) -> str:
    """The text, or its beginning."""
    return text if len(text) <= 120 else f"{text[:120]}…"


def _corrupt(path: Path, number: int, reason: str) -> ResultsCorrupt:
    repair = (
        "delete that line (its task is then computed again)" if number > 1 else "look whether it is the right folder"
    )
    return ResultsCorrupt(f"{path}, line {number} cannot be read: {reason}. Try: {repair}, or {OTHERWISE}")
