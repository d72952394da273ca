"""Which factorisation of I − γP_π is fastest where: the measurements behind `solvers/linear/structure.py`.

    python benchmarks/linear_systems.py [--sizes 100,200,400,1000,4000,20000]

Setup, one solve and one transposed solve, on the policy of V = 0, one thread; a method that would take minutes at a
size (LU of large expanders, dense above 4000 states) is left out there.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import boltzgrad as bg
from boltzgrad.solvers import LinearSystem
from boltzgrad.solvers.linear import choose
from boltzgrad.solvers.soft_bellman import backup


def timed(function, repeats=3):
    """Median seconds of a call."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def main() -> None:
    """Print a row for each family, size and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100,200,400,1000,4000,20000")
    sizes = [int(s) for s in parser.parse_args().sizes.split(",")]
    print(f"{'family':10} {'S':>7}  {'method':7} {'setup + solve':>14} {'solve':>10} {'transposed':>10}  chosen")
    for family in ("grid-world", "garnet"):
        for size in sizes:
            options = {"size": round(size**0.5)} if family == "grid-world" else {"n_states": size}
            problem = bg.problems.load(family, **options)
            model = problem.model(problem.initial_theta())
            policy = backup(model, np.zeros(model.n_states)).policy
            b = np.random.default_rng(0).uniform(size=model.n_states)
            chosen = choose(model.kernel)
            for method in ("dense", "sparse", "krylov"):
                if (method == "dense" and size > 4000) or (method == "sparse" and family == "garnet" and size > 1000):
                    continue

                def first(method=method, model=model, policy=policy, b=b):
                    return LinearSystem(model.kernel, policy, 0.99, method=method).solve(b)

                system = LinearSystem(model.kernel, policy, 0.99, method=method)
                system.solve(b)
                row = (
                    timed(first),
                    timed(lambda s=system, b=b: s.solve(b)),
                    timed(lambda s=system, b=b: s.solve_transposed(b)),
                )
                cells = f"{row[0]:14.4f} {row[1]:10.4f} {row[2]:10.4f}"
                print(
                    f"{family:10} {model.n_states:7d}  {method:7} {cells}  {'←' if method == chosen else ''}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
