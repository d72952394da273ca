r"""Theorem 1: the hypergradient of a configurable MDP; its adjoint form; HPGD's statements of the same number."""

from __future__ import annotations

from boltzgrad.derivations.covariance import COVARIANCE, boltzmann_covariance, hpgd_form
from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.mdp import random_mdp
from boltzgrad.derivations.kit.methods import Operators
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import Rule, moved
from boltzgrad.derivations.patterns import chain, concluded, solved
from boltzgrad.derivations.sensitivities import DQ_F, UPPER_LEVEL_MOVES, best_response, envelope, follower_sensitivity
from boltzgrad.derivations.symbols import mdp as m

_OPERATORS = Operators(m.MDP)

# What a visit to (s, a) adds to ∇J: the summand of (5).
SUMMAND = m.dr_L + m.gamma_L * m.dP * m.V_L + D(m.B) * m.dQ_F / m.tau
HYPERGRADIENT = m.drho * m.V_L + m.rho * m.R_L * m.Pi * SUMMAND

OBJECTIVE = Rule(m.J, m.rho * m.V_L + m.regulariser, "the leader's objective (3): J = ρ V_L + a regulariser of θ")

_START = Claim(
    m.dJ,
    m.drho * m.V_L + m.rho * m.dV_L + m.dreg,
    "product rule on (3)",
    "(21a)",
    (moved(OBJECTIVE, m.MDP),),
)
_POLICY = Claim(
    m.dV_L, m.Pi * m.dQ_L + m.dPi * m.Q_L, "product rule on V_L = Π Q_L", "(21b)", (moved(m.VALUE_L, m.MDP),)
)
_VALUE = Claim(
    m.dQ_L,
    m.dr_L + m.gamma_L * m.dP * m.V_L + m.gamma_L * m.P * m.dV_L,
    "product rule on the leader's Bellman equation",
    "(25)",
    (moved(m.BELLMAN_L, m.MDP),),
)
_MOVES = (
    Rule(m.P * m.dV_L, (m.dQ_L - m.dr_L - m.gamma_L * m.dP * m.V_L) / m.gamma_L, _VALUE.because, _VALUE),
    _POLICY.rule(),
    COVARIANCE,
)
_SOLVED = solved(
    m.dV_L,
    m.R_L,
    m.gamma_L * m.Pi * m.P,
    m.Pi * SUMMAND,
    "(21b), (25), and the covariance trick (24) for ∇Π Q_L",
    "(26)",
    _MOVES,
)

theorem_1 = Derivation(
    name="theorem-1",
    title="Theorem 1: the hypergradient of a configurable MDP",
    source="BC-HG Theorem 1, (3), (5), (21)-(26)",
    equations=("BC-HG (3)", "BC-HG (5)", "BC-HG (21)", "BC-HG (25)", "BC-HG (26)", "BC-HG Theorem 1"),
    restored=True,
    text=r"""$\nabla J_L=\nabla\rho\,V_L+\rho R_L\Pi\,[\nabla r_L+\gamma_L\nabla P\,V_L+\tfrac1\tau B_L\nabla Q_F]$ plus the
    regulariser's gradient. $\rho R_L\Pi$ is the mean of a sum along the trajectory with the *leader's* discount,
    and $\nabla Q_F$ carries the *follower's* (`follower-sensitivity`). With $\nabla p=p\nabla\log p$ this is (5) as
    printed.""",
    assumptions=("τ > 0", "0 ≤ γ_F, γ_L < 1, not necessarily equal", "r, p, ρ differentiable"),
    steps=(_START, _POLICY, _VALUE, *_SOLVED),
    statement=Claim(
        m.dJ,
        HYPERGRADIENT + m.dreg,
        "(21a) with (26)",
        "(5)",
        (_START.rule(), _SOLVED[2].rule()),
    ),
    also=(
        Claim(
            HYPERGRADIENT,
            m.rho * D(m.score_rho) * m.V_L
            + m.rho
            * m.R_L
            * m.Pi
            * (
                m.dr_L
                + m.gamma_L * m.N * D(m.score) * m.L * m.V_L
                + D(m.B) * m.W_F * (m.dr_F + m.gamma_F * m.N * D(m.score) * m.L * m.V_F) / m.tau
            ),
            "scores for ∇p and ∇ρ, (6) for ∇Q_F",
            "(5) with (6), by scores",
            (DQ_F, Rule(m.dP, m.dN * m.L, "∇P is the mean of functions of s' alone"), m.SCORE, m.SCORE_RHO),
        ),
    ),
    method=_OPERATORS,
    instance=random_mdp,
    mutants=(
        Mutant(
            "third term forgotten: the partial derivative (Naive-PGD)",
            HYPERGRADIENT + m.dreg - m.rho * m.R_L * m.Pi * D(m.B) * m.dQ_F / m.tau,
        ),
        Mutant(
            "un-centred: Q_L for the Benefit",
            m.drho * m.V_L
            + m.dreg
            + m.rho * m.R_L * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L + D(m.Q_L) * m.dQ_F / m.tau),
        ),
        Mutant("∇ρ forgotten", HYPERGRADIENT + m.dreg - m.drho * m.V_L),
        Mutant("∇P V_L forgotten", HYPERGRADIENT + m.dreg - m.gamma_L * m.rho * m.R_L * m.Pi * m.dP * m.V_L),
        Mutant(
            "the follower's discount along the leader's trajectory",
            m.drho * m.V_L + m.dreg + m.rho * m.R_F * m.Pi * SUMMAND,
        ),
        Mutant(
            "lost 1/τ",
            m.drho * m.V_L + m.dreg + m.rho * m.R_L * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L + D(m.B) * m.dQ_F),
        ),
        Mutant("the regulariser's gradient forgotten", HYPERGRADIENT),
    ),
    rests_on=(boltzmann_covariance, follower_sensitivity),
)
THEOREM_1 = theorem_1.statement.rule()

# The adjoint form: w, y and m, as covectors on pairs.
_OCCUPANCY = m.rho * m.R_L
_WEIGHT = _OCCUPANCY * m.Pi * D(m.B) / m.tau
_ADJOINT = m.gamma_F * _WEIGHT * m.P * m.R_F
_COTANGENT = _WEIGHT + _ADJOINT * m.Pi

_UNROLLED = chain(
    m.W_F,
    (1 + m.gamma_F * m.W_F * m.P * m.Pi, "W_F (I − γ_F PΠ) = I", "first step, a", (m.PAIRS_LEFT,)),
    (1 + m.gamma_F * m.P * m.R_F * m.Pi, "W_F P = P R_F", "first step, b", (m.PUSH_P,)),
)
_FIRST_STEP = concluded(_UNROLLED, "first the own step, then the chain from s'", "first step")

adjoint = Derivation(
    name="adjoint-form",
    title="The hypergradient as cotangents of the model's arrays",
    source="not in the papers; what the reference solver computes",
    equations=("adjoint form of Theorem 1",),
    text=r"""$\nabla J=\nabla\rho\,V_L+\nu\Pi\nabla r_L+m\nabla r_F+\gamma_L\nu\Pi\,\nabla P\,V_L+\gamma_F\,m\,\nabla P\,V_F$
    with $\nu=\rho R_L$, $w=\nu\Pi\mathsf D[B_L]/\tau$, $y=\gamma_F\,wPR_F$, $m=w+y\Pi$. The cost beyond the forward
    solve is two transposed solves, whatever the dimension of θ.""",
    assumptions=theorem_1.assumptions,
    steps=(
        Claim(
            _WEIGHT * m.E,
            0 * m.rho,
            "the Benefit has mean zero",
            "Σ_a w = 0",
            (Rule(m.B, m.Q_L - m.E * m.Pi * m.Q_L, "the Benefit"),),
        ),
        *_UNROLLED,
        _FIRST_STEP,
    ),
    statement=Claim(
        HYPERGRADIENT,
        m.drho * m.V_L
        + _OCCUPANCY * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L)
        + _COTANGENT * (m.dr_F + m.gamma_F * m.dP * m.V_F),
        "W_F = I + γ_F P R_F Π",
        "adjoint",
        (DQ_F, _FIRST_STEP.rule()),
    ),
    method=_OPERATORS,
    instance=random_mdp,
    mutants=(
        Mutant(
            "the follower's adjoint solve forgotten",
            m.drho * m.V_L
            + _OCCUPANCY * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L)
            + _WEIGHT * (m.dr_F + m.gamma_F * m.dP * m.V_F),
        ),
        Mutant(
            "the adjoint solved with the leader's discount",
            m.drho * m.V_L
            + _OCCUPANCY * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L)
            + (_WEIGHT + m.gamma_F * _WEIGHT * m.P * m.R_L * m.Pi) * (m.dr_F + m.gamma_F * m.dP * m.V_F),
        ),
        Mutant(
            "one reward's cotangent in place of the other's",
            m.drho * m.V_L
            + _COTANGENT * (m.dr_L + m.gamma_L * m.dP * m.V_L)
            + _OCCUPANCY * m.Pi * (m.dr_F + m.gamma_F * m.dP * m.V_F),
        ),
    ),
    rests_on=(follower_sensitivity, theorem_1),
)

hpgd_c_1 = Derivation(
    name="hpgd-proposition-c-1",
    title="HPGD's hypergradient of a discounted return",
    source="HPGD Prop C.1, (8); BC-HG (7)",
    equations=("HPGD Prop C.1",),
    text=r"""The same number with $(\nabla Q_F-\nabla V_F)\,Q_L$ in place of $\nabla Q_F\,B_L$. HPGD minimises: its $F$ is
    $-J_L$, and its formula (8), printed without a minus, is the gradient of $+J_L$.""",
    assumptions=theorem_1.assumptions,
    statement=Claim(
        m.dJ,
        m.drho * m.V_L
        + m.rho * m.R_L * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L + D(m.dQ_F - m.E * m.dV_F) * m.Q_L / m.tau)
        + m.dreg,
        "Theorem 1 with `hpgd-third-term`",
        "(8)",
        (
            THEOREM_1,
            Rule(m.dV_F, m.Pi * m.dQ_F, envelope.also[0].because, envelope.also[0]),
            m.BENEFIT,
            Rule(m.V_L, m.Pi * m.Q_L, "the leader's value is the mean of its action values"),
        ),
    ),
    method=_OPERATORS,
    instance=random_mdp,
    mutants=(
        Mutant(
            "∇Q_F not centred",
            m.drho * m.V_L
            + m.rho * m.R_L * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L + D(m.dQ_F) * m.Q_L / m.tau)
            + m.dreg,
        ),
        Mutant(
            "the sign of HPGD's minimisation",
            -m.drho * m.V_L
            - m.rho * m.R_L * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L + D(m.dQ_F - m.E * m.dV_F) * m.Q_L / m.tau)
            - m.dreg,
        ),
    ),
    rests_on=(theorem_1, hpgd_form, envelope),
    finding=r"""HPGD defines $f=-\mathbb E\sum\gamma^t\bar r$ in (7) but its Prop C.1 (8) and Algorithm 5 are the gradient of
    $+\mathbb E\sum\gamma^t\bar r$: the minus is lost.""",
)

CHAIN_RULE = Rule(m.df, m.f_theta + m.sum_S * m.dPi * m.f_pi, "chain rule for f(θ, π*(θ))")

hpgd_2_2 = Derivation(
    name="hpgd-theorem-2-2",
    title="The hypergradient of a general upper level, by sampled states",
    source="HPGD Thm 2.2, (4), (9)",
    equations=("HPGD Thm 2.2",),
    text=r"""$\nabla F=\partial_\theta f+\mathbb
    E_{s\sim\nu,a\sim\pi^*}\big[\tfrac1{\tau\nu(s)}\,\partial_{\pi(a|s)}f\,\nabla A_F(s,a)\big]$ for every ν with
    full support: the importance weight 1/ν turns the sampled sum back into the sum over states.""",
    assumptions=("f differentiable in (θ, π)", "ν > 0 everywhere"),
    steps=(
        Claim(
            m.df,
            m.f_theta + m.sum_S * m.Pi * D(m.f_pi) * (m.dQ_F - m.E * m.dV_F) / m.tau,
            "chain rule, and Prop E.1 for ∇π*",
            "(9)",
            (CHAIN_RULE, UPPER_LEVEL_MOVES),
        ),
    ),
    statement=Claim(
        m.df,
        m.f_theta + m.nu * m.Pi * D(m.E * m.nu_inverse) * D(m.f_pi) * (m.dQ_F - m.E * m.dV_F) / m.tau,
        "Σ_s = ν with weights 1/ν(s)",
        "Thm 2.2",
        (CHAIN_RULE, UPPER_LEVEL_MOVES, Rule(m.nu, m.sum_S * D(m.nu_of), "ν as a weighted sum")),
    ),
    method=_OPERATORS,
    instance=random_mdp,
    mutants=(
        Mutant("no importance weight", m.f_theta + m.nu * m.Pi * D(m.f_pi) * (m.dQ_F - m.E * m.dV_F) / m.tau),
        Mutant("lost 1/τ", m.f_theta + m.nu * m.Pi * D(m.E * m.nu_inverse) * D(m.f_pi) * (m.dQ_F - m.E * m.dV_F)),
        Mutant("∇Q_F for ∇A_F", m.f_theta + m.sum_S * m.Pi * D(m.f_pi) * m.dQ_F / m.tau, "(9)"),
    ),
    rests_on=(best_response,),
)

DERIVATIONS = (theorem_1, adjoint, hpgd_c_1, hpgd_2_2)
