"""docs/applications.md has a section and a picture for each application, and the pictures are what the script draws."""

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import boltzgrad as bg
from tests_helpers import sample

DOCS = Path(__file__).parents[1] / "docs"
NAMES = [
    "irl",
    "rlhf-kl",
    "reward-shaping",
    "contract-design",
    "navigation",
    "tax-design",
    "principal-agent",
    "meta-rl",
    "mechanism-design",
]


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("applications_page", DOCS / "applications.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["applications_page"] = module
    spec.loader.exec_module(module)
    return module


def words(svg):
    """Every heading, range, axis and curve's end."""
    return [x.text for x in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_each_has_a_section_with_its_picture_and_what_was_chosen(pictures):
    assert list(pictures.APPLICATIONS) == NAMES
    page = (DOCS / "applications.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## [^\n]*`([\w-]+)`\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL))
    assert list(sections) == NAMES
    for name, text in sections.items():
        assert f"(applications/{name}.svg)" in text
        assert f'bg.problems.load("{name}"' in text
        assert "**Its own mistake**" in text
        assert "**Chosen here**" in text
    assert set(NAMES) <= set(bg.problems.names())


@pytest.mark.parametrize("name", sample(NAMES, "irl"))
def test_the_picture_is_what_the_script_draws(pictures, name):
    kept = (DOCS / "applications" / f"{name}.svg").read_text(encoding="utf-8")
    assert words(kept) == words(pictures.picture(name))


def test_a_picture_of_something_else_would_show(pictures, monkeypatch):
    kept = (DOCS / "applications" / "irl.svg").read_text(encoding="utf-8")
    monkeypatch.setattr(pictures.followed, "__defaults__", (1.0, 3))
    assert words(kept) != words(pictures.picture("irl"))


def test_a_table_is_drawn_cell_by_cell(pictures):
    table = np.array([[0.0, 1.0, np.nan], [0.5, 0.25, 0.75]])
    drawn = ElementTree.fromstring(pictures.draw("t", [("a < b", table, "rows")], [1.0, 2.0, 4.0]))
    cells = [x for x in drawn.iter("{http://www.w3.org/2000/svg}rect") if x.get("x")]
    shades = [x.get("fill") for x in cells]
    assert shades[0] == "rgb(238,243,249)"  # the least
    assert shades[1] == "rgb(0,82,148)"  # the largest
    assert shades[2] == "rgb(196,196,196)"  # not there
    assert len(cells) == 6
    assert words(ElementTree.tostring(drawn))[:2] == ["a < b", "0.00 … 1.00"]


def test_following_a_gradient_never_makes_it_worse(pictures):
    problem = bg.problems.load("irl")
    _, up = pictures.followed(problem, problem.initial_theta(seed=0), 1.0, 6)
    _, down = pictures.followed(problem, problem.initial_theta(seed=0), -1.0, 6)
    assert np.all(np.diff(up) >= 0.0)
    assert np.all(np.diff(down) <= 0.0)
    assert up[-1] > up[0] > down[-1]
