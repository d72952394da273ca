"""Large sparse tables with and without compiled loops (`[fast]`), each in processes of its own, taking turns.

    python benchmarks/compiled.py [SIZES] [TURNS]        # default 10000,100000,1000000 and 3; half an hour

Written: `results/compiled.md`: medians of CPU seconds on one thread.  Forward is the build, the follower and the leader's
values; gradient the adjoint and the pull-back.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "results"
KEYS = ("forward", "gradient", "peak")

ONE = """
import json, resource, sys, time
name, size, plain, out = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "plain", sys.argv[4]
if plain:
    sys.modules["numba"] = None
import numpy as np
import boltzgrad as bg
from boltzgrad.families.tabular.adjoint import adjoin, assemble, evaluate
from boltzgrad.solvers import solve_follower

def load(n):
    return bg.problems.load(name, **({"size": round(n**0.5)} if name == "grid-world" else {"n_states": n}))

small = load(2500)
bg.hypergradient(small, small.initial_theta(seed=0))  # compiles, or loads what was compiled
problem = load(size)
theta = problem.initial_theta(seed=0)
clock = time.process_time
start = clock()
at = problem.linearise(theta)
model = at.model.models[0]
follower = solve_follower(model)
forward = evaluate(model, problem, theta, follower)
middle = clock()
solved = adjoin(model, follower, forward)
_, cotangent, outside = assemble(problem, theta, at.model.probabilities, (solved,))
gradient = at.pullback(cotangent) + outside
end = clock()
np.save(out, gradient)
print(json.dumps({"forward": middle - start, "gradient": end - middle, "method": follower.system.name,
                  "iterations": follower.iterations, "residual": follower.residual,
                  "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}))
"""


def once(name: str, size: int, way: str, out: Path) -> dict[str, float]:
    """One solve in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-c", ONE, name, str(size), way, str(out)],
        env=os.environ | threads,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure, and write the table."""
    sizes = [int(x) for x in (sys.argv[1] if len(sys.argv) > 1 else "10000,100000,1000000").split(",")]
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    lines = [
        "# Compiled loops beside the plain path",
        "",
        f"CPU seconds on one thread, medians of {turns}, the two taking turns (`python benchmarks/compiled.py`).",
        "",
        "| | states | plain: forward + gradient | compiled | ratio | peak GB | difference of ∇J | compiled method |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("grid-world", "garnet"):
            for size in sizes:
                rows: dict[str, list[dict[str, float]]] = {"plain": [], "compiled": []}
                for _ in range(turns):
                    for way, found in rows.items():
                        found.append(once(name, size, way, Path(folder) / f"{way}.npy"))
                one, other = (np.load(Path(folder) / f"{way}.npy") for way in rows)
                off = float(np.abs(one - other).max() / np.abs(one).max())
                a, b = ({k: statistics.median(r[k] for r in rs) for k in KEYS} for rs in rows.values())
                ratio = (b["forward"] + b["gradient"]) / (a["forward"] + a["gradient"])
                took = (f"{x['forward']:.2f} + {x['gradient']:.2f}" for x in (a, b))
                lines.append(
                    f"| {name} | {size:,} | {' | '.join(took)} "
                    f"| {ratio:.2f} | {a['peak']:.1f}, {b['peak']:.1f} | {off:.0e} | {rows['compiled'][0]['method']} |"
                )
                print(lines[-1], flush=True)
    (HERE / "compiled.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
