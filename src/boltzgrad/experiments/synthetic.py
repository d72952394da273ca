"""SoBiRL's synthetic problem (its Fig. 4), and the variant on which a wrong lower-level gradient shows."""

from __future__ import annotations

from typing import Any

from boltzgrad.experiments.experiment import Curve, Experiment, objective, objective_end

STEP = 0.008  # SoBiRL J.3


def _curves_of(problem: str, published: float | None, step: float) -> Any:
    def curves(preset: str) -> list[Curve]:
        iterations = {"smoke": 5, "small": 2000, "full": 3000, "paper": 3000}[preset]
        out = []

        def add(label: str, estimator: dict[str, Any], end: float | None = None, reference: bool = False) -> None:
            arguments = {
                "problem": problem,
                "options": {},
                "estimator": estimator,
                "optimiser": {"name": "ascent", "rate": step, "clip": None, "descend": True},
                "iterations": iterations,
                "log_every": max(1, iterations // 200),
                "start": 1.0,
                "metric": "policy-spread",
            }
            out.append(Curve("10 states, 5 actions, d = 100", label, arguments, end, reference))

        add("exact hypergradient", {"method": "exact"}, reference=True)
        add("M-SoBiRL", {"method": "m-sobirl"}, published)
        add("M-SoBiRL, lower level stopped", {"method": "m-sobirl", "lower_level": "stopped"})
        add("M-SoBiRL, lower level with the wrong sign", {"method": "m-sobirl", "lower_level": "wrong-sign"})
        return out

    return curves


SYNTHETIC = Experiment(
    name="synthetic",
    title="SoBiRL's synthetic problem",
    source="SoBiRL Fig. 4, J.3",
    quantity="f(x, π*(x))",
    curves=_curves_of("synthetic", 1.0, STEP),
    seeds={"smoke": 2, "small": 5, "full": 10, "paper": 10},
    read=objective,
    read_end=objective_end,
    lower_is_better=True,
)
SYNTHETIC_HARD = Experiment(
    name="synthetic-hard",
    title="A synthetic problem that is not degenerate",
    source="not published; a variant of SoBiRL Fig. 4",
    quantity="f(x, π*(x))",
    curves=_curves_of("synthetic-hard", None, 0.1),
    seeds={"smoke": 2, "small": 5, "full": 10, "paper": 10},
    read=objective,
    read_end=objective_end,
    lower_is_better=True,
)
