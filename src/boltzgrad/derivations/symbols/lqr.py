r"""The letters of entropy-regularised linear-quadratic problems, any dimensions.

Spaces: X states, U the follower's inputs, A the leader's inputs.  Costs are minimised, rewards are their negatives.
Transposes are letters of their own (`At`), and every scalar word equals its transpose.
"""

from __future__ import annotations

from typing import Any

from boltzgrad.derivations.kit.vocabulary import SCALAR, Rule, Vocabulary, moved

LQR = Vocabulary("linear-quadratic")

tau = LQR.scalar("tau", r"\tau", "temperature")
gamma = LQR.scalar("gamma", r"\gamma", "discount")
m = LQR.scalar("m", "m", "dimension of the follower's input")
logdet_M = LQR.scalar("logdet_M", r"\log\det M", "log determinant of M", real=True)


def _pair(*arguments: str) -> tuple[Any, Any]:
    """A matrix or vector and its transpose."""
    symbol = LQR.matrix(*arguments)
    return symbol, LQR.t(symbol)


x, xt = _pair("x", "x", "X", SCALAR, "state")
u, ut = _pair("u", "u", "U", SCALAR, "the follower's input")
w, wt = _pair("w", "w", "X", SCALAR, "disturbance")
v, vt = _pair("v", "w'", "X", SCALAR, "the next disturbance")
a, at = _pair("a", "a", "A", SCALAR, "the leader's input")
y, yt = _pair("y", "x'", "X", SCALAR, "the next state")
mu, mut = _pair("mu", r"\mu", "X", SCALAR, "a mean")
xbar, xbart = _pair("xbar", r"\bar x", "X", SCALAR, "target of the bump")

A, At = _pair("A", "A", "X", "X", "state matrix")
B, Bt = _pair("B", "B", "X", "U", "input matrix")
C, Ct = _pair("C", "C", "X", "A", "matrix of the leader's input")
L, Lt = _pair("L", r"K_\theta", "A", "X", "gain of the leader's policy, a = K_θ x + noise")
K, Kt = _pair("K", "K", "U", "X", "the follower's gain")
Kw, Kwt = _pair("Kw", "K_w", "U", "X", "the follower's gain on an observed disturbance")
N, Nt = _pair("N", "N", "X", "X", "mixed term of the value when w is observed")
Acl, Aclt = _pair("Acl", r"A_{cl}", "X", "X", "closed loop A − BK")

Cross, Crosst = _pair("Cross", "N", "X", "U", "cross term of the follower's cost")
Shift, Shiftt = _pair("Shift", "C", "U", "X", "R⁻¹N', what the input is shifted by")

Q = LQR.matrix("Q", "Q", "X", "X", "the follower's state cost", symmetric=True)
R = LQR.matrix("R", "R", "U", "U", "the follower's input cost", symmetric=True)
P = LQR.matrix("P", "P", "X", "X", "solution of the Riccati equation", symmetric=True)
M = LQR.matrix("M", "M", "U", "U", "R + γ B'PB", symmetric=True)
Mi = LQR.matrix("Mi", "M^{-1}", "U", "U", "inverse of M = R + γ B'PB", symmetric=True)
W = LQR.matrix("W", "W", "X", "X", "covariance of the disturbance", symmetric=True)
Wi = LQR.matrix("Wi", "W^{-1}", "X", "X", "inverse of W", symmetric=True)
Z = LQR.matrix("Z", "Z", "X", "X", "quadratic term of the value in an observed w", symmetric=True)
Sigma_u = LQR.matrix("Sigma_u", r"\Sigma_u", "U", "U", "covariance of the follower's input", symmetric=True)
Sigma_a = LQR.matrix("Sigma_a", r"\Sigma_a", "A", "A", "covariance of the leader's input", symmetric=True)
Q_L = LQR.matrix("Q_L", "Q_L", "X", "X", "the leader's state cost", symmetric=True)
R_L = LQR.matrix("R_L", "R_L", "U", "U", "the leader's input cost", symmetric=True)
P_L = LQR.matrix("P_L", "P_L", "X", "X", "the leader's value matrix", symmetric=True)
S = LQR.matrix("S", "S", "X", "X", "adjoint Lyapunov solution, S = H + γ A_cl S A_cl'", symmetric=True)
H = LQR.matrix("H", "H", "X", "X", "weight of P in an objective tr(HP)", symmetric=True)
Theta = LQR.matrix("Theta", r"\Theta", "X", "X", "source of the Riccati equation's derivative", symmetric=True)
Lam = LQR.matrix("Lam", r"\Lambda", "X", "X", "precision of the bump", symmetric=True)
Sig = LQR.matrix("Sig", r"\Sigma", "X", "X", "a covariance", symmetric=True)
Sigi = LQR.matrix("Sigi", r"\Sigma^{-1}", "X", "X", "inverse of Σ", symmetric=True)
T = LQR.matrix("T", "T", "X", "X", "(Λ + Σ⁻¹)⁻¹", symmetric=True)

LQR.volumes[M] = (m, logdet_M)
for one, other in ((M, Mi), (W, Wi), (Sig, Sigi)):
    LQR.rule(one * other, 1, "an inverse")
    LQR.rule(other * one, 1, "an inverse")
LQR.rule(Bt * P * B, (M - R) / gamma, "M = R + γ B'PB")

GAIN = (Rule(K, gamma * Mi * Bt * P * A, "K = γ M⁻¹B'PA"), Rule(Kt, gamma * At * P * B * Mi, "K = γ M⁻¹B'PA"))
GAIN_W = (Rule(Kw, gamma * Mi * Bt * P, "K_w = γ M⁻¹B'P"), Rule(Kwt, gamma * P * B * Mi, "K_w = γ M⁻¹B'P"))
RICCATI_RIGHT = Q + gamma * At * P * A - gamma**2 * At * P * B * Mi * Bt * P * A
RICCATI = Rule(At * P * A, (P - Q + gamma**2 * At * P * B * Mi * Bt * P * A) / gamma, "the Riccati equation (59)")
CLOSED_LOOP = (Rule(Acl, A - B * K, "A_cl = A − BK"), Rule(Aclt, At - Kt * Bt, "A_cl = A − BK"))
SHIFT = (Rule(Crosst, R * Shift, "C = R⁻¹N'"), Rule(Cross, Shiftt * R, "C = R⁻¹N'"))
POLICY_NOISE = Rule(Sigma_u, tau / 2 * Mi, "Σ_u = (τ/2) M⁻¹")
INVERSE_MOVES = (
    Rule(LQR.d(Mi), -Mi * LQR.d(M) * Mi, "∇M⁻¹ = −M⁻¹ ∇M M⁻¹"),
    moved(Rule(M, R + gamma * Bt * P * B, "M = R + γ B'PB"), LQR),
)
