"""How often `check_estimator` calls an unbiased estimator biased, and what it sees of a biased one.

    python benchmarks/estimator_level.py --replicates 2000 --jobs 2

Laws with mean zero as sampled gradients have them, each at n = 20, 50, 200 batches of d = 1, 20, 105 coordinates and both
levels; the same with batches in doublings (sequential).  Then every mutant of the families with noise as rollouts make it,
at half, once and twice its own size, and SoBiRL's truncation.  "tests alone" is the sign-flip tests' own rejection, before it
is held against the tails.  Written: `results/estimator_level.json` and the page `results/estimator_level.md`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np

import boltzgrad as bg
from boltzgrad.estimators import SoBiRL
from boltzgrad.verify import BiasVerdict, check_estimator, check_samples
from boltzgrad.verify.mutants import FAMILIES

HERE = Path(__file__).parent / "results"
SIZES, DIMENSIONS, LEVELS, LOOKS = (20, 50, 200), (1, 20, 105), (0.01, 0.05), 160
ALLOWED = {0.01: 0.015, 0.05: 0.06}


def weights(rng, shape, sigma):
    return np.exp(sigma * rng.standard_normal(shape) - sigma**2 / 2.0)


def weighed(sigma):
    """A score of mean one times an importance weight that all coordinates share."""
    return lambda rng, n, d: weights(rng, (n, 1), sigma) * (1.0 + 0.5 * rng.standard_normal((n, d))) - 1.0


def rare(p):
    return lambda rng, n, d: (rng.random((n, d)) < p) / p - 1.0


def score_times_return(rng, n, d):
    z = rng.standard_normal((n, d))
    along = z.sum(axis=1) / np.sqrt(d)
    return z * ((1.0 + along) ** 2)[:, None] - 2.0 / np.sqrt(d)


LAWS = {
    "normal": lambda rng, n, d: rng.standard_normal((n, d)),
    "t, 2.1 degrees of freedom": lambda rng, n, d: rng.standard_t(2.1, (n, d)),
    "log-normal, σ = 1": lambda rng, n, d: weights(rng, (n, d), 1.0) - 1.0,
    "log-normal, σ = 2": lambda rng, n, d: weights(rng, (n, d), 2.0) - 1.0,
    "Pareto 1.5": lambda rng, n, d: rng.pareto(1.5, (n, d)) - 2.0,
    "Pareto 2.5": lambda rng, n, d: rng.pareto(2.5, (n, d)) - 1.0 / 1.5,
    "importance weights, σ = 0.5": weighed(0.5),
    "importance weights, σ = 1.2": weighed(1.2),
    "rare, one in 10": rare(0.1),
    "rare, one in 50": rare(0.02),
    "score × return": score_times_return,
}


class Drawn:
    """An estimator that draws a law around ∇J."""

    def __init__(self, law, exact):
        self.law, self.exact = law, exact

    def batches(self, problem, theta, n, rng):
        """(n, d)."""
        return self.exact + self.law(rng, n, self.exact.size)


class Anything:
    """A problem of any dimension: all that a check with a given reference asks for."""

    def check_theta(self, theta):
        """(d,)."""
        return np.asarray(theta, dtype=float)


def cell(task):
    """Counts of one law, n, d, level: (task, {what: count}); n = 0 stands for doublings from 20 to `LOOKS`."""
    name, n, d, level, replicates = task
    exact = np.ones(d) / np.sqrt(d)
    counts = {"tests alone": 0, "biased": 0, "cannot tell": 0, "dependent": 0, "unbiased": 0}
    for k in range(replicates):
        if n:
            rows = LAWS[name](np.random.default_rng([k, n, d]), n, d)
            check = check_samples(exact + rows, exact, seed=k, level=level)
        else:
            check = check_estimator(
                Drawn(LAWS[name], exact), Anything(), np.zeros(d), reference=exact, n_batches=20, seed=k, level=level,
                resolution=1e-3, sequential=True, max_batches=LOOKS,
            )  # fmt: skip
        counts["tests alone"] += check.p_value <= level
        counts["biased"] += check.verdict == BiasVerdict.BIASED
        counts["cannot tell"] += check.verdict == BiasVerdict.TAIL
        counts["dependent"] += check.verdict == BiasVerdict.DEPENDENT
        counts["unbiased"] += check.verdict == BiasVerdict.UNBIASED
    return task, counts


class Noisy:
    """A mean with noise as rollouts make it: a random length, a few common directions, skewed and heavy-tailed entries."""

    def __init__(self, mean, exact, size):
        self.mean, self.exact, self.size = mean, exact, size

    def batches(self, problem, theta, n, rng):
        """(n, d)."""
        d, norm = self.exact.size, np.linalg.norm(self.exact)
        common = np.random.default_rng(0).standard_normal((3, d)) / np.sqrt(3 * d)
        entries = np.abs(self.exact) / norm + 0.1 / np.sqrt(d)
        rows = (
            0.5 * (rng.exponential(size=(n, 1)) - 1.0) * self.exact / norm
            + 0.5 * (rng.standard_normal((n, 3)) @ common)
            + 0.5 * entries * (rng.exponential(size=(n, d)) - 1.0)
            + 0.2 * entries * rng.standard_t(3, (n, d))
        )
        return self.mean + self.size * rows


def power():
    """[(what, n, runs, by the tests alone, called biased)] of the mutants and of SoBiRL's truncation."""
    found = []
    for noise in (0.5, 1.0, 2.0):
        for n in (50, 200):
            alone, called, runs = 0, 0, 0
            for room in FAMILIES.values():
                for mutant in room.MUTANTS:
                    problem = mutant.exposed_by
                    theta = problem.initial_theta(seed=1)
                    exact = bg.hypergradient(problem, theta)
                    wrong = mutant.gradient(problem, theta)
                    size = noise * float(np.linalg.norm(wrong - exact.gradient))
                    check = check_estimator(
                        Noisy(wrong, exact.gradient, size), problem, theta, reference=exact, n_batches=n, seed=4
                    )
                    runs, alone = runs + 1, alone + (check.p_value <= 0.01)
                    called += check.verdict == BiasVerdict.BIASED
            found.append((f"mutants, noise {noise:g} times the mistake", n, runs, alone, called))
    problem = bg.problems.load("four-rooms")
    theta = problem.initial_theta(seed=1)
    exact = bg.hypergradient(problem, theta)
    for n in (20, 50, 200):
        checks = [
            check_estimator(SoBiRL(), problem, theta, reference=exact, n_batches=n, seed=seed) for seed in range(20)
        ]
        alone = sum(check.p_value <= 0.01 for check in checks)
        called = sum(check.verdict == BiasVerdict.BIASED for check in checks)
        found.append(("SoBiRL's truncation, Four-Rooms", n, len(checks), alone, called))
    return found


def percent(share):
    """A share of a hundred in two digits, or three where it is all of it."""
    return f"{share:.2g}" if share < 99.5 else "100"


def page(record):
    replicates, cells = record["replicates"], record["cells"]
    lines = [
        "# The level of `check_estimator`, and its power",
        "",
        f"Unbiased laws, {replicates} replicates a cell; shares in percent: rejected by the tests alone → **called biased** "
        "(told that the tail is too heavy).  n = 20 … 160 is `sequential=True`; …: not measured.  "
        "`python benchmarks/estimator_level.py`",
    ]
    for level in LEVELS:
        lines += ["", f"## Level {level:g}: at most {100 * ALLOWED[level]:g} % called biased", ""]
        heads = [f"n = {n or '20 … 160'}, d = {d}" for n in (*SIZES, 0) for d in DIMENSIONS]
        lines += ["| law | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for name in LAWS:
            row = []
            for n in (*SIZES, 0):
                for d in DIMENSIONS:
                    counts = cells.get(f"{name}|{n}|{d}|{level}")
                    if counts is None:
                        row.append("…")
                        continue
                    a, b, c = (100.0 * counts[k] / replicates for k in ("tests alone", "biased", "cannot tell"))
                    row.append(f"{percent(a)} → **{percent(b)}** ({percent(c)})")
            lines.append(f"| {name} | " + " | ".join(row) + " |")
        worst = max(
            ((c["biased"] / replicates, key) for key, c in cells.items() if key.endswith(f"|{level}")),
            default=(0.0, "none|0|0|0"),
        )
        over = sum(c["biased"] / replicates > ALLOWED[level] for key, c in cells.items() if key.endswith(f"|{level}"))
        law, n, d, _ = worst[1].split("|")
        where = f"{law}, n = {n if n != '0' else '20 … 160'}, d = {d}"
        lines += ["", f"Worst: {percent(100 * worst[0])} % ({where}); {over} cells above the allowed share."]
    if record["power"]:
        lines += [
            "",
            "## Power at level 0.01",
            "",
            "| what is wrong | n | rejected by the tests alone | called biased |",
        ]
        lines += ["|---|---|---|---|"]
        lines += [f"| {what} | {n} | {a} of {runs} | {b} of {runs} |" for what, n, runs, a, b in record["power"]]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--dimensions", type=int, nargs="*", default=list(DIMENSIONS))
    parser.add_argument("--sizes", type=int, nargs="*", default=[*SIZES, 0], help="0 stands for doublings")
    parser.add_argument(
        "--again", action="store_true", help="renew these cells of a page that is there, and leave the others"
    )
    parser.add_argument("--out", type=Path, default=HERE)
    asked = parser.parse_args()
    tasks = [
        (name, n, d, level, asked.replicates)
        for d in asked.dimensions
        for n in asked.sizes
        for name in LAWS
        for level in LEVELS
    ]
    record, began = {"replicates": asked.replicates, "cells": {}, "power": []}, time.time()
    if asked.again:
        record = json.loads((asked.out / "estimator_level.json").read_text(encoding="utf-8"))

    def keep():
        (asked.out / "estimator_level.json").write_text(
            json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8"
        )
        (asked.out / "estimator_level.md").write_text(page(record), encoding="utf-8")

    with multiprocessing.get_context("fork").Pool(asked.jobs) as pool:
        for done, ((name, n, d, level, _), counts) in enumerate(pool.imap_unordered(cell, tasks), start=1):
            record["cells"][f"{name}|{n}|{d}|{level}"] = {k: int(c) for k, c in counts.items()}
            print(f"\r{done}/{len(tasks)} cells, {time.time() - began:.0f} s", end="", file=sys.stderr)
            keep()
    record["power"] = power()
    keep()
    print(page(record))


if __name__ == "__main__":
    main()
