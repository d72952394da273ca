r"""Entropy-regularised LQR: Propositions 1 and 2, the game folded into an observed disturbance, the leader's value."""

from __future__ import annotations

import sympy
from sympy import Integral, exp, log, oo, pi, sqrt

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.lqr import random_lqr
from boltzgrad.derivations.kit.methods import Calculus, Operators, Sums, Transitive
from boltzgrad.derivations.kit.nodes import GaussianMean, LogIntegral, Nabla, Tr
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import chain, concluded
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import lqr as q

_OPERATORS = Operators(q.LQR)

_precision = sympy.Function("mu_i", positive=True)(s.a)  # eigenvalues of M
_width = s.t

gaussian_normaliser = Derivation(
    name="gaussian-normaliser",
    title="The log-integral of a Gaussian",
    source="BC-HG (74)-(75), (93)-(94)",
    equations=("BC-HG (74)", "BC-HG (93)"),
    text=r"""$\tau\log\int e^{-u^\top Mu/\tau}\,du=\frac\tau2(m\log\pi\tau-\log\det M)$. An orthogonal change of variables
    makes $M$ diagonal and keeps volumes; each coordinate gives $\sqrt{\pi\tau/\mu_i}$, and
    $\sum_i\log\mu_i=\log\det M$.""",
    assumptions=("M positive definite", "any dimension m"),
    steps=(
        Claim(
            Integral(exp(-_width * s.zeta**2 / s.tau), (s.zeta, -oo, oo)),
            sqrt(pi * s.tau / _width),
            "the Gaussian integral, one coordinate",
            "one coordinate",
            method=Calculus(),
        ),
    ),
    statement=Claim(
        s.tau * s.over_actions(log(pi * s.tau / _precision) / 2),
        s.tau / 2 * (s.A * log(pi * s.tau) - s.over_actions(log(_precision))),
        "logarithm of the product over m = |A| coordinates",
        "log-integral",
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("2π for π", s.tau / 2 * (s.A * log(2 * pi * s.tau) - s.over_actions(log(_precision)))),
        Mutant("log det with the wrong sign", s.tau / 2 * (s.A * log(pi * s.tau) + s.over_actions(log(_precision)))),
        Mutant("one dimension only", s.tau / 2 * (log(pi * s.tau) - s.over_actions(log(_precision)))),
    ),
)

_VOLUME = q.tau / 2 * (q.m * log(pi * q.tau) - q.logdet_M)
_NEXT = q.A * q.x + q.B * q.u  # mean of the next state
_NEXT_T = q.xt * q.At + q.ut * q.Bt


def _soft(q_value: sympy.Expr, centre: sympy.Expr) -> sympy.Expr:
    return LogIntegral(q_value, q.u, q.tau, q.M, centre, q.m, q.logdet_M)


# Proposition 1: the disturbance comes after the action.
C_1 = (q.gamma * Tr(q.P * q.W) - _VOLUME) / (1 - q.gamma)
_GAINED = q.gamma * q.Mi * q.Bt * q.P * q.A * q.x  # K x
_DEFINED = -(
    q.xt * q.Q * q.x + q.ut * q.R * q.u + q.gamma * GaussianMean((_NEXT_T + q.wt) * q.P * (_NEXT + q.w) + C_1, q.w, q.W)
)
_AVERAGED = -(q.xt * q.Q * q.x + q.ut * q.R * q.u + q.gamma * (_NEXT_T * q.P * _NEXT + Tr(q.P * q.W) + C_1))
_COMPLETED = -(
    (q.ut + q.xt * q.Kt) * q.M * (q.u + q.K * q.x) + q.xt * q.RICCATI_RIGHT * q.x + q.gamma * (Tr(q.P * q.W) + C_1)
)
_PROP_1 = chain(
    _DEFINED,
    (_AVERAGED, "E[w] = 0, E[w'Pw] = tr(PW)", "(65)-(66)"),
    (_COMPLETED, "group by u: M = R + γB'PB, K = γM⁻¹B'PA, complete the square", "(67)-(72)", q.GAIN),
)
_VALUE_1 = chain(
    _soft(_AVERAGED, _GAINED),
    (
        -(q.xt * q.RICCATI_RIGHT * q.x + q.gamma * (Tr(q.P * q.W) + C_1)) + _VOLUME,
        "integrate out the Gaussian",
        "(74)-(75)",
    ),
    (-(q.xt * q.P * q.x + C_1), "the Riccati equation, and c = γ tr(PW) + γc − volume", "(76)-(77)", (q.RICCATI,)),
)

proposition_1 = Derivation(
    name="lqr-proposition-1",
    title="Proposition 1: LQR with an unobserved disturbance",
    source="BC-HG (52), (53), (59), Prop 1, (60)-(77)",
    equations=(*(f"BC-HG ({i})" for i in (52, 53, 59)), *(f"BC-HG ({i})" for i in range(60, 78)), "BC-HG Prop 1"),
    restored=True,
    text=r"""The quadratic ansatz $V(x)=-(x^\top Px+c)$ solves the soft Bellman equation when $P$ solves the Riccati equation
    (59) and $c=[\gamma\,\mathrm{tr}(PW)-\frac\tau2(m\log\pi\tau-\log\det M)]/(1-\gamma)$; the answer is
    $N(-Kx,\frac\tau2M^{-1})$.""",
    assumptions=("R + γB'PB positive definite", "E w = 0, E ww' = W", "P the stabilising Riccati solution"),
    steps=(
        *_PROP_1,
        Claim(
            2 / q.tau * q.Sigma_u * q.M,
            sympy.S.One,
            "exp(Q_F/τ) is Gaussian in u around −Kx; its precision is 2M/τ",
            "(73), (61)",
            (q.POLICY_NOISE,),
        ),
        *_VALUE_1,
    ),
    statement=concluded(_VALUE_1, "soft Bellman equation satisfied", "(62)"),
    method=_OPERATORS,
    instance=random_lqr,
    mutants=(
        Mutant("no noise of the policy in the constant", -(q.xt * q.P * q.x + q.gamma * Tr(q.P * q.W) / (1 - q.gamma))),
        Mutant("the disturbance not discounted", -(q.xt * q.P * q.x + (Tr(q.P * q.W) - _VOLUME) / (1 - q.gamma))),
        Mutant("Σ_u = τM⁻¹", 2 * sympy.S.One, "(73), (61)"),
        Mutant("the square not completed", _AVERAGED - q.xt * q.Kt * q.M * q.K * q.x, "(67)-(72)"),
    ),
    rests_on=(gaussian_normaliser,),
)

# Proposition 2: the disturbance is seen before the action.
C_2 = (q.gamma * Tr(q.Z * q.W) - _VOLUME) / (1 - q.gamma)
_AFTER, _AFTER_T = _NEXT + q.w, _NEXT_T + q.wt
_GAINED_W = q.gamma * q.Mi * q.Bt * q.P * (q.A * q.x + q.w)  # Kx + K_w w
_STAGE = q.xt * q.Q * q.x + q.ut * q.R * q.u
_DEFINED_2 = -(
    _STAGE
    + q.gamma * GaussianMean(_AFTER_T * q.P * _AFTER + 2 * _AFTER_T * q.N * q.v + q.vt * q.Z * q.v + C_2, q.v, q.W)
)
_AVERAGED_2 = -(_STAGE + q.gamma * (_AFTER_T * q.P * _AFTER + Tr(q.Z * q.W) + C_2))
_LEFT_2 = (
    q.xt * q.RICCATI_RIGHT * q.x
    + 2 * q.gamma * q.xt * (q.At - q.Kt * q.Bt) * q.P * q.w
    + q.wt * (q.gamma * q.P - q.gamma**2 * q.P * q.B * q.Mi * q.Bt * q.P) * q.w
    + q.gamma * (Tr(q.Z * q.W) + C_2)
)
_AWAY = q.u + q.K * q.x + q.Kw * q.w
_AWAY_T = q.ut + q.xt * q.Kt + q.wt * q.Kwt
_PROP_2 = chain(
    _DEFINED_2,
    (_AVERAGED_2, "the next disturbance has mean zero: only its covariance under Z stays", "(84)-(85)"),
    (-(_AWAY_T * q.M * _AWAY + _LEFT_2), "group by u: complete the square", "(86)-(91)", (*q.GAIN, *q.GAIN_W)),
)
MIXED = (
    Rule(q.N, q.gamma * (q.At - q.Kt * q.Bt) * q.P, "N = γ(A − BK)'P, (96)"),
    Rule(q.Nt, q.gamma * q.P * (q.A - q.B * q.K), "N = γ(A − BK)'P, (96)"),
    Rule(q.Z, q.gamma * q.P - q.gamma**2 * q.P * q.B * q.Mi * q.Bt * q.P, "Z = γP − γ²PBM⁻¹B'P, (97)"),
)
_VALUE_2 = chain(
    _soft(_AVERAGED_2, _GAINED_W),
    (-_LEFT_2 + _VOLUME, "integrate out the Gaussian", "(93)-(94)", q.GAIN),
    (
        -(q.xt * q.P * q.x + 2 * q.xt * q.N * q.w + q.wt * q.Z * q.w + C_2),
        "Riccati equation, N, Z and c' by comparison",
        "(95)-(98)",
        (*MIXED, *q.GAIN, q.RICCATI),
    ),
)

proposition_2 = Derivation(
    name="lqr-proposition-2",
    title="Proposition 2: LQR with an observed disturbance",
    source="BC-HG Prop 2, (78)-(98)",
    equations=(*(f"BC-HG ({i})" for i in (78, 79, 80)), *(f"BC-HG ({i})" for i in range(82, 99)), "BC-HG Prop 2"),
    restored=True,
    text=r"""$V(x,w)=-(x^\top Px+2x^\top Nw+w^\top Zw+c')$ with the *same* $P$, $N=\gamma(A-BK)^\top P$, $Z=\gamma
    P-\gamma^2PBM^{-1}B^\top P$, and the answer is $N(-Kx-K_ww,\frac\tau2M^{-1})$ with $K_w=\gamma M^{-1}B^\top P$:
    seeing $w$ moves the mean, not the noise.""",
    assumptions=proposition_1.assumptions,
    steps=(*_PROP_2, *_VALUE_2),
    statement=concluded(_VALUE_2, "soft Bellman equation satisfied", "(80)"),
    method=_OPERATORS,
    instance=random_lqr,
    mutants=(
        Mutant("the constant of Proposition 1", -(q.xt * q.P * q.x + 2 * q.xt * q.N * q.w + q.wt * q.Z * q.w + C_1)),
        Mutant("no mixed term", -(q.xt * q.P * q.x + q.wt * q.Z * q.w + C_2)),
        Mutant(
            "γP for Z: the answer does not use w",
            -(q.xt * q.P * q.x + 2 * q.xt * q.N * q.w + q.gamma * q.wt * q.P * q.w + C_2),
        ),
    ),
    rests_on=(gaussian_normaliser,),
)

# The game: a = K_θ x + noise enters the state linearly; A_c = A + C K_θ, w = C(a − K_θ x).
_SURPRISE = q.C * (q.a - q.L * q.x)
_CLOSED_GAIN = q.gamma * q.Mi * q.Bt * q.P * (q.A + q.C * q.L)

disturbance_folding = Derivation(
    name="disturbance-folding",
    title="The leader's noise is an observed disturbance",
    source="BC-HG (54)-(58), (81)",
    equations=(*(f"BC-HG ({i})" for i in range(54, 59)), "BC-HG (81)"),
    restored=True,
    text=r"""With $A_c=A+CK_\theta$ and $w=C(a-K_\theta x)$ the game's transition $Ax+Bu+Ca$ is $A_cx+Bu+w$ (58), $w$ has
    covariance $C\Sigma_aC^\top$ and is seen. Put into Proposition 2, the follower's mean answer is $-\gamma
    M^{-1}B^\top P(Ax+Ca)$ (81): it reacts to the state that is coming, and to $K_\theta$ only through $P$.""",
    assumptions=("the leader's policy is N(K_θ x, Σ_a)", "the follower sees a"),
    steps=(
        Claim(
            q.A * q.x + q.B * q.u + q.C * q.a,
            (q.A + q.C * q.L) * q.x + q.B * q.u + _SURPRISE,
            "add and subtract C K_θ x",
            "(56)-(58)",
        ),
        Claim(
            GaussianMean(q.at * q.Ct * q.H * q.C * q.a, q.a, q.Sigma_a),
            Tr(q.H * q.C * q.Sigma_a * q.Ct),
            "for every weight H: the covariance of Ca is CΣ_aC' (centred leader)",
            "W = CΣC'",
        ),
    ),
    statement=Claim(
        -_CLOSED_GAIN * q.x - q.gamma * q.Mi * q.Bt * q.P * _SURPRISE,
        -q.gamma * q.Mi * q.Bt * q.P * (q.A * q.x + q.C * q.a),
        "K_θ cancels between A_c and w",
        "(81)",
    ),
    method=_OPERATORS,
    instance=random_lqr,
    mutants=(
        Mutant(
            "the leader's action unseen: its mean in its place", -q.gamma * q.Mi * q.Bt * q.P * (q.A + q.C * q.L) * q.x
        ),
        Mutant("the surprise counted undiscounted", -_CLOSED_GAIN * q.x - q.Mi * q.Bt * q.P * _SURPRISE),
        Mutant("w without C", left=-_CLOSED_GAIN * q.x - q.gamma * q.Mi * q.Bt * q.P * q.C * q.a),
    ),
    rests_on=(proposition_2,),
)

_JOSEPH = q.Q + q.Kt * q.R * q.K + q.gamma * q.Aclt * q.P * q.Acl

riccati_iteration = Derivation(
    name="riccati-iteration",
    meanings={q.P: "any symmetric matrix", q.K: "the gain that is greedy for P"},
    title="One Riccati sweep, two ways",
    source="BC-HG (59), (112), (114)",
    equations=("BC-HG (112)", "BC-HG (114)"),
    restored=True,
    text=r"""The sweep $P\mapsto Q+\gamma A^\top PA-\gamma^2A^\top PBM^{-1}B^\top PA$ is the cost $Q+K^\top RK+\gamma
    A_{cl}^\top PA_{cl}$ of playing the gain that is greedy for $P$, for *any* symmetric $P$; so its fixed points
    solve a Lyapunov equation of their own loop.""",
    assumptions=("M invertible",),
    statement=Claim(q.RICCATI_RIGHT, _JOSEPH, "K = γM⁻¹B'PA, A_cl = A − BK", "(112)", (*q.CLOSED_LOOP, *q.GAIN)),
    method=_OPERATORS,
    instance=random_lqr,
    mutants=(
        Mutant("the input's cost forgotten", q.Q + q.gamma * q.Aclt * q.P * q.Acl),
        Mutant("the discount forgotten", q.Q + q.Kt * q.R * q.K + q.Aclt * q.P * q.Acl),
        Mutant(
            "γ for γ² before the correction",
            q.Q + q.gamma * q.At * q.P * q.A - q.gamma * q.At * q.P * q.B * q.Mi * q.Bt * q.P * q.A,
        ),
    ),
)

_dA, _dB, _dQ, _dR, _dP = (q.LQR.d(letter) for letter in (q.A, q.B, q.Q, q.R, q.P))
_SLOPE, _SLOPE_T = _dA - _dB * q.K, q.LQR.d(q.At) - q.Kt * q.LQR.d(q.Bt)
SOURCE = _dQ + q.Kt * _dR * q.K + q.gamma * _SLOPE_T * q.P * q.Acl + q.gamma * q.Aclt * q.P * _SLOPE
_THETA = Rule(q.Theta, SOURCE, "Θ, the source")

_RIGHT_MOVES = Claim(
    Nabla(q.RICCATI_RIGHT),
    q.gamma * q.Aclt * _dP * q.Acl + SOURCE,
    "product rule, ∇M⁻¹ = −M⁻¹∇M M⁻¹",
    "∇(right side)",
    (*q.INVERSE_MOVES, *q.CLOSED_LOOP, *q.GAIN),
)
_NAMED = Claim(
    _RIGHT_MOVES.right,
    q.gamma * q.Aclt * _dP * q.Acl + q.Theta,
    "Θ is the source",
    "Θ",
    (_THETA, *q.CLOSED_LOOP, *q.GAIN),
)
_LYAPUNOV = Claim(
    _dP,
    _NAMED.right,
    "∇P is the derivative of the Riccati equation's right side",
    "∇P",
    (Rule(_dP, Nabla(q.RICCATI_RIGHT), "∇ of the Riccati equation (59)"), _RIGHT_MOVES.rule(), _NAMED.rule()),
    Transitive(),
)

riccati_derivative = Derivation(
    name="riccati-derivative",
    title="The derivative of the Riccati solution is one Lyapunov equation",
    source="not in the papers; used for BC-HG 5.2 and 5.4",
    equations=("Riccati derivative",),
    text=r"""$\nabla P=\gamma A_{cl}^\top\nabla P\,A_{cl}+\Theta$ with $\Theta=\nabla Q+K^\top\nabla R\,K+\gamma(\nabla
    A-\nabla B\,K)^\top PA_{cl}+\gamma A_{cl}^\top P(\nabla A-\nabla B\,K)$; no derivative of $K$ is left, because
    $K$ is optimal. Its transpose is the adjoint: with $S=H+\gamma A_{cl}SA_{cl}^\top$, $\mathrm{tr}(H\nabla
    P)=\mathrm{tr}(S\Theta)$.""",
    assumptions=("M invertible", "the closed loop √γ A_cl stable"),
    steps=(_RIGHT_MOVES, _NAMED),
    statement=_LYAPUNOV,
    also=(
        Claim(
            Tr(q.H * _dP),
            Tr(q.S * q.Theta),
            "cyclic: tr(γ A_cl S A_cl' ∇P) = tr(S γ A_cl' ∇P A_cl)",
            "adjoint",
            (
                Rule(q.H, q.S - q.gamma * q.Acl * q.S * q.Aclt, "S solves the transposed Lyapunov equation"),
                Rule(q.Theta, _dP - q.gamma * q.Aclt * _dP * q.Acl, _LYAPUNOV.because, _LYAPUNOV),
            ),
        ),
    ),
    method=_OPERATORS,
    instance=random_lqr,
    mutants=(
        Mutant("the open loop in place of the closed one", q.gamma * q.At * _dP * q.A + SOURCE, "∇(right side)"),
        Mutant("∇R forgotten", _RIGHT_MOVES.right - q.Kt * _dR * q.K, "∇(right side)"),
        Mutant(
            "∇B forgotten",
            q.gamma * q.Aclt * _dP * q.Acl
            + _dQ
            + q.Kt * _dR * q.K
            + q.gamma * (q.LQR.d(q.At) * q.P * q.Acl + q.Aclt * q.P * _dA),
            "∇(right side)",
        ),
        Mutant("the source alone", q.Theta),
        Mutant("the adjoint not transposed", Tr(q.H * q.Theta), "adjoint"),
    ),
)

DERIVATIONS = (
    gaussian_normaliser,
    proposition_1,
    proposition_2,
    disturbance_folding,
    riccati_iteration,
    riccati_derivative,
)
