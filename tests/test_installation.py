"""What the project installs runs on every Python that it says it runs on."""

from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
OLDEST = "3.11.0"


def refusing(found, python):
    """The distributions that do not install on a Python."""
    asked = {d.name: d.metadata.get("Requires-Python") or "" for d in found}
    return {name: spec for name, spec in asked.items() if not SpecifierSet(spec).contains(python)}


def pinned():
    """The distributions in constraints.txt that are installed."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    names = {Requirement(line).name.lower().replace("_", "-") for line in lines if line}
    return [d for d in distributions() if d.name.lower().replace("_", "-") in names]


def test_no_pin_asks_for_a_newer_python_than_the_package():
    assert Distribution.from_name("boltzgrad").metadata["Requires-Python"] == ">=3.11"
    found = pinned()
    assert len(found) > 40
    assert not refusing(found, OLDEST)


@pytest.mark.parametrize("python", ["3.7.0", "2.7"])
def test_the_control_an_old_python_is_refused(python):
    assert "numpy" in refusing(pinned(), python)
