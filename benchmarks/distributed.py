# ruff: noqa: E501 (a page is written here)
"""Weak scaling of the reference by rows: as many states a process on one process and on two; and what 10⁸ states would take.

    python benchmarks/distributed.py [--sides 250,500] [--turns 3]

Needs `make petsc` and mpiexec, and two cores that nobody else uses.  Every run is an `mpiexec` of its own.  Writes
results/distributed.json, and the page docs/past-one-machine.md from it (`--page`: that alone).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
KEPT = HERE / "results" / "distributed.json"
PAGE = HERE.parent / "docs" / "past-one-machine.md"
PYTHON = HERE.parent / ".venv-petsc" / "bin" / "python"

ONE = """
import json, resource, sys
import numpy as np
from boltzgrad.solvers.distributed import Processes, hypergradient
from boltzgrad.zoo.rows import by_rows
processes = Processes()
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = by_rows("grid-world", size=int(sys.argv[1]))
h = hypergradient(rows, rows.initial_theta(0), processes)
peak = processes.max(float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base))
ghosts = processes.max(float(h.ghosts))
if processes.rank == 0:
    kept = ("n_states", "processes", "seconds", "newton_steps", "iterations", "gathered", "reductions", "residual", "value_bound")
    print(json.dumps({name: getattr(h, name) for name in kept} | {"ghosts": ghosts, "peak_kb": peak}))
"""

TEXT = """# Past one machine

A table of 10⁸ states does not fit where one of 10⁶ does. `boltzgrad.solvers.distributed` works the reference hypergradient out over
several processes: every process builds the rows of its own states and keeps what belongs to them, and PETSc solves the systems.

```
mpiexec -n 2 boltzgrad verify grid-world --set size=1000 --distributed
```

says on the first process what all of them found, and holds it against two others: one process by itself (up to two million states;
they share the problem and nothing else), and differences of J along a random direction, by the same processes (they share the forward
solve, but no adjoint and no cotangent). Exit status 0 is agreement: with one process to 10⁻¹⁰ of the largest entry, and what
both are estimated to round off.

**What it needs**: petsc4py and mpi4py, of the system. `make petsc` makes an environment of Debian's packages (python3-petsc4py,
python3-mpi4py, mpi-default-bin, python3-venv), which are built for Debian's own Python and for NumPy 1; `.venv-petsc/bin/boltzgrad` is
the command then.

**What it solves**: the follower by inexact Newton on V = TV, each step by BiCGSTAB with the incomplete factors of every process's own rows
(block Jacobi with ILU(0)); leader, occupancy and adjoint by the same systems and their transposes, corrected until the residual, which the
model's own product tells, no longer falls. A system that stays above a rounding of its answer raises `NotConverged`. The report has every
residual, and the bound of ‖V − V*‖ (residual and its own rounding, over 1 − γ) is proved; there is no bound of ∇J here: the two comparisons are what speaks for it.

**Whose problems**: grid-world, and garnet (of which every process draws the whole graph). Your own: an object with `dim`, `n_states`,
`n_actions`, `name`, `initial_theta`, `block(theta, first, last, together)` and `pull_back(…)`, as `boltzgrad.core.row_block.Rows` says.
Finite horizons, references, masks, games and contexts are not cut into rows.

## Measured

{machine}

| states | processes | states a process | seconds | of one process with as many | BiCGSTAB iterations | ms an iteration | peak MB a process | states of others read |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|
{rows}

`python benchmarks/distributed.py` makes the table and this page again.

## 10⁸ and 10⁹ states

Reckoned from the table, not run. The grid is cut into strips of rows, so that a process reads two rows of others whatever it holds
itself; Newton's steps do not grow once the grid is wider than the 1/(1 − γ) = 100 steps that count ({steps} here). A product gathers
once from each of two neighbours; an iteration of BiCGSTAB makes two products and about five sums over all processes.

| states | processes | memory a process | messages a process | of bytes each | sums over all | seconds, if weak scaling holds |
|---:|---:|---:|---:|---:|---:|---:|
{reckoned}

What the last column leaves out: sums over all processes take longer the more there are (a tree of log₂ P steps: at 10 µs each
{sums:.1f} s for {most} processes), and block Jacobi loses strength as blocks get thin ({weaker:.0%} more iterations from one process to two
above). Two processes of one machine also share its memory, which is part of the ratio above.
"""


def once(count: int, side: int) -> dict:
    """One run of so many processes."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    command = ["mpiexec", "-n", str(count), str(PYTHON), "-c", ONE, str(side)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def measure(sides: list[int], turns: int) -> list[dict]:
    """Medians of one process on N² states and of two on twice as many, taking turns."""
    out = []
    for side in sides:
        runs: dict[tuple[int, int], list[dict]] = {(1, side): [], (2, round(2**0.5 * side)): []}
        for _ in range(turns):
            for (count, n), found in runs.items():
                found.append(once(count, n))
                print(found[-1], flush=True)
        for found in runs.values():
            out.append({**found[0], "seconds": statistics.median(x["seconds"] for x in found)})
    return out


def page(found: list[dict]) -> str:
    """The page, from what was measured."""
    rows = []
    for one, two in zip(found[::2], found[1::2], strict=True):
        for x in (one, two):
            beside = "" if x is one else f"{x['seconds'] / one['seconds']:.2f}"
            each = x["n_states"] / x["processes"]
            rows.append(
                f"| {x['n_states']:,} | {x['processes']} | {each:,.0f} | {x['seconds']:.1f} | {beside} | {x['iterations']} "
                f"| {1e3 * x['seconds'] / x['iterations']:.1f} | {x['peak_kb'] / 1e3:.0f} | {x['ghosts']:,.0f} |"
            )
    small, large, last = found[0], found[-2], found[-1]
    per_state = (large["peak_kb"] - small["peak_kb"]) * 1e3 / (large["n_states"] - small["n_states"])
    each = large["n_states"]
    products = 2 * last["iterations"] + last["gathered"]
    sums = 5 * last["iterations"] + last["reductions"]
    reckoned, most = [], 0
    for states, a_process in ((10**8, 10**6), (10**9, 4 * 10**6)):
        count = states // a_process
        most = max(most, count)
        took = last["seconds"] * a_process / each
        reckoned.append(
            f"| 10{'⁸' if states == 10**8 else '⁹'} | {count} | {a_process * per_state / 1e9:.1f} GB | {2 * products:,} "
            f"| {8 * round(states**0.5):,} | {sums:,} | {took:.0f} |"
        )
    steps = " to ".join(str(f([x["newton_steps"] for x in found])) for f in (min, max))
    return TEXT.format(
        machine="Two cores of one machine, the runs taking turns, medians of wall-clock seconds.",
        rows="\n".join(rows),
        reckoned="\n".join(reckoned),
        weaker=last["iterations"] / large["iterations"] - 1.0,
        steps=steps,
        sums=sums * 1e-5 * most.bit_length(),
        most=most,
    )


def main() -> None:
    """Measure, keep, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", default="250,500")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    if not arguments.page:
        found = measure([int(x) for x in arguments.sides.split(",")], arguments.turns)
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(KEPT.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
