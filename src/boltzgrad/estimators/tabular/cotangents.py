r"""Cotangents on the arrays of tabular models, one set a lane, and their way to θ.

Every estimator is linear in the derivatives of the model's arrays: Σ coefficient × ∇(entry), with scores
∇log p(s'|s,a) = ∇p(s'|s,a)/p(s'|s,a).  So a batch is condensed to one number for each entry, and the problem's own
pull-back takes it to θ; the cost of sampling does not depend on the dimension of θ.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators.tabular.worlds import TabularWorlds
from boltzgrad.families.tabular.model import TabularArrays


class TabularCotangents:
    """Cotangents in every lane: `leader_reward`, `follower_reward` (L, S, A), `initial` (L, S), `probability` (L,).

    Those on the kernel are kept as samples (lane, place in the kernel's values, value), and as products x(s,a) v(s').
    """

    def __init__(self, worlds: TabularWorlds) -> None:
        self.worlds = worlds
        L = worlds.lanes
        self.leader_reward = np.zeros((L, worlds.S, worlds.A))
        self.follower_reward = np.zeros((L, worlds.S, worlds.A))
        self.initial = np.zeros((L, worlds.S))
        self.probability = np.zeros(L)
        self.transitions: list[tuple[Array, Array, Array]] = []
        self._on_follower: Array | None = None  # m(s,a), standing for γ_F m(s,a) V_F(s') on the follower's kernel
        self._on_leader: Array | None = None  # the same for γ_L and V_L on the world's kernel

    @property
    def tau(self) -> float:
        """The follower's temperature."""
        return self.worlds.tau

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lanes, states and actions (L, S, A)."""
        return self.worlds.lanes, self.worlds.S, self.worlds.A

    def add_expected_direct(self, visits: Array) -> None:
        """The partial derivative for expected discounted visits ν(s)π(a|s) (L, S, A), nothing sampled."""
        w = self.worlds
        self.leader_reward += visits
        self._on_leader = visits if self._on_leader is None else self._on_leader + visits
        v = w.leader[0][w.lane_world]
        self.initial += v
        self.probability += (w.initial[w.lane_world] * v).sum(axis=1)

    def add_white_box(self, weights: Array) -> None:
        """Σ weights(s,a) ∇Q_F(s,a) (L, S, A), by the Bellman equation of ∇Q_F: u at (s, a), ∇V_F at the successors."""
        w = self.worlds
        self._add_immediate(weights)
        self.add_white_box_value(w.gamma_F * w.spread_back(weights, w.lane_world))

    def add_white_box_value(self, weights: Array) -> None:
        """Σ weights(s) ∇V_F(s) (L, S) = Σ y(s) Σ_a π u(s, a) with y = (I − γ_F P_π)^{-T} weights."""
        w = self.worlds
        y = w.through_follower(weights, w.lane_world)
        self._add_immediate(w.policy[w.lane_world] * y[:, :, None])

    def _add_immediate(self, m: Array) -> None:
        """Σ m(s,a) u(s,a), u = ∇r_F + γ_F Σ ∇p V_F."""
        self.follower_reward += m
        if self.worlds.moves.transition:
            self._on_follower = m if self._on_follower is None else self._on_follower + m

    def add(self, other: TabularCotangents) -> None:
        """Adds what another batch in the same lanes puts on rewards and kernels."""
        self.leader_reward += other.leader_reward
        self.follower_reward += other.follower_reward
        self.transitions += other.transitions

    def gradients(self) -> Array:
        """The estimates (L, d): every lane's cotangents pulled back to its θ."""
        w = self.worlds
        out = np.empty((w.lanes, w.thetas.shape[1]))
        sampled = self._sampled_transitions()
        for lane in range(w.lanes):
            world = int(w.lane_world[lane])
            model = w.models[world]
            transition = sampled[lane]
            own = np.broadcast_to(0.0, model.follower_kernel.values.shape) if model.own_kernel else None
            if self._on_leader is not None and w.moves.transition:
                transition = transition + model.kernel.outer(w.gamma_L * self._on_leader[lane], w.leader[0][world])
            if self._on_follower is not None:
                moved = model.follower_kernel.outer(w.gamma_F * self._on_follower[lane], w.value[world])
                transition, own = (transition, moved) if model.own_kernel else (transition + moved, None)
            arrays = TabularArrays(
                transition, self.initial[lane], self.follower_reward[lane], self.leader_reward[lane], own
            )
            out[lane] = w.pull(lane, arrays, self.probability[lane] / w.probability_of(lane))
        return out

    def _sampled_transitions(self) -> list[Array]:
        w = self.worlds
        shapes = [w.models[i].kernel.values.shape for i in w.lane_world]
        if not self.transitions:
            return [np.broadcast_to(0.0, shape) for shape in shapes]
        lane, position, value = (np.concatenate([t[i] for t in self.transitions]) for i in range(3))
        order = np.argsort(lane, kind="stable")
        edges = np.searchsorted(lane[order], np.arange(w.lanes + 1))
        out = []
        for i, shape in enumerate(shapes):
            mine = order[edges[i] : edges[i + 1]]
            out.append(np.bincount(position[mine], value[mine], minlength=int(np.prod(shape))).reshape(shape))
        return out
