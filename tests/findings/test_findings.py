"""Findings: what is recorded is what is measured and read now, and every command that is named exists."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from boltzgrad import audits, derivations, findings
from boltzgrad.cli import main, make_parser
from boltzgrad.errors import InvalidOption, UnknownName
from boltzgrad.experiments import catalogue
from boltzgrad.findings import CommittedRows, Finding, apart, filled, kept, numbers_of

ROOT = Path(__file__).parents[2]
EVERY = {finding.name: finding for finding in findings.findings()}
KEPT = {entry["name"]: entry for entry in kept()}
PROVED = [name for name in EVERY if name.startswith("statement-")]
QUICK = [n for n, f in EVERY.items() if f.measure is not None and not f.slow and n not in PROVED]
LONG = [n for n, f in EVERY.items() if f.measure is not None and n not in QUICK]
READ = [n for n, f in EVERY.items() if f.read is not None]


@pytest.fixture(scope="module")
def rows():
    return CommittedRows(ROOT / "docs/results")


def test_there_are_forty_and_the_record_has_all_of_them():
    assert len(EVERY) >= 40
    assert list(EVERY) == list(KEPT)
    assert [entry["number"] for entry in KEPT.values()] == list(range(1, len(EVERY) + 1))
    assert set(QUICK) | set(LONG) | set(READ) == set(EVERY)
    for name, finding in EVERY.items():
        (again,) = filled((finding,), {name: KEPT[name]["numbers"]})
        assert {"number": KEPT[name]["number"], **again} == KEPT[name]


def is_as_recorded(name, numbers):
    assert apart(numbers, KEPT[name]["numbers"], EVERY[name].near, EVERY[name].below) == []


@pytest.mark.parametrize("name", QUICK)
def test_what_is_measured_is_what_is_recorded(name):
    is_as_recorded(name, numbers_of(EVERY[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_what_takes_longer_is_what_is_recorded(name):
    is_as_recorded(name, numbers_of(EVERY[name]))


@pytest.mark.parametrize("name", READ)
def test_what_is_read_from_rows_is_what_is_recorded(name, rows):
    is_as_recorded(name, numbers_of(EVERY[name], rows))


def test_statements_are_proved_and_audits_are_as_they_say():
    assert all(KEPT[name]["numbers"] == {"proved": 1.0} for name in PROVED)
    judged = [KEPT[name] for name in EVERY if name.startswith("audit-")]
    assert {entry["again"].split()[2] for entry in judged} == {audit.name for audit in audits.AUDITS}
    assert all(entry["numbers"]["as_expected"] == 1.0 for entry in judged)
    found = {f"statement-{name}" for name in derivations.names() if derivations.get(name).finding}
    assert found < set(PROVED)


def exists(command):
    """Whether there is what a command runs."""
    words = shlex.split(command)
    if words[0] == "pytest":
        path, _, test = words[1].partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        return any(isinstance(node, ast.FunctionDef) and node.name == test for node in ast.walk(tree))
    assert words[0] == "boltzgrad"
    arguments = make_parser().parse_args(words[1:])
    if words[1] == "findings":
        return EVERY[arguments.name].measure is not None
    if words[1] == "ledger":
        return set(arguments.names) <= set(derivations.names())
    if words[1] == "audit":
        return audits.get(arguments.name).name == arguments.name
    assert words[1] == "experiment"
    return any(arguments.only in task.key for task in catalogue.get(arguments.name).tasks(arguments.preset))


@pytest.mark.parametrize("name", EVERY)
def test_the_command_exists(name):
    assert exists(EVERY[name].again)


def test_a_command_that_does_not_exist_is_found():
    assert not exists("boltzgrad ledger theorem-17")
    assert not exists('boltzgrad experiment four-rooms --preset full --only "temperature 7"')
    assert not exists("pytest tests/findings/test_findings.py::test_there_is_none")
    assert exists("pytest tests/findings/test_findings.py::test_the_command_exists")
    with pytest.raises(UnknownName):
        exists("boltzgrad audit nobody")


def test_another_number_is_found():
    kept_ones = {"size": 2.0, "sign": -1.0}
    assert apart({"size": 2.0, "sign": -1.0 - 1e-9}, kept_ones, 1e-6) == []
    assert apart({"size": 2.1, "sign": -1.0}, kept_ones, 1e-6) == ["size is 2.1, recorded is 2"]
    assert apart({"size": float("nan"), "sign": -1.0}, kept_ones, 1e-6) == ["size is nan, recorded is 2"]
    assert apart({"size": 2.0, "more": 1.0}, kept_ones, 1e-6) == [
        "sign is not measured any more",
        "more was not recorded",
    ]


def test_rounding_has_a_limit():
    kept_ones = {"rounding": 3e-14}
    assert apart({"rounding": 5e-13}, kept_ones, 1e-6, {"rounding": 1e-12}) == []
    assert apart({"rounding": 2e-12}, kept_ones, 1e-6, {"rounding": 1e-12}) == [
        "rounding is 2e-12, expected at most 1e-12"
    ]
    assert apart({"rounding": float("nan")}, kept_ones, 1e-6, {"rounding": 1e-12}) != []
    assert all(KEPT[n]["numbers"][k] <= f.below[k] for n, f in EVERY.items() for k in f.below)


def test_rows_that_are_others_are_found(rows):
    name = "synthetic-degenerate"
    is_as_recorded(name, numbers_of(EVERY[name], rows))

    class Altered(CommittedRows):
        def seeds(self, *where, **more):
            return [end + 0.01 for end in super().seeds(*where, **more)]

    with pytest.raises(AssertionError):
        is_as_recorded(name, numbers_of(EVERY[name], Altered(ROOT / "docs/results")))


def test_what_cannot_be_measured_here_says_how():
    with pytest.raises(InvalidOption, match="boltzgrad experiment lqr-game"):
        numbers_of(EVERY["lqr-optimum"])
    with pytest.raises(InvalidOption, match="expected one of against print, for print"):
        Finding(name="x", about="", cuts="sideways", says="", size="", again="")


def test_the_page_is_what_the_record_says():
    page = (ROOT / "docs/findings.md").read_text("utf-8")
    for entry in KEPT.values():
        assert f"| {entry['number']} | [{entry['name']}](#{entry['name']}) |" in page
        assert f"`{entry['again']}`" in page
        assert entry["finding"].replace("|", "\\|") in page
    assert len(re.findall("^### ", page, re.MULTILINE)) == len(KEPT)


def test_the_list(capsys):
    assert main(["findings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(KEPT) + 2
    assert lines[0].split()[:2] == ["1", "local-optimum"]
    assert main(["findings", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == kept()


def test_one_of_them(capsys, monkeypatch):
    assert main(["findings", "log-sum-exp"]) == 0
    assert "measured again now: the same" in capsys.readouterr().out
    assert main(["findings", "lqr-optimum"]) == 0
    assert '--only "exact hypergradient"' in capsys.readouterr().out
    assert main(["findings", "log-sum-ex"]) == 2
    assert "did you mean 'log-sum-exp'" in capsys.readouterr().err
    altered = [{**e, "numbers": {**e["numbers"], "theirs": 0.4}} if e["name"] == "log-sum-exp" else e for e in kept()]
    monkeypatch.setattr(findings, "kept", lambda: altered)
    assert main(["findings", "log-sum-exp", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["changed"] == ["theirs is 0.3632800174, recorded is 0.4"]
