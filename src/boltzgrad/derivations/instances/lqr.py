"""Random stable linear-quadratic problems at a complex point; Riccati and Lyapunov equations by plain iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import moving
from boltzgrad.derivations.kit.numbers import STEP, Array, Instance
from boltzgrad.derivations.symbols import lqr as q

STATES, INPUTS, LEADER, SWEEPS = 3, 2, 2, 600


def moving_definite(rng: np.random.Generator, n: int) -> Array:
    """A positive definite matrix with a random symmetric derivative."""
    root = rng.normal(size=(n, n))
    turn = rng.normal(size=(n, n))
    return root @ root.T + n * np.eye(n) + 1j * STEP * (turn + turn.T)


def riccati(A: Array, B: Array, Q: Array, R: Array, gamma: float) -> Array:
    """P by sweeps of (59), for complex data; plain transposes."""
    P = np.zeros_like(Q)
    for _ in range(SWEEPS):  # as the cost of the greedy gain: in this form rounding does not grow
        K = gamma * np.linalg.solve(R + gamma * B.T @ P @ B, B.T @ P @ A)
        closed = A - B @ K
        P = Q + K.T @ R @ K + gamma * closed.T @ P @ closed
        P = (P + P.T) / 2
    return np.asarray(P)


def lyapunov(A: Array, source: Array, gamma: float) -> Array:
    """The X of X = source + γ A X A', by sweeps."""
    X = source
    for _ in range(SWEEPS):
        X = source + gamma * A @ X @ A.T
    return np.asarray(X)


def letters(
    A: Array, B: Array, Q: Array, R: Array, W: Array, *, gamma: float, tau: float, P: Array, extra: dict[Any, Any]
) -> Instance:
    """Every letter from a problem, its Riccati solution, and the free letters in `extra`."""
    M = R + gamma * B.T @ P @ B
    Mi = np.linalg.inv(M)
    K = gamma * Mi @ B.T @ P @ A
    closed = A - B @ K
    H = extra[q.H].real
    moved = {key: value.imag / STEP for key, value in {"A": A, "B": B, "Q": Q, "R": R}.items()}
    slope = (moved["A"] - moved["B"] @ K).real
    half = gamma * slope.T @ P.real @ closed.real
    noise = extra[q.Q_L].real + K.real.T @ extra[q.R_L].real @ K.real
    values: dict[Any, Any] = {
        q.tau: tau,
        q.gamma: gamma,
        q.m: B.shape[1],
        q.logdet_M: float(np.linalg.slogdet(M.real)[1]),
        q.A: A,
        q.B: B,
        q.Q: Q,
        q.R: R,
        q.W: W,
        q.Wi: np.linalg.inv(W),
        q.P: P,
        q.M: M,
        q.Mi: Mi,
        q.K: K,
        q.Kw: gamma * Mi @ B.T @ P,
        q.N: gamma * closed.T @ P,
        q.Z: gamma * P - gamma**2 * P @ B @ Mi @ B.T @ P,
        q.Acl: closed,
        q.Sigma_u: tau / 2 * Mi,
        q.S: lyapunov(closed.real, H, gamma),
        q.Theta: moved["Q"] + K.real.T @ moved["R"] @ K.real + half + half.T,
        q.P_L: lyapunov(closed.real.T, noise, gamma),
        **extra,
    }
    values[q.Cross] = np.cos(np.arange(B.size)).reshape(B.shape)
    values[q.Shift] = np.linalg.solve(R, values[q.Cross].T)
    values[q.T] = np.linalg.inv(values[q.Lam] + np.linalg.inv(values[q.Sig]))
    values[q.Sigi] = np.linalg.inv(values[q.Sig])
    for symbol, turned in q.LQR.transposes.items():
        if symbol in values and turned != symbol:
            values[turned] = np.asarray(values[symbol]).T
    return Instance(values, q.LQR.differentials)


def free(rng: np.random.Generator, n: int, m: int, k: int) -> dict[Any, Any]:
    """Vectors and matrices that no equation ties down."""
    vectors = {q.x: n, q.u: m, q.w: n, q.v: n, q.a: k, q.y: n, q.mu: n, q.xbar: n}
    out: dict[Any, Any] = {symbol: moving(rng, size, 1) for symbol, size in vectors.items()}
    out[q.y] = out[q.y].real  # a next state that has been seen
    definite = {q.Q_L: n, q.R_L: m, q.H: n, q.Lam: n, q.Sig: n, q.Sigma_a: k}
    out |= {symbol: moving_definite(rng, size).real for symbol, size in definite.items()}
    return {**out, q.C: rng.normal(size=(n, k)), q.L: rng.normal(size=(k, n))}


def random_lqr(rng: np.random.Generator) -> Instance:
    """A random problem whose A, B, Q and R all move with θ."""
    A, B = 0.5 * moving(rng, STATES, STATES), moving(rng, STATES, INPUTS)
    Q, R = moving_definite(rng, STATES), moving_definite(rng, INPUTS)
    W = moving_definite(rng, STATES).real
    gamma, tau = float(rng.uniform(0.6, 0.9)), float(rng.uniform(0.3, 1.0))
    P = riccati(A, B, Q, R, gamma)
    return letters(A, B, Q, R, W, gamma=gamma, tau=tau, P=P, extra=free(rng, STATES, INPUTS, LEADER))
