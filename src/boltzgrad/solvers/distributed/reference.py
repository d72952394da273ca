r"""The reference hypergradient by rows: follower, leader, adjoint and cotangents, as in `families/tabular/adjoint.py`."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.row_block import RowBlock, RowCotangent, Rows, share
from boltzgrad.errors import NotConverged
from boltzgrad.solvers.distributed.chain import Chain, System
from boltzgrad.solvers.distributed.processes import Processes

_EPS = float(np.finfo(float).eps)
_STEPS = 200
_LOOSE, _TIGHT = 0.1, 1e-8  # forcing terms of the inexact Newton steps


@dataclass(frozen=True, eq=False)
class DistributedHypergradient:
    """∇J(θ) (d,) and J, the same on every process, and what it took; arrays are this process's own.

    `residual` is max_s |V_F − T V_F| over all states, and `value_bound` ≥ ‖V_F − V_F*‖∞ follows from it and what its own
    evaluation rounds off; `residuals` are those of V_L, ν and y.  `ghosts` are the states of others that this process reads,
    `gathered` how often this code did, `reductions` how often it had all processes sum something; `iterations` are BiCGSTAB's,
    which gathers and reduces besides.
    """

    value: float
    gradient: Array
    n_states: int
    processes: int
    residual: float
    value_bound: float
    residuals: tuple[float, float, float]
    newton_steps: int
    iterations: int
    ghosts: int
    gathered: int
    reductions: int
    seconds: float
    follower_value: Array
    policy: Array

    def __str__(self) -> str:
        leader, visits, adjoint = self.residuals
        return (
            f"{self.n_states} states over {self.processes} process{'es'[: 2 * (self.processes > 1)]}: J = {self.value:.12g}, "
            f"‖∇J‖ = {np.linalg.norm(self.gradient):.9g}\n"
            f"follower: {self.newton_steps} Newton steps, {self.iterations} iterations of BiCGSTAB in all, residual "
            f"{self.residual:.1e}, ‖V − V*‖ ≤ {self.value_bound:.1e}\n"
            f"residuals of V_L {leader:.1e}, of the occupancy {visits:.1e}, of the adjoint {adjoint:.1e}\n"
            f"a process reads {self.ghosts} states of others, {self.gathered} times; {self.seconds:.1f} s"
        )


def hypergradient(
    rows: Rows, theta: Array, processes: Processes, *, start: Array | None = None
) -> DistributedHypergradient:
    """The hypergradient of a problem by rows, on all processes; `start` (n,) are values of this one's states to begin with.

    Raises: NotConverged, InvalidTheta.
    """
    began = time.perf_counter()
    first, last = share(rows.n_states, processes)
    block = rows.block(theta, first, last, processes)
    chain = Chain(block, processes)
    v, policy, residual, newton, count = _follower(block, chain, start)
    own = System(chain, policy, block.follower_discount)
    world = own if block.leader_discount == block.follower_discount else System(chain, policy, block.leader_discount)
    leader = world.solve((policy * block.leader_reward).sum(axis=1))
    visits = world.solve_transposed(block.initial)
    q_leader = block.leader_reward + block.leader_discount * chain.expect(leader.x)
    benefit = q_leader - (policy * q_leader).sum(axis=1, keepdims=True)
    guidance = visits.x[:, None] * policy * benefit / block.temperature
    adjoint = own.solve_transposed(block.follower_discount * chain.accumulate(guidance))
    sensitivity = guidance + policy * adjoint.x[:, None]
    taken = visits.x[:, None] * policy
    v_ahead, leader_ahead = (chain.gather(x)[chain.at] for x in (v, leader.x))
    moved = block.leader_discount * taken.reshape(-1, 1) * leader_ahead
    moved += block.follower_discount * sensitivity.reshape(-1, 1) * v_ahead
    cotangent = RowCotangent(moved, leader.x, sensitivity, taken)
    gradient = rows.pull_back(theta, first, last, cotangent, processes)
    value = float(processes.sum(np.asarray(block.initial @ leader.x)))
    for system in {id(own): own, id(world): world}.values():
        system.destroy()
    return DistributedHypergradient(
        value=value,
        gradient=gradient,
        n_states=rows.n_states,
        processes=processes.size,
        residual=residual,
        value_bound=_value_bound(block, processes, v, residual),
        residuals=(leader.residual, visits.residual, adjoint.residual),
        newton_steps=newton,
        iterations=count + leader.iterations + visits.iterations + adjoint.iterations,
        ghosts=chain.ghosts,
        gathered=chain.gathered,
        reductions=processes.reductions,
        seconds=time.perf_counter() - began,
        follower_value=v,
        policy=policy,
    )


def _value_bound(block: RowBlock, processes: Processes, v: Array, residual: float) -> float:
    """(residual + what its evaluation rounds off)/(1 − γ), the roundings as in `soft_bellman.residual_rounding`, for the state
    where they are largest.
    """
    A, k = block.follower_reward.shape[1], block.successors.shape[1]
    reward, value = (processes.max(float(np.abs(x).max(initial=0.0))) for x in (block.follower_reward, v))
    sizes = reward + (block.follower_discount + 2.0) * value + block.temperature * (1.0 + np.log(A))
    contraction = block.follower_discount * (1.0 + 2.0 * (k + 1) * _EPS)  # rows sum to one but for rounding
    return (residual + (k + A + 8) * _EPS * sizes) / (1.0 - contraction) if contraction < 1.0 else float("inf")


@dataclass(frozen=True, eq=False)
class DistributedReturn:
    """J, what is known to be off it at most because of V_L's residual, and this process's V_F."""

    value: float
    unsure: float
    follower_value: Array


def expected_return(rows: Rows, theta: Array, processes: Processes, *, start: Array | None = None) -> DistributedReturn:
    """J(θ) alone, on all processes.  Raises: NotConverged, InvalidTheta."""
    first, last = share(rows.n_states, processes)
    block = rows.block(theta, first, last, processes)
    chain = Chain(block, processes)
    v, policy, *_ = _follower(block, chain, start)
    system = System(chain, policy, block.leader_discount)
    leader = system.solve((policy * block.leader_reward).sum(axis=1))
    system.destroy()
    value = float(processes.sum(np.asarray(block.initial @ leader.x)))
    return DistributedReturn(value, leader.residual / (1.0 - block.leader_discount), v)


def _follower(block: RowBlock, chain: Chain, start: Array | None) -> tuple[Array, Array, float, int, int]:
    """(V, π, residual, Newton steps, iterations): inexact Newton on V = TV, each step solved to a part of what is left."""
    processes, tau = chain.processes, block.temperature
    v = np.zeros(chain.n) if start is None else np.array(start, float)
    best, count, forcing, before = (np.inf, v, np.empty(0)), 0, _LOOSE, np.inf
    for step in range(_STEPS):
        q = block.follower_reward + block.follower_discount * chain.expect(v)
        top = q.max(axis=1, keepdims=True)
        weights = np.exp((q - top) / tau)
        total = weights.sum(axis=1, keepdims=True)
        policy = weights / total
        gap = (top + tau * np.log(total))[:, 0] - v
        size = processes.max(float(np.abs(gap).max(initial=0.0)))
        scale = processes.max(float(np.abs(q).max(initial=0.0))) + tau
        if size < best[0]:
            best = (size, v, policy)
        if size <= 8.0 * _EPS * scale or (step and size > 0.5 * before and best[0] <= 100.0 * _EPS * scale):
            return best[1], best[2], best[0], step, count
        if np.isfinite(before):
            forcing = float(np.clip((size / before) ** 2, _TIGHT, _LOOSE))
        before = size
        system = System(chain, policy, block.follower_discount)
        answer = system.solve(gap, relative=forcing)
        system.destroy()
        v, count = v + answer.x, count + answer.iterations
    raise NotConverged(
        f"the follower's values still move by {best[0]:.3g} after {_STEPS} inexact Newton steps over {processes.size} processes"
    )
