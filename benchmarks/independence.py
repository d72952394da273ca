"""What the reference and each witness run in common, function by function, as they run: nothing but the problem itself.

    python benchmarks/independence.py

A reference and its witnesses are run on one small problem of each family with every call recorded.  Written:
`results/independence.md`; `tests/verify/test_independence.py` holds the code to it.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import boltzgrad as bg
from boltzgrad.families.registry import witnesses

HERE = Path(__file__).parent / "results"
PROBLEMS = {
    "tabular": ("garnet", {"n_states": 8, "n_parameters": 5}),
    "horizon": ("finite-garnet", {"horizon": 3, "n_states": 5, "n_parameters": 6}),
    "game": ("toy-game", {}),
    "lqr": ("random-lqr", {}),
}
INSIDE = "/src/boltzgrad/"
# The problem itself: the zoo, the files of a family that make its models, and what these are made from.
PROBLEM_FILES = {
    "average.py",
    "clocked.py",
    "contexts.py",
    "cycles.py",
    "given.py",
    "linearise.py",
    "model.py",
    "natural_units.py",
    "plain_form.py",
    "leader_policy.py",
    "problem.py",
    "references.py",
    "steps.py",
}
PROBLEM_CORE = {
    f"core/{name}.py"
    for name in (
        *("arrays", "built", "checks", "constants", "kernel", "linearise", "objectives", "problem", "softmaxes"),
        "traces",  # how autograd numbers its traces
    )
}


def called(function):
    """{(file, qualified name)} of every function of the package that a call of `function` runs."""
    found = set()

    def seen(frame, event, _):
        if event == "call" and INSIDE in (name := frame.f_code.co_filename.replace("\\", "/")):
            found.add((name.split(INSIDE)[1], frame.f_code.co_qualname))

    sys.setprofile(seen)
    try:
        function()
    finally:
        sys.setprofile(None)
    return found


def recorded(family):
    """(calls of the reference, {route: its calls}) on the problem of a family."""
    name, options = PROBLEMS[family]
    problem = bg.problems.load(name, **options)
    theta = problem.initial_theta(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = called(lambda: bg.hypergradient(problem, theta))
        routes = {
            r.name: called(lambda r=r: r.run(problem, theta)) for r in witnesses(problem) if not r.skip(problem, theta)
        }
    return reference, routes


def own(calls):
    """The calls that are not the problem's: its build, its arrays, its kernels and their derivatives."""

    def of_the_problem(file):
        folder, _, name = file.rpartition("/")
        return folder == "zoo" or file in PROBLEM_CORE or (folder.startswith("families/") and name in PROBLEM_FILES)

    return {call for call in calls if not of_the_problem(call[0])}


def page():
    """The tables of all families."""
    lines = [
        "# What a reference and its witnesses run in common",
        "",
        "Every function that was called while each ran: `python benchmarks/independence.py`.  All of them run the problem, its "
        "`build`, its arrays and its derivative: behind that stands the model's own check.",
        "",
        "Witnesses share sweeps among themselves: a mistake there would make them disagree with the reference, not "
        "agree.  Where a route has little of its own beside its nearest, the two are one method seen twice: `hpgd` and "
        "`covariance` differ in where the centring sits, `unrolled` and `unrolled-implicit` in what the tape keeps, "
        "`complex-step` and `differences` in the step.  `lifted-adjoint` is the reference of the game written as an "
        "MDP: the game's own solver is held against it.",
        "",
        "A leader who counts steps, and long-run averages, are solved as tables of another shape: there all routes share that "
        "table, which is part of the build, but `complex-step` and `differences`, which sweep the model as it was given.",
    ]
    for family in PROBLEMS:
        reference, routes = recorded(family)
        lines += ["", f"## {family}: the reference calls {len(own(reference))} functions of its own", ""]
        lines += [
            "| route | functions | shared with the reference | only its own | nearest other route (shared) |",
            "|---|---|---|---|---|",
        ]
        for name, calls in routes.items():
            shared = sorted(f"`{file}: {what}`" for file, what in own(calls) & own(reference))
            others = {other: own(calls) & own(theirs) for other, theirs in routes.items() if other != name}
            nearest = max(others, key=lambda other: len(others[other]))
            alone = own(calls) - own(reference) - set().union(*(own(x) for other, x in routes.items() if other != name))
            said = "none" if not shared else f"{len(shared)}: {', '.join(shared[:3])}{', …' if len(shared) > 3 else ''}"
            lines.append(f"| {name} | {len(own(calls))} | {said} | {len(alone)} | {nearest} ({len(others[nearest])}) |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (HERE / "independence.md").write_text(page(), encoding="utf-8")
    print(page())
