"""Random finite horizons at a complex point: every recursion step by step, nothing as the solution of an equation in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import moving, moving_probabilities, soft_max, solved
from boltzgrad.derivations.kit.numbers import Array, Instance
from boltzgrad.derivations.symbols import finite as f
from boltzgrad.derivations.symbols import mdp as m

STEPS, STATES, ACTIONS = 3, 3, 2


def random_finite(rng: np.random.Generator) -> Instance:
    """A horizon in which everything moves, at every step in its own way."""
    arrays = drawn(rng)
    return letters(arrays, backward(arrays))


def random_counted(rng: np.random.Generator) -> Instance:
    """A leader who counts some steps of a follower whose world has no end."""
    arrays = still_drawn(rng)
    solution = solved(*(arrays[x] for x in ("rho", "p", "r_F", "r_L")), gammas=arrays["gammas"], tau=arrays["tau"])
    return counted(arrays, solution, counted_values(arrays, solution["policy"]))


def drawn(rng: np.random.Generator, *, steps: int = STEPS, gammas: tuple[float, float] | None = None) -> dict[str, Any]:
    """Arrays with a first axis for the step; what is paid after the last has none."""
    size = (steps, STATES, ACTIONS)
    return {
        "rho": moving_probabilities(rng, STATES),
        "p": moving_probabilities(rng, *size, STATES),
        "r_F": moving(rng, *size),
        "r_L": moving(rng, *size),
        "ends": (moving(rng, STATES), moving(rng, STATES)),
        "gammas": gammas or (float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.5, 0.9))),
        "tau": float(rng.uniform(0.3, 0.8)),
    }


def still_drawn(rng: np.random.Generator) -> dict[str, Any]:
    """Arrays without a clock."""
    return {
        "rho": moving_probabilities(rng, STATES),
        "p": moving_probabilities(rng, STATES, ACTIONS, STATES),
        "r_F": moving(rng, STATES, ACTIONS),
        "r_L": moving(rng, STATES, ACTIONS),
        "gammas": (float(rng.uniform(0.5, 0.8)), float(rng.uniform(0.7, 0.95))),
        "tau": float(rng.uniform(0.3, 0.8)),
    }


def backward(arrays: dict[str, Any]) -> dict[str, Any]:
    """V_t, Q_t, π_t of the follower and U_t, Q_L,t of the leader, from the last step to the first; V and U have one more."""
    (gamma_F, gamma_L), tau = arrays["gammas"], arrays["tau"]
    v, u = (np.asarray(end, complex) for end in arrays["ends"])
    out: dict[str, list[Array]] = {"V_F": [v], "Q_F": [], "policy": [], "V_L": [u], "Q_L": []}
    for p, r_F, r_L in zip(*(arrays[name][::-1] for name in ("p", "r_F", "r_L")), strict=True):
        q = r_F + gamma_F * p @ v
        v = soft_max(q, tau)
        policy = np.exp((q - v[:, None]) / tau)
        q_leader = r_L + gamma_L * p @ u
        u = (policy * q_leader).sum(axis=1)
        for name, x in (("V_F", v), ("Q_F", q), ("policy", policy), ("V_L", u), ("Q_L", q_leader)):
            out[name].insert(0, x)
    return {name: np.array(x) for name, x in out.items()}


def blocks(parts: Array) -> Array:
    """One matrix for each step (H, m, n) on a diagonal."""
    steps, rows, columns = parts.shape
    out = np.zeros((steps * rows, steps * columns), parts.dtype)
    for t, part in enumerate(parts):
        out[t * rows : (t + 1) * rows, t * columns : (t + 1) * columns] = part
    return out


def means(policy: Array) -> Array:
    """Σ_a π(a|s) · as a matrix (S, S·A)."""
    states, actions = policy.shape
    return np.asarray(np.kron(np.eye(states), np.ones(actions)) * policy.reshape(-1))


def column(x: Array) -> Array:
    """A function as a column."""
    return np.asarray(x).reshape(-1, 1)


def forward(arrays: dict[str, Any], solution: dict[str, Any]) -> dict[str, Array]:
    """The forward recursions ν_t, w_t, m_t, y_t; ν and y have one more."""
    (gamma_F, gamma_L), steps = arrays["gammas"], len(arrays["r_F"])
    pi, p, q, u = (np.real(x) for x in (solution["policy"], arrays["p"], solution["Q_L"], solution["V_L"]))
    visits, adjoint = [np.real(arrays["rho"])], [np.zeros(len(arrays["rho"]))]
    weights, cotangents = [], []
    for t in range(steps):
        weights.append(visits[t][:, None] * pi[t] * (q[t] - u[t][:, None]) / arrays["tau"])
        cotangents.append(weights[t] + adjoint[t][:, None] * pi[t])
        visits.append(gamma_L * np.einsum("s,sa,saz->z", visits[t], pi[t], p[t]))
        adjoint.append(gamma_F * np.einsum("sa,saz->z", cotangents[t], p[t]))
    return {name: np.array(x) for name, x in zip("vwmy", (visits, weights, cotangents, adjoint), strict=True)}


def letters(arrays: dict[str, Any], solution: dict[str, Any], ahead: dict[str, Array] | None = None) -> Instance:
    """Every letter of a horizon from its arrays, its backward recursions and the forward ones."""
    (gamma_F, gamma_L), tau = arrays["gammas"], arrays["tau"]
    steps, states, actions = arrays["r_F"].shape
    policy, kernel = solution["policy"], arrays["p"]
    ahead = ahead or forward(arrays, solution)
    pairs = steps * states * actions
    start = np.zeros(steps * states, complex)
    start[:states] = arrays["rho"]
    values: dict[Any, Any] = {
        m.tau: tau,
        m.gamma_F: gamma_F,
        m.gamma_L: gamma_L,
        m.one_S: np.ones((steps * states, 1)),
        m.one_SA: np.ones((pairs, 1)),
        m.Pi: blocks(np.array([means(x) for x in policy])),
        m.E: np.kron(np.eye(steps * states), np.ones((actions, 1))),
        m.P: blocks(kernel.reshape(steps, states * actions, states)),
        m.rho: start.reshape(1, -1),
        m.r_F: column(arrays["r_F"]),
        m.r_L: column(arrays["r_L"]),
        m.Q_F: column(solution["Q_F"]),
        m.Q_L: column(solution["Q_L"]),
        m.V_F: column(solution["V_F"][:steps]),
        m.V_L: column(solution["V_L"][:steps]),
        m.B: column(solution["Q_L"] - solution["V_L"][:steps, :, None]),
        m.J: np.array([[arrays["rho"] @ solution["V_L"][0]]]),
        f.K: np.kron(np.eye(steps, k=1), np.eye(states)),
        f.last: np.kron(np.eye(steps)[:, [-1]], np.eye(states)),
        f.end_F: column(arrays["ends"][0]),
        f.end_L: column(arrays["ends"][1]),
        f.V_next: column(solution["V_F"][1:]),
        f.U_next: column(solution["V_L"][1:]),
        f.visits: ahead["v"][:steps].reshape(1, -1),
        f.visits_H: ahead["v"][steps:],
        f.w: ahead["w"].reshape(1, -1),
        f.m: ahead["m"].reshape(1, -1),
        f.y: ahead["y"][:steps].reshape(1, -1),
        f.y_H: ahead["y"][steps:],
        f.Pi_first: blocks(np.array([means(policy[0].real)] * steps)),
    }
    return Instance(values, m.MDP.differentials)


def counted_values(arrays: dict[str, Any], policy: Array) -> tuple[Array, Array]:
    """U_t with one more and Q_L,t of a leader who counts some steps under one policy."""
    u = np.zeros(len(policy), complex)
    later: list[Array] = [u]
    q_leader: list[Array] = []
    for _ in range(STEPS):
        q_leader.insert(0, arrays["r_L"] + arrays["gammas"][1] * arrays["p"] @ u)
        u = (policy * q_leader[0]).sum(axis=1)
        later.insert(0, u)
    return np.array(later), np.array(q_leader)


def counted(
    arrays: dict[str, Any], solution: dict[str, Any], leader: tuple[Array, Array], adjoint: Array | None = None
) -> Instance:
    """Every letter of a leader who counts some steps: the follower's solution, the leader's U_t and Q_L,t, and y."""
    states, actions = arrays["r_F"].shape
    gamma_F, policy, kernel = arrays["gammas"][0], solution["policy"], arrays["p"]
    every = {name: np.array([arrays[name]] * STEPS) for name in ("p", "r_F", "r_L")}
    clock = {
        "V_F": np.array([solution["V_F"]] * (STEPS + 1)),
        "Q_F": np.array([solution["Q_F"]] * STEPS),
        "policy": np.array([policy] * STEPS),
        "V_L": leader[0],
        "Q_L": leader[1],
    }
    here = letters({**arrays, **every, "ends": (np.zeros(states), np.zeros(states))}, clock)
    average, chain = means(policy.real), kernel.real.reshape(states * actions, states)
    weight = np.sum(here.values[f.w].reshape(STEPS, 1, -1), axis=0)
    if adjoint is None:
        adjoint = np.zeros((1, states))
        for _ in range(400):
            adjoint = gamma_F * (weight + adjoint @ average) @ chain
    same: dict[Any, Any] = {
        f.each_z: np.kron(np.ones((STEPS, 1)), np.eye(states)),
        f.each: np.kron(np.ones((STEPS, 1)), np.eye(states * actions)),
        f.first: np.kron(np.eye(1, STEPS), np.eye(states)),
        f.pi: average,
        f.p: kernel.reshape(states * actions, states),
        f.r: column(arrays["r_F"]),
        f.v: column(solution["V_F"]),
        f.q: column(solution["Q_F"]),
        f.R: np.linalg.inv(np.eye(states) - gamma_F * average @ chain),
        f.w_z: weight,
        f.y_z: adjoint,
        f.m_z: weight + adjoint @ average,
        f.B_ever: column((solution["Q_L"] - solution["V_L"][:, None]).real),
    }
    left_out = (f.V_next, f.end_F, f.end_L, f.w, f.m, f.y, f.y_H, f.visits_H, f.Pi_first)
    return Instance({**{k: x for k, x in here.values.items() if k not in left_out}, **same}, m.MDP.differentials)
