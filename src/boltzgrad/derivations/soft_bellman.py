r"""The follower's fixed point: why its answer is the Boltzmann policy, why it is unique, and how wrong an iterate can be."""

from __future__ import annotations

from typing import Any

from sympy import Derivative, Subs, diff, exp, log

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.mdp import random_iterate, random_mdp
from boltzgrad.derivations.kit.methods import Calculus, NonNegative, Operators, Sign, Sums, Transitive
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import chain, concluded, solved
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m

_KL = s.over_actions(s.mu * (log(s.mu) - (s.q - s.V) / s.tau))
_ENTROPIC = s.over_actions(s.mu * (s.q - s.tau * log(s.mu)))
_RATIO = s.mu / s.pi
_F = s.t * log(s.t) - s.t + 1

fixed_point = Derivation(
    name="soft-bellman-fixed-point",
    title="The Boltzmann policy is the one best answer",
    source="BC-HG (1), (2), (22), (29), (36); HPGD (1); SoBiRL (4)-(7)",
    equations=(
        "BC-HG (1)",
        "BC-HG (2)",
        "BC-HG (22)",
        "BC-HG (29)",
        "BC-HG (36)",
        "SoBiRL (5)",
        "SoBiRL (6)",
        "SoBiRL (7)",
    ),
    text=r"""Fix the values of the next states. Among all policies $\mu$ at a state, the mean of $Q$ plus $\tau$ times the
    entropy falls short of $V=\tau\log\sum_a e^{Q/\tau}$ by exactly $\tau\,\mathrm{KL}(\mu\,\|\,\pi^*)$. So $V$ is
    the optimum and $\pi^*=e^{(Q-V)/\tau}$ is the only policy that attains it, which is why the leader's problem (2)
    is well-posed.""",
    assumptions=("temperature τ > 0", "finitely many actions, any number"),
    steps=(
        Claim(s.over_actions(exp((s.q - s.V) / s.tau)), 1, "normalised by V = τ log Z", "π* sums to one"),
        Claim(
            _KL,
            s.over_actions(s.pi * _F.subs(s.t, _RATIO)),
            "with t = μ/π*, and because both policies sum to one",
            "KL as a mean",
            (s.ANY_POLICY,),
        ),
        Claim(Derivative(_F, s.t, 2), 1 / s.t, "f(t) = t log t − t + 1", "f''", method=Calculus()),
        Claim(diff(_F, s.t, 2), 0, "so f is strictly convex", "f'' ≥ 0", method=Sign()),
        Claim(Subs(_F, s.t, 1), 0, "its value at t = 1", "f(1)", method=Calculus()),
        Claim(
            Subs(Derivative(_F, s.t), s.t, 1),
            0,
            "its slope at t = 1: f ≥ 0, and f = 0 only at μ = π*",
            "f'(1)",
            method=Calculus(),
        ),
    ),
    statement=Claim(
        _ENTROPIC + s.tau * _KL,
        s.V,
        "log π* = (Q − V)/τ, and μ sums to one",
        "(22)",
        (s.ANY_POLICY,),
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("lost temperature: log Z", log(s.Z)),
        Mutant("log of the mean instead of the sum", s.tau * log(s.Z / s.A)),
        Mutant("mean of Q without the entropy", s.mean(s.q)),
    ),
    finding=r"""HPGD (1) adds $\lambda H$ with $H=\sum_a\pi\log\pi$, which is minus the entropy: as written, the follower is
    paid for being deterministic and its answer is not the softmax the paper uses. The sign must be minus (or $H$
    the entropy); Algorithm 2 repeats the slip.""",
)

_MOVED = s.tau * log(s.over_actions(exp((s.q + s.gamma * s.c) / s.tau)))
_BACKUP_AT_ONE_STATE = s.tau * log(s.over_actions(exp((s.q + s.gamma * s.h) / s.tau)))

_OPERATORS = Operators(m.MDP)
_DIAGONAL = m.R_F * (1 - m.gamma_F * m.Pi * m.P) * m.one_S
_ROWS = Claim((1 - m.gamma_F) * m.R_F * m.one_S, _DIAGONAL, "rows of ΠP sum to one", "R1, a", method=_OPERATORS)
_INVERSE = Claim(_DIAGONAL, m.one_S, "R_F (I − γ_F ΠP) = I", "R1, b", (m.RESOLVENT_F_LEFT,), method=_OPERATORS)
ROW_SUMS = Claim(
    (1 - m.gamma_F) * m.R_F * m.one_S,
    m.one_S,
    "both together",
    "‖R‖ = 1/(1−γ)",
    (_ROWS.rule(), _INVERSE.rule()),
    Transitive(),
)

contraction = Derivation(
    name="soft-bellman-contraction",
    title="The soft Bellman operator: Jacobian, contraction, unique fixed point",
    source="SoBiRL Prop 4.1 (= D.1), (17)-(21), Prop G.9; HPGD, soft Bellman operator of App. E",
    equations=("SoBiRL Prop 4.1",),
    text=r"""$T$ moves by $\gamma_F P_{\pi_V}$ times the motion of $V$; a constant added to $V$ adds $\gamma_F$ times itself;
    and $T$ is monotone. If $W\le V+c$ then $TW\le TV+\gamma_F c$: a $\gamma_F$-contraction in the sup norm, so one
    fixed point, and $I-\gamma_F P_\pi$ has the inverse $R_F$ whose rows sum to $1/(1-\gamma_F)$.""",
    assumptions=("0 ≤ γ_F < 1", "rows of the kernel sum to one (less than one only helps)"),
    steps=(
        Claim(_MOVED, s.V + s.gamma * s.c, "the exponential of a sum", "shift"),
        Claim(s.over_actions(s.pi * s.gamma * s.p), 0, "π > 0 and p ≥ 0: T is monotone", "monotone", method=Sign()),
        Claim(m.gamma_F * m.Pi * m.P * m.one_S, m.gamma_F * m.one_S, "rows sum to one", "‖∇T‖ = γ", method=_OPERATORS),
        _ROWS,
        _INVERSE,
        ROW_SUMS,
    ),
    statement=Claim(
        Derivative(_BACKUP_AT_ONE_STATE, s.x),
        s.over_actions(
            exp((s.q + s.gamma * s.h) / s.tau)
            / s.over_actions(exp((s.q + s.gamma * s.h) / s.tau))
            * (s.dq + s.gamma * Derivative(s.h, s.x))
        ),
        "the derivative of log-sum-exp is a mean under the Boltzmann policy",
        "(19)-(21)",
    ),
    method=Sums(),
    instance=merged(random_actions, random_mdp),
    mutants=(
        Mutant("uniform instead of Boltzmann weights", s.over_actions((s.dq + s.gamma * Derivative(s.h, s.x)) / s.A)),
        Mutant(
            "the discount lost",
            s.over_actions(
                exp((s.q + s.gamma * s.h) / s.tau)
                / s.over_actions(exp((s.q + s.gamma * s.h) / s.tau))
                * (s.dq + Derivative(s.h, s.x))
            ),
        ),
    ),
)

newton = Derivation(
    name="newton-is-soft-policy-iteration",
    meanings={
        m.V_F: "any iterate",
        m.log_pi: "logarithm of the iterate's Boltzmann policy",
        m.Pi: "mean under that policy",
    },
    title="A Newton step evaluates the iterate's Boltzmann policy",
    source="not in the papers",
    equations=(),
    text=r"""One Newton step for $V=TV$ solves $(I-\gamma_F P_{\pi_V})(V^+-V)=TV-V$. The result is the soft value of the
    fixed policy $\pi_V$: Newton's method is soft policy iteration, hence monotone after the first step, and
    quadratic.""",
    assumptions=("V arbitrary, π_V its Boltzmann policy",),
    statement=Claim(
        m.V_F + m.R_F * (m.TV - m.V_F),
        m.R_F * (m.Pi * m.r_F - m.tau * m.Pi * m.log_pi),
        "TV = Π(r_F − τ log π_V) + γ_F ΠP V, and R_F(I − γ_F ΠP) = I",
        "Newton",
        (m.BACKUP, m.BELLMAN_F),
    ),
    method=_OPERATORS,
    instance=random_iterate,
    mutants=(
        Mutant("the entropy forgotten in the evaluation", m.R_F * m.Pi * m.r_F),
        Mutant(
            "one backup instead of the solve", m.Pi * m.r_F - m.tau * m.Pi * m.log_pi + m.gamma_F * m.Pi * m.P * m.V_F
        ),
    ),
)

_GAP = Claim(
    m.V_star - m.TV - m.Pi * (m.Q_star - m.Q_F),
    m.tau * m.KL_up,
    "log-sum-exp at Q*, less its tangent at Q, is τ KL(π_V‖π*)",
    "gap above",
    method=s.OF_AN_ITERATE,
)
_GAP_BELOW = Claim(
    m.V_star - m.TV - m.Pi_star * (m.Q_star - m.Q_F),
    -m.tau * m.KL_down,
    "the same with the roles exchanged: its tangent at Q* lies τ KL(π*‖π_V) below",
    "gap below",
    method=s.OF_AN_ITERATE,
)
_BELLMAN = (
    Rule(m.P * m.V_star, (m.Q_star - m.r_F) / m.gamma_F, m.Q_STAR.because),
    Rule(m.P * m.V_F, (m.Q_F - m.r_F) / m.gamma_F, m.BELLMAN_F.because),
)


def _error(resolvent: Any, average: Any, gap: Any, source: Claim, label: str) -> tuple[Claim, Claim, Claim]:
    """V* − V = R(TV − V + gap), from V* = TV + Π(Q* − Q) + gap."""
    tangent = Rule(m.V_star, m.TV + average * (m.Q_star - m.Q_F) + gap, source.because, source)
    return solved(
        m.V_star - m.V_F,
        resolvent,
        m.gamma_F * average * m.P,
        m.TV - m.V_F + gap,
        "Q* − Q = γ_F P(V* − V)",
        label,
        (*_BELLMAN, tangent),
    )


_ABOVE, _BELOW = (
    _error(m.R_F, m.Pi, m.tau * m.KL_up, _GAP, "from below"),
    _error(m.R_star, m.Pi_star, -m.tau * m.KL_down, _GAP_BELOW, "from above"),
)

_STAR_ROWS = chain(
    (1 - m.gamma_F) * m.R_star * m.one_S,
    (m.R_star * (1 - m.gamma_F * m.Pi_star * m.P) * m.one_S, "rows of Π*P sum to one", "rows of R_*, a"),
    (m.one_S, "R_* (I − γ_F Π*P) = I", "rows of R_*, b", (m.STAR_LEFT,)),
)

a_posteriori = Derivation(
    name="a-posteriori-bound",
    meanings={m.V_F: "any iterate", m.Pi: "mean under the iterate's policy", m.R_F: "(I − γ_F Π P)⁻¹ of that policy"},
    title="The error of an iterate, exactly, from its residual",
    source="not in the papers; SoBiRL Prop G.9 is the a-priori rate",
    equations=(),
    text=r"""$V^*-V = R_V\,[\,(TV-V)+\tau\,\mathrm{KL}(\pi_V\|\pi^*)\,] = R_*\,[\,(TV-V)-\tau\,\mathrm{KL}(\pi^*\|\pi_V)\,]$.
    Both divergences are non-negative and both resolvents have non-negative rows that sum to $1/(1-\gamma_F)$, so
    $R_V(TV-V)\le V^*-V\le R_*(TV-V)$ and $\|V^*-V\|_\infty\le\|TV-V\|_\infty/(1-\gamma_F)$.""",
    assumptions=("V arbitrary",),
    steps=(_GAP, *_ABOVE[:2], _GAP_BELOW, *_BELOW),
    statement=_ABOVE[2],
    method=_OPERATORS,
    instance=merged(random_actions, random_iterate),
    mutants=(
        Mutant("the residual without the divergence: a bound, not the error", m.R_F * (m.TV - m.V_F)),
        Mutant("no resolvent: the error taken for the residual", m.TV - m.V_F + m.tau * m.KL_up),
        Mutant("the divergence counted without τ", m.R_F * (m.TV - m.V_F + m.KL_up)),
    ),
    also=(
        Claim(
            m.V_star - m.V_F,
            m.R_F * (m.TV - m.V_F),
            "the divergence is not negative, nor is the resolvent",
            "V* − V ≥ R_V(TV − V)",
            (Rule(m.V_star, _ABOVE[2].right + m.V_F, _ABOVE[2].because, _ABOVE[2]),),
            NonNegative(m.MDP),
        ),
        *_STAR_ROWS,
        concluded(_STAR_ROWS, "so the rows of R_* sum to 1/(1 − γ_F)", "rows of R_*"),
    ),
    rests_on=(contraction,),
)

DERIVATIONS = (fixed_point, contraction, newton, a_posteriori)
