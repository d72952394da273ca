r"""Terms that may be added to an estimator, and exact parts that may replace samples, without moving its mean."""

from __future__ import annotations

from boltzgrad.derivations.covariance import centring_variance
from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.lqr import random_lqr
from boltzgrad.derivations.instances.mdp import random_mdp
from boltzgrad.derivations.kit.methods import Operators, Sums
from boltzgrad.derivations.kit.nodes import D, GaussianMean
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import solved
from boltzgrad.derivations.sensitivities import (
    BELLMAN_BACK,
    DQ_F,
    IMMEDIATE,
    envelope,
    follower_sensitivity,
    score_function,
)
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import lqr as q
from boltzgrad.derivations.symbols import mdp as m

_OPERATORS = Operators(m.MDP)
_SAMPLED = m.N * D(m.score) * m.L * m.V_F
_Z, _V = s.h, s.y  # a score and V_F(x'), as functions of the next state
_CENTRED = _Z - s.mean(_Z)


control_variate = Derivation(
    name="transition-control-variate",
    title="A control variate for the transition's score",
    source="not in the papers; for BC-HG (5), (6) and HPGD Thm 2.3",
    equations=("control variate V_F(x') − V_F(μ(x,u))",),
    text=r"""$\mathbb E[\nabla\log p\,(V_F(x')-\psi(x,u))]=\mathbb E[\nabla\log p\,V_F(x')]$ for every function ψ of (x, u),
    such as the value at the mean next state: scores have mean zero given (x, u). With small noise
    $V_F(x')-V_F(\mu)$ is small where $V_F(x')$ is not, while the score is as large as one over the noise.""",
    assumptions=("rows of the kernel sum to one (a terminating row moves its mass: then ψ is not free)",),
    steps=(
        Claim(
            GaussianMean(q.LQR.d(q.mut) * q.Wi * q.w * (q.xbart * q.H * q.xbar), q.w, q.W),
            0 * q.m,
            "a Gaussian score has mean zero, whatever is known before the step",
            "Gaussian",
            method=Operators(q.LQR),
        ),
        Claim(
            s.mean((_CENTRED * (_V - s.b)) ** 2),
            s.mean((_CENTRED * _V) ** 2) - 2 * s.b * s.mean(_CENTRED**2 * _V) + s.b**2 * s.mean(_CENTRED**2),
            "the second moment is a parabola in the constant: `centring-variance`",
            "second moment",
            method=Sums(),
        ),
    ),
    statement=Claim(m.N * D(m.score) * (m.L * m.V_F - m.M * m.psi), _SAMPLED, "N D(∇log p) M = 0", "same mean"),
    method=_OPERATORS,
    instance=merged(random_actions, random_lqr, random_mdp),
    mutants=(
        Mutant("a control variate that depends on the next state", left=m.N * D(m.score) * (m.L * m.V_F - m.L * m.V_L)),
        Mutant("without the score", left=m.N * (m.L * m.V_F - m.M * m.psi)),
        Mutant(
            "variance falls whatever the constant",
            s.mean((_CENTRED * _V) ** 2) - s.b**2 * s.mean(_CENTRED**2),
            "second moment",
        ),
    ),
    rests_on=(score_function, centring_variance),
)

_BOOTSTRAP = m.gamma_F * (1 - m.lam) * m.P
_EXACT = solved(
    m.dQ_F,
    m.W_lam,
    m.lam * m.gamma_F * m.P * m.Pi,
    IMMEDIATE + _BOOTSTRAP * m.dV_F,
    "∇Q_F = u + γ_F P ∇V_F, split into 1 − λ of ∇V_F and λ of Π∇Q_F",
    "λ-return",
    (
        BELLMAN_BACK,
        Rule(m.Pi * m.dQ_F, m.dV_F, envelope.also[0].because, envelope.also[0]),
    ),
)

lambda_returns = Derivation(
    name="lambda-returns",
    title="Between the exact ∇Q_F and its Monte-Carlo sum: λ-returns",
    source="not in the papers; Assumption 1 of BC-HG (white-box follower) makes ∇V_F available",
    equations=("λ-returns of ∇Q_F",),
    text=r"""$(I-\lambda\gamma_FP\Pi)^{-1}[u+\gamma_F(1-\lambda)P\,\nabla V_F]=\nabla Q_F$ for every λ: λ = 1 is the sum
    along the trajectory (6), λ = 0 one step and the exact conditional gradient. With an approximate critic the bias
    is $W_\lambda\gamma_F(1-\lambda)P(\widehat{\nabla V}-\nabla V_F)$, nothing at λ = 1.""",
    assumptions=("0 < λ ≤ 1 (λ = 0 is the Bellman equation itself)",),
    steps=_EXACT[:2],
    statement=_EXACT[2],
    also=(
        Claim(
            m.W_lam * (IMMEDIATE + _BOOTSTRAP * m.critic) - m.W_lam * (IMMEDIATE + _BOOTSTRAP * m.dV_F),
            m.gamma_F * (1 - m.lam) * m.W_lam * m.P * (m.critic - m.dV_F),
            "linear in the critic",
            "bias of a critic",
        ),
    ),
    method=_OPERATORS,
    instance=random_mdp,
    mutants=(
        Mutant("the critic at full weight", m.W_lam * (IMMEDIATE + m.gamma_F * m.P * m.dV_F)),
        Mutant("the trace without λ", m.W_F * (IMMEDIATE + _BOOTSTRAP * m.dV_F)),
        Mutant("a critic has no bias", 0 * m.critic, "bias of a critic"),
    ),
    rests_on=(envelope, follower_sensitivity),
)

_GUIDED = m.rho * m.R_L * m.Pi * D(m.B)
_TERM = _CENTRED * _V  # B(a) ∇Q_F(s, a) at one state

conditional_gradient = Derivation(
    name="conditional-gradient",
    title="The exact ∇Q_F, ∇A_F, and all actions at once, in place of a sampled segment",
    source="not in the papers; Assumption 1 of BC-HG (white-box follower) makes ∇Q_F available",
    equations=("the guiding term with ∇Q_F, with ∇A_F, and with the action summed out",),
    text=r"""The guiding term is the same with the segment's expectation $\nabla Q_F=(I-\gamma_FP\Pi)^{-1}u$ in place of the
    segment, with $\nabla A_F$ in place of $\nabla Q_F$ (the Benefit has mean zero in every state), and with the sum over the
    follower's actions in place of the one that was taken; the last removes the variance over actions, no more and no
    less.""",
    assumptions=("an exact Benefit; with an estimated one that is not centred, ∇A_F and ∇Q_F differ",),
    steps=(
        Claim(m.Pi * D(m.B) * m.E, 0 * m.E, "the Benefit has mean zero", "centred", (m.BENEFIT, m.VALUE_L)),
        Claim(
            s.mean((_TERM - s.mean(_TERM)) ** 2),
            s.mean(_TERM**2) - s.mean(_TERM) ** 2,
            "expand",
            "variance over actions",
            method=Sums(),
        ),
    ),
    statement=Claim(_GUIDED * m.W_F * IMMEDIATE, _GUIDED * m.dQ_F, "∇Q_F is the segment's mean", "same mean", (DQ_F,)),
    also=(
        Claim(
            _GUIDED * (m.dQ_F - m.E * m.dV_F),
            _GUIDED * m.dQ_F,
            "Π diag(B) E = 0",
            "∇A_F for ∇Q_F",
            (m.BENEFIT, m.VALUE_L),
        ),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, random_mdp),
    mutants=(
        Mutant("Q_L in place of the Benefit", m.rho * m.R_L * m.Pi * D(m.Q_L) * m.W_F * IMMEDIATE),
        Mutant(
            "∇V_F with the other sign, under weights that are not centred",
            m.rho * m.R_L * m.Pi * D(m.Q_L) * (m.dQ_F + m.E * m.dV_F),
            "∇A_F for ∇Q_F",
        ),
        Mutant("the second moment is the variance", s.mean(_TERM**2), "variance over actions"),
    ),
    rests_on=(follower_sensitivity,),
)

DERIVATIONS = (control_variate, lambda_returns, conditional_gradient)
