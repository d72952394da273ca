r"""SoBiRL's statements: the general upper level, trajectory losses, Lipschitz constants, and the bias of its truncation."""

from __future__ import annotations

import sympy
from sympy import Derivative, Sum, exp, log

from boltzgrad.derivations.covariance import boltzmann_covariance
from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.mdp import fixed_kernel, tight_kernel
from boltzgrad.derivations.instances.trajectories import random_trajectories
from boltzgrad.derivations.kit.methods import Calculus, NonNegative, Operators, Rational, Sums
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.sensitivities import (
    SCORE_OF_POLICY,
    STILL,
    UPPER_LEVEL_MOVES,
    best_response,
    sobirl_5_1,
)
from boltzgrad.derivations.soft_bellman import ROW_SUMS, contraction
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m
from boltzgrad.derivations.theorem_1 import CHAIN_RULE, hpgd_2_2

_OPERATORS = Operators(m.MDP)
_DV = sobirl_5_1.statement.rule()
_ONE_STEP = sobirl_5_1.also[1].rule()
_U = m.E - m.gamma_F * m.P
_WEIGHTED = m.sum_S * m.Pi * D(m.f_pi)

equation_24 = Derivation(
    name="sobirl-equation-24",
    hypotheses=(STILL,),
    title="The model-based hypergradient of a general upper level",
    source="SoBiRL (24), with (8) and Prop 4.1",
    equations=("SoBiRL (24)",),
    text=r"""$\nabla\phi=\partial_xf+\tau^{-1}\nabla r^\top\mathrm{diag}(\pi^*)\partial_\pi f-\tau^{-1}(\Pi\nabla
    r)^\top(I-\gamma P_{\pi^*})^{-\top}U^\top \mathrm{diag}(\pi^*)\partial_\pi f$ for a kernel that does not move;
    $\Pi\nabla r$ is $\nabla_x\varphi$ at the fixed point.""",
    assumptions=("the kernel does not depend on θ", "f differentiable in (θ, π)"),
    statement=Claim(
        m.df,
        m.f_theta + _WEIGHTED * m.dr_F / m.tau - _WEIGHTED * _U * m.R_F * m.Pi * m.dr_F / m.tau,
        "chain rule, (8) for ∇π*, Prop 5.1 for ∇V*",
        "(24)",
        (
            CHAIN_RULE,
            UPPER_LEVEL_MOVES,
            _ONE_STEP,
            _DV,
        ),
    ),
    method=_OPERATORS,
    instance=fixed_kernel,
    mutants=(
        Mutant("∇V* forgotten", m.f_theta + _WEIGHTED * m.dr_F / m.tau),
        Mutant(
            "U without the identity",
            m.f_theta + _WEIGHTED * m.dr_F / m.tau + m.gamma_F * _WEIGHTED * m.P * m.R_F * m.Pi * m.dr_F / m.tau,
        ),
        Mutant(
            "the inverse replaced by one step",
            m.f_theta + _WEIGHTED * m.dr_F / m.tau - _WEIGHTED * _U * m.Pi * m.dr_F / m.tau,
        ),
    ),
    rests_on=(best_response, sobirl_5_1, hpgd_2_2),
)

# Trajectories: z runs over all tuples of them, k over all their steps (i, h); K(z) holds the factors that do not move.
_k, _H = s.k, s.H
_l = sympy.Function("l", real=True)(s.z, s.x)
_K = sympy.Function("K", positive=True)(s.z)
_Q = sympy.Function("Qk", real=True)(_k, s.z, s.x)
_V = sympy.Function("Vk", real=True)(_k, s.z, s.x)


def _steps(f: sympy.Expr) -> sympy.Expr:
    return Sum(f, (_k, 1, _H))


def _tuples(f: sympy.Expr) -> sympy.Expr:
    return Sum(f, (s.z, 1, s.S))


_PROBABILITY = _K * exp(_steps((_Q - _V) / s.tau))
_SCORES = _steps(Derivative(_Q, s.x) - Derivative(_V, s.x))

proposition_5_2 = Derivation(
    name="sobirl-proposition-5-2",
    title="The hypergradient of a loss of several trajectories",
    source="SoBiRL Prop 5.2 (= E.2), (11)-(13)",
    equations=("SoBiRL Prop 5.2",),
    text=r"""$\nabla\phi=\mathbb E[\nabla l]+\tau^{-1}\mathbb E\big[l\sum_i\sum_h\nabla(Q^*-V^*)(s^i_h,a^i_h)\big]$: only the
    policy's factors of a trajectory's probability move, each is $e^{(Q^*-V^*)/\tau}$, and the derivative of a
    product is the product times the sum of scores. Any number of trajectories, any horizon.""",
    assumptions=("the sampling environment's kernel and start do not move", "finitely many trajectories"),
    steps=(
        Claim(
            Derivative(log(_PROBABILITY), s.x),
            _SCORES / s.tau,
            "log of a product, SoBiRL (5)",
            "score of a tuple",
        ),
    ),
    statement=Claim(
        Derivative(_tuples(_PROBABILITY * _l), s.x),
        _tuples(_PROBABILITY * Derivative(_l, s.x)) + _tuples(_PROBABILITY * _l * _SCORES) / s.tau,
        "product rule; ∇P = P ∇log P",
        "(12)-(13)",
    ),
    method=Sums(),
    instance=random_trajectories,
    mutants=(
        Mutant("the loss's own gradient forgotten", _tuples(_PROBABILITY * _l * _SCORES) / s.tau),
        Mutant(
            "lost 1/τ",
            _tuples(_PROBABILITY * Derivative(_l, s.x)) + _tuples(_PROBABILITY * _l * _SCORES),
        ),
        Mutant(
            "∇V* forgotten",
            _tuples(_PROBABILITY * Derivative(_l, s.x))
            + _tuples(_PROBABILITY * _l * _steps(Derivative(_Q, s.x))) / s.tau,
        ),
    ),
)

# One-step truncation.
_TRUNCATED = m.rho * m.R_L * m.Pi * D(m.Q_L) * (m.dr_F - m.E * m.Pi * m.dr_F) / m.tau
_THIRD = m.rho * m.R_L * m.Pi * D(m.B) * m.dQ_F / m.tau
_BENEFIT = Rule(m.B, m.Q_L - m.E * m.Pi * m.Q_L, "the Benefit")
_g_1, _g_2, _y_1, _y_2 = s.u, s.v, s.b, s.c


def _two_steps() -> sympy.Expr:
    """Cov(∇Q_F, Q_L) at a start with two equal actions whose rewards do not move; ∇V_F of the successors is g₁, g₂."""
    x, y = (s.gamma * _g_1, s.gamma * _g_2), (_y_1, _y_2)
    mean_x, mean_y = sum(x) / 2, sum(y) / 2
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / 2


truncation = Derivation(
    name="sobirl-truncation-bias",
    hypotheses=(STILL,),
    title="SoBiRL's one-step truncation is biased, and by how much",
    source="SoBiRL (99), App. J.1; BC-HG (44), (45)",
    equations=("BC-HG (44)", "BC-HG (45)", "SoBiRL truncation bias"),
    restored=True,
    kind="what is not true, with its size",
    text=r"""Putting $\nabla r_F-\mathbb E_{\pi^*}\nabla r_F$ for $\nabla Q_F-\nabla V_F$ drops $\frac{\gamma_F}\tau\,\rho
    R_L\Pi\,\mathsf D[B_L]\,P\nabla V_F$: everything the follower gains *after* this step. It vanishes for
    $\gamma_F=0$, when ∇V_F of the next state does not depend on the action, and when its covariances with the
    Benefit cancel; in general it does not: where the reward moves only one step later, the truncated term is 0 and
    the true one is anything.""",
    assumptions=("the kernel does not depend on θ (otherwise γ_F ∇P V_F is dropped as well)",),
    steps=(
        Claim(
            _two_steps() / s.tau,
            s.gamma * (_g_1 - _g_2) * (_y_1 - _y_2) / (4 * s.tau),
            "two equal actions, rewards that move only a step later: the truncated term is 0, the true one is not",
            "counterexample",
            method=Rational(),
        ),
    ),
    statement=Claim(
        _THIRD - _TRUNCATED,
        m.gamma_F * m.rho * m.R_L * m.Pi * D(m.B) * m.P * m.R_F * m.Pi * m.dr_F / m.tau,
        "∇Q_F = ∇r_F + γ_F P ∇V_F, and the centring moves from ∇r_F to Q_L",
        "bias",
        (_ONE_STEP, _DV, _BENEFIT),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, fixed_kernel),
    mutants=(
        Mutant("unbiased", 0 * m.J),
        Mutant(
            "the bias of a truncation after two steps",
            m.gamma_F**2 * m.rho * m.R_L * m.Pi * D(m.B) * m.P * m.Pi * m.P * m.R_F * m.Pi * m.dr_F / m.tau,
        ),
        Mutant("no bias in the counterexample", sympy.S.Zero, "counterexample"),
    ),
    rests_on=(sobirl_5_1, boltzmann_covariance),
)

_BELOW = Rule(m.dr_F, m.C * m.one_SA - m.below, "∇r_F ≤ C: what is missing is not negative")
_ABOVE = Rule(m.dr_F, m.above - m.C * m.one_SA, "∇r_F ≥ −C: what is missing is not negative")
_ROWS = ROW_SUMS.rule()
_BOUND = m.C / (1 - m.gamma_F)
_EACH = s.c / (1 - s.gamma)

lemma_f_1 = Derivation(
    name="sobirl-lemma-f-1",
    hypotheses=(STILL,),
    title="V* is Lipschitz, with this constant",
    source="SoBiRL Lemma F.1",
    equations=("SoBiRL Lemma F.1",),
    kind="inequality",
    text=r"""$|\nabla V^*_s|\le C_{rx}/(1-\gamma)$ at every state, because $\nabla V^*=R_F\Pi\nabla r$ and the non-negative
    rows of $R_F\Pi$ sum to $1/(1-\gamma)$. Over $|S|$ states the Frobenius norm is at most
    $L_V=\sqrt{|S|}\,C_{rx}/(1-\gamma)$.""",
    assumptions=("|∇r(s,a)| ≤ C_rx along every direction", "the kernel does not depend on θ"),
    steps=(
        Claim(
            m.dV_F,
            -_BOUND * m.one_S,
            "the same from the other side",
            "−C/(1−γ) ≤ ∇V",
            (_DV, _ABOVE, _ROWS),
            NonNegative(m.MDP),
        ),
        Claim(
            Sum(_EACH**2, (s.z, 1, s.S)),
            s.S * s.c**2 / (1 - s.gamma) ** 2,
            "the sum over |S| states of its square",
            "L_V²",
            method=Sums(nonzero=(1 - s.gamma,)),
        ),
    ),
    statement=Claim(
        _BOUND * m.one_S,
        m.dV_F,
        "C·1 − ∇r ≥ 0, and so is its image",
        "∇V ≤ C/(1−γ)",
        (_DV, _BELOW, _ROWS),
        NonNegative(m.MDP),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, tight_kernel),
    mutants=(
        Mutant("one reward instead of a discounted sum", left=m.C * m.one_S),
        Mutant("the first reward forgotten", left=m.gamma_F * _BOUND * m.one_S),
        Mutant("the sum over states forgotten", s.c**2 / (1 - s.gamma) ** 2, "L_V²"),
    ),
    rests_on=(sobirl_5_1, contraction),
)

_Q_BELOW = Claim(
    _BOUND * m.one_SA,
    m.dQ_F,
    "∇Q* = ∇r + γ P ∇V*",
    "∇Q ≤ C/(1−γ)",
    (_ONE_STEP, _DV, _BELOW, _ROWS),
    NonNegative(m.MDP),
)

proposition_f_2 = Derivation(
    name="sobirl-proposition-f-2",
    hypotheses=(STILL,),
    title="π* and log π* are Lipschitz, with this constant",
    source="SoBiRL Prop F.2 and Prop C.7",
    equations=("SoBiRL Prop F.2",),
    kind="inequality",
    text=r"""$|\nabla\log\pi^*|=|\nabla Q^*-\nabla V^*|/\tau\le 2C_{rx}/(\tau(1-\gamma))$ entry by entry, so over $|S||A|$
    entries $L_\pi=2\sqrt{|S||A|}\,C_{rx}/(\tau(1-\gamma))$; and probabilities are nearer to each other than their
    logarithms. The constant cannot be improved entry by entry: an unlikely action that leads from a bad region into
    a good one attains it in the limit.""",
    assumptions=("|∇r(s,a)| ≤ C_rx along every direction", "the kernel does not depend on θ"),
    steps=(
        _Q_BELOW,
        Claim(m.dV_F, -_BOUND * m.one_S, "Lemma F.1", "∇V ≥ −C/(1−γ)", (_DV, _ABOVE, _ROWS), NonNegative(m.MDP)),
        Claim(
            Sum(Sum((2 * _EACH / s.tau) ** 2, (s.a, 1, s.A)), (s.z, 1, s.S)),
            4 * s.S * s.A * s.c**2 / (s.tau * (1 - s.gamma)) ** 2,
            "the sum over |S||A| entries of its square",
            "L_π²",
            method=Sums(nonzero=(1 - s.gamma,)),
        ),
        Claim(
            -Derivative(1 / (1 + s.t) - log(1 / (1 + s.t)), s.t) * (1 + s.t) ** 2,
            -s.t,
            "z − log z at z = 1/(1 + t) falls towards z = 1: dz/dt < 0 turns the sign",
            "C.7",
            method=Calculus(),
        ),
    ),
    statement=Claim(
        2 * _BOUND / m.tau * m.one_SA,
        m.dlog_pi,
        "∇log π* = (∇Q* − ∇V*)/τ: both bounds together",
        "∇log π ≤ 2C/(τ(1−γ))",
        (
            SCORE_OF_POLICY,
            STILL,
            Rule(m.dQ_F, _BOUND * m.one_SA - m.slack_Q, "what is missing in ∇Q ≤ C/(1−γ)"),
            Rule(m.dV_F, m.slack_V - _BOUND * m.one_S, "what is missing in ∇V ≥ −C/(1−γ)"),
        ),
        NonNegative(m.MDP),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, tight_kernel),
    mutants=(
        Mutant("the factor 2 lost", left=_BOUND / m.tau * m.one_SA),
        Mutant("the temperature lost", left=2 * _BOUND * m.one_SA),
        Mutant("one reward instead of a discounted sum", left=2 * m.C / m.tau * m.one_SA),
        Mutant("the sum over actions forgotten", 4 * s.S * s.c**2 / (s.tau * (1 - s.gamma)) ** 2, "L_π²"),
    ),
    rests_on=(best_response, sobirl_5_1, contraction),
)

DERIVATIONS = (equation_24, proposition_5_2, truncation, lemma_f_1, proposition_f_2)
