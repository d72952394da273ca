r"""Theorem 2: Lemma 1 with Lemma 2 put in, as an exact expectation.

    ∇Q_F(s,a,b) = E[Σ_{t≥1} γ_F^t ∇log f(a_t|s_t) V_F(s_t,a_t)]                         (Lemma 2, (33))
    ∇J = Σ_s ν(s) Σ_{a,b} [∇f g Q_L + f g τ⁻¹ ∇Q_F B_L],   B_L centred over b           (Lemma 1, (27)–(32))

Source: BC-HG Lemma 1, Lemma 2, Theorem 2 (8)(9)(40).  For a follower that sees the leader's action.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.core.sweep import solved
from boltzgrad.families.game.problem import MarkovGame, paid_to_leader
from boltzgrad.families.game.sweeps import acting_policy, follower_values, leader_values, lse, q_follower
from boltzgrad.families.tabular.sweeps import matrix_of, state_kernel

STATE_LIMIT = 3000


def expectation(game: MarkovGame, f: Array, slopes: Array, u: Array) -> tuple[float, Array]:
    """(J, ∇J) for the follower's continuation u (S,); `slopes` (S, A, d) is ∇f."""
    (S, A, d), B, joint = slopes.shape, game.n_follower_actions, game.joint
    matrix, tau = matrix_of(joint.transition), joint.temperature
    q = q_follower(game, u)
    v, g = lse(q, tau)
    joint_policy = f[:, :, None] * g
    kernel = state_kernel(matrix, joint_policy.reshape(S, A * B))
    # Lemma 2: Γ(s) = Σ_a' ∇f V_F + Σ f g ∇Q_F is what a visit to s adds; ∇Q_F = γ_F P Γ (t ≥ 1: the first step is fixed).
    gamma = solved(joint.follower_discount * kernel, np.einsum("sad,sa->sd", slopes, v))
    grad_q = joint.follower_discount * (matrix @ gamma).reshape(S, A, B, d)
    v_leader = leader_values(game, joint_policy).x
    q_leader = paid_to_leader(game, f) + joint.leader_discount * (matrix @ v_leader).reshape(S, A * B)
    q_leader = q_leader.reshape(S, A, B)
    benefit = q_leader - (g * q_leader).sum(axis=2, keepdims=True)
    occupancy = solved(joint.leader_discount * kernel.T, joint.initial)
    direct = np.einsum("s,sad,sab,sab->d", occupancy, slopes, g, q_leader)
    direct = direct - game.leader_temperature * np.einsum("s,sad->d", occupancy, slopes)  # f ∇log f
    indirect = np.einsum("s,sab,sabd,sab->d", occupancy, joint_policy, grad_q, benefit) / tau
    return float(joint.initial @ v_leader), direct + indirect


def run(game: MarkovGame, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,)."""
    at = game.linearise(theta)
    f, forward = at.model, at.pushforward
    slopes = np.stack([forward(u) for u in np.eye(game.dim)], axis=2)
    u = follower_values(game, f).x
    value, gradient = expectation(game, f, slopes, u)
    q = q_follower(game, u)
    gap = (f * lse(q, game.joint.temperature)[0]).sum(axis=1) - u
    weights = (f[:, :, None] * acting_policy(game, f, q)).reshape(game.n_states, -1)
    kernel = state_kernel(matrix_of(game.joint.transition), weights)
    newton = solved(game.joint.follower_discount * kernel, gap)
    _, further = expectation(game, f, slopes, u + newton)
    return RouteResult(value, gradient, np.abs(gradient - further))


def skip(game: MarkovGame, theta: Array) -> str:
    """Why Theorem 2 is not evaluated, or ""."""
    if game.acts_on != "action" or game.plans_on != "action":
        return "Theorem 2 is about a follower that sees the leader's action"
    return f"more than {STATE_LIMIT} states (dense solves)" if game.n_states > STATE_LIMIT else ""


THEOREM2 = Route("theorem2", "Lemma 1 with Lemma 2 put in, (8)(9)(40)", run, skip)
