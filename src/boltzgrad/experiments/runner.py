"""Running the tasks of an experiment: what is in the store is skipped, what gets done is stored at once."""

from __future__ import annotations

import collections
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from boltzgrad.errors import InvalidOption, TaskFailed, WorkersLost
from boltzgrad.experiments import workers as places
from boltzgrad.experiments.store import Store
from boltzgrad.experiments.task import Outcome, Row, Task


def run(
    tasks: Sequence[Task], store: Store, *, workers: int = 1, dask: str | None = None, progress: bool = True
) -> list[Row]:
    """The rows of all tasks, in the order of the tasks: those in `store` read from there, the others computed.

    The tasks run one after the other; or in `workers` processes of this machine; or on the dask cluster whose
    scheduler's address is `dask`.  The rows are the same.  Each task's rows are in the store when it
    is done, so a run that is stopped (Ctrl-C, kill -9, a full disk) goes on from there when it is called again.
    With `progress`, a bar on standard error counts tasks, if that is a terminal.

    A task that raises ends the run: those already begun are waited for and stored, no others are begun.
    On Ctrl-C those begun are stopped (on a cluster, dropped).

    Raises: TaskFailed with the task's key and its error as the cause; WorkersLost; ClusterUnusable; MissingExtra;
    ResultsNotWritten; ResultsMismatch if the store has a task of that key with other arguments; InvalidOption.
    """
    tasks = list(tasks)
    _check(tasks, workers, dask)
    missing = {task.key: task for task in tasks if not store.finished(task)}
    failures: list[Outcome] = []

    def begin() -> Iterator[Task]:
        for task in missing.values():
            if failures:
                return
            yield task

    with _bar(store.experiment, len(tasks), len(tasks) - len(missing), progress) as advance:
        try:
            with contextlib.closing(_outcomes(begin(), len(missing), workers, dask)) as outcomes:
                for outcome in outcomes:
                    if outcome.error is not None:
                        failures.append(outcome)
                        continue
                    store.add(missing[outcome.key], outcome.rows, seconds=outcome.seconds)
                    advance()
        except WorkersLost as error:
            raise WorkersLost(f"{error}. {_kept(store, tasks)}") from error.__cause__
    if failures:
        raise _task_failed(failures, _kept(store, tasks)) from failures[0].error
    return [row for task in tasks for row in store.rows(task)]


def _check(tasks: list[Task], workers: int, dask: str | None) -> None:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InvalidOption(f"workers is {workers!r}; expected a whole number of at least 1")
    if dask is not None and workers != 1:
        raise InvalidOption(f"workers is {workers} and dask is {dask!r}; give one of them")
    for key, times in collections.Counter(task.key for task in tasks).items():
        if times > 1:
            raise InvalidOption(f"{times} tasks have the key {key!r}; expected each key once")


def _outcomes(tasks: Iterator[Task], many: int, workers: int, dask: str | None) -> places.Outcomes:
    if many == 0:
        return places.serial(iter(()))  # nothing to do: no workers, no cluster
    if dask is not None:
        return places.cluster(tasks, dask)
    return places.serial(tasks) if workers == 1 else places.processes(tasks, workers)


def _task_failed(failures: list[Outcome], kept: str) -> TaskFailed:
    first = failures[0]
    if first.error is not None and first.error.__traceback__ is None and first.traceback:
        first.error.add_note(f"in a worker process:\n{first.traceback}")
    others = "".join(f"; so did task {outcome.key!r}: {_words(outcome)}" for outcome in failures[1:])
    return TaskFailed(f"task {first.key!r} failed: {_words(first)}{others}. {kept}")


def _words(outcome: Outcome) -> str:
    return f"{type(outcome.error).__name__}: {outcome.error}"


def _kept(store: Store, tasks: list[Task]) -> str:
    done = sum(map(store.finished, tasks))
    return f"{done} of {len(tasks)} tasks are in {store.folder}, and the same command goes on from there"


@contextlib.contextmanager
def _bar(title: str, total: int, done: int, progress: bool) -> Iterator[Any]:
    """A function to call after each task."""
    if not progress or not sys.stderr.isatty():
        yield lambda: None
        return
    tqdm = places.optional("tqdm", "the progress bar (or progress=False)").tqdm
    with tqdm(total=total, initial=done, desc=title, unit="task", file=sys.stderr, dynamic_ncols=True) as bar:
        yield bar.update
