r"""A proved bound on the error of ∂J/∂f for Markov games.

Steps 1–4 are `solvers/perturbation.py` on pairs (a, b): ∂U/∂Q = f·g (or f·h) is a Boltzmann policy times the leader's
factor, which is right to a relative ε, so its λ holds with ε added.  The acting policy g has relative error e^λ − 1,
too: its exponents are those of Q_F (or of Q̄, a mean of them), whose errors are at most max e_Q.  Then

5. B̂_L is Q̂_L − V̂_L minus its mean over b under ĝ:  e_B ≤ e_d + Σ_b (ĝ + e_g) e_d + Σ_b e_g |d̂| + rounding, with
   d̂ = Q̂_L − V̂_L and e_d its error (e_QL + e_L);  w = ν f g B_L/τ factor by factor;  e_y by `enclose`.
6. ∂J/∂f = ν Σ_b g Q_L + y V_F (+ Σ_b w̄ Q_F), factor by factor, with |V̂_F − V_F| ≤ max_b e_Q + rounding.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.game.adjoint import worth_of_action
from boltzgrad.families.game.problem import MarkovGame, joint_under
from boltzgrad.solvers.game import GameSolution, mixture
from boltzgrad.solvers.perturbation import adjoint_errors, follower_errors, leader_errors, occupancy_errors

EPS = float(np.finfo(float).eps)


def cotangent_bounds(game: MarkovGame, s: GameSolution, w: Array, y: Array) -> Array:
    """The bound (S, A) on the error of each entry of ∂J/∂f."""
    with np.errstate(invalid="ignore", over="ignore"):
        return _bounds(game, s, w, y)


def _bounds(game: MarkovGame, s: GameSolution, w: Array, y: Array) -> Array:
    joint, eps, f = game.joint, game.entry_error, s.f
    shape, flat = s.policy.shape, joint.follower_reward.shape
    B, tau = shape[2], joint.temperature
    errors = follower_errors(joint, s.follower, eps, soften=mixture(f, B, game.plans_on), mixed=True)
    acting = (f[:, :, None] * s.policy).reshape(flat)
    # One λ for a state bounds every Boltzmann policy of its Q's, seen or averaged over the leader's action.
    relative = np.broadcast_to(errors.relative.max(axis=1)[:, None], flat)
    e_acting = relative * acting + 4 * EPS * acting + 1e-300
    kappa = max(errors.kappa, float((1 + eps) * (1 + relative.max()) * (1 + (joint.n_actions + 8) * EPS) - 1))
    tau_L, size = game.leader_temperature, np.abs(np.log(np.maximum(f, 5e-324)))
    e_log = np.repeat(tau_L * (eps + 4 * EPS * (1.0 + size)), B, axis=1)  # log f, f being right to a relative ε
    _, e_QL, e_d = leader_errors(
        joint_under(game, f), s.leader, acting, e_acting, kappa, eps, stored=s.leader.advantage, paid=e_log
    )
    e_nu = occupancy_errors(joint, s.leader, acting, e_acting, kappa, eps)
    nu = s.leader.occupancy[:, None, None]
    e_nu3, rel3 = e_nu[:, None, None], relative.reshape(shape)
    g, e_g = s.policy, rel3 * s.policy + 1e-300
    d, e_d3 = np.abs(s.leader.advantage).reshape(shape), e_d.reshape(shape)
    if game.acts_on == "action":
        spread = ((g + e_g) * e_d3 + e_g * d).sum(axis=2, keepdims=True)
        rounding = (B + 4) * EPS * (d + (g * d).sum(axis=2, keepdims=True))
    else:
        f3 = f[:, :, None]
        e_d3 = (f3 * ((1 + eps) * e_d3 + eps * d)).sum(axis=1, keepdims=True) * np.ones((1, shape[1], 1))
        d = (f3 * d).sum(axis=1, keepdims=True) * np.ones((1, shape[1], 1))
        spread = ((g + e_g) * e_d3 + e_g * d).sum(axis=2, keepdims=True)
        rounding = (shape[1] + B + 6) * EPS * (d + (g * d).sum(axis=2, keepdims=True))
    e_B = e_d3 + spread + rounding
    benefit = np.abs(s.benefit)
    visits = nu * g
    e_visits = e_nu3 * (g + e_g) + nu * e_g + 2 * EPS * visits
    product, e_product = visits * benefit, e_visits * (benefit + e_B) + visits * e_B
    f3 = f[:, :, None]
    e_w = (f3 * ((1 + eps) * e_product + eps * product)) / tau + 6 * EPS * np.abs(w)
    e_y = adjoint_errors(joint, s.follower, errors, w.reshape(flat), e_w.reshape(flat), y, eps)
    q_l = np.abs(s.q_leader)
    e_q_l = e_QL.reshape(shape)
    e_direct = (e_visits * (q_l + e_q_l) + visits * e_q_l + (B + 2) * EPS * visits * q_l).sum(axis=2)
    e_direct = e_direct + tau_L * (e_nu[:, None] + 4 * EPS * s.leader.occupancy[:, None])
    size_y, worth = np.abs(y)[:, None], np.abs(worth_of_action(game, s))
    e_q = errors.q.reshape(shape)
    q = np.abs(s.q)
    if s.planned is None:
        e_worth = e_q.max(axis=2) + (B + 4) * EPS * (worth + tau * np.log(B))
    else:
        h = s.planned[:, None, :]
        e_worth = ((1 + rel3) * h * e_q + (rel3 + (B + 2) * EPS) * h * q).sum(axis=2)
    out = e_direct + e_y[:, None] * (worth + e_worth) + size_y * e_worth + 4 * EPS * size_y * worth
    if game.acts_on == "state":
        over = np.abs(w).sum(axis=1)[:, None, :]
        e_over = e_w.sum(axis=1)[:, None, :] + (shape[1] + 2) * EPS * over
        out = out + (e_over * (q + e_q) + over * e_q + (B + 2) * EPS * over * q).sum(axis=2)
    return np.asarray(out)
