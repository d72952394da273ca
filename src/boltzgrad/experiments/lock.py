"""One writer a folder: a lock file that holds the writer's process id.

Where the system and the file system have `flock`, the lock is the system's: it goes when its process goes, however
that ends, and the id in the file only says whom to wait for.  Elsewhere the file itself is the lock, and it is taken
over when its process no longer runs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from boltzgrad.errors import ResultsInUse

# None on a system without it
fcntl: Any = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None

NAME = "lock"


class FolderLock:
    """The lock of a folder, held from construction to `release`.

    Raises: ResultsInUse if another process (or another store of this process) holds it; OSError if the
    folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._by_system = self._flock()
            if not self._by_system:
                self._take_over()
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let others write; a second call does nothing."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):  # a full disk must not keep the lock
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1

    def _flock(self) -> bool:
        """Whether the system gave us its lock; False if it has none to give."""
        if fcntl is None:
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._in_use(self._owner()) from None
        except OSError:  # a file system without locks
            return False
        return True

    def _take_over(self) -> None:
        owner = self._owner()
        if owner is not None and _runs(owner):
            raise self._in_use(owner)

    def _owner(self) -> int | None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        text = os.read(self._descriptor, 32).strip()
        return int(text) if text.isdigit() else None

    def _in_use(self, owner: int | None) -> ResultsInUse:
        who = "another process" if owner is None else f"process {owner}" + " (this one)" * (owner == os.getpid())
        by_hand = "" if fcntl else f"; if no such process runs, delete {self._path}"
        return ResultsInUse(
            f"{who} is writing to {self._path.parent}; wait for it, stop it, or write to another folder (--out){by_hand}"
        )


def _runs(process: int) -> bool:
    """Whether a process of that number runs; True where there is no way to ask."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
