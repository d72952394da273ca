"""Imports point only upwards, nobody borrows private names, and the check can fail."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("architecture", Path(__file__).with_name("architecture.py"))
architecture = importlib.util.module_from_spec(spec)
spec.loader.exec_module(architecture)


def test_imports_point_upwards():
    assert architecture.walk(ROOT) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("boltzgrad.families.tabular.model", "from boltzgrad.solvers import solve_follower"),
        ("boltzgrad.solvers.follower", "import boltzgrad.families.tabular.reference"),
        ("boltzgrad.families.game.lifted", "from boltzgrad import verify"),
        ("boltzgrad.derivations.covariance", "from boltzgrad.solvers import boltzmann"),
        ("boltzgrad.solvers.leader", "from boltzgrad.solvers.follower import _newton"),
        ("boltzgrad.solvers.leader", "from boltzgrad.derivations import get"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert architecture.faults(module, source) != []


def test_importing_the_library_loads_nothing_heavy():
    heavy = ("cvxpy", "sympy", "matplotlib", "jax", "torch")
    code = f"import sys, boltzgrad; print(','.join(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_files_are_read_in_one_sitting():
    long = {
        str(p.relative_to(ROOT)): n
        for p in (ROOT / "src").rglob("*.py")
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400 and p.name != "mistakes.py"
    }
    assert long == {}


def test_no_address_or_machine_path_in_any_tracked_text():
    bad = re.compile(r"/(?:work|root|home)/|pypi\.org/simple|files\.pythonhosted")
    hits = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        skipped = parts[0].startswith(".") and parts[0] != ".ci"
        if path.is_file() and not skipped and path.suffix in {".py", ".md", ".toml", ".txt", ".cff", ".yaml", ""}:
            text = path.read_text(encoding="utf-8", errors="ignore")
            if bad.search(text) and path.name != Path(__file__).name:
                hits.append(str(path.relative_to(ROOT)))
    assert hits == []
