"""One run of a method from several seeds at once: the task that every experiment is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidModel, InvalidTheta, NotConverged, unknown
from boltzgrad.estimators import Stream
from boltzgrad.experiments.evaluate import Evaluator, cosine
from boltzgrad.experiments.methods import estimator
from boltzgrad.experiments.metrics import METRICS
from boltzgrad.experiments.optimisers import optimiser
from boltzgrad.experiments.problems import load
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.solvers.lqr import check_leader_stable, solve_lqr

SEEDS_TOGETHER = 10
"""How many seeds share a task: fixed, so that results do not depend on the number of workers."""


def ascend(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs `iterations` steps of a method from every seed; one row a seed.

    `arguments`: `problem` (a zoo name) with `options`; `estimator` and `optimiser` (see `methods`, `optimisers`); `seeds`;
    `iterations`; `log_every` (J, metrics and the cosine with ∇J are taken every so many iterations, before the step, and at
    the end); `start` (scale of θ₀ ~ N(0, scale²)); `metric`, if any, a name in `metrics`; `judge`, if any, options of the
    problem by which J and ∇J are reported, where these are not the ones that are sampled.

    Every row: `seed`, `iteration`, `objective`, `cosine` (between this estimate and ∇J), `norm`, `exact_norm`, `steps`
    (environment steps so far), `metric`, `rejected` (steps not taken because the follower would have had no finite answer),
    `end` (mean objective over the last tenth of the run), `last`, `best` and `theta` (the last).
    """
    problem = load(arguments["problem"], **arguments["options"])
    method, rule = estimator(arguments["estimator"]), optimiser(arguments["optimiser"])
    seeds, total, every = arguments["seeds"], int(arguments["iterations"]), int(arguments["log_every"])
    metric = _metric(arguments.get("metric"))
    streams = [Stream(seed) for seed in seeds]
    theta = first_thetas(problem, arguments)
    other = arguments.get("judge", {})
    judged = load(arguments["problem"], **{**arguments["options"], **other}) if other else problem
    run, judge, memory = method.open(problem, streams), Evaluator(judged), rule.start(theta)
    target = getattr(problem, "temperature", None) or _temperature(problem)
    steps = np.zeros(len(seeds), dtype=np.int64)
    rejected = np.zeros(len(seeds), dtype=np.int64)
    log: dict[str, list[Array]] = {
        name: [] for name in ("objective", "cosine", "norm", "exact_norm", "steps", "metric")
    }
    iterations: list[int] = []
    for i in range(total):
        run.temperature = rule.temperature(i, total, target)
        estimate = run.estimate(theta)
        if i % every == 0 or i == total - 1:
            exact = judge.gradient(theta)
            iterations.append(i)
            log["objective"].append(judge.objective(theta, run))
            log["cosine"].append(cosine(estimate.gradient, exact))
            log["norm"].append(np.linalg.norm(estimate.gradient, axis=1))
            log["exact_norm"].append(np.linalg.norm(exact, axis=1))
            log["steps"].append(steps.copy())
            if metric is not None:
                log["metric"].append(np.array([metric(judged, t) for t in theta]))
        steps += estimate.steps
        moved, memory = rule.step(theta, estimate.gradient, i, total, memory)
        theta, refused = _where_solvable(problem, theta, moved)
        rejected += refused
    final = judge.objective(theta)
    tail = max(1, len(iterations) // 10)
    rows = []
    for lane, seed in enumerate(seeds):
        objective = np.array([x[lane] for x in log["objective"]])
        row = {
            "seed": seed,
            "iteration": iterations,
            "objective": objective,
            **{name: np.array([x[lane] for x in log[name]]) for name in ("cosine", "norm", "exact_norm", "steps")},
            "total_steps": int(steps[lane]),
            "rejected": int(rejected[lane]),
            "end": float(objective[-tail:].mean()),
            "last": float(final[lane]),
            "best": float(max(objective.max(), final[lane])),
            "theta": theta[lane],
        }
        if metric is not None:
            row["metric"] = np.array([x[lane] for x in log["metric"]])
            row["metric_last"] = metric(judged, theta[lane])
        rows.append(row)
    return rows


def first_thetas(problem: Any, arguments: dict[str, Any]) -> Array:
    """θ₀ of every seed, (seeds, d): the same whatever the method."""
    drawn = [Stream(seed).split("theta").generator().standard_normal(problem.dim) for seed in arguments["seeds"]]
    return np.asarray(arguments["start"] * np.stack(drawn))


def _temperature(problem: Any) -> float:
    """The follower's temperature, read off the problem at θ = 0."""
    if hasattr(problem, "joint"):
        return float(problem.joint.temperature)
    if hasattr(problem, "contexts"):
        return float(problem.contexts(np.zeros(problem.dim)).models[0].temperature)
    return float(problem.model(np.zeros(problem.dim)).temperature)


def _where_solvable(problem: Any, theta: Array, moved: Array) -> tuple[Array, Array]:
    """The new θ, or the old one in lanes whose new linear-quadratic problem has no solution; and which those are."""
    refused = np.zeros(len(theta), dtype=np.int64)
    if isinstance(problem, LinearQuadratic):
        for lane, candidate in enumerate(moved):
            try:
                model = problem.model(candidate)
                check_leader_stable(model, solve_lqr(model))
            except (InvalidModel, InvalidTheta, NotConverged):
                refused[lane] = 1
    return np.where(refused[:, None] == 1, theta, moved), refused


def _metric(name: str | None) -> Callable[[Any, Array], Any] | None:
    if name is None:
        return None
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


def groups_of(seeds: int) -> list[list[int]]:
    """The seeds 0 … n − 1 in tasks.

    >>> groups_of(12)
    [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 11]]
    """
    return [list(range(i, min(i + SEEDS_TOGETHER, seeds))) for i in range(0, seeds, SEEDS_TOGETHER)]
