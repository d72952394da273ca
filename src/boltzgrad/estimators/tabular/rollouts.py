"""Trajectories of many walkers at once.

Rows are times, columns walkers; a lane owns `episodes` neighbouring walkers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.worlds import TabularWorlds

_BLOCK = 64  # steps for which uniform numbers are drawn at a time


@dataclass(frozen=True, eq=False)
class Rollout:
    """Trajectories (T, N).

    `state`, `action`, `next_state`, `slot` (place of the next state in the kernel's table); `alive`: the row is part of the
    data; `first`, `last`: it begins, or ends, a trajectory; `ended`: the model ended the episode here, `timed_out`: a time
    limit did; `age`: steps since the trajectory began.  `lane`, `world` (N,).
    """

    state: Array
    action: Array
    next_state: Array
    slot: Array
    alive: Array
    first: Array
    last: Array
    ended: Array
    timed_out: Array
    age: Array
    lane: Array
    world: Array

    @property
    def steps(self) -> Array:
        """Environment steps of each lane (L,)."""
        return np.bincount(self.lane, weights=self.alive.sum(axis=0)).astype(int)


def roll(
    worlds: TabularWorlds,
    sampling: Sampling,
    draws: Draws,
    *,
    name: str = "rollout",
    start: Array | None = None,
    first_action: Array | None = None,
    lengths: Array | None = None,
    walkers: int | None = None,
    initial: Array | None = None,
) -> Rollout:
    """Trajectories of the followers' policies in all lanes.

    From the models' initial distributions (or `initial` (S,)), or from `start` (L, E) states and, if given, `first_action`
    (L, E).  `lengths` (L, E) fixes each trajectory's number of steps (the model's end may come before).
    """
    L, E = worlds.lanes, walkers or sampling.episodes
    draws = draws.next(name)
    N = L * E
    lane = np.repeat(np.arange(L), E)
    world = worlds.lane_world[lane]
    discounts = (worlds.gamma_L, worlds.gamma_F)
    kappa, limit = sampling.survival(*discounts), sampling.limit(*discounts)
    restart = sampling.steps is not None and lengths is None
    length = None
    if lengths is not None:
        kappa, length, limit = 1.0, np.asarray(lengths).ravel(), int(np.max(lengths))
    action_edges = np.cumsum(worlds.acting, axis=2)[..., :-1]
    start_edges = np.cumsum(worlds.initial if initial is None else np.tile(initial, (len(worlds.models), 1)), axis=1)
    if start is None:
        fresh = draws.uniform("start", E).ravel()
        state = _draw(start_edges[world], fresh)
    else:
        state = np.asarray(start).ravel().astype(int)
    on = np.ones(N, bool)
    first, age = np.ones(N, bool), np.zeros(N, int)
    rows: list[tuple[Array, ...]] = []
    for t in range(limit):
        if t % _BLOCK == 0:
            block = min(_BLOCK, limit - t)
            u = draws.uniform("steps", block, E, 4).transpose(1, 0, 2, 3).reshape(block, N, 4)
        pick, move, stop, again = u[t % _BLOCK].T
        action = (pick[:, None] >= action_edges[world, state]).sum(axis=1)
        if t == 0 and first_action is not None:
            action = np.asarray(first_action).ravel()
        to, slot, ended = worlds.successors.step(world, state, action, move)
        last = ended | (stop >= kappa) if kappa < 1.0 else ended.copy()
        if length is not None:
            last |= t + 1 >= length
        timed_out = np.zeros(N, bool)
        if sampling.time_limit is not None and length is None:
            timed_out = (age + 1 >= sampling.time_limit) & ~ended
            last |= timed_out
        rows.append((state, action, to, slot, on, first, last, ended, timed_out, age))
        if restart:
            fresh_state = _draw(start_edges[world], again)
            state, first, age = np.where(last, fresh_state, to), last, np.where(last, 0, age + 1)
        else:
            on = on & ~last
            state, first, age = to, np.zeros(N, bool), age + 1
            if not on.any():
                break
    state, action, to, slot, alive, first, last, ended, timed_out, age = (np.stack(x) for x in zip(*rows, strict=True))
    last[-1] = True
    return Rollout(state, action, to, slot, alive, first, last & alive, ended, timed_out, age, lane, world)


def _draw(edges: Array, uniform: Array) -> Array:
    """The index at which each cumulative row passes its uniform number."""
    return np.asarray(np.minimum((uniform[:, None] >= edges[:, :-1]).sum(axis=1), edges.shape[1] - 1))
