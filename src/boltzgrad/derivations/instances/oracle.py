"""Followers off by δ where the bounds of their error are nearly met: every action is off by δ, with the sign that hurts."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.derivations.instances.mdp import letters, moving_probabilities, solved
from boltzgrad.derivations.instances.suboptimal import beside
from boltzgrad.derivations.kit.numbers import STEP, Array, Instance
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import mdp as m
from boltzgrad.derivations.symbols import oracle as o

STATES, ACTIONS = 3, 6


def random_oracle(rng: np.random.Generator) -> Instance:
    """Half of the actions gain what the others lose by θ, and the follower takes the first too often, each by δ."""
    size = (STATES, ACTIONS)
    sign = np.where(np.arange(ACTIONS) < ACTIONS // 2, 1.0, -1.0) * np.ones(size)
    slopes = sign * np.linspace(1.0, 0.8, STATES)[:, None]
    p = 0.3 * moving_probabilities(rng, *size, STATES) + 0.7 * np.eye(STATES)[:, None]  # states that last
    arrays: dict[str, Any] = {
        "rho": moving_probabilities(rng, STATES),
        "p": p.real + 0.01j * p.imag,
        "r_F": 0.1 * rng.normal(size=size) + 1j * STEP * slopes,
        "r_L": rng.normal(size=size).astype(complex),
        "gammas": (0.75, 0.75),
        "tau": float(rng.uniform(0.4, 0.8)),
    }
    exact = solved(**arrays)
    best = np.real(exact["policy"])
    policy = best - 0.8 * best.min() * sign  # ∂Q* − ∂Q° comes out positive
    return off_by(arrays, exact, solved(**arrays, policy=policy), policy)


def off_by(arrays: dict[str, Any], exact: dict[str, Any], own: dict[str, Any], policy: Array) -> Instance:
    """A policy (S, A) with its own soft values beside the exact solution: constants, both gradients, and every slack."""
    here, one = beside(arrays, exact, own, policy), at_one_state(np.real(exact["policy"]), policy)
    gamma, tau, best = arrays["gammas"][0], float(arrays["tau"]), np.real(exact["policy"])
    states, actions = policy.shape
    pairs = states * actions
    there = letters(**arrays, solution=exact)

    def at(symbol: Any) -> Array:
        return np.asarray(here.value(symbol, False))

    kernel, dP, dr = at(m.P), at(m.dP), at(m.dr_F)
    average, other = at(m.Pi), np.real(there.values[m.Pi])
    V_own, V_star = at(m.V_F), at(m.V_star)
    u_own, u_star = dr + gamma * dP @ V_own, dr + gamma * dP @ V_star
    W_star = np.real(there.values[m.W_F])
    q_own, q_star = at(m.W_F) @ u_own, W_star @ u_star
    linear, square, mixed = (np.cos(k + np.arange(pairs)).reshape(-1, 1) for k in range(3))
    f_star, f_own = (linear + square * x.reshape(-1, 1) for x in (best, policy))  # f = Σ lπ + Σ sπ²/2 + θ Σ mπ
    positive = kernel > 0
    constants: dict[Any, Any] = {
        o.n_S: states,
        o.n_A: actions,
        o.delta: float(np.abs(best - policy).max()),
        o.least: float(best.min()),
        o.L_f: float(max(np.abs(f_star).max(), np.abs(f_own).max())),
        o.S_f: float(max(np.abs(square).max(), np.abs(mixed).sum())),
        o.K_1: float(np.abs(dP[positive] / kernel[positive]).max()),
        o.K_2: float(np.abs(dr).max()),
        o.V_top: float((np.abs(at(m.r_F)).max() + tau * np.log(actions)) / (1 - gamma)),
    }
    number = Instance({**here.values, **constants}, here.differentials)

    def bound(expression: Any) -> float:
        return float(expression.subs({x: float(number.values[x]) for x in expression.free_symbols}))

    slope, slope_off, value_off = (bound(x) for x in (o.SLOPE, o.SLOPE_OFF, o.VALUE_OFF))
    delta, L_f, S_f, K_1 = (constants[x] for x in (o.delta, o.L_f, o.S_f, o.K_1))
    A_star = q_star - at(m.E) @ other @ q_star
    centred = (q_star - q_own) - at(m.E) @ average @ (q_star - q_own)
    parts: dict[Any, Any] = {
        o.part_1: (other - average) @ (f_star * A_star),
        o.part_2: average @ ((f_star - f_own) * A_star),
        o.part_3: average @ (f_own * centred),
        o.part_4: -(average @ f_own) * ((other - average) @ q_star),
    }
    directs = [np.sum(mixed.reshape(states, actions) * x) for x in (best, policy)]
    values = {
        **number.values,
        **one.values,
        m.Pi_star: other,
        m.W_s: W_star,
        m.u_star: u_star,
        m.q_hat: q_own,
        m.q_star: q_star,
        o.f_star: f_star,
        o.f_own: f_own,
        o.direct_star: np.array([[directs[0]]]),
        o.direct_own: np.array([[directs[1]]]),
        o.far: bound(o.n_A * o.delta**2 / o.least) - at(m.KL_up),
        o.slow_r: constants[o.K_2] - dr,
        o.slow_p: K_1 * constants[o.V_top] - dP @ V_star,
        o.slow_v: K_1 * value_off - dP @ (V_star - V_own),
        o.left_q: actions * delta * slope - (other - average) @ q_star,
        o.left_0: np.array([[S_f * delta - (directs[0] - directs[1])]]),
        **parts,
        o.left_1: 2 * actions * delta * L_f * slope - parts[o.part_1],
        o.left_2: 2 * S_f * delta * slope - parts[o.part_2],
        o.left_3: 2 * L_f * slope_off - parts[o.part_3],
        o.left_4: actions * delta * L_f * slope - parts[o.part_4],
    }
    return Instance(values, here.differentials, one.functions)


def at_one_state(best: Array, policy: Array) -> Instance:
    """Two policies (S, A) at the first state, and what is missing to the bounds there."""
    delta, least = float(np.abs(policy - best).max()), float(best.min())
    best, policy = best[0], policy[0]
    off, ratio = policy - best, policy / best
    height = np.cos(np.arange(len(best)))
    functions = {
        "own": policy,
        "best": best,
        "above_least": best - least,
        "inside": np.maximum(delta**2 - off**2, 0.0),
        "convex": ratio - 1 - np.log(ratio),
        "up": delta + off,
        "down": delta - off,
        "high": 1 - height,
        "low": 1 + height,
    }
    values = {s.A: len(best), s.a: 2, s.t: 0.7}
    return Instance(values, {}, functions)


def random_descent(rng: np.random.Generator) -> Instance:
    """Gradients and biases of a few coordinates at the longest step that is allowed, nearly: the two differ in length only."""
    coordinates = 4
    g = rng.normal(size=coordinates)
    functions = {"grad": g, "bias": -g + 0.01 * rng.normal(size=coordinates), "F": rng.normal(size=6)}
    values = {
        o.dim: coordinates,
        s.N: 3,
        s.t: 0.01,
        o.alpha: float(rng.uniform(0.5, 2.0)),
        o.sigma: float(rng.uniform(0.5, 2.0)),
    }
    return Instance(values, {}, functions)
