r"""PARL's way: the follower's optimality in its policy's logits, the Hessian there, and what an inverse of it makes of ∇J."""

from __future__ import annotations

from typing import Any

from sympy import Derivative, S, exp, log

from boltzgrad.derivations.covariance import hpgd_form
from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.logits import random_logits, random_optimum
from boltzgrad.derivations.kit.methods import Operators, Sums
from boltzgrad.derivations.kit.nodes import D, Nabla
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule, moved
from boltzgrad.derivations.patterns import chain, concluded, solved
from boltzgrad.derivations.sensitivities import IMMEDIATE
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import logits as z
from boltzgrad.derivations.symbols import mdp as m

_OPERATORS = Operators(m.MDP)
_SOFTMAX = exp(s.w) / s.over_actions(exp(s.w))
_dw = Derivative(s.w, s.x)
_MEAN_dw = s.over_actions(_SOFTMAX * _dw)
_STEP = Claim(
    m.dQ_F,
    IMMEDIATE + m.gamma_F * m.P * m.dV_F,
    "product rule on the Bellman equation",
    "∇Q",
    (moved(m.BELLMAN_F, m.MDP),),
)
_VALUE = Claim(
    m.dV_F,
    m.Pi * m.dQ_F + m.Pi * D(z.A) * z.xi,
    "product rule on V = Π(Q − τ log π); E_π∇log π = 0, and the bracket may be centred",
    "∇V",
    (moved(m.VALUE_F, m.MDP), z.MOVED, z.MOVED_LOG, z.ADVANTAGE, m.VALUE_F),
)
_BACK = Rule(m.P * m.dV_F, (m.dQ_F - IMMEDIATE) / m.gamma_F, _STEP.because, _STEP)
_GRADIENT = solved(
    m.dV_F,
    m.R_F,
    m.gamma_F * m.Pi * m.P,
    m.Pi * (IMMEDIATE + D(z.A) * z.xi),
    "∇V = Π∇Q + Π D(A) ξ, ∇Q = u + γ_F P∇V",
    "policy gradient",
    (_BACK, _VALUE.rule()),
)
_MEANINGS = {
    m.Pi: "mean under the policy softmax(z)",
    m.log_pi: "logarithm of the policy",
    m.V_F: "soft value of the policy",
    m.Q_F: "soft action value of the policy",
}

soft_policy_gradient = Derivation(
    name="soft-policy-gradient",
    meanings=_MEANINGS,
    title="The policy gradient of a soft value in logits",
    source="HPGD App. D (its vanilla policy gradient); PARL, first-order condition",
    equations=("soft policy gradient",),
    text=r"""Let the logits of any policy move along $\xi$ while the model moves with θ. Then $\nabla V=(I-\gamma_F\Pi
    P)^{-1}\Pi\,[u+\mathsf D[A]\,\xi]$ with the soft advantage $A=Q-\tau\log\pi-V$ and $u=\nabla r_F+\gamma_F\nabla P\,V$: two
    parts, one for each thing that moves. Weighted by a start the second is $d\,\Pi\,\mathsf D[A]\,\xi$, the gradient in
    logits $d(s)\pi(a|s)A(s,a)$; it is zero exactly where $A$ is: at the soft optimum.""",
    assumptions=("any policy > 0", "0 ≤ γ_F < 1"),
    steps=(
        Claim(Derivative(_SOFTMAX, s.x), _SOFTMAX * (_dw - _MEAN_dw), "quotient rule", "∇π", method=Sums()),
        Claim(Derivative(log(_SOFTMAX), s.x), _dw - _MEAN_dw, "and of its logarithm", "∇log π", method=Sums()),
        _STEP,
        _VALUE,
        *_GRADIENT[:2],
    ),
    statement=_GRADIENT[2],
    method=_OPERATORS,
    instance=merged(random_actions, random_logits),
    mutants=(
        Mutant("the logits' part forgotten: the policy held", m.R_F * m.Pi * IMMEDIATE),
        Mutant("Q for the advantage: the entropy forgotten", m.R_F * m.Pi * (IMMEDIATE + D(m.Q_F - m.E * m.V_F) * z.xi)),
        Mutant("counted at the first step alone", m.R_F * m.Pi * IMMEDIATE + m.Pi * D(z.A) * z.xi),
        Mutant("softmax not centred", _SOFTMAX * _dw, "∇π"),
    ),
)  # fmt: skip

_OPTIMAL = Rule(z.A, S.Zero, "the policy is the soft optimum: A = 0", hypothesis=True)
_CONDITION = z.occ * m.Pi * D(z.A) * z.zeta
_CROSS = z.occ * m.Pi * D(z.zeta) * (m.dQ_F - m.E * m.dV_F)


def _quadratic(xi: Any) -> Any:
    """ζ' blockdiag d(s)(diag π − ππ') ξ."""
    return z.occ * m.Pi * D(z.zeta) * (xi - m.E * m.Pi * xi)


_MOVES = Claim(
    z.dA,
    m.dQ_F - m.E * m.dV_F - m.tau * z.CENTRED,
    "A = Q − τ log π − V, and ∇log π = ξ − E_πξ",
    "∇A",
    (moved(z.ADVANTAGE, m.MDP), z.MOVED_LOG),
)
_BLIND = Claim(
    m.dV_F,
    m.R_F * m.Pi * IMMEDIATE,
    "`soft-policy-gradient` with A = 0: the value does not feel the logits",
    "∇V at π*",
    (soft_policy_gradient.statement.rule(), _OPTIMAL),
)

policy_hessian = Derivation(
    name="policy-hessian",
    meanings={**_MEANINGS, m.Pi: "mean under the follower's policy π* = softmax(z)"},
    title="The Hessian of the follower's objective in logits, at its optimum",
    source="PARL (its Hessian and cross derivative), at a soft optimum",
    equations=("PARL Hessian",),
    hypotheses=(_OPTIMAL,),
    text=r"""The follower is optimal where its gradient $d\,\Pi\,\mathsf D[A]\,\zeta$ vanishes for every direction $\zeta$ of
    the logits. Move θ and, along $\xi$, the logits: where $A=0$ only $\nabla A$ counts, $\nabla A=\nabla Q_F-\nabla
    V_F-\tau(\xi-\mathbb E_\pi\xi)$, and $\nabla Q_F$, $\nabla V_F$ do not feel $\xi$. So the cross derivative is
    $d(s)\pi(a|s)(\nabla Q_F-\nabla V_F)$ and the Hessian $-\tau\,\mathrm{blockdiag}_s\,d(s)(\mathrm{diag}\,\pi-\pi\pi^\top)$:
    no state meets another in it. Logits that move alike at a state are in its null space: of a table's Hessian $|S|$
    eigenvalues are zero, always, and PARL's assumption that it is non-singular never holds.""",
    assumptions=("the policy is the soft optimum", "0 ≤ γ_F < 1"),
    steps=(
        _MOVES,
        _BLIND,
        Claim(
            _quadratic(z.xi),
            z.occ * m.Pi * D(z.zeta) * z.xi - z.occ * D(m.Pi * z.zeta) * m.Pi * z.xi,
            "ζ'(diag π − ππ')ξ at every state, weighted by d(s)",
            "blocks",
        ),
        Claim(
            z.occ * m.Pi * D(z.zeta) * m.E * m.V_L,
            z.occ * m.Pi * D(z.zeta) * m.E * m.Pi * m.E * m.V_L,
            "a function of the state is its own mean over actions (V_L stands for any)",
            "null space",
        ),
    ),
    statement=Claim(
        Nabla(_CONDITION),
        _CROSS - m.tau * _quadratic(z.xi),
        "product rule; d and π meet A = 0",
        "Hessian",
        (_OPTIMAL, _MOVES.rule()),
    ),
    also=(
        Claim(
            m.dQ_F,
            IMMEDIATE + m.gamma_F * m.P * m.R_F * m.Pi * IMMEDIATE,
            "so that ∇Q_F is the total derivative, whatever the logits do",
            "∇Q at π*",
            (_STEP.rule(), _BLIND.rule()),
        ),
    ),
    method=_OPERATORS,
    instance=random_optimum,
    mutants=(
        Mutant("no Hessian: the logits do not count", _CROSS),
        Mutant("lost τ in the Hessian", _CROSS - _quadratic(z.xi)),
        Mutant("the Hessian without ππ'", _CROSS - m.tau * z.occ * m.Pi * D(z.zeta) * z.xi),
        Mutant("the cross derivative not centred", z.occ * m.Pi * D(z.zeta) * m.dQ_F - m.tau * _quadratic(z.xi)),
        Mutant("the Hessian's sign", _CROSS + m.tau * _quadratic(z.xi)),
        Mutant("the start's distribution for the visits",
               m.rho * m.Pi * D(z.zeta) * (m.dQ_F - m.E * m.dV_F) - m.tau * m.rho * m.Pi * D(z.zeta) * z.CENTRED),
    ),
    rests_on=(soft_policy_gradient,),
)  # fmt: skip

_LOGITS = m.rho * m.R_L * m.Pi * D(m.B)  # ∂J/∂z
_ANSWER = Rule(z.answer, (m.dQ_F - m.E * z.alike * m.dQ_F) / m.tau, "∇Q_F less its plain mean over actions, over τ")
_UNIFORM = Rule(z.alike * m.E, 1, "a plain mean of what does not depend on the action")
_ENVELOPE = Claim(
    m.dV_F, m.Pi * m.dQ_F, "`soft-policy-gradient`, one step of it, with A = 0", "∇V = Π∇Q", (_VALUE.rule(), _OPTIMAL)
)
_BENEFIT = (m.BENEFIT, Rule(m.V_L, m.Pi * m.Q_L, m.VALUE_L.because))
_THIRD = _LOGITS * m.dQ_F / m.tau
_FACTOR = z.mu / (z.mu + z.damping)
_DAMPED = Rule(z.H_damped * z.H, 1 - z.damping * z.H_damped, "(H + η)⁻¹(H + η) = I")
_EIGEN = Rule(z.H * z.e, z.mu * z.e, "e is an eigenvector of H")
_INVERTED = chain(
    (z.mu + z.damping) * z.H_damped * z.e,
    (z.H_damped * z.H * z.e + z.damping * z.H_damped * z.e, "H e = μ e", "(H + η)⁻¹e, a", (_EIGEN,)),
    (z.e, "(H + η)⁻¹(H + η) = I", "(H + η)⁻¹e, b", (_DAMPED,)),
)
_ONE = concluded(_INVERTED, "so the inverse divides a component by μ + η", "(H + η)⁻¹e")

parl = Derivation(
    name="parl-inverse",
    meanings=_MEANINGS,
    title="PARL with a pseudo-inverse is HPGD; a damped inverse shrinks every component",
    source="PARL's hypergradient on a table; HPGD Prop C.1",
    equations=("PARL pseudo-inverse", "PARL damped inverse"),
    hypotheses=(_OPTIMAL,),
    text=r"""Implicit differentiation asks for logits with $H\xi=$ cross derivative, $H=\tau\,\mathrm{blockdiag}\,d(s)
    (\mathrm{diag}\,\pi-\pi\pi^\top)$. Visits cancel, and the smallest solution, the pseudo-inverse's, is $\nabla Q_F$ less its
    plain mean over actions, over τ; since $\partial J/\partial z=\nu\pi B_L$ sums to zero over actions, what it is centred on
    does not count, and the third term is HPGD's. With $(H+\eta)^{-1}$ for the inverse a component with eigenvalue $\mu$ is
    multiplied by $\mu/(\mu+\eta)$, so that rare states, whose $\mu$ is small, count least: the bias is $-\frac\eta\tau\,
    \nu\Pi\,\mathsf D[B_L](H+\eta)^{-1}\nabla Q_F$ exactly.""",
    assumptions=("the policy is the soft optimum", "every state is visited by the follower", "η > 0"),
    steps=(
        _ENVELOPE,
        Claim(
            m.tau * _quadratic(z.answer),
            _CROSS,
            "a function of the state drops out of ξ − E_πξ",
            "it solves",
            (_ANSWER, _ENVELOPE.rule()),
        ),
        Claim(z.alike * z.answer, 0 * m.V_F, "orthogonal to the null space", "it is the smallest", (_ANSWER, _UNIFORM)),
        Claim(
            z.zeta_row * z.H * m.dQ_F / m.tau,
            _CROSS,
            "ζ'H = τ(d Π D(ζ) − d Π D(ζ)E Π): the cross derivative is H∇Q_F/τ",
            "cross derivative",
            (
                Rule(
                    z.zeta_row * z.H,
                    m.tau * z.occ * m.Pi * D(z.zeta) * (1 - m.E * m.Pi),
                    "H is τ blockdiag d(s)(diag π − ππ')",
                ),
                _ENVELOPE.rule(),
            ),
        ),
        *_INVERTED,
        _ONE,
    ),
    statement=Claim(
        _LOGITS * z.answer,
        m.rho * m.R_L * m.Pi * D(m.dQ_F - m.E * m.dV_F) * m.Q_L / m.tau,
        "Σ_a π B_L = 0, then `hpgd-third-term`",
        "pseudo-inverse",
        (_ANSWER, _ENVELOPE.rule(), *_BENEFIT),
    ),
    also=(
        Claim(
            z.H_damped * z.H * z.e,
            _FACTOR * z.e,
            "H e = μ e, then the inverse",
            "damped, by component",
            (_EIGEN, _ONE.rule()),
        ),
        Claim(
            _LOGITS * z.H_damped * z.H * m.dQ_F / m.tau,
            _THIRD - z.damping * _LOGITS * z.H_damped * m.dQ_F / m.tau,
            "(H + η)⁻¹H = I − η(H + η)⁻¹",
            "damped, its bias",
            (_DAMPED,),
        ),
    ),
    method=_OPERATORS,
    instance=random_optimum,
    mutants=(
        Mutant("∇Q_F itself for its part orthogonal to the null space", label="it is the smallest", left=z.alike * m.dQ_F),
        Mutant("lost 1/τ", m.rho * m.R_L * m.Pi * D(m.dQ_F - m.E * m.dV_F) * m.Q_L),
        Mutant("Q_L for the Benefit: logits that move alike count", left=m.rho * m.R_L * m.Pi * D(m.Q_L) * z.answer),
        Mutant("no damping in it", z.e, "damped, by component"),
        Mutant("what is lost taken for what is left", (1 - _FACTOR) * z.e, "damped, by component"),
        Mutant("the damped inverse unbiased", _THIRD, "damped, its bias"),
        Mutant("the cross derivative without its τ", z.occ * m.Pi * D(z.zeta) * (m.dQ_F - m.E * m.dV_F) / m.tau,
               "cross derivative"),
    ),
    rests_on=(soft_policy_gradient, hpgd_form),
)  # fmt: skip

DERIVATIONS = (soft_policy_gradient, policy_hessian, parl)
