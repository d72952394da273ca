"""The runner: order, resuming, errors, threads; in this process and in two others."""

import io
import os
import signal
import sys

import numpy as np
import pytest

from boltzgrad.errors import InvalidOption, MissingExtra, NotConverged, ResultsMismatch, TaskFailed, WorkersLost
from boltzgrad.experiments import encoding, results
from boltzgrad.experiments.runner import run
from boltzgrad.experiments.task import Task
from experiments_toys import (
    TwoWords,
    dies_once,
    fails,
    fails_oddly,
    first_last,
    open_store,
    send_and_interrupt,
    surroundings,
    walk,
    walks,
)

EITHER = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "toy") as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left():
    yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


def serial(tmp_path, tasks):
    with open_store(tmp_path / "serial") as opened:
        return encoding.dumps(run(tasks, opened))


def test_processes_find_the_same_rows(tmp_path, store):
    tasks = walks(6)
    assert encoding.dumps(run(tasks, store, workers=2)) == serial(tmp_path, tasks)
    other = [*tasks[:-1], Task("walk 5", walk, {"seeds": [10, 12]})]
    assert serial(tmp_path, tasks) != serial(tmp_path / "other", other)  # control


def test_rows_come_in_the_order_of_the_tasks(tmp_path, store):
    """The first task is done last, when the fourth has been."""
    tasks = [Task(str(i), first_last, {"number": i, "marker": str(tmp_path / "marker")}) for i in range(4)]
    assert [row["number"] for row in run(tasks, store, workers=2)] == [0, 1, 2, 3]
    assert [record.key for record in results.read(store.folder).records] == ["1", "2", "3", "0"]


@EITHER
def test_what_is_there_is_not_run_again(store, workers):
    tasks = walks(3)
    first = run(tasks[1:2], store, workers=workers)
    before = results.read(store.folder).records[0].seconds
    rows = run(tasks, store, workers=workers)
    assert encoding.dumps([row for row in rows if row["key"] == "walk 1"]) == encoding.dumps(first)
    assert results.read(store.folder).records[0].seconds == before
    broken = [Task(task.key, fails, task.arguments) for task in tasks]
    assert encoding.dumps(run(broken, store, workers=workers)) == encoding.dumps(rows)  # none of them runs
    with pytest.raises(TaskFailed):
        run([*broken, Task("new", fails, {})], store, workers=workers)  # control


def test_tasks_that_are_not_asked_for_are_left_out(store):
    run(walks(3), store)
    assert {row["key"] for row in run(walks(2), store)} == {"walk 0", "walk 1"}
    assert run([], store) == []


@EITHER
@pytest.mark.parametrize(
    ("function", "cause", "words"),
    [
        (fails, NotConverged, "NotConverged: the residual is 3e-4, allowed is 1e-9"),
        (fails_oddly, (TwoWords, RuntimeError), "TwoWords: hard luck"),
    ],
)
def test_a_task_that_raises_is_named(store, workers, function, cause, words):
    tasks = [*walks(2), Task("bad one", function, {}), *walks(20, pause=0.1)[2:]]
    with pytest.raises(TaskFailed, match=rf"task 'bad one' failed: .*{words}.*of 21 tasks are in .*toy") as caught:
        run(tasks, store, workers=workers)
    assert isinstance(caught.value.__cause__, cause)
    if workers == 2:
        assert "experiments_toys.py" in caught.value.__cause__.__notes__[0]
    else:
        assert caught.value.__cause__.__traceback__.tb_next.tb_frame.f_code is function.__code__
    finished = [task for task in tasks if store.finished(task)]
    assert finished[:2] == tasks[:2]
    assert len(finished) < 12  # those that were begun: two, if the machine is not busy
    assert (
        len(run([*finished, Task("good one", walk, {"seeds": [1]})], store, workers=workers)) == 2 * len(finished) + 1
    )  # and it goes on


@EITHER
@pytest.mark.parametrize(
    ("function", "words"),
    [(sys.exc_info, "takes no arguments"), (dict, "returned a dict"), (os.path.join, "expected str"), (len, "a int")],
)
def test_what_is_no_list_of_rows_names_its_task(store, workers, function, words):
    with pytest.raises(TaskFailed, match=f"task 'odd' failed: .*{words}"):
        run([Task("odd", function, {})], store, workers=workers)


def test_a_worker_that_is_killed(tmp_path, store):
    tasks = walks(8)
    tasks[4] = Task("walk 4", dies_once, {"seeds": [8, 9], "marker": str(tmp_path / "marker")})
    with pytest.raises(WorkersLost, match=r"a worker process was killed \(.*SIGKILL.*of 8 tasks are in .*same command"):
        run(tasks, store, workers=2)
    kept = results.read(store.folder).records
    assert len(kept) < 8
    rows = run(tasks, store, workers=2)
    assert [r.seconds for r in results.read(store.folder).records[: len(kept)]] == [r.seconds for r in kept]
    assert encoding.dumps(rows) == serial(tmp_path, tasks)


def test_one_thread_a_worker_whatever_the_parent_has(store, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    tasks = [Task(str(i), surroundings, {}) for i in range(4)]
    rows = run(tasks, store, workers=2)
    assert {row["threads"] for row in rows} == {"1"}
    assert os.getpid() not in {row["pid"] for row in rows}
    (row,) = run([Task("here", surroundings, {})], store)
    assert (row["pid"], row["threads"]) == (os.getpid(), "3")  # control


def test_ctrl_c_keeps_what_is_done(tmp_path):
    """In this process; in others, see test_killed.py."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            send_and_interrupt(tmp_path / "out", str(tmp_path / "marker"), None)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert len(results.read(tmp_path / "out").records) == 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


@EITHER
def test_the_bar_counts_tasks_on_a_terminal_only(store, monkeypatch, workers):
    run(walks(1), store)
    screens = {}
    for name, stream, progress in [("no", Terminal(), False), ("pipe", io.StringIO(), True), ("yes", Terminal(), True)]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            run(walks(3), store, progress=progress, workers=workers)
        screens[name] = stream.getvalue()
    assert screens["no"] == screens["pipe"] == ""
    assert "toy: 100%" in screens["yes"]
    assert "3/3" in screens["yes"]


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        ("joblib", {"workers": 2}, "workers > 1 needs joblib: pip install"),
        ("distributed", {"dask": "tcp://127.0.0.1:1"}, "needs distributed"),
        ("tqdm", {}, r"the progress bar \(or progress=False\) needs tqdm"),
    ],
)
def test_a_missing_package_is_named(store, monkeypatch, module, options, message):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sys, "stderr", Terminal() if module == "tqdm" else sys.stderr)
    with pytest.raises(MissingExtra, match=message):
        run(walks(1), store, **options)
    assert len(run(walks(1), store, progress=False)) == 2  # control: the rest does without


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0; expected"),
        ({"workers": 1.5}, r"workers is 1\.5"),
        ({"workers": True}, "workers is True"),
        ({"workers": 2, "dask": "tcp://x:1"}, "give one of them"),
    ],
)
def test_bad_options(store, options, message):
    with pytest.raises(InvalidOption, match=message):
        run(walks(1), store, **options)


def test_bad_tasks(store):
    with pytest.raises(InvalidOption, match="2 tasks have the key 'walk 0'"):
        run([*walks(2), *walks(1)], store)
    run(walks(1), store)
    with pytest.raises(ResultsMismatch, match=r"walk 0.*seeds"):
        run([Task("walk 0", walk, {"seeds": [5]})], store)


def test_rows_that_are_returned_are_the_callers(store):
    rows = run(walks(1), store)
    rows[0]["path"].clear()
    assert len(run(walks(1), store)[0]["path"]) == 30
    assert np.isfinite(run(walks(1), store)[0]["end"])
