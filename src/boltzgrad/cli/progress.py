"""How far long work is, on standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Literal

_EVERY = 10  # lines for a log file


class RouteProgress:
    """A line on standard error for each route that takes more than a second, kept up to date while it runs."""

    def __enter__(self) -> Callable[[Literal["start", "end"], str], None]:
        self._timer: threading.Timer | None = None
        return self._event

    def __exit__(self, *exc: object) -> None:
        self._cancel()

    def _event(self, event: Literal["start", "end"], name: str) -> None:
        self._cancel()
        if event == "start":
            self._later(name, 1, 1)

    def _later(self, name: str, seconds: int, wait: int) -> None:
        self._timer = threading.Timer(wait, self._say, (name, seconds))
        self._timer.daemon = True
        self._timer.start()

    def _say(self, name: str, seconds: int) -> None:
        print(f"  … {name}: {seconds} s", file=sys.stderr, flush=True)
        self._later(name, 2 * seconds, seconds)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Counter:
    """How far a long list is, on standard error: one line that is kept up to date, or where that is no terminal, some lines."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def __enter__(self) -> Callable[[str], None]:
        return self._next

    def __exit__(self, *exc: object) -> None:
        self._show("")

    def _next(self, name: str) -> None:
        self.done += 1
        self._show(f"[{self.done}/{self.total}] {name}")
        if not sys.stderr.isatty() and self.done % _EVERY == 0:
            print(f"  … {self.done} of {self.total}", file=sys.stderr, flush=True)

    @staticmethod
    def _show(line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
