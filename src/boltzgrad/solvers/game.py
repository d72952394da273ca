r"""The follower of a Markov game, on the leader's states alone.

    Q_F(s,a,b) = r_F(s,a,b) + γ_F Σ_s' p(s'|s,a,b) U(s'),
    sees the action:   V_F(s,a) = τ log Σ_b exp(Q_F/τ),  U(s) = Σ_a f(a|s) V_F(s,a),  g(b|s,a) ∝ exp(Q_F(s,a,b)/τ);
    sees the state:    Q̄(s,b) = Σ_a f(a|s) Q_F(s,a,b),   U(s) = τ log Σ_b exp(Q̄/τ),   h(b|s) ∝ exp(Q̄(s,b)/τ).

Both maps Q ↦ U are convex, monotone and commute with constants, so Newton, its bounds and its linear systems are
those of the tabular follower on pairs (a, b), with ∂U/∂Q = f·g or f·h: S unknowns, not S·A.
Source: BC-HG section 4, (34)–(38); footnote 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import centred
from boltzgrad.families.game.problem import MarkovGame, Sees, joint_under
from boltzgrad.solvers.follower import FollowerSolution, solve_follower
from boltzgrad.solvers.leader import LeaderSolution, evaluate_leader
from boltzgrad.solvers.soft_bellman import Soften, boltzmann


def mixture(f: Array, n_follower_actions: int, sees: Sees) -> Soften:
    """The map Q (S, A·B) ↦ (∂U/∂Q, U) for the leader's policy f (S, A)."""
    (S, A), B = f.shape, n_follower_actions

    def soften(q: Array, temperature: float) -> tuple[Array, Array]:
        if sees == "action":
            g, v = boltzmann(q.reshape(S * A, B), temperature)
            joint = f[:, :, None] * g.reshape(S, A, B)
            return joint.reshape(S, A * B), (f * v.reshape(S, A)).sum(axis=1)
        h, u = boltzmann((f[:, :, None] * q.reshape(S, A, B)).sum(axis=1), temperature)
        return (f[:, :, None] * h[:, None, :]).reshape(S, A * B), u

    return soften


@dataclass(frozen=True, eq=False)
class GameSolution:
    """Both players of a game, solved.

    `policy` g (S, A, B) is the follower's (constant in a when it does not see a), `q` Q_F (S, A, B), `value` V_F (S, A)
    of a follower that sees the action (τ log Σ_b exp(Q_F/τ)), `continuation` U (S,); `planned` (S, B) is h where planning
    averages over the leader's action, else None.  `follower` and `leader` are the solutions on pairs (a, b) with residuals
    and bounds; `benefit` B_L (S, A, B) is Q_L minus its mean over the follower's choice.
    """

    f: Array
    policy: Array
    q: Array
    value: Array
    continuation: Array
    planned: Array | None
    q_leader: Array
    benefit: Array
    follower: FollowerSolution
    leader: LeaderSolution


def solve_game(
    game: MarkovGame, f: Array, *, warm_start: Array | None = None, tolerance: float | None = None
) -> GameSolution:
    """The follower's answer to f (S, A), and the leader's values under it.  Raises: NotConverged.

    >>> import boltzgrad as bg
    >>> game = bg.problems.load("toy-game")
    >>> solve_game(game, game.leader_policy(np.zeros(6))).policy.shape
    (3, 2, 3)
    """
    (S, A), B, joint = f.shape, game.n_follower_actions, game.joint
    soften = mixture(f, B, game.plans_on)
    follower = solve_follower(joint, warm_start=warm_start, tolerance=tolerance, soften=soften)
    # Q in extended precision once more: the acting policy sees its errors magnified by 1/τ.
    q = joint.follower_reward + np.longdouble(joint.follower_discount) * joint.kernel.expect_extended(follower.extended)
    q = q.reshape(S, A, B)
    g, v = (x.astype(float) for x in boltzmann(q.reshape(S * A, B), joint.temperature))
    planned = None
    if game.plans_on == "state":
        planned = boltzmann((f[:, :, None] * q).sum(axis=1), joint.temperature)[0].astype(float)
    policy = g.reshape(S, A, B)
    if game.acts_on == "state":
        assert planned is not None
        policy = np.repeat(planned[:, None, :], A, axis=1)
    same = game.plans_on == game.acts_on
    acting = None if same else (f[:, :, None] * policy).reshape(S, A * B)
    leader = evaluate_leader(joint_under(game, f), follower, policy=acting)
    q_leader = leader.q.reshape(S, A, B)
    # Centring Q_L − V_L rather than Q_L: the same number, with V_L's digits already cancelled.
    near = leader.advantage.reshape(S, A, B)
    if game.acts_on == "action":
        benefit = centred(policy, near)
    else:
        mean = (f[:, :, None] * near).sum(axis=1, keepdims=True)
        benefit = np.repeat(centred(policy[:, :1], mean), A, axis=1)
    return GameSolution(
        f=f,
        policy=policy,
        q=q.astype(float),
        value=v.reshape(S, A),
        continuation=follower.value,
        planned=planned,
        q_leader=q_leader,
        benefit=benefit,
        follower=follower,
        leader=leader,
    )
