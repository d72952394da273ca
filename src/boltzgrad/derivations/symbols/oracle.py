r"""The letters of a follower off by δ, beside those of `symbols/mdp.py`: Π is the mean under its policy π°, Π* that under π*.

What stays below its bound is written as the bound less a slack that is not negative, for one coordinate of θ and one sign of it.
"""

from __future__ import annotations

from typing import Any

import sympy

from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import SCALAR, Rule
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols.mdp import (
    MDP,
    V_F,
    W_F,
    E,
    KL_up,
    P,
    Pi,
    Pi_star,
    V_star,
    W_s,
    dP,
    dr_F,
    gamma_F,
    one_S,
    one_SA,
    q_hat,
    q_star,
    sum_S,
    tau,
    u_star,
)

n_S = MDP.scalar("n_S", r"|\mathcal S|", "how many states there are")
n_A = MDP.scalar("n_A", r"|\mathcal A|", "how many actions there are")
delta = MDP.scalar("delta", r"\delta", "a bound on |π* − π°|")
least = MDP.scalar("l_1", r"l_1", "the least probability of an action under π*")
L_f = MDP.scalar("L_f", "L_f", "a bound on the entries of ∂f/∂π")
S_f = MDP.scalar("S_f", "S_f", "a bound on how ∂f changes, over δ")
K_1 = MDP.scalar("K_1", "K_1", "a bound on the kernel's scores")
K_2 = MDP.scalar("K_2", "K_2", "a bound on the reward's gradient")
V_top = MDP.scalar("V_top", r"\bar V", "a bound on the soft value, (R̄ + τ log|A|)/(1 − γ)")

f_star = MDP.vector("f_star", r"\partial_\pi f^*", "SA", "the entries of ∂f/∂π at π*", varies=False)
f_own = MDP.vector("f_own", r"\partial_\pi f^\circ", "SA", "the entries of ∂f/∂π at π°", varies=False)
direct_star = MDP.letter("direct_star", r"\partial_\theta f^*", SCALAR, SCALAR, "∂f/∂θ at π*", varies=False)
direct_own = MDP.letter("direct_own", r"\partial_\theta f^\circ", SCALAR, SCALAR, "∂f/∂θ at π°", varies=False)

A_star = q_star - E * Pi_star * q_star
A_own = q_hat - E * Pi * q_hat
MOVED = Pi_star - Pi

# The constants of the bound.
VALUE_OFF = tau * n_A * delta**2 / (least * (1 - gamma_F))  # of V* − V°
SLOPE = (K_2 + gamma_F * K_1 * V_top) / (1 - gamma_F)  # of ∂Q*
SLOPE_OFF = gamma_F * (K_1 * VALUE_OFF + n_A * delta * SLOPE) / (1 - gamma_F)  # of ∂Q* − ∂Q°
BIAS = S_f * delta + n_S / tau * (3 * n_A * delta * L_f * SLOPE + 2 * S_f * delta * SLOPE + 2 * L_f * SLOPE_OFF)


def slack(name: str, latex: str, space: str, meaning: str) -> Any:
    """What is missing to a bound: never negative."""
    symbol = MDP.letter(name, latex, space, SCALAR, meaning, varies=False)
    MDP.nonnegative.add(symbol)
    return symbol


far = slack("far", r"\sigma_{\mathrm{KL}}", "S", "|A|δ²/l₁ − KL(π°‖π*)")
slow_r = slack("slow_r", r"\sigma_r", "SA", "K₂ − ∇r_F")
slow_p = slack("slow_p", r"\sigma_p", "SA", "K₁V̄ − ∇P V*")
slow_v = slack("slow_v", r"\sigma_v", "SA", "K₁ times the bound of V* − V°, less ∇P(V* − V°)")
left_q = slack("left_q", r"\sigma_q", "S", "|A|δ times the bound of ∂Q*, less (Π* − Π°)∂Q*")
left_0 = slack("left_0", r"\sigma_0", SCALAR, "S_f δ less what ∂f/∂θ differs by")
left_1 = slack("left_1", r"\sigma_1", "S", "2|A|δL_f times the bound of ∂Q*, less the policy's part")
left_2 = slack("left_2", r"\sigma_2", "S", "2S_fδ times the bound of ∂Q*, less the part of ∂f/∂π")
left_3 = slack("left_3", r"\sigma_3", "S", "2L_f times the bound of ∂Q* − ∂Q°, less its part")
left_4 = slack("left_4", r"\sigma_4", "S", "|A|δL_f times the bound of ∂Q*, less the part of the centring")
MDP.nonnegative.add(sum_S)

# The bias of the gradient estimate, and its four parts at every state.
BIAS_EXACT = direct_star - direct_own + sum_S * (Pi_star * D(f_star) * A_star - Pi * D(f_own) * A_own) / tau
part_1, part_2, part_3, part_4 = (
    MDP.vector(f"part_{k}", f"b_{k}", "S", f"the part of the bias that {what}", varies=False)
    for k, what in enumerate(("the policy has", "∂f/∂π has", "∂Q* − ∂Q° has", "centring under π° has"), 1)
)
PARTS = (
    Rule(part_1, MOVED * D(f_star) * A_star, "another policy over the same"),
    Rule(part_2, Pi * D(f_star - f_own) * A_star, "another ∂f/∂π"),
    Rule(part_3, Pi * D(f_own) * (1 - E * Pi) * (q_star - q_hat), "another ∂Q"),
    Rule(part_4, -D(Pi * f_own) * MOVED * q_star, "another mean is subtracted from it"),
)
BOUNDED = (
    Rule(part_1, 2 * n_A * delta * L_f * SLOPE * one_S - left_1, "|A|δ L_f · 2 max|∂Q*|"),
    Rule(part_2, 2 * S_f * delta * SLOPE * one_S - left_2, "S_f δ · 2 max|∂Q*|"),
    Rule(part_3, 2 * L_f * SLOPE_OFF * one_S - left_3, "L_f · 2 max|∂Q* − ∂Q°|"),
    Rule(part_4, n_A * delta * L_f * SLOPE * one_S - left_4, "L_f |A|δ max|∂Q*|"),
)
DIRECT = Rule(direct_star, direct_own + S_f * delta - left_0, "∂f/∂θ differs by S_f δ at most")

FAR = Rule(KL_up, n_A * delta**2 / least * one_S - far, "KL(π°‖π*) ≤ |A|δ²/l₁, at every state")
STAR = Rule(q_star, W_s * u_star, "(6) under π*")
SOURCE = Rule(u_star, dr_F + gamma_F * dP * V_star, "u* = ∇r_F + γ_F ∇P V*")
STAR_STEP = Rule(P * Pi_star * q_star, (q_star - u_star) / gamma_F, "(6) under π*, one step")
OWN = Rule(W_F * dP * V_F, (q_hat - W_F * dr_F) / gamma_F, "(6) under π°")
SLOW_R = Rule(dr_F, K_2 * one_SA - slow_r, "∇r_F ≤ K₂")
SLOW_P = Rule(dP * V_star, K_1 * V_top * one_SA - slow_p, "∇P V* ≤ K₁V̄: |∇p| ≤ K₁p, and p sums to one")
SLOW_V = Rule(dP * V_star, dP * V_F + K_1 * VALUE_OFF * one_SA - slow_v, "∇P(V* − V°) ≤ K₁ max|V* − V°|")
MOVED_Q = Rule(Pi_star * q_star, Pi * q_star + n_A * delta * SLOPE * one_S - left_q, "(Π* − Π°)∂Q* ≤ |A|δ max|∂Q*|")
COUNT = Rule(sum_S * one_S, n_S, "how many states there are")

# At one state: the parts of a product of two bounded numbers, and of a divergence.
_a = (s.a,)
up, down, high, low = (sympy.Function(name, nonnegative=True)(*_a) for name in ("up", "down", "high", "low"))
above_least = sympy.Function("above_least", nonnegative=True)(*_a)  # π* − l₁
inside = sympy.Function("inside", nonnegative=True)(*_a)  # δ² − (π* − π°)²
convex = sympy.Function("convex", nonnegative=True)(*_a)  # x − 1 − log x at x = π°/π*
own = sympy.Function("own", positive=True)(*_a)  # π°
best = sympy.Function("best", positive=True)(*_a)  # π*

# A step of the leader's: its length, the estimate's standard deviation, the dimension of θ.
alpha, sigma = sympy.symbols("alpha sigma", positive=True)
dim = sympy.Symbol("d", integer=True, positive=True)
