r"""Gaussian facts behind the leader's side of LQR: scores, covariances of quadratics, the bump, the leader's value."""

from __future__ import annotations

import sympy
from sympy import Integral, exp, oo, pi, sqrt

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.lqr import random_lqr
from boltzgrad.derivations.kit.methods import Calculus, Operators, Sums
from boltzgrad.derivations.kit.nodes import GaussianMean, Nabla, Tr
from boltzgrad.derivations.kit.numbers import merged
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import chain, concluded
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import lqr as q

_OPERATORS = Operators(q.LQR)
_dmu = q.LQR.d(q.mu)
_LOG_DENSITY = -(q.yt - q.mut) * q.Wi * (q.y - q.mu) / 2
_FIXED = tuple(Rule(q.LQR.d(letter), 0, f"{letter} does not move") for letter in (q.y, q.yt, q.Wi))

gaussian_score = Derivation(
    name="gaussian-score",
    title="The score of a Gaussian transition",
    source="BC-HG (5), (6) in continuous states",
    equations=("Gaussian score",),
    text=r"""$\nabla\log p(x'|x,u)=\nabla\mu^\top W^{-1}(x'-\mu)$ where only the mean moves; against any quadratic of $x'$ it
    gives what moving the mean gives: $\mathbb E[\nabla\log p\,x'^\top Px']=2\,\nabla\mu^\top P\mu$.""",
    assumptions=("W does not move",),
    statement=Claim(
        Nabla(_LOG_DENSITY),
        q.LQR.d(q.mut) * q.Wi * (q.y - q.mu),
        "product rule on −½(x'−μ)'W⁻¹(x'−μ); a scalar equals its transpose",
        "score",
        _FIXED,
    ),
    also=(
        Claim(
            GaussianMean(q.LQR.d(q.mut) * q.Wi * q.w * ((q.mut + q.wt) * q.P * (q.mu + q.w)), q.w, q.W),
            2 * q.LQR.d(q.mut) * q.P * q.mu,
            "x' = μ + w; only the mixed pairings are left, and W⁻¹W = I",
            "against a quadratic",
        ),
    ),
    method=_OPERATORS,
    instance=random_lqr,
    mutants=(
        Mutant("the covariance in place of its inverse", q.LQR.d(q.mut) * q.W * (q.y - q.mu)),
        Mutant("wrong sign", -q.LQR.d(q.mut) * q.Wi * (q.y - q.mu)),
        Mutant("half of it", q.LQR.d(q.mut) * q.P * q.mu, "against a quadratic"),
    ),
)

# Two quadratics f = x'Hx + 2 x̄'x and g = x'Λx + 2 y'x of x = μ + w, w ~ N(0, Σ).
_z, _c, _b = s.zeta, s.c, s.b
_NORMAL = exp(-(_z**2) / 2) / sqrt(2 * pi)


def _moment(f: sympy.Expr) -> Integral:
    return Integral(f * _NORMAL, (_z, -oo, oo))


_X, _XT = q.mu + q.w, q.mut + q.wt
_F = _XT * q.H * _X + 2 * q.xbart * _X
_G = _XT * q.Lam * _X + 2 * q.yt * _X
_IN_F, _IN_G = q.H * q.mu + q.xbar, q.Lam * q.mu + q.y
_IN_F_T = q.mut * q.H + q.xbart
_p, _r = sympy.Function("q", real=True)(s.a, s.x), sympy.Function("y", real=True)(s.a, s.x)
_f, _g = s.h, s.y


def _variance(f: sympy.Expr) -> sympy.Expr:
    return s.mean(f**2) - s.mean(f) ** 2


def _closed(left: sympy.Expr, right: sympy.Expr, in_left_t: sympy.Expr, in_right: sympy.Expr) -> sympy.Expr:
    return 2 * Tr(left * q.Sig * right * q.Sig) + 4 * in_left_t * q.Sig * in_right


quadratic_covariance = Derivation(
    name="gaussian-covariance-of-quadratics",
    meanings={
        q.H: "any symmetric matrix",
        q.Lam: "another one",
        q.xbar: "any vector",
        q.y: "another one (y in the text)",
        q.mu: "mean of x = μ + w",
    },
    title="The covariance of two quadratics of a Gaussian",
    source="not in the papers; Isserlis' theorem",
    equations=("Gaussian covariance of quadratics",),
    text=r"""$\mathrm{Cov}(x^\top Hx+2\bar x^\top x,\;x^\top\Lambda x+2y^\top
    x)=2\,\mathrm{tr}(H\Sigma\Lambda\Sigma)+4(H\mu+\bar x)^\top\Sigma(\Lambda\mu+y)$: with ∇Q_F and Q_L quadratic in
    u, both sides of the Boltzmann covariance identity are closed forms. For one quadratic, turn to its
    eigenvectors: every coordinate adds $2a_i^2+b_i^2$; two quadratics follow by polarisation.""",
    assumptions=("x ~ N(μ, Σ), any dimension",),
    steps=(
        Claim(_moment(_c * _z**2 + _b * _z), _c, "E z = 0, E z² = 1", "mean, one coordinate", method=Calculus()),
        Claim(
            _moment((_c * _z**2 + _b * _z) ** 2) - _c**2,
            2 * _c**2 + _b**2,
            "E z³ = 0, E z⁴ = 3",
            "variance, one coordinate",
            method=Calculus(),
        ),
        Claim(
            s.over_actions(3 * s.q**2 + s.y**2 - s.q**2),
            2 * s.over_actions(s.q**2) + s.over_actions(s.y**2),
            "independent coordinates: Σ a_i² is the trace of the square, Σ b_i² the squared length",
            "any dimension",
            method=Sums(),
        ),
        Claim(
            (_variance(_f + _g) - _variance(_f - _g)) / 4,
            s.mean(_f * _g) - s.mean(_f) * s.mean(_g),
            "E is linear",
            "polarisation",
            method=Sums(),
        ),
        Claim(
            _closed(q.H + q.Lam, q.H + q.Lam, _IN_F_T + q.mut * q.Lam + q.yt, _IN_F + _IN_G)
            - _closed(q.H - q.Lam, q.H - q.Lam, _IN_F_T - q.mut * q.Lam - q.yt, _IN_F - _IN_G),
            4 * _closed(q.H, q.Lam, _IN_F_T, _IN_G),
            "the closed form is a symmetric bilinear form, so it polarises in the same way",
            "polarised",
        ),
    ),
    statement=Claim(
        GaussianMean(_F * _G, q.w, q.Sig) - GaussianMean(_F, q.w, q.Sig) * GaussianMean(_G, q.w, q.Sig),
        _closed(q.H, q.Lam, _IN_F_T, _IN_G),
        "and once more by Isserlis' pairings",
        "Cov",
    ),
    method=_OPERATORS,
    instance=merged(random_actions, random_lqr),
    mutants=(
        Mutant("one pairing instead of two", Tr(q.H * q.Sig * q.Lam * q.Sig) + 4 * _IN_F_T * q.Sig * _IN_G),
        Mutant("the linear parts without the mean", 2 * Tr(q.H * q.Sig * q.Lam * q.Sig) + 4 * q.xbart * q.Sig * q.y),
        Mutant("traces multiplied", 2 * Tr(q.H * q.Sig) * Tr(q.Lam * q.Sig) + 4 * _IN_F_T * q.Sig * _IN_G),
        Mutant("E z⁴ = 1", _b**2, "variance, one coordinate"),
    ),
)

_CENTRE, _CENTRE_T = q.T * (q.Lam * q.xbar + q.Sigi * q.mu), (q.xbart * q.Lam + q.mut * q.Sigi) * q.T
_T_RULES = (
    Rule(q.T * q.Lam, 1 - q.T * q.Sigi, "T = (Λ + Σ⁻¹)⁻¹"),
    Rule(q.Lam * q.T, 1 - q.Sigi * q.T, "T = (Λ + Σ⁻¹)⁻¹"),
)
_AWAY, _AWAY_T = q.x - _CENTRE, q.xt - _CENTRE_T
_l, _m = s.u, s.v

gaussian_bump = Derivation(
    name="gaussian-bump",
    title="The mean of a Gaussian bump",
    source="not in the papers; the leader's reward of BC-HG 5.4",
    equations=("Gaussian bump",),
    text=r"""$\mathbb E e^{-\frac12(x-\bar x)^\top\Lambda(x-\bar x)}=|I+\Lambda\Sigma|^{-1/2}e^{-\frac12(\mu-\bar
    x)^\top(\Lambda^{-1}+\Sigma)^{-1}(\mu-\bar x)}$ for $x\sim N(\mu,\Sigma)$: complete the square, and compare
    volumes.""",
    assumptions=("Λ and Σ positive definite (the formula extends to singular Σ)",),
    steps=(
        Claim(
            (1 + q.Sig * q.Lam) * q.T * q.Sigi,
            sympy.S.One,
            "ΛTΣ⁻¹ is the inverse of Λ⁻¹ + Σ",
            "(Λ⁻¹ + Σ)⁻¹",
            _T_RULES,
        ),
        Claim((q.Lam + q.Sigi) * q.Sig, 1 + q.Lam * q.Sig, "so |T⁻¹||Σ| = |I + ΛΣ|", "volumes"),
        Claim(
            _moment(exp(-_l * (_z - _m) ** 2 / 2)),
            exp(-(_m**2) * _l / (1 + _l) / 2) / sqrt(1 + _l),
            "one coordinate, Σ = 1",
            "one dimension",
            method=Calculus(),
        ),
    ),
    statement=Claim(
        (q.xt - q.xbart) * q.Lam * (q.x - q.xbar) + (q.xt - q.mut) * q.Sigi * (q.x - q.mu),
        _AWAY_T * (q.Lam + q.Sigi) * _AWAY + (q.mut - q.xbart) * q.Lam * q.T * q.Sigi * (q.mu - q.xbar),
        "the square around T(Λx̄ + Σ⁻¹μ) completed",
        "exponents",
        _T_RULES,
    ),
    method=_OPERATORS,
    instance=merged(random_actions, random_lqr),
    mutants=(
        Mutant(
            "precisions added instead of covariances",
            _AWAY_T * (q.Lam + q.Sigi) * _AWAY + (q.mut - q.xbart) * (q.Lam + q.Sigi) * (q.mu - q.xbar),
        ),
        Mutant(
            "only the bump's precision",
            _AWAY_T * (q.Lam + q.Sigi) * _AWAY + (q.mut - q.xbart) * q.Lam * (q.mu - q.xbar),
        ),
        Mutant("the volume forgotten", exp(-(_m**2) * _l / (1 + _l) / 2), "one dimension"),
    ),
)

_CLOSED = q.Acl * q.x
_NOISE_FREE = q.xt * (q.Q_L + q.Kt * q.R_L * q.K) * q.x
_STAGE = q.xt * q.Q_L * q.x + (q.ut - q.xt * q.Kt) * q.R_L * (q.u - q.K * q.x)
_AFTER, _AFTER_T = q.Acl * q.x + q.B * q.u + q.w, q.xt * q.Aclt + q.ut * q.Bt + q.wt
C_L = (Tr(q.R_L * q.Sigma_u) + q.gamma * Tr(q.P_L * (q.W + q.B * q.Sigma_u * q.Bt))) / (1 - q.gamma)
_VALUE = chain(
    GaussianMean(GaussianMean(_STAGE + q.gamma * (_AFTER_T * q.P_L * _AFTER + C_L), q.u, q.Sigma_u), q.w, q.W),
    (
        _NOISE_FREE
        + q.gamma * q.xt * q.Aclt * q.P_L * q.Acl * q.x
        + Tr(q.R_L * q.Sigma_u)
        + q.gamma * (Tr(q.P_L * (q.W + q.B * q.Sigma_u * q.Bt)) + C_L),
        "u = −Kx + noise: the noises have mean zero",
        "averaged",
    ),
    (
        q.xt * q.P_L * q.x + C_L,
        "P_L = Q_L + K'R_L K + γ A_cl'P_L A_cl",
        "compared",
        (
            Rule(
                q.Aclt * q.P_L * q.Acl,
                (q.P_L - q.Q_L - q.Kt * q.R_L * q.K) / q.gamma,
                "the leader's Lyapunov equation",
            ),
        ),
    ),
)

leader_value = Derivation(
    name="lqr-leader-value",
    title="The leader's quadratic value in closed form",
    source="not in the papers; BC-HG (110), (111)",
    equations=("leader's LQR value",),
    text=r"""Under $u=-Kx+\varepsilon$ the leader's cost to go is $x^\top P_Lx+c_L$ with a discrete Lyapunov equation for
    $P_L$ and $c_L=[\mathrm{tr}(R_L\Sigma_u)+\gamma_L\mathrm{tr}(P_L(W+B\Sigma_uB^\top))]/(1-\gamma_L)$.""",
    assumptions=("both discounts written γ here", "the closed loop √γ A_cl stable"),
    steps=_VALUE,
    statement=concluded(_VALUE, "the leader's Bellman equation is satisfied", "V_L"),
    method=_OPERATORS,
    instance=random_lqr,
    mutants=(
        Mutant(
            "the follower's noise forgotten in the next state",
            q.xt * q.P_L * q.x + (Tr(q.R_L * q.Sigma_u) + q.gamma * Tr(q.P_L * q.W)) / (1 - q.gamma),
        ),
        Mutant(
            "the follower's noise forgotten in the stage cost",
            q.xt * q.P_L * q.x + q.gamma * Tr(q.P_L * (q.W + q.B * q.Sigma_u * q.Bt)) / (1 - q.gamma),
        ),
        Mutant(
            "the input's cost forgotten",
            left=GaussianMean(
                GaussianMean(q.xt * q.Q_L * q.x + q.gamma * (_AFTER_T * q.P_L * _AFTER + C_L), q.u, q.Sigma_u), q.w, q.W
            ),
        ),
    ),
)

DERIVATIONS = (gaussian_score, quadratic_covariance, gaussian_bump, leader_value)
