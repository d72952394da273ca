r"""HPGD's Theorem 2.5: what a follower off by δ does to the gradient estimate's mean, and what that bias does to the descent.

The proof's own constants are held against exact identities: several of its steps do not hold as printed, nor does their sum.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Derivative, Sum, log

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.oracle import random_descent, random_oracle
from boltzgrad.derivations.kit.methods import Calculus, NonNegative, Operators, Sign, Sums
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import chain, concluded
from boltzgrad.derivations.soft_bellman import ROW_SUMS, contraction
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m
from boltzgrad.derivations.symbols import oracle as o
from boltzgrad.derivations.trained_followers import gap

_OPERATORS, _SIGNS = Operators(m.MDP), NonNegative(m.MDP)
_over = s.over_actions

# KL ≤ χ² ≤ |A|δ²/l₁.
_RATIO = o.own / o.best
_CONVEX = Rule(
    _over(o.own * log(o.own)),
    _over(o.own * (log(o.best) + _RATIO - 1 - o.convex)),
    "log x = x − 1 − what is missing, at x = π°/π*",
)
_OWN_SUMS = Rule(_over(o.own), sympy.S.One, "π° sums to one")
_BEST_SUMS = Rule(_over(o.best), sympy.S.One, "π* sums to one")
_CHI = _over((o.own - o.best) ** 2 / o.best)
_ROWS = ROW_SUMS.rule()

value_error = Derivation(
    name="oracle-value-gap",
    meanings={
        m.V_F: "soft value V° of the follower's policy",
        m.Pi: "mean under π°",
        m.R_F: "(I − γ_F Π°P)⁻¹",
        m.KL_up: "divergence KL(π°‖π*)",
    },
    title="A follower off by δ is worse by δ² only",
    source="HPGD App. E, proof of Theorem 2.5: the difference of the values",
    equations=("HPGD Thm 2.5: values",),
    kind="inequality",
    text=r"""$V^*-V^\circ=R_F\,\tau\,\mathrm{KL}(\pi^\circ\|\pi^*)$ (`suboptimality-gap`), and a divergence is at most
    $\chi^2=\sum_a(\pi^\circ-\pi^*)^2/\pi^*\le|\mathcal A|\delta^2/l_1$ with $l_1=\min\pi^*$, since $\log x\le x-1$. So
    $V^*-V^\circ\le\tau|\mathcal A|\delta^2/(l_1(1-\gamma))$, whatever δ is and however small $\pi^\circ$ is.""",
    assumptions=("|π* − π°| ≤ δ at every (s, a)", "l₁ = min π* > 0", "0 ≤ γ_F < 1"),
    steps=(
        Claim(Derivative(s.t - log(1 + s.t), s.t), 0, "x − 1 − log x grows from 0 at x = 1", "x > 1", method=Sign()),
        Claim(
            Derivative(1 / (1 + s.t) - 1 + log(1 + s.t), s.t),
            0,
            "and to the other side, x = 1/(1 + t)",
            "x < 1",
            method=Sign(),
        ),
        Claim(_CHI, _over(o.own**2 / o.best) - 1, "both sum to one", "χ²", (_OWN_SUMS, _BEST_SUMS), Sums()),
        Claim(
            _over(o.own**2 / o.best) - 1,
            _over(o.own * (log(o.own) - log(o.best))),
            "log x ≤ x − 1 at x = π°/π*",
            "KL ≤ χ²",
            (_CONVEX, _OWN_SUMS),
            Sign(),
        ),
        Claim(
            o.delta**2 / o.least,
            (o.delta**2 - o.inside) / (o.least + o.above_least),
            "(π° − π*)² ≤ δ² and π* ≥ l₁ at every action: χ² ≤ |A|δ²/l₁",
            "each action",
            method=Sign(),
        ),
        Claim(
            8 * log(8),
            sympy.Integer(16),
            "|A| log l₁ + 2/l₁ at the uniform policy of eight actions: a bound on an absolute value, as printed, below zero",
            "as printed",
            method=Sign(),
        ),
    ),
    statement=Claim(
        o.VALUE_OFF * m.one_S,
        m.V_star - m.V_F,
        "`suboptimality-gap`, and rows of R_F sum to 1/(1 − γ_F)",
        "V* − V°",
        (
            Rule(m.V_star, m.V_F + m.tau * m.R_F * m.KL_up, "V* − V° = R_F τ KL", gap.statement),
            o.FAR,
            _ROWS,
        ),
        _SIGNS,
    ),
    method=_OPERATORS,
    instance=random_oracle,
    mutants=(
        Mutant("the first step's divergence alone", left=(1 - m.gamma_F) * o.VALUE_OFF * m.one_S),
        Mutant("the least probability forgotten", left=o.VALUE_OFF * o.least * m.one_S),
        Mutant("one action's error for all of them", left=o.VALUE_OFF / o.n_A * m.one_S),
        Mutant("χ²/4, half of what the divergence begins with", left=_CHI / 4, label="KL ≤ χ²"),
    ),
    rests_on=(gap, contraction),
    finding=r"""The paper bounds the entropies' difference by $\delta(|\mathcal A|\log l_1+2/l_1)$. The sign of the
    logarithm is lost ($\log l_1<0$: the bound is negative at the uniform policy of eight actions), the step after it
    bounds soft values by $\bar R/(1-\gamma)$ without their entropy, and all of it needs $\pi^\circ\ge l_1/2$ at every
    draw of the oracle, which Assumption 2.4, a second moment, does not give. The divergence needs none of that and is of
    second order.""",
)

# ∂Q*, and its error.
_DIAGONAL = m.W_s * (1 - m.gamma_F * m.P * m.Pi_star) * m.one_SA
_STAR_ROWS = chain(
    (1 - m.gamma_F) * m.W_s * m.one_SA,
    (_DIAGONAL, "rows of PΠ* sum to one", "rows of W*, a"),
    (m.one_SA, "W* (I − γ_F PΠ*) = I", "rows of W*, b", (m.STAR_PAIRS_LEFT,)),
)
_STAR_SUM = concluded(_STAR_ROWS, "so the rows of W* sum to 1/(1 − γ_F)", "rows of W*")
_OWN_DIAGONAL = m.W_F * (1 - m.gamma_F * m.P * m.Pi) * m.one_SA
_OWN_ROWS = chain(
    (1 - m.gamma_F) * m.W_F * m.one_SA,
    (_OWN_DIAGONAL, "rows of PΠ° sum to one", "rows of W°, a"),
    (m.one_SA, "W° (I − γ_F PΠ°) = I", "rows of W°, b", (m.PAIRS_LEFT,)),
)
_OWN_SUM = concluded(_OWN_ROWS, "so the rows of W° sum to 1/(1 − γ_F)", "rows of W°")
_SLOPE = Claim(
    o.SLOPE * m.one_SA, m.q_star, "∂Q* = W*(∇r_F + γ_F∇P V*)", "∂Q*",
    (o.STAR, o.SOURCE, o.SLOW_R, o.SLOW_P, _STAR_SUM.rule()), _SIGNS,
)  # fmt: skip
_EXACT_SLOPE = Claim(
    m.q_star - m.q_hat,
    m.W_F * (m.gamma_F * m.dP * (m.V_star - m.V_F) + m.gamma_F * m.P * o.MOVED * m.q_star),
    "both solve their own Bellman equation: the resolvent of π°, another source, another policy",
    "∂Q* − ∂Q°, exactly",
    (o.STAR_STEP, o.SOURCE, o.OWN),
)
_SLOPE_OFF = Claim(
    o.SLOPE_OFF * m.one_SA,
    m.q_star - m.q_hat,
    "|∇p| ≤ K₁p, `oracle-value-gap`, and Σ_a|π* − π°| ≤ |A|δ",
    "∂Q* − ∂Q°",
    (
        Rule(m.q_hat, m.q_star - _EXACT_SLOPE.right, _EXACT_SLOPE.because, _EXACT_SLOPE),
        o.SLOW_V,
        o.MOVED_Q,
        _OWN_SUM.rule(),
    ),
    _SIGNS,
)
_ADVANTAGES = Claim(
    o.A_star - o.A_own,
    (1 - m.E * m.Pi) * (m.q_star - m.q_hat) - m.E * o.MOVED * m.q_star,
    "what is subtracted from ∂Q is a mean under the policy, and the policy differs, too",
    "∂A* − ∂A°",
)
_PARTS = o.part_1 + o.part_2 + o.part_3 + o.part_4
_SPLIT = Claim(
    m.Pi_star * D(o.f_star) * o.A_star - m.Pi * D(o.f_own) * o.A_own,
    _PARTS,
    "add and subtract Π°∂f*∂A* and Π°∂f°∂A*, then the advantages' difference",
    "four parts",
    o.PARTS,
)
_IN_PARTS = Rule(
    m.Pi_star * D(o.f_star) * m.q_star,
    _PARTS + m.Pi_star * D(o.f_star) * m.E * m.Pi_star * m.q_star + m.Pi * D(o.f_own) * o.A_own,
    _SPLIT.because,
    _SPLIT,
)
_TOO_SMALL = m.gamma_F * (o.K_1 * o.VALUE_OFF + o.delta * o.SLOPE) / (1 - m.gamma_F)

bias = Derivation(
    name="hpgd-theorem-2-5-bias",
    meanings={
        m.Pi: "mean under the follower's policy π°",
        m.Pi_star: "mean under π*",
        m.q_hat: "∂Q under π°, Theorem 2.3",
        m.q_star: "∂Q under π*",
    },
    title="Theorem 2.5, the bias: a follower off by δ biases the gradient estimate by at most Cδ",
    source="HPGD Theorem 2.5 and App. E, terms (A), (a), (i), (ii)",
    equations=("HPGD Thm 2.5: bias",),
    kind="inequality",
    text=r"""HPGD's estimate has the mean of the formula under $\pi^\circ$. Against ∇F it is off by what
    $\partial_\theta f$ differs by and, over τ and summed over states, by four parts *exactly*: another policy over
    the same, another $\partial_\pi f$, another $\partial Q$, and another mean that is subtracted from it. Each is
    bounded by the constants of Assumption 2.1 and $l_1=\min\pi^*$: with $q=(K_2+\gamma K_1\bar V)/(1-\gamma)$, $\bar
    V=(\bar R+\tau\log|\mathcal A|)/(1-\gamma)$, and $e=\gamma(K_1\,\tau|\mathcal A|\delta^2/(l_1(1-\gamma))+|\mathcal
    A|\delta q)/(1-\gamma)$ the bias of a coordinate is at most $S_f\delta+\frac{|\mathcal S|}\tau(3|\mathcal A|\delta
    L_fq+2S_f\delta q+2L_fe)$. It is linear in δ and its square, so that the second moment of Assumption 2.4 is
    enough; and where states are drawn by ν its $1/\nu(s)$ cancels: the paper's $1/\min\nu\ge|\mathcal S|$ is not
    needed.""",
    assumptions=(
        "Assumption 2.1, with L_f a bound on the entries of ∂f/∂π, as the proof uses it",
        "|π* − π°| ≤ δ at every (s, a)",
        "one coordinate of θ, one sign: the other side is the same with the direction turned",
    ),
    steps=(
        Claim(
            _over((o.up + o.down) * (o.high + o.low) / 4),
            _over((o.up - o.down) * (o.low - o.high) / 4),
            "δ ± (π* − π°) and c ± h are not negative: |Σ_a(π* − π°)h| ≤ |A|δc",
            "products of bounds",
            method=Sign(),
        ),
        *_STAR_ROWS,
        _STAR_SUM,
        *_OWN_ROWS,
        _OWN_SUM,
        _SLOPE,
        _EXACT_SLOPE,
        _SLOPE_OFF,
        _ADVANTAGES,
        _SPLIT,
    ),
    statement=Claim(
        o.BIAS,
        o.BIAS_EXACT,
        "each part replaced by its bound, at every state",
        "bias",
        (_IN_PARTS, o.DIRECT, *o.BOUNDED, o.COUNT),
        _SIGNS,
    ),
    method=_OPERATORS,
    instance=random_oracle,
    mutants=(
        Mutant("as printed: the advantages differ as ∂Q does", (1 - m.E * m.Pi) * (m.q_star - m.q_hat), "∂A* − ∂A°"),
        Mutant("as printed: one action's error for the sum over actions", left=_TOO_SMALL * m.one_SA, label="∂Q* − ∂Q°"),
        Mutant("the centring's part forgotten", o.part_1 + o.part_2 + o.part_3, "four parts"),
        Mutant("∂f/∂π under π° for both", o.part_1 + o.part_3 + o.part_4, "four parts"),
        Mutant("the policy's error under the resolvent of π*",
               m.W_s * (m.gamma_F * m.dP * (m.V_star - m.V_F) + m.gamma_F * m.P * o.MOVED * m.q_star),
               "∂Q* − ∂Q°, exactly"),
        Mutant("one reward's gradient for a discounted sum", left=o.K_2 * (1 - m.gamma_F) * m.one_SA, label="∂Q*"),
    ),
    rests_on=(value_error, contraction),
    finding=r"""Two steps of the printed proof do not hold. $\|\partial A^*-\partial A^\circ\|\le2\|\partial
    Q^*-\partial Q^\circ\|$ forgets that the two are centred under two policies: at γ = 0 the right side is zero, the
    left is not. And $\sum_{a'}|\pi^*-\pi^\circ||\partial Q|$ is bounded by $\delta\|\partial Q\|$, which wants a
    factor $|\mathcal A|$. The printed sum is too small, too, with $L_f$ as the proof uses it: on three states with
    forty actions at γ = .99 the bias is four times as large (notebook 14). Its $|\mathcal S|K_1$ is too large by
    $|\mathcal S|$: $\sum_{s'}|\partial p|\le K_1$. The order δ stands.""",
)  # fmt: skip

# What a bias does to the descent, over the coordinates k of θ; Sα = 1/(1 + t).
_g, _b = (sympy.Function(name, real=True)(s.k) for name in ("grad", "bias"))
_F = sympy.Function("F", real=True)
_SHARE = 1 / (1 + s.t)


def _coordinates(f: Any) -> Any:
    return Sum(f, (s.k, 1, o.dim))


_DECREASE = o.alpha * _coordinates(_g * (_g + _b)) - _SHARE * o.alpha / 2 * (_coordinates((_g + _b) ** 2) + o.sigma**2)
_PRICE_OF_BIAS = o.alpha / 2 * _coordinates(_b**2)
_PRICE_OF_NOISE = _SHARE * o.alpha / 2 * o.sigma**2
_POLAR = Claim(
    _coordinates(_g * (_g + _b)),
    (_coordinates(_g**2) + _coordinates((_g + _b) ** 2) - _coordinates(_b**2)) / 2,
    "2⟨g, g + b⟩ = |g|² + |g + b|² − |b|²",
    "polarised",
)

rate = Derivation(
    name="hpgd-theorem-2-5-rate",
    title="Theorem 2.5, the descent: a bias counts by its square",
    source="HPGD Theorem 2.5, (5) and (10)",
    equations=("HPGD Thm 2.5: rate",),
    kind="inequality",
    text=r"""Let $F$ be $S$-smooth, $g=\nabla F(x_t)$, and let the estimate have the mean $g+b$ and the variance
    $\sigma^2$. With $S\alpha=1/(1+t)\le1$ a step decreases $F$ in the mean by at least $\alpha\langle
    g,g+b\rangle-\frac{S\alpha^2}2(|g+b|^2+
    \sigma^2)\ge\frac\alpha2|g|^2-\frac\alpha2|b|^2-\frac{S\alpha^2}2\sigma^2$. Over the steps the values of $F$
    telescope: $\mathbb E|\nabla F(\hat x_T)|^2\le2(F_1-\min F)/(\alpha T)+\max|b|^2+S\alpha\sigma^2$. With a bias of
    order δ (`hpgd-theorem-2-5-bias`) that is $\mathcal O(1/(\alpha T)+\delta^2+\alpha)$.""",
    assumptions=("F (not f) is S-smooth in the Euclidean norm", "α ≤ 1/S", "bounded variance"),
    steps=(
        _POLAR,
        Claim(
            Sum(_F(s.j) - _F(s.j + 1), (s.j, 0, s.N)),
            _F(0) - _F(s.N + 1),
            "what one step leaves the next one takes",
            "telescoping",
            method=Calculus(),
        ),
    ),
    statement=Claim(
        _DECREASE + _PRICE_OF_BIAS + _PRICE_OF_NOISE,
        o.alpha / 2 * _coordinates(_g**2),
        "polarised; (α/2)(1 − Sα)|g + b|² is not negative",
        "one step",
        (_POLAR.rule(),),
        Sign(),
    ),
    method=Sums(),
    instance=random_descent,
    mutants=(
        Mutant("the variance without a price", left=_DECREASE + _PRICE_OF_BIAS),
        Mutant("the bias without a price", left=_DECREASE + _PRICE_OF_NOISE),
        Mutant(
            "a wrong sign of the bias",
            (_coordinates(_g**2) + _coordinates((_g + _b) ** 2) + _coordinates(_b**2)) / 2,
            "polarised",
        ),
        Mutant("one step too few", _F(0) - _F(s.N), "telescoping"),
    ),
    rests_on=(bias,),
    finding=r"""(5) has δ where $\delta^2$ can be had: the paper bounds $\langle g,b\rangle$ by $L|b|$ with a bound
    $L$ on the gradient, which goes to zero itself. So $\delta=\mathcal O(T^{-1/4})$ is enough for the rate $\mathcal
    O(1/\sqrt T)$, not $T^{-1/2}$: with Prop E.5's $\log(1/\delta)/\delta^2$ a Q-learner needs about $\sqrt T$ samples
    for a step of the leader's where $T$ were asked for. The smoothness in (10) must be that of $F$, printed is $f$'s
    $S_f$; a step of at most $1/S$ is needed; and a product of two ∞-norms does not bound an inner product.""",
)

DERIVATIONS = (value_error, bias, rate)
