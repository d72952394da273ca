r"""Followers and leaders who count long-run averages, as a table of cycles.

With s₀ a state that every state reaches, J the leader's average, N the length of a cycle and g the follower's average:

- the follower's bias h is the soft value of the reward r_F − g in a chain that ends as it enters s₀ again, undiscounted;
- the reward (c − J)/N + J p(s₀|s,a), summed over one cycle from s₀, is J, and its derivative is that of J: J₀ and N₀ at this θ
  are constants, since Σ (c − J) over a cycle is zero; the second summand is J for every policy.

g is a function of θ.  With π, h and the stationary distribution d at this θ held fixed,

    g = Σ_s d(s) [Σ_a π (r_F + P h) − τ KL(π ‖ π⁰) − h](s)

has g's value and, π being optimal and d stationary, g's derivative.  So the tabular reference, its bound and its routes serve
averages.  Complex steps and differences do without all this: they sweep the average's own equations (`valued.py`).

Source: derivation `average-gain`; the adjoint form is w, y, m of BC-HG (5) with the group inverse.
"""

from __future__ import annotations

import hashlib
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.arrival import arrival_reward
from boltzgrad.core.kernel import Kernel, SparseKernel
from boltzgrad.families.tabular.average import Average, AverageRewardModel, over_actions, paid_to, real
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.solvers.average import Cycle, cycle, recurrent_class, soft_average, without_column

# A build is called many times at one θ (traced, for its value, at complex steps): it is solved once.
_KEPT = 4
_solved: dict[bytes, tuple[Cycle, Cycle, Array]] = {}


def table_of(model: AverageRewardModel) -> TabularModel:
    """The table of cycles.  Raises: InvalidModel where the chain has several classes; NotConverged."""
    given = averages_of(model)
    g, cycles = traced_gain(given, model), given.leaders
    world = without_column(model.kernel, given.leaders.state)
    own = model.own_kernel
    arrives = arrival_reward(model.kernel, np.eye(1, model.n_states, given.leaders.state)[0])
    return TabularModel(
        world,
        np.eye(1, model.n_states, given.leaders.state)[0],
        model.follower_reward - g,
        (model.leader_reward - cycles.gain) / cycles.length + cycles.gain * arrives,
        without_column(model.follower_kernel, given.followers.state) if own else None,
        follower_discount=1.0,
        leader_discount=1.0,
        temperature=model.temperature,
        reference=model.reference,
        available=model.available,
        leader_temperature=model.leader_temperature / cycles.length,
        leader_reference=model.leader_reference,
        given=given,
    )


def averages_of(model: AverageRewardModel) -> Average:
    """The averages of a model, traced or complex, at the real numbers that it holds."""
    key = _digest(model)
    if key not in _solved:
        if len(_solved) >= _KEPT:
            del _solved[next(iter(_solved))]
        _solved[key] = _averages(model)
    return Average(model, *_solved[key])


def _digest(model: AverageRewardModel) -> bytes:
    """What the averages depend on, in a few bytes."""
    found = hashlib.blake2b()
    kernels = (model.kernel, model.follower_kernel)
    patterns = [(k.pattern.indptr, k.pattern.indices) for k in kernels if isinstance(k, SparseKernel)]
    arrays = [real(x) for x in model.arrays().parts()]
    for x in (*arrays, *(x for pair in patterns for x in pair), model.there, np.asarray(model.leader_temperature)):
        found.update(repr((x.shape, x.dtype)).encode())
        found.update(np.ascontiguousarray(x).tobytes())
    return found.digest()


def _averages(model: AverageRewardModel) -> tuple[Cycle, Cycle, Array]:
    world, plans = _real_kernel(model.kernel), _real_kernel(model.follower_kernel)
    tau = over_actions(real(model.temperature))
    weights = real(model.reference) if model.reference is not None else model.there.astype(float)
    inside = recurrent_class("transition", world, model.there)
    inside_plans = recurrent_class("follower_transition", plans, model.there) if model.own_kernel else inside
    everywhere = model.reference is None and bool(model.there.all())
    found, policy = soft_average(plans, real(model.follower_reward), tau, None if everywhere else weights, inside_plans)
    return found, cycle(world, policy, paid_to(model, policy), inside), policy


def traced_gain(given: Average, model: AverageRewardModel) -> Any:
    """g, for autograd, as a function of a model's arrays near these: see the top of the file."""
    h, pi = given.followers.bias, given.policy
    taken = pi > 0.0
    log = np.log(np.where(taken, pi, 1.0))
    if model.reference is not None:
        log = log - anp.log(anp.where(taken, model.reference, 1.0))
    ahead = model.follower_reward + arrival_reward(model.follower_kernel, h)
    worth = anp.sum(pi * (ahead - over_actions(model.temperature) * log - h[:, None]), axis=1)
    return anp.sum(given.followers.stationary * worth) / given.followers.stationary.sum()


def _real_kernel(kernel: Kernel) -> Kernel:
    return kernel.with_values(real(kernel.values))
