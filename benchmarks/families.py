"""One reference hypergradient of each family's named problems: median milliseconds, warm, one thread.

python benchmarks/families.py
"""

from __future__ import annotations

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import boltzgrad as bg

CASES = (
    ("four-rooms", {}, 50, 5.0),
    ("toy-game", {}, 50, 3.0),
    ("thermal-control", {}, 50, 5.0),
    ("lqr-game", {}, 50, 5.0),
    ("random-lqr", {"n": 200, "m": 50}, 3, 3000.0),
    ("random-game", {"n_states": 10_000, "n_leader_actions": 4, "n_follower_actions": 4}, 3, 5000.0),
)


def main() -> None:
    """Print a row for each case, with the target it is held to."""
    print(f"{'problem':16} {'median ms':>10} {'with bound':>10} {'target ms':>10}")
    for name, options, repeats, target in CASES:
        problem = bg.problems.load(name, **options)
        theta = problem.initial_theta(seed=0)
        bg.hypergradient(problem, theta)
        seconds, bounded = [], float("nan")
        for _ in range(repeats):
            began = time.perf_counter()
            reference = bg.hypergradient(problem, theta)
            seconds.append(time.perf_counter() - began)
        if problem.dim <= 1000:
            reference.error_bound  # noqa: B018 - computed when asked for
            bounded = 1e3 * (time.perf_counter() - began)
        print(f"{name:16} {1e3 * float(np.median(seconds)):10.2f} {bounded:10.1f} {target:10.0f}")


if __name__ == "__main__":
    main()
