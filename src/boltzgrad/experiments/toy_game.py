"""The toy Markov game (BC-HG Fig. 4, 7): the leader's return over 150 steps, and P(a=1|A)."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.experiments.experiment import Curve, Experiment
from boltzgrad.experiments.task import Row

PUBLISHED = {1: {"BC-HG": 27.0, "Naive-PGD": 11.4, "Bi-AC": 3.4}, 2: {"BC-HG": 58.9, "Naive-PGD": 32.7, "Bi-AC": 30.9}}
SETTINGS = {1: "bonus 1 (discounted 150-step return)", 2: "bonus 2 (undiscounted 150-step return)"}


def _curves(preset: str) -> list[Curve]:
    iterations = {"smoke": 4, "small": 1000, "full": 500, "paper": 5000}[preset]
    sampling = {"episodes": 3, "horizon": "geometric"}
    out = []
    for bonus, setting in SETTINGS.items():

        def add(
            label: str,
            estimator: dict[str, Any],
            end: float | None = None,
            *,
            reference: bool = False,
            setting: str = setting,
            options: dict[str, Any] | None = None,
            bonus: int = bonus,
        ) -> None:
            arguments = {
                "problem": "toy-game",
                "options": {"bonus": bonus, **(options or {})},
                "judge": {"as_published": False},
                "estimator": estimator,
                "optimiser": {"name": "adam", "rate": 0.05, "decay": True},
                "iterations": iterations,
                "log_every": max(1, iterations // 100),
                "start": 0.0,
                "metric": "toy-game",
            }
            out.append(Curve(setting, label, arguments, end, reference))

        ends = PUBLISHED[bonus]
        add("exact hypergradient", {"method": "exact"}, reference=True)
        add("BC-HG", {"method": "bc-hg", "sampling": sampling}, ends["BC-HG"])
        add("BC-HG, variance-reduced", {"method": "bc-hg", "segments": "exact", "baseline": True, "sampling": sampling})
        summed = {"method": "bc-hg", "segments": "exact", "baseline": True, "actions": "expected", "sampling": sampling}
        add("BC-HG, actions summed out", summed)
        add("the same with a SARSA critic", {**summed, "critic": "sarsa"})
        add("Naive-PGD", {"method": "naive", "baseline": True, "sampling": sampling}, ends["Naive-PGD"])
        add("Bi-AC", {"method": "bi-ac", "sampling": sampling}, ends["Bi-AC"])
        add("exact, for a follower that plans as published", {"method": "exact"}, options={"as_published": True})
    return out


def _which(row: Row) -> int:
    return 1 if "bonus 1" in row["key"] else 2


def read(row: Row) -> Array:
    """The return that the paper shows for this bonus."""
    return np.asarray(row["metric"], float)[:, _which(row)]


def read_end(row: Row) -> float:
    """The same at the last θ."""
    return float(row["metric_last"][_which(row)])


TOY_GAME = Experiment(
    name="toy-game",
    title="The toy Markov game",
    source="BC-HG Fig. 4 and 7",
    quantity="leader's 150-step return",
    curves=_curves,
    seeds={"smoke": 2, "small": 5, "full": 10, "paper": 10},
    read=read,
    read_end=read_end,
)
