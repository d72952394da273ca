"""Every kind of follower: the reference against complex steps and the exact routes, on random problems of each.

    python benchmarks/kinds.py [COUNT]        # of each kind (default 500); about ten minutes

Written: `results/kinds.md`.  Deviations are relative to the largest of what the entries of ∇J are sums of (`ref.term_sizes`).
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings

import boltzgrad as bg
from boltzgrad.families.registry import witnesses
from boltzgrad.testing import strategies as bst

HERE = Path(__file__).parent / "results"
KINDS = {
    "tables: references, masks, rates, γ = 1, counted steps": bst.general_mdps,
    "finite horizons": bst.finite_horizon_mdps,
    "long-run averages": bst.average_reward_mdps,
    "games over steps: references, missing actions, numbers that change": bst.finite_games,
    "linear-quadratic, with cross terms": lambda: bst.linear_quadratics(discount=0.9),
    "linear-quadratic over steps": bst.finite_linear_quadratics,
}
COMPLEX, EXACT = 1e-11, 1e-9
# Of no use here: differences have their own error, a cone program that of its solver.
LEFT_OUT = ("differences", "conic", "expanded-conic", "lifted-conic")
SEED = 20_261_128


def measured(strategy, count):
    """(problems tried, {route: its deviations}, what was not reached and why)."""
    deviations, beside, tried = {}, Counter(), Counter()

    @seed(SEED)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(bst.problems_at(strategy))
    def run(case):
        problem, theta = case
        tried["problems"] += 1
        try:
            reference = bg.hypergradient(problem, theta)
        except bg.errors.BoltzgradError as error:
            beside[f"reference: {type(error).__name__}"] += 1
            return
        if np.all(np.abs(reference.gradient) <= 16.0 * reference.rounding):
            beside["∇J zero to rounding"] += 1  # and so is whatever a deviation could be relative to
            return
        size = float(np.maximum(reference.term_sizes, 1e-300).max())
        for route in witnesses(problem):
            if route.name in LEFT_OUT or route.skip(problem, theta):
                continue
            try:
                found = route.run(problem, theta)
            except bg.errors.BoltzgradError as error:
                beside[f"{route.name}: {type(error).__name__}"] += 1
                continue
            deviations.setdefault(route.name, []).append(
                float(np.abs(found.gradient - reference.gradient).max()) / size
            )

    run()
    return tried["problems"], deviations, beside


def page(count):
    """The tables of all kinds."""
    lines = [
        "# Every kind of follower, on random problems",
        "",
        f"`python benchmarks/kinds.py {count}`: the largest deviation of each route from the reference, relative to what ∇J's "
        f"entries are sums of; how many stay within {COMPLEX:g} (complex steps) or {EXACT:g} (the exact routes).",
    ]
    for kind, strategy in KINDS.items():
        tried, deviations, beside = measured(strategy(), count)
        lines += [
            "",
            f"## {kind}: {tried} problems",
            "",
            "| route | ran | median | largest | within |",
            "|---|---|---|---|---|",
        ]
        for name, found in deviations.items():
            goal = COMPLEX if name == "complex-step" else EXACT
            inside = sum(x <= goal for x in found)
            lines.append(
                f"| {name} | {len(found)} | {np.median(found):.0e} | {max(found):.0e} | {inside} of {len(found)} |"
            )
        if beside:
            lines += ["", "Not reached: " + ", ".join(f"{what} {n}" for what, n in beside.most_common()) + "."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    text = page(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
    (HERE / "kinds.md").write_text(text, encoding="utf-8")
    print(text)
