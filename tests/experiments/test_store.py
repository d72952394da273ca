"""Rows on disk: a task is there or it is not, whatever happens to the file, the disk or the process."""

import contextlib
import errno
import json
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from boltzgrad.errors import (
    BoltzgradError,
    InvalidOption,
    ResultsCorrupt,
    ResultsInUse,
    ResultsMismatch,
    ResultsNotWritten,
)
from boltzgrad.experiments import encoding, lock, results
from boltzgrad.experiments.store import Store
from boltzgrad.experiments.task import Task
from experiments_toys import DESCRIPTION, open_store, walk, walks

TASKS = walks(4)


def fill(folder, tasks=TASKS, **other):
    with open_store(folder, **other) as store:
        for task in tasks:
            if not store.finished(task):
                store.add(task, walk(dict(task.arguments)), seconds=0.5)
        return encoding.dumps([store.rows(task) for task in tasks])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out" / "toy"


def test_rows_carry_their_provenance(folder):
    fill(folder)
    found = results.read(folder)
    assert found.header["format"] == results.FORMAT
    assert {name: found.header[name] for name in DESCRIPTION} == DESCRIPTION
    assert found.header["numpy"] == np.__version__
    assert {"python", "date"} < found.header.keys()
    assert [record.key for record in found.records] == [task.key for task in TASKS]
    assert [record.arguments for record in found.records] == [task.arguments for task in TASKS]
    assert len(found.rows) == 8
    for seed, row in enumerate(found.rows):
        assert row["key"] == f"walk {seed // 2}"
        assert row["seed"] == seed
        assert row["configuration"] == TASKS[seed // 2].arguments
        assert row["version"] == DESCRIPTION["version"]
        assert np.isnan(row["odd"][0])


def test_a_seed_comes_from_the_row_or_the_arguments_or_is_none(folder):
    with open_store(folder) as store:
        store.add(Task("a", walk, {"seed": 3}), [{"x": 1}, {"x": 2, "seed": 4}])
        store.add(Task("b", walk, {}), [{"x": 3}])
    assert [row["seed"] for row in results.read(folder).rows] == [3, 4, None]


def test_what_is_read_later_is_what_was_there_at_once(folder):
    first = fill(folder)
    assert fill(folder) == first
    assert encoding.dumps(results.read(folder).rows) == encoding.dumps(
        [row for rows in encoding.loads(first) for row in rows]
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"experiment": "tray"}, 'experiment is "toy" there, "tray" was asked for'),
        ({"preset": "full"}, 'preset is "quick" there, "full" was asked for'),
        ({"version": "2"}, r'version is "1\.2\.3" there, "2" was asked for'),
        ({"configuration": {"batch": 20}}, "configuration 'batch' is 10 there, 20 was asked for"),
        ({"configuration": {"batch": 10, "rate": 0.5}}, "configuration 'rate' is absent there, 0.5 was asked for"),
        ({"configuration": {}}, "configuration 'batch' is 10 there, absent was asked for"),
    ],
)
def test_other_results_are_refused(folder, other, message):
    fill(folder)
    before = (folder / results.NAME).read_bytes()
    with pytest.raises(ResultsMismatch, match=message) as caught:
        open_store(folder, **other)
    assert "--out" in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert (folder / results.NAME).read_bytes() == before
    fill(folder)  # control: and the folder is not locked


def test_the_order_of_options_does_not_matter(folder):
    fill(folder, configuration={"a": {"x": 1, "y": np.nan}, "b": (1, 2)})
    fill(folder, configuration={"b": [1, 2], "a": {"y": np.nan, "x": 1}})


def test_another_format_is_refused(folder):
    fill(folder)
    path = folder / results.NAME
    path.write_bytes(path.read_bytes().replace(b'{"format":1,', b'{"format":2,'))
    with pytest.raises(ResultsMismatch, match="has format 2; this boltzgrad reads and writes format 1"):
        open_store(folder)


def test_the_same_key_with_other_arguments_is_refused(folder):
    fill(folder)
    with open_store(folder) as store, pytest.raises(ResultsMismatch, match="argument seeds is"):
        store.finished(Task(TASKS[0].key, walk, {"seeds": [7]}))


def test_fresh_puts_aside(folder):
    fill(folder)
    before = (folder / results.NAME).read_bytes()
    with open_store(folder, preset="full", fresh=True) as store:
        assert not store.finished(TASKS[0])
    assert (folder / f"{results.NAME}.old").read_bytes() == before


def test_a_line_torn_at_any_byte_is_cut_off(folder, tmp_path):
    whole = fill(folder)
    data = (folder / results.NAME).read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    places = {
        *range(0, ends[0], 41),
        *(end + i for end in ends[:4] for i in (-2, -1, 0, 1)),
        *range(ends[3], len(data), 301),
    }
    torn = tmp_path / "torn"
    torn.mkdir()
    for place in sorted(places):
        (torn / results.NAME).write_bytes(data[:place])
        finished = max(sum(end <= place for end in ends) - 1, 0)
        if place >= ends[0]:
            assert len(results.read(torn).records) == finished
        with open_store(torn) as store:
            assert [store.finished(task) for task in TASKS] == [i < finished for i in range(4)], place
        assert fill(torn) == whole, place
        assert (torn / results.NAME).read_bytes().count(b"\n") == 5


@pytest.mark.parametrize(
    ("number", "line", "message"),
    [
        (3, b'{"task":"walk 1","ro', "JSONDecodeError"),
        (3, b'{"task":"\xff"}', "UnicodeDecodeError"),
        (3, b"[]", "TypeError"),
        (3, b'{"task":"walk 1"}', "KeyError: 'rows'"),
        (3, b"", "JSONDecodeError"),
        (1, b'{"name":"of something else"}', "no header of results"),
        (1, b"# notes", "no header of results"),
    ],
)
def test_any_other_corrupt_line_is_named(folder, number, line, message):
    fill(folder)
    path = folder / results.NAME
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = line
    path.write_bytes(b"\n".join(lines))
    for attempt in (open_store, results.read):
        with pytest.raises(ResultsCorrupt, match=f"line {number} cannot be read.*{message}"):
            attempt(folder)


def test_a_task_that_is_there_twice_is_corrupt(folder):
    fill(folder)
    path = folder / results.NAME
    data = path.read_bytes()
    path.write_bytes(data + data.splitlines(keepends=True)[2])
    with pytest.raises(ResultsCorrupt, match="line 6 cannot be read: task 'walk 1' is there a second time"):
        open_store(folder)


def test_a_file_of_something_else_is_left_alone(folder):
    folder.mkdir(parents=True)
    (folder / results.NAME).write_text("my notes, without an end of line")
    with pytest.raises(ResultsCorrupt, match="line 1"):
        open_store(folder)
    assert (folder / results.NAME).read_text().startswith("my notes")


@contextlib.contextmanager
def room(path, bytes_left):
    """A real limit: writes beyond it are cut short, then refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_space(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_file_that_may_not_grow(folder, monkeypatch, can_cut):
    """Half of a line is written; it is cut off at once or, if that cannot be, when the folder is opened again."""
    whole = fill(folder / "whole")
    with open_store(folder) as store:
        store.add(TASKS[0], walk(dict(TASKS[0].arguments)))
        before = (folder / results.NAME).read_bytes()
        with monkeypatch.context() as patch, room(folder / results.NAME, 500):
            if not can_cut:
                patch.setattr(os, "ftruncate", no_space)
            with pytest.raises(ResultsNotWritten, match=rf"errno {errno.EFBIG}.*--out") as caught:
                store.add(TASKS[1], walk(dict(TASKS[1].arguments)))
        assert isinstance(caught.value, OSError)
        assert isinstance(caught.value, BoltzgradError)
        assert caught.value.errno == errno.EFBIG
        assert ((folder / results.NAME).stat().st_size == len(before)) == can_cut
        assert [record.key for record in results.read(folder).records] == ["walk 0"]
        if can_cut:
            store.add(TASKS[1], walk(dict(TASKS[1].arguments)))  # control: the limit was the reason
        else:
            with pytest.raises(ResultsNotWritten, match="the store is closed"):
                store.add(TASKS[1], walk(dict(TASKS[1].arguments)))
    assert fill(folder) == whole


def test_a_disk_that_is_full_after_half_a_line(folder, monkeypatch):
    whole = fill(folder / "whole")
    write = os.write

    def half(descriptor, data):
        if len(data) < 900:
            no_space()
        return write(descriptor, data[: len(data) // 2])

    with open_store(folder) as store:
        store.add(TASKS[0], walk(dict(TASKS[0].arguments)))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(ResultsNotWritten, match="No space left on device"):
                store.add(TASKS[1], walk(dict(TASKS[1].arguments)))
        assert len(results.read(folder).rows) == 2
    assert fill(folder) == whole


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_device(folder):
    with open_store(folder) as store:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, store._descriptor)
        os.close(full)
        with pytest.raises(ResultsNotWritten, match="No space left on device"):
            store.add(TASKS[0], walk(dict(TASKS[0].arguments)))


@pytest.mark.parametrize(("moment", "stays"), [("write", False), ("write, at its end", True), ("fsync", True)])
def test_ctrl_c_while_writing(folder, monkeypatch, moment, stays):
    """A line that is whole stays, another is cut off; memory and file agree."""

    def interrupted(descriptor, data=b""):
        if moment == "write, at its end":
            write(descriptor, data)
        raise KeyboardInterrupt

    write = os.write
    task = TASKS[0]
    with open_store(folder) as store:
        with monkeypatch.context() as patch:
            patch.setattr(os, moment.partition(",")[0], interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.add(task, walk(dict(task.arguments)))
        assert store.finished(task) == stays
        assert len(results.read(folder).records) == stays
        for task in TASKS[stays:2]:
            store.add(task, walk(dict(task.arguments)))
    assert [record.key for record in results.read(folder).records] == ["walk 0", "walk 1"]


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResultsNotWritten, match=rf"Not a directory \(errno {errno.ENOTDIR}\)"):
        open_store(tmp_path / "file" / "toy")
    with pytest.raises(InvalidOption, match="no results in"):
        results.read(tmp_path)


def test_one_writer_at_a_time(folder):
    with open_store(folder):
        with pytest.raises(ResultsInUse, match=rf"process {os.getpid()} \(this one\) is writing to .*--out"):
            open_store(folder)
        assert results.read(folder).records == ()  # reading is free
        code = "import sys, experiments_toys as t; t.open_store(sys.argv[1])"
        other = subprocess.run(
            [sys.executable, "-c", code, folder],
            env={**os.environ, "PYTHONPATH": os.path.dirname(sys.modules["experiments_toys"].__file__)},
            capture_output=True,
            text=True,
        )
        assert f"ResultsInUse: process {os.getpid()} is writing" in other.stderr
    open_store(folder).close()


@pytest.mark.parametrize("system_has_locks", [True, False])
def test_the_lock_of_a_dead_process_is_taken_over(folder, monkeypatch, system_has_locks):
    if not system_has_locks:
        monkeypatch.setattr(lock, "fcntl", None)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    folder.mkdir(parents=True)
    (folder / lock.NAME).write_text(f"{child.pid}\n")
    with open_store(folder):
        assert (folder / lock.NAME).read_text() == f"{os.getpid()}\n"


def test_without_locks_of_the_system_the_process_decides(folder, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    with open_store(folder), pytest.raises(ResultsInUse, match=r"if no such process runs, delete .*lock"):
        open_store(folder)
    open_store(folder).close()


def test_a_file_system_without_locks(folder, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "flock", lambda *a: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks")))
    with open_store(folder), pytest.raises(ResultsInUse):
        open_store(folder)


def test_bad_input(folder):
    with pytest.raises(InvalidOption, match=r"configuration.*is a set"):
        open_store(folder, configuration={"a": {1}})
    with open_store(folder) as store:
        store.add(TASKS[0], [])
        with pytest.raises(InvalidOption, match="'walk 0' is already in"):
            store.add(TASKS[0], [])
        for rows, message in [
            (None, "returned a NoneType; expected a list"),
            ([3], "row 0 is a int"),
            ([{}, {"version": 1}], "row 1 has a field 'version'"),
            ([{"x": object()}], r"rows\[0\]\['x'\] is a object"),
        ]:
            with pytest.raises(InvalidOption, match=message):
                store.add(TASKS[1], rows)
    with pytest.raises(ResultsNotWritten, match="the store is closed"):
        store.add(TASKS[1], [])
    store.close()


@pytest.mark.parametrize(
    ("key", "function", "arguments", "message"),
    [
        ("", walk, {}, "key is ''; expected one line"),
        ("two\nlines", walk, {}, "expected one line"),
        ("a", lambda a: [], {}, "expected a function defined at the top of a module"),
        ("a", 3, {}, "its function is 3"),
        ("a", walk, [1], r"its arguments are \[1\]"),
        ("a", walk, {"x": object()}, r"task 'a': arguments\['x'\] is a object"),
    ],
)
def test_bad_tasks(key, function, arguments, message):
    with pytest.raises(InvalidOption, match=message):
        Task(key, function, arguments)


def test_the_file_is_plain_json(folder):
    fill(folder)

    def forbidden(name):
        raise AssertionError(name)

    for line in (folder / results.NAME).read_text("ascii").splitlines():
        json.loads(line, parse_constant=forbidden)
    shutil.rmtree(folder)
    assert isinstance(open_store(folder), Store)
