r"""A horizon for both players, and a leader who counts H steps of a follower without a clock: adjoints, for any H.

The letters are those of Theorem 1 on (step, state): what is proved of one state there holds at each step here, and nothing is
inverted, so that discounts of one are as good as any.
"""

from __future__ import annotations

from boltzgrad.derivations.covariance import COVARIANCE, boltzmann_covariance
from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.finite import random_counted, random_finite
from boltzgrad.derivations.kit.methods import Operators
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import Rule, moved
from boltzgrad.derivations.patterns import chain, concluded
from boltzgrad.derivations.sensitivities import ENVELOPE, envelope
from boltzgrad.derivations.symbols import finite as f
from boltzgrad.derivations.symbols import mdp as m

_OPERATORS = Operators(m.MDP)

_START = Claim(
    m.dJ,
    m.drho * m.V_L + m.rho * m.dV_L,
    "product rule on J = ρ U_0",
    "start",
    (moved(Rule(m.J, m.rho * m.V_L, "the leader's objective J = ρ U_0"), m.MDP),),
)
_MEAN = Claim(
    m.dV_L, m.Pi * m.dQ_L + m.dPi * m.Q_L, "product rule on U_t = Π_t Q_L,t", "∇U_t", (moved(m.VALUE_L, m.MDP),)
)
_LEADER_STEP = Claim(
    m.dQ_L,
    m.dr_L + m.gamma_L * m.dP * f.U_next + m.gamma_L * m.P * (f.K * m.dV_L + f.last * f.dend_L),
    "product rule on the leader's recursion",
    "∇Q_L,t",
    (moved(f.BELLMAN_L, m.MDP), moved(f.NEXT_L, m.MDP)),
)
_FOLLOWER_STEP = Claim(
    m.dQ_F,
    m.dr_F + m.gamma_F * m.dP * f.V_next + m.gamma_F * m.P * (f.K * m.dV_F + f.last * f.dend_F),
    "product rule on the follower's recursion",
    "∇Q_t",
    (moved(f.BELLMAN_F, m.MDP), moved(f.NEXT_F, m.MDP)),
)
_LEADER_BACK = Rule(
    m.P * f.K * m.dV_L,
    (m.dQ_L - m.dr_L - m.gamma_L * m.dP * f.U_next - m.gamma_L * m.P * f.last * f.dend_L) / m.gamma_L,
    _LEADER_STEP.because,
    _LEADER_STEP,
)
_MEAN_BACK = Rule(m.Pi * m.dQ_F, m.dV_F, ENVELOPE.because, ENVELOPE.claim)
_OWN = f.visits * m.Pi * (m.dr_L + m.gamma_L * m.dP * f.U_next)
_LEADER = Claim(
    m.rho * m.dV_L,
    _OWN + f.w * m.dQ_F + f.visits_H * f.dend_L,
    "ν_t∇U_t − ν_{t+1}∇U_{t+1} summed over t: what step t adds, with the covariance trick for ∇Π_t Q_L,t",
    "leader's sum",
    (f.VISITS, f.VISITS_END, _LEADER_BACK, _MEAN.rule(), COVARIANCE, f.WEIGHT),
)
_FOLLOWER = Claim(
    f.w * m.dQ_F,
    f.m * (m.dr_F + m.gamma_F * m.dP * f.V_next) + f.y_H * f.dend_F,
    "y_t∇V_t + w_t∇Q_t = m_t∇Q_t, and y_{t+1}∇V_{t+1} is what m_t∇Q_t leaves to the next step",
    "follower's sum",
    (f.COTANGENT, _MEAN_BACK, _FOLLOWER_STEP.rule(), f.ADJOINT, f.ADJOINT_END),
)
_PAID = f.m * (m.dr_F + m.gamma_F * m.dP * f.V_next)
_ENDS = f.visits_H * f.dend_L + f.y_H * f.dend_F
_STILL = f.visits * f.Pi_first * (m.dr_L + m.gamma_L * m.dP * f.U_next)

finite_horizon = Derivation(
    name="finite-horizon-adjoint",
    title="A finite horizon: values backward, visits and adjoint forward",
    source="not in the papers; Theorem 1 with a step index",
    equations=("finite horizon",),
    meanings={
        m.Pi: "mean under the policy of each step, Σ_a π_t(a|s) ·",
        m.rho: "initial distribution, at the first step",
        m.V_L: "the leader's value U_t at each step",
    },
    text=r"""Backward $Q_t=r_F+\gamma_FPV_{t+1}$, $V_t=\tau\log\sum_ae^{Q_t/\tau}$, $Q_{L,t}=r_L+\gamma_LPU_{t+1}$,
    $U_t=\Pi_tQ_{L,t}$ from $V_H=\varphi_F$, $U_H=\varphi_L$; forward $\nu_{t+1}=\gamma_L\nu_t\Pi_tP$ from $\nu_0=\rho$,
    $w_t=\nu_t\Pi_t\mathsf D[Q_{L,t}-U_t]/\tau$, $m_t=w_t+y_t\Pi_t$, $y_{t+1}=\gamma_Fm_tP$ from $y_0=0$. Then $\nabla
    J=\nabla\rho\,U_0+\sum_t[\nu_t\Pi_t(\nabla r_L+\gamma_L\nabla P\,U_{t+1})+m_t(\nabla r_F+\gamma_F\nabla P\,V_{t+1})]
    +\nu_H\nabla\varphi_L+y_H\nabla\varphi_F$. A row times a column is the sum over all steps, for any $H$; $\rho=\nu-
    \gamma_L\nu\Pi PK$ makes it telescope, and nothing is inverted. Where an array is the same at every step its cotangents
    are summed.""",
    assumptions=("τ > 0", "γ_F, γ_L ≤ 1, one included", "any number of steps, each with arrays of its own"),
    steps=(_START, _MEAN, _LEADER_STEP, _FOLLOWER_STEP, _LEADER, _FOLLOWER),
    statement=Claim(
        m.dJ,
        m.drho * m.V_L + _OWN + _PAID + _ENDS,
        "both sums",
        "∇J",
        (_START.rule(), _LEADER.rule(), _FOLLOWER.rule()),
    ),
    method=_OPERATORS,
    instance=random_finite,
    mutants=(
        Mutant("what is paid after the last step forgotten", m.drho * m.V_L + _OWN + _PAID),
        Mutant("the follower's end forgotten, the leader's not", m.drho * m.V_L + _OWN + _PAID + f.visits_H * f.dend_L),
        Mutant(
            "t off by one: V of this step where the next one's is due",
            m.drho * m.V_L + _OWN + f.m * (m.dr_F + m.gamma_F * m.dP * m.V_F) + _ENDS,
        ),
        Mutant("the first step's policy at every step", m.drho * m.V_L + _STILL + _PAID + _ENDS),
        Mutant("lost 1/τ", _OWN + m.tau * f.w * m.dQ_F + f.visits_H * f.dend_L, "leader's sum"),
        Mutant(
            "the adjoint is not carried to the next step",
            m.drho * m.V_L + _OWN + f.w * (m.dr_F + m.gamma_F * m.dP * f.V_next) + _ENDS,
        ),
        Mutant(
            "the adjoint starts at ρ as the visits do",
            f.m * (m.dr_F + m.gamma_F * m.dP * f.V_next) + f.y_H * f.dend_F + m.rho * m.dV_F,
            "follower's sum",
        ),
    ),
    rests_on=(boltzmann_covariance, envelope),
)

# The follower has no clock: its values are the same at every step, and its adjoint is solved once.
_FREE_STEP = Claim(
    m.dQ_L,
    m.dr_L + m.gamma_L * m.dP * f.U_next + m.gamma_L * m.P * f.K * m.dV_L,
    "product rule on the leader's recursion; nothing is paid after the last step",
    "∇Q_L,t",
    (moved(f.BELLMAN_L, m.MDP), moved(f.NEXT_FREE, m.MDP)),
)
_FREE_BACK = Rule(
    m.P * f.K * m.dV_L,
    (m.dQ_L - m.dr_L - m.gamma_L * m.dP * f.U_next) / m.gamma_L,
    _FREE_STEP.because,
    _FREE_STEP,
)
_COUNTED = Claim(
    m.rho * m.dV_L,
    _OWN + f.w_z * f.dq,
    "ν_t∇U_t − ν_{t+1}∇U_{t+1} summed over t, and ∇Q_F is the same at every step",
    "leader's sum",
    (f.VISITS, _FREE_BACK, _MEAN.rule(), COVARIANCE, moved(f.SAME_Q, m.MDP), f.WEIGHT_Z),
)
_STATIONARY = chain(
    f.dv,
    (f.first * m.dV_F, "V_F is the same at every step", "∇V_F, a", (moved(f.SAME_V, m.MDP), f.READ_FIRST)),
    (f.first * m.Pi * f.each * f.dq, "∇V_t = Π_t∇Q_t (`envelope`)", "∇V_F, b", (ENVELOPE, moved(f.SAME_Q, m.MDP))),
    (f.pi * f.dq, "the policy is the same at every step", "∇V_F, c", (f.SAME_PI, f.READ_FIRST)),
)
_MEAN_Z = concluded(_STATIONARY, "so the envelope holds of the follower without a clock", "∇V_F")
_STEP_Z = Claim(
    f.dq, f.dr + m.gamma_F * f.dp * f.v + m.gamma_F * f.p * f.dv, "product rule", "∇Q_F", (moved(f.BELLMAN_Z, m.MDP),)
)
_SOLVE = Claim(
    m.gamma_F * f.m_z * f.p,
    f.y_z,
    "m = w + yπ*, and R_F (I − γ_F π*p) = I",
    "y is solved",
    (f.COTANGENT_Z, f.ADJOINT_Z, f.RESOLVENT_Z),
)
_ANSWERED = Claim(
    f.w_z * f.dq,
    f.m_z * (f.dr + m.gamma_F * f.dp * f.v),
    "w∇Q_F = m∇Q_F − y∇V_F, and y = γ_F m p",
    "follower's sum",
    (
        Rule(f.w_z, f.m_z - f.y_z * f.pi, "m = w + yπ*"),
        Rule(f.pi * f.dq, f.dv, _MEAN_Z.because, _MEAN_Z),
        _STEP_Z.rule(),
        Rule(f.m_z * f.p, f.y_z / m.gamma_F, _SOLVE.because, _SOLVE),
    ),
)
_ANSWER = f.m_z * (f.dr + m.gamma_F * f.dp * f.v)
_EVER = f.visits * m.Pi * f.each

counted_leader = Derivation(
    name="counted-leader-adjoint",
    title="A leader who counts H steps of a follower without a clock",
    source="SoBiRL App. K (contract design, navigation); its gradient is not in the papers",
    equations=("a leader's own horizon",),
    meanings={
        m.Pi: "mean under the follower's policy, at every step",
        m.rho: "initial distribution, at the first step",
        m.V_L: "the leader's value U_t at each step",
        f.U_next: "U_{t+1}; nothing after the last step",
    },
    text=r"""The follower plans for a world without end, the leader counts $H$ steps: $U_t$ and $\nu_t$ run over them with one
    policy. The follower's values are the same at every step, so that all weights fall on one array,
    $w=\sum_t\nu_t\Pi\,\mathsf D[Q_{L,t}-U_t]/\tau$, and one adjoint solve $y=\gamma_FwpR_F$ is enough: $\nabla
    J=\nabla\rho\,U_0+\sum_t\nu_t\Pi(\nabla r_L+\gamma_L\nabla P\,U_{t+1})+m(\nabla r_F+\gamma_F\nabla p\,V_F)$ with $m=w+
    y\pi^*$. The leader's discount may be one.""",
    assumptions=("τ > 0", "0 ≤ γ_F < 1", "γ_L ≤ 1, one included", "any number of steps"),
    steps=(_START, _MEAN, _FREE_STEP, _COUNTED, *_STATIONARY, _MEAN_Z, _STEP_Z, _SOLVE, _ANSWERED),
    statement=Claim(
        m.dJ,
        m.drho * m.V_L + _OWN + _ANSWER,
        "both sums",
        "∇J",
        (_START.rule(), _COUNTED.rule(), _ANSWERED.rule()),
    ),
    method=_OPERATORS,
    instance=random_counted,
    mutants=(
        Mutant(
            "the adjoint solve forgotten",
            m.drho * m.V_L + _OWN + f.w_z * (f.dr + m.gamma_F * f.dp * f.v),
        ),
        Mutant(
            "one step of the adjoint for the whole solve",
            m.drho * m.V_L
            + _OWN
            + (f.w_z + m.gamma_F * f.w_z * f.p * f.pi) * (f.dr + m.gamma_F * f.dp * f.v),
        ),
        Mutant("lost 1/τ", _OWN + m.tau * f.w_z * f.dq, "leader's sum"),
        Mutant(
            "the Benefit of a leader who counts all steps",
            _OWN + _EVER * D(f.B_ever) * f.dq / m.tau,
            "leader's sum",
        ),
        Mutant(
            "the leader's value of this step where the next one's is due",
            m.drho * m.V_L + f.visits * m.Pi * (m.dr_L + m.gamma_L * m.dP * m.V_L) + _ANSWER,
        ),
        Mutant("the adjoint solved with the leader's discount", left=m.gamma_L * f.m_z * f.p, label="y is solved"),
    ),
    rests_on=(boltzmann_covariance, envelope),
)  # fmt: skip

DERIVATIONS = (finite_horizon, counted_leader)
