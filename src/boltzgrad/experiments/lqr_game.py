"""The bi-level LQR Markov game (BC-HG Fig. 5): the leader's undiscounted return over 100 steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.experiments.experiment import Curve, Experiment
from boltzgrad.experiments.task import Row

PUBLISHED = {"BC-HG": 0.147, "Naive-PGD": 0.020}


def _curves(preset: str) -> list[Curve]:
    iterations = {"smoke": 3, "small": 500, "full": 500, "paper": 2000}[preset]
    sampling = {"episodes": 4}
    out = []

    def add(
        label: str, estimator: dict[str, Any], optimiser: dict[str, Any], end: float | None = None, ref: bool = False
    ) -> None:
        arguments = {
            "problem": "lqr-game",
            "options": {},
            "estimator": estimator,
            "optimiser": optimiser,
            "iterations": iterations,
            "log_every": max(1, iterations // 100),
            "start": 1.0,
            "metric": "lqr-game",
        }
        out.append(Curve("100 steps", label, arguments, end, ref))

    adam = {"name": "adam", "rate": 0.1, "decay": True}
    game = {"method": "game-bc-hg", "sampling": sampling}
    add("exact hypergradient", {"method": "exact"}, adam, ref=True)
    add("exact, plain steps clipped to 1", {"method": "exact"}, {"name": "ascent", "rate": 1.0})
    add("BC-HG", game, {**adam, "clip": 1.0}, PUBLISHED["BC-HG"])
    add("BC-HG, centred scores", {**game, "baseline": True}, adam)
    add("BC-HG, variance-reduced", {**game, "baseline": True, "segments": "exact"}, adam)
    summed = {**game, "baseline": True, "segments": "exact", "actions": "expected"}
    add("BC-HG, actions summed out", summed, adam)
    add("BC-HG, returns for a critic", {**game, "baseline": True, "critic": "monte-carlo"}, adam)
    add("Naive-PGD", {**game, "method": "game-naive", "baseline": True}, adam, PUBLISHED["Naive-PGD"])
    return out


def read(row: Row) -> Array:
    """The undiscounted return along the run."""
    return np.asarray(row["metric"], float)


def read_end(row: Row) -> float:
    """The same at the last θ."""
    return float(row["metric_last"])


LQR_GAME = Experiment(
    name="lqr-game",
    title="The bi-level LQR game",
    source="BC-HG Fig. 5",
    quantity="leader's undiscounted return",
    curves=_curves,
    seeds={"smoke": 2, "small": 5, "full": 20, "paper": 20},
    read=read,
    read_end=read_end,
)
