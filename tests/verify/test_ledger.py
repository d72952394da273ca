"""The ledger: what it says of good and of broken statements, in every format."""

import json
from dataclasses import replace

import pytest

from boltzgrad import derivations
from boltzgrad.derivations.derivation import Mutant
from boltzgrad.errors import InvalidOption, UnknownName
from boltzgrad.verify.ledger import Ledger, entry, ledger

NAMES = ("envelope", "boltzmann-covariance", "theorem-1", "sobirl-truncation-bias")


@pytest.fixture(scope="module")
def book():
    return ledger(NAMES, seed=3)


def test_it_is_all_there(book):
    assert book.ok
    assert [e.name for e in book.entries] == list(NAMES)
    for e in book.entries:
        assert e.proved
        assert e.rejected == e.mutants >= 2
        assert e.defect < 1e-10
        assert e.code_defect < 1e-9
        assert e.seconds >= e.slowest > 0.0


def test_formats(book):
    text, page, tex = str(book), book.to_markdown(), book.to_tex()
    rows = json.loads(book.to_json())
    assert rows["ok"] is True
    assert [row["name"] for row in rows["statements"]] == list(NAMES)
    assert rows["statements"][2]["latex"].startswith(r"\nabla J_L = ")
    for name in NAMES:
        assert name in text
        assert name in page
        assert name.replace("_", r"\_") in tex
    assert text.count("✓") == len(NAMES)
    assert f"{len(NAMES)} of {len(NAMES)} statements proved" in text
    assert tex.count("{") == tex.count("}")
    assert page.count("\n|") == len(NAMES) + 1


def test_a_false_statement_fails_it():
    """Negative control: a derivation whose statement is its own mutant."""
    theorem = derivations.get("theorem-1")
    broken = entry(theorem.mutant(theorem.mutants[0]))
    assert not broken.proved
    assert not broken.ok
    assert any("NOT proved" in failure for failure in broken.failures)
    assert any("library's numbers" in failure for failure in broken.failures)
    book = Ledger((broken,), 0)
    assert not book.ok
    assert "✗ theorem-1" in str(book)
    assert "0 of 1" in str(book)


def test_a_mutant_that_is_none_fails_it():
    """Negative control: a "mistake" that is the statement itself is proved, and holds in numbers."""
    theorem = derivations.get("envelope")
    harmless = replace(theorem, mutants=(Mutant("no mistake at all", theorem.statement.right),))
    result = entry(harmless)
    assert not result.ok
    assert result.rejected == 0
    assert "is proved" in result.failures[0]


def test_bad_input():
    with pytest.raises(UnknownName, match="did you mean"):
        ledger(["theorem-3"])
    with pytest.raises(InvalidOption, match=r"seed is 1\.5"):
        ledger(["envelope"], seed=1.5)
    assert ledger("envelope").entries[0].name == "envelope"


def test_other_seeds_draw_other_numbers():
    one, other = (ledger(["boltzmann-covariance"], seed=seed).entries[0].defect for seed in (1, 2))
    assert one != other
