r"""How the follower answers to a move of θ: ∇V_F, ∇Q_F, ∇π*."""

from __future__ import annotations

import sympy
from sympy import Derivative, Sum

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.mdp import fixed_kernel, fixed_policy, random_mdp
from boltzgrad.derivations.kit.methods import Calculus, Operators, Sums
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule, moved
from boltzgrad.derivations.patterns import chain, concluded, solved
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m

_OPERATORS = Operators(m.MDP)

# The follower's immediate gradient, u = ∇r_F + γ_F ∇P V_F.
IMMEDIATE = m.dr_F + m.gamma_F * m.dP * m.V_F

envelope = Derivation(
    name="envelope",
    title="The entropy drops out of ∇V",
    source="BC-HG (23), (30), (43); HPGD Prop E.1 (its last lines)",
    equations=("BC-HG (30)", "BC-HG (43)"),
    text=r"""$\nabla V_F=\mathbb E_{\pi^*}[\nabla Q_F]$: the derivative of log-sum-exp is a mean under the Boltzmann weights,
    and nothing of the policy's own motion is left.""",
    assumptions=("τ > 0",),
    statement=Claim(Derivative(s.V, s.x), s.mean(s.dq), "the derivative of log-sum-exp", "(30)"),
    also=(Claim(m.dV_F, m.Pi * m.dQ_F, "the same at every state", "(30) in operators", method=s.AT_ONE_STATE),),
    method=Sums(),
    instance=merged(random_actions, random_mdp),
    mutants=(
        Mutant("mean under uniform weights", s.over_actions(s.dq) / s.A),
        Mutant("a factor 1/τ too many", s.mean(s.dq) / s.tau),
        Mutant("the entropy's gradient added again", s.mean(s.dq) - s.mean(s.q * s.dq) + s.mean(s.q) * s.mean(s.dq)),
    ),
)
ENVELOPE = envelope.also[0].rule()

best_response = Derivation(
    name="best-response-gradient",
    title="How the Boltzmann policy moves",
    source="HPGD Prop E.1; SoBiRL (8); BC-HG (31), (42)",
    equations=("HPGD Prop E.1", "SoBiRL (8)", "BC-HG (42)"),
    text=r"""$\nabla\pi^*(a|s)=\frac1\tau\pi^*(a|s)\,(\nabla Q_F(s,a)-\nabla V_F(s))$, the advantage's gradient. SoBiRL
    writes it as $\tau^{-1}\mathrm{diag}(\pi^*)(\nabla r-U\nabla V^*)$ with $U=\mathsf E-\gamma P$, for a kernel
    that does not move.""",
    assumptions=("τ > 0",),
    statement=Claim(
        Derivative(s.pi, s.x), s.pi * (s.dq - s.mean(s.dq)) / s.tau, "quotient rule on exp(Q/τ)/Z", "Prop E.1"
    ),
    also=(
        Claim(m.dlog_pi, (m.dQ_F - m.E * m.dV_F) / m.tau, "divided by π*, with (30)", "score", method=s.AT_ONE_STATE),
        Claim(
            m.dPi * m.Q_L,
            m.Pi * D((m.dQ_F - m.E * m.dV_F) / m.tau) * m.Q_L,
            "the same under Σ_a, for any function of the action",
            "∇Π",
            method=s.AT_ONE_STATE,
        ),
        Claim(
            m.dPi * m.f_pi,
            m.Pi * D((m.dQ_F - m.E * m.dV_F) / m.tau) * m.f_pi,
            "and for the derivatives of a general upper level",
            "∇Π f",
            method=s.AT_ONE_STATE,
        ),
        Claim(
            m.dQ_F - m.E * m.dV_F,
            m.dr_F + m.gamma_F * m.dP * m.V_F - (m.E - m.gamma_F * m.P) * m.dV_F,
            "Bellman equation, differentiated; the bracket is U",
            "SoBiRL (8)",
            (moved(m.BELLMAN_F, m.MDP),),
            _OPERATORS,
        ),
    ),
    method=Sums(),
    instance=merged(random_actions, random_mdp),
    mutants=(
        Mutant("lost 1/τ", s.pi * (s.dq - s.mean(s.dq))),
        Mutant("not centred", s.pi * s.dq / s.tau),
        Mutant("centred on the uniform mean", s.pi * (s.dq - s.over_actions(s.dq) / s.A) / s.tau),
    ),
)
SCORE_OF_POLICY, POLICY_MOVES, UPPER_LEVEL_MOVES = (claim.rule() for claim in best_response.also[:3])

_DIFFERENTIATED = Claim(
    m.dQ_F,
    IMMEDIATE + m.gamma_F * m.P * m.dV_F,
    "∇ of both sides of (22), by the product rule",
    "(23a)",
    (moved(m.BELLMAN_F, m.MDP),),
)
_BELLMAN_MOVES = _DIFFERENTIATED.rule()
_MEAN_MOVES = Rule(m.Pi * m.dQ_F, m.dV_F, ENVELOPE.because, envelope.also[0])
BELLMAN_BACK = Rule(m.P * m.dV_F, (m.dQ_F - IMMEDIATE) / m.gamma_F, _DIFFERENTIATED.because, _DIFFERENTIATED)

_Q_SOLVED = solved(
    m.dQ_F,
    m.W_F,
    m.gamma_F * m.P * m.Pi,
    IMMEDIATE,
    "∇Q_F = u + γ_F P ∇V_F and ∇V_F = Π ∇Q_F",
    "(6)",
    (_MEAN_MOVES, _BELLMAN_MOVES),
)
_SCORE_FORM = Claim(
    IMMEDIATE,
    m.dr_F + m.gamma_F * m.N * D(m.score) * m.L * m.V_F,
    "∇p = p ∇log p",
    "u by scores",
    (Rule(m.dP, m.dN * m.L, "∇P is the mean of functions of s' alone"), m.SCORE),
)

follower_sensitivity = Derivation(
    name="follower-sensitivity",
    title="∇Q_F as an expectation along the follower's trajectory",
    source="BC-HG Theorem 1, (6), (23a)-(23e)",
    equations=("BC-HG (6)", "BC-HG (23)"),
    restored=True,
    text=r"""$\nabla Q_F=(I-\gamma_F P\Pi)^{-1}u$ with $u=\nabla r_F+\gamma_F\nabla P\,V_F$, that is $\nabla Q_F(s,a)=\mathbb
    E[\sum_k\gamma_F^k(\nabla r_F+\gamma_F\nabla\log p\,V_F(s_{k+1}))\,|\,s,a]$. The discount is the follower's.""",
    assumptions=("0 ≤ γ_F < 1", "the score form needs p > 0 wherever p moves"),
    steps=(_DIFFERENTIATED, *_Q_SOLVED[:2]),
    statement=_Q_SOLVED[2],
    also=(
        _SCORE_FORM,
        *solved(
            m.dV_F,
            m.R_F,
            m.gamma_F * m.Pi * m.P,
            m.Pi * IMMEDIATE,
            "∇V_F = Π ∇Q_F",
            "SoBiRL (17)",
            (BELLMAN_BACK, _MEAN_MOVES),
        ),
    ),
    method=_OPERATORS,
    instance=random_mdp,
    mutants=(
        Mutant("the kernel's motion forgotten", m.W_F * m.dr_F),
        Mutant("the leader's value in place of the follower's", m.W_F * (m.dr_F + m.gamma_F * m.dP * m.V_L)),
        Mutant("one discount too few on ∇p", m.W_F * (m.dr_F + m.dP * m.V_F)),
        Mutant("stopped after one step", IMMEDIATE),
    ),
    rests_on=(envelope,),
)
DQ_F, DV_F = _Q_SOLVED[2].rule(), follower_sensitivity.also[-1].rule()

FIXED_POLICY = (
    Rule(m.dPi, sympy.S.Zero, "the policy does not move", hypothesis=True),
    Rule(m.dlog_pi, sympy.S.Zero, "the policy does not move", hypothesis=True),
)
FIXED_MEANINGS = {
    m.Pi: "mean under the fixed policy π",
    m.log_pi: "logarithm of the fixed policy",
    m.V_F: "soft value of the fixed policy",
    m.Q_F: "soft action value of the fixed policy",
}
_VALUE_FIXED = Claim(
    m.dV_F, m.Pi * m.dQ_F, "V^π = Π(Q^π − τ log π)", "∇V, π fixed", (moved(m.VALUE_F, m.MDP), *FIXED_POLICY)
)
_Q_FIXED = Claim(
    m.dQ_F,
    IMMEDIATE + m.gamma_F * m.P * m.Pi * m.dQ_F,
    "∇ of both sides of the Bellman equation, then ∇V",
    "∇Q, π fixed",
    (Rule(m.Pi * m.dQ_F, m.dV_F, _VALUE_FIXED.because, _VALUE_FIXED), moved(m.BELLMAN_F, m.MDP)),
)
_FIXED = Rule(m.P * m.Pi * m.dQ_F, (m.dQ_F - IMMEDIATE) / m.gamma_F, _Q_FIXED.because, _Q_FIXED)
_ONCE = Claim(m.X * m.dQ_F, m.P * m.Pi * m.dQ_F, "X = PΠ", "one step", (Rule(m.X, m.P * m.Pi, "X = PΠ"),))
_STEP = Claim(
    m.gamma_F * m.X * m.dQ_F, m.dQ_F - IMMEDIATE, "the Bellman equation of ∇Q", "one step of ∇Q", (_ONCE.rule(), _FIXED)
)

_TAIL = m.gamma_F**m.n * m.X**m.n * m.dQ_F
_PARTIAL = m.S_n * IMMEDIATE
_INDUCTION = chain(
    _PARTIAL + _TAIL,
    (
        _PARTIAL + m.gamma_F**m.n * m.X**m.n * (IMMEDIATE + m.gamma_F * m.X * m.dQ_F),
        "Bellman equation of ∇Q once more, X = PΠ",
        "step n, a",
        (_STEP.rule(),),
    ),
    (
        m.S_next * IMMEDIATE + m.gamma_F ** (m.n + 1) * m.X ** (m.n + 1) * m.dQ_F,
        "S_{n+1} = S_n + γⁿXⁿ",
        "step n, b",
        (m.PARTIAL_SUM,),
    ),
)

hpgd_2_3 = Derivation(
    name="hpgd-theorem-2-3",
    meanings=FIXED_MEANINGS,
    title="∇Q under any fixed policy, by induction",
    source="HPGD Thm 2.3 and its proof",
    equations=("HPGD Thm 2.3",),
    text=r"""For a policy that does not move, $\nabla Q^\pi=\sum_{t<n}\gamma^tX^tu+\gamma^nX^n\nabla Q^\pi$ with $X=P\Pi$,
    for every $n$: for $n=0$ it says nothing, and the step from $n$ to $n+1$ is the Bellman equation of $\nabla
    Q^\pi$. As $X$ has norm one the rest vanishes like $\gamma^n$. At $\pi=\pi^*$ the envelope makes it the total
    derivative.""",
    assumptions=("any policy, fixed", "0 ≤ γ < 1"),
    hypotheses=FIXED_POLICY,
    steps=(
        _VALUE_FIXED,
        _Q_FIXED,
        _ONCE,
        _STEP,
        *_INDUCTION,
        Claim(
            sympy.Limit(sympy.exp(-s.c * m.n), m.n, sympy.oo), 0, "γ = e^{−c} with c > 0", "γⁿ → 0", method=Calculus()
        ),
    ),
    statement=concluded(_INDUCTION, "so the sum with its rest is the same for every n", "Thm 2.3"),
    also=solved(
        m.dQ_F,
        m.W_F,
        m.gamma_F * m.P * m.Pi,
        IMMEDIATE,
        "the same equation, solved",
        "Thm 2.3 in closed form",
        (_FIXED,),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, fixed_policy),
    mutants=(
        Mutant(
            "the tail's discount off by one",
            m.S_next * IMMEDIATE + m.gamma_F**m.n * m.X ** (m.n + 1) * m.dQ_F,
        ),
        Mutant(
            "the tail's chain off by one",
            m.S_next * IMMEDIATE + m.gamma_F ** (m.n + 1) * m.X**m.n * m.dQ_F,
        ),
        Mutant("no rest", m.W_F * m.dr_F, "Thm 2.3 in closed form"),
    ),
    finding=r"""The published proof of HPGD Prop E.2 writes $V(s_{T_Q})$ where Theorem 2.3 and the algorithm have
    $V(s_{T_Q+1})$.""",
)

STILL = Rule(m.dP, sympy.S.Zero, "the kernel does not move", hypothesis=True)

sobirl_5_1 = Derivation(
    name="sobirl-proposition-5-1",
    title="∇V* and ∇Q* as discounted sums of reward gradients",
    source="SoBiRL Prop 5.1 (= E.1), (22), (23)",
    equations=("SoBiRL Prop 5.1",),
    text=r"""Where only the reward moves, $\nabla V^*=\sum_t(\gamma P^{\pi^*})^t\,\Pi\nabla r$ and $\nabla Q^*=\nabla
    r+\gamma P\nabla V^*$. When the kernel moves too it is incomplete: (6) has a second term.""",
    assumptions=("the kernel does not depend on θ",),
    hypotheses=(STILL,),
    statement=Claim(m.dV_F, m.R_F * m.Pi * m.dr_F, "SoBiRL (17) with ∇P = 0", "Prop 5.1, V", (DV_F, STILL)),
    also=(
        Claim(m.dQ_F, m.W_F * m.dr_F, "(6) with ∇P = 0", "Prop 5.1, Q", (DQ_F, STILL)),
        Claim(m.dQ_F, m.dr_F + m.gamma_F * m.P * m.dV_F, "(23a) with ∇P = 0", "one step", (_BELLMAN_MOVES, STILL)),
        Claim(
            m.dQ_F,
            m.dr_F + m.gamma_F * m.P * m.R_F * m.Pi * m.dr_F,
            "the first reward, then ∇V* of the next state",
            "Prop 5.1, Q from V",
            (_BELLMAN_MOVES, DV_F, STILL),
        ),
    ),
    method=_OPERATORS,
    instance=fixed_kernel,
    mutants=(
        Mutant("undiscounted: one step of the chain only", m.Pi * m.dr_F),
        Mutant("the first reward averaged too", m.E * m.R_F * m.Pi * m.dr_F, "Prop 5.1, Q"),
        Mutant("the leader's discount", m.R_L * m.Pi * m.dr_F),
    ),
    rests_on=(follower_sensitivity,),
)

_p, _f = sympy.Function("p", positive=True)(s.z, s.x), sympy.Function("q", real=True)(s.z, s.x)

score_function = Derivation(
    name="score-function",
    title="A moving mean as a mean of scores",
    source="BC-HG (5), (6), (34); HPGD Thm 2.3; the log-derivative trick",
    equations=("BC-HG (34)",),
    text=r"""$\sum_z\nabla p(z)f(z)=\mathbb E_p[\nabla\log p(z)\,f(z)]$, and scores have mean zero because probabilities sum
    to one whatever θ.""",
    assumptions=("p > 0 where it moves",),
    steps=(
        Claim(
            Sum(_p * Derivative(sympy.log(_p), s.x), (s.z, 1, s.S)),
            Derivative(Sum(_p, (s.z, 1, s.S)), s.x),
            "∇log p = ∇p/p",
            "the mean score",
        ),
    ),
    statement=Claim(
        Sum(Derivative(_p, s.x) * _f, (s.z, 1, s.S)),
        Sum(_p * Derivative(sympy.log(_p), s.x) * _f, (s.z, 1, s.S)),
        "∇p = p ∇log p",
        "scores",
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("the score without its probability", Sum(Derivative(sympy.log(_p), s.x) * _f, (s.z, 1, s.S))),
        Mutant("∇f in place of ∇log p", Sum(_p * Derivative(_f, s.x), (s.z, 1, s.S))),
    ),
)

DERIVATIONS = (envelope, best_response, score_function, follower_sensitivity, hpgd_2_3, sobirl_5_1)
