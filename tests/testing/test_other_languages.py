"""A bundle read by a program in another language: its own gradient is accepted, a wrong one is rejected and named."""

import shutil
import subprocess
from pathlib import Path

import pytest

from boltzgrad import cli
from tests_helpers import optional_program

SCRIPT = Path(__file__).parents[2] / "examples" / "node" / "differences.mjs"


def node(*arguments):
    return subprocess.run(
        [optional_program("node", "nodejs"), str(SCRIPT), *map(str, arguments)], capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    small = ["--set", "n_states=20", "--set", "n_parameters=16"]
    assert cli.main(["export", "garnet", *small, "--theta", "0", "-o", str(folder)]) == 0
    return folder / "garnet"


def test_its_own_gradient_is_accepted(bundle, tmp_path, capsys):
    done = node(bundle, tmp_path / "g.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("J = 89.50443952")
    assert cli.main(["check", str(bundle), "--gradient", str(tmp_path / "g.json")]) == 0
    assert "agrees" in capsys.readouterr().out


def test_a_follower_that_does_not_answer_is_named(bundle, tmp_path, capsys):
    assert node(bundle, tmp_path / "g.json", "--frozen").returncode == 0
    assert cli.main(["check", str(bundle), "--gradient", str(tmp_path / "g.json")]) == 1
    assert "Naive-PGD" in capsys.readouterr().out


def test_dense_kernels(tmp_path):
    """Rows of a dense kernel are read as well: J is the bundle's."""
    import numpy as np

    import boltzgrad as bg
    from boltzgrad.testing import bundles

    problem = bg.problems.load("garnet", n_states=6, n_parameters=4)
    dense = bg.ConfigurableMDP(lambda theta: as_dense(problem.build(theta), bg), dim=4)
    theta = problem.initial_theta(seed=0)
    folder = bundles.export(dense, theta, tmp_path / "dense")
    assert bundles.read(folder).array("model/transition").shape == (6, 4, 6)
    assert node(folder, tmp_path / "g.json").returncode == 0
    assert bundles.check(folder, tmp_path / "g.json").ok
    assert not bundles.check(folder, bundles.read_gradient(tmp_path / "g.json") + 1e-3 * np.ones(4)).ok


def as_dense(model, bg):
    import autograd.numpy as anp
    import numpy as np

    pattern = model.kernel.pattern
    rows = np.repeat(np.arange(24), np.diff(pattern.indptr))
    spread = np.zeros((24 * 6, pattern.nnz))
    spread[rows * 6 + pattern.indices, np.arange(pattern.nnz)] = 1.0
    kernel = anp.reshape(anp.dot(spread, model.kernel.values), (6, 4, 6))
    return bg.TabularModel(
        kernel,
        model.initial,
        model.follower_reward,
        model.leader_reward,
        follower_discount=model.follower_discount,
        leader_discount=model.leader_discount,
        temperature=model.temperature,
    )


def test_what_the_script_does_not_know(tmp_path):
    assert node().returncode == 2
    assert cli.main(["export", "random-game", "-o", str(tmp_path)]) == 0
    done = node(tmp_path / "random-game", tmp_path / "g.json")
    assert done.returncode == 2
    assert "this script knows tabular problems" in done.stderr


def test_the_checksums_of_another_program(bundle):
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum")
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
