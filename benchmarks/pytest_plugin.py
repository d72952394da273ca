"""What the pytest plugin costs a run that does not use it, and what the whole zoo costs one that does.

    python benchmarks/pytest_plugin.py [--runs 21] [-o benchmarks/results]

Whole processes, with and without the plugin in turn, so that a slow minute of the machine meets both.  Writes pytest_plugin.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLAIN = "def test_plain():\n    assert True\n"
ZOO = """
import pytest
import boltzgrad as bg
from boltzgrad.verify.mutants import FAMILIES

@pytest.mark.hypergradient_zoo()
def test_zoo(assert_hypergradient, problem, theta):
    {body}
"""
RIGHT = "assert_hypergradient(lambda t: bg.hypergradient(problem, t).gradient, problem, theta)"
WRONG = "assert_hypergradient(lambda t: 0.0 * t, problem, theta)"


def seconds(source: str, *arguments: str) -> tuple[float, str]:
    """The wall-clock time of one pytest run over a file, and its last line."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_it.py").write_text(source, encoding="utf-8")
        words = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *arguments, folder]
        began = time.perf_counter()
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        return time.perf_counter() - began, done.stdout.strip().splitlines()[-1]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    seconds(PLAIN)  # warm-up
    pairs = [(seconds(PLAIN)[0], seconds(PLAIN, "-p", "no:boltzgrad")[0]) for _ in range(arguments.runs)]
    with_it, without = (statistics.median(x) for x in zip(*pairs, strict=True))
    added = [1000 * (a - b) for a, b in pairs]
    rows = []
    for what, body in (("the reference itself, accepted 22 times", RIGHT), ("zeros, rejected 22 times", WRONG)):
        took, last = seconds(ZOO.format(body=body))
        rows.append(f"| {what} | {took:.1f} s | {last} |")
    text = f"""# What the pytest plugin costs

A run of one test that does not use it, {arguments.runs} pairs of whole processes, with the plugin and with `-p no:boltzgrad`:
medians {1000 * with_it:.0f} ms and {1000 * without:.0f} ms; the plugin adds {statistics.median(added):.0f} ms (quartiles \
{statistics.quantiles(added)[0]:.0f} to {statistics.quantiles(added)[2]:.0f}; asked for: at most 50).

The whole zoo at two θs, a process each (asked for: at most 20 s):

| candidate | wall clock | pytest says |
| --- | --- | --- |
{chr(10).join(rows)}
"""
    (arguments.output / "pytest_plugin.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
