r"""The letters of a finite horizon, beside those of `symbols/mdp.py`, whose S and SA are here all (step, state) and (step, s, a).

A function holds what it is at every step t < H, a row times a column sums over steps, Π and P have a block for each step; the
shift K reads a function one step later, so that `y = γ_F m P K` says y_{t+1} = γ_F m_t P_t with y_0 = 0.  What is paid after
the last step lives on its own space.  A follower without a clock has spaces of its own: z of states, za of pairs.
"""

from __future__ import annotations

from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.symbols.mdp import MDP, Q_F, Q_L, V_F, V_L, B, P, Pi, gamma_F, gamma_L, r_F, r_L, rho, tau

K = MDP.letter("shift", "K", "S", "S", "a function of (t, s), read one step later; 0 at the last step", varies=False)
last = MDP.letter("last", r"\mathsf e", "S", "end", "a function of the state, read at the last step", varies=False)
end_F = MDP.vector("end_F", r"\varphi_F", "end", "what the follower is paid after the last step")
end_L = MDP.vector("end_L", r"\varphi_L", "end", "what the leader is paid after the last step")
V_next = MDP.vector("V_next", "V_{t+1}", "S", "the follower's soft value of the next step")
U_next = MDP.vector("U_next", "U_{t+1}", "S", "the leader's value of the next step")
visits = MDP.covector(
    "visits", r"\nu_t", "S", "discounted visits of the leader's chain, ν_{t+1} = γ_L ν_t Π_t P_t", varies=False
)
w = MDP.covector("w_t", "w_t", "SA", "ν_t Π_t D(B_t)/τ", varies=False)
m = MDP.covector("m_t", "m_t", "SA", "w_t + y_t Π_t, the cotangent of the follower's reward", varies=False)
y = MDP.covector("y_t", "y_t", "S", "the adjoint, y_{t+1} = γ_F m_t P_t with y_0 = 0", varies=False)
visits_H = MDP.covector("visits_H", r"\nu_H", "end", "visits after the last step, γ_L ν_{H-1} Π P", varies=False)
y_H = MDP.covector("y_H", "y_H", "end", "the adjoint after the last step, γ_F m_{H-1} P", varies=False)
Pi_first = MDP.letter(
    "Pi_first", r"\Pi_0", "S", "SA", "mean under the first step's policy, at every step", varies=False
)
dend_F, dend_L = MDP.d(end_F), MDP.d(end_L)

# A follower without a clock, and the leader's steps over it.
each_z = MDP.letter("each_z", r"\mathsf 1_t", "S", "z", "a function of the state, the same at every step", varies=False)
each = MDP.letter("each", r"\mathsf 1_t", "SA", "za", "a function of (s, a), the same at every step", varies=False)
first = MDP.letter("first", r"\mathsf 1_0", "z", "S", "a function of (t, s), read at the first step", varies=False)
pi = MDP.letter("pi_z", r"\pi^*", "z", "za", "mean over the follower's action, whatever the step", varies=False)
p = MDP.letter("p_z", "p", "za", "z", "mean over the next state, whatever the step")
r = MDP.vector("r_z", "r_F", "za", "the follower's reward, whatever the step")
v = MDP.vector("v_z", "V_F", "z", "the follower's soft value, of a world without end")
q = MDP.vector("q_z", "Q_F", "za", "the follower's soft action value, of a world without end")
R = MDP.letter("R_z", "R_F", "z", "z", "(I − γ_F π*p)⁻¹, the follower's resolvent", varies=False)
w_z = MDP.covector("w_z", "w", "za", "Σ_t ν_t Π D(B_t)/τ", varies=False)
m_z = MDP.covector("m_z", "m", "za", "w + yπ*, the cotangent of the follower's reward", varies=False)
y_z = MDP.covector("y_z", "y", "z", "γ_F w p R_F, the one adjoint solve", varies=False)
B_ever = MDP.vector("B_ever", r"B_L^\infty", "za", "the Benefit of a leader who counts all steps", varies=False)
dp, dr, dv, dq = (MDP.d(x) for x in (p, r, v, q))

MDP.constant(K, last, each_z, each, first, pi)

NEXT_F = Rule(V_next, K * V_F + last * end_F, "V of the next step; after the last, what is paid")
NEXT_L = Rule(U_next, K * V_L + last * end_L, "U of the next step; after the last, what is paid")
NEXT_FREE = Rule(U_next, K * V_L, "U of the next step; after the last, nothing")
BELLMAN_F = Rule(Q_F, r_F + gamma_F * P * V_next, "the follower's recursion")
BELLMAN_L = Rule(Q_L, r_L + gamma_L * P * U_next, "the leader's recursion")
VISITS = Rule(rho, visits - gamma_L * visits * Pi * P * K, "ν_0 = ρ, ν_{t+1} = γ_L ν_t Π_t P_t")
VISITS_END = Rule(visits_H, gamma_L * visits * Pi * P * last, "and once more after the last step")
WEIGHT = Rule(visits * Pi * D(B), tau * w, "w_t = ν_t Π_t D(B_t)/τ")
COTANGENT = Rule(w, m - y * Pi, "m_t = w_t + y_t Π_t")
ADJOINT = Rule(m * P * K, y / gamma_F, "y_0 = 0, y_{t+1} = γ_F m_t P_t")
ADJOINT_END = Rule(y_H, gamma_F * m * P * last, "and once more after the last step")

SAME_Q = Rule(Q_F, each * q, "the follower's values are the same at every step")
SAME_V = Rule(V_F, each_z * v, "the follower's values are the same at every step")
SAME_PI = Rule(Pi * each, each_z * pi, "and so is its policy")
READ_FIRST = Rule(first * each_z, 1, "what is the same at every step, read at the first")
BELLMAN_Z = Rule(q, r + gamma_F * p * v, "Bellman equation of the follower, (22)")
WEIGHT_Z = Rule(visits * Pi * D(B) * each, tau * w_z, "w = Σ_t ν_t Π D(B_t)/τ")
COTANGENT_Z = Rule(m_z, w_z + y_z * pi, "m = w + yπ*")
ADJOINT_Z = Rule(y_z, gamma_F * w_z * p * R, "one adjoint solve")
RESOLVENT_Z = Rule(R * pi * p, (R - 1) / gamma_F, "R_F (I − γ_F π*p) = I")
