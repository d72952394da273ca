r"""The reference for Markov games: the cotangent of J in the leader's policy f (S, A), whatever θ is.

The follower sees the action (BC-HG Theorem 2 in adjoint form), with B_L centred over b:

    w(s,a,b) = ν(s) f(a|s) g(b|s,a) B_L(s,a,b) / τ,      y = (I − γ_F P_fg)⁻ᵀ γ_F Σ p w,
    ∂J/∂f(a|s) = ν(s) (Σ_b g Q_L(s,a,b) − τ_L) + y(s) V_F(s,a),

where Q_L holds the leader's own entropy, −τ_L (log f − log f⁰).

It plans on the state (footnote 1, or as published), with h(b|s) its planning policy: U(s) moves with f(a|s) by
Σ_b h Q_F(s,a,b), so that takes V_F's place and P_fh that of P_fg.  If it acts on the state, too, then
w(s,a,b) = f(a|s) w̄(s,b) with w̄ = ν h B̄_L/τ, and h moves with f directly: + Σ_b w̄(s,b) Q_F(s,a,b).
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.solvers.game import GameSolution


def guidance_and_adjoint(game: MarkovGame, s: GameSolution, *, rounding: Array | float = 0.0) -> tuple[Array, Array]:
    """(w (S, A, B), y (S,)): the follower's guidance and the adjoint of its value.

    `rounding` (S, A, B) is added to the Benefit, for estimates of what its rounding does.
    """
    joint = game.joint
    w = s.leader.occupancy[:, None, None] * s.f[:, :, None] * s.policy * (s.benefit + rounding) / joint.temperature
    flat = w.reshape(joint.follower_reward.shape)
    load = joint.follower_discount * joint.kernel.accumulate(flat)
    return w, s.follower.system.solve_transposed(load).x


def worth_of_action(game: MarkovGame, s: GameSolution) -> Array:
    """∂U/∂f(a|s): V_F(s,a), or Σ_b h Q_F where the follower plans on the state (S, A)."""
    return s.value if s.planned is None else np.einsum("sb,sab->sa", s.planned, s.q)


def policy_cotangent(game: MarkovGame, s: GameSolution, w: Array, y: Array) -> Array:
    """∂J/∂f (S, A), f's entries taken as independent."""
    out = s.leader.occupancy[:, None] * (s.policy * s.q_leader).sum(axis=2) + y[:, None] * worth_of_action(game, s)
    if game.acts_on == "state":
        out = out + np.einsum("sb,sab->sa", w.sum(axis=1), s.q)  # Σ_a f w̄ = w̄
    # f moves its own log: f ∂(−τ_L log f)/∂f is −τ_L, whatever the action.
    return np.asarray(out - game.leader_temperature * s.leader.occupancy[:, None])
