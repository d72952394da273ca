r"""Critics of linear-quadratic problems.

| critic | Q_L | V_L |
|---|---|---|
| `Exact` | closed form | closed form |
| `MonteCarlo` | the return of the trajectory | its least-squares fit by a quadratic in x |
| `LeastSquaresTD` | quadratic in (x, u), LSTD | Σ over the follower's Gaussian, closed form |
| `Network` | tanh network of (x, u), SARSA-TD with Adam | mean over actions drawn from the follower |
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.gaussian.episodes import GaussianEpisodes, GaussianValues
from boltzgrad.estimators.sampling import positive_count
from boltzgrad.estimators.streams import Draws


class GaussianCritic(ABC):
    """Estimates the leader's values from a batch."""

    def start(self, shape: tuple[int, int, int], draws: Draws) -> Any:
        """What is kept across batches, for lanes and the dimensions of state and input."""
        return None

    @abstractmethod
    def fit(self, episodes: GaussianEpisodes, state: Any, draws: Draws) -> tuple[GaussianValues, Any]:
        """The values along the batch, and the state for the next one."""


@dataclass(frozen=True)
class Exact(GaussianCritic):
    """The leader's true values under the follower's answer."""

    def fit(self, episodes: GaussianEpisodes, state: Any, draws: Draws) -> tuple[GaussianValues, Any]:
        """See `GaussianCritic.fit`."""
        e, w = episodes, episodes.worlds
        P = np.stack([world.leader[0] for world in w.worlds])[w.lane_world]
        c = np.stack([world.leader[1] for world in w.worlds])[w.lane_world]
        if w.model.horizon is None:
            here, there = (P[:, 0], c[:, 0, None]), (P[:, 0], c[:, 0, None])
        else:
            by_step, constants = P.transpose(1, 0, 2, 3), c.T[:, :, None]
            here, there = (by_step[: e.T], constants[: e.T]), (by_step[1 : e.T + 1], constants[1 : e.T + 1])
        W = w.of("W")
        spread = (there[0] * W).sum(axis=(-2, -1))[..., None]
        v_mean = there[1] - e.form(there[0], e.mean)
        return GaussianValues(
            q=e.leader_rewards() + w.gamma_L * (v_mean - spread),
            v=here[1] - e.form(here[0], e.x),
            v_next=there[1] - e.form(there[0], e.following),
            v_mean=v_mean,
        ), state


@dataclass(frozen=True)
class MonteCarlo(GaussianCritic):
    """Q_L is the return from (x_t, u_t) on; V_L the least-squares quadratic in x through the batch's returns."""

    def fit(self, episodes: GaussianEpisodes, state: Any, draws: Draws) -> tuple[GaussianValues, Any]:
        """See `GaussianCritic.fit`."""
        e = episodes
        g = e.leader_returns()
        v, v_mean, v_next = (np.empty_like(g) for _ in range(3))
        for lane in range(e.L):
            on = e.alive[:, lane]
            phi = quadratic(e.x[:, lane])
            w = np.linalg.lstsq(phi[on], g[:, lane][on], rcond=None)[0]
            v[:, lane], v_mean[:, lane] = phi @ w, quadratic(e.mean[:, lane]) @ w
            v_next[:, lane] = quadratic(e.following[:, lane]) @ w
        return GaussianValues(g, v, v_next, v_mean), state


@dataclass(frozen=True)
class LeastSquaresTD(GaussianCritic):
    """Q_L = φ(x, u)'w, φ the monomials up to degree two, with E_u φ(x', u) in closed form (expected SARSA).

    Solves (Σ φ(φ − γ_L φ̄')' + ridge·I) w = Σ φ r_L.
    """

    ridge: float = 1e-6

    def fit(self, episodes: GaussianEpisodes, state: Any, draws: Draws) -> tuple[GaussianValues, Any]:
        """See `GaussianCritic.fit`."""
        e, w = episodes, episodes.worlds
        r = e.leader_rewards()
        q, v, v_next, v_mean = (np.empty_like(r) for _ in range(4))
        for lane in range(e.L):
            world = w.worlds[w.lane_world[lane]]
            on = e.alive[:, lane]

            def mean_of(x: Array, K: Array = world.K, S: Array = world.covariance) -> Array:
                u = -x @ K.T
                out = quadratic(np.concatenate([x, u], axis=-1))
                i, j = np.triu_indices(x.shape[-1] + u.shape[-1])
                n = x.shape[-1]
                both = (i >= n) & (j >= n)
                out[..., -i.size :][..., both] += S[i[both] - n, j[both] - n]
                return out

            phi = quadratic(np.concatenate([e.x[:, lane], e.u[:, lane]], axis=-1))
            ahead = mean_of(e.following[:, lane])
            here = phi[on]
            matrix = here.T @ (here - w.gamma_L * ahead[on]) + self.ridge * np.eye(here.shape[1])
            weights = np.linalg.solve(matrix, here.T @ r[:, lane][on])
            q[:, lane], v_next[:, lane] = phi @ weights, ahead @ weights
            v[:, lane], v_mean[:, lane] = mean_of(e.x[:, lane]) @ weights, mean_of(e.mean[:, lane]) @ weights
        return GaussianValues(q, v, v_next, v_mean), state


def quadratic(x: Array) -> Array:
    """Monomials of degree 0, 1, 2 of the last axis: (…, k) → (…, 1 + k + k(k+1)/2)."""
    k = x.shape[-1]
    columns = np.ascontiguousarray(x.reshape(-1, k).T)
    out = np.empty((1 + k + k * (k + 1) // 2, columns.shape[1]))
    out[0], out[1 : 1 + k] = 1.0, columns
    at = 1 + k
    for i in range(k):
        np.multiply(columns[i], columns[i:], out=out[at : at + k - i])
        at += k - i
    return np.ascontiguousarray(out.T).reshape(*x.shape[:-1], -1)


@dataclass(frozen=True)
class Network(GaussianCritic):
    """A tanh network for Q_L, trained by SARSA-TD with Adam; it lives on across batches.

    `updates` minibatches of `minibatch` transitions a batch; targets r_L + γ_L Q̂(x', u') with the weights before the
    batch; V̂ is the mean of Q̂ over `actions` draws of the follower.  Rewards and inputs are scaled by the first batch.
    (Published: 64×64 ReLU, Adam 1e-4, 5000 full-batch steps, started afresh; BC-HG C.5.)
    """

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    updates: int = 200
    minibatch: int = 512
    actions: int = 16

    def __post_init__(self) -> None:
        for name in ("updates", "minibatch", "actions"):
            positive_count(name, getattr(self, name))
        if not self.learning_rate > 0.0:
            raise InvalidOption(f"learning_rate is {self.learning_rate!r}; expected a positive number")

    def start(self, shape: tuple[int, int, int], draws: Draws) -> list[dict[str, Any]]:
        """Weights, Adam's moments and scales of every lane."""
        L, n, m = shape
        sizes = (n + m, *self.hidden, 1)
        layers = [draws.normal(f"network {i}", a, b) / np.sqrt(a) for i, (a, b) in enumerate(itertools.pairwise(sizes))]
        lanes = []
        for lane in range(L):
            weights = [p for w in layers for p in (w[lane], np.zeros(w.shape[2]))]
            lanes.append({"weights": weights, "m": [0 * p for p in weights], "v": [0 * p for p in weights], "t": 0})
        return lanes

    def fit(self, episodes: GaussianEpisodes, state: Any, draws: Draws) -> tuple[GaussianValues, Any]:
        """See `GaussianCritic.fit`."""
        e, w = episodes, episodes.worlds
        r = e.leader_rewards()
        q, v, v_next, v_mean = (np.empty_like(r) for _ in range(4))
        picks = draws.uniform("minibatches", self.updates, self.minibatch)
        # As many numbers as the longest batch could need: how long the neighbours' batches are moves nothing.
        most = e.sampling.limit(w.gamma_L, w.gamma_F) if w.model.horizon is None else w.model.horizon
        chosen = draws.normal("network actions", most, e.E, w.m)[:, : e.T]
        answers = draws.normal("mean actions", self.actions, w.m)
        for lane in range(e.L):
            world, own = w.worlds[w.lane_world[lane]], state[lane]
            on = e.alive[:, lane]
            x, u, ahead = e.x[:, lane], e.u[:, lane], e.following[:, lane]
            next_u = -ahead @ world.K.T + chosen[lane] @ world.action_root.T
            if own["t"] == 0:
                z = np.concatenate([x, u], axis=-1)[on]
                own["scale"] = z.std(axis=0) + 1e-12
                own["unit"] = float(np.abs(r[:, lane][on]).mean() / (1.0 - w.gamma_L)) or 1.0
            inputs = np.concatenate([x, u], axis=-1)[on] / own["scale"]
            following = np.concatenate([ahead, next_u], axis=-1)[on] / own["scale"]
            target = r[:, lane][on] / own["unit"] + w.gamma_L * _network(own["weights"], following)
            self._train(own, inputs, target, (picks[lane] * len(inputs)).astype(int))

            def value(x: Array, u: Array, own: dict[str, Any] = own) -> Array:
                return np.asarray(
                    own["unit"] * _network(own["weights"], np.concatenate([x, u], axis=-1) / own["scale"])
                )

            def mean(
                x: Array, K: Array = world.K, root: Array = world.action_root, value: Any = value, lane: int = lane
            ) -> Array:
                draws_ = [value(x, -x @ K.T + root @ z) for z in answers[lane]]
                return np.asarray(np.mean(draws_, axis=0))

            q[:, lane], v[:, lane] = value(x, u), mean(x)
            v_next[:, lane], v_mean[:, lane] = mean(ahead), mean(e.mean[:, lane])
        return GaussianValues(q, v, v_next, v_mean), state

    def _train(self, own: dict[str, Any], inputs: Array, target: Array, picks: Array) -> None:
        for rows in picks:
            slopes = _slope(own["weights"], inputs[rows], target[rows])
            own["t"] += 1
            correct = np.sqrt(1 - 0.999 ** own["t"]) / (1 - 0.9 ** own["t"])
            for i, g in enumerate(slopes):
                own["m"][i] = 0.9 * own["m"][i] + 0.1 * g
                own["v"][i] = 0.999 * own["v"][i] + 0.001 * g * g
                own["weights"][i] = own["weights"][i] - self.learning_rate * correct * own["m"][i] / (
                    np.sqrt(own["v"][i]) + 1e-8
                )


def _network(weights: list[Any], z: Any) -> Any:
    for i in range(0, len(weights) - 2, 2):
        z = anp.tanh(anp.dot(z, weights[i]) + weights[i + 1])
    return (anp.dot(z, weights[-2]) + weights[-1])[..., 0]


def _loss(weights: list[Any], z: Array, target: Array) -> Any:
    return anp.mean((_network(weights, z) - target) ** 2)


_slope = grad(_loss)

CRITICS = {"exact": Exact, "monte-carlo": MonteCarlo, "td": LeastSquaresTD, "network": Network}
