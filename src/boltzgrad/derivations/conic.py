r"""Cone programs whose optimal multipliers are adjoints: the soft Bellman program and the Riccati program."""

from __future__ import annotations

from sympy import Derivative, exp, log

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.lqr import random_lqr
from boltzgrad.derivations.instances.mdp import random_feasible, random_mdp
from boltzgrad.derivations.kit.methods import NonNegative, Operators, Sums
from boltzgrad.derivations.kit.nodes import Tr
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.lqr import riccati_derivative
from boltzgrad.derivations.sensitivities import DV_F, follower_sensitivity
from boltzgrad.derivations.soft_bellman import a_posteriori
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import lqr as q
from boltzgrad.derivations.symbols import mdp as m

_OPERATORS = Operators(m.MDP)
_CONSTRAINT = s.over_actions(exp((s.q - s.level) / s.tau))
_ABOVE = a_posteriori.steps[-1]  # V* − V = R*(TV − V − τ KL)

feasible_above = Derivation(
    name="cone-program-optimum",
    meanings={m.V_F: "any feasible V: TV ≤ V"},
    title="The soft Bellman cone program has V* as its least feasible point",
    source="not in the papers",
    equations=("cone program: optimum",),
    kind="inequality",
    text=r"""$\sum_ae^{(Q_V(s,a)-V(s))/\tau}\le1$ at every state says $TV\le V$; and
    $V-V^*=R_*[(V-TV)+\tau\,\mathrm{KL}(\pi^*\|\pi_V)]\ge0$. So for every $c>0$ the minimum of $cV$ is at $V^*$, and
    only there.""",
    assumptions=("c > 0",),
    steps=(
        Claim(
            s.tau * log(_CONSTRAINT),
            s.V - s.level,
            "the constraint's logarithm is (TV − V)/τ",
            "TV ≤ V",
            method=Sums(),
        ),
    ),
    statement=Claim(
        m.V_F,
        m.V_star,
        "`a-posteriori-bound` from above, with V − TV = σ ≥ 0",
        "V ≥ V*",
        (
            Rule(m.V_star, m.V_F + m.R_star * (m.TV - m.V_F - m.tau * m.KL_down), "error from above", _ABOVE),
            Rule(m.TV, m.V_F - m.feasible, "what a feasible V leaves of its constraint"),
        ),
        NonNegative(m.MDP),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, random_feasible),
    mutants=(
        Mutant("the least feasible point taken for the greatest", m.V_F, left=m.V_star),
        Mutant("the constraint without τ", (s.V - s.level) / s.tau, "TV ≤ V"),
        Mutant("the divergence on the wrong side", left=m.V_F - m.R_star * (m.V_F - m.TV + m.tau * m.KL_down) * 2),
    ),
    rests_on=(a_posteriori,),
)

_STATIONARY = Claim(
    Derivative(_CONSTRAINT, s.x),
    s.over_actions(exp((s.q - s.level) / s.tau) * (s.dq - Derivative(s.level, s.x))) / s.tau,
    "at the optimum the weights are π*: the gradient of constraint s is (γ_F ΠP − I)_s /τ",
    "gradient of the constraint",
    method=Sums(),
)
_LAGRANGE = Rule(
    m.c, m.dual * (1 - m.gamma_F * m.Pi * m.P), "stationarity: c = ν_c (I − γ_F ΠP), ν_c = multipliers over τ"
)

cone_dual = Derivation(
    name="cone-dual-is-occupancy",
    title="The multipliers of the cone program are the discounted occupancy",
    source="not in the papers",
    equations=("cone program: dual is the occupancy",),
    text=r"""Stationarity of $cV+\sum_s\lambda_s(\sum_ae^{(Q_V-V)/\tau}-1)$ at $V^*$ reads $c=\nu_c(I-\gamma_F\Pi P)$ with
    $\nu_c=\lambda/\tau$: so $\nu_c=cR_F$, the occupancy started from c, and the optimal value moves by
    $\nu_c\Pi(\nabla r_F+\gamma_F\nabla P\,V_F)$. A gradient comes out of a solver that knows nothing of
    derivatives.""",
    assumptions=("c > 0", "multipliers as for constraints written ≤"),
    steps=(_STATIONARY,),
    statement=Claim(m.c * m.R_F, m.dual, "multiply by R_F", "dual", (_LAGRANGE,)),
    also=(
        Claim(
            m.c * m.dV_F,
            m.dual * m.Pi * (m.dr_F + m.gamma_F * m.dP * m.V_F),
            "∇V_F = R_F Π u, and the dual",
            "gradient from the dual",
            (_LAGRANGE, DV_F),
        ),
    ),
    method=_OPERATORS,
    instance=merged(random_actions, random_mdp),
    mutants=(
        Mutant("the multipliers undiscounted", m.dual * (1 - m.gamma_F)),
        Mutant("multipliers times τ", m.tau * m.dual),
        Mutant("only the reward's part of the gradient", m.dual * m.Pi * m.dr_F, "gradient from the dual"),
    ),
    rests_on=(follower_sensitivity,),
)

# The Riccati program: max tr(HP) over [[Q + γA'PA − P, γA'PB], [γB'PA, R + γB'PB]] ⪰ 0, with multiplier Y ⪰ 0.
_CORNER = q.RICCATI_RIGHT + q.gamma**2 * q.At * q.P * q.B * q.Mi * q.Bt * q.P * q.A - q.P
_Y_11, _Y_12, _Y_21, _Y_22 = q.S, -q.S * q.Kt, -q.K * q.S, q.K * q.S * q.Kt
_ADJOINT = q.gamma * (q.A * _Y_11 * q.At + q.A * _Y_12 * q.Bt + q.B * _Y_21 * q.At + q.B * _Y_22 * q.Bt) - _Y_11
_LYAPUNOV = Rule(q.H, q.S - q.gamma * q.Acl * q.S * q.Aclt, "S = H + γ A_cl S A_cl'")

riccati_program = Derivation(
    name="riccati-program-dual",
    title="The multiplier of the Riccati program is the adjoint Lyapunov solution",
    source="not in the papers",
    equations=("Riccati program: dual",),
    text=r"""The program is $\max\mathrm{tr}(HP)$ subject to $\begin{pmatrix}Q+\gamma A^\top PA-P&\gamma A^\top PB\\\gamma
    B^\top PA&M\end{pmatrix}\succeq0$. At the optimum the matrix of the constraint is $[K\;I]^\top M[K\;I]$, so the
    multiplier must be $[I;-K]\,S\,[I;-K]^\top$ (complementarity), and stationarity is $S=H+\gamma
    A_{cl}SA_{cl}^\top$: the very matrix that `riccati-derivative` needs for $\nabla\,\mathrm{tr}(HP)$.""",
    assumptions=("M positive definite", "H positive definite (then the optimum is the Riccati solution)"),
    steps=(
        Claim(
            _CORNER,
            q.Kt * q.M * q.K,
            "the Riccati equation: the corner is K'MK",
            "upper left block",
            (*q.GAIN, q.RICCATI),
        ),
        Claim(q.gamma * q.Bt * q.P * q.A, q.M * q.K, "K = γM⁻¹B'PA", "lower left block", q.GAIN),
    ),
    statement=Claim(
        q.H + _ADJOINT,
        0 * q.m,
        "collect A − BK on both sides: the multiplier is feasible for the dual, and [K I][I; −K] = 0 makes it optimal",
        "stationarity",
        (_LYAPUNOV, *q.CLOSED_LOOP),
    ),
    also=(
        Claim(
            Tr(q.H * q.LQR.d(q.P)),
            Tr(q.S * q.Theta),
            "the program's value moves with its multiplier: `riccati-derivative`",
            "gradient from the dual",
            (
                Rule(q.H, q.S - q.gamma * q.Acl * q.S * q.Aclt, "S = H + γ A_cl S A_cl'"),
                Rule(
                    q.Theta,
                    q.LQR.d(q.P) - q.gamma * q.Aclt * q.LQR.d(q.P) * q.Acl,
                    riccati_derivative.statement.because,
                    riccati_derivative.statement,
                ),
            ),
        ),
    ),
    method=Operators(q.LQR),
    instance=random_lqr,
    mutants=(
        Mutant("the open loop", left=q.H - q.S + q.gamma * q.A * q.S * q.At),
        Mutant(
            "the multiplier's mixed blocks with the other sign",
            left=q.H + _ADJOINT - 2 * q.gamma * (q.A * _Y_12 * q.Bt + q.B * _Y_21 * q.At),
        ),
        Mutant("the corner without its cost", q.gamma * q.Kt * q.M * q.K, "upper left block"),
    ),
    rests_on=(riccati_derivative,),
)

DERIVATIONS = (feasible_above, cone_dual, riccati_program)
