r"""The Boltzmann covariance trick, and what it does to an estimator: same mean, another variance."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Derivative

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.mdp import random_mdp
from boltzgrad.derivations.kit.methods import Operators, Rational, Sums
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import chain, concluded
from boltzgrad.derivations.sensitivities import POLICY_MOVES, best_response, envelope
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m

_OPERATORS = Operators(m.MDP)
_COVARIANCE = s.mean(s.dq * s.y) - s.mean(s.dq) * s.mean(s.y)

_TRICK = chain(
    s.over_actions(Derivative(s.pi, s.x) * s.y),
    (s.over_actions(s.pi * (s.dq - s.mean(s.dq)) * s.y) / s.tau, "HPGD Prop E.1 / SoBiRL (8)", "(24a)"),
    (_COVARIANCE / s.tau, "E[(X − EX)Y] = E[XY] − EX EY", "(24b)"),
    (s.mean(s.dq * (s.y - s.mean(s.y))) / s.tau, "and the same number once more, centred on the other factor", "(24c)"),
)

boltzmann_covariance = Derivation(
    name="boltzmann-covariance",
    title="The Boltzmann covariance trick",
    source="BC-HG (21b), (24a)-(24d), (31a)-(31d)",
    equations=("BC-HG (24)", "BC-HG (31)"),
    restored=True,
    text=r"""$\sum_a\nabla\pi^*(a|s)\,Q_L(s,a)=\frac1\tau\mathrm{Cov}_{\pi^*}(\nabla Q_F,Q_L)=\frac1\tau\mathbb
    E_{\pi^*}[\nabla Q_F\,B_L]$. A covariance may be centred on either factor. Centring $Q_L$ needs only the Benefit
    of the action that was taken; centring $\nabla Q_F$ needs its mean over actions, hence several trajectories
    through one state.""",
    assumptions=("τ > 0", "any number of actions"),
    steps=_TRICK,
    statement=concluded(_TRICK, "the three steps", "(24d)"),
    also=(
        Claim(
            m.dPi * m.Q_L, m.Pi * D(m.B) * m.dQ_F / m.tau, "at every state", "(24d) in operators", method=s.AT_ONE_STATE
        ),
        Claim(
            m.dPi * m.Q_L,
            m.Pi * D(m.B) * m.dQ_F / m.tau,
            "the same, by operators alone: Π D(Q_L) E = D(ΠQ_L), so the centring moves over",
            "(24d) without sums",
            (
                POLICY_MOVES,
                Rule(m.dV_F, m.Pi * m.dQ_F, envelope.also[0].because, envelope.also[0]),
                Rule(m.B, m.Q_L - m.E * m.Pi * m.Q_L, "the Benefit"),
            ),
            _OPERATORS,
        ),
    ),
    method=Sums(),
    instance=merged(random_actions, random_mdp),
    mutants=(
        Mutant("un-centred: Q_L for the Benefit", s.mean(s.dq * s.y) / s.tau),
        Mutant("lost 1/τ", s.mean(s.dq * (s.y - s.mean(s.y)))),
        Mutant("wrong sign", -s.mean(s.dq * (s.y - s.mean(s.y))) / s.tau),
        Mutant("centred on the uniform mean", s.mean(s.dq * (s.y - s.over_actions(s.y) / s.A)) / s.tau),
        Mutant("both centred, then divided by τ²", s.mean(s.dq * (s.y - s.mean(s.y))) / s.tau**2, "(24c)"),
    ),
    rests_on=(best_response, envelope),
)
COVARIANCE = boltzmann_covariance.also[0].rule()

hpgd_form = Derivation(
    name="hpgd-third-term",
    title="HPGD's third term is BC-HG's",
    assumptions=("τ > 0", "any number of actions"),
    source="BC-HG (7), (41), (42)",
    equations=("BC-HG (7)", "BC-HG (41)"),
    restored=True,
    text=r"""$\mathbb E_{\pi^*}[(\nabla Q_F-\nabla V_F)\,Q_L]=\mathbb E_{\pi^*}[\nabla Q_F\,B_L]$ at every state; so (7) and
    the third term of (5) are one number. Replacing $Q_L$ by $B_L$ in HPGD's form as well, as its code does, changes
    nothing in the mean.""",
    statement=Claim(
        m.Pi * D(m.dQ_F - m.E * m.dV_F) * m.Q_L,
        m.Pi * D(m.B) * m.dQ_F,
        "a covariance may be centred on either factor",
        "(7) = third term of (5)",
        (
            Rule(m.dV_F, m.Pi * m.dQ_F, envelope.also[0].because, envelope.also[0]),
            Rule(m.B, m.Q_L - m.E * m.Pi * m.Q_L, "the Benefit"),
        ),
    ),
    also=(
        Claim(
            m.Pi * D(m.dQ_F - m.E * m.dV_F) * m.Q_L,
            m.Pi * D(m.dQ_F - m.E * m.dV_F) * m.B,
            "E[(X − EX) EY] = 0",
            "(41), centred twice",
            (
                Rule(m.dV_F, m.Pi * m.dQ_F, envelope.also[0].because, envelope.also[0]),
                Rule(m.B, m.Q_L - m.E * m.Pi * m.Q_L, "the Benefit"),
            ),
        ),
    ),
    method=_OPERATORS,
    instance=random_mdp,
    mutants=(
        Mutant("centred on neither", m.Pi * D(m.Q_L) * m.dQ_F),
        Mutant("centred on the value of the start", m.Pi * D(m.Q_L - m.E * m.one_S * m.rho * m.V_L) * m.dQ_F),
    ),
    rests_on=(envelope,),
)

# Estimators of one third term: X stands for ∇Q_F (along one direction), Y for Q_L, both given the state.
_X, _Y = s.h, s.y
_x, _y = s.mean(_X), s.mean(_Y)
_HPGD, _BCHG = (_X - _x) * _Y, _X * (_Y - _y)


def variance(f: Any) -> Any:
    """E_π f² − (E_π f)²."""
    return s.mean(f**2) - s.mean(f) ** 2


_u, _v = s.u, s.v


def _on_two_actions() -> Any:
    """Var[(X − EX)Y] − Var[X(Y − EY)] for two equally likely actions with X = v ± 1 and Y = u ± 1."""
    signs = (-1, 1)
    hpgd = [sign * (_u + sign) for sign in signs]
    bchg = [(_v + sign) * sign for sign in signs]
    return sum(x**2 - y**2 for x, y in zip(hpgd, bchg, strict=True)) / sympy.Integer(2)


variance_difference = Derivation(
    name="estimator-variance",
    title="HPGD's and BC-HG's estimators: one mean, two variances",
    source="compares BC-HG (5) with (7)/(41); not in the papers",
    equations=("HPGD and BC-HG: variance",),
    text=r"""Given the state, with $X=\nabla Q_F$ and $Y=Q_L$ exact: $\mathrm{Var}[(X-\bar X)Y]-\mathrm{Var}[X(Y-\bar Y)]
    =2\bar Y\,\mathbb E[X^2Y]-2\bar X\,\mathbb E[XY^2]+\bar X^2\,\mathbb E[Y^2]-\bar Y^2\,\mathbb E[X^2]$. The sign
    depends: a large common offset of $Q_L$ favours BC-HG, a large common offset of $\nabla Q_F$ favours HPGD. (HPGD
    pays for its $\bar X$ with further trajectories through the same state; that cost is not in this variance.)""",
    assumptions=("one state, exact ∇Q_F and Q_L",),
    steps=(
        Claim(s.mean(_HPGD), s.mean(_BCHG), "both are the covariance", "one mean"),
        Claim(
            _on_two_actions(),
            _u**2 - _v**2,
            "two equally likely actions, X = v ± 1, Y = u ± 1: neither is always better",
            "both signs occur",
            method=Rational(),
        ),
    ),
    statement=Claim(
        variance(_HPGD) - variance(_BCHG),
        2 * _y * s.mean(_X**2 * _Y) - 2 * _x * s.mean(_X * _Y**2) + _x**2 * s.mean(_Y**2) - _y**2 * s.mean(_X**2),
        "equal means cancel; expand the squares",
        "difference of variances",
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("equal variances", sympy.S.Zero),
        Mutant("only one of the two centrings counted", 2 * _y * s.mean(_X**2 * _Y) - _y**2 * s.mean(_X**2)),
        Mutant("always in favour of BC-HG", _u**2 + _v**2, "both signs occur"),
    ),
)

_SCORE = (_X - _x) / s.tau
_SQUARE, _CROSS = s.mean(_SCORE**2), s.mean(_SCORE**2 * _Y)

centring_variance = Derivation(
    name="centring-variance",
    title="What a baseline does to the third term",
    source="HPGD (8) = BC-HG (7), (41), with and without the Benefit for Q_L; not in the papers",
    equations=("variance of the centred and un-centred third term",),
    text=r"""With the score $Z=\nabla\log\pi^*$ and any baseline $b$ of the state, $Z(Y-b)$ has the same mean, and its
    variance is a parabola in $b$ with its minimum at $b^*=\mathbb E[Z^2Y]/\mathbb E[Z^2]$. HPGD as printed is
    $b=0$; its code, with the Benefit for $Q_L$, is $b=\bar Y$: better exactly when $\bar Y$ is nearer to $b^*$ than
    $0$ is, and optimal only when $Z^2$ and $Y$ are uncorrelated.""",
    assumptions=("one state, exact ∇Q_F and Q_L", "the score is not zero: the best baseline divides by E[Z²]"),
    steps=(Claim(s.mean(_SCORE * (_Y - s.b)), s.mean(_SCORE * _Y), "scores have mean zero", "one mean"),),
    statement=Claim(
        variance(_SCORE * (_Y - s.b)),
        variance(_SCORE * _Y) - _CROSS**2 / _SQUARE + _SQUARE * (s.b - _CROSS / _SQUARE) ** 2,
        "expand, complete the square in b",
        "parabola",
    ),
    also=(
        Claim(
            variance(_SCORE * _Y) - variance(_SCORE * (_Y - _y)),
            2 * _y * _CROSS - _y**2 * _SQUARE,
            "b = 0 less b = Ȳ",
            "un-centred less centred",
        ),
    ),
    method=Sums(nonzero=(_SQUARE,)),
    instance=random_actions,
    mutants=(
        Mutant("minimum at the mean of Q_L", variance(_SCORE * (_Y - _y)) + _SQUARE * (s.b - _y) ** 2),
        Mutant("a baseline never costs variance", variance(_SCORE * _Y) - s.b**2 * _SQUARE),
        Mutant("the gain counted with one sign", _y**2 * _SQUARE, "un-centred less centred"),
    ),
)

DERIVATIONS = (boltzmann_covariance, hpgd_form, variance_difference, centring_variance)
