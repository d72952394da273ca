"""A Markov game from a later step on; see `families/later.py`."""

from __future__ import annotations

import copy
from dataclasses import replace

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Later
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.game.sweeps import acting_policy, follower_values, q_follower
from boltzgrad.families.later import half_of, half_of_chain, moved
from boltzgrad.families.tabular.sweeps import matrix_of, state_kernel


def later(problem: MarkovGame, theta: Array) -> Later | None:
    """The second half of a game at θ, or None where nothing is left of it."""
    f = problem.leader_policy(theta)
    g = acting_policy(problem, f, q_follower(problem, follower_values(problem, f).x))
    joint = problem.joint
    kernel = state_kernel(matrix_of(joint.transition), (f[:, :, None] * g).reshape(len(f), -1))
    if problem.steps is not None:
        n = half_of(1.0, problem.steps.horizon)
    elif joint.leader_discount == 1.0:
        n = half_of_chain(kernel, joint.initial)
    else:
        n = half_of(joint.leader_discount)
    start, mass = moved(kernel, joint.initial, n)
    weight = joint.leader_discount**n * mass
    if weight == 0.0:
        return None
    second = copy.copy(problem)
    second.joint = replace(joint, initial=start)
    return Later(second, weight)
