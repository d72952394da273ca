"""Verdicts: agree, disagree, cannot tell; never "agrees" on an allowance that hides mistakes."""

import numpy as np
import pytest

from boltzgrad.verify.tolerances import RESOLUTION, SAFETY, Verdict, allowance, judge

G = np.array([3.0, -1.0, 0.0])


@pytest.mark.parametrize(
    ("off", "allowed", "verdict"),
    [
        (0.0, 0.0, Verdict.AGREES),
        (1e-12, 1e-11, Verdict.AGREES),
        (1e-10, 1e-11, Verdict.DISAGREES),
        (1e-6, 1e-3, Verdict.CANNOT_TELL),
        (1e-2, 1e-3, Verdict.DISAGREES),
        (0.0, np.inf, Verdict.CANNOT_TELL),
        (np.nan, 1e-3, Verdict.DISAGREES),
        (np.nan, np.inf, Verdict.DISAGREES),
    ],
)
def test_verdicts(off, allowed, verdict):
    candidate = G + np.array([0.0, off, 0.0])
    judgement = judge(G, candidate, allowed=allowed, magnitude=3.0)
    if np.isnan(off) and np.isinf(allowed):
        assert judgement.verdict != Verdict.AGREES
    else:
        assert judgement.verdict == verdict
    if off > 0:
        assert judgement.where == 1


def test_small_entries_are_judged_by_the_vectors_scale():
    assert judge(G, G + np.array([0, 0, 1e-13]), allowed=1e-12, magnitude=3.0).verdict == Verdict.AGREES
    assert judge(G, G * (1 + 3e-7), allowed=1e-12, magnitude=3.0).verdict == Verdict.DISAGREES


def test_a_cancelled_gradient_is_judged_against_its_terms():
    tiny = 1e-9 * G
    allowed = 2e-9 * RESOLUTION * 1e3
    assert judge(tiny, tiny, allowed=allowed, magnitude=3e-9).verdict == Verdict.CANNOT_TELL
    assert judge(tiny, tiny, allowed=allowed, magnitude=1.0).verdict == Verdict.AGREES


def test_a_wrong_value_is_a_disagreement():
    assert judge(G, G, allowed=1e-9, magnitude=3.0, values=(5.0, 5.1)).verdict == Verdict.DISAGREES
    assert judge(G, G, allowed=1e-9, magnitude=3.0, values=(5.0, 5.0 + 1e-9)).verdict == Verdict.AGREES
    assert judge(G, G, allowed=1e-9, magnitude=3.0, values=(5.0, np.nan)).verdict == Verdict.DISAGREES


def test_allowance():
    assert allowance(1.0, 3.0, None) == SAFETY * 5.0
    directions = np.array([[0.6, 0.8], [1.0, 0.0]])
    assert allowance(1.0, 0.0, directions) == pytest.approx(SAFETY * 2.0 * 1.4)
