"""Audits: what was recorded is judged as it says; a record that is not what it was, or a mistake that is none, is found."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from boltzgrad import audits
from boltzgrad.audits.checkout import _definition
from boltzgrad.audits.judging import judge_case
from boltzgrad.cli import main
from boltzgrad.errors import InvalidOption, UnknownName

ROOT = Path(__file__).parents[2]
NAMES = [audit.name for audit in audits.AUDITS]
MISTAKES = [(a.name, c.key) for a in audits.AUDITS for c in a.cases if c.remade is not None]


def case_of(name, key):
    (found,) = [c for c in audits.get(name).cases if c.key == key]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_record_is_judged_as_the_audit_says(name):
    audit = audits.get(name)
    record = audits.recorded(audit)
    for outcome in audits.judge(audit, record.outputs):
        assert outcome.as_expected, (outcome.case.key, outcome.faults)
    for source in audit.sources:
        assert record.made["of"][source.name] == source.version
        assert source.installed or re.fullmatch("[0-9a-f]{40}", source.version)
    assert bool(record.made["definitions"]) == bool(audit.repositories)


@pytest.mark.parametrize(("name", "key"), MISTAKES[:: max(1, len(MISTAKES) // 8)])
def test_a_package_that_was_right_would_not_be_accused(name, key):
    """The repaired array in place of the recorded one: the verdict changes, and it is not the mistake."""
    case = case_of(name, key)
    outcome = judge_case(case, case.repaired())
    assert outcome.verdict in ("agrees", "zero to rounding")
    assert not outcome.as_expected
    assert any("from the mistake made again" in fault for fault in outcome.faults)


@pytest.mark.parametrize(("name", "key"), MISTAKES[:: max(1, len(MISTAKES) // 8)])
def test_a_mistake_that_is_another_is_found(name, key):
    case = case_of(name, key)
    found = audits.recorded(audits.get(name)).outputs[key]
    outcome = judge_case(case, found * (1.0 + 1e3 * case.near))
    assert any("from the mistake made again" in fault for fault in outcome.faults)


def test_a_repair_that_repairs_nothing_is_found():
    case = case_of("irl-maxent", "step_0.9")
    found = audits.recorded(audits.get("irl-maxent")).outputs["step_0.9"]
    outcome = judge_case(replace(case, repaired=case.remade), found)
    assert outcome.faults == ("the mistake made again and repaired disagrees",)


def test_what_has_nothing_to_compare_can_be_otherwise():
    failing, still = audits.get("bilevel-penalty").cases
    assert judge_case(failing, np.array([""])).verdict == "runs"
    assert not judge_case(failing, np.array([""])).as_expected
    moved = judge_case(still, np.array([0.0, 1e-9]))
    assert (moved.verdict, moved.as_expected, moved.words) == ("moves", False, "1 of 2 parameters moved")


def test_the_page_is_what_the_audits_say():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/audits.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


TOY = '''import something_that_is_not_there

@decorated
def planned(r, *,
            gamma: Unknown = 0.5) -> Unknown:
    """Text."""

    return r * gamma  # a comment: with a colon

class Learner:
    def step(self):
        return planned(self.r)

    def other(self):
        return 0
'''


def test_single_functions_are_read_from_a_checkout(tmp_path):
    (tmp_path / "code.py").write_text(TOY)
    checkout = audits.Checkout(tmp_path)
    found = checkout.functions("code.py", "planned", "Learner.step", among={})
    assert found.planned(4.0) == 2.0
    assert set(checkout.digests) == {"code.py: planned", "code.py: Learner.step"}
    assert _definition(TOY, "Learner.step") == "def step(self):\n    return planned(self.r)\n\n"
    with pytest.raises(InvalidOption, match=r"defines no Learner\.gone: is this the repository that was judged"):
        checkout.functions("code.py", "Learner.gone", among={})
    with pytest.raises(InvalidOption, match="expected the top folder of the repository that was judged"):
        checkout.functions("gone.py", "planned", among={})
    with pytest.raises(InvalidOption, match="there is no such folder"):
        audits.Checkout(tmp_path / "gone")


def test_another_text_or_commit_is_said(tmp_path):
    audit = audits.get("irl-maxent")
    then = audits.recorded(audit)
    (name, digest), *_ = then.made["definitions"].items()
    now = audits.Record(
        then.outputs, {**then.made, "of": {"qzed/irl-maxent": "0" * 40}, "definitions": {name: digest[::-1]}}
    )
    assert audits.differences(audit, then, then) == []
    assert audits.differences(audit, now, then) == [
        f"qzed/irl-maxent is at {'0' * 40}; judged was {audit.sources[0].version}",
        f"{name} is not the text that was judged",
    ]
    now.save(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert json.loads(str(file["made"])) == now.made


@pytest.mark.parametrize("name", [None, "torchopt", "bilevel-penalty"])
def test_the_command_says_it(capsys, name):
    assert main(["audit", *([name] if name else [])]) == 0
    said = capsys.readouterr().out
    if name is None:
        assert all(x in said for x in NAMES)
    elif name == "torchopt":
        assert "custom_root as it comes, ring: disagrees, 0.073 off" in said
    else:
        assert "backward through the graph a second time" in said
    assert main(["audit", *([name] if name else []), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["imitatoin"], UnknownName, "did you mean 'imitation'"),
        (["imitation", "--installed"], InvalidOption, "give --checkout for HumanCompatibleAI/imitation"),
        (["omd", "--checkout", "."], InvalidOption, "expected that of evgenii-nikishin/omd, then gehring/fax"),
        (["imitation", "--checkout", "/nowhere/at/all"], InvalidOption, "there is no such folder"),
        (["--checkout", "."], InvalidOption, "go with the name of an audit"),
    ],
)
def test_wrong_use_is_told(capsys, arguments, error, words):
    assert main(["audit", *arguments]) == 2
    said = capsys.readouterr().err
    assert error.__name__ in said
    assert words in said
