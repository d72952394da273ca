"""The same tasks on a dask cluster of processes that is there already, some of which are killed."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import boltzgrad
from boltzgrad.errors import ClusterUnusable, NotConverged, TaskFailed, WorkersLost
from boltzgrad.experiments import encoding, results, workers
from boltzgrad.experiments.runner import run
from boltzgrad.experiments.task import Task
from experiments_toys import PATIENCE, dies, dies_once, fails, open_store, surroundings, wait_for, waits, walk, walks
from tests_helpers import optional, sample, slow

dask = optional("dask")
optional("distributed")
TESTS = str(Path(__file__).parents[1])
PYTHONPATH = os.pathsep.join([TESTS, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


@contextlib.contextmanager
def process(*arguments, **environment):
    """A process of dask's command line, and the file of what it says; ended, if not by the test, at the end."""
    log = Path(environment.pop("log"))
    with log.open("w") as out:
        started = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, "PYTHONPATH": PYTHONPATH, "OMP_NUM_THREADS": "1", **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield started, log
    finally:
        started.terminate()
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextlib.contextmanager
def scheduler(folder, **environment):
    arguments = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with process("distributed.cli.dask_scheduler", *arguments, log=folder / "scheduler.log", **environment) as (
        it,
        log,
    ):
        wait_for(lambda: re.search(r"Scheduler at: +(tcp://\S+)", log.read_text()) or it.poll() is not None)
        found = re.search(r"Scheduler at: +(tcp://\S+)", log.read_text())
        assert found, log.read_text()
        yield found[1], it


@contextlib.contextmanager
def dask_workers(address, folder, count=1, **environment):
    """Processes with one thread each, each with a nanny that starts it again when it is killed."""
    options = ["--nworkers", str(count), "--nthreads", "1", "--no-dashboard", "--death-timeout", str(PATIENCE)]
    place = ["--local-directory", str(folder), "--host", "127.0.0.1"]
    with process("distributed.cli.dask_worker", address, *options, *place, log=folder / "w.log", **environment) as (
        _,
        log,
    ):
        wait_for(lambda: log.read_text().count("Registered to") >= count)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def address(folder):
    with (
        scheduler(folder, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1") as (found, _),
        dask_workers(found, folder, 2),
    ):
        yield found


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "toy") as opened:
        yield opened


def serial(tmp_path, tasks):
    with open_store(tmp_path / "serial") as opened:
        return encoding.dumps(run(tasks, opened))


def test_a_cluster_finds_the_same_rows_in_two_processes(tmp_path, store, address):
    tasks = walks(8, pause=0.05)
    assert encoding.dumps(run(tasks, store, dask=address)) == serial(tmp_path, tasks)
    rows = run([Task(str(i), surroundings, {}) for i in range(8)], store, dask=address)
    assert {row["threads"] for row in rows} == {"1"}
    assert len({row["pid"] for row in rows} - {os.getpid()}) == 2


@pytest.mark.slow
def test_a_worker_killed_while_it_runs_a_task(tmp_path, store, address):
    tasks = walks(8, pause=0.05)
    marker = tmp_path / "marker"
    tasks[3] = Task("walk 3", dies_once, {"seeds": [6, 7], "marker": str(marker)})
    rows = run(tasks, store, dask=address)
    assert marker.exists()  # it was killed
    assert encoding.dumps(rows) == serial(tmp_path, tasks)


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_named(store, address):
    run(walks(2), store, dask=address)
    with pytest.raises(
        TaskFailed, match=r"task 'deadly' failed: WorkersLost: 2 dask workers died.*2 of 3 tasks are in"
    ):
        run([*walks(2), Task("deadly", dies, {})], store, dask=address)
    assert len(results.read(store.folder).records) == 2
    assert len(run(walks(4), store, dask=address)) == 8


def test_a_task_that_raises_is_named(store, address):
    with pytest.raises(TaskFailed, match=r"task 'bad one' failed: NotConverged: the residual is 3e-4") as caught:
        run([*walks(2), Task("bad one", fails, {}), *walks(60, pause=0.05)[2:]], store, dask=address)
    assert isinstance(caught.value.__cause__, NotConverged)
    assert "experiments_toys.py" in caught.value.__cause__.__notes__[0]
    assert 2 <= len(results.read(store.folder).records) < 40


def test_what_is_done_is_not_sent(store, address):
    run(walks(2), store)
    assert len(run([Task(t.key, fails, t.arguments) for t in walks(2)], store, dask="tcp://127.0.0.1:1")) == 4


@pytest.mark.slow
def test_ctrl_c_leaves_the_cluster_in_order(tmp_path, store, address):
    marker = tmp_path / "marker"
    stacks = f"faulthandler.dump_traceback_later({PATIENCE / 2}, exit=True)"  # a hang says where it hangs
    code = f"import faulthandler, sys, experiments_toys as t; {stacks}; t.send_and_interrupt(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "other"), str(marker), address],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stderr.strip().endswith("KeyboardInterrupt"), done.stderr
    assert done.returncode != 0
    assert len(results.read(tmp_path / "other").records) == 2
    assert marker.exists()  # the third was under way
    marker.with_suffix(".never").touch()  # dask cannot stop a thread: let it end
    assert len(run(walks(3), store, dask=address)) == 6


@pytest.mark.parametrize(
    ("source", "found"),
    [
        slow("raise ImportError('no such thing')", r"none \(ImportError: no such thing\)"),
        ("__version__ = '0.0.7'", r"0\.0\.7"),
    ],
)
def test_workers_with_another_boltzgrad_or_none(tmp_path, store, address, source, found):
    (tmp_path / "boltzgrad").mkdir()
    (tmp_path / "boltzgrad" / "__init__.py").write_text(source)
    with dask_workers(address, tmp_path, PYTHONPATH=str(tmp_path)):
        message = rf"the boltzgrad of dask worker tcp://.* is {found}; expected {boltzgrad.__version__}"
        with pytest.raises(ClusterUnusable, match=message):
            run(walks(1), store, dask=address)
    assert results.read(store.folder).records == ()


@pytest.mark.parametrize("address_of", sample(["nobody", "a web page", "no address"], "no address"))
def test_an_address_that_does_not_answer(store, monkeypatch, address_of):
    monkeypatch.setattr(workers, "CONNECT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts, and says nothing
        port = server.getsockname()[1]
        given = {"nobody": "tcp://127.0.0.1:1", "a web page": f"tcp://127.0.0.1:{port}", "no address": "foo://bar"}
        begin = time.monotonic()
        with (
            dask.config.set({"distributed.comm.timeouts.connect": f"{2 * PATIENCE} s"}),  # dask itself would wait on
            pytest.raises(ClusterUnusable, match=r"no dask scheduler answers at '.*' within 1 s \(\w+"),
        ):
            run(walks(1), store, dask=given[address_of])
        assert time.monotonic() - begin < PATIENCE


@pytest.mark.slow
def test_a_cluster_without_workers_and_one_that_goes_away(tmp_path, store, monkeypatch):
    monkeypatch.setattr(workers, "FIRST_WORKER", 0.5)
    monkeypatch.setattr(workers, "CONNECT", PATIENCE)
    marker = tmp_path / "marker"
    with scheduler(tmp_path) as (alone, it):
        with pytest.raises(ClusterUnusable, match=r"has had no worker for 0\.5 s; start one: dask worker tcp"):
            run(walks(1), store, dask=alone)
        with dask_workers(alone, tmp_path):

            def kill():  # once the third task runs and the others are in
                wait_for(lambda: marker.exists() and len(results.read(store.folder).records) == 2)
                it.kill()

            killer = threading.Thread(target=kill, daemon=True)
            killer.start()
            with pytest.raises(WorkersLost, match=r"the dask cluster at tcp.* went away.*2 of 3 tasks are in"):
                run([*walks(2), Task("waits", waits, {"marker": str(marker)})], store, dask=alone)
            killer.join()
            marker.with_suffix(".never").touch()
    assert len(run([*walks(2), Task("waits", walk, {"marker": str(marker), "seeds": []})][:2], store)) == 4
