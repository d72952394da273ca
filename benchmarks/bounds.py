"""The proved bound held against the truth: error_bound ÷ true error of each entry, on random problems, with 110 digits.

    python benchmarks/bounds.py --count 2000

Truth is a complex step with h = 10⁻⁶⁰ in mpmath, on formulas written here once more: the soft Bellman equation by Newton, the
leader's linear equation, the scalar Riccati equation.  Written: `results/bounds.md`, with a histogram for each family.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import autograd.numpy as anp
import mpmath as mp
import numpy as np

import boltzgrad as bg

HERE = Path(__file__).parent / "results"
H = mp.mpf(10) ** -60
EDGES = (1.0, 2.0, 10.0, 1e2, 1e3, 1e4, 1e6, 1e8, np.inf)


def exact(x):
    """An array of floats as exact numbers."""
    return np.vectorize(lambda v: mp.mpf(float(v)), otypes=[object])(x)


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def solved(matrix, right):
    """A small linear system by elimination (complex, any precision)."""
    n = len(right)
    a = [[matrix[i][j] for j in range(n)] + [right[i]] for i in range(n)]
    for k in range(n):
        p = max(range(k, n), key=lambda i: abs(a[i][k]))
        a[k], a[p] = a[p], a[k]
        for i in range(k + 1, n):
            f = a[i][k] / a[k][k]
            a[i] = [x - f * y for x, y in zip(a[i], a[k], strict=True)]
    x = [mp.mpf(0)] * n
    for k in reversed(range(n)):
        x[k] = (a[k][n] - sum(a[k][j] * x[j] for j in range(k + 1, n))) / a[k][k]
    return np.array(x, dtype=object)


def fixed_point(backup, n):
    """V = TV by Newton; `backup(v)` is (TV, ∂TV/∂V)."""
    v, eye = np.array([mp.mpf(0)] * n, dtype=object), exact(np.eye(n))
    for _ in range(200):
        tv, slope = backup(v)
        step = solved(eye - slope, tv - v)
        v = v + step
        if max(abs(x) for x in step) < mp.mpf(10) ** -55 * (1 + max(abs(x) for x in v)):
            return v
    raise ArithmeticError("Newton did not come to rest")


def slopes_of(j, theta):
    out = []
    for k in range(theta.size):
        t = exact(theta)
        t[k] = t[k] + mp.mpc(0, H)
        out.append(mp.im(j(t)) / H)
    return out


def softened(q, tau):
    """(τ log Σ exp(q/τ), weights) over the last axis."""
    top = max(mp.re(x) for x in q)
    e = [mp.exp((x - top) / tau) for x in q]
    return top + tau * mp.log(sum(e)), np.array([x / sum(e) for x in e], dtype=object)


def table(rng):
    S, A, d = (int(rng.integers(1, 4)) for _ in range(3))
    gF, gL = rng.choice([0.0, 0.5, 0.9, 0.99], size=2)
    tau, ending = 10.0 ** rng.uniform(-1.5, 1.5), float(rng.choice([0.0, 0.0, 0.2]))
    p, q = (rng.dirichlet(np.ones(S), size=(S, A)) * (1 - ending) for _ in range(2))
    r, rho, w = rng.standard_normal((2, S, A)), rng.dirichlet(np.ones(S)), rng.standard_normal(d)
    s, theta = rng.standard_normal((2, S, A, d)), rng.standard_normal(d)

    def build(t):
        mix = bg.sigmoid(anp.dot(w, t))
        return bg.TabularModel(p + mix * (q - p), rho, r[0] + anp.dot(s[0], t), r[1] + anp.dot(s[1], t),
                               follower_discount=gF, leader_discount=gL, temperature=tau)  # fmt: skip

    def j(t):
        mix = logistic(sum(exact(w) * t))
        kernel = exact(p) + mix * (exact(q) - exact(p))
        follow, lead = (exact(r[i]) + (exact(s[i]) * t).sum(axis=-1) for i in range(2))

        def both(v):
            value = follow + mp.mpf(gF) * (kernel * v).sum(axis=-1)
            return [softened(value[i], mp.mpf(tau)) for i in range(S)]

        def backup(v):
            soft = both(v)
            slope = np.array([(soft[i][1][:, None] * kernel[i]).sum(axis=0) for i in range(S)], dtype=object)
            return np.array([x[0] for x in soft], dtype=object), mp.mpf(gF) * slope

        policy = [x[1] for x in both(fixed_point(backup, S))]
        under = np.array([(policy[i][:, None] * kernel[i]).sum(axis=0) for i in range(S)], dtype=object)
        reward = np.array([(policy[i] * lead[i]).sum() for i in range(S)], dtype=object)
        return (exact(rho) * solved(exact(np.eye(S)) - mp.mpf(gL) * under, reward)).sum()

    return bg.ConfigurableMDP(build, dim=d), theta, j


def game(rng):
    S, A, B = (int(rng.integers(1, 3)) for _ in range(3))
    gF, gL = rng.choice([0.0, 0.5, 0.9, 0.99], size=2)
    tau = 10.0 ** rng.uniform(-1, 1.5)
    p, rho = rng.dirichlet(np.ones(S), size=(S, A, B)), rng.dirichlet(np.ones(S))
    r, theta = rng.standard_normal((2, S, A, B)), rng.standard_normal(S * A)

    def j(t):
        f = [softened(t.reshape(S, A)[i], mp.mpf(1))[1] for i in range(S)]
        kernel, follow, lead = exact(p), exact(r[0]), exact(r[1])

        def answers(u):
            q = follow + mp.mpf(gF) * (kernel * u).sum(axis=-1)
            return [[softened(q[i, a], mp.mpf(tau)) for a in range(A)] for i in range(S)]

        def joint(soft):
            return [[f[i][a] * soft[i][a][1] for a in range(A)] for i in range(S)]

        def under(weights):
            return np.array([sum((weights[i][a][:, None] * kernel[i, a]).sum(axis=0) for a in range(A)) for i in range(S)],
                            dtype=object)  # fmt: skip

        def backup(u):
            soft = answers(u)
            value = [sum(f[i][a] * soft[i][a][0] for a in range(A)) for i in range(S)]
            return np.array(value, dtype=object), mp.mpf(gF) * under(joint(soft))

        weights = joint(answers(fixed_point(backup, S)))
        reward = [sum((weights[i][a] * lead[i, a]).sum() for a in range(A)) for i in range(S)]
        values = solved(exact(np.eye(S)) - mp.mpf(gL) * under(weights), np.array(reward, dtype=object))
        return (exact(rho) * values).sum()

    problem = bg.MarkovGame(p, rho, r[0], r[1], follower_discount=gF, leader_discount=gL, temperature=tau)
    return problem, theta, j


def lqr(rng):
    A0, B0 = rng.uniform(-1.2, 1.2), rng.uniform(0.3, 1.5)
    dA, dB, Q, R, QL, RL, W, mean = rng.uniform(0.1, 1.0, size=8)
    gF, gL, tau = float(rng.choice([0.5, 0.9, 0.99])), float(rng.choice([0.0, 0.5, 0.9])), 10.0 ** rng.uniform(-2, 1)
    theta = 0.2 * rng.standard_normal(2)

    def build(t):
        one = np.ones((1, 1))
        return bg.LQModel(
            (A0 + dA * t[0]) * one, (B0 + dB * t[1]) * one, W * one, Q * one, R * one, [mean], 0 * one,
            leader_Q=QL * one, leader_R=RL * one, follower_discount=gF, leader_discount=gL, temperature=tau,
        )  # fmt: skip

    def j(t):
        a, b = mp.mpf(A0) + mp.mpf(dA) * t[0], mp.mpf(B0) + mp.mpf(dB) * t[1]
        g, q, c, ahead, tt = (mp.mpf(float(x)) for x in (gF, Q, R, gL, tau))
        # The positive root of γB²P² + (R(1 − γA²) − γB²Q)P − QR = 0.
        h = c * (1 - g * a * a) - g * b * b * q
        P = (-h + mp.sqrt(h * h + 4 * g * b * b * q * c)) / (2 * g * b * b)
        M = c + g * b * b * P
        K, sigma = g * b * P * a / M, tt / (2 * M)
        F, cost = a - b * K, mp.mpf(float(QL)) + mp.mpf(float(RL)) * K * K
        PL = cost / (1 - ahead * F * F)
        step = mp.mpf(float(RL)) * sigma + ahead * PL * (mp.mpf(float(W)) + b * b * sigma)
        return -(PL * mp.mpf(float(mean)) ** 2 + step / (1 - ahead))

    return bg.LinearQuadratic(build, dim=2), theta, j


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    asked = parser.parse_args()
    mp.mp.dps = 110
    lines = [
        "# The proved bound against the truth", "",
        f"`python benchmarks/bounds.py --count {asked.count}`: the bound of each entry of ∇J over its true error (110 digits). "
        " An entry whose float64 number is exact counts as ∞.", "",
        "| family | problems | entries | least ratio | " + " | ".join(f"< {e:g}" for e in EDGES[1:]) + " |",
        "|---|---|---|---|" + "---|" * (len(EDGES) - 1),
    ]  # fmt: skip
    for make in (table, game, lqr):
        ratios, skipped = [], 0
        for k in range(asked.count):
            problem, theta, j = make(np.random.default_rng([k, 5]))
            try:
                ref = bg.hypergradient(problem, theta)
            except bg.errors.InvalidModel:  # an LQ problem whose leader's value is infinite
                skipped += 1
                continue
            truth = slopes_of(j, theta)
            for found, right, bound in zip(ref.gradient, truth, ref.coordinate_bounds, strict=True):
                off = float(abs(mp.mpf(float(found)) - right))
                ratios.append(np.inf if off == 0.0 else bound / off)
                if ratios[-1] < 1.0:
                    print(f"{make.__name__} {k}: bound {bound:.3e}, error {off:.3e}", file=sys.stderr)
            if k % 100 == 99:
                print(f"\r{make.__name__} {k + 1}", end="", file=sys.stderr)
        counts, _ = np.histogram(np.minimum(ratios, 1e300), bins=(*EDGES[:-1], 1e301))
        lines.append(f"| {make.__name__} | {asked.count - skipped} | {len(ratios)} | {min(ratios):.3g} | "
                     + " | ".join(map(str, counts)) + " |")  # fmt: skip
    HERE.mkdir(exist_ok=True)
    (HERE / "bounds.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
