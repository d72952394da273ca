"""The benchmarks still run: the smallest case of those that CI, or `make benchmark`, would otherwise be the first to try."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(name, *options):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_hypergradients_side_by_side(tmp_path):
    methods = "boltzgrad,boltzgrad without [fast],boltzgrad value iteration,central differences"
    status, out, err = run("hypergradient", "--sizes", "100", "--methods", methods, "-o", str(tmp_path))
    assert status == 0, err
    rows = json.loads((tmp_path / "hypergradient.json").read_text(encoding="utf-8"))
    ran = {(r["family"], r["method"]): r["error"] for r in rows if "forward" in r}
    assert set(ran) == {(family, method) for family in ("grid-world", "garnet") for method in methods.split(",")}, out
    assert all(ran[family, "boltzgrad value iteration"] < 1e-9 for family in ("grid-world", "garnet"))
    assert "| limit |" in (tmp_path / "hypergradient.md").read_text(encoding="utf-8")


def test_the_guard_tells_slower_from_not_slower():
    status, out, err = run("guard", "--turns", "1", "--only", "toy-game", "--most", "1000")
    assert status == 0, err
    assert "toy-game: hypergradient" in out
    status, out, _ = run("guard", "--turns", "1", "--only", "toy-game", "--most", "0.0001")
    assert status == 1
    assert "slower than 0.0001 × release 0.1.0: toy-game: hypergradient" in out


def test_every_table_has_a_script():
    status, _, err = run("renew", "nothing")
    assert status != 0
    assert "unknown: nothing" in err
