"""Reward shaping: an impatient learner in a simulator is paid more than the task pays, and judged by the task."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.leader_mdp import LeaderMDP
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import positive_integer, probability, real

_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left


def reward_shaping(
    size: int = 4,
    slip: float = 0.1,
    simulated_slip: float = 0.3,
    discount: float = 0.95,
    simulated_discount: float = 0.8,
    temperature: float = 0.1,
    entropy: float = 0.01,
) -> ConfigurableMDP:
    """θ (S·A,) is added to the task's sparse reward, 1 in the far corner of a `size` × `size` grid; J is the task's return.

    The two worlds of SoBiRL: below, r(θ) in a simulator that slips more, with a smaller discount and a start anywhere; above,
    the task, a `LeaderMDP` from the near corner, with an `entropy` of its own.  From the far corner the next step leads to the
    near one.  A shaping that is a potential, θ(s,a) = γ Σ p φ − φ(s), moves no policy, so ∇J is orthogonal to all of them (γ
    and p those below).  Source: SoBiRL 3.3 and K, which give no numbers; these are chosen here.
    Raises: InvalidOption, InvalidModel.
    """
    N = positive_integer("size", size, least=2)
    S, A = N * N, len(_MOVES)
    task, simulator = (
        grid_kernel(N, probability(k, x)) for k, x in (("slip", slip), ("simulated_slip", simulated_slip))
    )
    goal = np.zeros((S, A))
    goal[S - 1] = 1.0
    above = LeaderMDP(task, goal, np.eye(S)[0], real("discount", discount), real("entropy", entropy))
    gamma = real("simulated_discount", simulated_discount)
    tau = real("temperature", temperature)
    rates: dict[str, Any] = {"follower_discount": gamma, "leader_discount": gamma, "temperature": tau}

    def build(theta: Any) -> TabularModel:
        shaped = goal + anp.reshape(theta, (S, A))
        return TabularModel(simulator, np.full(S, 1.0 / S), shaped, np.zeros((S, A)), **rates)

    return ConfigurableMDP(build, dim=S * A, objective=above, initial_scale=0.1, name="reward-shaping")


def grid_kernel(size: int, slip: float) -> Array:
    """P(s'|s,a): as intended but for `slip`, which is shared by the other directions; from the far corner to the near one."""
    S, A = size * size, len(_MOVES)
    p = np.zeros((S, A, S))
    for s in range(S - 1):
        for b, (dr, dc) in enumerate(_MOVES):
            row, column = np.clip((s // size + dr, s % size + dc), 0, size - 1)
            for a in range(A):
                p[s, a, row * size + column] += 1.0 - slip if a == b else slip / (A - 1)
    p[S - 1, :, 0] = 1.0
    return p
