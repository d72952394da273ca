"""Reading a folder of verifications: what is read, what is not and why, and the order."""

import json
import math
import re
from html import escape

import pytest

from boltzgrad.core.model_check import ModelCheck
from boltzgrad.errors import NoVerifications
from boltzgrad.testing.report import page
from boltzgrad.testing.report.collection import Collection, Unread, read_folder
from boltzgrad.testing.report.records import NotAVerification, parse
from boltzgrad.verify import Verdict
from report_samples import altered, confirmed, every_kind, fill, reference, report, row, silent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("many") / "DIR", every_kind())


@pytest.fixture
def collection(folder):
    return read_folder(folder)


def test_failures_come_first_the_worst_before_the_others(collection):
    assert [(v.name, v.state) for v in collection.verifications] == [
        ("i-cut", "model's derivative is wrong"),
        ("g-hostile", "disagrees"),
        ("c-wrong", "disagrees"),
        ("f-nan", "disagrees"),
        ("d-kink", "not smooth"),
        ("e-coarse", "cannot tell"),
        ("j-zero", "zero to rounding"),
        ("h-scale", "confirmed"),
        ("a-good", "confirmed"),
        ("b-good", "confirmed"),
    ]
    assert [v.name for v in collection.failures] == [v.name for v in collection.verifications][:7]
    assert not collection.ok


def test_the_headline_counts(collection):
    assert collection.headline() == (
        "10 verifications: 3 confirmed, 1 model's derivative is wrong, 3 disagree, 1 not smooth, 1 cannot tell, "
        "1 zero to rounding"
    )


def test_what_was_written_is_what_is_read(collection):
    found, ref = next(v for v in collection.verifications if v.name == "c-wrong"), reference()
    assert (found.problem, found.size, found.solution) == ("synthetic-hard", ref.size, ref.solution)
    assert found.theta == tuple(ref.theta)
    assert (found.value, found.error_bound) == (ref.value, ref.error_bound)
    assert found.norm == pytest.approx(math.hypot(*ref.gradient))
    assert found.scale == max(abs(ref.gradient))
    assert [r.route for r in found.against] == ["covariance", "differences"]
    wrong, slopes = found.against
    assert (wrong.at, wrong.expected) == ("coordinate 17", ref.gradient[17])
    assert wrong.found - wrong.expected == pytest.approx(1e-3 * found.scale)
    assert found.relative(wrong) == pytest.approx(1e-3)
    assert (slopes.at, slopes.found, slopes.expected) == ("direction 1", 8.0, 2.0 * ref.gradient[1])
    assert "coordinate 17: covariance" in wrong.complaint
    assert found.seconds == pytest.approx(sum(r.seconds for r in found.rows))


def test_what_is_not_finite_is_known_as_such(collection):
    found = next(v for v in collection.verifications if v.name == "f-nan")
    wrong = found.against[0]
    assert (wrong.found, wrong.difference) == (None, None)
    assert found.relative(wrong) == math.inf
    coarse = next(r for v in collection.verifications for r in v.rows if r.route == "conic" and r.ran)
    assert coarse.allowed is None
    skipped = next(r for v in collection.verifications for r in v.rows if r.verdict == "skipped")
    assert next(v.relative(skipped) for v in collection.verifications) is None


def test_other_files_and_folders_below_are_left_alone(folder, tmp_path):
    fill(tmp_path, {"one": confirmed()})
    fill(tmp_path / "below", {"two": confirmed()})
    (tmp_path / "notes.txt").write_text("x")
    found = read_folder(tmp_path)
    assert [v.name for v in found.verifications] == ["one"]
    assert found.ok


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not JSON (Expecting value"),
        (b'{"format": ', "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1, 2]", 'it has no "format"'),
        (b'{"rows": []}', 'it has no "format"; write one with `boltzgrad verify NAME --json`'),
        ({"format": "boltzgrad-verification/1"}, "its format is 'boltzgrad-verification/1', expected"),
        ({"format": 3}, "its format is 3, expected 'boltzgrad-verification/2'"),
        ({"size": ...}, '"size" is missing'),
        ({"problem": 3}, '"problem" is 3, expected a str'),
        ({"value": "1.0"}, "\"value\" holds '1.0', expected a finite number or null"),
        ({"value": True}, '"value" holds True'),
        ({"value": float("nan")}, "NaN is no JSON"),
        (b'{"format": "boltzgrad-verification/2", "gradient": [1e999]}', '"gradient" holds inf'),
        ({"theta": [10**400]}, '"theta" holds 1000'),
        ({"gradient": [[0.0]]}, '"gradient" holds [0.0]'),
        ({"rows": [3]}, "a row is 3, expected an object"),
        ({"rows": [{"verdict": "fine"}]}, "\"verdict\" is 'fine', expected one of reference, agrees"),
        ({"rows": [{"verdict": "agrees"}]}, '"route" is missing'),
        ({"ok": False}, '"ok" is False, and its rows say True'),
        ({"rows": []}, '"ok" is True, and its rows say False'),
    ],
)
def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path, text, reason):
    fill(tmp_path, {"good": confirmed()})
    wrong = text if isinstance(text, bytes) else altered(confirmed(), **text).encode()
    (tmp_path / "bad.json").write_bytes(wrong)
    found = read_folder(tmp_path)
    assert [v.name for v in found.verifications] == ["good"]
    assert [u.name for u in found.unread] == ["bad.json"]
    assert reason in found.unread[0].reason
    assert not found.ok
    assert found.headline().endswith("; 1 file not read")
    assert str(found).splitlines()[1].split(maxsplit=2) == ["✗", "bad.json", f"not read: {found.unread[0].reason}"]
    (tmp_path / "bad.json").write_text(altered(confirmed()))  # control: unaltered it is read
    assert read_folder(tmp_path).ok


def test_files_that_cannot_be_opened(tmp_path):
    fill(tmp_path, {"good": confirmed()})
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "gone")
    reasons = {u.name: u.reason for u in read_folder(tmp_path).unread}
    assert reasons == {
        "folder.json": "cannot be opened (Is a directory)",
        "nowhere.json": "cannot be opened (No such file or directory)",
    }


def test_what_windows_writes_is_read():
    for encoding in ("utf-8-sig", "utf-16"):
        assert parse("x", confirmed().to_json().encode(encoding)).ok


def test_a_route_that_is_not_independent_confirms_nothing():
    cousin = report(row("lifted-adjoint", independent=False))
    assert parse("x", cousin.to_json().encode()).state == "cannot tell"
    changed = json.loads(cousin.to_json())
    changed["ok"] = True
    with pytest.raises(NotAVerification, match="altered"):
        parse("x", json.dumps(changed).encode())


def test_a_model_that_is_wrong_is_no_agreement_of_anybody():
    """Rows that agree share the mistake."""
    wrong = report(row("covariance"), model=ModelCheck("derivative", "the derivative of leader_reward[0] is 0"))
    found = parse("x", wrong.to_json().encode())
    assert (found.ok, found.state) == (False, "model's derivative is wrong")
    assert found.model == "the derivative of leader_reward[0] is 0"
    changed = json.loads(wrong.to_json())
    changed["ok"] = True
    with pytest.raises(NotAVerification, match='"ok" is True, and its model\'s derivative is wrong; it was altered'):
        parse("x", json.dumps(changed).encode())


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_can_be_read_and_shown(verdict):
    one = report(row("covariance", verdict), silent("implicit", verdict, "why"))
    found = parse("x", one.to_json().encode())
    text = page(Collection((found,)))
    assert f">{escape(str(verdict), quote=True)}<" in text
    assert not re.search(r"class='[^']*'[a-z]", text)  # no apostrophe ends a class too early


def test_no_folder_and_nothing_to_read(tmp_path):
    with pytest.raises(
        NoVerifications, match=r"there is no folder .*gone; make some: `mkdir -p .*gone; boltzgrad verify"
    ):
        read_folder(tmp_path / "gone")
    with pytest.raises(NoVerifications, match=r"no verification that can be read; make some: .*--run all`"):
        read_folder(tmp_path)
    for k in range(5):
        (tmp_path / f"{k}.json").write_text("{}")
    with pytest.raises(NoVerifications, match=r"\(0\.json: no verification: .*2\.json: .*, and 2 more\); make some"):
        read_folder(tmp_path)
    with pytest.raises(NoVerifications):
        read_folder(tmp_path / "0.json")


def test_what_could_not_be_made_is_listed_beside(tmp_path):
    fill(tmp_path, {"good": confirmed()})
    found = read_folder(tmp_path, unmade=(Unread("x-seed0.json", "could not be made"),))
    assert not found.ok
    assert "x-seed0.json" in str(found)


def test_the_table_cannot_move_the_cursor(tmp_path):
    fill(tmp_path, {"good": report(row("covariance"), name="a\x1b[2J\nb")})
    assert "\x1b" not in str(read_folder(tmp_path))
    assert len(str(read_folder(tmp_path)).splitlines()) == 3


def test_json_for_machines(collection):
    data = json.loads(collection.to_json(page="p.html"))
    assert data["format"] == "boltzgrad-overview/1"
    assert data["ok"] is False
    assert [v["name"] for v in data["verifications"]] == [v.name for v in collection.verifications]
    assert data["not_read"] == []
    assert len(data["verifications"][2]["complaints"]) == 2
