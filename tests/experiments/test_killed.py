"""A run that is killed or interrupted, for real, and then goes on: the rows are those of a run that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from boltzgrad.experiments import encoding, results
from boltzgrad.experiments.runner import run
from boltzgrad.experiments.task import Task
from experiments_toys import PATIENCE, open_store, wait_for, walk, walks
from tests_helpers import optional

psutil = optional("psutil")
optional("joblib")

COUNT = 25
TESTS = Path(__file__).parents[1]
PYTHONPATH = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


def start(folder, workers, count=COUNT, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments_toys", str(folder), str(count), str(workers)],
        env={**os.environ, "PYTHONPATH": PYTHONPATH, **environment},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever started the tests in the background had Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def lines(folder):
    path = folder / results.NAME
    return path.read_bytes().count(b"\n") if path.exists() else 0


def finish(folder):
    with open_store(folder) as store:
        return encoding.dumps(run(walks(COUNT, pause=0.02), store))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("whole"))


def alive(process):
    """Whether a process runs; one that ended and was not waited for by its new parent counts as gone."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def said(marker):
    return lambda: marker.exists() and marker.read_text()


@pytest.mark.parametrize(("workers", "attempt"), [(1, 0), (1, 1), (2, 0)])
def test_kill_9_at_a_random_moment(tmp_path, uninterrupted, workers, attempt):
    seed = time.time_ns()
    chance = random.Random(seed)
    after = chance.randrange(COUNT + 1)
    run_of = start(tmp_path / "out", workers, TOY_WAITS=str(tmp_path / "marker"))  # it does not end by itself
    wait_for(lambda: lines(tmp_path / "out") > after)
    time.sleep(chance.uniform(0, 0.02))
    os.kill(run_of.pid, signal.SIGKILL)
    run_of.communicate()
    assert len(results.read(tmp_path / "out").records) >= after
    assert finish(tmp_path / "out") == uninterrupted, f"random seed {seed}"


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c(tmp_path, uninterrupted, workers):
    """As a terminal sends it: to the run and to its workers."""
    marker = tmp_path / "marker"
    run_of = start(tmp_path / "out", workers, TOY_WAITS=str(marker))
    wait_for(said(marker))
    wait_for(lambda: lines(tmp_path / "out") == COUNT + 1)
    worker = int(marker.read_text())
    assert alive(worker)
    os.killpg(run_of.pid, signal.SIGINT)
    _, words = run_of.communicate(timeout=PATIENCE)  # the task would take a hundred times that
    assert words.count("Traceback") == 1, words
    assert words.strip().endswith("KeyboardInterrupt"), words
    wait_for(lambda: not alive(worker))
    assert len(results.read(tmp_path / "out").records) == COUNT
    assert finish(tmp_path / "out") == uninterrupted


@pytest.mark.parametrize("count", [COUNT, 0])
def test_workers_do_not_outlive_a_killed_run(tmp_path, count):
    """Nor do those that were never given a task: with a single one, the second worker has none."""
    marker = tmp_path / "marker"
    run_of = start(tmp_path / "out", 2, count, TOY_WAITS=str(marker))

    def workers():
        return [p.pid for p in psutil.Process(run_of.pid).children() if "--process-name" in p.cmdline()]

    wait_for(said(marker))
    wait_for(lambda: len(workers()) == 2)
    both = workers()
    assert int(marker.read_text()) in both
    assert all(map(alive, both))
    os.kill(run_of.pid, signal.SIGKILL)
    wait_for(lambda: not any(map(alive, both)), 100)  # joblib itself ends what is idle for 300 s
    run_of.communicate()


def test_the_comparison_can_fail(tmp_path, uninterrupted):
    with open_store(tmp_path) as store:
        tasks = [*walks(COUNT - 1, pause=0.02), Task(f"walk {COUNT - 1}", walk, {"seeds": [2 * COUNT - 2, 0]})]
        rows = run(tasks, store)
    assert len(rows) == len(encoding.loads(uninterrupted))
    assert encoding.dumps(rows[:-2]) == encoding.dumps(encoding.loads(uninterrupted)[:-2])  # all but the last task
    assert encoding.dumps(rows) != uninterrupted
