"""Verdicts, entry by entry: never "agrees" on an allowance that hides a mistake, never one entry measured by another."""

import numpy as np
import pytest

from boltzgrad.verify.mutants.recognise import Mistake, Mistakes
from boltzgrad.verify.tolerances import (
    HALF_THE_DIGITS,
    MARGIN,
    RESOLUTION,
    SAFETY,
    SINGLE_SAFETY,
    UNKNOWN_METHOD,
    Verdict,
    Yardstick,
    candidate_allowance,
    judge,
    relative,
    witness_allowance,
)

G = np.array([3.0, -1.0, 0.5])


def yardstick(gradient=G, rounding=1e-15, units=1.0, terms=None, value=5.0, scale=5.0):
    gradient = np.asarray(gradient, float)
    units = np.broadcast_to(np.asarray(units, float), gradient.shape)
    rounding = np.broadcast_to(np.asarray(rounding, float), gradient.shape)
    terms = np.abs(gradient) if terms is None else np.asarray(terms, float)
    return Yardstick(gradient, rounding, terms, lambda: units, value, scale)


def verdict(found, allowed, y=None, **options):
    y = yardstick() if y is None else y
    return judge(y, np.asarray(found, float), np.broadcast_to(np.asarray(allowed, float), y.gradient.shape), **options)


def none_known():
    return Mistakes(yardstick(), (), 0)


@pytest.mark.parametrize(
    ("off", "allowed", "said"),
    [
        (0.0, 0.0, Verdict.AGREES),
        (1e-12, 1e-11, Verdict.AGREES),
        (1e-10, 1e-11, Verdict.DISAGREES),
        (1e-2, 1e-3, Verdict.DISAGREES),
        (1e-6, 0.6, Verdict.CANNOT_TELL),  # half of −1 would have passed
        (0.0, np.inf, Verdict.CANNOT_TELL),
        (np.nan, 1e-3, Verdict.DISAGREES),
        (np.nan, np.inf, Verdict.DISAGREES),
    ],
)
def test_one_entry(off, allowed, said):
    judgement = verdict(G + np.array([0.0, off, 0.0]), [1e-12, allowed, 1e-12])
    assert judgement.verdict == said
    if said != Verdict.AGREES:
        assert judgement.where == 1


def test_an_entry_is_not_measured_by_another():
    """∇J = (2.47, −1.9e-9): the sign of the second is no rounding of the first."""
    y = yardstick([2.47, -1.9e-9], rounding=[1e-16, 1e-20])
    allowed = candidate_allowance(y, np.dtype(float), None)
    assert judge(y, np.array([2.47, 1.9e-9]), allowed).verdict == Verdict.DISAGREES
    assert judge(y, np.array([2.47, 1.9e-9]), allowed).where == 1
    assert judge(y, np.array([2.47, -1.9e-9]), allowed).verdict == Verdict.AGREES


@pytest.mark.parametrize("units", [[1e-12, 1.0, 1e9], [1e12, 1e-3, 1.0]])
@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, 0.5, 1.0 + 1e-6, 1.0 + 1e-13])
def test_units(units, factor):
    units = np.array(units)
    one, other = yardstick(), yardstick(G / units, rounding=1e-15 / units, units=units)
    here = judge(one, factor * G, candidate_allowance(one, np.dtype(float), None), by_difference=True)
    there = judge(other, factor * G / units, candidate_allowance(other, np.dtype(float), None), by_difference=True)
    assert here.verdict == there.verdict
    if here.verdict != Verdict.AGREES:
        assert here.where == there.where
    assert relative(one, factor * G) == pytest.approx(relative(other, factor * G / units), rel=1e-9, abs=1e-15)


def test_what_is_zero_to_rounding_confirms_nothing():
    y = yardstick([1e-18, -2e-19, 0.0], rounding=1e-17)
    for factor in (1.0, -1.0, 0.0, 2.0):
        assert verdict(factor * y.gradient, 1e-15, y).verdict == Verdict.ZERO
    assert verdict([1.0, 0.0, 0.0], 1e-15, y).verdict == Verdict.DISAGREES


def test_one_entry_that_is_zero_to_rounding_is_negligible_only_if_its_allowance_is():
    small = yardstick([3.0, 1e-19, 0.5], rounding=[1e-15, 1e-18, 1e-15])
    said = verdict([3.0, -1e-19, 0.5], witness_allowance(small, 0.0), small)
    assert said.verdict == Verdict.AGREES
    assert list(said.negligible) == [1]
    large = yardstick([3.0, 1e-4, 0.5], rounding=[1e-15, 1e-3, 1e-15])
    assert verdict([3.0, -1e-4, 0.5], witness_allowance(large, 0.0), large).verdict == Verdict.CANNOT_TELL
    # The same entry, in a unit in which a natural step makes it large.
    unit = yardstick([3.0, 1e-19, 0.5], rounding=[1e-15, 1e-18, 1e-15], units=[1.0, 1e15, 1.0])
    assert verdict([3.0, -1e-19, 0.5], witness_allowance(unit, 0.0), unit).verdict == Verdict.CANNOT_TELL


def test_a_wide_allowance_asks_for_the_known_mistakes():
    mistake = Mistake("one step wrong", G * [1.0, 1.01, 1.0], 0.003)
    known = Mistakes(yardstick(), (mistake,), 1)
    allowed = [1e-12, 0.02, 1e-12]
    between = G + np.array([0.0, -0.004, 0.0])
    assert verdict(between, allowed, mistakes=lambda: known).verdict == Verdict.CANNOT_TELL
    assert verdict(between, allowed, mistakes=lambda: known).near == (mistake,)
    near = G + np.array([0.0, -0.01 / (2.0 * MARGIN), 0.0])
    assert verdict(near, allowed, mistakes=lambda: known).verdict == Verdict.AGREES
    assert verdict(near, allowed, mistakes=none_known).verdict == Verdict.AGREES
    assert verdict(near, allowed).verdict == Verdict.CANNOT_TELL  # nobody has tried any


def test_a_gradient_handed_in_is_told_by_its_difference_and_a_witness_is_not():
    assert verdict(G, 0.7).verdict == Verdict.CANNOT_TELL
    assert verdict(G, 0.7, by_difference=True).verdict == Verdict.AGREES
    assert verdict(G * (1 + RESOLUTION), 0.7, by_difference=True).verdict == Verdict.CANNOT_TELL
    unsure = yardstick(rounding=[1e-15, 0.1, 1e-15])
    assert verdict(G, [1e-12, 3.2, 1e-12], unsure, by_difference=True).verdict == Verdict.CANNOT_TELL


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (5.0 + 1e-9, 0.0, Verdict.AGREES),
        (5.1, 0.0, Verdict.DISAGREES),
        (5.1, 0.1, Verdict.AGREES),
        (np.nan, 1.0, Verdict.DISAGREES),
    ],
)
def test_values_differ_beyond_the_other_sides_own_error(value, error, said):
    assert verdict(G, 1e-12, values=(value, error)).verdict == said


def test_values_have_a_unit_too():
    tiny = yardstick(value=5e-12, scale=5e-12)
    assert verdict(G, 1e-12, tiny, values=(6e-12, 0.0)).verdict == Verdict.DISAGREES
    assert verdict(G, 1e-12, tiny, values=(5e-12 * (1 + 1e-9), 0.0)).verdict == Verdict.AGREES


def test_allowances():
    y = yardstick(rounding=[1.0, 2.0, 3.0], terms=[30.0, 10.0, 5.0])
    np.testing.assert_array_equal(witness_allowance(y, np.array([3.0, 0.0, 1.0])), SAFETY * np.array([5.0, 4.0, 7.0]))
    directions = np.array([[0.6, -0.8, 0.0], [0.0, 1.0, 0.0]])
    along = y.along(directions)
    np.testing.assert_allclose(along.rounding, [0.6 * 1 + 0.8 * 2, 2.0])
    np.testing.assert_allclose(along.gradient, directions @ G)
    own = candidate_allowance(y, np.dtype(float), None) - witness_allowance(y, 0.0)
    np.testing.assert_allclose(own, np.minimum(HALF_THE_DIGITS * y.terms, UNKNOWN_METHOD * np.abs(G)), rtol=1e-6)
    stated = candidate_allowance(y, np.dtype(float), 1e-3) - witness_allowance(y, 0.0)
    np.testing.assert_allclose(stated, 1e-3 * y.terms, rtol=1e-9)
    single = candidate_allowance(y, np.dtype(np.float32), 0.0)
    np.testing.assert_allclose(single, SINGLE_SAFETY * y.rounding * 2.0**29)


def test_an_unknown_method_hides_no_half():
    """An entry that cancels to a millionth of its terms: half the digits of the terms would hide all of it."""
    y = yardstick([3.0, 1e-9, 0.5], rounding=[1e-15, 1e-17, 1e-15], terms=[3.0, 1.0, 0.5])
    allowed = candidate_allowance(y, np.dtype(float), None)
    for wrong in (0.5e-9, 0.0, -1e-9):
        assert judge(y, np.array([3.0, wrong, 0.5]), allowed, by_difference=True).verdict == Verdict.DISAGREES
