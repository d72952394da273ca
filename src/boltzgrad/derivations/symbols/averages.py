r"""The letters of long-run averages: a follower's gain and bias, and a chain that is cut where it comes round again.

Spaces as in `symbols/mdp.py`: S states, SA pairs (s, a); `h + 1 g = Π Q − τ Π log π` with Q = r + P h.
"""

from __future__ import annotations

from boltzgrad.derivations.kit.methods import Transitive
from boltzgrad.derivations.kit.vocabulary import SCALAR, Rule, Vocabulary

AVERAGE = Vocabulary("long-run averages")
BY_THE_STEPS = Transitive()

one_S, one_SA = AVERAGE.one("S", "1"), AVERAGE.one("SA", "1")
Pi = AVERAGE.letter("Pi", r"\Pi", "S", "SA", "mean over the follower's action", varies=False)
P = AVERAGE.letter("P", "P", "SA", "S", "mean over the next state")
P_cut = AVERAGE.letter("P_cut", r"\hat P", "SA", "S", "the same without the state s₀", varies=False)
R = AVERAGE.letter("R", "R", "S", "S", "(I − ΠP̂)⁻¹: visits until s₀ is entered", varies=False)
r = AVERAGE.vector("r", "r_F", "SA", "the follower's reward")
h = AVERAGE.vector("h", "h", "S", "the follower's bias")
g = AVERAGE.letter("g", "g", SCALAR, SCALAR, "the follower's average")
d = AVERAGE.covector("d", "d", "S", "the stationary distribution", varies=False)
rho = AVERAGE.covector("rho", r"\rho", "S", "any other distribution", varies=False)
enters = AVERAGE.vector("enters", "p(s_0|\\cdot)", "SA", "the probability of entering s₀", varies=False)
dr, dP, dh, dg = (AVERAGE.d(x) for x in (r, P, h, g))

AVERAGE.rule(Pi * one_SA, one_S, "the policy sums to one")
AVERAGE.rule(d * Pi * P, d, "d is stationary")
DISTRIBUTION = Rule(d * one_S, 1, "d sums to one")
ENVELOPE = Rule(
    one_S * dg,
    Pi * (dr + dP * h + P * dh) - dh,
    "∇ of h + g = τ log Σ exp(Q/τ): the mean of ∇Q, and ∇Q = ∇r + ∇P h + P ∇h",
)
ENTERS = Rule(enters, one_SA - P_cut * one_S, "whoever is not in P̂ enters s₀")
RESOLVENT = Rule(R * Pi * P_cut, R - 1, "R (I − ΠP̂) = I")
