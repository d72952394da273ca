"""The proof kit: normal forms keep their value, wrong statements are not proved, and what does not compose is refused."""

import numpy as np
import pytest
import sympy
from sympy import Derivative, Sum, exp, log

from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.game import random_game
from boltzgrad.derivations.instances.lqr import random_lqr
from boltzgrad.derivations.instances.mdp import random_mdp
from boltzgrad.derivations.kit import sums, words
from boltzgrad.derivations.kit.methods import Calculus, NonNegative, Operators, Rational, Sign, Sums, Transitive
from boltzgrad.derivations.kit.nodes import D, GaussianMean, LogIntegral, Nabla, Tr
from boltzgrad.derivations.kit.numbers import Instance, defect, evaluate
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import game as g
from boltzgrad.derivations.symbols import lqr as q
from boltzgrad.derivations.symbols import mdp as m

FAMILIES = {"mdp": (m.MDP, random_mdp), "game": (g.GAME, random_game), "lqr": (q.LQR, random_lqr)}


def random_word(rng, vocabulary, instance, longest=6):
    """A word that composes, of letters that the instance knows; a pointwise product now and then."""
    known = [x for x in vocabulary.letters if x in instance.values or vocabulary.primal_of(x) in instance.values]
    letters = [vocabulary.letters[x] for x in known]
    letter = letters[rng.integers(len(letters))]
    word = [letter.symbol]
    while len(word) < longest and letter.domain != "1":
        functions = [x for x in letters if x.codomain == letter.domain and x.domain == "1"]
        if functions and rng.uniform() < 0.3:
            word.append(D(functions[rng.integers(len(functions))].symbol))
            continue
        fitting = [x for x in letters if x.codomain == letter.domain]
        if not fitting:
            break
        letter = fitting[rng.integers(len(fitting))]
        word.append(letter.symbol)
    return sympy.Mul(*word)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_normal_form_has_the_value_of_its_word(family):
    vocabulary, draw = FAMILIES[family]
    rng = np.random.default_rng(3)
    changed = 0
    for _ in range(40):
        instance = draw(rng)
        for _ in range(10):
            word = random_word(rng, vocabulary, instance)
            terms = words.normalise(words.polynomial(word, vocabulary), vocabulary, ())
            normal = words.expression_of(terms)
            changed += normal != word
            value, other = evaluate(word, instance), evaluate(normal, instance)
            if value.ndim == 2 and other.ndim == 0:
                other = other * (np.eye(len(value)) if value.shape[0] == value.shape[1] else np.ones_like(value))
            np.testing.assert_allclose(other, value, atol=1e-7 * max(1.0, np.abs(value).max()), err_msg=str(word))
    assert changed > 40  # the rules were really used


def test_the_product_rule_against_a_complex_step():
    instance = random_mdp(np.random.default_rng(1))
    for word in (
        m.rho * m.Pi * m.Q_L,
        m.P * m.Pi * m.Q_F,
        m.rho * m.Pi * D(m.Q_F) * m.Q_L,
        m.Pi * D(m.E * m.V_F) * m.r_F,
    ):
        expanded = words.expression_of(words.polynomial(Nabla(word), m.MDP))
        assert defect(Nabla(word), expanded, instance) < 1e-12


@pytest.mark.parametrize(
    "product", [m.P * m.Pi * m.V_F, m.Pi * m.Pi, m.rho * m.Q_F, D(m.V_F) * m.Q_F, m.V_F * m.V_F, D(m.P) * m.V_F]
)
def test_what_does_not_compose_is_refused(product):
    with pytest.raises(words.NotATerm):
        Operators(m.MDP).remainder(product, product, ())


def test_terms_on_different_spaces_are_refused():
    with pytest.raises(words.NotATerm, match="different spaces"):
        Operators(m.MDP).remainder(m.V_F, m.Q_F, ())


def test_foreign_letters_are_refused():
    with pytest.raises(words.NotATerm, match="no letter"):
        Operators(m.MDP).remainder(sympy.Symbol("alien", commutative=False), m.V_F, ())


def test_rules_that_never_end_are_given_up():
    with pytest.raises(words.NotATerm, match="do not come to an end"):
        Operators(m.MDP).remainder(m.V_F, m.one_S, (Rule(m.V_F, m.Pi * m.P * m.V_F + m.one_S, "round and round"),))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (m.Pi * m.E, sympy.S.One),
        (m.R_F - m.gamma_F * m.Pi * m.P * m.R_F, sympy.S.One),
        (m.Pi * D(m.Q_F) * m.E * m.V_F, D(m.V_F) * m.Pi * m.Q_F),
        (m.Pi * D(m.E * m.V_F) * m.Q_F, D(m.Pi * m.Q_F) * m.V_F),
        (m.W_F * m.P, m.P * m.R_F),
    ],
)
def test_identities_of_the_operators(left, right):
    assert Operators(m.MDP).remainder(left, right, ()) == 0


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (m.E * m.Pi, sympy.S.One),
        (m.R_L - m.gamma_F * m.Pi * m.P * m.R_L, sympy.S.One),
        (m.Pi * D(m.Q_F) * m.Q_L, D(m.Pi * m.Q_F) * m.Pi * m.Q_L),
        (m.Pi * m.P, m.P * m.Pi),
        (m.R_F, m.R_L),
    ],
)
def test_what_is_no_identity_is_not_proved(left, right):
    try:
        assert Operators(m.MDP).remainder(left, right, ()) != 0
    except words.NotATerm:
        assert (left, right) == (m.Pi * m.P, m.P * m.Pi)  # another space altogether


def test_sums_keep_their_value():
    rng = np.random.default_rng(0)
    instance = random_actions(rng)
    cases = [
        s.mean(s.q * (s.y - s.mean(s.y))),
        s.tau * log(s.over_actions(exp((s.q + s.c) / s.tau))),
        s.over_actions(s.over_actions(s.q) * s.y + 2),
        s.over_actions((s.q + s.y) ** 2 / s.Z),
        Sum(Sum(s.q.subs(s.a, s.k), (s.k, 1, s.A)) * s.y, (s.a, 1, s.A)).subs(s.k, s.k),
    ]
    for case in cases:
        assert defect(case, sums.canonical(case), instance) < 1e-13
    moving = Derivative(s.V, s.x)
    assert defect(moving, sums.canonical(moving), instance) < 1e-12


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (s.mean(s.q * s.y), s.mean(s.q) * s.mean(s.y)),
        (s.over_actions(s.q) ** 2, s.over_actions(s.q**2)),
        (log(s.Z), s.over_actions(s.q / s.tau)),
        (s.over_actions(sympy.S.One), sympy.S.One),
        (Derivative(s.pi, s.x), s.pi * s.dq / s.tau),
    ],
)
def test_wrong_sums_are_not_proved(left, right):
    assert Sums().remainder(left, right, ()) != 0


def test_the_range_of_a_sum_is_arbitrary():
    assert Sums().remainder(s.over_actions(sympy.S.One), s.A, ()) == 0


def test_gaussian_means_are_isserlis():
    rng = np.random.default_rng(1)
    instance = random_lqr(rng)
    f, h = q.wt * q.H * q.w + 2 * q.xbart * q.w, q.wt * q.Lam * q.w - q.yt * q.w
    for product in (f, f * h, f * f, q.wt * q.H * q.w * (q.xbart * q.w), sympy.S(3) + 0 * f):
        mean = GaussianMean(product, q.w, q.Sig)
        by_rule = words.expression_of(words.polynomial(mean, q.LQR))
        assert defect(mean, by_rule, instance) < 1e-10
    # and against samples, which know neither the pairings nor the quadrature
    root = np.linalg.cholesky(instance.values[q.Sig])
    draws = root @ rng.standard_normal((3, 400_000))
    H, Lam = instance.values[q.H], instance.values[q.Lam]
    sampled = np.mean(np.einsum("in,ij,jn->n", draws, H, draws) * np.einsum("in,ij,jn->n", draws, Lam, draws))
    exact = evaluate(GaussianMean((q.wt * q.H * q.w) * (q.wt * q.Lam * q.w), q.w, q.Sig), instance)
    assert sampled == pytest.approx(float(np.squeeze(exact)), rel=0.03)


def test_traces_are_cyclic_and_blind_to_transposition():
    method = Operators(q.LQR)
    assert method.remainder(Tr(q.A * q.P * q.B * q.K), Tr(q.K * q.A * q.P * q.B), ()) == 0
    assert method.remainder(Tr(q.A * q.P), Tr(q.P * q.At), ()) == 0
    assert method.remainder(Tr(q.A * q.P * q.W), Tr(q.A * q.W * q.P), ()) != 0


def test_a_log_integral_is_reduced_only_if_the_square_is_complete():
    method = Operators(q.LQR)
    good = LogIntegral(-q.ut * q.M * q.u, q.u, q.tau, q.M, 0 * q.u, q.m, q.logdet_M)
    volume = q.tau / 2 * (q.m * log(sympy.pi * q.tau) - q.logdet_M)
    assert method.remainder(good, volume, ()) == 0
    shifted = LogIntegral(-q.ut * q.M * q.u + 2 * q.ut * q.Bt * q.x, q.u, q.tau, q.M, 0 * q.u, q.m, q.logdet_M)
    assert method.remainder(shifted, volume, ()) != 0


def test_signs_are_not_guessed():
    method = NonNegative(m.MDP)
    assert method.remainder(m.R_F * m.one_S, 0 * m.one_S, ()) == 0
    assert method.remainder(m.V_F, 0 * m.V_F, ()) != 0
    assert method.remainder(m.one_S, m.R_F * m.one_S, ()) != 0
    assert method.remainder(m.one_S / (1 - m.gamma_F), m.one_S, ()) == 0
    assert method.remainder(m.one_S * m.gamma_F, m.one_S, ()) != 0
    assert Sign().remainder(s.t**2, 0, ()) == 0
    assert Sign().remainder(s.t - 1, 0, ()) != 0
    assert Sign().remainder(s.over_actions(s.q), 0, ()) != 0
    assert Sign().remainder(s.over_actions(s.mu * s.q**2), 0, ()) == 0
    assert Sign().remainder(s.over_actions(s.mu), s.over_actions(2 * s.mu), ()) != 0


def test_calculus_tells_closed_forms_apart():
    line = (s.zeta, -sympy.oo, sympy.oo)
    gaussian = sympy.Integral(exp(-s.t * s.zeta**2), line)
    assert Calculus().remainder(gaussian, sympy.sqrt(sympy.pi / s.t), ()) == 0
    assert Calculus().remainder(gaussian, sympy.sqrt(sympy.pi) / s.t, ()) != 0
    assert Calculus().remainder(Sum(2 ** (-s.k), (s.k, 1, s.H)), 1 - 2 ** (-s.H), ()) == 0
    assert Calculus().remainder(Sum(2 ** (-s.k), (s.k, 1, s.H)), sympy.S.One, ()) != 0


def test_transitivity_follows_equalities_only():
    a, b, c = sympy.symbols("a b c")
    rules = (Rule(a, b, "first"),)
    assert Transitive().remainder(a, b, rules) == 0
    assert Transitive().remainder(b, a, rules) == 0
    assert Transitive().remainder(a, c, rules) != 0


def test_matrices_are_compared_entry_by_entry():
    t = s.t
    one, other = sympy.ImmutableMatrix([t, -t]), sympy.ImmutableMatrix([-t, t])
    assert Rational().remainder(one, one, ()) == 0
    assert Rational().remainder(one, other, ()) != 0  # differences that cancel in a sum


def test_an_instance_must_know_its_letters():
    with pytest.raises(KeyError, match="no value for V_F"):
        evaluate(m.V_F, Instance({}))
