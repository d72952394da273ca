"""No false statement is proved: hundreds of slips of the pen, found false in numbers, and what fooled the kit before."""

import collections

import numpy as np
import pytest
import sympy
from sympy import Sum, exp

from boltzgrad.derivations.derivation import Claim, Derivation
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.mdp import random_mdp
from boltzgrad.derivations.kit.methods import Calculus, Operators, Rational, Sums
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.numbers import Instance
from boltzgrad.derivations.kit.vocabulary import Rule, Vocabulary
from boltzgrad.derivations.kit.words import NotATerm
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m
from false_statements import FALSE, MISTAKES, falsehood, statements
from tests_helpers import slow

f, h = (sympy.Function(name, real=True) for name in "fh")
k, i, n = (
    sympy.Symbol("k", integer=True),
    sympy.Symbol("_i0", integer=True),
    sympy.Symbol("n", integer=True, positive=True),
)


@pytest.mark.parametrize(("seed", "count"), [(0, 110), slow(1, 1500)])
def test_no_slip_of_the_pen_is_proved(seed, count):
    tried, kinds, proved = 0, collections.Counter(), []
    for derivation, place, claim, mistake in statements(seed):
        try:
            with np.errstate(over="raise"):
                happens_to_be_true = falsehood(derivation, claim) <= FALSE
            if happens_to_be_true:
                continue  # it happens to be true, as f + g = g + f is
        except (KeyError, NotImplementedError, ArithmeticError, TypeError, IndexError, RuntimeWarning):
            continue  # no numbers for it: nothing is known of its truth
        tried += 1
        kinds[mistake] += 1
        if derivation._decide(claim, derivation.claims[:place]).proved:
            proved.append((derivation.name, mistake, claim))
        if tried == count:
            break
    assert not proved, proved
    assert set(kinds) == set(MISTAKES), kinds


def test_the_control_claims_without_a_slip_are_proved():
    seen = set()
    for derivation, place, _, _ in statements(0):
        seen.add((derivation.name, place))
        assert derivation._decide(derivation.claims[place], derivation.claims[:place]).proved
        if len(seen) == 25:
            break


def test_no_index_is_captured():
    """Σ f(k) g(_i0), _i0 a symbol of the user's, is not Σ f(k) g(k)."""
    assert Sums().remainder(Sum(f(k) * h(i), (k, 1, n)), Sum(f(k) * h(k), (k, 1, n)), ()) != 0
    assert Sums().remainder(Sum(f(k) * h(i), (k, 1, n)), h(i) * Sum(f(k), (k, 1, n)), ()) == 0
    deep = f(k)
    for _ in range(9):
        deep = Sum(f(k) * deep, (k, 1, n))
    with pytest.raises(NotATerm, match="nested more than"):
        Sums().remainder(deep, sympy.S.Zero, ())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (D(m.one_S), D(m.one_SA)),
        (D(m.one_S) * m.V_F, D(m.one_SA) * m.V_F),
        (m.P * D(m.one_SA), m.P),
        (m.Q_F + D(m.one_S), m.Q_F),
        ((m.Pi + m.P) * m.V_F, m.Pi * m.V_F),
    ],
)
def test_what_is_ill_typed_is_refused_before_a_letter_drops_out(left, right):
    with pytest.raises(NotATerm):
        Operators(m.MDP).remainder(left, right, ())


def test_the_control_units_of_their_own_space_do_drop_out():
    assert Operators(m.MDP).remainder(D(m.one_S) * m.V_F, m.V_F, ()) == 0
    assert Operators(m.MDP).remainder(m.P * D(m.one_S), m.P, ()) == 0


SUM, OTHER = Sum(f(k), (k, 1, n)), Sum(f(i), (i, 1, n))
X, Y = sympy.symbols("X Y", real=True)


@pytest.mark.parametrize(
    ("method", "left", "right"),
    [
        (Sums(), SUM / OTHER, sympy.S.One),
        (Sums(), Sum(f(k) / SUM.xreplace({k: i}), (k, 1, n)), sympy.S.One),
        (Rational(), (X * Y + X) / X, Y + 1),
        (Calculus(), (X**2 - Y**2) / (X - Y), X + Y),
    ],
)
def test_nothing_is_divided_by_what_may_be_zero(method, left, right):
    with pytest.raises(NotATerm, match="which may be zero"):
        method.remainder(left, right, ())


def test_what_is_positive_or_declared_may_be_divided_by():
    weights = exp(s.q / s.tau)
    total = s.over_actions(weights)
    assert Sums().remainder(s.over_actions(weights / total), sympy.S.One, ()) == 0
    assert Sums(nonzero=(SUM, OTHER)).remainder(SUM / OTHER, sympy.S.One, ()) == 0


def derivation(claim, method, instance, **more):
    return Derivation(
        name="x",
        title="",
        source="",
        equations=(),
        statement=claim,
        method=method,
        instance=instance,
        mutants=(),
        **more,
    )


def test_a_false_definition_is_not_believed():
    rule = Rule(m.Pi * m.Q_L, m.V_F, "the leader's value is the follower's")
    proof = derivation(
        Claim(m.gamma_L * m.Pi * m.Q_L, m.gamma_L * m.V_F, "", using=(rule,)), Operators(m.MDP), random_mdp
    ).prove()
    assert not proof.proved
    assert "the definition “the leader's value is the follower's” is false: in numbers it is off by" in str(proof)
    true = Rule(m.Pi * m.Q_L, m.V_L, "the leader's value")
    assert derivation(Claim(m.Pi * m.Q_L, m.V_L, "", using=(true,)), Operators(m.MDP), random_mdp).prove().proved


def test_a_false_identity_of_ones_own_letters_is_not_believed():
    vocabulary = Vocabulary("mine")
    a, b = (vocabulary.matrix(name, name, "X", "X", "") for name in "ab")

    def draw(rng):
        return Instance({a: rng.standard_normal((2, 2)), b: rng.standard_normal((2, 2))})

    vocabulary.rule(a * b, b * a, "they commute")
    proof = derivation(Claim(a * b * a, b * a * a, ""), Operators(vocabulary), draw).prove()
    assert not proof.proved
    assert "“they commute” is false" in str(proof)


def test_a_definition_that_cannot_be_tried_is_told():
    unknown = sympy.Function("unheard_of", real=True)(s.a)
    rule = Rule(s.over_actions(unknown), sympy.S.One, "sums to one")
    proof = derivation(
        Claim(2 * s.over_actions(unknown), sympy.Integer(2), "", using=(rule,)), Sums(), random_actions
    ).prove()
    assert not proof.proved
    assert "“sums to one” cannot be tried in numbers" in str(proof)


def test_numbers_of_a_definition_are_drawn_once():
    drawn = []

    def draw(rng):
        drawn.append(1)
        return random_mdp(rng)

    rule = Rule(m.Pi * m.Q_L, m.V_L, "the leader's value")
    claims = tuple(Claim(c * m.Pi * m.Q_L, c * m.V_L, "", str(c), using=(rule,)) for c in (m.gamma_L, m.gamma_F))
    made = derivation(claims[0], Operators(m.MDP), draw, also=claims[1:])
    assert made.prove().proved
    assert made.prove().proved
    assert len(drawn) == 1
    assert np.isfinite(made.check(np.random.default_rng(0)).defects[0][1])
