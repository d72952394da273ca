"""What a leader's gradient is worth against how long its follower was trained: an ascent, and the cosine, for each budget."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.estimators import Stream
from boltzgrad.experiments.ascent import ascend, first_thetas
from boltzgrad.experiments.evaluate import Evaluator, cosine
from boltzgrad.experiments.experiment import Axis
from boltzgrad.experiments.methods import estimator
from boltzgrad.experiments.optimisers import optimiser
from boltzgrad.experiments.problems import load


def against(words: str) -> Axis:
    """The axis of budgets: what the follower has at each θ."""
    return Axis("budget", f"{words} at each θ", decades=True)


def against_budget(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs a method's whole ascent for every budget of its follower; one row a seed.

    `arguments` are those of `ascend`, and `budgets`, the values that the `option` of the estimator's follower takes.  A method
    without a trained follower (the exact gradient) has one ascent, which stands for every budget.

    Every row: `seed`; for each `budget` `objective`, J under the *optimal* follower where the ascent ends, and `cosine`,
    between this method's gradient and ∇J at the same θ, averaged over those that the exact gradient's own ascent comes by (so
    that all budgets and methods are judged at the same places); `exact_norm` there; `start`, J at θ₀; `end`, `last` and
    `theta` of the largest budget, `best` of any; `total_steps` and `rejected` of all.
    """
    budgets, option = arguments["budgets"], arguments["option"]
    common = {k: v for k, v in arguments.items() if k not in ("budgets", "option")}
    places, judged = _path(common)
    found, at = [], []
    trained = "follower" in arguments["estimator"]
    for budget in budgets if trained else budgets[:1]:
        method = dict(arguments["estimator"])
        if trained:
            method["follower"] = {**method["follower"], option: budget}
        found.append(ascend({**common, "estimator": method, "log_every": common["iterations"]}))
        run = estimator(method).open(load(arguments["problem"], **arguments["options"]), _streams(arguments, "cosine"))
        at.append(np.stack([cosine(run.estimate(t).gradient, g) for t, g in zip(places, judged, strict=True)], axis=1))
    if not trained:
        found, at = found * len(budgets), at * len(budgets)
    size = np.linalg.norm(judged, axis=2).T  # (seeds, places)
    rows = []
    for lane, seed in enumerate(arguments["seeds"]):
        mine = [rows_[lane] for rows_ in found]
        last = np.array([row["last"] for row in mine])
        rows.append(
            {
                "seed": seed,
                "budget": budgets,
                "objective": last,
                "cosine": np.array([_mean(x[lane], size[lane]) for x in at]),
                "exact_norm": np.full(len(budgets), size[lane].mean()),
                "start": float(mine[0]["objective"][0]),
                "end": float(last[-1]),
                "last": float(last[-1]),
                "best": float(last.max()),
                "total_steps": int(sum(row["total_steps"] for row in (mine if trained else mine[:1]))),
                "rejected": int(sum(row["rejected"] for row in (mine if trained else mine[:1]))),
                "theta": mine[-1]["theta"],
            }
        )
    return rows


def _mean(cosines: Array, size: Array) -> float:
    """The mean over places where ∇J has not fallen to rounding of its largest size; NaN without any."""
    good = np.isfinite(cosines) & (size > 1e-7 * size.max(initial=0.0))
    return float(cosines[good].mean()) if good.any() else float("nan")


def _streams(arguments: dict[str, Any], name: str) -> list[Stream]:
    return [Stream(seed).split(name) for seed in arguments["seeds"]]


def _path(arguments: dict[str, Any]) -> tuple[list[Array], list[Array]]:
    """(θ (seeds, d), ∇J (seeds, d)) every `log_every` iterations of the exact gradient's ascent."""
    problem = load(arguments["problem"], **arguments["options"])
    rule, total, every = optimiser(arguments["optimiser"]), int(arguments["iterations"]), int(arguments["log_every"])
    theta, judge = first_thetas(problem, arguments), Evaluator(problem)
    memory = rule.start(theta)
    places, gradients = [], []
    for i in range(total):
        gradient = judge.gradient(theta)
        if i % every == 0:
            places.append(theta)
            gradients.append(gradient)
        theta, memory = rule.step(theta, gradient, i, total, memory)
    return places, gradients
