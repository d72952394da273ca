r"""The letters of a policy that is moved by its logits, beside those of `symbols/mdp.py`: π is softmax(z), and z moves along ξ."""

from __future__ import annotations

from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.symbols.mdp import MDP, Q_F, V_F, E, Pi, dlog_pi, dPi, log_pi, tau

xi = MDP.vector("xi", r"\xi", "SA", "the direction in which the logits move", varies=False)
zeta = MDP.vector("zeta", r"\zeta", "SA", "any other direction of logits, which stays", varies=False)
zeta_row = MDP.covector("zeta_row", r"\zeta^\top", "SA", "the same as a row", varies=False)
A = MDP.vector("A_soft", "A", "SA", "the soft advantage Q − τ log π − V of the policy")
occ = MDP.covector("occ", "d", "S", "the follower's discounted visits from its start")
alike = MDP.letter("Uni", r"\mathsf U", "S", "SA", "mean over all actions alike, |A|⁻¹ Σ_a ·", varies=False)
answer = MDP.vector("answer", r"\xi^+", "SA", "the smallest move of the logits that keeps them optimal", varies=False)
H = MDP.letter("Hess", "H", "SA", "SA", "minus the Hessian, τ blockdiag d(s)(diag π − ππ')", varies=False)
H_damped = MDP.letter("Hess_damped", r"(H+\eta)^{-1}", "SA", "SA", "the damped inverse", varies=False)
e = MDP.vector("eig", "e", "SA", "a component: an eigenvector of H", varies=False)
mu = MDP.scalar("mu_eig", r"\mu", "its eigenvalue, τ d(s) times one of diag π − ππ'")
damping = MDP.scalar("damping", r"\eta", "what is added to H before it is inverted")
dA = MDP.d(A)
MDP.constant(zeta)

CENTRED = xi - E * Pi * xi
MOVED = Rule(dPi, Pi * D(CENTRED), "∇π = π(ξ − E_π ξ) at every state")
MOVED_LOG = Rule(dlog_pi, CENTRED, "∇log π = ξ − E_π ξ at every state")
ADVANTAGE = Rule(A, Q_F - tau * log_pi - E * V_F, "the soft advantage")
