"""Random configurable MDPs at a complex point, solved by sweeps: no derivative formula is used."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.kit.numbers import STEP, Array, Instance
from boltzgrad.derivations.symbols import mdp as m

STATES, ACTIONS, SWEEPS, STEPS = 4, 3, 400, 3


def moving(rng: np.random.Generator, *shape: int) -> Array:
    """Values with a random derivative."""
    return rng.normal(size=shape) + 1j * STEP * rng.normal(size=shape)


def moving_probabilities(rng: np.random.Generator, *shape: int) -> Array:
    """Distributions over the last axis with a random derivative."""
    weights = np.exp(moving(rng, *shape))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def soft_max(q: Array, tau: float) -> Array:
    """τ log Σ exp(q/τ) over the last axis, for complex q."""
    top = q.real.max(axis=-1, keepdims=True)
    return np.asarray(top[..., 0] + tau * np.log(np.exp((q - top) / tau).sum(axis=-1)))


def solved(
    rho: Array,
    p: Array,
    r_F: Array,
    r_L: Array,
    *,
    gammas: tuple[float, float],
    tau: float,
    policy: Array | None = None,
) -> dict[str, Any]:
    """V, Q and π* of both players, by sweeps; with a policy, its values instead of the optimum."""
    gamma_F, gamma_L = gammas
    v, w = np.zeros(len(rho), complex), np.zeros(len(rho), complex)
    for _ in range(SWEEPS):
        q = r_F + gamma_F * p @ v
        v = soft_max(q, tau) if policy is None else (policy * (q - tau * np.log(policy))).sum(axis=1)
    q = r_F + gamma_F * p @ v
    if policy is None:
        policy = np.exp((q - v[:, None]) / tau)
    for _ in range(SWEEPS):
        w = (policy * (r_L + gamma_L * p @ w)).sum(axis=1)
    return {"V_F": v, "Q_F": q, "V_L": w, "Q_L": r_L + gamma_L * p @ w, "policy": policy}


def letters(
    rho: Array, p: Array, r_F: Array, r_L: Array, *, gammas: tuple[float, float], tau: float, solution: dict[str, Any]
) -> Instance:
    """Every letter of the MDP vocabulary from its arrays and a solution; imaginary parts are derivatives."""
    s, a = r_F.shape
    policy = solution["policy"]
    average = np.kron(np.eye(s), np.ones(a)) * policy.reshape(-1)  # Π (S, SA)
    lift = np.kron(np.eye(s), np.ones((a, 1)))
    kernel = p.reshape(s * a, s)
    triples = np.kron(np.eye(s * a), np.ones(s)) * kernel.reshape(-1)
    eye = np.eye(s)
    gamma_F, gamma_L = gammas
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(kernel.real > 0, kernel.imag / STEP / kernel.real, 0.0)
        score_rho = np.where(rho.real > 0, rho.imag / STEP / rho.real, 0.0)
    column = {k: np.asarray(v).reshape(-1, 1) for k, v in solution.items() if k != "policy"}
    step = (kernel @ average).real
    partial = sum(gamma_F**t * np.linalg.matrix_power(step, t) for t in range(STEPS))
    values: dict[Any, Any] = {
        m.tau: tau,
        m.gamma_F: gamma_F,
        m.gamma_L: gamma_L,
        m.n: STEPS,
        m.one_S: np.ones((s, 1)),
        m.one_SA: np.ones((s * a, 1)),
        m.one_SAS: np.ones((s * a * s, 1)),
        m.Pi: average,
        m.E: lift,
        m.P: kernel,
        m.N: triples,
        m.L: np.tile(eye, (s * a, 1)),
        m.M: np.kron(np.eye(s * a), np.ones((s, 1))),
        m.rho: rho.reshape(1, -1),
        m.r_F: r_F.reshape(-1, 1),
        m.r_L: r_L.reshape(-1, 1),
        m.V_F: column["V_F"],
        m.Q_F: column["Q_F"],
        m.V_L: column["V_L"],
        m.Q_L: column["Q_L"],
        m.B: column["Q_L"] - lift @ column["V_L"],
        m.log_pi: np.log(policy).reshape(-1, 1),
        m.score: score.reshape(-1, 1),
        m.score_rho: score_rho.reshape(-1, 1),
        m.R_L: np.linalg.inv(eye - gamma_L * (average @ kernel).real),
        m.R_F: np.linalg.inv(eye - gamma_F * (average @ kernel).real),
        **upper_level(rho, policy, column["V_L"]),
        **bounded_by(r_F, column["Q_F"], column["V_F"], gamma_F),
        **_weighted(average.real, kernel.real, gamma_F),
        m.X: step,
        m.S_n: partial,
        m.S_next: partial + gamma_F**STEPS * np.linalg.matrix_power(step, STEPS),
        m.W_F: np.linalg.inv(np.eye(s * a) - gamma_F * (kernel @ average).real),
    }
    return Instance(values, m.MDP.differentials)


def upper_level(rho: Array, policy: Array, value: Array) -> dict[Any, Any]:
    """The leader's objectives: J_L, and a smooth general f(θ, π) = Σ k π² + 2θ with k fixed numbers."""
    s, a = policy.shape
    k = np.cos(np.arange(s * a)).reshape(s, a)
    nu = np.arange(1.0, s + 1) / np.arange(1.0, s + 1).sum()
    theta = 1j * STEP
    return {
        m.regulariser: np.array([[1.0 + 0.7 * theta]]),
        m.J: rho.reshape(1, -1) @ value + np.array([[1.0 + 0.7 * theta]]),
        m.f: np.array([[(k * policy**2).sum() + 2.0 * theta]]),
        m.f_theta: np.array([[2.0]]),
        m.f_pi: (2.0 * k * policy.real).reshape(-1, 1),
        m.sum_S: np.ones((1, s)),
        m.nu: nu.reshape(1, -1),
        m.nu_of: nu.reshape(-1, 1),
        m.nu_inverse: 1.0 / nu.reshape(-1, 1),
    }


def discounted_visits(start: Array, step: Array, gamma: float) -> Array:
    """Σ_t γᵗ start stepᵗ, term by term until the terms vanish."""
    total, term = np.zeros_like(start), start
    while np.abs(term).max() > 1e-18:
        total, term = total + term, gamma * term @ step
    return total


def _weighted(average: Array, kernel: Array, gamma: float) -> dict[Any, Any]:
    """A linear objective with its multipliers, and a λ-return with an approximate critic."""
    states, pairs = len(average), len(kernel)
    c = np.linspace(0.5, 1.5, states).reshape(1, -1)
    visits = discounted_visits(c, average @ kernel, gamma)
    return {
        m.c: c,
        m.dual: visits,
        m.lam: 0.6,
        m.W_lam: np.linalg.inv(np.eye(pairs) - 0.6 * gamma * kernel @ average),
        m.psi: np.sin(np.arange(pairs)).reshape(-1, 1),
        m.critic: np.cos(np.arange(states)).reshape(-1, 1),
    }


def bounded_by(r_F: Array, q: Array, v: Array, gamma: float) -> dict[Any, Any]:
    """A bound on |∇r_F| and what is missing to it in ∇r_F, ∇Q_F and ∇V_F."""
    gradient = r_F.imag.reshape(-1, 1) / STEP
    bound = float(np.abs(gradient).max())
    far = bound / (1 - gamma)
    return {
        m.C: bound,
        m.below: bound - gradient,
        m.above: bound + gradient,
        m.slack_Q: far - q.imag / STEP,
        m.slack_V: far + v.imag / STEP,
    }


def drawn(rng: np.random.Generator, *, kernel_moves: bool = True) -> dict[str, Any]:
    """Random arrays of an MDP, as `solved` and `letters` take them."""
    p = moving_probabilities(rng, STATES, ACTIONS, STATES)
    return {
        "rho": moving_probabilities(rng, STATES),
        "p": p if kernel_moves else p.real.astype(complex),
        "r_F": moving(rng, STATES, ACTIONS),
        "r_L": moving(rng, STATES, ACTIONS),
        "gammas": (float(rng.uniform(0.5, 0.8)), float(rng.uniform(0.5, 0.8))),
        "tau": float(rng.uniform(0.3, 1.0)),
    }


def random_mdp(rng: np.random.Generator) -> Instance:
    """A random instance in which everything moves with θ; the discounts differ."""
    arrays = drawn(rng)
    return letters(**arrays, solution=solved(**arrays))


def fixed_kernel(rng: np.random.Generator) -> Instance:
    """Rewards and start move with θ, the kernel does not."""
    arrays = drawn(rng, kernel_moves=False)
    return letters(**arrays, solution=solved(**arrays))


def tight_kernel(rng: np.random.Generator) -> Instance:
    """A good and a bad region, and an unlikely way from one to the other: the Lipschitz constants are nearly attained."""
    arrays = drawn(rng, kernel_moves=False)
    half = STATES // 2
    inside = np.kron(np.eye(2), np.full((half, half), 1.0 / half))
    p = np.repeat(inside[:, None, :], ACTIONS, axis=1)
    p[half:, 0] = inside[0]
    reward, gradient = rng.normal(size=(STATES, ACTIONS)), np.ones((STATES, ACTIONS))
    reward[:half] += 2.0 * (1 - arrays["gammas"][0])
    reward[half:, 0] -= 8.0
    gradient[half:, 1:] = -1.0
    arrays |= {"p": p.astype(complex), "r_F": reward + 1j * STEP * gradient}
    return letters(**arrays, solution=solved(**arrays))


def fixed_policy(rng: np.random.Generator) -> Instance:
    """The follower keeps a policy that is not its best answer while everything else moves."""
    arrays = drawn(rng)
    policy = moving_probabilities(rng, STATES, ACTIONS).real
    return letters(**arrays, solution=solved(**arrays, policy=policy))


def random_feasible(rng: np.random.Generator) -> Instance:
    """An iterate that lies above its own backup, hence above the fixed point."""
    return random_iterate(rng, shift=3.0, spread=0.1)


def low_iterate(rng: np.random.Generator) -> Instance:
    """An iterate below the fixed point by nearly a constant: the bound of its distance is nearly attained."""
    return random_iterate(rng, shift=-2.0, spread=0.4)


def random_iterate(rng: np.random.Generator, *, shift: float = 0.0, spread: float = 0.5) -> Instance:
    """A random V that is no fixed point, with its own policy and backup, beside the fixed point of the same MDP.

    The model moves with θ, the iterate stands still: its "gradients" are what the formulas make of it.
    """
    arrays = drawn(rng)
    exact = solved(**arrays)
    return iterate(arrays, exact, exact["V_F"].real + shift + spread * rng.normal(size=STATES))


def iterate(arrays: dict[str, Any], exact: dict[str, Any], v: Array) -> Instance:
    """The iterate v beside an exact solution of the same arrays."""
    (gamma_F, _), (states, actions) = arrays["gammas"], arrays["r_F"].shape
    tau, reward, kernel = arrays["tau"], arrays["r_F"].real, arrays["p"].real
    q = reward + gamma_F * kernel @ v
    backup = soft_max(q, tau)
    policy, optimal = np.exp((q - backup[:, None]) / tau), exact["policy"].real
    still: dict[str, Any] = {
        key: value.real if isinstance(value, np.ndarray) else value for key, value in arrays.items()
    }
    answers = {who: solved(**still, policy=p) for who, p in (("iterate", policy), ("exact", optimal))}
    here = letters(**arrays, solution={**answers["iterate"], "V_F": v, "Q_F": q, "policy": policy})
    real = {symbol: np.real(value) for symbol, value in here.values.items()}
    average = np.kron(np.eye(states), np.ones(actions)) * optimal.reshape(-1)
    values = {
        **here.values,
        m.log_pi: np.log(policy).reshape(-1, 1),
        m.TV: backup.reshape(-1, 1),
        m.feasible: v.reshape(-1, 1) - backup.reshape(-1, 1),
        m.V_star: exact["V_F"].real.reshape(-1, 1),
        m.Q_star: exact["Q_F"].real.reshape(-1, 1),
        m.Pi_star: average,
        m.R_star: np.linalg.inv(np.eye(states) - gamma_F * average @ real[m.P]),
        m.KL_up: (policy * np.log(policy / optimal)).sum(axis=1, keepdims=True),
        m.KL_down: (optimal * np.log(optimal / policy)).sum(axis=1, keepdims=True),
        **_both_gradients(here, average, answers["exact"], exact["V_F"].real.reshape(-1, 1), backup - v),
    }
    return Instance(values, m.MDP.differentials)


def _both_gradients(
    here: Instance, average: Array, leader: dict[str, Any], value: Array, residual: Array
) -> dict[Any, Any]:
    """What the iterate makes of (5) beside the exact summand, and the bounds of their difference."""

    def at(symbol: Any) -> Array:
        return np.asarray(here.value(symbol, False))

    gamma_F, gamma_L, tau = (float(at(x)) for x in (m.gamma_F, m.gamma_L, m.tau))
    eye, pairs = np.eye(average.shape[0]), np.eye(average.shape[1])
    exact_V, exact_Q = (np.real(leader[key]).reshape(-1, 1) for key in ("V_L", "Q_L"))
    u_hat = at(m.dr_F) + gamma_F * at(m.dP) @ at(m.V_F)
    u_star = at(m.dr_F) + gamma_F * at(m.dP) @ value
    q_hat = at(m.W_F) @ u_hat
    W_s = np.linalg.inv(pairs - gamma_F * at(m.P) @ average)
    q_star = W_s @ u_star
    g_hat = at(m.dr_L) + gamma_L * at(m.dP) @ at(m.V_L) + at(m.B) * q_hat / tau
    g_star = at(m.dr_L) + gamma_L * at(m.dP) @ exact_V + (exact_Q - at(m.E) @ exact_V) * q_star / tau
    Y = at(m.R_L) @ at(m.Pi) @ g_hat
    ahead = g_hat + gamma_L * at(m.P) @ Y
    spread = float((at(m.Pi) @ np.abs(ahead - at(m.E) @ Y)).max())
    delta = 2 * gamma_F * float(np.abs(residual).max()) / (tau * (1 - gamma_F))
    start = at(m.drho) @ (exact_V - at(m.V_L))
    bounds = {
        m.e_g: float(np.abs(g_star - g_hat).max()),
        m.e_rho: float(np.abs(start).max()),
        m.e_h: spread,
        m.eta: np.expm1(delta),
    }
    return {
        m.residual: float(np.abs(residual).max()),
        m.left_residual: (np.abs(residual).max() - residual).reshape(-1, 1),
        m.V_Ls: exact_V,
        m.Q_Ls: exact_Q,
        m.R_Ls: np.linalg.inv(eye - gamma_L * average @ at(m.P)),
        m.W_s: W_s,
        m.u_hat: u_hat,
        m.u_star: u_star,
        m.q_hat: q_hat,
        m.q_star: q_star,
        m.g_hat: g_hat,
        m.g_star: g_star,
        m.Y: Y,
        **bounds,
        m.left_g: bounds[m.e_g] - (g_star - g_hat),
        m.left_h: bounds[m.eta] * spread - (average - at(m.Pi)) @ ahead,
        m.left_rho: bounds[m.e_rho] - start,
    }
