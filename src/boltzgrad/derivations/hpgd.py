r"""HPGD's estimators: horizons drawn from geometric laws stand in for discounts, and a random level for a limit."""

from __future__ import annotations

import sympy
from sympy import Sum

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.horizons import fixed_policy_horizons, random_horizons, random_levels
from boltzgrad.derivations.kit.methods import Calculus, Operators, Sums
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import chain, solved
from boltzgrad.derivations.sensitivities import FIXED_MEANINGS, FIXED_POLICY, hpgd_2_3
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m
from boltzgrad.derivations.theorem_1 import hpgd_c_1

_OPERATORS = Operators(m.MDP)
_j, _n, _N = s.j, s.n, s.N
_r = 1 / (1 + s.t)  # a root of the discount, in (0, 1) for t > 0

geometric_horizon = Derivation(
    name="geometric-horizon",
    title="A geometric horizon is a discount",
    source="HPGD, proof of Prop E.2, (11)-(14)",
    equations=("HPGD geometric horizons",),
    text=r"""Let $P(T=j)=(1-\gamma)\gamma^j$. A term that is summed up to $T$ counts with weight $P(T\ge t)=\gamma^t$; a term
    that is read once, at $T$, and divided by $1-\gamma$, too; and with $\sqrt\gamma$ for γ the weights
    $\sqrt\gamma^{\,t}$ written beside a horizon drawn with $\sqrt\gamma$ make $\gamma^t$ again. Written with a
    cut-off $N$; what the cut-off leaves vanishes.""",
    assumptions=("γ = 1/(1 + t) in (0, 1)", "horizons independent of the chain and of each other"),
    steps=(
        Claim(
            _r**_n * (_r**_n - _r ** (_N + 1)),
            (_r**2) ** _n - _r ** (_n + _N + 1),
            "√γᵗ·P(T' ≥ t) = γᵗ up to the cut-off",
            "√γ twice",
        ),
        Claim(sympy.Limit(sympy.exp(-s.c * _N), _N, sympy.oo), 0, "γ = e^{−c}", "the cut-off vanishes"),
    ),
    statement=Claim(
        Sum((1 - _r) * _r ** (_n + _j), (_j, 0, _N)),
        _r**_n - _r ** (_n + _N + 1),
        "a finite geometric sum",
        "P(n ≤ T ≤ n + N)",
    ),
    method=Calculus(),
    instance=random_levels,
    mutants=(
        Mutant("P(T > t) for P(T ≥ t)", _r ** (_n + 1) - _r ** (_n + _N + 1)),
        Mutant("a factor 1/(1 − γ) too many", (_r**_n - _r ** (_n + _N + 1)) / (1 - _r)),
        Mutant("the discount itself for its root", (_r**3) ** _n - _r ** (_n + _N + 1), "√γ twice"),
    ),
)

_HORIZONS = (
    Rule(m.G_sum, m.W_F, "`geometric-horizon`: summed up to T"),
    Rule(m.G_visit, m.W_F, "`geometric-horizon`: read once at T"),
    Rule(m.H_value, m.R_F, "`geometric-horizon`: √γ twice"),
)
_ENTROPIC = m.r_F - m.tau * m.log_pi
_ONE_STEP = Claim(
    m.X * m.W_F, (m.W_F - 1) / m.gamma_F, "X = PΠ, (I − γ_F PΠ) W_F = I", "X W", (Rule(m.X, m.P * m.Pi, "X = PΠ"),)
)
_NEUMANN = chain(
    m.S_n + m.gamma_F**m.n * m.X**m.n * m.W_F,
    (
        m.S_n + m.gamma_F**m.n * m.X**m.n * (1 + m.gamma_F * m.X * m.W_F),
        "W_F = I + γ_F X W_F",
        "Σ γᵗXᵗ = W, a",
        (_ONE_STEP.rule(),),
    ),
    (
        m.S_next + m.gamma_F ** (m.n + 1) * m.X ** (m.n + 1) * m.W_F,
        "so W_F = S_n + γⁿXⁿW_F for every n (S_0 = 0), and the rest vanishes: a series with weights γᵗ is W_F",
        "Σ γᵗXᵗ = W, b",
        (m.PARTIAL_SUM,),
    ),
)
_POLICY_VALUE = solved(
    m.V_F,
    m.R_F,
    m.gamma_F * m.Pi * m.P,
    m.Pi * m.r_F - m.tau * m.Pi * m.log_pi,
    "V^π = Π(Q^π − τ log π), Q^π = r + γ P V^π",
    "V^π",
    (
        Rule(m.P * m.V_F, (m.Q_F - m.r_F) / m.gamma_F, m.BELLMAN_F.because),
        m.VALUE_F,
    ),
)
_SOFT = Rule(m.R_F * m.Pi * m.log_pi, (m.R_F * m.Pi * m.r_F - m.V_F) / m.tau, "V^π, solved", _POLICY_VALUE[2])
_CLOSED_FORM = hpgd_2_3.also[-1]
_GRADIENT = Rule(m.W_F * m.dP * m.V_F, (m.dQ_F - m.W_F * m.dr_F) / m.gamma_F, _CLOSED_FORM.because, _CLOSED_FORM)
_AVERAGED = Claim(
    m.gamma_F * m.R_F * m.Pi * m.dP * m.V_F,
    m.Pi * m.dQ_F - m.R_F * m.Pi * m.dr_F,
    "Theorem 2.3, averaged over the first action",
    "Thm 2.3, averaged",
    (_CLOSED_FORM.rule(),),
)
_SCORE = Rule(m.N * D(m.score), m.dN, "∇p = p ∇log p")


def _grad_est(value: sympy.Expr) -> sympy.Expr:
    """The mean of Algorithm 2's estimate of ∇Q, with a given estimate of what follows the second horizon."""
    return m.G_sum * m.dr_F + m.gamma_F * m.G_visit * m.N * D(m.score) * value


proposition_e_2 = Derivation(
    name="hpgd-proposition-e-2",
    meanings=FIXED_MEANINGS,
    title="GradEst is unbiased",
    source="HPGD Algorithm 2, Prop E.2",
    equations=("HPGD Prop E.2",),
    text=r"""$\mathbb E\,\widehat{\nabla Q}=\sum_t P(T\ge t)X^t\nabla r+\frac\gamma{1-\gamma}\sum_jP(T=j)X^j\,N[\nabla\log
    p\;\widehat V(s')]=\nabla Q^\pi$ for any fixed policy, because all three horizons turn into discounts. The
    estimate of ∇V starts from s and is its mean over a ~ π.""",
    assumptions=(
        "the policy is fixed; at π* this is the total derivative by the envelope",
        "entropy counted with the sign that makes V the soft value",
    ),
    hypotheses=FIXED_POLICY,
    steps=(_ONE_STEP, *_NEUMANN, *_POLICY_VALUE, _AVERAGED),
    statement=Claim(
        _grad_est(m.L * m.H_value * m.Pi * _ENTROPIC),
        m.dQ_F,
        "geometric horizons, then Theorem 2.3",
        "Prop E.2, Q",
        (*_HORIZONS, _SCORE, _SOFT, _GRADIENT),
    ),
    also=(
        Claim(
            _grad_est(m.L * m.H_value * m.Pi * _ENTROPIC) - m.E * m.Pi * _grad_est(m.L * m.H_value * m.Pi * _ENTROPIC),
            m.dQ_F - m.E * m.Pi * m.dQ_F,
            "the difference of two unbiased estimates",
            "Prop E.2",
            (
                *_HORIZONS,
                _SCORE,
                _SOFT,
                _GRADIENT,
                _AVERAGED.rule(),
            ),
        ),
    ),
    method=_OPERATORS,
    instance=fixed_policy_horizons,
    mutants=(
        Mutant(
            "the entropy with the printed sign", left=_grad_est(m.L * m.H_value * m.Pi * (m.r_F + m.tau * m.log_pi))
        ),
        Mutant(
            "V(s_T) for V(s_{T+1}), as the published proof prints",
            left=_grad_est(m.M * m.E * m.H_value * m.Pi * _ENTROPIC),
        ),
        Mutant(
            "γ/(1 − γ) without the γ",
            left=m.G_sum * m.dr_F + m.G_visit * m.N * D(m.score) * m.L * m.H_value * m.Pi * _ENTROPIC,
        ),
        Mutant("rewards without the entropy", left=_grad_est(m.L * m.H_value * m.Pi * m.r_F)),
    ),
    rests_on=(hpgd_2_3, geometric_horizon),
    finding=r"""The published proof writes $V(s_{T_Q})$ from (14) on. Scores have mean zero given $(s_T,a_T)$, so read literally
    that term vanishes: it must be $V(s_{T_Q+1})$, as in Algorithm 2.""",
)

_LEADER = (
    Rule(m.K_sum, m.R_L, "`geometric-horizon`: summed up to T"),
    Rule(m.K_visit, m.R_L, "`geometric-horizon`: read once at T"),
    Rule(m.K_Q * m.r_L, m.Q_L, "`geometric-horizon`: √γ twice, along the leader's rewards"),
    Rule(m.K_value * m.Pi * m.r_L, m.V_L, "`geometric-horizon`: √γ twice, along the leader's rewards"),
    Rule(m.rho * D(m.score_rho), m.drho, "∇ρ = ρ ∇log ρ"),
    _SCORE,
)
_ADVANTAGE = m.dQ_F - m.E * m.dV_F


def _algorithm_5(third: sympy.Expr, start: sympy.Expr) -> sympy.Expr:
    """The mean of Algorithm 5's estimate, term by term."""
    return (
        m.rho * m.K_sum * m.Pi * m.dr_L
        + third
        + start
        + m.gamma_L * m.rho * m.K_visit * m.Pi * m.N * D(m.score) * m.L * m.K_value * m.Pi * m.r_L
    )


_START = m.rho * D(m.score_rho) * m.K_value * m.Pi * m.r_L
_THIRD = m.rho * m.K_visit * m.Pi * D(_ADVANTAGE) * m.K_Q * m.r_L / m.tau

proposition_e_3 = Derivation(
    name="hpgd-proposition-e-3",
    title="Algorithm 5 is unbiased",
    source="HPGD Algorithm 5, Prop E.3",
    equations=("HPGD Prop E.3",),
    text=r"""One trajectory with two horizons and one independent call of GradEst have the mean of Prop C.1: the reward's
    gradient summed up to $T$, the advantage's gradient read at $T$ times the return from there with a
    $\sqrt\gamma$-horizon, the score of the last transition (of the start, for $T=0$) times the return after it.""",
    assumptions=hpgd_c_1.assumptions,
    statement=Claim(
        _algorithm_5(_THIRD, _START),
        hpgd_c_1.statement.right - m.dreg,
        "each horizon is a discount; GradEst is independent of the return it multiplies",
        "Prop E.3",
        _LEADER,
    ),
    method=_OPERATORS,
    instance=random_horizons,
    mutants=(
        Mutant("no start score at T = 0", left=_algorithm_5(_THIRD, 0 * _START)),
        Mutant(
            "the advantage read up to T instead of at T",
            left=_algorithm_5((1 - m.gamma_L) * _THIRD, _START),
        ),
        Mutant(
            "the return with the value instead of the action value",
            left=_algorithm_5(
                m.rho * m.K_visit * m.Pi * D(_ADVANTAGE) * m.E * m.K_value * m.Pi * m.r_L / m.tau, _START
            ),
        ),
    ),
    rests_on=(hpgd_c_1, geometric_horizon),
)

_K = s.H
_F = sympy.Function("F", real=True)
_T = sympy.Function("T", real=True)
_w = sympy.Function("w_k", positive=True)(s.k)
_DELTA = _F(s.k + 1) - _F(s.k)

proposition_e_8 = Derivation(
    name="hpgd-proposition-e-8",
    title="Randomised early stopping: the same mean at logarithmic cost",
    source="HPGD App. C.2, Prop E.8",
    equations=("HPGD Prop E.8",),
    text=r"""$F_1+\big(F_{\hat k+1}-F_{\hat k}\big)/p_{\hat k}$ has the mean $F_K$ whatever the weights $p_k>0$ on
    $1,\dots,K-1$: the sum telescopes. By induction: with $T(H)$ the mean for $H$ levels, $T(H)=F(H)$ gives
    $T(H+1)=F(H+1)$. With $p_k\propto2^{-k}$ and $2^k$ iterations at level $k$ (level $k+1$, which is read too,
    costs twice that) the mean cost is linear in $K$.""",
    assumptions=("weights positive on 1 … K − 1 and nowhere else",),
    steps=(
        Claim(
            Sum(_w * (_F(1) + _DELTA / _w), (s.k, 1, _K)),
            _F(1) + Sum(_DELTA, (s.k, 1, _K)),
            "the weights of the drawn level cancel, and sum to one",
            "any weights",
            (Rule(Sum(_w, (s.k, 1, _K)), sympy.S.One, "weights sum to one"),),
        ),
        Claim(
            Sum(2 ** (-s.k), (s.k, 1, _K)),
            1 - 2 ** (-_K),
            "a geometric sum",
            "normalisation",
            method=Calculus(),
        ),
        Claim(
            Sum(2**s.k * (2 ** (-s.k) / (1 - 2 ** (-_K))), (s.k, 1, _K)),
            _K / (1 - 2 ** (-_K)),
            "each level costs the same in the mean: O(K) against 2^K",
            "cost",
        ),
    ),
    statement=Claim(
        _T(_K + 1),
        _F(_K + 1),
        "if the mean is F_K with K levels, it is F_{K+1} with one more",
        "Prop E.8, induction",
        (
            Rule(_T(_K + 1), _T(_K) + _F(_K + 1) - _F(_K), "one more level adds its difference"),
            Rule(_T(_K), _F(_K), "induction hypothesis"),
        ),
    ),
    method=Sums(),
    instance=random_levels,
    mutants=(
        Mutant("the last level left out", _F(_K)),
        Mutant("weights that do not cancel", _F(1) + Sum(_w * _DELTA, (s.k, 1, _K)), "any weights"),
        Mutant("a cost of two to the K", 2**_K / (1 - 2 ** (-_K)), "cost"),
    ),
    finding=r"""As printed the weights are $2^{-k}/(1-2^{-K})$ on $1,\dots,K$, but level $K$ needs $F_{t_{K+1}}$, which is never
    run: the weights must be normalised on $1,\dots,K-1$ by $1-2^{-(K-1)}$. The bias is printed $\mathcal
    O(2^{K/2}\dots)$, growing with $K$; it must be $2^{-K/2}$.""",
)

DERIVATIONS = (geometric_horizon, proposition_e_2, proposition_e_3, proposition_e_8)
