"""Is anything slower than in the last release?  Both in processes of their own, taking turns; CPU seconds on one thread.

    python benchmarks/guard.py [--turns 5] [--most 1.3] [--only TEXT] [--release FILE.whl] [--write]

The release is a wheel kept in `benchmarks/releases/`, put on the path as it is, beside the same NumPy and SciPy.  A case whose
median ratio is above `--most` is measured once more with twice the turns, so that a neighbour's load does not decide; one that
stays above fails (exit status 1).  `--write` keeps the table in results/guard.md.  `make guard` is what CI runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RELEASE = HERE / "releases" / "boltzgrad-0.1.0-py3-none-any.whl"
SOURCE = HERE.parent / "src"

# Each is run in both versions, so it uses what 0.1.0 had; `work` is what is timed, `answer` what has to be the same.
CASES = {
    "four-rooms: hypergradient": (
        "problem = bg.problems.load('four-rooms'); theta = problem.initial_theta(seed=0)",
        "answer = bg.hypergradient(problem, theta).gradient",
        20,
    ),
    "toy-game: hypergradient": (
        "problem = bg.problems.load('toy-game'); theta = problem.initial_theta(seed=0)",
        "answer = bg.hypergradient(problem, theta).gradient",
        40,
    ),
    "thermal-control: hypergradient": (
        "problem = bg.problems.load('thermal-control'); theta = problem.initial_theta(seed=0)",
        "answer = bg.hypergradient(problem, theta).gradient",
        20,
    ),
    "lqr-game: hypergradient": (
        "problem = bg.problems.load('lqr-game'); theta = problem.initial_theta(seed=0)",
        "answer = bg.hypergradient(problem, theta).gradient",
        10,
    ),
    "garnet of 1,000 states: hypergradient": (
        "problem = bg.problems.load('garnet', n_states=1000); theta = problem.initial_theta(seed=0)",
        "answer = bg.hypergradient(problem, theta).gradient",
        4,
    ),
    "grid of 10,000 states: hypergradient": (
        "problem = bg.problems.load('grid-world', size=100); theta = problem.initial_theta(seed=0)",
        "answer = bg.hypergradient(problem, theta).gradient",
        2,
    ),
    "four-rooms: verify": (
        "problem = bg.problems.load('four-rooms'); theta = problem.initial_theta(seed=0)",
        "answer = bg.verify(problem, theta).reference.gradient",
        1,
    ),
    "four-rooms: 20 estimates of BC-HG, 10 seeds": (
        """
from boltzgrad.estimators import BCHG, Stream
problem = bg.problems.load('four-rooms', temperature=0.003)
thetas = np.stack([0.01 * problem.initial_theta(seed=i) for i in range(10)])
""",
        """
run = BCHG().open(problem, [Stream(i) for i in range(10)])
for _ in range(20):
    run.estimate(thetas)
""",
        2,
    ),
}

ONE = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
import numpy as np
import boltzgrad as bg
assert bg.__file__.startswith(sys.argv[1]), bg.__file__
answer = np.zeros(0)
{prepare}
def work():
    global answer
{work}
if {times} > 1:
    work()
took = []
for _ in range(3 if {times} > 1 else 1):
    began = time.process_time()
    for _ in range({times}):
        work()
    took.append((time.process_time() - began) / {times})
print(json.dumps({{"seconds": sorted(took)[len(took) // 2], "answer": np.asarray(answer).tolist()}}))
"""


def once(case: str, path: Path) -> dict:
    """One process of one version: CPU seconds, and what it found."""
    prepare, work, times = CASES[case]
    indented = "\n".join("    " + line for line in work.strip().splitlines())
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-c", ONE.format(prepare=prepare, work=indented, times=times), str(path)],
        env=os.environ | threads,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{case}, {path.name}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def compare(case: str, release: Path, turns: int) -> tuple[float, float, float]:
    """(median CPU seconds of the release, of this tree, the largest difference of what they found)."""
    old, new = [], []
    for _ in range(turns):
        old.append(once(case, release))
        new.append(once(case, SOURCE))
    a, b = old[0]["answer"], new[0]["answer"]
    size = max((abs(x) for x in a), default=1.0) or 1.0
    off = max((abs(x - y) / size for x, y in zip(a, b, strict=True)), default=0.0)
    return *(statistics.median(x["seconds"] for x in runs) for runs in (old, new)), off


def main() -> int:
    """Compare, print, and say whether something is slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--most", type=float, default=1.3, help="the largest ratio, this tree's over the release's")
    parser.add_argument("--only", default="", help="cases with this text")
    parser.add_argument("--release", type=Path, default=RELEASE)
    parser.add_argument("--write", action="store_true", help="keep the table in results/guard.md")
    arguments = parser.parse_args()
    if not arguments.release.exists():
        raise SystemExit(f"no release at {arguments.release}")
    lines = ["| | release | now | ratio |", "|---|---:|---:|---:|"]
    slower, wrong = [], []
    for case in (name for name in CASES if arguments.only in name):
        old, new, off = compare(case, arguments.release, arguments.turns)
        if new > arguments.most * old:
            old, new, off = compare(case, arguments.release, 2 * arguments.turns)
        lines.append(f"| {case} | {1e3 * old:.2f} ms | {1e3 * new:.2f} ms | {new / old:.2f} |")
        print(lines[-1], flush=True)
        slower += [case] if new > arguments.most * old else []
        wrong += [f"{case} ({off:.1e})"] if off > 1e-8 else []
    name = arguments.release.name.split("-")[1]
    if arguments.write:
        how = "Medians of CPU seconds, taking turns (`python benchmarks/guard.py --write`)."
        text = "\n".join([f"# This tree beside release {name}", "", how, "", *lines, ""])
        (HERE / "results" / "guard.md").write_text(text, encoding="utf-8")
    for words, cases in ((f"slower than {arguments.most} × release {name}", slower), ("another gradient", wrong)):
        if cases:
            print(f"{words}: {', '.join(cases)}")
    return 1 if slower or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
