"""How long an outer iteration takes: follower solved, roll-out, estimate, step, objective.

    python benchmarks/estimators.py [--iterations 200] [--write]

One thread.  Four-Rooms: 10 seeds at once, batch 100; targets 3 ms a seed, and 10,000 iterations × 10 seeds in 5 minutes on
2 cores.  Thermal control: 1 seed, 100 episodes of 100 steps; targets 50 ms with the closed-form ∇Q_F, 2 s with a fitted
critic.  Medians over five blocks of iterations; `--write` keeps them in results/estimators.md.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import boltzgrad as bg
from boltzgrad.estimators import Stream
from boltzgrad.experiments.evaluate import Evaluator
from boltzgrad.experiments.four_rooms import published, sarsa
from boltzgrad.experiments.methods import estimator
from boltzgrad.experiments.optimisers import Ascent

BLOCKS = 5
WHOLE = {"episodes": 1, "horizon": "geometric"}
HUNDRED = {"episodes": 100, "horizon": 100}
CASES = (
    ("four-rooms", "BC-HG as published", published("bc-hg", (1, 100), critic=sarsa()), 10, 3.0),
    ("four-rooms", "HPGD (SA) as published", published("hpgd", (1, 100), critic=sarsa()), 10, 3.0),
    ("four-rooms", "HPGD (MC) as published", published("hpgd", (1, 100)), 10, 3.0),
    ("four-rooms", "BC-HG, exact Benefit", {"method": "bc-hg", "sampling": WHOLE}, 10, 3.0),
    ("four-rooms", "BC-HG, variance-reduced", {"method": "bc-hg", "segments": "exact", "sampling": WHOLE}, 10, 3.0),
    ("four-rooms", "exact hypergradient", {"method": "exact"}, 10, 3.0),
    (
        "thermal-control",
        "closed-form ∇Q_F, exact critic",
        {"method": "bc-hg", "segments": "exact", "baseline": True, "sampling": HUNDRED},
        1,
        50.0,
    ),
    (
        "thermal-control",
        "closed-form ∇Q_F, fitted quadratic critic",
        {"method": "bc-hg", "segments": "exact", "baseline": True, "critic": "td", "sampling": HUNDRED},
        1,
        2000.0,
    ),
    (
        "thermal-control",
        "sampled segments, network critic (200 updates)",
        {"method": "bc-hg", "baseline": True, "critic": "network", "sampling": HUNDRED},
        1,
        2000.0,
    ),
)


def milliseconds(name: str, specification: dict, seeds: int, iterations: int) -> float:
    """Median milliseconds of an outer iteration, a seed."""
    options = {"kernel": "matrix", "temperature": 0.003, "penalty_weight": 5.0} if name == "four-rooms" else {}
    problem = bg.problems.load(name, **options)
    streams = [Stream(s) for s in range(seeds)]
    run, judge, rule = estimator(specification).open(problem, streams), Evaluator(problem), Ascent(rate=0.1)
    theta = 0.01 * np.stack([s.split("theta").generator().standard_normal(problem.dim) for s in streams])
    blocks = []
    for block in range(BLOCKS + 1):
        began = time.perf_counter()
        for i in range(iterations):
            gradient = run.estimate(theta).gradient
            judge.objective(theta, run)
            theta, _ = rule.step(theta, gradient, i, iterations, None)
        if block:  # the first one warms caches up
            blocks.append((time.perf_counter() - began) / iterations / seeds * 1e3)
    return float(np.median(blocks))


def main() -> None:
    """Print, and keep if asked to, one line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--iterations", type=int, default=200, help="of Four-Rooms in a block; a fortieth of it for thermal"
    )
    parser.add_argument("--write", action="store_true", help="keep the table in results/estimators.md")
    arguments = parser.parse_args()
    lines = ["| problem | method | seeds together | ms an iteration and seed | target |", "|---|---|---:|---:|---:|"]
    for name, label, specification, seeds, target in CASES:
        iterations = arguments.iterations if name == "four-rooms" else max(2, arguments.iterations // 40)
        took = milliseconds(name, specification, seeds, iterations)
        lines.append(f"| {name} | {label} | {seeds} | {took:.2f} | {target:g} |")
        print(lines[-1], flush=True)
    if arguments.write:
        text = "# An outer iteration: follower solved, roll-out, estimate, step, objective\n\n" + "\n".join(lines)
        text += "\n\nOne thread; medians of five blocks.  `python benchmarks/estimators.py --write`.\n"
        (Path(__file__).parent / "results" / "estimators.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
