"""Followers that are trained for a while only: how long is enough, and whether leader and follower can learn in one loop.

Not published.  The same methods, under one follower: the plug-in gradient of its policy π°, the same after one soft policy
improvement, the direct term alone, and sampled estimators that are told of it what was seen.
"""

from __future__ import annotations

from typing import Any

from boltzgrad.experiments.budgets import against, against_budget
from boltzgrad.experiments.experiment import ITERATIONS, Axis, Curve, Experiment, objective, objective_end
from boltzgrad.experiments.task import TaskFunction

ROOMS = {"problem": "four-rooms", "options": {"kernel": "matrix", "temperature": 0.005, "penalty_weight": 5.0}}
ROOMS_RULE = {"name": "simplex", "start_temperature": None}
LAKE = {"problem": "frozen-lake", "options": {}}
LAKE_RULE = {"name": "ascent", "rate": 0.1}
HOUSE = {"problem": "thermal-control", "options": {}}
HOUSE_RULE = {"name": "ascent", "rate": 0.1, "groups": [4, 4]}
FORMS = {"plug-in": "evaluated", "improved once": "improved", "direct term only": "naive"}

_ITERATIONS = {
    "smoke": {"four-rooms": 4, "frozen-lake": 4, "thermal-control": 4},
    "small": {"four-rooms": 150, "frozen-lake": 100, "thermal-control": 80},
    "paper": {"four-rooms": 1000, "frozen-lake": 400, "thermal-control": 300},
}
_SWEEPS = {
    "smoke": [1, 30],
    "small": [1, 3, 10, 30, 100, 300],
    "paper": [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 1000],
}
_TRAJECTORIES = {
    "smoke": [3, 30],
    "small": [3, 10, 30, 100, 300, 1000],
    "paper": [3, 10, 30, 100, 300, 1000, 3000, 10_000],
}
_MOVES = {"smoke": [7, 100], "small": [7, 10, 30, 100, 300, 1000], "paper": [7, 8, 10, 20, 30, 100, 300, 1000, 10_000]}
_STEPS = (0, 1, 3, 10)
_BATCH = {"smoke": 2, "small": 10, "paper": 30}


class _Setting:
    """One panel: what all its curves have in common."""

    def __init__(
        self,
        name: str,
        preset: str,
        problem: dict[str, Any],
        rule: dict[str, Any],
        run: TaskFunction | None = None,
        axis: Axis = ITERATIONS,
        **more: Any,
    ) -> None:
        iterations = _ITERATIONS[preset][problem["problem"]]
        every = {"log_every": max(1, iterations // 50), "start": 0.01}
        self.common = {**problem, "optimiser": rule, "iterations": iterations, **every, **more}
        self.name, self.run, self.axis, self.curves = name, run, axis, list[Curve]()

    def add(self, label: str, estimator: dict[str, Any], reference: bool = False) -> None:
        """A curve."""
        arguments = {**self.common, "estimator": estimator}
        self.curves.append(Curve(self.name, label, arguments, reference=reference, run=self.run, axis=self.axis))


def _rooms_by_sweeps(preset: str) -> list[Curve]:
    budgets = _SWEEPS[preset]
    made = _Setting(
        "Four-Rooms, value iteration",
        preset,
        ROOMS,
        ROOMS_RULE,
        against_budget,
        against("sweeps of the follower"),
        budgets=budgets,
        option="sweeps",
    )
    made.add("optimal follower", {"method": "exact"}, True)
    follower = {"name": "soft-value-iteration", "sweeps": budgets[-1]}
    for label, form in FORMS.items():
        made.add(label, {"method": "plug-in", "form": form, "follower": follower})
    return made.curves


def _lake_by_trajectories(preset: str) -> list[Curve]:
    budgets = _TRAJECTORIES[preset]
    made = _Setting(
        "FrozenLake 8×8, a black box",
        preset,
        LAKE,
        LAKE_RULE,
        against_budget,
        against("trajectories seen of the follower"),
        budgets=budgets,
        option="trajectories",
    )
    made.add("optimal follower", {"method": "exact"}, True)
    follower = {"name": "from-samples", "trajectories": budgets[-1], "length": 100}
    for label, form in FORMS.items():
        made.add(label, {"method": "plug-in", "form": form, "follower": follower})
    sampled = {"segments": "exact", "sampling": {"episodes": _BATCH[preset]}, "follower": follower}
    made.add("BC-HG", {"method": "bc-hg", "baseline": True, **sampled})
    made.add("HPGD", {"method": "hpgd", "critic": "exact", **sampled})
    return made.curves


def _house_by_moves(preset: str) -> list[Curve]:
    budgets = _MOVES[preset]
    made = _Setting(
        "Thermal control, least squares",
        preset,
        HOUSE,
        HOUSE_RULE,
        against_budget,
        against("moves seen of the follower"),
        budgets=budgets,
        option="samples",
    )
    made.add("optimal follower", {"method": "exact"}, True)
    for label, form in FORMS.items():
        follower = {"name": "fitted-gain", "samples": budgets[-1]}
        made.add(label, {"method": "plug-in", "form": form, "follower": follower})
    return made.curves


def _single_loop(
    name: str,
    preset: str,
    problem: dict[str, Any],
    rule: dict[str, Any],
    learner: dict[str, Any],
    steps: str,
    first: int,
) -> list[Curve]:
    """The follower is trained by `first` steps at θ₀, then by K of them beside each of the leader's."""
    made = _Setting(name, preset, problem, rule)
    made.add("K = ∞ (optimal follower)", {"method": "exact"}, True)
    loop = {"method": "plug-in", "warm": True, "first": {**learner, steps: first}}
    for label in ("plug-in", "improved once"):
        for k in _STEPS:
            made.add(f"{label}, K = {k}", {**loop, "form": FORMS[label], "follower": {**learner, steps: k}})
    made.add("direct term only, K = 10", {**loop, "form": "naive", "follower": {**learner, steps: 10}})
    return made.curves


def _curves(preset: str) -> list[Curve]:
    sweeping = {"name": "soft-value-iteration"}
    riccati = {"name": "riccati-sweeps"}
    stepping = {"name": "natural-policy-gradient", "rate": 0.1}  # ητ/(1 − γ) = 0.06, of 1 that is soft policy iteration
    return [
        *_rooms_by_sweeps(preset),
        *_lake_by_trajectories(preset),
        *_house_by_moves(preset),
        *_single_loop("Four-Rooms, K sweeps a step", preset, ROOMS, ROOMS_RULE, sweeping, "sweeps", 1000),
        *_single_loop("FrozenLake 8×8, K policy steps a step", preset, LAKE, LAKE_RULE, stepping, "steps", 200),
        *_single_loop("Thermal control, K Riccati sweeps a step", preset, HOUSE, HOUSE_RULE, riccati, "sweeps", 200),
    ]


TRAINED_FOLLOWER = Experiment(
    name="trained-follower",
    title="Trained followers",
    source="not published",
    quantity="J under the optimal follower",
    curves=_curves,
    seeds={"smoke": 2, "small": 3, "paper": 10},
    read=objective,
    read_end=objective_end,
)
