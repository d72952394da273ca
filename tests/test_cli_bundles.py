"""`boltzgrad export` and `boltzgrad check`: what they print, and their exit status."""

import json

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import cli

OWN = """
import numpy as np, autograd.numpy as anp, boltzgrad as bg

def factory():
    def build(theta):
        return bg.TabularModel(np.ones((1, 2, 1)), [1.0], anp.reshape(theta, (1, 2)), np.array([[0.0, 1.0]]),
                               follower_discount=0.5, leader_discount=0.5, temperature=0.5)
    return bg.ConfigurableMDP(build, dim=2)
"""


def run(capsys, *arguments):
    status = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    assert cli.main(["export", "random-lqr", "toy-game", "--theta", "2", "-o", str(folder)]) == 0
    return folder


def test_export(exported, capsys):
    assert sorted(p.name for p in exported.iterdir()) == ["random-lqr", "toy-game"]
    manifest = json.loads((exported / "random-lqr" / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["theta_source"] == "seed 2"
    assert np.array_equal(
        np.load(exported / "random-lqr" / "theta.npy"), bg.problems.load("random-lqr").initial_theta(seed=2)
    )


def test_check(exported, capsys, tmp_path):
    gradient = np.load(exported / "random-lqr" / "gradient.npy")
    np.save(tmp_path / "g.npy", gradient)
    status, out, _ = run(capsys, "check", exported / "random-lqr", "--gradient", tmp_path / "g.npy")
    assert status == 0
    assert out.startswith("random-lqr: 3 states, 2 inputs, infinite horizon, d = 6: agrees; difference 0")
    np.save(tmp_path / "g.npy", -gradient)
    status, out, _ = run(capsys, "check", exported / "random-lqr", "--gradient", tmp_path / "g.npy")
    assert status == 1
    assert "looks like: ‘−∇J: the gradient of a loss" in out
    status, out, _ = run(capsys, "check", exported / "random-lqr", "--gradient", tmp_path / "g.npy", "--json")
    assert status == 1
    assert json.loads(out)["verdict"] == "disagrees"
    np.save(tmp_path / "g.npy", gradient * (1 + 1e-6))
    arguments = ("check", exported / "random-lqr", "--gradient", tmp_path / "g.npy")
    assert run(capsys, *arguments)[0] == 1
    assert run(capsys, *arguments, "--tolerance", "2e-6")[0] == 0


def test_a_problem_of_ones_own(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_bundled_problem.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, _ = run(
        capsys, "export", "--problem", "my_bundled_problem:factory", "--theta", "zeros", "-o", tmp_path / "out"
    )
    assert status == 0
    assert out.startswith("factory: ")
    assert (tmp_path / "out" / "factory" / "SHA256SUMS").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "garnett", "-o", "x"], "did you mean 'garnet'"),
        (["export", "-o", "x"], "give names of zoo problems, or --problem"),
        (["export", "garnet", "--problem", "a:b", "-o", "x"], "give names of zoo problems, or --problem"),
        (["export", "garnet", "--theta", "here", "-o", "x"], "--theta 'here'"),
        (["export", "garnet", "--set", "n_statse=3", "-o", "x"], "did you mean 'n_states'"),
        (["check", "nowhere", "--gradient", "g.npy"], "nowhere is no folder"),
        (["check", "{exported}", "--gradient", "g.npy"], "holds 2 bundles (random-lqr, toy-game); name one"),
        (["check", "{exported}/toy-game", "--gradient", "gone.npy"], "gone.npy cannot be read"),
        (["export", "toy-game", "-o", "{exported}"], "exists and is a bundle; replace it"),
    ],
)
def test_wrong_use(arguments, message, exported, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *(a.replace("{exported}", str(exported)) for a in arguments))
    assert status == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../out", "/tmp/out", ".", "a/b"])
def test_a_name_is_no_way_out_of_the_folder(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_named_problem.py").write_text(OWN.replace("dim=2)", f"dim=2, name={name!r})"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "my_named_problem", raising=False)
    before = sorted(tmp_path.rglob("*"))
    status, _, err = run(capsys, "export", "--problem", "my_named_problem:factory", "-o", tmp_path / "out")
    assert status == 2
    assert "cannot have a folder of that name" in err
    assert [p for p in sorted(tmp_path.rglob("*")) if p not in before and "__pycache__" not in p.parts] == []


def test_force_replaces(exported, capsys, tmp_path):
    assert run(capsys, "export", "toy-game", "-o", tmp_path)[0] == 0
    assert run(capsys, "export", "toy-game", "--theta", "5", "-o", tmp_path, "--force")[0] == 0
    manifest = json.loads((tmp_path / "toy-game" / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["theta_source"] == "seed 5"


def test_the_only_bundle_in_a_folder_is_meant(capsys, tmp_path):
    assert run(capsys, "export", "toy-game", "-o", tmp_path / "one")[0] == 0
    gradient = tmp_path / "one" / "toy-game" / "gradient.npy"
    assert run(capsys, "check", tmp_path / "one", "--gradient", gradient)[0] == 0
