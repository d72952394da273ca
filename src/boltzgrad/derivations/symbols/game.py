r"""The letters of a two-player Markov game in which the follower sees the leader's action.

Spaces: S states, Z pairs (s, a), ZB triples (s, a, b).  F averages over the leader's action, G over the follower's.
"""

from __future__ import annotations

import sympy

from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import Rule, Vocabulary

GAME = Vocabulary("Markov game")

tau = GAME.scalar("tau", r"\tau", "temperature")
gamma_F = GAME.scalar("gamma_F", r"\gamma_F", "the follower's discount")
gamma_L = GAME.scalar("gamma_L", r"\gamma_L", "the leader's discount")
n = GAME.scalar("n", "n", "a number of steps", integer=True, nonnegative=True)

one_S, one_Z, one_ZB = GAME.one("S", "1"), GAME.one("Z", "1"), GAME.one("ZB", "1")

F = GAME.letter("F", "F", "S", "Z", "mean over the leader's action, Σ_a f_θ(a|s) ·")
EF = GAME.letter("E_F", r"\mathsf E_F", "Z", "S", "a function of s, read on (s, a)", varies=False)
G = GAME.letter("G", "G", "Z", "ZB", "mean over the follower's action, Σ_b g*(b|s,a) ·")
EG = GAME.letter("E_G", r"\mathsf E_G", "ZB", "Z", "a function of (s, a), read on (s, a, b)", varies=False)
P = GAME.letter("P", "P", "ZB", "S", "mean over the next state, Σ_s' p(s'|s,a,b) ·", varies=False)
rho = GAME.covector("rho", r"\rho", "S", "initial distribution", varies=False)
score = GAME.vector("score_f", r"\nabla\log f", "Z", "score of the leader's policy", varies=False)

r_F = GAME.vector("r_F", "r_F", "ZB", "the follower's reward", varies=False)
r_L = GAME.vector("r_L", "r_L", "ZB", "the leader's reward", varies=False)
V_F = GAME.vector("V_F", "V_F", "Z", "the follower's soft value, after it has seen a")
Q_F = GAME.vector("Q_F", "Q_F", "ZB", "the follower's soft action value")
V_L = GAME.vector("V_L", "V_L", "S", "the leader's value")
Q_L = GAME.vector("Q_L", "Q_L", "ZB", "the leader's action value")
V_lift = GAME.vector("V_lift", r"\tilde V_L", "Z", "the leader's value on (s, a), G Q_L")
B = GAME.vector("B", "B_L", "ZB", "the leader's Benefit")
h = GAME.vector("h", "h", "ZB", "any bounded function of (s, a, b)", varies=False)
J = GAME.letter("J", "J_L", "1", "1", "the leader's objective (4)")

K = GAME.letter("K", "p^{fg}", "S", "S", "one step of the chain on states, F G P", varies=False)
S_n = GAME.letter("S_n", "S_n", "S", "S", "Σ_{t<n} γ_Lᵗ Kᵗ", varies=False)
S_next = GAME.letter("S_next", "S_{n+1}", "S", "S", "Σ_{t≤n} γ_Lᵗ Kᵗ", varies=False)
p_t = GAME.covector("p_t", "p_n", "S", "law of the state after n steps", varies=False)
p_next = GAME.covector("p_next", "p_{n+1}", "S", "law of the state after n + 1 steps", varies=False)
d_L = GAME.covector("d_L", r"d^{\gamma_L}", "S", "discounted visitation (1 − γ_L) Σ_t γ_Lᵗ p_t", varies=False)

R_L = GAME.letter("R_L", "R_L", "S", "S", "(I − γ_L F G P)⁻¹", varies=False)
R_lift = GAME.letter(
    "R_lift", r"\tilde R_L", "Z", "Z", "(I − γ_L G P F)⁻¹, the resolvent of the lifted chain", varies=False
)
W_F = GAME.letter("W_F", "W_F", "ZB", "ZB", "(I − γ_F P F G)⁻¹, the follower's resolvent on triples", varies=False)

dF, dG, dJ = GAME.d(F), GAME.d(G), GAME.d(J)
dV_F, dQ_F, dV_L, dQ_L, dV_lift = (GAME.d(x) for x in (V_F, Q_F, V_L, Q_L, V_lift))

GAME.constant(EF, EG, P, rho, r_F, r_L, h)
GAME.averages += [(F, EF), (G, EG)]
GAME.ranges |= {gamma: 1 / (1 + sympy.Symbol(f"t_{gamma}", positive=True)) for gamma in (gamma_F, gamma_L)}
GAME.rule(F * EF, 1, "f sums to one")
GAME.rule(G * EG, 1, "g* sums to one")
GAME.rule(dF * EF, 0, "f sums to one, whatever θ")
GAME.rule(dG * EG, 0, "g* sums to one, whatever θ")
GAME.rule(F * D(score) * EF, 0, "scores have mean zero")
GAME.rule(F * D(score) * one_Z, 0, "scores have mean zero")
GAME.rule(F * score, 0, "scores have mean zero")
GAME.rule(EF * one_S, one_Z, "1 is 1")
GAME.rule(EG * one_Z, one_ZB, "1 is 1")
GAME.rule(F * one_Z, one_S, "f sums to one")
GAME.rule(G * one_ZB, one_Z, "g* sums to one")
GAME.rule(P * one_S, one_ZB, "p sums to one")
GAME.rule(F * G * P * R_L, (R_L - 1) / gamma_L, "(I − γ_L FGP) R_L = I")
LEADER_RESOLVENT = GAME.rule(R_L * F * G * P, (R_L - 1) / gamma_L, "R_L (I − γ_L FGP) = I")
GAME.rule(G * P * F * R_lift, (R_lift - 1) / gamma_L, "(I − γ_L GPF) R̃_L = I")
GAME.rule(R_lift * G * P * F, (R_lift - 1) / gamma_L, "R̃_L (I − γ_L GPF) = I")
GAME.rule(F * R_lift, R_L * F, "push-through: F (I − γGPF)⁻¹ = (I − γFGP)⁻¹ F")
GAME.rule(P * F * G * W_F, (W_F - 1) / gamma_F, "(I − γ_F PFG) W_F = I")
GAME.rule(W_F * P * F * G, (W_F - 1) / gamma_F, "W_F (I − γ_F PFG) = I")

BELLMAN_F = Rule(Q_F, r_F + gamma_F * P * F * V_F, "Bellman equation of the follower, (29)/(36)")
BELLMAN_L = Rule(Q_L, r_L + gamma_L * P * V_L, "Bellman equation of the leader")
SCORE = Rule(dF, F * D(score), "∇f = f ∇log f")
BENEFIT = Rule(B, Q_L - EG * G * Q_L, "the Benefit, given s and a")
VALUE_L = Rule(V_L, F * G * Q_L, "the leader's value")
LIFTED = Rule(V_lift, G * Q_L, "the leader's value after its own action")
CHAIN = Rule(K, F * G * P, "p^{fg} = F G P, (14)")
