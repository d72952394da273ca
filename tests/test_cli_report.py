"""`boltzgrad report`: what it writes and prints, and its exit status (0 all confirmed, 1 a failure, 2 wrong use)."""

import json

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import cli
from boltzgrad.core.route import Route, RouteResult, always
from boltzgrad.families.registry import select
from boltzgrad.verify import agreement
from report_samples import confirmed, every_kind, fill


def run(capsys, *arguments):
    status = cli.main(["report", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def quick(monkeypatch):
    """The first two witnesses of every problem, which are fast."""
    monkeypatch.setattr(agreement, "select", lambda problem, names: select(problem, None)[:2])


@pytest.fixture
def wrong(monkeypatch):
    """A witness that is wrong for one problem beside one that is right."""

    def spoiled(problem, theta):
        ref = bg.hypergradient(problem, theta)
        return RouteResult(ref.value, np.ones(problem.dim), 0.0)

    def with_a_wrong_one(problem, names):
        right = select(problem, None)[:1]
        return (*right, Route("odd", "made up", spoiled, always)) if problem.name == "toy-game" else right

    monkeypatch.setattr(agreement, "select", with_a_wrong_one)


def test_all_confirmed(capsys, tmp_path):
    fill(tmp_path, {"one": confirmed(), "two": confirmed("toy-game")})
    status, out, err = run(capsys, tmp_path)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[:3] for line in lines[:2]] == [["✓", "one", "synthetic-hard"], ["✓", "two", "toy-game"]]
    assert lines[-2:] == [
        "2 verifications: 2 confirmed, 0 disagree, 0 cannot tell",
        f"page: {tmp_path / 'report.html'}",
    ]
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_what_verify_prints_is_what_report_reads(capsys, tmp_path):
    assert cli.main(["verify", "synthetic-hard", "--json", "--routes", "implicit"]) == 0
    (tmp_path / "a.json").write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(capsys, tmp_path)[0] == 0


@pytest.mark.parametrize("name", ["c-wrong", "d-kink", "e-coarse", "f-nan", "g-hostile"])
def test_any_failure_exits_with_1_and_comes_first(capsys, tmp_path, name):
    fill(tmp_path, {"a-good": confirmed(), name: every_kind()[name]})
    status, out, _ = run(capsys, tmp_path)
    assert status == 1
    assert out.splitlines()[0].startswith(f"✗ {name}")
    assert out.splitlines()[1].startswith("✓ a-good")
    (tmp_path / f"{name}.json").unlink()
    assert run(capsys, tmp_path)[0] == 0  # control: without it all is well


def test_a_file_that_cannot_be_read_exits_with_1(capsys, tmp_path):
    fill(tmp_path, {"good": confirmed()})
    (tmp_path / "bad.json").write_text("{")
    status, out, err = run(capsys, tmp_path)
    assert (status, err) == (1, "")
    assert "bad.json" in out
    assert "not read: not JSON" in out
    assert "bad.json" in (tmp_path / "report.html").read_text("utf-8")


def test_run_verifies_first(capsys, tmp_path, quick):
    folder = tmp_path / "deep" / "DIR"
    status, out, err = run(capsys, folder, "--run", "toy-game,random-lqr,toy-game", "--seeds", 2)
    assert (status, err) == (0, "")
    made = ["random-lqr-seed0", "random-lqr-seed1", "toy-game-seed0", "toy-game-seed1"]
    assert sorted(p.stem for p in folder.glob("*.json")) == made
    assert "4 verifications: 4 confirmed" in out
    thetas = [json.loads((folder / f"{name}.json").read_text("utf-8"))["theta"] for name in made[2:]]
    assert thetas == [list(bg.problems.load("toy-game").initial_theta(seed=k)) for k in (0, 1)]


def test_run_all_is_the_zoo(capsys, tmp_path, monkeypatch):
    seen = []

    def witness(problem, names):
        seen.append(problem.name)
        return (Route("same", "", lambda p, t: RouteResult(*_both(bg.hypergradient(p, t)), 0.0), always),)

    monkeypatch.setattr(agreement, "select", witness)
    assert run(capsys, tmp_path, "--run", "all")[0] == 0
    assert len(seen) == len(bg.problems.names())
    assert {p.name for p in tmp_path.glob("*.json")} == {f"{name}-seed0.json" for name in bg.problems.names()}


def _both(reference):
    return reference.value, reference.gradient


def test_a_wrong_route_is_found_by_run(capsys, tmp_path, wrong):
    status, out, _ = run(capsys, tmp_path, "--run", "random-lqr,toy-game")
    assert status == 1
    assert out.splitlines()[0].split()[:5] == ["✗", "toy-game-seed0", "toy-game", "DISAGREEMENT:", "odd"]
    assert "coordinate" in (tmp_path / "report.html").read_text("utf-8")
    assert run(capsys, tmp_path, "--run", "random-lqr")[0] == 1  # what was there before still counts


def test_a_reference_that_fails_is_listed_and_the_others_go_on(capsys, tmp_path, monkeypatch, quick):
    def failing(problem, theta):
        if problem.name == "toy-game":
            raise bg.errors.NotConverged("it did not converge")
        return bg.hypergradient(problem, theta)

    fill(tmp_path, {"toy-game-seed0": confirmed()})  # of an earlier run: it must not stand for this one
    monkeypatch.setattr(agreement, "hypergradient", failing)
    status, out, _ = run(capsys, tmp_path, "--run", "toy-game,random-lqr")
    assert status == 1
    assert "toy-game-seed0.json" in out
    assert "could not be made: NotConverged: it did not converge" in out
    assert [p.name for p in tmp_path.glob("*.json")] == ["random-lqr-seed0.json"]


def test_progress_is_one_line_for_each_on_a_terminal(capsys, tmp_path, monkeypatch, quick):
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    _, _, err = run(capsys, tmp_path, "--run", "toy-game", "--seeds", 2)
    assert "[1/2] toy-game, seed 0" in err
    assert "[2/2] toy-game, seed 1" in err


def test_json_and_another_file(capsys, tmp_path):
    fill(tmp_path / "DIR", every_kind())
    status, out, _ = run(capsys, tmp_path / "DIR", "-o", tmp_path / "page.html", "--json")
    data = json.loads(out)
    assert status == 1
    assert data["summary"].startswith("10 verifications: 3 confirmed, 1 model's derivative is wrong, 3 disagree")
    assert data["page"] == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").exists()
    assert not (tmp_path / "DIR" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "NoVerifications: there is no folder gone; make some: `mkdir -p gone; boltzgrad verify"),
        (["empty"], "empty holds no verification that can be read; make some"),
        (["empty"], "make some: `boltzgrad verify four-rooms --json > empty/four-rooms.json`"),
        (["empty"], "or `boltzgrad report empty --run all`"),
        (["broken"], "(x.json: not JSON"),
        (["good/one.json"], "there is no folder good/one.json"),
        (["good", "--run", "toy-gam"], "did you mean 'toy-game'"),
        (["good", "--run", ""], "unknown problem ''"),
        (["good", "--run", "toy-game,"], "unknown problem ''"),
        (["good", "--run", "toy-game", "--seeds", "0"], "--seeds 0: expected at least 1"),
        (["good", "--seeds", "2"], "--seeds goes with --run"),
        (["good/one.json/x", "--run", "toy-game"], "cannot make this folder: Not a directory"),
        (["good/one.json", "--run", "toy-game"], "cannot make this folder: File exists"),
        (["good", "-o", "no/such/page.html"], "cannot write it: No such file or directory"),
        (["good", "-o", "empty"], "cannot write it: Is a directory"),
        (["good", "-o", "good/one.json"], "a page among the verifications"),
    ],
)
def test_wrong_use(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "good", {"one": confirmed()})
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.json").write_text("{")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.json")}
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("boltzgrad: ")
    assert message in err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.json")} == before


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "--seeds", "two"]])
def test_argparse_wrong_use(arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", *arguments])
    assert stopped.value.code == 2
