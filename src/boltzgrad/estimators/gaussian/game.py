r"""The linear-quadratic Markov game as sampled: trajectories (x, a, u) and what Theorem 2 makes of them.

    x' = Ax + Bu + Ca,  a ~ N(Kx, σ²I),  u ~ N(−K_F x − K_w w, Σ) with w = C(a − Kx) seen.
    ∇J = E Σ γ_L^t [∇log f(a_t|x_t) Q_L + (1/τ) ∇Q_F B_L],   ∇Q_F = E Σ_{k≥1} γ_F^k ∇log f(a_k|x_k) V_F(x_k, a_k)   (Lemma 2)
    ∇log f(a|x) = (a − Kx)x'/σ².

V_F(x, w) = −(x'Px + 2x'Nw + w'Zw + c'); given x, its mean over a is −(x'Px + tr ZW + c'): that is the baseline.
Source: BC-HG 5.4, Theorem 2, Lemma 2, Prop 2.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Run
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.traces import trace
from boltzgrad.families.lqr.problem import LinearisedLQ, LinearQuadraticGame
from boltzgrad.solvers.balls import lyapunov
from boltzgrad.solvers.lqr import solve_lqr

_TAIL = 1e-6  # follower's segments go on beyond the leader's horizon until γ_F^k is below this


class GameWorld:
    """The game at one K: the follower's answer, and the leader's values with any number of steps to go."""

    def __init__(self, problem: LinearQuadraticGame, theta: Array) -> None:
        self.problem, self.linearised = problem, problem.linearise(theta)
        lin: LinearisedLQ = self.linearised
        self.model = m = lin.model
        self.leader_gain = theta.reshape(problem.leader_input.shape[1], -1)
        s = solve_lqr(m)
        self.P, self.gain, self.noise_gain, self.covariance, self.closed = s.P, s.K, s.K_w, s.covariance, s.closed
        gamma = m.follower_discount
        self.N = gamma * self.closed.T @ self.P
        M = m.R + gamma * m.B.T @ self.P @ m.B
        self.Z = gamma * self.P - gamma**2 * self.P @ m.B @ np.linalg.solve(M, m.B.T @ self.P)
        self.action_root = np.linalg.cholesky(self.covariance)
        G = np.eye(m.n_states) - m.B @ self.noise_gain
        self.noise = G @ m.W @ G.T + m.B @ self.covariance @ m.B.T

    def bumps(self, steps: int, extra: Array) -> tuple[Array, Array, Array]:
        """(F^j, V_j, weight_j) for j < steps: Σ_j weight_j exp(−½ d'V_j d), d = F^j m − target, is the leader's value.

        `extra` (n, n) is the covariance of the state from which the steps are counted, m its mean.
        """
        bump, F, n = self.model.bump, self.closed, self.model.n_states
        assert bump is not None
        spread = np.linalg.inv(bump.precision)
        powers, precision, weight = np.empty((steps, n, n)), np.empty((steps, n, n)), np.empty(steps)
        power, S = np.eye(n), extra
        for j in range(steps):
            V = np.linalg.inv(spread + S)
            powers[j], precision[j] = power, V
            weight[j] = bump.height * np.sqrt(np.linalg.det(V) / np.linalg.det(bump.precision))
            power, S = F @ power, F @ S @ F.T + self.noise
        return powers, precision, weight * self.model.leader_discount ** np.arange(steps)

    def value(self, mean: Array, extra: Array) -> Array:
        """E Σ_j γ_L^j r_L from states x_t ~ N(mean[t], extra), t = 0 … T − 1, with T − t steps to go: (T, E, n) → (T, E)."""
        bump = self.model.bump
        assert bump is not None
        T = len(mean)
        powers, precision, weight = self.bumps(T, extra)
        out = np.zeros(mean.shape[:2])
        for j in range(T):
            d = mean[: T - j] @ powers[j].T - bump.target
            out[: T - j] += weight[j] * np.exp(-0.5 * np.einsum("tei,ij,tej->te", d, precision[j], d))
        return out

    def follower_moments(self, mean: Array) -> Array:
        """Cov_u(Q_L, x'x'') of every (x, a), given the mean of x' over u (T, E, n), as (T, E, n, n); r_L(x) cancels.

        Under a bump exp(−½(Fʲx' − target)'V(Fʲx' − target)) the Gaussian x' ~ N(m, C) stays Gaussian: N(m̃, C̃) with
        m̃ = m − G(Fʲm − target), C̃ = C − GFʲC, G = CFʲ'(FʲCFʲ' + V⁻¹)⁻¹.
        """
        bump = self.model.bump
        assert bump is not None
        T, n = len(mean), self.model.n_states
        C = self.model.B @ self.covariance @ self.model.B.T
        out = np.zeros((*mean.shape, n))
        if T < 2:
            return out
        powers, alone, _ = self.bumps(T - 1, np.zeros((n, n)))
        _, blurred, weight = self.bumps(T - 1, C)
        for j in range(T - 1):
            m = mean[: T - 1 - j]
            off = m @ powers[j].T - bump.target
            height = weight[j] * np.exp(-0.5 * np.einsum("tei,ij,tej->te", off, blurred[j], off))
            gain = C @ powers[j].T @ np.linalg.inv(powers[j] @ C @ powers[j].T + np.linalg.inv(alone[j]))
            tilted = m - off @ gain.T
            moments = (
                tilted[..., :, None] * tilted[..., None, :] - m[..., :, None] * m[..., None, :] - gain @ powers[j] @ C
            )
            out[: T - 1 - j] += height[..., None, None] * moments
        return self.model.leader_discount * out

    def leader_slopes(self, X: Array) -> Array:
        """E_{a,u}[∇log f(a|x) Q_L] at every x, before the factor x': the slope in the mean of a (T, E, k)."""
        bump, C = self.model.bump, self.problem.leader_input
        assert bump is not None
        T, G = len(X), np.eye(self.model.n_states) - self.model.B @ self.noise_gain
        out = np.zeros((*X.shape[:2], C.shape[1]))
        if T < 2:
            return out
        powers, precision, weight = self.bumps(T - 1, self.noise)
        for j in range(T - 1):
            off = X[: T - 1 - j] @ (powers[j] @ self.closed).T - bump.target
            height = weight[j] * np.exp(-0.5 * np.einsum("tei,ij,tej->te", off, precision[j], off))
            out[: T - 1 - j] -= height[..., None] * (off @ precision[j] @ powers[j] @ G @ C)
        return self.model.leader_discount * out

    def reward(self, x: Array) -> Array:
        """r_L(x)."""
        bump = self.model.bump
        assert bump is not None
        d = x - bump.target
        return np.asarray(bump.height * np.exp(-0.5 * np.einsum("tei,ij,tej->te", d, bump.precision, d)))


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
        worlds = [GameWorld(self.problem, theta) for theta in thetas]
        model = worlds[0].model
        T = model.horizon or 0
        tail = 0
        if self.guided and self.segments == "sampled" and model.follower_discount > 0.0:
            tail = int(np.ceil(np.log(_TAIL) / np.log(model.follower_discount)))
        E, n, k = self.sampling.episodes, model.n_states, self.problem.leader_input.shape[1]
        start = self.draws.normal("start", E, n)
        noise = self.draws.normal("rollout", T + tail, E, k + model.n_inputs)
        out = np.empty((lanes.size, thetas.shape[1]))
        for i, lane in enumerate(lanes):
            out[i] = self._lane(worlds[lane], start[i], noise[i], T)
        return Estimates(out, np.full(lanes.size, E * (T + tail)))

    def _lane(self, w: GameWorld, start: Array, noise: Array, T: int) -> Array:
        m, sigma = w.model, self.problem.spread
        A, B, C = self.problem.open_loop, m.B, self.problem.leader_input
        k = C.shape[1]
        spread = np.linalg.eigh(m.covariance)
        x = m.mean + start @ (spread[1] * np.sqrt(np.maximum(spread[0], 0.0))).T
        xs, deviations, us, nexts, means = [], [], [], [], []
        for t in range(len(noise)):
            deviation = sigma * noise[t, :, :k]
            a = x @ w.leader_gain.T + deviation
            seen = deviation @ C.T
            answer = -x @ w.gain.T - seen @ w.noise_gain.T
            u = answer + noise[t, :, k:] @ w.action_root.T
            following = x @ A.T + u @ B.T + a @ C.T
            xs.append(x), deviations.append(deviation), us.append(u), nexts.append(following)  # type: ignore[func-returns-value]
            means.append(x @ A.T + answer @ B.T + a @ C.T)
            x = following
        X, D, N, mean = (np.stack(v) for v in (xs, deviations, nexts, means))
        if self.actions == "expected":
            return self._summed(w, X[:T], mean[:T])
        q, v, v_state = self._values(w, X[:T], N[:T], mean[:T], T)
        weights = m.leader_discount ** np.arange(T)[:, None] / X.shape[1]
        # ∇log f(a|x) Q_L: given (x, a), Q_L may be averaged over u, and the mean over a subtracted.
        known = q if self.critic == "monte-carlo" else v
        credit = (known - v_state if self.baseline else q) * weights
        gradient = _scores(credit, D[:T], X[:T]) / sigma**2
        if self.guided:
            guide = np.zeros(X.shape[:2])
            guide[:T] = weights * (q - v) / m.temperature
            gradient = gradient + self._guide(w, guide, X, D, N)
        return np.asarray(gradient).ravel()

    def _summed(self, w: GameWorld, X: Array, mean: Array) -> Array:
        """The estimate with the leader's action summed out of the first term, the follower's out of the second."""
        m, C = w.model, self.problem.leader_input
        weights = m.leader_discount ** np.arange(len(X))[:, None] / X.shape[1]
        gradient = np.einsum("te,tek,tei->ki", weights, w.leader_slopes(X), X)
        if self.guided:
            moments = np.einsum("te,teij->ij", weights / m.temperature, w.follower_moments(mean))
            gradient = gradient + C.T @ through_riccati(w, -m.follower_discount * moments)
        return np.asarray(gradient).ravel()

    def _values(self, w: GameWorld, X: Array, N: Array, mean: Array, T: int) -> tuple[Array, Array, Array]:
        """(Q_L(x,a,u), its mean over u, its mean over a and u) at every step."""
        m, reward = w.model, w.reward(X)
        if self.critic == "monte-carlo":
            q = np.zeros_like(reward)
            total = np.zeros(reward.shape[1])
            for t in range(T - 1, -1, -1):
                total = reward[t] + m.leader_discount * total
                q[t] = total
            return q, np.repeat(q.mean(axis=1, keepdims=True), q.shape[1], axis=1), q.mean(axis=1, keepdims=True)
        nothing = np.zeros_like(m.W)
        gamma = m.leader_discount

        def ahead(states: Array, extra: Array) -> Array:
            # x_{t+1} has T − t − 1 steps to go: the values of rows 1 … T with the last one empty.
            out = np.zeros(states.shape[:2])
            if T > 1:
                out[: T - 1] = w.value(states[: T - 1], extra)
            return out

        q = reward + gamma * ahead(N, nothing)
        v = reward + gamma * ahead(mean, m.B @ w.covariance @ m.B.T)
        v_state = reward + gamma * ahead(X @ w.closed.T, w.noise)
        return q, v, v_state

    def _guide(self, w: GameWorld, c: Array, X: Array, D: Array, N: Array) -> Array:
        """Σ_t c_t ∇Q_F(x_t, a_t, u_t) as a gradient in K (k, n)."""
        m, C = w.model, self.problem.leader_input
        gamma = m.follower_discount
        if self.segments == "exact":
            # Given (x, a, u) the next state is known: ∇Q_F = −γ x''∇P x' + const, and the constant weighs nothing on average.
            moments = np.einsum("te,tei,tej->ij", c, N, N)
            return np.asarray(C.T @ through_riccati(w, -gamma * moments))
        first = np.zeros(c.shape, bool)
        first[0] = True
        e = trace(c, gamma, first) - c  # from the step after t on
        seen = D @ C.T
        value = -2.0 * np.einsum("tei,ij,tej->te", X, w.N, seen) - np.einsum("tei,ij,tej->te", seen, w.Z, seen)
        value = value + (np.trace(w.Z @ m.W) if self.baseline else -np.einsum("tei,ij,tej->te", X, w.P, X))
        return _scores(e * value, D, X) / self.problem.spread**2


def _scores(c: Array, D: Array, X: Array) -> Array:
    """Σ c (a − Kx) x'."""
    return np.asarray(np.einsum("te,tei,tej->ij", c, D, X))


def through_riccati(w: GameWorld, P_bar: Array) -> Array:
    """The cotangent on the closed loop's A = A + CK that one on P amounts to."""
    m = w.model
    Y = lyapunov(w.closed, (P_bar + P_bar.T) / 2, m.follower_discount)
    return np.asarray(2.0 * m.follower_discount * (w.P @ w.closed @ Y))


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
