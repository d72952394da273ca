"""One piece of an experiment: a function, its arguments, and a key by which its rows are found again."""

from __future__ import annotations

import copy
import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from boltzgrad import __version__
from boltzgrad.errors import InvalidOption
from boltzgrad.experiments import encoding

Row = dict[str, Any]
TaskFunction = Callable[[dict[str, Any]], list[Row]]
RESERVED = ("key", "configuration", "version")  # the store writes these into every row


@dataclass(frozen=True)
class Task:
    """`function(arguments)` returns rows; `key` names it, for people and for a resumed run.

    `function` is defined at the top of a module that the workers can import too, and it draws its random
    numbers from seeds in `arguments`, so that it returns the same rows in whatever process it runs.  `arguments` are
    kept as JSON would return them (a tuple becomes a list, a NumPy number a number).  Rows are
    dictionaries of numbers, strings, booleans, None, arrays, and lists and dictionaries of them; one may bear its `seed`.

    Raises: InvalidOption for a key that is not one line of text, a function that workers cannot import, and
    arguments that are no JSON.

    >>> Task("seeds=0-4", encoding.loads, {"seeds": (0, 4)}).arguments
    {'seeds': [0, 4]}
    """

    key: str
    function: TaskFunction
    arguments: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not self.key.strip() or len(self.key.splitlines()) != 1:
            raise InvalidOption(f"a task's key is {self.key!r}; expected one line of text")
        name = getattr(self.function, "__qualname__", None)
        if not callable(self.function) or name is None or "<" in name:
            raise InvalidOption(
                f"task {self.key!r}: its function is {self.function!r}; expected a function defined at the top of a "
                "module (no lambda, no inner function, no partial), so that workers can import it"
            )
        if not isinstance(self.arguments, dict):
            raise InvalidOption(f"task {self.key!r}: its arguments are {self.arguments!r}; expected a dictionary")
        object.__setattr__(self, "arguments", encoding.plain(self.arguments, f"task {self.key!r}: arguments"))


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its rows, or the error that it raised and where.

    `version` is that of the boltzgrad which computed it, `seconds` how long it took.
    """

    key: str
    rows: list[Row]
    seconds: float
    version: str
    error: Exception | None = None
    traceback: str = ""


def perform(task: Task) -> Outcome:
    """Run a task, wherever this process is; its error is returned, not raised, so that no other outcome is lost."""
    start = time.perf_counter()
    try:
        rows = rows_of(task.function(copy.deepcopy(task.arguments)))
    except Exception as error:
        seconds = time.perf_counter() - start
        return Outcome(task.key, [], seconds, __version__, error, traceback.format_exc())
    return Outcome(task.key, rows, time.perf_counter() - start, __version__)


def perform_elsewhere(task: Task) -> Outcome:
    """`perform` in another process than the one that asked, so that its error has to travel."""
    outcome = perform(task)
    return outcome if outcome.error is None else replace(outcome, error=_portable(outcome.error))


def rows_of(rows: object) -> list[Row]:
    """What a task's function returned, as plain Python.  Raises: InvalidOption if it is no list of rows."""
    if not isinstance(rows, list):
        raise InvalidOption(f"it returned a {type(rows).__name__}; expected a list of rows (dictionaries)")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidOption(f"its row {number} is a {type(row).__name__}; expected a dictionary")
        for name in RESERVED:
            if name in row:
                raise InvalidOption(f"its row {number} has a field {name!r}, which the store writes; rename it")
    plain: list[Row] = encoding.plain(rows, "rows")
    return plain


def _portable(error: Exception) -> Exception:
    """The error, or one with the same words if it cannot travel between processes."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
