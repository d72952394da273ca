"""Trajectories of many walkers at once.

Rows are times, columns walkers; a lane owns `episodes` neighbouring walkers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.compiled import available
from boltzgrad.estimators import loops
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
    forced = None if first_action is None else np.asarray(first_action).ravel().astype(int)
    plan = _Plan(
        worlds, world, action_edges, start_edges, forced, kappa, length,
        None if length is not None else sampling.time_limit, restart,
    )  # fmt: skip
    walkers_now = _Walkers(state, np.ones(N, bool), np.ones(N, bool), np.zeros(N, int))
    rows: list[tuple[Array, ...]] = []
    for began in range(0, limit, _BLOCK):
        block = min(_BLOCK, limit - began)
        uniform = draws.uniform("steps", block, E, 4).transpose(1, 0, 2, 3).reshape(block, N, 4)
        done = (_compiled if available() else _stepwise)(plan, walkers_now, began, uniform)
        rows.append(done)
        if len(done[0]) < block or not (restart or walkers_now.on.any()):
            break
    state, action, to, slot, age, alive, first, last, ended, timed_out = (
        np.concatenate(x) for x in zip(*rows, strict=True)
    )
    last[-1] = True
    return Rollout(state, action, to, slot, alive, first, last & alive, ended, timed_out, age, lane, world)


@dataclass
class _Walkers:
    """Where N walkers are: `state`, whether still `on`, whether this is a trajectory's `first` step, its `age`; all (N,)."""

    state: Array
    on: Array
    first: Array
    age: Array


@dataclass(frozen=True)
class _Plan:
    """What decides every step, for N walkers in their `world` (N,)."""

    worlds: TabularWorlds
    world: Array
    action_edges: Array
    start_edges: Array
    forced: Array | None
    kappa: float
    length: Array | None
    time_limit: int | None
    restart: bool


def _stepwise(plan: _Plan, now: _Walkers, began: int, uniform: Array) -> tuple[Array, ...]:
    """The steps for which there are uniform numbers, all walkers at once; their arrays (T, N), in `loops.walk`'s order."""
    rows = []
    for t, u in enumerate(uniform, began):
        pick, move, stop, again = u.T
        action = (pick[:, None] >= plan.action_edges[plan.world, now.state]).sum(axis=1)
        if t == 0 and plan.forced is not None:
            action = plan.forced
        to, slot, ended = plan.worlds.successors.step(plan.world, now.state, action, move)
        last = ended | (stop >= plan.kappa) if plan.kappa < 1.0 else ended.copy()
        if plan.length is not None:
            last |= t + 1 >= plan.length
        timed_out = np.zeros(len(ended), bool)
        if plan.time_limit is not None:
            timed_out = (now.age + 1 >= plan.time_limit) & ~ended
            last |= timed_out
        rows.append((now.state, action, to, slot, now.age, now.on, now.first, last, ended, timed_out))
        if plan.restart:
            fresh = _draw(plan.start_edges[plan.world], again)
            now.state, now.first, now.age = np.where(last, fresh, to), last, np.where(last, 0, now.age + 1)
        else:
            now.on = now.on & ~last
            now.state, now.first, now.age = to, np.zeros(len(to), bool), now.age + 1
            if not now.on.any():
                break
    return tuple(np.stack(x) for x in zip(*rows, strict=True))


def _compiled(plan: _Plan, now: _Walkers, began: int, uniform: Array) -> tuple[Array, ...]:
    """The same numbers by the compiled loop."""
    kernel, none = plan.worlds.successors, np.zeros(0, int)
    numbers = np.empty((5, *uniform.shape[:2]), int)
    flags = np.empty(numbers.shape, bool)
    many = loops.walk(
        began, uniform, now.state, now.on, now.first, now.age, plan.world, kernel.kernel_of, plan.action_edges,
        plan.start_edges, kernel.to, kernel.cdf, kernel.total, none if plan.forced is None else plan.forced, plan.kappa,
        none if plan.length is None else plan.length, -1 if plan.time_limit is None else plan.time_limit, plan.restart,
        numbers, flags,
    )  # fmt: skip
    return (*numbers[:, :many], *flags[:, :many])


def _draw(edges: Array, uniform: Array) -> Array:
    """The index at which each cumulative row passes its uniform number."""
    return np.asarray(np.minimum((uniform[:, None] >= edges[:, :-1]).sum(axis=1), edges.shape[1] - 1))
