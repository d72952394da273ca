r"""How wrong ∇J can be when the follower is solved approximately: exactly, then bounded coordinate by coordinate."""

from __future__ import annotations

from sympy import exp, log

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.mdp import low_iterate
from boltzgrad.derivations.kit.methods import NonNegative, Operators, Sign, Sums
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import chain, concluded
from boltzgrad.derivations.soft_bellman import a_posteriori
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m
from boltzgrad.derivations.theorem_1 import theorem_1

_OPERATORS = Operators(m.MDP)
_MOVED = m.Pi_star - m.Pi
_AHEAD = m.g_hat + m.gamma_L * m.P * m.Y
_ERROR = (m.drho * m.V_Ls + m.rho * m.R_Ls * m.Pi_star * m.g_star) - (m.drho * m.V_L + m.rho * m.R_L * m.Pi * m.g_hat)
_PARTS = (
    m.drho * (m.V_Ls - m.V_L) + m.rho * m.R_Ls * m.Pi_star * (m.g_star - m.g_hat) + m.rho * m.R_Ls * _MOVED * _AHEAD
)
_Y = Rule(m.Y, m.R_L * m.Pi * m.g_hat, "Ŷ = R_L Π ĝ")

_LEADER = Claim(
    m.V_Ls - m.V_L,
    m.R_Ls * _MOVED * m.Q_L,
    "V_L* = R_L* Π* r_L, and Q_L = r_L + γ_L P V_L with V_L = R_L Π r_L",
    "performance difference",
    (
        Rule(m.V_Ls, m.R_Ls * m.Pi_star * m.r_L, "the leader's value under π*"),
        m.BELLMAN_L,
        Rule(m.V_L, m.R_L * m.Pi * m.r_L, "the leader's value under the iterate's policy"),
    ),
)
_FOLLOWER = Claim(
    m.q_star - m.q_hat,
    m.W_s * (m.u_star - m.u_hat + m.gamma_F * m.P * _MOVED * m.q_hat),
    "both are solutions of their own Bellman equation",
    "∇Q_F's error",
    (
        Rule(m.q_star, m.W_s * m.u_star, "(6) under π*"),
        Rule(m.P * m.Pi * m.q_hat, (m.q_hat - m.u_hat) / m.gamma_F, "(6) under the iterate's policy"),
    ),
)
_SUMMAND = Claim(
    m.g_star - m.g_hat,
    m.gamma_L * m.dP * (m.V_Ls - m.V_L)
    + D(m.Q_Ls - m.E * m.V_Ls - m.B) * m.q_star / m.tau
    + D(m.B) * (m.q_star - m.q_hat) / m.tau,
    "add and subtract B_L ∇Q*",
    "the summand's error",
    (
        Rule(m.g_star, m.dr_L + m.gamma_L * m.dP * m.V_Ls + D(m.Q_Ls - m.E * m.V_Ls) * m.q_star / m.tau, "(5) at π*"),
        Rule(m.g_hat, m.dr_L + m.gamma_L * m.dP * m.V_L + D(m.B) * m.q_hat / m.tau, "(5) at the iterate"),
    ),
)
_SPLIT = Claim(
    _ERROR,
    _PARTS,
    "ν*Π*ĝ − νΠĝ = ν*(Π* − Π)(ĝ + γ_L PŶ): the resolvents' difference",
    "exact error",
    (_Y,),
)
_DIAGONAL = m.R_Ls * (1 - m.gamma_L * m.Pi_star * m.P) * m.one_S
_ROWS = chain(
    (1 - m.gamma_L) * m.R_Ls * m.one_S,
    (_DIAGONAL, "rows of Π*P sum to one", "rows, a"),
    (m.one_S, "R_L* (I − γ_L Π*P) = I", "rows, b", (m.LEADER_STAR_LEFT,)),
)
_ROW_SUMS = concluded(_ROWS, "so the rows of R_L* sum to 1/(1 − γ_L)", "rows")
_NEAR = Claim(
    m.residual / (1 - m.gamma_F) * m.one_S,
    m.V_star - m.V_F,
    "V* − V ≤ R*(TV − V) ≤ ϱ R* 1: `a-posteriori-bound` from above, KL ≥ 0",
    "V* − V ≤ ϱ/(1−γ)",
    (
        Rule(m.V_star, m.V_F + m.R_star * (m.TV - m.V_F - m.tau * m.KL_down), "from above", a_posteriori.steps[-1]),
        Rule(m.TV, m.V_F + m.residual * m.one_S - m.left_residual, "TV − V ≤ ϱ"),
        Rule((1 - m.gamma_F) * m.R_star * m.one_S, m.one_S, "rows of R* sum to 1/(1 − γ_F)", a_posteriori.also[-1]),
    ),
    NonNegative(m.MDP),
)
_larger = s.over_actions(exp((s.q + s.c) / s.tau))

error_bound = Derivation(
    name="per-coordinate-error-bound",
    meanings={
        m.V_F: "any iterate",
        m.Pi: "mean under the iterate's policy",
        m.V_L: "the leader's value under the iterate's policy",
        m.R_L: "(I − γ_L Π P)⁻¹ of the iterate's policy",
    },
    title="A bound on every coordinate of ∇J from the follower's residual",
    source="not in the papers",
    equations=("per-coordinate bound of ∇J from the residual",),
    kind="inequality",
    text=r"""With $\hat V$ of residual $\varrho=\|T\hat V-\hat V\|_\infty$: $\|V^*-\hat V\|\le\varrho/(1-\gamma_F)$, so
    $|\log\pi^*-\log\hat\pi|\le\delta= 2\gamma_F\varrho/(\tau(1-\gamma_F))$ and $|\pi^*-\hat\pi|\le\eta\hat\pi$,
    $\eta=e^\delta-1$. The error of one coordinate of ∇J is *exactly* $\nabla\rho(V_L^*-V_L)+\nu^*\Pi^*(g^*-\hat
    g)+\nu^*(\Pi^*-\Pi)(\hat g+\gamma_LP\hat Y)$, hence at most $e_\rho+(e_g+\eta e_h)/(1-\gamma_L)$. $g^*-\hat g$
    splits further, into errors of $V_L$, $B_L$ and $\nabla Q_F$, each a resolvent applied to $(\Pi^*-\Pi)$ of
    something computed.""",
    assumptions=("V̂ arbitrary, everything else exact for its policy", "bounds e are of the coordinate in question"),
    steps=(
        _NEAR,
        Claim(
            _larger,
            s.over_actions(exp((s.q + s.c) / s.tau) / (1 + s.mu)),
            "T is monotone: Q* ≤ Q̂ + c gives V* ≤ V̂ + c, from either side",
            "log-sum-exp is 1-Lipschitz",
            method=Sign(),
        ),
        Claim(
            ((s.w - s.V_w) - (s.q - s.V)) / s.tau,
            log(s.pi_w) - log(s.pi),
            "log π = (Q − V)/τ: two terms, each at most γ_F ϱ/(1 − γ_F)",
            "δ",
            method=Sums(),
        ),
        Claim(s.t, 2 - 1 / s.t, "e^δ − 1 ≥ 1 − e^{−δ}: t + 1/t − 2 = (t − 1)²/t", "η", method=Sign()),
        _LEADER,
        _FOLLOWER,
        _SUMMAND,
        _SPLIT,
        *_ROWS,
        _ROW_SUMS,
    ),
    statement=Claim(
        m.e_rho + (m.e_g + m.eta * m.e_h) / (1 - m.gamma_L),
        _ERROR,
        "each part replaced by its bound; ρR_L*Π* has total mass 1/(1 − γ_L). The other side: turn the direction",
        "bound",
        (
            _Y,
            Rule(m.Pi_star * m.g_star, m.Pi_star * m.g_hat + m.e_g * m.one_S - m.Pi_star * m.left_g, "g* − ĝ ≤ e_g"),
            Rule(
                m.Pi_star * m.g_hat,
                m.Pi * m.g_hat - m.gamma_L * _MOVED * m.P * m.R_L * m.Pi * m.g_hat + m.eta * m.e_h * m.one_S - m.left_h,
                "(Π* − Π)(ĝ + γ_L PŶ) ≤ η e_h",
            ),
            Rule(m.drho * m.V_Ls, m.drho * m.V_L + m.e_rho - m.left_rho, "∇ρ(V_L* − V_L) ≤ e_ρ"),
            _ROW_SUMS.rule(),
        ),
        NonNegative(m.MDP),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, low_iterate),
    mutants=(
        Mutant("the residual for the error", label="V* − V ≤ ϱ/(1−γ)", left=m.residual * m.one_S),
        Mutant(
            "two sweeps of the discount for all of them",
            label="V* − V ≤ ϱ/(1−γ)",
            left=m.residual * (1 + m.gamma_F) * m.one_S,
        ),
        Mutant(
            "the exact error without the move of the occupancy",
            m.drho * (m.V_Ls - m.V_L) + m.rho * m.R_Ls * m.Pi_star * (m.g_star - m.g_hat),
            "exact error",
        ),
        Mutant("the exact error without the start's term", _PARTS - m.drho * (m.V_Ls - m.V_L), "exact error"),
        Mutant("∇Q_F's error without the move of the policy", m.W_s * (m.u_star - m.u_hat), "∇Q_F's error"),
        Mutant("the performance difference under the old resolvent", m.R_L * _MOVED * m.Q_L, "performance difference"),
    ),
    rests_on=(a_posteriori, theorem_1),
)

DERIVATIONS = (error_bound,)
