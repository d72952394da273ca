"""Automatic differentiation of a game's solution: every sweep on the tape, or an implicit VJP of each fixed point."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.core.linearise import constants_allowed
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.errors import NotDifferentiable
from boltzgrad.families.game.problem import MarkovGame, paid_to_leader
from boltzgrad.families.game.sweeps import acting_policy, follower_values, leader_values, q_follower
from boltzgrad.families.tabular.sweeps import matrix_of, remaining
from boltzgrad.witnesses.tape import Arrays, FixedPoint, implicit, kernel_product, soft_maximum, taped, taped_work

_BELOW = 1e-16
_SWEEP_LIMIT = 20_000
_TAPE_LIMIT = 2e8


def _q(game: MarkovGame, u: Any) -> Any:
    S, A, B = game.n_states, game.n_leader_actions, game.n_follower_actions
    joint = game.joint
    carried = kernel_product(joint.kernel, joint.kernel.values, u, (S, A * B))
    return anp.reshape(joint.follower_reward + joint.follower_discount * carried, (S, A, B))


def _average(f: Any, q: Any) -> Any:
    return anp.sum(anp.reshape(f, (*f.shape, 1)) * q, axis=1)


def _softmax(q: Any, temperature: float) -> Any:
    e = anp.exp((q - np.max(untraced(q), axis=-1, keepdims=True)) / temperature)
    return e / anp.sum(e, axis=-1, keepdims=True)


def _differentiate(game: MarkovGame, theta: Array, fixed_point: FixedPoint) -> RouteResult:
    S, A, B = game.n_states, game.n_leader_actions, game.n_follower_actions
    joint, tau = game.joint, game.joint.temperature
    f0 = game.leader_policy(theta)
    u0 = follower_values(game, f0).x
    weights0 = f0[:, :, None] * acting_policy(game, f0, q_follower(game, u0))
    v0 = leader_values(game, weights0).x
    sweeps = _sweeps(game, weights0)

    def follower_step(u: Any, arrays: Arrays) -> Any:
        (f,), q = arrays, _q(game, u)
        if game.plans_on == "action":
            return anp.sum(f * soft_maximum(q, tau, 2), axis=1)
        return soft_maximum(_average(f, q), tau, 1)

    def leader_step(v: Any, arrays: Arrays) -> Any:
        weights, paid = arrays
        carried = kernel_product(joint.kernel, joint.kernel.values, v, (S, A * B))
        return anp.sum(weights * (paid + joint.leader_discount * carried), axis=1)

    def J(theta: Any) -> Any:
        f = game.policy.function(theta)
        u = fixed_point(follower_step, (f,), u0, sweeps)
        q = _q(game, u)
        if game.acts_on == "action":
            policy = _softmax(q, tau)
        else:
            policy = anp.reshape(_softmax(_average(f, q), tau), (S, 1, B)) * np.ones((1, A, 1))
        weights = anp.reshape(anp.reshape(f, (S, A, 1)) * policy, (S, A * B))
        return anp.sum(joint.initial * fixed_point(leader_step, (weights, paid_to_leader(game, f)), v0, sweeps))

    try:
        with constants_allowed():
            vjp, value = make_vjp(J, theta)
    except (TypeError, NotImplementedError) as error:
        raise NotDifferentiable(f"autograd cannot trace the leader's policy: {error}") from error
    gradient = np.asarray(vjp(1.0))
    return RouteResult(float(value), gradient, 4.0 * _BELOW * np.abs(gradient))


def _sweeps(game: MarkovGame, weights: Array) -> int:
    joint = game.joint
    flat, matrix = weights.reshape(joint.leader_reward.shape), matrix_of(joint.transition)
    discount = max(joint.follower_discount, joint.leader_discount)
    return remaining(matrix, flat, discount, _BELOW, _SWEEP_LIMIT)


def _skip(game: MarkovGame, theta: Array) -> str:
    entries = float(np.size(game.joint.kernel.values))
    if entries > 5e5:
        return f"{entries:.1e} kernel entries: too slow without compilation"
    discount = max(game.joint.follower_discount, game.joint.leader_discount)
    # Without a discount it is known once the chain is: `_sweeps`.
    worst = 0.0 if discount == 1.0 else float(np.log(_BELOW) / np.log(max(discount, 0.1)))
    if game.steps is not None:
        worst = float(game.steps.horizon)
    if worst > _SWEEP_LIMIT:
        return f"more than {_SWEEP_LIMIT} sweeps to unroll (discount {discount})"
    tape = 20.0 * worst * game.joint.follower_reward.size
    return f"the tape would hold {tape:.1e} numbers" if tape > _TAPE_LIMIT else ""


def _skip_implicit(game: MarkovGame, theta: Array) -> str:
    entries = float(np.size(game.joint.kernel.values))
    return f"{entries:.1e} kernel entries: too slow without compilation" if entries > 5e5 else ""


UNROLLED = Route(
    "unrolled", "autograd through every backup", lambda p, t: _differentiate(p, t, taped), _skip, work=taped_work
)
UNROLLED_IMPLICIT = Route(
    "unrolled-implicit",
    "autograd through an implicit VJP of each fixed point",
    lambda p, t: _differentiate(p, t, implicit),
    _skip_implicit,
)
