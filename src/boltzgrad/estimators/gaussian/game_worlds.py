r"""Linear-quadratic games at several K, side by side: the followers' answers, and what a bump is worth to the leader.

Points are (L, M, n): L lanes, each in its own world or all in one, with M = T·E states, E at each of T steps in order of time.
A state at step t has T − t steps to go, so that what is j steps ahead concerns the first (T − j)·E of them.
Source: BC-HG 5.4, Prop 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.model import Bump
from boltzgrad.families.lqr.problem import LinearQuadraticGame
from boltzgrad.solvers.balls import lyapunov
from boltzgrad.solvers.lqr import solve_lqr


@dataclass(frozen=True, eq=False)
class Ahead:
    """The bump j steps ahead of N(m, S), as a function of m: weight·exp(−½ d'Vd) with d = Fʲm − target.

    `power` Fʲ and `precision` V are (L or 1, n, n), `weight` (L or 1, 1), γ_L^j in it.
    """

    power: Array
    precision: Array
    weight: Array
    target: Array

    def off(self, mean: Array) -> Array:
        """d of every m: (L, M, n) → (L, M, n)."""
        return np.asarray(mean @ np.swapaxes(self.power, -1, -2) - self.target)

    def height(self, off: Array) -> Array:
        """Its value at every d: (L, M, n) → (L, M)."""
        return np.asarray(self.weight * np.exp(-0.5 * np.einsum("lmi,lmi->lm", off @ self.precision, off)))


class GameWorlds:
    """The game at one θ a lane, or at one for all of them; every matrix is (L or 1, ·, ·)."""

    def __init__(self, problem: LinearQuadraticGame, thetas: Array, lane_theta: Array) -> None:
        self.problem = problem
        models = [problem.model(theta) for theta in thetas]
        self.model = models[0]
        assert self.model.bump is not None
        self.bump: Bump = self.model.bump
        self.C, self.open_loop = problem.leader_input, problem.open_loop
        solved = [solve_lqr(m) for m in models]
        at = np.zeros(1, int) if len(thetas) == 1 else np.asarray(lane_theta)

        def lanes(parts: list[Array]) -> Array:
            return np.asarray(np.stack(parts)[at])

        n, B, W, gamma = self.model.n_states, self.model.B, self.model.W, self.model.follower_discount
        self.leader_gain = lanes([theta.reshape(self.C.shape[1], n) for theta in thetas])
        self.P, self.gain, self.noise_gain = (lanes([getattr(s, name) for s in solved]) for name in ("P", "K", "K_w"))
        self.covariance, self.closed = lanes([s.covariance for s in solved]), lanes([s.closed for s in solved])
        self.N = gamma * np.swapaxes(self.closed, 1, 2) @ self.P
        M = self.model.R + gamma * B.T @ self.P @ B
        self.Z = gamma * self.P - gamma**2 * self.P @ B @ np.linalg.solve(M, B.T @ self.P)
        self.action_root = np.linalg.cholesky(self.covariance)
        self.passed = np.eye(n) - B @ self.noise_gain  # of a disturbance that is seen, what the answer to it leaves
        self.answered = B @ self.covariance @ B.T
        self.noise = self.passed @ W @ np.swapaxes(self.passed, 1, 2) + self.answered

    def ahead(self, steps: int, extra: Array) -> Iterator[Ahead]:
        """The bump 0, 1, … `steps` − 1 steps ahead of states with the covariance `extra` (L or 1, n, n)."""
        spread, F = np.linalg.inv(self.bump.precision), self.closed
        power, S = np.broadcast_to(np.eye(self.model.n_states), F.shape), extra
        whole = np.linalg.det(self.bump.precision)
        for j in range(steps):
            V = np.linalg.inv(spread + S)
            weight = self.bump.height * np.sqrt(np.linalg.det(V) / whole) * self.model.leader_discount**j
            yield Ahead(power, V, np.reshape(weight, (-1, 1)), self.bump.target)
            power, S = F @ power, F @ S @ np.swapaxes(F, 1, 2) + self.noise

    def reward(self, x: Array) -> Array:
        """r_L of every state: (L, M, n) → (L, M)."""
        d = x - self.bump.target
        return np.asarray(self.bump.height * np.exp(-0.5 * np.einsum("lmi,lmi->lm", d @ self.bump.precision, d)))

    def value(self, mean: Array, extra: Array, T: int) -> Array:
        """E Σ_j γ_L^j r_L from states N(mean, extra) with T − t steps to go: (L, M, n) → (L, M)."""
        out = np.zeros(mean.shape[:2])
        for j, ahead in enumerate(self.ahead(T, extra)):
            left = mean.shape[1] // T * (T - j)
            out[:, :left] += ahead.height(ahead.off(mean[:, :left]))
        return out

    def follower_moments(self, weights: Array, mean: Array, T: int) -> Array:
        """Σ weight · Cov_u(Q_L, x'x'') over (x, a), given the mean of x' over u: (L, M), (L, M, n) → (L, n, n).

        r_L(x) cancels.  Under a bump exp(−½(Fʲx' − target)'V(Fʲx' − target)) the Gaussian x' ~ N(m, C) stays Gaussian:
        N(m̃, C̃) with m̃ = m − G(Fʲm − target), C̃ = C − GFʲC, G = CFʲ'(FʲCFʲ' + V⁻¹)⁻¹.
        """
        L, M, n = mean.shape
        out, C = np.zeros((L, n, n)), self.answered
        exact = self.ahead(T - 1, np.zeros_like(self.closed))
        for j, (alone, blurred) in enumerate(zip(exact, self.ahead(T - 1, C), strict=True)):
            left = M // T * (T - 1 - j)
            m, F = mean[:, :left], alone.power
            F_t = np.swapaxes(F, 1, 2)
            off = blurred.off(m)
            height = weights[:, :left] * blurred.height(off)
            gain = C @ F_t @ np.linalg.inv(F @ C @ F_t + np.linalg.inv(alone.precision))
            tilted = m - off @ np.swapaxes(gain, 1, 2)
            out += _weighted(height, tilted, tilted) - _weighted(height, m, m)
            out -= height.sum(axis=1)[:, None, None] * (gain @ F @ C)
        return np.asarray(self.model.leader_discount * out)

    def leader_slopes(self, X: Array, T: int) -> Array:
        """E_{a,u}[∇log f(a|x) Q_L] at every x, before the factor x': the slope in the mean of a, (L, M, n) → (L, M, k)."""
        out = np.zeros((*X.shape[:2], self.C.shape[1]))
        for j, ahead in enumerate(self.ahead(T - 1, self.noise)):
            left = X.shape[1] // T * (T - 1 - j)
            off = ahead.off(X[:, :left] @ np.swapaxes(self.closed, 1, 2))
            turned = ahead.precision @ ahead.power @ self.passed @ self.C
            out[:, :left] -= ahead.height(off)[..., None] * (off @ turned)
        return np.asarray(self.model.leader_discount * out)

    def through_riccati(self, P_bar: Array) -> Array:
        """The cotangents (L, n, n) on the closed loop's A = A + CK that those on P amount to."""
        P, F = (np.broadcast_to(x, P_bar.shape) for x in (self.P, self.closed))
        gamma = self.model.follower_discount
        even = (P_bar + np.swapaxes(P_bar, 1, 2)) / 2
        Y = np.stack([lyapunov(f, p, gamma) for f, p in zip(F, even, strict=True)])
        return np.asarray(2.0 * gamma * (P @ F @ Y))


def _weighted(c: Array, x: Array, y: Array) -> Array:
    """Σ c x y' in every lane: (L, M), (L, M, i), (L, M, j) → (L, i, j)."""
    return np.asarray(np.matmul(np.swapaxes(c[..., None] * x, 1, 2), y))
