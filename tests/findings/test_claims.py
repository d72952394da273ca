"""The table of published ends beside ours: its verdicts follow from rows, and would be others of other rows."""

from pathlib import Path

import pytest

from boltzgrad.experiments import catalogue, figures
from boltzgrad.findings import CommittedRows, findings
from boltzgrad.findings.claims import CLAIMS, Claim, table

ROOT = Path(__file__).parents[2]
SYNTHETIC = next(c for c in CLAIMS if c.experiment == "synthetic")


@pytest.fixture(scope="module")
def rows():
    return CommittedRows(ROOT / "docs/results")


def test_the_page_begins_with_the_table(rows):
    page = (ROOT / "docs/results.md").read_text("utf-8")
    lines = [f"| {' | '.join(row)} |" for row in table(rows)]
    assert "\n".join(lines) in page
    assert page.index(lines[0]) < page.index("\n## ")


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.claim.partition(" (")[0])
def test_every_claim_has_a_published_end_and_a_reason(claim):
    assert len(claim.published()) == len(claim.settings)
    named = {finding.name for finding in findings()}
    for word in claim.otherwise.partition("(")[2].rstrip(")").split(", "):
        assert word in named | {""}


def moved(by):
    class Moved(CommittedRows):
        def end(self, *where, **more):
            return super().end(*where, **more) + by

    return Moved(ROOT / "docs/results")


def test_a_verdict_follows_from_the_rows(rows, tmp_path):
    assert SYNTHETIC.reproduced(rows) == [True]
    assert SYNTHETIC.verdict(rows).startswith("reproduced: without")
    assert SYNTHETIC.verdict(moved(0.099)).startswith("reproduced")
    assert SYNTHETIC.verdict(moved(0.11)).startswith("not reproduced")
    assert (
        Claim("x", *("synthetic", "M-SoBiRL", ("10",), "", "an hour")).verdict(CommittedRows(tmp_path))
        == "not run (an hour)"
    )
    rooms = CLAIMS[0]
    assert rooms.reproduced(moved(-0.1)) == [False, False, False]
    assert len(rooms.published()) == 3


def test_a_method_without_a_published_end_is_refused():
    with pytest.raises(LookupError, match="has no published end"):
        Claim("x", "synthetic", "exact hypergradient", ("10",)).published()


def test_a_setting_ends_at_the_end_of_a_word(rows):
    assert len(rows.seeds("four-rooms", "BC-HG", "temperature 0.001, batch 100")) == 10
    with pytest.raises(LookupError, match="0 curves"):
        rows.seeds("four-rooms", "BC-HG", "temperature 0.001, batch 10")
    with pytest.raises(LookupError, match="2 curves"):
        rows.seeds("toy-game", "BC-HG")


@pytest.mark.parametrize("preset", ["small", "full"])
def test_a_figure_has_at_most_six_curves(rows, preset):
    curves = rows.curves("four-rooms", preset)
    experiment = catalogue.get("four-rooms")
    kept = figures.few(experiment, curves)
    for setting in {c.setting for c in curves}:
        mine = [c for c in kept if c.setting == setting]
        every = [c for c in curves if c.setting == setting]
        assert len(mine) == min(6, len(every))
        assert [c for c in every if c in mine] == mine
        assert {c for c in every if c.reference or c.published is not None} <= set(mine) or len(every) < 6
    assert len(kept) < len(curves)  # the control
    assert figures.few(experiment, curves, most=100) == curves
