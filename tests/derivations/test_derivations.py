"""Every derivation: proved step by step, right in numbers, its mutants rejected; and nothing on the list is missing."""

import functools
import time

import numpy as np
import pytest

from boltzgrad import derivations
from boltzgrad.derivations.derivation import TOLERANCE, Claim, Mutant
from boltzgrad.derivations.results import REJECTS
from boltzgrad.errors import InvalidOption, UnknownName

NAMES = derivations.names()


@functools.cache
def proved(name):
    """A proof, made once."""
    return derivations.get(name).prove()


# What the papers number, and the results that are new: each must be settled by some derivation.
WANTED = [
    *(f"BC-HG ({i})" for i in range(1, 10)),
    *(f"BC-HG ({i})" for i in range(14, 46)),
    *(f"BC-HG ({i})" for i in range(52, 115)),
    "BC-HG Theorem 1",
    "BC-HG Theorem 2",
    "BC-HG Lemma 1",
    "BC-HG Lemma 2",
    "BC-HG Prop 1",
    "BC-HG Prop 2",
    *(f"HPGD {what}" for what in ("Thm 2.2", "Thm 2.3", "Prop C.1", "Prop E.1", "Prop E.2", "Prop E.3", "Prop E.8")),
    *(f"SoBiRL {what}" for what in ("Prop 4.1", "Prop 5.1", "Prop 5.2", "(8)", "(24)", "Lemma F.1", "Prop F.2")),
    "SoBiRL truncation bias",
    "HPGD and BC-HG: variance",
    "Theorem 2 from Theorem 1",
    "cone program: dual is the occupancy",
    "variance of the centred and un-centred third term",
    "control variate V_F(x') − V_F(μ(x,u))",
    "per-coordinate bound of ∇J from the residual",
    "Riccati derivative",
    "Gaussian covariance of quadratics",
    "SoBiRL 2.2",
    "follower with a reference and a temperature that move",
    "∇J_L from the follower's value alone",
    "long-run averages",
    "cross term of quadratic costs",
    "finite horizon",
    "a leader's own horizon",
    "soft policy gradient",
    "PARL Hessian",
    "PARL pseudo-inverse",
    "PARL damped inverse",
    *(f"HPGD Thm 2.5: {what}" for what in ("values", "bias", "rate")),
]


def test_every_equation_is_settled():
    settled = derivations.equations()
    missing = [equation for equation in WANTED if equation not in settled]
    # (10)-(13) are lines of (9), (46)-(49) an algorithm of another paper, (50)-(51) a task's rewards.
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_it_is_proved_and_no_step_rests_on_numbers(name):
    derivation = derivations.get(name)
    began = time.process_time()
    proof = proved(name)
    assert proof, str(proof)
    assert time.process_time() - began < 30  # of this process: whatever else the machine does
    assert all(result.seconds >= 0.0 for result in proof.results)
    assert len(proof.results) == len(derivation.claims)


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_in_numbers(name):
    check = derivations.get(name).check(np.random.default_rng(11))
    assert check, str(check)
    assert check.defect < TOLERANCE / 100  # rounding: far from the tolerance


@pytest.mark.parametrize("name", NAMES)
def test_its_mutants_are_rejected(name):
    derivation = derivations.get(name)
    assert len(derivation.mutants) >= 2
    rejections = derivation.reject_mutants(np.random.default_rng(5))
    for row in rejections.rows:
        assert not row.proved, row
        assert row.defect > 100 * REJECTS, row
    mistakes = [mutant.mistake for mutant in derivation.mutants]
    assert len(set(mistakes)) == len(mistakes)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name):
    derivation = derivations.get(name)
    assert derivation.title
    assert derivation.source
    assert derivation.text
    assert derivation.assumptions
    labels = [claim.label for claim in derivation.claims]
    assert all(labels)
    assert len(set(labels)) == len(labels)
    assert all(claim.because for claim in derivation.claims)
    assert all(claim.left != claim.right for claim in derivation.claims)  # nothing is decided before it is asked


@pytest.mark.parametrize("name", NAMES)
def test_it_renders(name):
    derivation = derivations.get(name)
    page, proof = derivation._repr_markdown_(), proved(name)._repr_markdown_()
    assert derivation.title in page
    assert page.count("$$") == 2
    assert proof.count("$$") == 2 * len(derivation.claims)
    assert "✗" not in proof
    for text in (page, proof, derivation.latex()):
        assert text.count("{") == text.count("}")
        assert "Dummy" not in text


def test_a_mutant_names_the_broken_step():
    derivation = derivations.get("boltzmann-covariance")
    mutant = next(m for m in derivation.mutants if "un-centred" in m.mistake)
    proof = derivation.mutant(mutant).prove()
    assert not proof
    assert derivation.statement.label in {result.claim.label for result in proof.broken}
    assert "NOT proved" in str(proof)


def test_what_rests_on_nothing_proved_is_refused():
    """A rule whose claim comes later, or from elsewhere, proves nothing."""
    from dataclasses import replace

    theorem = derivations.get("theorem-1")
    without = replace(theorem, rests_on=())
    broken = without.prove().broken
    assert any("not proved before it" in result.reason for result in broken)
    shuffled = replace(theorem, steps=tuple(reversed(theorem.steps)))
    assert not shuffled.prove()


def test_names_and_topics():
    assert len(NAMES) == len(set(NAMES)) == 68
    assert sum(len(derivations.names(topic)) for topic in derivations.TOPICS) == 68
    with pytest.raises(UnknownName, match=r"did you mean 'theorem-1'"):
        derivations.get("theorem1")
    with pytest.raises(UnknownName, match="unknown topic"):
        derivations.names("nope")


@pytest.mark.parametrize("wrong", [0, None, "seed", np.random.RandomState(0)])
def test_random_numbers_come_from_a_generator(wrong):
    derivation = derivations.get("envelope")
    for use in (derivation.check, derivation.reject_mutants):
        with pytest.raises(InvalidOption, match=r"expected a numpy\.random\.Generator"):
            use(wrong)


def test_misuse_is_named():
    one, other = derivations.get("theorem-1"), derivations.get("theorem-2")
    with pytest.raises(InvalidOption, match="none of the 7 mutants of theorem-1"):
        one.mutant(other.mutants[0])
    with pytest.raises(InvalidOption, match="changes nothing"):
        Mutant("nothing")
    with pytest.raises(InvalidOption, match="expected a positive number"):
        one.check(np.random.default_rng(0), 0)
    with pytest.raises(InvalidOption, match="no instances"):
        one.check_on([])
    with pytest.raises(InvalidOption, match="expected a SymPy expression"):
        Claim("P*Pi*V_L", "Pi*P*V_L", "typed as text")
    with pytest.raises(InvalidOption, match="is no claim"):
        one.latex(0)
    with pytest.raises(UnknownName, match="did you mean"):
        one.claim("(21)")
    assert one.latex("(26)") == one.latex(one.claim("(26)"))


def test_it_can_be_looked_at():
    derivation = derivations.get("theorem-1")
    for thing in (derivation, derivation.statement, derivation.prove(), derivation.vocabulary, derivation.method):
        assert len(repr(thing)) < 600
    assert "7 of 7 mutants rejected" in str(derivation.reject_mutants(np.random.default_rng(0)))
    assert "≥" in repr(derivations.get("sobirl-lemma-f-1").statement)
