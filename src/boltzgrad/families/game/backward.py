"""A game over H steps by backward induction: the finite-horizon MDP that the follower plays on (state, leader's action).

From (s, a) at step t the follower's b leads to (s', a') with p_t(s'|s,a,b) f_{t+1}(a'|s'); a follower that does not see a plays
on s, with kernel and rewards averaged over f_t.  The table on pairs (step, state) is not used.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.game.steps import Steps
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.horizon.reference import horizon_hypergradient
from boltzgrad.families.tabular.problem import ConfigurableMDP

ENTRY_LIMIT = 20_000_000


def as_finite_horizon_mdp(game: MarkovGame) -> ConfigurableMDP:
    """The game as a problem whose build returns a `FiniteHorizonModel`."""
    steps = game.steps
    assert steps is not None
    H, (S, A, B) = steps.horizon, steps.shape
    kernels = [np.asarray(_dense(m)).reshape(S, A, B, S) for m in steps.transition]
    worth = [steps.rewards[0] + _table(steps, game.bonus), steps.rewards[1]]
    sees = game.acts_on == "action"
    there = None if game.available is None else steps.by_step(np.broadcast_to(game.available, (H * S, A, B)))

    def build(theta: Any) -> FiniteHorizonModel:
        f = anp.reshape(game.policy.function(theta), (H, S, A))
        paid = worth[1] + _table(steps, game.beside) - game.leader_temperature * _own(game, f)
        initial = game.joint.initial[:S]
        if sees:
            onward = [anp.reshape(p, (S * A, B, S, 1)) * anp.reshape(f[t + 1], (1, 1, S, A)) for t, p in kernels_ahead]
            # Where it ends the leader moves no more: any of its actions will do.
            onward.append(kernels[-1].reshape(S * A, B, S, 1) * np.eye(1, A)[0])
            states, start = S * A, anp.ravel(initial[:, None] * f[0])
            rewards = [anp.reshape(x, (H, states, B)) for x in (worth[0], paid)]
            ends = [np.repeat(x, A) for x in steps.terminal]
            mask = None if there is None else there.reshape(H, states, B)
        else:
            onward = [anp.sum(anp.reshape(f[t], (S, A, 1, 1)) * p, axis=1) for t, p in enumerate(kernels)]
            states, start = S, initial
            rewards = [anp.sum(anp.reshape(f, (H, S, A, 1)) * x, axis=2) for x in (worth[0], paid)]
            ends, mask = list(steps.terminal), None if there is None else there[:, :, 0]
        kernel = anp.reshape(anp.concatenate([anp.ravel(x) for x in onward]), (H, states, B, states))
        return FiniteHorizonModel(
            kernel,
            start,
            rewards[0],
            rewards[1],
            horizon=H,
            follower_discount=steps.discounts[0],
            leader_discount=steps.discounts[1],
            temperature=game.joint.temperature,
            terminal_follower_reward=ends[0],
            terminal_leader_reward=ends[1],
            available=mask,
        )

    kernels_ahead = list(enumerate(kernels[: H - 1]))
    return ConfigurableMDP(
        build, dim=game.dim, initial_scale=game.initial_scale, name=f"{game.name} (backward)".strip()
    )


def _own(game: MarkovGame, f: Any) -> Any:
    """log f (H, S, A, 1), zero for an action that is never taken."""
    return anp.reshape(anp.log(anp.where(np.real(untraced(f)) > 0.0, f, 1.0)), (*np.shape(untraced(f)), 1))


def _table(steps: Steps, x: Any) -> Any:
    """What was added to a reward on pairs, by step."""
    return x if np.ndim(x) == 0 else steps.by_step(x)


def _dense(matrix: Any) -> Array:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)


def _skip(game: MarkovGame, theta: Array) -> str:
    if game.plans_on != game.acts_on:
        return "as published, the follower plans otherwise than it acts: there is no such MDP"
    assert game.steps is not None
    S, A, B = game.steps.shape
    entries = game.steps.horizon * B * (S * A if game.acts_on == "action" else S) ** 2
    return f"the kernels would hold {entries:.1e} entries" if entries > ENTRY_LIMIT else ""


def _run(game: MarkovGame, theta: Array) -> RouteResult:
    found = horizon_hypergradient(as_finite_horizon_mdp(game), theta)
    return RouteResult(found.value, found.gradient, 0.0)


BACKWARD = Route(
    "backward",
    "backward induction on (state, leader's action), step by step",
    _run,
    _skip,
)
