r"""Critics: what an estimator takes for the leader's values.

| critic | Q_L | V_L | state across batches |
|---|---|---|---|
| `Exact` | solved | solved | – |
| `MonteCarlo` | mean return over visits to (s, a) | mean return over visits to s | – |
| `Sarsa` | a table, each transition once a batch in random order | Σ_b π Q | the table |
| `LeastSquaresTD` | linear in features of (s, a), LSTD | Σ_b π Q | – |

Only `Exact` leaves an estimator unbiased: an estimated critic shares its data with what it is multiplied by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.compiled import available
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators import loops
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.episodes import TabularEpisodes, Values


class TabularCritic(ABC):
    """Estimates the leader's values from a batch."""

    def start(self, shape: tuple[int, int, int], draws: Draws) -> Any:
        """What is kept across batches, for lanes, states and actions (L, S, A)."""
        return None

    @abstractmethod
    def fit(self, episodes: TabularEpisodes, state: Any, draws: Draws) -> tuple[Values, Any]:
        """The values along the batch, and the state for the next one."""


@dataclass(frozen=True)
class Exact(TabularCritic):
    """The leader's true values under the follower's answer."""

    def fit(self, episodes: TabularEpisodes, state: Any, draws: Draws) -> tuple[Values, Any]:
        """See `TabularCritic.fit`."""
        w, r = episodes.worlds, episodes.rollout
        v, q = w.leader
        expected = None
        if w.moves.transition:
            expected = episodes.at(w.expect(v))
        mean = (w.initial * v).sum(axis=1)[r.world]
        benefit = (q - v[:, :, None])[w.lane_world]
        return Values(episodes.at(q), v[r.world, r.state], v[r.world, r.next_state], benefit, expected, mean), state


@dataclass(frozen=True)
class MonteCarlo(TabularCritic):
    """Averages of returns over the visits of the same batch (BC-HG Alg. 9)."""

    def fit(self, episodes: TabularEpisodes, state: Any, draws: Draws) -> tuple[Values, Any]:
        """See `TabularCritic.fit`."""
        g = episodes.leader_returns()
        q = episodes.averages(g, actions=True)
        v = episodes.averages(g, actions=False)
        seen = episodes.visits(g, actions=True)[1] > 0
        values = along(episodes, q, v)
        return replace(values, benefit=np.where(seen, q - v[:, :, None], np.nan)), state


@dataclass(frozen=True)
class Sarsa(TabularCritic):
    """A table of Q_L kept across batches; every transition of a batch is used once, in random order (BC-HG Alg. 2).

    The table starts from N(0,1) (`initial="normal"`) or from zero.  The bootstrap is Q_L(s', a') of the next row, or zero
    at the end of an episode; `as_published`, also at a time-out and in the batch's last row, where the correct form uses
    Σ_b π(b|s') Q_L(s', b).
    """

    learning_rate: float = 0.5
    initial: Literal["normal", "zero"] = "normal"
    as_published: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.learning_rate <= 1.0:
            raise InvalidOption(f"learning_rate is {self.learning_rate!r}; expected a number in (0, 1]")
        if self.initial not in ("normal", "zero"):
            raise InvalidOption(f"initial is {self.initial!r}; expected 'normal' or 'zero'")

    def start(self, shape: tuple[int, int, int], draws: Draws) -> Array:
        """The table (L, S, A)."""
        if self.initial == "zero":
            return np.zeros(shape)
        return draws.normal("sarsa table", *shape[1:])

    def fit(self, episodes: TabularEpisodes, state: Array, draws: Draws) -> tuple[Values, Array]:
        """See `TabularCritic.fit`."""
        w, (T, N) = episodes.worlds, episodes.rollout.state.shape
        E = N // w.lanes
        # As many numbers as the longest batch could need: how long the neighbours' batches are moves nothing.
        most = episodes.sampling.limit(w.gamma_L, w.gamma_F) * E
        order = np.argsort(draws.uniform("sarsa order", most)[:, : T * E], axis=1)
        q = self.sweep(episodes, state, order)
        return along(episodes, q, (w.policy[w.lane_world] * q).sum(axis=2)), q

    def sweep(self, episodes: TabularEpisodes, table: Array, order: Array) -> Array:
        """The table after one pass over the batch in `order` (L, T·E), row t·E + e for step t of walker e."""
        w, r = episodes.worlds, episodes.rollout
        L, (T, N) = w.lanes, r.state.shape
        E = N // L
        q = table.copy()
        flat = q.reshape(L, -1)
        policy = w.policy[w.lane_world]
        if available():
            loops.sarsa(
                q, order, r.state, r.action, r.next_state, episodes.at(w.r_L), r.alive, r.ended, r.last, policy,
                w.gamma_L, self.learning_rate, self.as_published,
            )  # fmt: skip
            return q

        def by_lane(x: Array) -> Array:
            return x.reshape(T, L, E).transpose(1, 0, 2).reshape(L, T * E)

        here = by_lane(r.state * w.A + r.action)
        reward = by_lane(episodes.at(w.r_L))
        live, ended, last = by_lane(r.alive), by_lane(r.ended), by_lane(r.last)
        following = by_lane(r.next_state)
        next_pair = np.roll(r.state * w.A + r.action, -1, axis=0)
        next_pair = by_lane(next_pair)
        rows = np.arange(L)
        gamma, rate = w.gamma_L, self.learning_rate
        for i in range(T * E):
            j = order[:, i]
            s = here[rows, j]
            old = flat[rows, s]
            ahead = flat[rows, next_pair[rows, j]]
            if self.as_published:
                ahead = np.where(last[rows, j], 0.0, ahead)
            else:
                cut = last[rows, j] & ~ended[rows, j]
                if cut.any():
                    to = following[rows, j]
                    ahead = np.where(cut, sum(policy[rows, to, a] * q[rows, to, a] for a in range(w.A)), ahead)
                ahead = np.where(ended[rows, j], 0.0, ahead)
            new = old + rate * (reward[rows, j] + gamma * ahead - old)
            flat[rows, s] = np.where(live[rows, j], new, old)
        return q


@dataclass(frozen=True, eq=False)
class LeastSquaresTD(TabularCritic):
    """Q_L linear in features φ(s, a), by least-squares temporal differences on the batch.

    `features` (S·A, f), one-hot if not given.  Solves (Σ φ(φ − γ_L φ̄')' + ridge·I) w = Σ φ r_L with
    φ̄' = Σ_b π(b|s') φ(s', b), zero after the end of an episode.
    """

    features: Array | None = None
    ridge: float = 1e-3

    def fit(self, episodes: TabularEpisodes, state: Any, draws: Draws) -> tuple[Values, Any]:
        """See `TabularCritic.fit`.  Raises: InvalidOption for features of the wrong shape."""
        w, r = episodes.worlds, episodes.rollout
        phi = np.eye(w.S * w.A) if self.features is None else np.asarray(self.features, float)
        if phi.ndim != 2 or len(phi) != w.S * w.A:
            raise InvalidOption(f"features has shape {phi.shape}, expected ({w.S * w.A}, f), a row for each (s, a)")
        q = np.empty((w.lanes, w.S, w.A))
        for lane in range(w.lanes):
            mine = r.alive & (r.lane == lane)
            here = phi[(r.state * w.A + r.action)[mine]]
            policy = w.policy[w.lane_world[lane]]
            mean = (policy[:, :, None] * phi.reshape(w.S, w.A, -1)).sum(axis=1)
            ahead = np.where(r.ended[mine][:, None], 0.0, mean[r.next_state[mine]])
            reward = episodes.at(w.r_L)[mine]
            matrix = here.T @ (here - w.gamma_L * ahead) + self.ridge * np.eye(phi.shape[1])
            q[lane] = (phi @ np.linalg.solve(matrix, here.T @ reward)).reshape(w.S, w.A)
        v = (w.policy[w.lane_world] * q).sum(axis=2)
        return along(episodes, q, v), state


def along(episodes: TabularEpisodes, q: Array, v: Array) -> Values:
    """Tables of the lanes, (L, S, A) and (L, S), read along the batch."""
    r = episodes.rollout
    benefit = q - v[:, :, None]
    return Values(q[r.lane, r.state, r.action], v[r.lane, r.state], v[r.lane, r.next_state], benefit)


CRITICS = {"exact": Exact, "monte-carlo": MonteCarlo, "sarsa": Sarsa, "td": LeastSquaresTD}
