r"""A batch of linear-quadratic trajectories, and the cotangents that sums along them put on the model's matrices.

Coefficients put on ∇r_L, ∇r_F and ∇log p become cotangents by
    ∇r_F = −x'∇Q x − u'∇R u,    ∇r_L = ∇c − x'∇Q_L x − u'∇R_L u,
    ∇log N(x'; μ, W) = δ'(∇A x + ∇B u) + ½ (δ'∇W δ − tr W⁻¹∇W),   δ = W⁻¹(x' − μ),  μ = Ax + Bu,
and those on ∇Q_F itself go through the Riccati equation by one adjoint Lyapunov equation (derivation `riccati-derivative`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.gaussian.worlds import GaussianWorld, GaussianWorlds
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.traces import returns, trace
from boltzgrad.families.lqr.model import LQArrays
from boltzgrad.solvers.balls import lyapunov

Segments = str | float
_BLOCK = 128


@dataclass(frozen=True, eq=False)
class GaussianValues:
    """The leader's values along a rollout (T, L, E): `q`, `v`, `v_next`, and `v_mean` at the mean next state μ."""

    q: Array
    v: Array
    v_next: Array
    v_mean: Array


class GaussianEpisodes:
    """One batch of E trajectories in every lane: x, u, x' (T, L, E, ·), and what can be computed from it."""

    published_segments: Segments = "sampled"

    def __init__(
        self,
        worlds: GaussianWorlds,
        sampling: Sampling,
        draws: Draws,
        *,
        as_published: bool = False,
        clip_state: float | None = None,
    ) -> None:
        self.worlds, self.sampling, self.as_published = worlds, sampling, as_published
        w, L, E = worlds, worlds.lanes, sampling.episodes
        discounts = (w.gamma_L, w.gamma_F)
        kappa, limit = sampling.survival(*discounts), sampling.limit(*discounts)
        if w.model.horizon is not None:
            kappa, limit = 1.0, w.model.horizon
        self.leader_discount = w.gamma_L / kappa if kappa else 0.0
        self.follower_discount = w.gamma_F / kappa if kappa else 0.0
        A, B, K, u_root, w_root = (
            _turned(x) for x in (w.of("A"), w.of("B"), w.own("K"), w.own("action_root"), w.own("noise_root"))
        )
        draws = draws.next("rollout")
        z = draws.normal("start", E, w.n)
        x = w.of("mean")[:, None, :] + z @ _turned(w.own("start_root"))
        on, rows = np.ones((L, E), bool), []
        for t in range(limit):
            if t % _BLOCK == 0:
                block = min(_BLOCK, limit - t)
                noise = draws.normal("noise", block, E, w.n + w.m)
                stop = draws.uniform("length", block, E) if kappa < 1.0 else None
            if clip_state is not None:
                x = np.clip(x, -clip_state, clip_state)
            eps = noise[:, t % _BLOCK]
            u = eps[..., w.n :] @ u_root - x @ K
            mu = x @ A + u @ B
            following = mu + eps[..., : w.n] @ w_root
            last = stop[:, t % _BLOCK] >= kappa if stop is not None else np.zeros((L, E), bool)
            rows.append((x, u, mu, following, on, last))
            on, x = on & ~last, following
            if not on.any():
                break
        self.x, self.u, self.mean, self.following, self.alive, last = (np.stack(c) for c in zip(*rows, strict=True))
        last[-1] = True
        self.last = last & self.alive
        self.T, self.L, self.E = self.x.shape[:3]
        age = np.arange(self.T)[:, None, None]
        self.weights = np.where(self.alive, self.leader_discount**age, 0.0) / E
        zero = [np.zeros((L, *np.shape(x))) for x in w.model.arrays().parts()]
        self.arrays = LQArrays(*zero)
        self.P_bar, self.constant_bar = np.zeros((L, w.n, w.n)), np.zeros(L)

    @property
    def tau(self) -> float:
        """The follower's temperature."""
        return self.worlds.tau

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lanes, and the dimensions of state and input."""
        return self.L, self.worlds.n, self.worlds.m

    @property
    def steps(self) -> Array:
        """Environment steps of each lane (L,)."""
        return np.asarray(self.alive.sum(axis=(0, 2)))

    # Reading the rollout

    def form(self, matrix: Array, x: Array) -> Array:
        """The forms x'Mx along the batch for symmetric matrices (L, k, k) or (T, L, k, k)."""
        return np.asarray(np.einsum("tlei,tlei->tle", x @ matrix, x))

    def leader_rewards(self) -> Array:
        """r_L(x_t, u_t) (T, L, E)."""
        w = self.worlds
        constant = w.of("leader_constant").reshape(-1, 1)
        return constant - self.form(w.of("leader_Q"), self.x) - self.form(w.of("leader_R"), self.u)

    def leader_returns(self) -> Array:
        """Discounted sums of the leader's rewards from every step on, within the data."""
        r = np.where(self.alive, self.leader_rewards(), 0.0)
        flat = (self.T, -1)
        return returns(r.reshape(flat), self.leader_discount, self.last.reshape(flat)).reshape(r.shape)

    def follower_value(self, x: Array) -> Array:
        """V_F up to its constant: −x'Px."""
        return -self.form(self.worlds.own("P"), x)

    def _trace(self, c: Array, discount: float) -> Array:
        first = np.zeros((self.T, self.L * self.E), bool)
        first[0] = True
        carried = trace(c.reshape(self.T, -1), discount, first).reshape(c.shape)
        return np.where(self.alive, carried, 0.0)

    # Putting cotangents on the model's matrices

    def add_follower_reward(self, c: Array) -> None:
        """Σ_t coefficient ∇r_F(x_t, u_t)."""
        self.arrays.Q[:] -= _moments(c, self.x, self.x)
        self.arrays.R[:] -= _moments(c, self.u, self.u)

    def add_leader_reward(self, c: Array) -> None:
        """Σ_t coefficient ∇r_L(x_t, u_t)."""
        self.arrays.leader_Q[:] -= _moments(c, self.x, self.x)
        self.arrays.leader_R[:] -= _moments(c, self.u, self.u)
        self.arrays.leader_constant[:] += c.sum(axis=(0, 2))

    def add_score(self, c: Array, *, clip: float | None = None) -> None:
        """Σ_t coefficient ∇log p(x_{t+1}|x_t, u_t); `clip` bounds each ∇_θ log p by a norm, as published."""
        if not self.worlds.moves.transition:
            return
        inverse = self.worlds.own("W_inverse")
        delta = (self.following - self.mean) @ _turned(inverse)
        if clip is not None:
            c = c * np.minimum(1.0, clip / np.maximum(self._score_norms(delta), 1e-300))
        self.arrays.A[:] += _moments(c, delta, self.x)
        self.arrays.B[:] += _moments(c, delta, self.u)
        total = c.sum(axis=(0, 2))[:, None, None]
        self.arrays.W[:] += 0.5 * (_moments(c, delta, delta) - total * inverse)

    def _score_norms(self, delta: Array) -> Array:
        """‖∇_θ log p‖ of every sample (T, L, E)."""
        out = np.empty(delta.shape[:3])
        joint = np.concatenate([self.x, self.u], axis=3)
        for lane in range(self.L):
            world = self.worlds.worlds[self.worlds.lane_world[lane]]
            moved = np.stack([np.concatenate([c.A, c.B], axis=1) for c in world.linearised.columns()])  # (d, n, n + m)
            means = (joint[:, lane] @ moved.reshape(-1, moved.shape[2]).T).reshape(
                *delta.shape[:1], self.E, *moved.shape[:2]
            )
            out[:, lane] = np.square(np.matmul(means, delta[:, lane, :, :, None])[..., 0]).sum(axis=2)
        return np.asarray(np.sqrt(out))

    def add_start(self, values: Array) -> None:
        """∇log ρ(x₀) V_L(x₀); its mean over the batch, left out of itself, is subtracted."""
        if not self.worlds.moves.initial:
            return
        c = (values - (values.sum(axis=1, keepdims=True) - values) / max(self.E - 1, 1)) / self.E
        inverse = np.linalg.inv(self.worlds.of("covariance"))
        delta = (self.x[0] - self.worlds.of("mean")[:, None, :]) @ _turned(inverse)
        self.arrays.mean[:] += np.einsum("le,lei->li", c, delta)
        total = c.sum(axis=1)[:, None, None]
        self.arrays.covariance[:] += 0.5 * (np.einsum("le,lei,lej->lij", c, delta, delta) - total * inverse)

    # The parts of a hypergradient

    def direct(self, values: GaussianValues, *, baseline: bool = False, clip: float | None = None) -> None:
        """The partial derivative: ∇log ρ V_L + Σ_t γ_L^t (∇r_L + γ_L ∇log p V_L(x')); `baseline` subtracts V_L(μ)."""
        self.add_leader_reward(self.weights)
        centre = values.v_mean if baseline else 0.0
        self.add_score(self.worlds.gamma_L * self.weights * (values.v_next - centre), clip=clip)
        self.add_start(values.v[0])

    def published_direct(self, values: GaussianValues) -> None:
        """As published: no baseline, and each sample's ∇log p clipped to norm 1 (a bias)."""
        self.direct(values, clip=1.0)

    def guide(self, weights: Array, segments: Segments = "sampled", *, baseline: bool = False) -> None:
        """Σ_t weight_t ∇Q_F(x_t, u_t).

        "sampled": the trajectory's own segment (BC-HG (6)), with V_F(μ) subtracted from V_F(x') if `baseline`; λ: with the
        white-box follower's ∇V_F; "exact": ∇Q_F − ∇V_F in closed form (∇V_F(x) has weight zero on average under an exact
        Benefit).  Beyond a finite leader's horizon ∇V_F stands for the rest of a segment.
        """
        if segments == "averaged":
            raise InvalidOption("segments='averaged' needs states that repeat; continuous ones do not")
        if segments == "exact":
            self._white_box_advantage(weights)
            return
        carried = 1.0 if segments == "sampled" else float(segments)
        e = self._trace(weights, carried * self.follower_discount)
        self.add_follower_reward(e)
        value = self.follower_value(self.following)
        centre = self.follower_value(self.mean) if baseline else 0.0
        self.add_score(self.worlds.gamma_F * e * (value - centre))
        ahead = np.full(self.T, (1.0 - carried) * self.worlds.gamma_F)
        if self.worlds.model.horizon is not None and not self.as_published:
            # The leader's horizon ends the data, not the follower's sum: what lies beyond is ∇V_F.
            ahead[-1] = self.worlds.gamma_F
        if ahead.any():
            self._white_box_value(ahead[:, None, None] * e, self.following)

    def guide_by_advantage(self, weights: Array, segments: Segments = "sampled", *, baseline: bool = False) -> None:
        """Σ_t weight_t (∇Q_F − ∇V_F)(x_t, u_t) with the white-box ∇V_F (HPGD's centring)."""
        if segments == "exact":
            self._white_box_advantage(weights)
            return
        self.guide(weights, segments, baseline=baseline)
        self._white_box_value(-weights, self.x)

    def _white_box_value(self, c: Array, x: Array) -> None:
        """Σ c ∇V_F(x), V_F = −(x'Px + constant)."""
        self.P_bar -= _moments(c, x, x)
        self.constant_bar -= c.sum(axis=(0, 2))

    def guide_one_step(self, weights: Array) -> None:
        """Σ_t weight_t (∇r_F(x_t, u_t) − E_u ∇r_F(x_t, ·)), SoBiRL's truncation."""
        self.arrays.R[:] -= self._centred(weights)[0]

    def _centred(self, c: Array) -> tuple[Array, Array, Array, Array]:
        """Σ c (uu', μx', μu', μμ'), each less its expectation given x."""
        w = self.worlds
        answer, ahead = -self.x @ _turned(w.own("K")), self.x @ _turned(w.own("closed"))
        S, B = w.own("covariance"), w.of("B")
        total = c.sum(axis=(0, 2))[:, None, None]
        uu = _moments(c, self.u, self.u) - _moments(c, answer, answer) - total * S
        mx = _moments(c, self.mean - ahead, self.x)
        mu = _moments(c, self.mean, self.u) - _moments(c, ahead, answer) - total * (B @ S)
        mm = _moments(c, self.mean, self.mean) - _moments(c, ahead, ahead) - total * (B @ S @ np.swapaxes(B, 1, 2))
        return uu, mx, mu, mm

    def _white_box_advantage(self, c: Array) -> None:
        """Σ c (∇Q_F − ∇V_F)(x, u): ∇Q_F = −[x'∇Qx + u'∇Ru + 2γ μ'P(∇Ax + ∇Bu) + γ μ'∇Pμ] + const, centred given x."""
        uu, mx, mu, mm = self._centred(c)
        P, gamma = self.worlds.own("P"), self.worlds.gamma_F
        self.arrays.R[:] -= uu
        self.arrays.A[:] -= 2.0 * gamma * (P @ mx)
        self.arrays.B[:] -= 2.0 * gamma * (P @ mu)
        self.P_bar -= gamma * mm

    # The result

    def gradients(self) -> Array:
        """The estimates (L, d): every lane's cotangents, through the Riccati equation and pulled back to its θ."""
        w = self.worlds
        out = np.empty((w.lanes, w.thetas.shape[1]))
        for lane in range(w.lanes):
            world = w.worlds[w.lane_world[lane]]
            parts = {name: x[lane] for name, x in self.arrays.named()}
            if np.any(self.P_bar[lane]) or self.constant_bar[lane]:
                _through_riccati(world, self.P_bar[lane], float(self.constant_bar[lane]), parts)
            out[lane] = world.linearised.pullback(LQArrays(**parts))
        return out


def _turned(x: Array) -> Array:
    """The transposes of a stack of matrices."""
    return np.swapaxes(x, -1, -2)


def _moments(c: Array, x: Array, y: Array) -> Array:
    """Σ_{t,e} c x y' (L, i, j)."""
    L, i, j = x.shape[1], x.shape[3], y.shape[3]
    left = (c[..., None] * x).transpose(1, 3, 0, 2).reshape(L, i, -1)
    return np.asarray(np.matmul(left, y.transpose(1, 0, 2, 3).reshape(L, -1, j)))


def _through_riccati(world: GaussianWorld, P_bar: Array, constant_bar: float, parts: dict[str, Array]) -> None:
    """Adds what cotangents on P and on V_F's constant put on A, B, Q, R, W (adjoint Lyapunov equation of dP).

    constant = [γ tr(PW) + (τ/2) log det M + …]/(1 − γ),  M = R + γB'PB,  (τ/2) M⁻¹ = Σ.
    """
    model, F, K, P, S = world.model, world.closed, world.K, world.P, world.covariance
    gamma = model.follower_discount
    on = constant_bar / (1.0 - gamma)
    P_bar = P_bar + on * gamma * world.noise
    parts["W"] = parts["W"] + on * gamma * P
    parts["R"] = parts["R"] + on * S
    parts["B"] = parts["B"] + 2.0 * on * gamma * (P @ model.B @ S)
    Y = lyapunov(F, (P_bar + P_bar.T) / 2, gamma)
    carried = 2.0 * gamma * (P @ F @ Y)
    parts["Q"] = parts["Q"] + Y
    parts["R"] = parts["R"] + K @ Y @ K.T
    parts["A"] = parts["A"] + carried
    parts["B"] = parts["B"] - carried @ K.T
