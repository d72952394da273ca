"""The command line: what it prints, and its exit status (0 agreement, 1 disagreement, 2 wrong use)."""

import json
import subprocess
import sys

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import cli
from boltzgrad.core.route import Route, RouteResult, always
from boltzgrad.verify import agreement

FAST = ["--routes", "covariance,implicit"]


def run(capsys, *arguments):
    status = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_verify_agrees(capsys):
    status, out, _ = run(capsys, "verify", "four-rooms", "--set", "temperature=0.003", "--set", "kernel=matrix", *FAST)
    assert status == 0
    assert "four-rooms: 104 states × 4 actions, episodes end, d = 105" in out
    assert "AGREEMENT" in out.splitlines()[-1]


def test_verify_disagrees(capsys, monkeypatch):
    wrong = Route("wrong", "", lambda p, t: RouteResult(bg.hypergradient(p, t).value, np.ones(p.dim), 0.0), always)
    monkeypatch.setattr(agreement, "select", lambda problem, names: (wrong,))
    status, out, _ = run(capsys, "verify", "synthetic-hard")
    assert status == 1
    assert "DISAGREEMENT: wrong disagrees" in out


def test_json_is_json(capsys):
    status, out, _ = run(capsys, "verify", "synthetic-hard", "--json", *FAST)
    data = json.loads(out)
    assert status == 0
    assert data["ok"]
    assert len(data["rows"]) == 3


def test_theta_zeros_seed_and_file(capsys, tmp_path):
    problem = bg.problems.load("synthetic-hard")
    np.save(tmp_path / "t.npy", problem.initial_theta(seed=5))
    values = {}
    for theta in ("zeros", "5", tmp_path / "t.npy"):
        _, out, _ = run(capsys, "verify", "synthetic-hard", "--theta", theta, "--json", *FAST)
        values[str(theta)] = json.loads(out)["value"]
    assert values["5"] == values[str(tmp_path / "t.npy")] != values["zeros"]


def test_html_is_written(capsys, tmp_path):
    page = tmp_path / "report.html"
    status, *_ = run(capsys, "verify", "synthetic-hard", "--html", page, *FAST)
    assert status == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_list(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    for name in bg.problems.names():
        assert name in out
    status, out, _ = run(capsys, "list", "--json")
    rows = {r["name"]: r for r in json.loads(out)}
    assert rows["four-rooms"]["dim"] == 105
    assert rows["four-rooms-two-goals"]["contexts"] == 2


OWN = """
import numpy as np, autograd.numpy as anp, boltzgrad as bg

def factory(scale=1.0):
    move = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    def build(theta):
        reward = scale * anp.reshape(theta, (2, 2))
        return bg.TabularModel(move, [1.0, 0.0], reward, np.array([[0.0, 0.0], [1.0, 1.0]]),
                               follower_discount=0.9, leader_discount=0.9, temperature=0.5)
    return bg.ConfigurableMDP(build, dim=4, name="mine")

finished = factory()

def kinked():
    inner = finished.build
    return bg.ConfigurableMDP(lambda theta: inner(anp.abs(theta)), dim=4)

def broken():
    return 3

def failing():
    return {}["gone"]
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "my_own_problem.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_own_problem", raising=False)


@pytest.mark.parametrize("arguments", [["my_own_problem:factory", "--set", "scale=2.0"], ["my_own_problem:finished"]])
def test_own_problem(capsys, own, arguments):
    status, out, _ = run(capsys, "verify", "--problem", *arguments)
    assert status == 0
    assert out.startswith("mine: 2 states × 2 actions, d = 4")


def test_own_problem_with_a_kink(capsys, own):
    status, out, _ = run(capsys, "verify", "--problem", "my_own_problem:kinked", "--theta", "zeros")
    assert status == 1
    assert "not smooth" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "give the name of a zoo problem, or --problem"),
        (["verify", "four-rooms", "--problem", "a:b"], "one of them"),
        (["verify", "four-roms"], "did you mean 'four-rooms'"),
        (["verify", "four-rooms", "--set", "temp=1"], "did you mean 'temperature'"),
        (["verify", "four-rooms", "--set", "temperature"], "expected OPTION=VALUE"),
        (["verify", "four-rooms", "--set", "temperature=-1"], "temperature is -1.0"),
        (["verify", "four-rooms", "--routes", "covarience"], "did you mean 'covariance'"),
        (["verify", "four-rooms", "--theta", "nowhere.npy"], "cannot read it"),
        (["verify", "four-rooms", "--theta", "ones"], "expected 'zeros', a seed"),
        (["verify", "--problem", "my_own_problem"], "expected module:factory"),
        (["verify", "--problem", "no_such_module:f"], "cannot import 'no_such_module'"),
        (["verify", "--problem", "my_own_problem:nothing"], "has no 'nothing'"),
        (["verify", "--problem", "my_own_problem:broken"], "returned a int, expected a problem"),
        (["verify", "--problem", "my_own_problem:factory", "--set", "size=1"], "unexpected keyword argument 'size'"),
        (["verify", "--problem", "my_own_problem:finished", "--set", "scale=1"], "--set goes with a factory"),
        (["verify", "garnet", "--set", "seed=-1"], "seed is -1; expected an integer of at least 0"),
        (["verify", "synthetic", "--theta", "²"], "expected 'zeros', a seed"),
        (["verify", "synthetic", "--routes", ""], "unknown route ''"),
        (["verify", "--problem", "my_own_problem:failing"], "failed: KeyError: 'gone'"),
        (["verify", "synthetic", "--html", "no/such/folder/x.html", *FAST], "No such file or directory"),
    ],
)
def test_wrong_use(capsys, own, arguments, message):
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("boltzgrad: ")
    assert message in err


def test_a_theta_file_of_the_wrong_length(capsys, tmp_path):
    np.save(tmp_path / "short.npy", np.zeros(3))
    status, _, err = run(capsys, "verify", "four-rooms", "--theta", tmp_path / "short.npy")
    assert status == 2
    assert "theta has shape (3,), expected (105,)" in err


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["verify", "--nonsense"]])
def test_argparse_wrong_use(arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2


def test_a_progress_line_when_a_route_takes_more_than_a_second(capsys, monkeypatch):
    import sys
    import threading

    said, error = threading.Event(), sys.stderr

    class Listening:
        """Standard error, which lets the route end once something was said of it."""

        def write(self, text):
            error.write(text)
            said.set()

        def flush(self):
            error.flush()

    def slow(problem, theta):
        monkeypatch.setattr(sys, "stderr", Listening())
        assert said.wait(300)
        ref = bg.hypergradient(problem, theta)
        return RouteResult(ref.value, ref.gradient, 0.0)

    quick = Route(
        "quick",
        "",
        lambda p, t: RouteResult(bg.hypergradient(p, t).value, bg.hypergradient(p, t).gradient, 0.0),
        always,
    )
    monkeypatch.setattr(agreement, "select", lambda problem, names: (Route("slow", "", slow, always), quick))
    _, out, err = run(capsys, "verify", "synthetic-hard")
    assert "… slow: 1 s" in err
    assert "quick" not in err
    assert "…" not in out.splitlines()[0]


def test_installed_command():
    done = subprocess.run([sys.executable, "-m", "boltzgrad.cli", "--version"], capture_output=True, text=True)
    assert done.stdout.strip() == f"boltzgrad {bg.__version__}"


def test_the_ledger(capsys):
    assert cli.main(["ledger", "envelope", "boltzmann-covariance"]) == 0
    out = capsys.readouterr().out
    assert "✓ envelope" in out
    assert "2 of 2 statements proved" in out


def test_the_ledger_for_machines(capsys):
    assert cli.main(["ledger", "--topic", "conic", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["statements"]
    assert [row["name"] for row in rows] == ["cone-program-optimum", "cone-dual-is-occupancy", "riccati-program-dual"]
    assert cli.main(["ledger", "envelope", "--tex"]) == 0
    assert capsys.readouterr().out.startswith("% needs")
    assert cli.main(["ledger", "envelope", "--markdown"]) == 0
    assert "| ✓ | envelope |" in capsys.readouterr().out


def test_the_ledger_of_a_false_statement_exits_with_1(capsys, monkeypatch):
    from boltzgrad import derivations

    theorem = derivations.get("envelope")
    false = theorem.mutant(theorem.mutants[0])
    monkeypatch.setattr(derivations, "get", lambda name: false)
    assert cli.main(["ledger", "envelope"]) == 1
    assert "✗ envelope: (30): NOT proved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ledger", "theorem-3"], "did you mean"),
        (["ledger", "--topic", "physics"], "unknown topic 'physics'"),
        (["ledger", "envelope", "--topic", "conic"], "give names or --topic"),
        (["ledger", "--seed", "-4"], "seed is -4"),
    ],
)
def test_wrong_use_of_the_ledger(capsys, arguments, message):
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


def experiment(capsys, *arguments):
    return run(capsys, "experiment", *arguments)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with a finished experiment, and what was printed; not to be changed."""
    folder = tmp_path_factory.mktemp("cli") / "done"
    call = [sys.executable, "-m", "boltzgrad.cli", "experiment", "synthetic-hard", "--no-plots", "--out", str(folder)]
    return folder, subprocess.run(call, capture_output=True, text=True, check=True)


def test_an_experiment_prints_its_table(done):
    folder, said = done
    assert said.stderr == ""
    lines = said.stdout.splitlines()
    assert lines[0] == "10 states, 5 actions, d = 100"
    assert lines[1].startswith("method")
    assert [line.split("  ")[0] for line in lines[3:7]] == [
        "exact hypergradient",
        "M-SoBiRL",
        "M-SoBiRL, lower level stopped",
        "M-SoBiRL, lower level with the wrong sign",
    ]
    assert lines[-1] == f"rows, table and figures: {folder}"
    assert {path.name for path in folder.iterdir()} == {"lock", "rows.jsonl", "summary.json", "summary.md"}


def test_an_experiment_as_json_and_resumed(capsys, done):
    folder, _ = done
    before = (folder / "rows.jsonl").read_bytes()
    status, out, err = experiment(capsys, "synthetic-hard", "--no-plots", "--out", folder, "--json")
    assert (status, err) == (0, "")
    table = json.loads(out, parse_constant=pytest.fail)
    assert table == json.loads((folder / "summary.json").read_text("utf-8"))
    assert {"setting", "method", "seeds", "end", "standard_error", "published", "cosine", "steps"} < set(table[0])
    assert (folder / "rows.jsonl").read_bytes() == before  # nothing was run again


@pytest.mark.parametrize("jobs", [1, 2])
def test_jobs_do_not_change_the_table(capsys, done, tmp_path, jobs):
    status, out, _ = experiment(
        capsys, "synthetic-hard", "--jobs", jobs, "--no-plots", "--out", tmp_path / "out", "--json"
    )
    assert status == 0
    assert json.loads(out) == json.loads((done[0] / "summary.json").read_text("utf-8"))
    if jobs == 2:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)


def test_fresh_and_another_optimiser(capsys, done, tmp_path):
    call = ["synthetic-hard", "--no-plots", "--out", tmp_path, "--json"]
    _, first, _ = experiment(capsys, *call, "--optimiser", "adam,rate=0.05")
    status, _, err = experiment(capsys, *call)
    assert status == 2
    assert "ResultsMismatch" in err
    status, second, _ = experiment(capsys, *call, "--fresh")
    assert status == 0
    assert (tmp_path / "rows.jsonl.old").exists()
    assert json.loads(second) == json.loads((done[0] / "summary.json").read_text("utf-8")) != json.loads(first)


def test_results_go_to_a_folder_of_their_own(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = experiment(capsys, "synthetic-hard", "--no-plots")
    assert status == 0
    assert (tmp_path / "results" / "synthetic-hard-smoke" / "summary.md").exists()
    assert out.endswith("results/synthetic-hard-smoke\n")


def test_the_experiments_are_listed(capsys):
    from boltzgrad.experiments import catalogue

    status, out, _ = experiment(capsys)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == catalogue.names()
    assert "HPGD Table 1" in out
    status, out, _ = experiment(capsys, "--json")
    listed = json.loads(out)
    assert [row["name"] for row in listed] == catalogue.names()
    presets = {row["name"]: row["presets"] for row in listed}
    assert (
        presets.pop("rlhf") == presets.pop("trained-follower") == ["smoke", "small", "paper"]
    )  # of no published length
    assert set(map(tuple, presets.values())) == {("smoke", "small", "full", "paper")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["four-roms"], "did you mean 'four-rooms'"),
        ([""], "unknown experiment ''"),
        (["../../etc"], "unknown experiment '../../etc'"),
        (["toy-game", "--preset", "smal"], "did you mean 'small'"),
        (["toy-game", "--jobs", "0"], "--jobs 0: expected at least 1"),
        (["toy-game", "--jobs", "2", "--dask", "tcp://127.0.0.1:1"], "give one of them"),
        (["toy-game", "--optimiser", "adams"], "did you mean 'adam'"),
        (["toy-game", "--optimiser", "adam,rate"], "--optimiser 'rate': expected OPTION=VALUE"),
        (["toy-game", "--optimiser", "adam,rate=fast"], "rate is 'fast'"),
        (["synthetic", "--optimiser", "normalised"], "unknown option of 'normalised': 'descend'"),
    ],
)
def test_wrong_use_of_experiment(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = experiment(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("boltzgrad: ")
    assert message in err
    assert not list(tmp_path.rglob("summary.json"))


@pytest.mark.parametrize("arguments", [["--jobs", "two"], ["synthetic", "toy-game"], ["--seeds", "3"]])
def test_argparse_wrong_use_of_experiment(arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["experiment", *arguments])
    assert stopped.value.code == 2


def test_a_folder_of_another_preset_or_experiment_is_refused(capsys, done):
    before = {path: path.read_bytes() for path in done[0].iterdir()}
    for call in (["synthetic-hard", "--preset", "small"], ["synthetic"]):
        status, out, err = experiment(capsys, *call, "--out", done[0], "--no-plots")
        assert (status, out) == (2, "")
        assert "ResultsMismatch" in err
        assert "--fresh" in err
        assert len(err) < 1500
    assert {path: path.read_bytes() for path in done[0].iterdir()} == before


def test_a_task_that_fails_exits_with_1(capsys, tmp_path, monkeypatch):
    from boltzgrad.experiments import ascent

    def no_metric(name):
        raise ArithmeticError("no answer")

    call = ["synthetic-hard", "--no-plots", "--out", tmp_path]
    with monkeypatch.context() as patch:
        patch.setattr(ascent, "_metric", no_metric)
        status, out, err = experiment(capsys, *call)
    assert (status, out) == (1, "")
    assert "TaskFailed: task '10 states, 5 actions, d = 100: exact hypergradient seeds=0-1' failed" in err
    assert "ArithmeticError: no answer" in err
    assert "0 of 4 tasks" in err
    assert experiment(capsys, *call)[0] == 0  # control: and it goes on


def test_a_cluster_that_is_not_there_exits_with_1(capsys, tmp_path):
    status, out, err = experiment(capsys, "synthetic", "--out", tmp_path, "--dask", "nowhere")
    assert (status, out) == (1, "")
    assert "ClusterUnusable: no dask scheduler answers at 'nowhere'" in err


def limited(size, *arguments):
    """The command where no file may be longer than `size` bytes."""
    import resource

    return subprocess.run(
        [sys.executable, "-m", "boltzgrad.cli", "experiment", *map(str, arguments)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )


def test_a_full_disk_exits_with_1_and_the_run_goes_on_later(capsys, done, tmp_path):
    call = ["synthetic-hard", "--no-plots", "--out", tmp_path]
    said = limited(20_000, *call)
    assert (said.returncode, said.stdout) == (1, "")
    assert "ResultsNotWritten: cannot write" in said.stderr
    assert "same command then goes on" in said.stderr
    assert (tmp_path / "rows.jsonl").stat().st_size <= 20_000
    status, out, _ = experiment(capsys, *call, "--json")
    assert status == 0
    assert json.loads(out) == json.loads((done[0] / "summary.json").read_text("utf-8"))
    assert limited(10_000_000, *call).returncode == 0  # control


def test_a_damaged_file_names_the_line(capsys, done, tmp_path):
    lines = (done[0] / "rows.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_bytes(b"".join([*lines[:2], b"garbage\n", *lines[2:]]))
    status, out, err = experiment(capsys, "synthetic-hard", "--no-plots", "--out", tmp_path)
    assert (status, out) == (2, "")
    assert "ResultsCorrupt" in err
    assert "line 3 cannot be read" in err
