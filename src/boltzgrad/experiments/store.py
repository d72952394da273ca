"""Adding to the rows on disk: a task is there with all its rows, or not at all, whatever stops the process.

A line is appended by one write and reaches the disk before the next task is recorded.  `results` has the format.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from boltzgrad.errors import InvalidOption, ResultsNotWritten
from boltzgrad.experiments import encoding, results
from boltzgrad.experiments.lock import FolderLock
from boltzgrad.experiments.task import Row, Task, rows_of


class Store:
    """A folder of results, open for adding to; a context manager, and locked against other writers until it is closed.

    Everything that determines the rows is given: `experiment` and `preset` by name, the `configuration` (JSON-able), and
    the `version` of boltzgrad.  A folder that holds results of the same four is gone on with.  With `fresh` what it
    holds is put aside (`rows.jsonl.old`) and a new file begun.

    Raises: ResultsMismatch, ResultsCorrupt, ResultsInUse, ResultsNotWritten, InvalidOption (configuration is no JSON).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Store(folder, experiment="toy", preset="quick", configuration={"batch": 10}, version="1") as store:
    ...         store.add(Task("seed=3", results.read, {"seed": 3}), [{"gap": float("inf")}])
    ...     results.read(folder).rows
    [{'key': 'seed=3', 'seed': 3, 'configuration': {'seed': 3}, 'version': '1', 'gap': inf}]
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        experiment: str,
        preset: str,
        configuration: dict[str, Any],
        version: str,
        fresh: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self._path = self.folder / results.NAME
        asked = {"experiment": experiment, "preset": preset, "configuration": configuration, "version": version}
        self._asked = encoding.plain(asked, "the store's description")
        self._records: dict[str, results.Record] = {}
        self._lock: FolderLock | None = None
        self._descriptor = -1
        self._size = 0
        try:
            self._open(fresh)
        except OSError as error:
            self.close()
            raise self._not_written(error) from error
        except BaseException:
            self.close()
            raise

    @property
    def experiment(self) -> str:
        """The name of the experiment whose rows these are."""
        return str(self._asked["experiment"])

    def finished(self, task: Task) -> bool:
        """Whether this task's rows are here.  Raises: ResultsMismatch if they were computed from other arguments."""
        record = self._records.get(task.key)
        if record is None:
            return False
        results.must_agree(record.arguments, task.arguments, f"task {task.key!r} of {self._path}", "argument ")
        return True

    def rows(self, task: Task) -> list[Row]:
        """The rows of a finished task, as they are on disk; a copy."""
        return copy.deepcopy(self._records[task.key].rows)

    def add(self, task: Task, rows: list[Row], *, seconds: float = float("nan")) -> None:
        """Write a task's rows; when this returns they are on the disk.

        Each row gets the task's key, a seed (its own; else that in the task's arguments; else None), its configuration (the
        task's arguments: that of all tasks stands in the header), and the version.
        If the disk stops it, the file is as it was before.
        Raises: ResultsNotWritten (also if the store is closed), InvalidOption for what is no list of rows.
        """
        if self._descriptor < 0:
            raise ResultsNotWritten(f"cannot write {self._path}: the store is closed; open it again")
        if self.finished(task):
            raise InvalidOption(f"task {task.key!r} is already in {self._path}; expected each key once")
        version = self._asked["version"]
        full = []
        for row in rows_of(rows):
            seed = row.pop("seed", task.arguments.get("seed"))
            full.append({"key": task.key, "seed": seed, "configuration": task.arguments, "version": version, **row})
        line = encoding.dumps({"task": task.key, "arguments": task.arguments, "seconds": seconds, "rows": full})
        record, before = results.record(line), self._size
        try:
            self._append(line)
            self._records[task.key] = record
        except OSError as error:
            self._undo(task, before)
            raise self._not_written(error) from error
        except BaseException:  # Ctrl-C
            if os.fstat(self._descriptor).st_size <= before + len(line):
                self._undo(task, before)
            else:  # a line that is whole stays: others may have read it
                self._records[task.key], self._size = record, before + len(line) + 1
            raise

    def close(self) -> None:
        """Let others write to the folder; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self, fresh: bool) -> None:
        new = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.folder)
        if fresh and self._path.exists():
            self._path.replace(self._path.with_name(f"{results.NAME}.old"))
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        header, records, self._size = results.parse(self._path, self._path.read_bytes())
        if header is not None:
            results.must_agree(results.description(header), results.description(self._asked), str(self._path))
        self._records = {record.key: record for record in records}
        os.ftruncate(self._descriptor, self._size)  # a last line without its end
        if header is None:
            self._append(results.header(self._asked))
            _sync_folder(self.folder)
            if new:
                _sync_folder(self.folder.parent)

    def _append(self, line: str) -> None:
        data = line.encode("ascii") + b"\n"
        written = 0
        while written < len(data):  # one turn, unless the disk fills up
            written += os.write(self._descriptor, data[written:])
        self._size += len(data)
        os.fsync(self._descriptor)

    def _undo(self, task: Task, size: int) -> None:
        """Cut off what was written of a task's line; where even that fails, the next opening will."""
        self._records.pop(task.key, None)
        self._size = size
        try:
            os.ftruncate(self._descriptor, size)
        except OSError:
            self.close()

    def _not_written(self, error: OSError) -> ResultsNotWritten:
        wrapped = ResultsNotWritten(
            f"cannot write {self._path}: {error.strerror or error} (errno {error.errno}); the tasks recorded there before "
            "stay readable. Make room, or give a folder that can be written to (--out); the same command then goes on "
            "from what is there"
        )
        wrapped.errno = error.errno
        return wrapped


def _sync_folder(folder: Path) -> None:
    """Let a new file's name reach the disk, where the system can do that."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
