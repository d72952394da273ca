r"""Two-player Markov games: visitation, Lemma 1, Lemma 2, Theorem 2, and Theorem 2 as Theorem 1 on the lifted problem."""

from __future__ import annotations

import sympy
from sympy import Derivative

from boltzgrad.derivations.covariance import boltzmann_covariance
from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.game import random_game
from boltzgrad.derivations.kit.methods import Operators, Reading
from boltzgrad.derivations.kit.nodes import D, Nabla
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule, moved
from boltzgrad.derivations.kit.words import NotATerm
from boltzgrad.derivations.patterns import chain, concluded, solved
from boltzgrad.derivations.sensitivities import envelope, follower_sensitivity
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import game as g
from boltzgrad.derivations.symbols import mdp as m
from boltzgrad.derivations.theorem_1 import theorem_1

_OPERATORS = Operators(g.GAME)

_ONCE_MORE = chain(
    g.S_n + g.gamma_L**g.n * g.K**g.n * g.R_L,
    (
        g.S_n + g.gamma_L**g.n * g.K**g.n * (1 + g.gamma_L * g.K * g.R_L),
        "R_L = I + γ_L K R_L",
        "(17), a",
        (Rule(g.K * g.R_L, (g.R_L - 1) / g.gamma_L, "(I − γ_L K) R_L = I"),),
    ),
    (
        g.S_next + g.gamma_L ** (g.n + 1) * g.K ** (g.n + 1) * g.R_L,
        "S_{n+1} = S_n + γⁿKⁿ",
        "(17), b",
        (Rule(g.S_next, g.S_n + g.gamma_L**g.n * g.K**g.n, "S_{n+1} = S_n + γⁿKⁿ"),),
    ),
)

visitation = Derivation(
    name="discounted-visitation",
    title="Discounted visitation, and sums along a trajectory",
    source="BC-HG (14)-(20)",
    equations=tuple(f"BC-HG ({i})" for i in range(14, 21)),
    restored=True,
    text=r"""$p_{t+1}=p_tK$ with $K=FGP$ (14)-(16), so $\sum_{t<n}\gamma^tp_t=\rho S_n$ and $R_L=S_n+\gamma^nK^nR_L$ for
    every n: what is left vanishes. Hence $d^{\gamma}=(1-\gamma)\rho R_L$ (17)-(18), a distribution, and $\mathbb
    E\sum_t\gamma^th(s_t,a_t,b_t)=\rho R_LFGh =\frac1{1-\gamma}\mathbb E_{d^\gamma}[h]$ (19)-(20).""",
    assumptions=("0 ≤ γ < 1", "h bounded"),
    steps=(
        Claim(
            g.rho * g.K ** (g.n + 1),
            g.p_next,
            "one more step of the chain",
            "(15)-(16)",
            (
                Rule(g.p_next, g.p_t * g.K, "p_{t+1} = p_t p^{fg}"),
                Rule(g.p_t, g.rho * g.K**g.n, "induction hypothesis"),
            ),
        ),
        *_ONCE_MORE,
        concluded(_ONCE_MORE, "the same for every n", "(17)"),
        Claim(
            (1 - g.gamma_L) * g.rho * g.R_L * g.one_S,
            g.rho * g.R_L * (1 - g.gamma_L * g.F * g.G * g.P) * g.one_S,
            "rows sum to one",
            "(18), a distribution, a",
        ),
        Claim(
            g.rho * g.R_L * (1 - g.gamma_L * g.F * g.G * g.P) * g.one_S,
            g.rho * g.one_S,
            "the resolvent undone: d sums to what ρ sums to, one",
            "(18), a distribution, b",
            (g.LEADER_RESOLVENT,),
        ),
    ),
    statement=Claim(
        g.rho * g.R_L * g.F * g.G * g.h,
        g.d_L * g.F * g.G * g.h / (1 - g.gamma_L),
        "both are the discounted sum of p_t F G h",
        "(20)",
        (Rule(g.d_L, (1 - g.gamma_L) * g.rho * g.R_L, "(17)-(18)"),),
    ),
    method=_OPERATORS,
    instance=random_game,
    mutants=(
        Mutant("the factor 1/(1 − γ) forgotten", g.d_L * g.F * g.G * g.h),
        Mutant("the follower's discount", g.d_L * g.F * g.G * g.h / (1 - g.gamma_F)),
        Mutant(
            "the remainder's discount off by one",
            g.S_next + g.gamma_L**g.n * g.K ** (g.n + 1) * g.R_L,
            "(17), b",
        ),
    ),
)


# At one pair (s, a) the follower chooses among b: the sums of `actions`, read with G for Π.
_VALUES = {
    g.Q_F: s.q,
    g.dQ_F: s.dq,
    g.V_F: s.V,
    g.dV_F: Derivative(s.V, s.x),
    g.Q_L: s.y,
    g.B: s.y - s.mean(s.y),
}
_AVERAGES = {
    g.G: s.mean,
    g.dG: lambda f: s.over_actions(Derivative(s.pi, s.x) * f),
    g.EG: lambda f: f,
}


def _read(letter: object) -> object:
    if isinstance(letter, D):
        factor = Reading(g.GAME, _read).sides(letter.args[0])
        return lambda f: factor * f
    for table in (_AVERAGES, _VALUES):
        if letter in table:
            return table[letter]
    raise NotATerm(f"{letter} has no reading at one pair")


_AT_ONE_PAIR = Reading(g.GAME, _read)

_ENVELOPE = Claim(g.dV_F, g.G * g.dQ_F, "the envelope at every (s, a)", "(30)", method=_AT_ONE_PAIR)
_COVARIANCE = Claim(
    g.dG * g.Q_L, g.G * D(g.B) * g.dQ_F / g.tau, "the covariance trick at every (s, a)", "(31)", method=_AT_ONE_PAIR
)
# The summand of Lemma 1, on (s, a).
LEMMA_1 = D(g.score) * g.G * g.Q_L + g.G * D(g.B) * g.dQ_F / g.tau

_MOVES = Claim(
    g.dV_L,
    g.F * D(g.score) * g.G * g.Q_L + g.F * g.dG * g.Q_L + g.F * g.G * g.dQ_L,
    "product rule on V_L = F G Q_L, ∇f = f ∇log f",
    "(28a)",
    (moved(g.VALUE_L, g.GAME), g.SCORE),
)
_AHEAD = Claim(
    g.dQ_L,
    g.gamma_L * g.P * g.dV_L,
    "∇ of the leader's Bellman equation: rewards and kernel do not move",
    "∇Q_L",
    (moved(g.BELLMAN_L, g.GAME),),
)
_DV_L = solved(
    g.dV_L,
    g.R_L,
    g.gamma_L * g.F * g.G * g.P,
    g.F * LEMMA_1,
    "(28a), (31), and ∇Q_L = γ_L P ∇V_L",
    "(28b)",
    (Rule(g.P * g.dV_L, g.dQ_L / g.gamma_L, _AHEAD.because, _AHEAD), _MOVES.rule(), _COVARIANCE.rule()),
)
_OBJECTIVE = Claim(
    g.dJ,
    g.rho * g.dV_L,
    "ρ does not move",
    "(4)",
    (moved(Rule(g.J, g.rho * g.V_L, "the leader's objective (4)"), g.GAME),),
)

lemma_1 = Derivation(
    name="lemma-1",
    title="Lemma 1: the policy gradient with the follower's answer",
    source="BC-HG (4), Lemma 1 (27), (28a)-(32h)",
    equations=("BC-HG (4)", "BC-HG (27)", "BC-HG (28)", "BC-HG (32)", "BC-HG Lemma 1"),
    restored=True,
    text=r"""$\nabla J_L=\frac1{1-\gamma_L}\mathbb E_{d^{\gamma_L}}[\nabla\log f\,Q_L+\frac1\tau\nabla Q_F\,B_L]$: the policy
    gradient theorem for the joint policy $fg^*$, with the covariance trick for the part of $g^*$.""",
    assumptions=("the follower sees a before it answers", "f > 0 where it moves", "r, p, ρ do not move"),
    steps=(_ENVELOPE, _COVARIANCE, _MOVES, _AHEAD, *_DV_L, _OBJECTIVE),
    statement=Claim(
        g.dJ,
        g.d_L * g.F * LEMMA_1 / (1 - g.gamma_L),
        "(28b), and ρR_L is the discounted visitation",
        "(27)",
        (_OBJECTIVE.rule(), _DV_L[2].rule(), Rule(g.d_L, (1 - g.gamma_L) * g.rho * g.R_L, "(17)-(18)")),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, random_game),
    mutants=(
        Mutant("the follower's answer held still", g.d_L * g.F * D(g.score) * g.G * g.Q_L / (1 - g.gamma_L)),
        Mutant(
            "un-centred: Q_L for the Benefit",
            g.d_L * g.F * (D(g.score) * g.G * g.Q_L + g.G * D(g.Q_L) * g.dQ_F / g.tau) / (1 - g.gamma_L),
        ),
        Mutant("1/(1 − γ_L) forgotten", g.d_L * g.F * LEMMA_1),
        Mutant("lost 1/τ", g.d_L * g.F * (D(g.score) * g.G * g.Q_L + g.G * D(g.B) * g.dQ_F) / (1 - g.gamma_L)),
    ),
    rests_on=(boltzmann_covariance, envelope, visitation),
)
_DIFFERENTIATED = Claim(
    g.dQ_F,
    g.gamma_F * g.P * (g.F * D(g.score) * g.V_F + g.F * g.dV_F),
    "product rule on (36)",
    "(37)",
    (moved(g.BELLMAN_F, g.GAME), g.SCORE),
)
_LEMMA_2 = solved(
    g.dQ_F,
    g.W_F,
    g.gamma_F * g.P * g.F * g.G,
    g.gamma_F * g.P * g.F * D(g.score) * g.V_F,
    "∇ of (36): only f moves; ∇V_F = G ∇Q_F",
    "(33)",
    (Rule(g.G * g.dQ_F, g.dV_F, _ENVELOPE.because, _ENVELOPE), _DIFFERENTIATED.rule()),
)

lemma_2 = Derivation(
    name="lemma-2",
    title="Lemma 2: ∇Q_F as a sum of the leader's scores",
    source="BC-HG Lemma 2 (33), (34)-(39)",
    equations=("BC-HG (33)", "BC-HG (35)", "BC-HG (37)", "BC-HG (38)", "BC-HG (39)", "BC-HG Lemma 2"),
    restored=True,
    text=r"""$\nabla Q_F(s,a,b)=\mathbb E[\sum_{t\ge1}\gamma_F^t\nabla\log f(a_t|s_t)V_F(s_t,a_t)\,|\,s,a,b]$: a Bellman
    expectation equation whose only solution is $W_F\gamma_FPF\mathsf D[\nabla\log f]V_F$. The sum begins at t = 1:
    the first action is given.""",
    assumptions=lemma_1.assumptions,
    steps=(_ENVELOPE, _DIFFERENTIATED, *_LEMMA_2[:2]),
    statement=_LEMMA_2[2],
    also=(
        Claim(
            g.W_F * g.gamma_F * g.P * g.F * D(g.score) * g.V_F,
            g.W_F * g.gamma_F * g.P * g.F * D(g.score) * (g.V_F - g.EF * g.F * g.V_F),
            "scores have mean zero given the state: any baseline of s_t may be subtracted",
            "(33) with a baseline",
        ),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, random_game),
    mutants=(
        Mutant("the sum begun at t = 0", D(g.EG * g.score) * g.EG * g.V_F + _LEMMA_2[2].right),
        Mutant("the discount off by one", _LEMMA_2[2].right / g.gamma_F),
        Mutant("stopped after one step", g.gamma_F * g.P * g.F * D(g.score) * g.V_F),
        Mutant("the leader's value under the score", g.W_F * g.gamma_F * g.P * g.F * D(g.score) * g.V_lift),
    ),
    rests_on=(envelope,),
)

_THEOREM_2 = (
    g.d_L
    * g.F
    * (D(g.score) * g.G * g.Q_L + g.G * D(g.B) * g.W_F * g.gamma_F * g.P * g.F * D(g.score) * g.V_F / g.tau)
    / (1 - g.gamma_L)
)

theorem_2 = Derivation(
    name="theorem-2",
    title="Theorem 2: the hypergradient of a Markov game",
    source="BC-HG Theorem 2, (8), (9)-(13), (40)",
    equations=("BC-HG (8)", "BC-HG (9)", "BC-HG (40)", "BC-HG Theorem 2"),
    restored=True,
    text=r"""Lemma 1 with Lemma 2 put in: every quantity can be read off one trajectory. The outer sum carries the leader's
    discount, the inner one the follower's.""",
    assumptions=lemma_1.assumptions,
    statement=Claim(
        g.dJ, _THEOREM_2, "Lemma 1, then Lemma 2", "(8)", (lemma_1.statement.rule(), lemma_2.statement.rule())
    ),
    also=(
        Claim(
            g.d_L * g.F * g.G * D(g.B) * D(g.EG * g.score) * g.EG * g.V_F,
            0 * g.J,
            "the Benefit has mean zero given (s, a)",
            "the term t = 0",
            (g.BENEFIT,),
        ),
    ),
    method=_OPERATORS,
    instance=random_game,
    mutants=(
        Mutant("first-order policy gradient", g.d_L * g.F * D(g.score) * g.G * g.Q_L / (1 - g.gamma_L)),
        Mutant(
            "the leader's discount in the inner sum",
            g.d_L
            * g.F
            * (D(g.score) * g.G * g.Q_L + g.G * D(g.B) * g.gamma_L * g.P * g.R_L * g.F * D(g.score) * g.V_F / g.tau)
            / (1 - g.gamma_L),
        ),
    ),
    rests_on=(lemma_1, lemma_2),
    finding=r"""Beginning Lemma 2's sum at t = 0 instead of t = 1 does not change Theorem 2: the extra term is a function of (s,
    a), and the Benefit has mean zero given (s, a). It changes ∇Q_F itself, and the variance.""",
)

_RHO, _KERNEL = g.rho * g.F, g.P * g.F  # the lifted start ρ̃ and kernel
# Theorem 1, letter by letter: a state is (s, a), only start and kernel move.
_LIFT = {
    m.rho: _RHO,
    m.drho: Nabla(_RHO),
    m.dP: Nabla(_KERNEL),
    m.Pi: g.G,
    m.R_L: g.R_lift,
    m.V_L: g.V_lift,
    m.V_F: g.V_F,
    m.B: g.B,
    m.W_F: g.W_F,
    m.dr_L: sympy.S.Zero,
    m.dr_F: sympy.S.Zero,
    m.dreg: sympy.S.Zero,
}
_LIFT[m.dQ_F] = follower_sensitivity.statement.right.xreplace(_LIFT)
_LIFTED_THEOREM_1 = theorem_1.statement.right.xreplace(_LIFT)

lifting = Derivation(
    name="theorem-2-by-lifting",
    title="Theorem 2 is Theorem 1 on (state, leader's action)",
    source="not in the papers",
    equations=("Theorem 2 from Theorem 1",),
    text=r"""Let $z=(s,a)$ be the state, $\tilde\rho=\rho F$ the start and $\tilde P=PF$ the kernel. Theorem 1 on this
    configurable MDP, in which only start and kernel move, *is* Theorem 2: push $F$ through the lifted resolvent.""",
    assumptions=lemma_1.assumptions,
    steps=(
        Claim(_RHO * g.R_lift, g.rho * g.R_L * g.F, "F (I − γGPF)⁻¹ = (I − γFGP)⁻¹ F", "the lifted occupancy"),
        Claim(
            g.rho * g.F * D(g.score) * g.V_lift
            + g.gamma_L * g.rho * g.R_L * g.F * g.G * g.P * g.F * D(g.score) * g.V_lift,
            g.rho * g.R_L * g.F * D(g.score) * g.V_lift,
            "start and transitions together are the whole discounted sum",
            "scores collected",
        ),
    ),
    statement=Claim(
        _LIFTED_THEOREM_1,
        _THEOREM_2,
        "∇ρ̃ = ρ∇F, ∇P̃ = P∇F, and both steps",
        "Theorem 1 = Theorem 2",
        (g.SCORE, g.LIFTED, Rule(g.d_L, (1 - g.gamma_L) * g.rho * g.R_L, "(17)-(18)")),
    ),
    method=_OPERATORS,
    instance=random_game,
    mutants=(
        Mutant("first-order policy gradient", g.d_L * g.F * D(g.score) * g.G * g.Q_L / (1 - g.gamma_L)),
        Mutant("the start's score forgotten", _THEOREM_2 - g.rho * g.F * D(g.score) * g.V_lift),
        Mutant("the transitions' scores forgotten", left=Nabla(_RHO) * g.V_lift),
    ),
    rests_on=(theorem_1, follower_sensitivity, theorem_2),
)

DERIVATIONS = (visitation, lemma_1, lemma_2, theorem_2, lifting)
