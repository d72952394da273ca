"""What the README says is true: its Python runs, its commands exist, its files are there."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from boltzgrad import cli, derivations, estimators
from boltzgrad.cli.arguments import option
from boltzgrad.errors import GradientMismatch
from boltzgrad.estimators import Estimator
from boltzgrad.experiments import catalogue
from boltzgrad.families.registry import witnesses
from boltzgrad.problems import load, names
from boltzgrad.testing import assert_hypergradient
from boltzgrad.verify import BiasVerdict
from boltzgrad.verify.mutants import everything
from boltzgrad.verify.tolerances import Verdict

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(README.split())  # wherever its lines end
PAPERS = {
    "2603.14867": "Sample-Efficient Hypergradient Estimation for Decentralized Bi-Level Reinforcement Learning",
    "2406.01575": "Contextual Bilevel Reinforcement Learning for Incentive Alignment",
    "2405.19697": "Bilevel Reinforcement Learning via the Development of Hyper-gradient without Lower-Level Convexity",
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_examples_run():
    example, proof, samples, kit = blocks("python")
    scope, printed = {}, io.StringIO()
    with redirect_stdout(printed):
        exec(example, scope)
    assert scope["ref"].gradient.shape == (4,)
    assert str(scope["ref"].value) in printed.getvalue()
    # The control: with the last line's promise broken, the example would not pass.
    wrong = scope["ref"].gradient + 1e-6
    assert np.abs(wrong - scope["ref"].gradient).max() > scope["ref"].error_bound
    with redirect_stdout(printed):
        exec(proof, scope)
    assert "theorem-1: proved" in printed.getvalue()
    with redirect_stdout(printed):
        exec(samples, scope)
    assert scope["check"].verdict == BiasVerdict.BIASED
    assert scope["few"].verdict != BiasVerdict.BIASED
    with redirect_stdout(printed):
        exec(kit, scope)
    assert "looks like: ‘γ_L used in ∇Q_F’" in printed.getvalue()
    with pytest.raises(GradientMismatch):
        scope["test_mine"](assert_hypergradient)


def test_the_theorem_of_the_contributing_guide():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    scope = {}
    exec(example, scope)
    assert len(scope["mine"].mutants) == 2
    # The control: without its definitions it is not proved.
    with pytest.raises(AssertionError):
        exec(example.replace("(m.BENEFIT, m.VALUE_L)", "()"), {})


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)", "\n".join(blocks("console")), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "line", [x for block in blocks("console") for x in block.splitlines() if x.startswith("boltzgrad")]
)
def test_the_commands_parse(line):
    arguments = cli.make_parser().parse_args(line.split()[1:])
    if getattr(arguments, "topic", None):
        assert derivations.names(arguments.topic)
    if line.split()[1] == "experiment":
        assert arguments.preset in catalogue.get(arguments.name).seeds
    elif getattr(arguments, "name", None) and hasattr(arguments, "set"):
        options = dict(option(x) for x in arguments.set)
        assert load(arguments.name, **options)


def test_linked_files_exist():
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for target in re.findall(r"\]\(([^)]+)\)", text):
            assert target.startswith("https://") or (ROOT / target).exists(), target


def test_files_named_for_contributors_exist():
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_/]+\.py)`", table):
        assert (ROOT / name).exists() or any((ROOT / "src").glob(f"**/{name}")), name


def test_the_numbers_of_statements():
    every = [derivations.get(name) for name in derivations.names()]
    statements, mutants = len(every), sum(len(d.mutants) for d in every)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"{statements} statements" in WORDS
    assert f"{mutants} plausible mistakes" in WORDS
    assert f"{statements} statements" in changelog
    assert f"{mutants} mutants rejected" in changelog


def test_numbers_in_the_readme():
    assert f"any of the {len(everything())} known mistakes" in WORDS
    for name in names():
        assert f"`{name}`" in README
    counts = [sum(r.independent for r in witnesses(load(n))) for n in names()]
    assert (min(counts), max(counts)) == (5, 12)
    assert "five to twelve routes" in WORDS


def test_the_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 150


def test_the_verdicts_are_all_explained():
    page = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    for verdict in Verdict:
        assert f"**{verdict}**" in README, verdict
        assert f"**{verdict}**" in page, verdict


@pytest.mark.parametrize("identifier", PAPERS)
def test_the_papers_are_the_same_everywhere(identifier):
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for text in (README, index, citation, estimators.__doc__):
        assert identifier in text
        assert PAPERS[identifier] in " ".join(text.split())


def test_every_estimator_says_whose_it_is():
    public = [getattr(estimators, name) for name in estimators.__all__]
    methods = [x for x in public if isinstance(x, type) and issubclass(x, Estimator) and x is not Estimator]
    assert len(methods) > 10
    for method in methods:
        source = method.__doc__.partition("Source: ")[2]
        assert any(f"arXiv:{identifier}" in source for identifier in PAPERS) or "no paper" in source, method
