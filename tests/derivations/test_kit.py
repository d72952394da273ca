"""The proof kit: normal forms keep their value, wrong statements are not proved, and what does not compose is refused."""

import numpy as np
import pytest
import sympy
from sympy import Derivative, Sum, exp, log

from boltzgrad import derivations
from boltzgrad.derivations.derivation import Claim, Derivation
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.game import random_game
from boltzgrad.derivations.instances.lqr import random_lqr
from boltzgrad.derivations.instances.mdp import random_iterate, random_mdp
from boltzgrad.derivations.kit import rewriting, sums, words
from boltzgrad.derivations.kit.methods import Calculus, NonNegative, Operators, Rational, Sign, Sums, Transitive
from boltzgrad.derivations.kit.nodes import D, GaussianMean, LogIntegral, Nabla, Tr
from boltzgrad.derivations.kit.numbers import Instance, defect, evaluate, excess
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
            terms = rewriting.normalise(words.polynomial(word, vocabulary), vocabulary, ())
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
        (m.W_F * (1 - m.gamma_F * m.P * m.Pi) * m.E, m.E),
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


# What once was proved and is false: each must be refused, or leave a remainder.
_K = sympy.Function("f", real=True)(s.k)
FALSE = {
    "a rule about a number": (Operators(m.MDP), m.V_F, m.V_L, (Rule(m.eta, 0, "no error"),)),
    "a rule about a trace": (Operators(q.LQR), q.A, q.Q, (Rule(Tr(q.P * q.W), 0, "no trace"),)),
    "a rule that divides by what may be zero": (
        Operators(m.MDP),
        m.V_F,
        m.V_L,
        (Rule(m.eta * m.V_F, m.eta * m.V_L, ""),),
    ),
    "a resolvent that stands still": (Operators(m.MDP), Nabla(m.R_F), 0 * m.R_F, ()),
    "a trace that stands still": (Operators(q.LQR), Nabla(Tr(q.P)), sympy.S.Zero, ()),
    "a mean that stands still": (Operators(q.LQR), Nabla(GaussianMean(q.wt * q.P * q.w, q.w, q.W)), sympy.S.Zero, ()),
    "a determinant that stands still": (Operators(q.LQR), Nabla(q.logdet_M), sympy.S.Zero, ()),
    "reciprocals cancelled twice": (
        Operators(m.MDP),
        m.sum_S * D(m.nu_of) * D(m.nu_of) * D(m.nu_inverse) * m.V_F,
        m.sum_S * m.V_F,
        (),
    ),
    "an iterate is its backup": (s.OF_AN_ITERATE, m.TV, m.V_F, ()),
    "an iterate's policy is normalised by it": (s.OF_AN_ITERATE, m.tau * m.log_pi, m.Q_F - m.E * m.V_F, ()),
    "a function of s is one of (s, a)": (s.AT_ONE_STATE, m.V_F, m.E * m.V_F, ()),
    "operators commute": (Sums(), D(m.Q_F) * Nabla(m.E * m.Pi), Nabla(m.E * m.Pi) * D(m.Q_F), ()),
    "an inner range that moves": (
        Sums(),
        Sum(Sum(_K, (s.k, 1, s.a)), (s.a, 1, s.A)),
        s.A * Sum(_K, (s.k, 1, s.a)),
        (),
    ),
    "a reversed range": (Sums(), Sum(1, (s.a, 5, 1)), sympy.Integer(-3), ()),
    "the mean of a vector": (Operators(q.LQR), GaussianMean(q.w, q.w, q.W), Tr(q.W), ()),
    "the mean of a trace": (Operators(q.LQR), GaussianMean(Tr(q.P * q.w * q.wt), q.w, q.W), Tr(q.P * q.w * q.wt), ()),
    "a rule that brings the variable back": (
        Operators(q.LQR),
        GaussianMean(q.yt * q.P * q.y, q.w, q.W),
        q.mut * q.P * q.mu,
        (Rule(q.y, q.mu + q.w, "y = μ + w"),),
    ),
    "another matrix's determinant": (
        Operators(q.LQR),
        LogIntegral(-q.ut * q.R * q.u, q.u, q.tau, q.R, 0 * q.u, q.m, q.logdet_M),
        q.tau / 2 * (q.m * log(sympy.pi * q.tau) - q.logdet_M),
        (),
    ),
    "a centre that holds the variable": (
        Operators(q.LQR),
        LogIntegral(sympy.S.Zero, q.u, q.tau, q.M, -q.u, q.m, q.logdet_M),
        q.tau / 2 * (q.m * log(sympy.pi * q.tau) - q.logdet_M),
        (),
    ),
    "entries that cancel when squared": (
        Rational(),
        sympy.ImmutableMatrix([s.x, sympy.I * s.x]),
        sympy.zeros(2, 1),
        (),
    ),
    "symbols that commute": (Operators(m.MDP), *(sympy.Mul(*sympy.symbols(x)) for x in ("P Pi V_L", "Pi P V_L")), ()),
    "a number beside a vector": (Operators(m.MDP), m.V_F + 1, m.V_F + 1, ()),
}


@pytest.mark.parametrize("name", FALSE)
def test_it_is_not_proved(name):
    method, left, right, rules = FALSE[name]
    try:
        remainder = method.remainder(left, right, rules)
    except words.NotATerm as refusal:
        assert str(refusal)  # noqa: PT017 - a refusal is one of two good ends
    else:
        assert remainder != 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_built_in_rules_hold(family):
    """Every identity that a vocabulary takes for granted, on instances that know its letters."""
    vocabulary, draw = FAMILIES[family]
    draws = [draw, random_iterate] if family == "mdp" else [draw]
    for rule in vocabulary.rules:
        held = 0
        for one in draws:
            for seed in range(3):
                try:
                    assert defect(rule.left, rule.right, one(np.random.default_rng(seed))) < 1e-10, rule.because
                    held += 1
                except KeyError:
                    continue  # an instance that does not know a letter
        assert held, rule.because


def _derivation(statement, *steps, **options):
    return Derivation(
        name="attack",
        title="",
        source="",
        equations=(),
        statement=statement,
        method=Operators(m.MDP),
        instance=random_mdp,
        mutants=(),
        steps=steps,
        **options,
    )


def test_claims_do_not_lend_themselves_to_other_claims():
    one = Claim(s.mean(s.q), s.mean(s.q) + 0, "a number", "number", method=Sums())
    lie = Claim(s.y, s.q, "a lie", "lie", (Rule(s.y, s.q, "a lie", one),), Sums())
    assert "not proved before it" in str(_derivation(lie, one).prove())
    bound = Claim(s.t + 1 / s.t, 2, "an inequality", "bound", method=Sign())
    equal = Claim(s.t + 1 / s.t, sympy.Integer(2), "taken for an equality", "equal", (bound.rule(),), Transitive())
    assert not _derivation(equal, bound).prove()
    vanishing = Claim(m.eta * m.V_F, m.eta * m.V_L, "may be 0 = 0", "vanishing")
    divided = Claim(m.V_F, m.V_L, "divided by η", "divided", (Rule(m.V_F, m.V_L, "", vanishing),))
    assert any("not proved before it" in r.reason for r in _derivation(divided, vanishing).prove().results)


def test_hypotheses_must_be_declared_again():
    still = derivations.get("sobirl-proposition-5-1")
    used = Claim(m.dV_F, m.R_F * m.Pi * m.dr_F, "borrowed", "borrowed", (still.statement.rule(),))
    assert "holds only if the kernel does not move" in str(_derivation(used, rests_on=(still,)).prove())
    assert _derivation(used, rests_on=(still,), hypotheses=still.hypotheses).prove()


def test_what_rests_on_sand_is_not_proved():
    sand = _derivation(Claim(m.V_F, m.V_L, "a wish", "wish"))
    house = _derivation(Claim(m.Pi * m.E, sympy.S.One, "true", "true"), rests_on=(sand,))
    assert not house.prove()
    assert "rests on attack, which is NOT proved" in str(house.prove())


def test_numbers_that_are_none_do_not_pass():
    instance = Instance({s.b: -0.5, s.u: 1.5})
    with np.errstate(invalid="ignore"):
        assert excess(log(s.b), sympy.S.Zero, instance) == np.inf
    with pytest.raises(ValueError, match="different shapes"):
        evaluate(m.V_F + m.rho, random_mdp(np.random.default_rng(0)))
