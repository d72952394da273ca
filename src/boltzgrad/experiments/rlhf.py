"""Learning from preferences on a table (SoBiRL 8, Table 2): what DRLHF, PBRL and SoBiRL descend, beside the exact gradient."""

from __future__ import annotations

from typing import Any

from boltzgrad.experiments.experiment import Curve, Experiment, objective, objective_end

TEMPERATURES = (0.3, 0.1)
WEIGHT = 2.0  # PBRL's, SoBiRL J.2


def _curves(preset: str) -> list[Curve]:
    iterations = {"smoke": 4, "small": 150, "paper": 1000}[preset]
    tuples = 100
    out = []
    for temperature in TEMPERATURES:

        def add(
            label: str, estimator: dict[str, Any], reference: bool = False, temperature: float = temperature
        ) -> None:
            arguments = {
                "problem": "rlhf",
                "options": {"temperature": temperature},
                "estimator": estimator,
                "optimiser": {"name": "adam", "rate": 0.05, "decay": True, "descend": True},
                "iterations": iterations,
                "log_every": max(1, iterations // 50),
                "start": 1.0,
                "metric": "preferences",
            }
            out.append(Curve(f"temperature {temperature}", label, arguments, None, reference))

        sobirl = {"method": "trajectory-sobirl", "tuples": tuples}
        add("exact hypergradient", {"method": "exact"}, True)
        add("SoBiRL (13)", {**sobirl, "depth": None})
        add("SoBiRL (13), with a baseline", {**sobirl, "depth": None, "baseline": True})
        add("SoBiRL (99)", sobirl)
        add("SoBiRL (99), in expectation", {"method": "trajectory-sobirl", "tuples": None})
        add("DRLHF", {"method": "drlhf", "tuples": tuples})
        add("DRLHF, in expectation", {"method": "drlhf", "tuples": None})
        add(f"PBRL, λ = {WEIGHT:g}", {"method": "pbrl", "weight": WEIGHT})
    return out


RLHF = Experiment(
    name="rlhf",
    title="Learning from preferences",
    source="SoBiRL 8, Table 2 (there with networks; here on a table of 3 states)",
    quantity="cross-entropy of the reward model's preferences",
    curves=_curves,
    seeds={"smoke": 2, "small": 5, "paper": 10},
    read=objective,
    read_end=objective_end,
    lower_is_better=True,
)
