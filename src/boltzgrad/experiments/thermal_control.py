"""Building thermal control (BC-HG Fig. 3, 9; appendix C.5)."""

from __future__ import annotations

from typing import Any

from boltzgrad.experiments.experiment import Curve, Experiment, objective, objective_end

PUBLISHED = {"BC-HG": -196.2, "Naive-PGD": -211.2, "HPGD (TD)": -236.8, "HPGD (MC)": -267.0}
RATES = {"BC-HG": 0.1, "Naive-PGD": 0.1, "HPGD (TD)": 0.01, "HPGD (MC)": 0.001}  # the published grid's winners


def _curves(preset: str) -> list[Curve]:
    iterations = {"smoke": 4, "small": 300, "full": 2000, "paper": 2000}[preset]
    episodes = {"smoke": 5, "small": 10, "full": 100, "paper": 100}[preset]
    whole = {"episodes": episodes, "horizon": "geometric"}
    theirs: dict[str, Any] = {"as_published": True, "sampling": {"episodes": episodes, "horizon": 100}}
    updates = {"smoke": 5, "small": 40, "paper": 1000}
    # At full length Q_L, which is quadratic, is fitted by least squares: networks would take days.
    network: Any = {"name": "network", "updates": updates[preset]} if preset in updates else "td"
    out = []

    def add(
        label: str, estimator: dict[str, Any], rate: float = 0.1, end: float | None = None, reference: bool = False
    ) -> None:
        arguments = {
            "problem": "thermal-control",
            "options": {},
            "estimator": estimator,
            "optimiser": {"name": "ascent", "rate": rate, "groups": [4, 4]},
            "iterations": iterations,
            "log_every": max(1, iterations // 100),
            "start": 0.01,
            "metric": "levels",
        }
        out.append(Curve("γ = 0.9, temperature 0.1", label, arguments, end, reference))

    add("exact hypergradient", {"method": "exact"}, reference=True)
    published = (
        ("BC-HG", {"method": "bc-hg", "critic": network}),
        ("Naive-PGD", {"method": "naive", "critic": network}),
        ("HPGD (TD)", {"method": "hpgd", "critic": network, "segments": "sampled"}),
        ("HPGD (MC)", {"method": "hpgd", "critic": "monte-carlo", "segments": "sampled"}),
    )
    for label, estimator in published:
        add(label, {**estimator, **theirs}, RATES[label], PUBLISHED[label])
    add("BC-HG, exact Benefit", {"method": "bc-hg", "sampling": whole})
    add("BC-HG, centred scores", {"method": "bc-hg", "baseline": True, "sampling": whole})
    reduced = {"method": "bc-hg", "segments": "exact", "baseline": True, "sampling": whole}
    add("BC-HG, variance-reduced", reduced)
    add("BC-HG, var.-red., fitted critic", {**reduced, "critic": "td"})
    if preset != "full":
        add("BC-HG, var.-red., network critic", {**reduced, "critic": network})
    return out


THERMAL_CONTROL = Experiment(
    name="thermal-control",
    title="Building thermal control",
    source="BC-HG Fig. 3 and 9",
    quantity="leader's objective",
    curves=_curves,
    seeds={"smoke": 2, "small": 5, "full": 10, "paper": 10},
    read=objective,
    read_end=objective_end,
)
