r"""Followers that are not optimal: how far they are, what that does to the hypergradient, what one improvement mends.

Here `x` is no parameter of the leader's: it moves the follower's policy away from its optimum.
"""

from __future__ import annotations

from typing import Any

from sympy import Derivative, S, exp, log

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.suboptimal import random_suboptimal
from boltzgrad.derivations.kit.methods import Operators, Sums
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import solved
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m

_OPERATORS = Operators(m.MDP)
_ANSWER = Rule(
    m.KL_up,
    m.Pi * m.log_pi - (m.Pi * m.Q_star - m.V_star) / m.tau,
    "log π* = (Q* − V*)/τ, and π° sums to one",
)
_SHORT = Claim(
    m.V_star - m.V_F - m.Pi * (m.Q_star - m.Q_F),
    m.tau * m.KL_up,
    "the mean of log π° − log π* under π°",
    "one step",
    (m.VALUE_F, _ANSWER),
)
_BELLMAN = (
    Rule(m.P * m.V_star, (m.Q_star - m.r_F) / m.gamma_F, m.Q_STAR.because),
    Rule(m.P * m.V_F, (m.Q_F - m.r_F) / m.gamma_F, m.BELLMAN_F.because),
)
_GAP = solved(
    m.V_star - m.V_F,
    m.R_F,
    m.gamma_F * m.Pi * m.P,
    m.tau * m.KL_up,
    "Q* − Q° = γ_F P(V* − V°)",
    "gap",
    (*_BELLMAN, Rule(m.V_star, m.V_F + m.Pi * (m.Q_star - m.Q_F) + m.tau * m.KL_up, _SHORT.because, _SHORT)),
)

gap = Derivation(
    name="suboptimality-gap",
    meanings={
        m.V_F: "soft value V° of any policy π°",
        m.Q_F: "r_F + γ_F P V°",
        m.Pi: "mean under π°",
        m.log_pi: "log π°",
        m.R_F: "(I − γ_F Π°P)⁻¹",
        m.KL_up: "divergence KL(π°‖π*)",
    },
    title="A follower's gap is the divergence that it meets on its way",
    source="the performance difference lemma with entropy; HPGD App. E",
    equations=("V* − V° of a policy",),
    text=r"""Let $V^\circ,Q^\circ$ be the soft values of any policy $\pi^\circ$. Then $V^*-V^\circ=(I-\gamma_F\Pi^\circ P)^{-1}
    \tau\,\mathrm{KL}(\pi^\circ\|\pi^*)$: the gap is of second order in the policy's error. And what is not known of $\pi^*$
    is known up to the gap: $\log\pi^*-\log\pi^\circ$ is $(Q^\circ-V^\circ)/\tau-\log\pi^\circ$, which anybody can compute,
    and $[\gamma_FP(V^*-V^\circ)-(V^*-V^\circ)]/\tau$.""",
    assumptions=("π° > 0", "τ > 0", "0 ≤ γ_F < 1"),
    steps=(_SHORT, *_GAP[:2]),
    statement=_GAP[2],
    method=_OPERATORS,
    instance=random_suboptimal,
    also=(
        Claim(
            (m.Q_star - m.E * m.V_star) / m.tau - m.log_pi,
            (m.Q_F - m.E * m.V_F) / m.tau
            - m.log_pi
            + (m.gamma_F * m.P * (m.V_star - m.V_F) - m.E * (m.V_star - m.V_F)) / m.tau,
            "both Bellman equations",
            "log π* − log π°",
            (m.Q_STAR, m.BELLMAN_F),
        ),
    ),
    mutants=(
        Mutant("the divergence counted once, at the first step", m.tau * m.KL_up),
        Mutant("the divergence without its τ", m.R_F * m.KL_up),
        Mutant(
            "the gap taken for nothing in log π*", (m.Q_F - m.E * m.V_F) / m.tau - m.log_pi, "log π* − log π°"
        ),
    ),
)  # fmt: skip

_SUMS_TO_ONE = Rule(s.over_actions(Derivative(s.mu, s.x)), S.Zero, "a policy sums to one, however it moves")
_OWN = s.over_actions(s.mu * (s.q - s.tau * log(s.mu)))
_MEAN_dQ = s.over_actions(s.mu * s.dq)

envelope = Derivation(
    name="policy-error-is-second-order-in-value",
    meanings={s.mu: "the follower's policy", s.q: "its action values"},
    title="At its optimum a follower's value does not feel its policy",
    source="the envelope theorem",
    equations=("V° to first order in π°",),
    text=r"""Move a policy $\mu$ and the values $Q$ that it meets. Its soft value $\sum_a\mu(Q-\tau\log\mu)$ moves by the mean
    of $Q$'s motion and by $\sum_a\mathrm d\mu\,(Q-\tau\log\mu)$. At $\mu=\pi^*$ the bracket is $V$ for every action and
    nothing is left of it: $\mathrm dV=\gamma_F\Pi P\,\mathrm dV$, so $\mathrm dV=0$. A plug-in hypergradient is therefore off
    by what $\pi^\circ$ does in its formula, to first order, and not by what $V^\circ$ does.""",
    assumptions=("τ > 0",),
    steps=(
        Claim(
            Derivative(_OWN, s.x),
            _MEAN_dQ + s.over_actions(Derivative(s.mu, s.x) * (s.q - s.tau * log(s.mu))),
            "product rule; τ Σ dμ = 0",
            "dV",
            (_SUMS_TO_ONE,),
        ),
    ),
    statement=Claim(
        s.over_actions(Derivative(s.mu, s.x) * (s.q - s.tau * (s.q - s.V) / s.tau)),
        0,
        "log π* = (Q − V)/τ: the bracket is V for every action",
        "at π*",
        (_SUMS_TO_ONE,),
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("the entropy forgotten: Q alone has no such bracket", left=s.over_actions(Derivative(s.mu, s.x) * s.q)),
        Mutant("the policy's own motion forgotten away from the optimum", _MEAN_dQ, "dV"),
        Mutant(
            "τ lost before the logarithm",
            left=s.over_actions(Derivative(s.mu, s.x) * (s.q - (s.q - s.V) / s.tau)),
        ),
    ),
)

# The improved policy, where the follower's values fall short of the optimum's by e of y.
_WEIGHT = exp((s.q - s.e * s.y) / s.tau)
_WHOLE = s.over_actions(_WEIGHT)
_IMPROVED = (s.q - s.e * s.y) / s.tau - log(_WHOLE)


def _mean(f: Any) -> Any:
    """The mean under the improved policy."""
    return s.over_actions(_WEIGHT * f) / _WHOLE


improvement = Derivation(
    name="one-improvement-squares-the-error",
    meanings={
        s.q: "Q* of the follower",
        s.y: "the direction of γ_F P(V* − V°)",
        s.e: "its size, which is that of the gap",
    },
    title="One soft policy improvement squares the hypergradient's error",
    source="not in the papers",
    equations=("π¹ in the gap",),
    text=r"""The improved policy $\pi^1\propto e^{Q^\circ/\tau}$ knows $\pi^\circ$ through $Q^\circ=Q^*-\gamma_FP(V^*-V^\circ)$
    alone. So $\log\pi^1-\log\pi^*$ is linear in the gap: its slope is the centred $-\gamma_FP(V^*-V^\circ)/\tau$, and what
    is beyond that a variance. The gap is of second order in the policy's error (`suboptimality-gap`), and so is $V^*-V^\circ$.
    A hypergradient formula is a smooth function of policy and values: under $(\pi^1,V^\circ)$ it is off by a term linear in the
    gap, where under $\pi^\circ$ it was off by the gap's root.""",
    assumptions=("τ > 0", "the formula is differentiable in π and V"),
    steps=(
        Claim(
            Derivative(_IMPROVED, s.e),
            (_mean(s.y) - s.y) / s.tau,
            "the derivative of a log-softmax: linear in the gap",
            "slope",
        ),
    ),
    statement=Claim(
        Derivative(_IMPROVED, (s.e, 2)),
        -(_mean(s.y**2) - _mean(s.y) ** 2) / s.tau**2,
        "once more: a variance of what the gap is made of, the same for every action",
        "curvature",
    ),
    method=Sums(),
    instance=random_actions,
    rests_on=(gap,),
    mutants=(
        Mutant("no curvature: exactly linear", S.Zero),
        Mutant("the mean of the squares for the variance", -_mean(s.y**2) / s.tau**2),
        Mutant("not centred: the normalisation does not move", -s.y / s.tau, "slope"),
        Mutant("no slope: the improved policy taken for the optimum", S.Zero, "slope"),
    ),
)

_LOG = (s.q - s.V) / s.tau  # log π_Q
_STEP = exp((1 - s.u) * log(s.mu) + s.u * s.q / s.tau)
_OVER = log(s.mu) - _LOG  # log μ − log π_Q

natural = Derivation(
    name="natural-gradient-step",
    meanings={s.mu: "the policy before the step", s.u: "ητ/(1 − γ)", s.q: "its soft action values"},
    title="A natural gradient step takes a share of the distance to the improved policy",
    source="HPGD (18), Proposition E.7; Cen et al. (2022)",
    equations=("HPGD (18)",),
    text=r"""With $u=\eta\tau/(1-\gamma)$ the step $\mu^{1-u}e^{uQ/\tau}$, normalised, has $\log\mu-\log\pi_Q$ times $1-u$ left,
    up to a constant of the state, where $\pi_Q\propto e^{Q/\tau}$ is the improved policy. At $u=1$ nothing is left: natural
    policy gradient is then soft policy iteration.""",
    assumptions=("0 < u ≤ 1", "μ > 0"),
    steps=(
        Claim(
            s.over_actions(_STEP),
            exp(s.u * s.V / s.tau) * s.over_actions(s.pi * exp((1 - s.u) * _OVER)),
            "μ^(1−u) = π_Q^(1−u) exp((1 − u)(log μ − log π_Q))",
            "Σ of the step",
        ),
    ),
    statement=Claim(
        log(_STEP) - _LOG,
        (1 - s.u) * _OVER + s.u * s.V / s.tau,
        "the logarithm of the step before it is normalised",
        "a share is left",
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("the whole distance is taken whatever the step", s.u * s.V / s.tau),
        Mutant("the share that is left taken for the share that is gone", s.u * _OVER + s.u * s.V / s.tau),
        Mutant("Q without its τ", left=(1 - s.u) * log(s.mu) + s.u * s.q - _LOG),
    ),
)

DERIVATIONS = (gap, envelope, improvement, natural)
