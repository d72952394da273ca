r"""The letters of a configurable MDP.

Spaces: S states, SA pairs (s, a), SAS triples (s, a, s').  A function on a space is a column, a distribution a row, so that
`rho*R_L*Pi*r_L` reads Σ ρ R_L Π r_L, an expectation along a trajectory: R = (I − γ Π P)⁻¹ = Σ_t γᵗ(Π P)ᵗ.
"""

from __future__ import annotations

import sympy

from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import Rule, Vocabulary

MDP = Vocabulary("configurable MDP")

tau = MDP.scalar("tau", r"\tau", "temperature")
gamma_F = MDP.scalar("gamma_F", r"\gamma_F", "the follower's discount")
gamma_L = MDP.scalar("gamma_L", r"\gamma_L", "the leader's discount")
n = MDP.scalar("n", "n", "a number of steps", integer=True, nonnegative=True)

one_S, one_SA, one_SAS = MDP.one("S", "1"), MDP.one("SA", "1"), MDP.one("SAS", "1")

Pi = MDP.letter("Pi", r"\Pi", "S", "SA", "mean over the follower's action, Σ_a π*(a|s) ·")
E = MDP.letter("E", r"\mathsf E", "SA", "S", "a function of the state, read on pairs", varies=False)
P = MDP.letter("P", "P", "SA", "S", "mean over the next state, Σ_s' p(s'|s,a) ·")
N = MDP.letter("N", "N", "SA", "SAS", "the same for functions of (s, a, s')")
L = MDP.letter("L", "L", "SAS", "S", "a function of s', read on triples", varies=False)
M = MDP.letter("M", "M", "SAS", "SA", "a function of (s, a), read on triples", varies=False)
rho = MDP.covector("rho", r"\rho", "S", "initial distribution")

r_F = MDP.vector("r_F", "r_F", "SA", "the follower's reward")
r_L = MDP.vector("r_L", "r_L", "SA", "the leader's reward")
V_F = MDP.vector("V_F", "V_F", "S", "the follower's soft value")
Q_F = MDP.vector("Q_F", "Q_F", "SA", "the follower's soft action value")
V_L = MDP.vector("V_L", "V_L", "S", "the leader's value under π*")
Q_L = MDP.vector("Q_L", "Q_L", "SA", "the leader's action value under π*")
B = MDP.vector("B", "B_L", "SA", "the leader's Benefit Q_L − V_L")
score = MDP.vector("score", r"\nabla\log p", "SAS", "score of the kernel", varies=False)
log_pi = MDP.vector("log_pi", r"\log\pi^*", "SA", "logarithm of the follower's policy")
score_rho = MDP.vector("score_rho", r"\nabla\log\rho", "S", "score of the initial distribution", varies=False)

R_L = MDP.letter("R_L", "R_L", "S", "S", "(I − γ_L Π P)⁻¹, the leader's resolvent", varies=False)
R_F = MDP.letter("R_F", "R_F", "S", "S", "(I − γ_F Π P)⁻¹, the follower's resolvent", varies=False)
W_F = MDP.letter("W_F", "W_F", "SA", "SA", "(I − γ_F P Π)⁻¹, the follower's resolvent on pairs", varies=False)

TV = MDP.vector("TV", r"TV", "S", "one soft Bellman backup of an iterate V", varies=False)
V_star = MDP.vector("V_star", r"V^*", "S", "the fixed point of T", varies=False)
Q_star = MDP.vector("Q_star", r"Q^*", "SA", "r_F + γ_F P V*", varies=False)
KL_up = MDP.vector(
    "KL_up", r"\mathrm{KL}(\pi_V\|\pi^*)", "S", "divergence of the iterate's policy from π*", varies=False
)
Pi_star = MDP.letter("Pi_star", r"\Pi^*", "S", "SA", "mean under π* when π_V is another policy", varies=False)
R_star = MDP.letter("R_star", r"R^*", "S", "S", "(I − γ_F Π*P)⁻¹", varies=False)
KL_down = MDP.vector(
    "KL_down", r"\mathrm{KL}(\pi^*\|\pi_V)", "S", "divergence of π* from the iterate's policy", varies=False
)

J = MDP.letter("J", "J_L", "1", "1", "the leader's objective")
regulariser = MDP.letter("reg", r"\Omega", "1", "1", "a regulariser of θ alone")
f = MDP.letter("f", "f", "1", "1", "a general upper level f(θ, π)")
f_theta = MDP.letter("f_theta", r"\partial_\theta f", "1", "1", "its partial derivative in θ", varies=False)
f_pi = MDP.vector("f_pi", r"\partial_\pi f", "SA", "its partial derivatives in π", varies=False)
sum_S = MDP.covector("sum_S", r"\textstyle\sum_s", "S", "the sum over states", varies=False)
nu = MDP.covector("nu", r"\nu", "S", "any sampling distribution with full support", varies=False)
nu_of = MDP.vector("nu_of", r"\nu(\cdot)", "S", "its probabilities as a function", varies=False)
nu_inverse = MDP.vector("nu_inverse", r"\nu^{-1}", "S", "one over its probabilities", varies=False)

C = MDP.scalar("C", "C_{rx}", "a bound on the reward's gradient")
below = MDP.vector("below", "C-\\nabla r_F", "SA", "by how much ∇r_F stays below C", varies=False)
above = MDP.vector("above", "C+\\nabla r_F", "SA", "by how much ∇r_F stays above −C", varies=False)
slack_Q = MDP.vector("slack_Q", r"\sigma_Q", "SA", "by how much ∇Q_F stays below C/(1 − γ_F)", varies=False)
slack_V = MDP.vector("slack_V", r"\sigma_V", "S", "by how much ∇V_F stays above −C/(1 − γ_F)", varies=False)
c = MDP.covector("c", "c", "S", "weights of the states in a linear objective c V", varies=False)
dual = MDP.covector("dual", r"\nu_c", "S", "optimal multipliers over τ", varies=False)
feasible = MDP.vector("feasible", "V-TV", "S", "what a feasible V leaves of its constraint", varies=False)

lam = MDP.scalar("lam", r"\lambda", "mixing weight of a λ-return")
W_lam = MDP.letter("W_lam", r"W_\lambda", "SA", "SA", "(I − λγ_F PΠ)⁻¹", varies=False)
psi = MDP.vector("psi", r"\psi", "SA", "any function of (s, a), such as V_F at the mean next state", varies=False)
critic = MDP.vector("critic", r"\widehat{\nabla V}", "S", "an approximate ∇V_F", varies=False)

# Beside the solution of an iterate (Π, V_L, …) the exact one (Π*, V_L*, …), and what bounds their difference.
V_Ls = MDP.vector("V_Ls", "V_L^*", "S", "the leader's value under π*", varies=False)
Q_Ls = MDP.vector("Q_Ls", "Q_L^*", "SA", "the leader's action value under π*", varies=False)
R_Ls = MDP.letter("R_Ls", "R_L^*", "S", "S", "(I − γ_L Π*P)⁻¹", varies=False)
W_s = MDP.letter("W_s", "W_F^*", "SA", "SA", "(I − γ_F PΠ*)⁻¹", varies=False)
u_hat = MDP.vector("u_hat", r"\hat u", "SA", "∇r_F + γ_F ∇P V of the iterate", varies=False)
u_star = MDP.vector("u_star", "u^*", "SA", "∇r_F + γ_F ∇P V*", varies=False)
q_hat = MDP.vector("q_hat", r"\widehat{\nabla Q}", "SA", "∇Q_F as the iterate has it", varies=False)
q_star = MDP.vector("q_star", r"\nabla Q^*", "SA", "the exact ∇Q_F", varies=False)
g_hat = MDP.vector("g_hat", r"\hat g", "SA", "summand of (5) as the iterate has it", varies=False)
g_star = MDP.vector("g_star", "g^*", "SA", "the exact summand of (5)", varies=False)
Y = MDP.vector("Y", r"\hat Y", "S", "R_L Π ĝ, the iterate's ∇V_L", varies=False)
residual = MDP.scalar("residual", r"\varrho", "‖TV − V‖ of the iterate", nonnegative=True)
left_residual = MDP.vector("left_residual", r"\sigma_\varrho", "S", "ϱ − (TV − V)", varies=False)
e_g = MDP.scalar("e_g", "e_g", "a bound on g* − ĝ", nonnegative=True)
e_h = MDP.scalar("e_h", "e_h", "a bound on Π|ĝ + γ_L P Ŷ − E Ŷ|", nonnegative=True)
e_rho = MDP.scalar("e_rho", r"e_\rho", "a bound on ∇ρ (V_L* − V_L)", nonnegative=True)
eta = MDP.scalar("eta", r"\eta", "e^δ − 1, a relative bound on the policy's error", nonnegative=True)
left_g = MDP.vector("left_g", r"\sigma_g", "SA", "e_g − (g* − ĝ)", varies=False)
left_h = MDP.vector("left_h", r"\sigma_h", "S", "η e_h − (Π* − Π)(ĝ + γ_L P Ŷ)", varies=False)
left_rho = MDP.letter("left_rho", r"\sigma_\rho", "1", "1", "e_ρ − ∇ρ (V_L* − V_L)", varies=False)

X = MDP.letter("X", "X", "SA", "SA", "one step of the chain on pairs, PΠ", varies=False)
S_n = MDP.letter("S_n", "S_n", "SA", "SA", "Σ_{t<n} γ_Fᵗ Xᵗ", varies=False)
S_next = MDP.letter("S_next", "S_{n+1}", "SA", "SA", "Σ_{t≤n} γ_Fᵗ Xᵗ", varies=False)

G_sum = MDP.letter(
    "G_sum", r"\mathbb E\textstyle\sum_{t\le T}X^t", "SA", "SA", "pairs visited up to a γ_F-geometric T", varies=False
)
G_visit = MDP.letter(
    "G_visit", r"\tfrac1{1-\gamma_F}\mathbb E X^T", "SA", "SA", "the pair at T, over 1 − γ_F", varies=False
)
H_value = MDP.letter(
    "H_value", r"\mathbb E\textstyle\sum_{t\le T'}\sqrt{\gamma_F}^t(\Pi P)^t", "S", "S", "a √γ_F-horizon", varies=False
)
K_sum = MDP.letter(
    "K_sum", r"\mathbb E\textstyle\sum_{t\le T}(\Pi P)^t", "S", "S", "states up to a γ_L-geometric T", varies=False
)
K_visit = MDP.letter(
    "K_visit", r"\tfrac1{1-\gamma_L}\mathbb E(\Pi P)^T", "S", "S", "the state at T, over 1 − γ_L", varies=False
)
K_value = MDP.letter(
    "K_value", r"\mathbb E\textstyle\sum_{t\le T'}\sqrt{\gamma_L}^t(\Pi P)^t", "S", "S", "a √γ_L-horizon", varies=False
)
K_Q = MDP.letter(
    "K_Q", r"\mathbb E\textstyle\sum_{t\le T'}\sqrt{\gamma_L}^tX^t", "SA", "SA", "a √γ_L-horizon on pairs", varies=False
)

dPi, dP, dN, drho = MDP.d(Pi), MDP.d(P), MDP.d(N), MDP.d(rho)
dr_F, dr_L, dV_F, dQ_F, dV_L, dQ_L = (MDP.d(x) for x in (r_F, r_L, V_F, Q_F, V_L, Q_L))
dlog_pi, dJ, df, dreg = (MDP.d(x) for x in (log_pi, J, f, regulariser))

MDP.ranges |= {gamma: 1 / (1 + sympy.Symbol(f"t_{gamma}", positive=True)) for gamma in (gamma_F, gamma_L)}
MDP.constant(E, L, M)
MDP.averages += [(Pi, E), (N, M)]
MDP.rule(Pi * E, 1, "π* sums to one")
MDP.rule(dPi * E, 0, "π* sums to one, whatever θ")
MDP.rule(N * M, 1, "p sums to one")
MDP.rule(Pi_star * one_SA, one_S, "π* sums to one")
MDP.rule(Pi_star * E, 1, "π* sums to one")
MDP.rule(rho * one_S, 1, "ρ sums to one")
MDP.rule(drho * one_S, 0, "ρ sums to one, whatever θ")
MDP.rule(N * D(score) * M, 0, "scores have mean zero")
MDP.rule(dN * M, 0, "p sums to one, whatever θ")
MDP.rule(N * L, P, "P is the mean of functions of s' alone")
MDP.rule(dN * L, dP, "and so is ∇P")
MDP.rule(E * one_S, one_SA, "1 is 1")
MDP.rule(L * one_S, one_SAS, "1 is 1")
MDP.rule(M * one_SA, one_SAS, "1 is 1")
MDP.rule(Pi * one_SA, one_S, "π* sums to one")
MDP.rule(P * one_S, one_SA, "p sums to one")
MDP.rule(N * one_SAS, one_SA, "p sums to one")
MDP.rule(dP * one_S, 0, "p sums to one, whatever θ")
MDP.rule(dPi * one_SA, 0, "π* sums to one, whatever θ")
MDP.reciprocals.append((nu_of, nu_inverse))
RESOLVENTS = [
    MDP.rule(Pi * P * R_F, (R_F - 1) / gamma_F, "(I − γ_F ΠP) R_F = I"),
    MDP.rule(R_F * Pi * P, (R_F - 1) / gamma_F, "R_F (I − γ_F ΠP) = I"),
    MDP.rule(Pi * P * R_L, (R_L - 1) / gamma_L, "(I − γ_L ΠP) R_L = I"),
    MDP.rule(R_L * Pi * P, (R_L - 1) / gamma_L, "R_L (I − γ_L ΠP) = I"),
    MDP.rule(P * Pi * W_F, (W_F - 1) / gamma_F, "(I − γ_F PΠ) W_F = I"),
    MDP.rule(W_F * P * Pi, (W_F - 1) / gamma_F, "W_F (I − γ_F PΠ) = I"),
    MDP.rule(Pi_star * P * R_Ls, (R_Ls - 1) / gamma_L, "(I − γ_L Π*P) R_L* = I"),
    MDP.rule(R_Ls * Pi_star * P, (R_Ls - 1) / gamma_L, "R_L* (I − γ_L Π*P) = I"),
    MDP.rule(P * Pi_star * W_s, (W_s - 1) / gamma_F, "(I − γ_F PΠ*) W* = I"),
    MDP.rule(W_s * P * Pi_star, (W_s - 1) / gamma_F, "W* (I − γ_F PΠ*) = I"),
    MDP.rule(W_lam * P * Pi, (W_lam - 1) / (lam * gamma_F), "W_λ (I − λγ_F PΠ) = I"),
    MDP.rule(Pi_star * P * R_star, (R_star - 1) / gamma_F, "(I − γ_F Π*P) R* = I"),
    MDP.rule(R_star * Pi_star * P, (R_star - 1) / gamma_F, "R* (I − γ_F Π*P) = I"),
    MDP.rule(W_F * E, E + gamma_F * P * R_F, "push-through, on functions of the state"),
    MDP.rule(Pi * W_F, R_F * Pi, "push-through: Π (I − γPΠ)⁻¹ = (I − γΠP)⁻¹ Π"),
    MDP.rule(W_F * P, P * R_F, "push-through: (I − γPΠ)⁻¹ P = P (I − γΠP)⁻¹"),
]

RESOLVENT_F_RIGHT, RESOLVENT_F_LEFT = RESOLVENTS[0], RESOLVENTS[1]
PAIRS_RIGHT, PAIRS_LEFT = RESOLVENTS[4], RESOLVENTS[5]
LEADER_STAR_LEFT, STAR_PAIRS_LEFT, STAR_LEFT = RESOLVENTS[7], RESOLVENTS[9], RESOLVENTS[12]
PUSH_PI, PUSH_P = RESOLVENTS[-2], RESOLVENTS[-1]

# Definitions: what the letters have to do with one another.
BELLMAN_F = Rule(Q_F, r_F + gamma_F * P * V_F, "Bellman equation of the follower, (22)")
BELLMAN_L = Rule(Q_L, r_L + gamma_L * P * V_L, "Bellman equation of the leader")
VALUE_L = Rule(V_L, Pi * Q_L, "the leader's value is the mean of its action values")
VALUE_F = Rule(V_F, Pi * Q_F - tau * Pi * log_pi, "the soft value: mean action value plus τ times the entropy")
LOG_POLICY = Rule(log_pi, (Q_F - E * V_F) / tau, "the Boltzmann policy")
BENEFIT = Rule(B, Q_L - E * V_L, "the Benefit")
SCORE = Rule(dN, N * D(score), "∇p = p ∇log p")
SCORE_RHO = Rule(drho, rho * D(score_rho), "∇ρ = ρ ∇log ρ")
BACKUP = Rule(TV, Pi * Q_F - tau * Pi * log_pi, "one backup: the soft value of Q = r_F + γ_F P V under its own policy")
Q_STAR = Rule(Q_star, r_F + gamma_F * P * V_star, "Bellman equation at the fixed point")
ONE_STEP = Rule(P * Pi, X, "X = PΠ")
PARTIAL_SUM = Rule(S_next, S_n + gamma_F**n * X**n, "S_{n+1} = S_n + γⁿXⁿ")

MDP.nonnegative |= {
    Pi,
    E,
    P,
    N,
    L,
    M,
    rho,
    R_L,
    R_F,
    W_F,
    Pi_star,
    R_star,
    KL_up,
    KL_down,
    one_S,
    one_SA,
    nu,
    below,
    above,
}
MDP.nonnegative |= {slack_Q, slack_V, c, dual, feasible, R_Ls, W_s, left_g, left_h, left_rho, left_residual}
