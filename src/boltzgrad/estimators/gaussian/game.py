r"""The linear-quadratic Markov game as sampled: trajectories (x, a, u) and what Theorem 2 makes of them.

    x' = Ax + Bu + Ca,  a ~ N(Kx, σ²I),  u ~ N(−K_F x − K_w w, Σ) with w = C(a − Kx) seen.
    ∇J = E Σ γ_L^t [∇log f(a_t|x_t) Q_L + (1/τ) ∇Q_F B_L],   ∇Q_F = E Σ_{k≥1} γ_F^k ∇log f(a_k|x_k) V_F(x_k, a_k)   (Lemma 2)
    ∇log f(a|x) = (a − Kx)x'/σ².

V_F(x, w) = −(x'Px + 2x'Nw + w'Zw + c'); given x, its mean over a is −(x'Px + tr ZW + c'): that is the baseline.
Source: BC-HG 5.4, Theorem 2, Lemma 2, Prop 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Run
from boltzgrad.estimators.gaussian.game_worlds import GameWorlds
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.traces import returns, trace
from boltzgrad.families.lqr.problem import LinearQuadraticGame

_TAIL = 1e-6  # follower's segments go on beyond the leader's horizon until γ_F^k is below this


@dataclass(frozen=True, eq=False)
class _Batch:
    """E trajectories of every lane: `x`, `deviation` a − Kx, `following` x' and its mean over u, `mean`, all (L, T, E, ·)."""

    x: Array
    deviation: Array
    following: Array
    mean: Array

    def first(self, T: int) -> _Batch:
        """The first T steps."""
        return _Batch(self.x[:, :T], self.deviation[:, :T], self.following[:, :T], self.mean[:, :T])


class GameRun(Run):
    """Samples trajectories and puts Theorem 2 together; `guided=False` leaves the follower's answer out (Naive-PGD)."""

    def __init__(
        self,
        problem: LinearQuadraticGame,
        sampling: Sampling,
        draws: Draws,
        *,
        guided: bool,
        segments: str,
        baseline: bool,
        critic: str,
        actions: str = "sampled",
    ) -> None:
        self.problem, self.sampling, self.draws = problem, sampling, draws
        self.guided, self.segments, self.baseline, self.critic = guided, segments, baseline, critic
        self.actions = actions

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        self.refuse_temperature(self.problem)
        lanes = np.arange(self.draws.lanes) if lane_theta is None else lane_theta
        worlds = GameWorlds(self.problem, thetas, lanes)
        model = worlds.model
        T = model.horizon or 0
        tail = 0
        if self.guided and self.segments == "sampled" and model.follower_discount > 0.0:
            tail = int(np.ceil(np.log(_TAIL) / np.log(model.follower_discount)))
        batch = self._sample(worlds, T + tail)
        gradient = self._summed(worlds, batch, T) if self.actions == "expected" else self._sampled(worlds, batch, T)
        E = self.sampling.episodes
        return Estimates(gradient.reshape(lanes.size, -1), np.full(lanes.size, E * (T + tail)))

    def _sample(self, w: GameWorlds, steps: int) -> _Batch:
        m, E, k = w.model, self.sampling.episodes, w.C.shape[1]
        start = self.draws.normal("start", E, m.n_states)
        noise = self.draws.normal("rollout", steps, E, k + m.n_inputs)
        values, vectors = np.linalg.eigh(m.covariance)
        x = m.mean + start @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
        deviation = self.problem.spread * noise[..., :k]
        # x'(A + CK − BK_F) is what x becomes; the rest of x' does not depend on x.
        seen = deviation @ w.C.T
        known = seen - seen @ np.swapaxes(w.noise_gain, 1, 2)[:, None] @ m.B.T
        drawn = noise[..., k:] @ np.swapaxes(w.action_root, 1, 2)[:, None] @ m.B.T
        loop = np.swapaxes(w.open_loop + w.C @ w.leader_gain - m.B @ w.gain, 1, 2)
        xs = np.empty((*noise.shape[:3], m.n_states))
        mean, following = np.empty_like(xs), np.empty_like(xs)
        for t in range(steps):
            xs[:, t] = x
            mean[:, t] = x @ loop + known[:, t]
            following[:, t] = x = mean[:, t] + drawn[:, t]
        return _Batch(xs, deviation, following, mean)

    def _sampled(self, w: GameWorlds, batch: _Batch, T: int) -> Array:
        m, sigma = w.model, self.problem.spread
        L, steps, E, _ = batch.x.shape
        q, v, v_state = self._values(w, batch.first(T), T)
        weights = m.leader_discount ** np.arange(T)[:, None] / E
        # ∇log f(a|x) Q_L: given (x, a), Q_L may be averaged over u, and the mean over a subtracted.
        known = q if self.critic == "monte-carlo" else v
        credit = (known - v_state if self.baseline else q) * weights
        now = batch.first(T)
        gradient = _scores(credit, now.deviation, now.x) / sigma**2
        if self.guided:
            guide = np.zeros((L, steps, E))
            guide[:, :T] = weights * (q - v) / m.temperature
            gradient = gradient + self._guide(w, guide, batch)
        return gradient

    def _summed(self, w: GameWorlds, batch: _Batch, T: int) -> Array:
        """The estimate with the leader's action summed out of the first term, the follower's out of the second."""
        m, (X, mean) = w.model, (_flat(batch.x), _flat(batch.mean))
        E = batch.x.shape[2]
        weights = np.broadcast_to(np.repeat(m.leader_discount ** np.arange(T) / E, E), X.shape[:2])
        gradient = np.matmul(np.swapaxes(weights[..., None] * w.leader_slopes(X, T), 1, 2), X)
        if self.guided:
            moments = w.follower_moments(weights / m.temperature, mean, T)
            gradient = gradient + w.C.T @ w.through_riccati(-m.follower_discount * moments)
        return np.asarray(gradient)

    def _values(self, w: GameWorlds, batch: _Batch, T: int) -> tuple[Array, Array, Array]:
        """(Q_L(x,a,u), its mean over u, its mean over a and u) at every step, (L, T, E)."""
        shape = batch.x.shape[:3]
        reward, gamma = w.reward(_flat(batch.x)).reshape(shape), w.model.leader_discount
        if self.critic == "monte-carlo":
            last = np.zeros((T, shape[0] * shape[2]), bool)
            last[-1] = True
            q = _over_time(reward, lambda r: returns(r, gamma, last))
            v = q.mean(axis=2, keepdims=True)
            return q, np.broadcast_to(v, shape), v
        nothing = np.zeros_like(w.closed)

        def ahead(states: Array, extra: Array) -> Array:
            # x_{t+1} has T − t − 1 steps to go: the values of rows 1 … T with the last one empty.
            out = np.zeros(shape)
            if T > 1:
                out[:, : T - 1] = w.value(_flat(states[:, : T - 1]), extra, T - 1).reshape(out[:, : T - 1].shape)
            return out

        q = reward + gamma * ahead(batch.following, nothing)
        v = reward + gamma * ahead(batch.mean, w.answered)
        v_state = reward + gamma * ahead(batch.x @ np.swapaxes(w.closed, 1, 2)[:, None], w.noise)
        return q, v, v_state

    def _guide(self, w: GameWorlds, c: Array, batch: _Batch) -> Array:
        """Σ_t c_t ∇Q_F(x_t, a_t, u_t) as gradients in K (L, k, n)."""
        m, X, N = w.model, batch.x, batch.following
        gamma = m.follower_discount
        if self.segments == "exact":
            # Given (x, a, u) the next state is known: ∇Q_F = −γ x''∇P x' + const, and the constant weighs nothing on average.
            return np.asarray(w.C.T @ w.through_riccati(-gamma * _scores(c, N, N)))
        first = np.zeros((c.shape[1], c.shape[0] * c.shape[2]), bool)
        first[0] = True
        e = _over_time(c, lambda x: trace(x, gamma, first)) - c  # from the step after t on
        seen = batch.deviation @ w.C.T
        mean = np.trace(w.Z @ m.W, axis1=1, axis2=2)[:, None, None]
        rest = mean if self.baseline else -_forms(X, w.P, X)
        value = rest - 2.0 * _forms(X, w.N, seen) - _forms(seen, w.Z, seen)
        return _scores(e * value, batch.deviation, X) / self.problem.spread**2


def _flat(x: Array) -> Array:
    """(L, T, E, n) → (L, T·E, n)."""
    return x.reshape(x.shape[0], -1, x.shape[3])


def _over_time(x: Array, function: Callable[[Array], Array]) -> Array:
    """What `function` makes of (T, L·E), for (L, T, E)."""
    L, T, E = x.shape
    out = function(np.ascontiguousarray(np.swapaxes(x, 0, 1)).reshape(T, L * E))
    return np.asarray(np.swapaxes(np.asarray(out).reshape(T, L, E), 0, 1))


def _forms(x: Array, M: Array, y: Array) -> Array:
    """The forms x'My along trajectories (L, T, E, ·) for M (L or 1, ·, ·)."""
    return np.asarray(np.einsum("ltei,ltei->lte", x @ M[:, None], y))


def _scores(c: Array, D: Array, X: Array) -> Array:
    """Σ c D X' in every lane: (L, T, E) and twice (L, T, E, ·) → (L, ·, ·)."""
    weighed, states = _flat(c[..., None] * D), _flat(X)
    return np.asarray(np.matmul(np.swapaxes(weighed, 1, 2), states))


def check_game(problem: object, label: str) -> LinearQuadraticGame:
    """The problem as a game with a bump and a finite horizon.  Raises: InvalidOption."""
    if not isinstance(problem, LinearQuadraticGame):
        raise InvalidOption(f"{label} is for a LinearQuadraticGame; {problem!r} is not one")
    model = problem.model(np.zeros(problem.dim))
    if model.bump is None or model.horizon is None or np.any(model.leader_Q) or np.any(model.leader_R):
        raise InvalidOption(
            f"{label} needs a bump as the leader's only reward, and a finite horizon; {problem!r} differs"
        )
    if problem.spread <= 0.0:
        raise InvalidOption(f"{label} needs the score of the leader's policy, and its spread is {problem.spread}")
    return problem
