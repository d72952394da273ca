"""Tasks so small that only their running is tested; a module of its own, so that workers can import it.

`python -m experiments_toys FOLDER COUNT WORKERS` runs some of them, for tests that kill or interrupt that.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

from boltzgrad.errors import NotConverged
from boltzgrad.experiments.results import read
from boltzgrad.experiments.runner import run
from boltzgrad.experiments.store import Store
from boltzgrad.experiments.task import Task

PATIENCE = 300.0  # seconds after which a test counts as hanging: no machine is that busy
DESCRIPTION = {"experiment": "toy", "preset": "quick", "configuration": {"batch": 10}, "version": "1.2.3"}


def open_store(folder, **other):
    return Store(folder, **{**DESCRIPTION, **other})


def walk(arguments):
    """A row for each seed: what a run of a stochastic algorithm looks like, with the values that JSON has no word for."""
    time.sleep(arguments.get("pause", 0.0))
    rows = []
    for seed in arguments["seeds"]:
        steps = np.random.default_rng(seed).standard_normal((30, 30))
        path = np.cumsum(steps @ steps.T @ steps, axis=0)
        rows.append(
            {"seed": seed, "path": path[-1], "end": path[-1, -1], "odd": [np.nan, -np.inf], "count": np.int64(3)}
        )
    arguments["seeds"] = None  # a task that spoils its arguments spoils nobody else's
    return rows


def walks(count, **more):
    return [Task(f"walk {i}", walk, {"seeds": (2 * i, 2 * i + 1), **more}) for i in range(count)]


def first_last(arguments):
    """Done long after those that begin later."""
    if arguments["number"] == 0:
        wait_for(arguments["marker"])
    Path(arguments["marker"]).with_suffix(f".{arguments['number']}").touch()
    if arguments["number"] == 3:
        Path(arguments["marker"]).touch()
    return [{"number": arguments["number"]}]


def fails(arguments):
    raise NotConverged("the residual is 3e-4, allowed is 1e-9")


class TwoWords(Exception):
    """An error that cannot be unpickled."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def fails_oddly(arguments):
    raise TwoWords("hard", "luck")


def dies_once(arguments):
    """Kills its own process the first time, wherever that is."""
    marker = Path(arguments["marker"])
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return walk(arguments)


def dies(arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def surroundings(arguments):
    return [{"pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")}]


def waits(arguments):
    """Says that it runs, and where, then waits for longer than any test."""
    Path(arguments["marker"]).write_text(str(os.getpid()))
    wait_for(Path(arguments["marker"]).with_suffix(".never"), 100 * PATIENCE)
    return []


def wait_for(path, seconds=PATIENCE):
    """Until a file is there with something in it, or a condition holds."""
    end = time.monotonic() + seconds
    ready = path if callable(path) else Path(path).exists
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing at {path} after {seconds} s")
        time.sleep(0.01)


def main(folder, count, workers):
    tasks = walks(int(count), pause=0.02)
    if os.environ.get("TOY_WAITS"):
        tasks.append(Task("waits", waits, {"marker": os.environ["TOY_WAITS"]}))
    with open_store(folder) as store:
        run(tasks, store, workers=int(workers))


def send_and_interrupt(folder, marker, address):
    """On a cluster, or in this process; interrupted by itself when the third task runs and two are stored."""

    def interrupt():
        wait_for(lambda: Path(marker).exists() and len(read(folder).records) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what is in the background without one
    tasks = [*walks(2), Task("waits", waits, {"marker": marker})]
    with open_store(folder) as store:
        threading.Thread(target=interrupt, daemon=True).start()
        run(tasks, store, dask=address)


if __name__ == "__main__":
    main(*sys.argv[1:])
