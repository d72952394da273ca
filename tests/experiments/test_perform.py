"""An experiment from end to end: it goes on from what is there, refuses what is not its own, and says what is wrong."""

import errno
import json
import shutil

import pytest

from boltzgrad.errors import (
    InvalidOption,
    MissingExtra,
    ResultsCorrupt,
    ResultsInUse,
    ResultsMismatch,
    ResultsNotWritten,
    TaskFailed,
    UnknownName,
)
from boltzgrad.experiments import catalogue, encoding, figures, results
from boltzgrad.experiments import experiment as module
from boltzgrad.experiments.perform import perform

NAME = "synthetic-hard"
FILES = {"lock", "rows.jsonl", "summary.json", "summary.md"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, table), computed once; copy the folder before changing it."""
    folder = tmp_path_factory.mktemp("perform") / "done"
    return folder, perform(NAME, out=folder, plots=False)


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "out")


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left():
    yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


@pytest.fixture
def computed(monkeypatch):
    """The keys of what is computed from here on: seeds and method of each task."""
    calls, real = [], module.ascend

    def spied(arguments):
        calls.append(arguments)
        return real(arguments)

    spied.__qualname__ = "ascend"
    monkeypatch.setattr(module, "ascend", spied)
    return calls


def rows(folder):
    """What was found, without how long it took."""
    return encoding.dumps(sorted(results.read(folder).rows, key=lambda row: (row["key"], row["seed"])))


def cut(folder, keep):
    """As if the run had been stopped after `keep` tasks."""
    path = folder / results.NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: keep + 1]))


@pytest.mark.parametrize("keep", [0, 2, 4])
def test_it_goes_on_from_what_is_there(finished, folder, computed, keep):
    before = rows(folder)
    cut(folder, keep)
    for name in ("summary.json", "summary.md"):
        (folder / name).unlink()
    assert perform(NAME, out=folder, plots=False) == finished[1]
    assert len(computed) == 4 - keep
    assert rows(folder) == before
    assert json.loads((folder / "summary.json").read_text("utf-8")) == finished[1]


def test_rows_that_are_there_are_believed(finished, folder):
    """The control of the test above: another number on disk is another number in the table."""
    path = folder / results.NAME
    lines = path.read_text().splitlines(keepends=True)
    record = encoding.loads(lines[1])
    record["rows"][0]["end"] += 1.0
    path.write_text(lines[0] + encoding.dumps(record) + "\n" + "".join(lines[2:]))
    table = perform(NAME, out=folder, plots=False)
    assert table[0]["end"] == pytest.approx(finished[1][0]["end"] + 0.5)  # one of two seeds
    assert table[1:] == finished[1][1:]


def test_two_processes_make_the_same_table(finished, tmp_path):
    assert perform(NAME, out=tmp_path / "two", workers=2, plots=False) == finished[1]
    assert rows(tmp_path / "two") == rows(finished[0])
    assert perform("synthetic", out=tmp_path / "other", workers=2, plots=False) != finished[1]  # control


def test_fresh_computes_all_again_and_keeps_the_old(folder, computed):
    old = (folder / results.NAME).read_bytes()
    perform(NAME, out=folder, plots=False)
    assert computed == []  # control
    perform(NAME, out=folder, plots=False, fresh=True)
    assert len(computed) == 4
    assert (folder / f"{results.NAME}.old").read_bytes() == old


def test_some_curves_first_and_the_rest_later(finished, tmp_path, computed):
    stopped = perform(NAME, out=tmp_path / "out", plots=False, only="lower level stopped")
    assert stopped == [row for row in finished[1] if "stopped" in row["method"]] != []
    assert len(computed) == 1
    assert perform(NAME, out=tmp_path / "out", plots=False) == finished[1]
    assert len(computed) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preset": "small"}, 'preset is "smoke" there, "small" was asked for'),
        ({"name": "synthetic"}, 'experiment is "synthetic-hard" there, "synthetic" was asked for'),
        ({"optimiser": {"name": "adam"}}, "optimiser"),
    ],
)
def test_another_experiment_in_the_same_folder_is_refused(folder, computed, change, message):
    before = (folder / results.NAME).read_bytes()
    options = {"name": NAME, **change}
    with pytest.raises(ResultsMismatch, match=message) as caught:
        perform(options.pop("name"), out=folder, plots=False, **options)
    assert len(str(caught.value)) < 1500  # not the whole configuration
    assert "--fresh" in str(caught.value)
    assert (folder / results.NAME).read_bytes() == before
    assert computed == []
    perform(NAME, out=folder, plots=False)  # control: its own goes on


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"name": "synthetic-hrad"}, UnknownName, "did you mean 'synthetic-hard'"),
        ({"preset": "smok"}, UnknownName, "unknown preset of 'synthetic-hard': 'smok'; did you mean 'smoke'"),
        ({"optimiser": {"name": "simplex"}}, UnknownName, "option of 'simplex': 'descend'"),
        (
            {"only": "lowest level"},
            InvalidOption,
            "no curve of .* has 'lowest level' .*: M-SoBiRL, lower level stopped;",
        ),
        ({"workers": 0}, InvalidOption, "workers is 0"),
        ({"workers": 2, "dask": "tcp://127.0.0.1:1"}, InvalidOption, "give one of them"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_computed(tmp_path, computed, options, kind, message):
    options = {"name": NAME, "out": tmp_path / "out", "plots": False, **options}
    with pytest.raises(kind, match=message):
        perform(options.pop("name"), **options)
    assert computed == []
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_task_that_fails_leaves_the_others(tmp_path, monkeypatch):
    real = module.ascend

    def fails_once(arguments):
        if arguments["estimator"].get("lower_level") == "stopped":
            raise ArithmeticError("no answer")
        return real(arguments)

    fails_once.__qualname__ = "ascend"
    with monkeypatch.context() as patch:
        patch.setattr(module, "ascend", fails_once)
        with pytest.raises(
            TaskFailed, match=r"lower level stopped seeds=0-1' failed: ArithmeticError: no answer.*2 of 4"
        ):
            perform(NAME, out=tmp_path, plots=False)
    assert len(results.read(tmp_path).records) == 2
    assert not (tmp_path / "summary.json").exists()
    assert len(perform(NAME, out=tmp_path, plots=False)) == 4  # control: and it goes on


def test_two_runs_at_once_are_refused(folder):
    from boltzgrad.experiments.lock import FolderLock

    lock = FolderLock(folder)
    with pytest.raises(ResultsInUse, match=r"process .* is writing to"):
        perform(NAME, out=folder, plots=False)
    lock.release()
    perform(NAME, out=folder, plots=False)  # control


def test_plots_are_drawn_again_and_only_when_asked_for(finished, folder):
    assert {path.name for path in folder.iterdir()} == FILES
    perform(NAME, out=folder)
    drawn = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".svg", ".png")}
    assert len(drawn) == 2
    for name in drawn:
        (folder / name).unlink()
    perform(NAME, out=folder)
    assert {name: (folder / name).read_bytes() for name in drawn} == drawn


def test_a_missing_matplotlib_is_found_before_the_run(tmp_path, monkeypatch, computed):
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="no-plots"):
        perform(NAME, out=tmp_path)
    assert computed == []
    perform(NAME, out=tmp_path, plots=False)  # control
    assert len(computed) == 4


@pytest.mark.parametrize("what", ["summary.json", "figure"])
def test_a_table_or_figure_that_cannot_be_written_is_named(folder, monkeypatch, what):
    if what == "summary.json":
        (folder / what).unlink()
        (folder / what).mkdir()
    else:

        def full(*arguments):
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "x.svg"))

        monkeypatch.setattr(figures, "save", full)
    message = {"summary.json": r"summary\.json: Is a directory", "figure": r"x\.svg: No space left"}[what]
    with pytest.raises(ResultsNotWritten, match=f"{message}.*all rows are in .*the same command"):
        perform(NAME, out=folder)
    assert len(results.read(folder).records) == 4


def test_what_the_header_says(finished):
    header = results.read(finished[0]).header
    assert (header["experiment"], header["preset"]) == (NAME, "smoke")
    assert header["configuration"] == encoding.plain(catalogue.get(NAME).configuration("smoke"))
    assert header["configuration"] != encoding.plain(catalogue.get(NAME).configuration("small"))  # control


def test_rows_that_were_altered_are_named(tmp_path):
    perform(NAME, preset="smoke", out=tmp_path, plots=False, progress=False)
    path = tmp_path / "rows.jsonl"
    lines = path.read_text(encoding="ascii").splitlines()
    path.write_text(
        "\n".join([lines[0], lines[1].replace('"seed":0', '"seed":7'), *lines[2:]]) + "\n", encoding="ascii"
    )
    with pytest.raises(ResultsCorrupt, match=r"has rows of seeds \[7, 1\], expected \[0, 1\]"):
        perform(NAME, preset="smoke", out=tmp_path, plots=False, progress=False)
    # The control: as they were, they are taken.
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    perform(NAME, preset="smoke", out=tmp_path, plots=False, progress=False)
