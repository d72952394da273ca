"""`boltzgrad export` and `boltzgrad experiment` killed (SIGKILL) at random moments: nothing lost, nothing half-written.

    python benchmarks/kills.py --kills 100

An export replaces a bundle that is there: afterwards a whole bundle has to be there, the old or the new one (or the old one set
aside, whole, in the moment between two renames).  An experiment is killed again and again in one folder until it is done: no
row that was written may be lost or changed, and the rows at the end are those of a run that was never killed.
Written: `results/kills.md`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from boltzgrad.errors import InvalidOption
from boltzgrad.experiments import encoding, results
from boltzgrad.testing import bundles

HERE = Path(__file__).parent / "results"
BOLTZGRAD = [sys.executable, "-c", "from boltzgrad.cli import main; raise SystemExit(main())"]
EXPORT = ["export", "garnet", "--set", "n_states=40", "--set", "n_parameters=30", "--force", "-o"]
EXPERIMENT = ["experiment", "four-rooms", "--preset", "smoke", "--no-plots", "--out"]


def killed(command, after):
    """Whether the command was still running when it was killed, `after` seconds from its start."""
    process = subprocess.Popen([*BOLTZGRAD, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def duration(command):
    """Seconds that a whole run takes."""
    began = time.perf_counter()
    subprocess.run([*BOLTZGRAD, *command], check=True, capture_output=True)
    return time.perf_counter() - began


def exports(kills, chance, folder):
    """Counts of what was found after each kill."""
    target = folder / "garnet"
    whole = duration([*EXPORT, str(folder)])
    found = Counter({"killed": 0, "whole bundle there": 0, "old bundle set aside": 0, "folders left behind": 0})
    while found["killed"] < kills:
        if not killed([*EXPORT, str(folder)], chance.uniform(*chance.choice([(0.3, 1.0), (0.85, 1.05)])) * whole):
            found["ended before"] += 1
            continue
        found["killed"] += 1
        aside = list(folder.glob(".garnet-*"))
        if target.exists():
            bundles.read(target)  # raises if a file is missing, added or altered
            found["whole bundle there"] += 1
        else:
            bundles.read(next(p for p in aside if (p / "replaced").exists()) / "replaced")
            found["old bundle set aside"] += 1
        found["folders left behind"] += bool(aside)
        for path in aside:
            shutil.rmtree(path)
    return found


def rows_in(out, *, begun):
    """The rows in a folder, by task; none where the run was killed before it had begun to write."""
    try:
        return [encoding.dumps(record.rows) for record in results.read(out).records]
    except InvalidOption:
        if begun:
            raise
        return []


def experiments(kills, chance, folder):
    """The same for an experiment's rows; a folder that is done is compared and begun anew."""
    reference = folder / "uninterrupted"
    whole = duration([*EXPERIMENT, str(reference)])
    expected = [encoding.dumps(record.rows) for record in results.read(reference).records]
    found = Counter({"killed": 0, "killed with rows written": 0, "ROWS LOST OR CHANGED": 0, "ENDS THAT DIFFER": 0})
    out, kept = folder / "run", []
    while found["killed"] < kills:
        was_killed = killed([*EXPERIMENT, str(out)], chance.uniform(0.1, 0.9) * whole)
        rows = rows_in(out, begun=bool(kept))
        if rows[: len(kept)] != kept:
            found["ROWS LOST OR CHANGED"] += 1
        kept = rows
        if was_killed:
            found["killed"] += 1
            found["killed with rows written"] += bool(rows)
        else:
            found["runs that came to their end"] += 1
            found["ENDS THAT DIFFER"] += rows != expected
            shutil.rmtree(out)
            kept = []
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    lines = ["# Killed at random moments", "", f"`python benchmarks/kills.py --kills {asked.kills}` (SIGKILL)", ""]
    with tempfile.TemporaryDirectory() as scratch:
        for name, trial in (("export", exports), ("experiment", experiments)):
            folder = Path(scratch) / name
            folder.mkdir()
            found = trial(asked.kills, chance, folder)
            lines += [f"## `boltzgrad {name}`", "", *(f"- {what}: {count}" for what, count in found.items()), ""]
            print("\n".join(lines), flush=True)
    (HERE / "kills.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
