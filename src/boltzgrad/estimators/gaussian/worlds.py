r"""Linear-quadratic models, many at once, with the follower and the leader's values in closed form.

Without a bump and without noise seen in advance:  V_F(x) = −(x'Px + c),  V_L(x) = −x'P_L x + c_L  (BC-HG Prop 1, (59)–(77)).
A finite leader's horizon has one P_L and c_L a step.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.tabular.worlds import Moves
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.problem import LinearisedLQ, LinearQuadratic
from boltzgrad.solvers.balls import lyapunov
from boltzgrad.solvers.lqr import check_leader_stable, solve_lqr


class GaussianWorld:
    """One LQ model at one θ: `P`, `K`, `covariance` of the follower, `leader_P`, `leader_constant` (a row a step)."""

    def __init__(self, linearised: LinearisedLQ) -> None:
        self.linearised, self.model = linearised, linearised.model
        m = self.model
        self.follower = solve_lqr(m)
        check_leader_stable(m, self.follower)
        self.P, self.K, self.covariance = self.follower.P, self.follower.K, self.follower.covariance
        self.closed = self.follower.closed
        self.noise = m.W + m.B @ self.covariance @ m.B.T
        self.action_root = np.linalg.cholesky(self.covariance)
        self.noise_root = _root(m.W)
        self.start_root = _root(m.covariance)

    @cached_property
    def leader(self) -> tuple[Array, Array]:
        """(P_L (T+1, n, n), c_L (T+1,)): V_L(x) = −x'P_L x + c_L with t steps done; one row for an infinite horizon."""
        m, K = self.model, self.K
        gamma = m.leader_discount
        stage = m.leader_Q + K.T @ m.leader_R @ K
        paid = float(m.leader_constant - np.trace(m.leader_R @ self.covariance))
        if m.horizon is None:
            P = lyapunov(self.closed.T, stage, gamma)
            return P[None], np.array([(paid - gamma * np.trace(P @ self.noise)) / (1.0 - gamma)])
        P, c = np.zeros_like(stage), 0.0
        rows = [(P, c)]
        for _ in range(m.horizon):
            c = paid + gamma * (c - float(np.trace(P @ self.noise)))
            P = stage + gamma * self.closed.T @ P @ self.closed
            rows.append((P, c))
        rows.reverse()
        return np.stack([r[0] for r in rows]), np.array([r[1] for r in rows])

    @cached_property
    def W_inverse(self) -> Array:
        """W⁻¹ (n, n)."""
        return np.linalg.inv(self.model.W)


def _root(x: Array) -> Array:
    """A square root of a covariance that may be singular."""
    values, vectors = np.linalg.eigh((x + x.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def closed_form(problem: Any) -> bool:
    """Whether a problem's returns have the closed form of these worlds."""
    if not isinstance(problem, LinearQuadratic) or problem.model_kind is not LQModel:
        return False
    model = problem.model(problem.initial_theta(seed=0))
    return not model.observed and model.bump is None and model.shift is None


class GaussianWorlds:
    """Worlds (W) and the lanes (L) that live in them; stacked arrays read by walkers."""

    def __init__(self, problem: LinearQuadratic, thetas: Array, lane_theta: Array, moves: Moves | None = None) -> None:
        self.problem, self.thetas, self._moves = problem, np.asarray(thetas, float), moves
        self.lane_world = np.asarray(lane_theta)
        self.worlds = [GaussianWorld(problem.linearise(theta)) for theta in self.thetas]
        first: LQModel = self.worlds[0].model
        self.model = first
        self.gamma_F, self.gamma_L, self.tau = first.follower_discount, first.leader_discount, first.temperature
        self.n, self.m = first.n_states, first.n_inputs

    @property
    def moves(self) -> Moves:
        """Which matrices depend on θ, where that was looked up."""
        assert self._moves is not None
        return self._moves

    @property
    def lanes(self) -> int:
        """Number of lanes L."""
        return int(self.lane_world.size)

    def objective(self) -> Array:
        """J(θ) of every θ, (n_theta,): −E x'P_L x + c_L at the start."""
        out = []
        for world in self.worlds:
            (P, *_), (constant, *_), m = *world.leader, world.model
            out.append(constant - m.mean @ P @ m.mean - np.trace(P @ m.covariance))
        return np.asarray(out, float)

    def of(self, name: str) -> Array:
        """A matrix of the models, one a lane (L, …)."""
        return np.asarray(np.stack([getattr(w.model, name) for w in self.worlds])[self.lane_world])

    def own(self, name: str) -> Any:
        """Something of the solved worlds, one a lane (L, …)."""
        return np.stack([getattr(w, name) for w in self.worlds])[self.lane_world]
