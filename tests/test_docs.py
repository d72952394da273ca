"""The pages of docs/: every block of code is run, every output compared, every link and file there; the site builds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import boltzgrad as bg
from pages import BLOCK, DOCS, ROOT, Broken, run_page
from tests_helpers import optional, optional_program, sample

FRAMEWORKS = {"five-minutes/jax.md", "five-minutes/torch.md"}  # in tests/frameworks
PAGES = sorted(p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md") if p.name != "results.md")


@pytest.mark.parametrize(
    "name",
    sample([p for p in PAGES if p not in FRAMEWORKS and not p.startswith("reference/")], "index.md", "verdicts.md"),
)
def test_what_a_page_says_is_so(name, tmp_path):
    text = (DOCS / name).read_text(encoding="utf-8")
    if "\nnode " in text:
        optional_program("node")
    counts = run_page(text, tmp_path)
    assert sum(counts.values()) == len(BLOCK.findall(text))


@pytest.mark.parametrize(
    "page",
    [
        "```python\nassert 1 == 2\n```\n",
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\nprint('one two')\n```\n\n```text\none…three\n```\n",
        '```python title="test_it.py"\ndef test_it(): assert False\n```\n\n```console\npytest -q test_it.py\n```\n',
        "```console\nboltzgrad list  # exit status 1\n```\n",
        "```python\nimport warnings; warnings.warn('this')\n```\n",
    ],
)
def test_a_page_that_is_wrong_is_found(page, tmp_path):
    with pytest.raises(Broken):
        run_page(page, tmp_path)


def test_sessions_go_on_and_outputs_are_those_of_the_block_before(tmp_path):
    page = "```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\n```python\nprint(x + 1)\n```\n\n```text\n2\n```\n"
    assert run_page(page, tmp_path) == {"file": 0, "python": 2, "console": 0, "text": 2}


@pytest.mark.parametrize("name", PAGES)
def test_links(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert ((DOCS / name).parent / target).exists(), target


def test_every_public_name_is_in_the_reference():
    pages = "".join((DOCS / p).read_text(encoding="utf-8") for p in PAGES if p.startswith("reference/"))
    named = set(re.findall(r"::: [\w.]*?(\w+)$", pages, flags=re.MULTILINE))
    named |= {name.strip() for block in re.findall(r"members: \[(.*?)\]", pages) for name in block.split(",")}
    rooms = {"derivations", "errors", "estimators", "followers", "problems", "solvers", "testing", "worlds"}
    public = (bg, bg.testing, bg.testing.strategies, bg.followers, bg.worlds)
    missing = {name for module in public for name in module.__all__} - named - rooms
    assert missing - {"bundles", "strategies"} == set()


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    optional("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING -" not in done.stderr
    page = (tmp_path / "site" / "reference" / "testing.html").read_text(encoding="utf-8")
    for name in ("assert_hypergradient", "assert_follower", "markov_games", "leader_policy", "BundleCheck"):
        assert name in page
    assert "&gt;&gt;&gt;" in page  # examples are code
    assert "<blockquote>" not in page  # and not quotations
    schema = (tmp_path / "site" / "bundle-format.html").read_text(encoding="utf-8")
    assert "gradient_estimate" in schema
    outside = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", page)
    assert [x for x in outside if "canonical" not in x] == []


@pytest.mark.slow
def test_a_broken_link_stops_the_site(tmp_path):
    """The control: warnings are errors."""
    optional("mkdocs")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("[gone](gone.md)", encoding="utf-8")
    settings = Path(ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    settings = re.sub(r"^nav:.*?(?=^\w)", "", settings, flags=re.MULTILINE | re.DOTALL)
    settings = re.sub(r"^plugins:.*?(?=^\w)", "plugins: []\n", settings, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "mkdocs.yml").write_text(settings, encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "gone.md" in done.stderr
