"""Random Markov games at a complex point, solved by sweeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import SWEEPS, discounted_visits, moving, moving_probabilities, soft_max
from boltzgrad.derivations.kit.numbers import STEP, Array, Instance
from boltzgrad.derivations.symbols import game as g

STATES, LEADER, FOLLOWER, STEPS = 3, 2, 3, 3


def letters(
    rho: Array,
    p: Array,
    r_F: Array,
    r_L: Array,
    f: Array,
    *,
    gammas: tuple[float, float],
    tau: float,
    solution: dict[str, Any],
) -> Instance:
    """Every letter of the game vocabulary from arrays (S,), (S,A,B,S), (S,A,B), (S,A) and a solution."""
    s, a, b = r_F.shape
    gamma_F, gamma_L = gammas
    answer = solution["answer"]  # g*(b|s,a)
    average_a = np.kron(np.eye(s), np.ones(a)) * f.reshape(-1)
    average_b = np.kron(np.eye(s * a), np.ones(b)) * answer.reshape(-1)
    kernel = p.reshape(s * a * b, s).real
    lift_b = np.kron(np.eye(s * a), np.ones((b, 1)))
    real_a, real_b = average_a.real, average_b.real
    step = real_a @ real_b @ kernel
    law = rho.real.reshape(1, -1) @ np.linalg.matrix_power(step, STEPS)
    partial = sum(gamma_L**t * np.linalg.matrix_power(step, t) for t in range(STEPS))
    column = {k: np.asarray(v).reshape(-1, 1) for k, v in solution.items() if k != "answer"}
    lifted = average_b @ column["Q_L"]
    resolvent = np.linalg.inv(np.eye(s) - gamma_L * step)
    visits = discounted_visits(rho.real.reshape(1, -1), step, gamma_L)
    values: dict[Any, Any] = {
        g.tau: tau, g.gamma_F: gamma_F, g.gamma_L: gamma_L, g.n: STEPS,
        g.one_S: np.ones((s, 1)), g.one_Z: np.ones((s * a, 1)), g.one_ZB: np.ones((s * a * b, 1)),
        g.F: average_a, g.EF: np.kron(np.eye(s), np.ones((a, 1))), g.G: average_b, g.EG: lift_b, g.P: kernel,
        g.rho: rho.real.reshape(1, -1), g.score: (f.imag / STEP / f.real).reshape(-1, 1),
        g.r_F: r_F.real.reshape(-1, 1), g.r_L: r_L.real.reshape(-1, 1),
        g.V_F: column["V_F"], g.Q_F: column["Q_F"], g.V_L: column["V_L"], g.Q_L: column["Q_L"], g.V_lift: lifted,
        g.B: column["Q_L"] - lift_b @ lifted, g.h: np.cos(np.arange(s * a * b)).reshape(-1, 1),
        g.J: rho.real.reshape(1, -1) @ column["V_L"],
        g.K: step, g.S_n: partial, g.S_next: partial + gamma_L**STEPS * np.linalg.matrix_power(step, STEPS),
        g.p_t: law, g.p_next: law @ step, g.d_L: (1 - gamma_L) * visits,
        g.R_L: resolvent, g.R_lift: np.linalg.inv(np.eye(s * a) - gamma_L * real_b @ kernel @ real_a),
        g.W_F: np.linalg.inv(np.eye(s * a * b) - gamma_F * kernel @ real_a @ real_b),
    }  # fmt: skip
    return Instance(values, g.GAME.differentials)


def random_game(rng: np.random.Generator) -> Instance:
    """A random game; only the leader's policy moves with θ, the discounts differ."""
    rho = moving_probabilities(rng, STATES).real
    p = moving_probabilities(rng, STATES, LEADER, FOLLOWER, STATES).real
    r_F, r_L = (moving(rng, STATES, LEADER, FOLLOWER).real for _ in range(2))
    f = moving_probabilities(rng, STATES, LEADER)
    gammas, tau = (float(rng.uniform(0.5, 0.8)), float(rng.uniform(0.5, 0.8))), float(rng.uniform(0.3, 1.0))
    v, w = np.zeros((STATES, LEADER), complex), np.zeros(STATES, complex)
    for _ in range(SWEEPS):
        q = r_F + gammas[0] * p @ (f * v).sum(axis=1)
        v = soft_max(q, tau)
    q = r_F + gammas[0] * p @ (f * v).sum(axis=1)
    answer = np.exp((q - v[..., None]) / tau)
    for _ in range(SWEEPS):
        w = (f * (answer * (r_L + gammas[1] * p @ w)).sum(axis=2)).sum(axis=1)
    solution = {"V_F": v, "Q_F": q, "V_L": w, "Q_L": r_L + gammas[1] * p @ w, "answer": answer}
    return letters(rho, p, r_F, r_L, f, gammas=gammas, tau=tau, solution=solution)
