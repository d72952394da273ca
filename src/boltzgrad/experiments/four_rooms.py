"""Four-Rooms, single goal (BC-HG Fig. 2, 6) and two goals (HPGD Table 1).

Published methods run as published: rolled out in the simulator's world by a follower that plans with the matrix, J reported
with the matrix.  Ours run in the matrix' world throughout.
"""

from __future__ import annotations

from typing import Any

from boltzgrad.experiments.experiment import Curve, Experiment, objective, objective_end

# BC-HG Fig. 2, 6, read off the figures: (temperature, batch) -> end value (mean of the last 1000 iterations, 10 seeds).
BATCHES = {100: (1, 100), 200: (1, 200), 400: (2, 200), 1000: (5, 200)}
PUBLISHED = {
    (0.001, "BC-HG"): (0.667, 0.647, 0.545, 0.199),
    (0.001, "HPGD (oracle)"): (0.692, 0.699, 0.699, 0.699),
    (0.001, "HPGD (MC)"): (0.010, -0.102, 0.014, 0.205),
    (0.001, "HPGD (SA)"): (0.018, 0.001, 0.001, 0.001),
    (0.001, "SoBiRL = Naive-PGD"): (0.001,) * 4,
    (0.003, "BC-HG"): (0.546, 0.550, 0.520, 0.265),
    (0.003, "HPGD (oracle)"): (0.526, 0.526, 0.527, 0.531),
    (0.003, "HPGD (MC)"): (0.099, 0.198, 0.235, 0.258),
    (0.003, "HPGD (SA)"): (0.410, 0.127, 0.001, 0.001),
    (0.003, "SoBiRL = Naive-PGD"): (0.001,) * 4,
    (0.005, "BC-HG"): (1.339, 1.299, 1.313, 1.033),
    (0.005, "HPGD (oracle)"): (0.844, 0.779, 0.789, 0.953),
    (0.005, "HPGD (MC)"): (1.166, 1.214, 1.258, 1.212),
    (0.005, "HPGD (SA)"): (0.837, 0.836, 1.059, 0.797),
    (0.005, "SoBiRL = Naive-PGD"): (0.018,) * 4,
}
# HPGD Table 1: (temperature, penalty weight) -> HPGD, AMD, zero-order.
TABLE = {
    (0.001, 1.0): (0.91, 0.58, 0.59),
    (0.001, 3.0): (0.51, 0.51, 0.50),
    (0.001, 5.0): (0.46, 0.46, 0.46),
    (0.003, 1.0): (0.95, 1.00, 0.91),
    (0.003, 3.0): (0.73, 0.39, 0.40),
    (0.003, 5.0): (0.29, 0.32, 0.32),
    (0.005, 1.0): (1.17, 1.28, 1.15),
    (0.005, 3.0): (1.01, 1.13, 1.02),
    (0.005, 5.0): (0.87, 0.97, 0.79),
}
TEMPERATURES = (0.001, 0.003, 0.005)

_ITERATIONS = {"smoke": 6, "small": 4000, "full": 10_000, "paper": 10_000}
_ORACLE = {"smoke": 200, "small": 1000, "full": 10_000, "paper": 10_000}


def published(method: str, steps: tuple[int, int], **options: Any) -> dict[str, Any]:
    """The estimator as the authors run it, on `steps` = environments × steps with their time limit."""
    sampling = {"episodes": steps[0], "steps": steps[1], "time_limit": 200}
    return {"method": method, "as_published": True, "sampling": sampling, **options}


def sarsa(rate: float = 0.5) -> dict[str, Any]:
    """The authors' critic."""
    return {"name": "sarsa", "learning_rate": rate, "as_published": True}


def _curve(
    problem: str,
    setting: str,
    label: str,
    options: dict[str, Any],
    iterations: int,
    estimator: dict[str, Any],
    optimiser: dict[str, Any],
    *,
    published_end: float | None = None,
    reference: bool = False,
    judge: dict[str, Any] | None = None,
) -> Curve:
    arguments = {
        "problem": problem,
        "options": options,
        "estimator": estimator,
        "optimiser": optimiser,
        "iterations": iterations,
        "log_every": max(1, iterations // 200),
        "start": 0.01,
        "judge": judge or {},
    }
    return Curve(setting, label, arguments, published_end, reference)


def _single(preset: str) -> list[Curve]:
    batches = BATCHES if preset in ("full", "paper") else {100: BATCHES[100]}
    temperatures = (0.003,) if preset == "smoke" else TEMPERATURES
    return [c for batch in batches for tau in temperatures for c in _setting(preset, tau, batch)]


def _setting(preset: str, tau: float, batch: int) -> list[Curve]:
    iterations, steps = _ITERATIONS[preset], BATCHES[batch]
    at = list(BATCHES).index(batch)
    setting = f"temperature {tau}, batch {batch}"
    ours = {"kernel": "matrix", "temperature": tau, "penalty_weight": 5.0}
    theirs = {**ours, "kernel": "as-published"}
    rates = (0.5, 0.1, 0.05, 0.01) if preset == "paper" else (0.1,)
    tables = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0) if preset == "paper" else (0.5,)
    out = []
    for rate in rates:
        grid = {"name": "ascent", "rate": rate}
        many = f" rate {rate}" if len(rates) > 1 else ""

        def theirs_as(
            label: str, estimator: dict[str, Any], note: str = "", grid: dict[str, Any] = grid, many: str = many
        ) -> None:
            end = PUBLISHED[tau, label][at]
            out.append(
                _curve(
                    "four-rooms",
                    setting,
                    f"{label}{note}{many}",
                    theirs,
                    iterations,
                    estimator,
                    grid,
                    published_end=end,
                    judge={"kernel": "matrix"},
                )
            )

        for table in tables:
            note = f" sarsa {table}" if len(tables) > 1 else ""
            theirs_as("BC-HG", published("bc-hg", steps, critic=sarsa(table)), note)
            theirs_as("HPGD (SA)", published("hpgd", steps, critic=sarsa(table)), note)
        theirs_as("HPGD (MC)", published("hpgd", steps))
        theirs_as("HPGD (oracle)", published("hpgd-oracle", steps, oracle_steps=_ORACLE[preset]))
        theirs_as("SoBiRL = Naive-PGD", published("naive", steps))
    if preset == "full" and batch != 100:
        return out  # what follows hardly depends on the batch
    # About as many environment steps as the published batch: an episode takes 40 to 90.
    sampling = {"episodes": max(1, round(batch / 90)), "horizon": "geometric"}
    reduced = {"method": "bc-hg", "segments": "exact", "baseline": True, "sampling": sampling}
    summed = {**reduced, "actions": "expected"}
    slow = {"name": "ascent", "rate": 0.1}
    hop = {"name": "simplex", "rate": 0.1, "average": 0.1}

    def ours_as(label: str, estimator: dict[str, Any], optimiser: dict[str, Any], reference: bool = False) -> None:
        out.append(_curve("four-rooms", setting, label, ours, iterations, estimator, optimiser, reference=reference))

    like = published("bc-hg", steps, critic=sarsa())
    ours_as("exact hypergradient", {"method": "exact"}, {"name": "ascent", "rate": 0.5}, True)
    if preset == "full":
        ours_as("exact, simplex steps", {"method": "exact"}, {"name": "simplex"})
        ours_as("BC-HG, actions summed out, simplex steps", summed, hop)
        return out
    ours_as("exact + noise of BC-HG as published", {"method": "noisy-exact", "like": like}, slow)
    ours_as("BC-HG as published, matrix world", like, slow)
    ours_as("exact Benefit in the published batches", {**like, "critic": "exact"}, slow)
    ours_as("BC-HG, exact Benefit", {"method": "bc-hg", "baseline": True, "sampling": sampling}, slow)
    ours_as("BC-HG, variance-reduced", reduced, slow)
    ours_as("exact, simplex steps", {"method": "exact"}, {"name": "simplex"})
    ours_as("BC-HG, actions summed out, simplex steps", summed, hop)
    critic = {"name": "sarsa", "learning_rate": 0.5}
    ours_as("the same with a SARSA critic", {**summed, "critic": critic}, {**hop, "rate": 0.03, "average": 0.02})
    return out


def _two_goals(preset: str) -> list[Curve]:
    iterations = {"smoke": 4, "small": 600, "full": 10_000, "paper": 10_000}[preset]
    settings = {"smoke": [(0.003, 1.0)]}.get(preset, list(TABLE))
    out = []
    for tau, beta in settings:
        name = f"temperature {tau}, penalty weight {beta:g}"
        options = {"kernel": "matrix", "temperature": tau, "penalty_weight": beta}
        hpgd, amd, zero = TABLE[tau, beta]

        def add(
            label: str,
            estimator: dict[str, Any],
            optimiser: dict[str, Any],
            end: float | None = None,
            reference: bool = False,
            name: str = name,
            options: dict[str, Any] = options,
        ) -> None:
            out.append(
                _curve(
                    "four-rooms-two-goals",
                    name,
                    label,
                    options,
                    iterations,
                    estimator,
                    optimiser,
                    published_end=end,
                    reference=reference,
                )
            )

        climb = {"name": "ascent", "rate": 0.5}
        long = preset in ("full", "paper")
        steps = (5, 2000) if long else (1, 200)
        fast = {"name": "ascent", "rate": 0.1 if long else 0.5}
        add("exact hypergradient", {"method": "exact"}, climb, None, True)
        add("HPGD (MC)", published("hpgd", steps), fast, hpgd)
        # AMD's tables are nearly exact after a few calls: sweeps beyond that only cost time.
        add("AMD", {"method": "amd", "sweeps": 100 if preset == "paper" else 10}, climb, amd)
        add("zero-order", {"method": "zero-order", "radius": 0.1}, fast if preset == "paper" else climb, zero)
        add("exact, simplex steps", {"method": "exact"}, {"name": "simplex"})
    return out


FOUR_ROOMS = Experiment(
    name="four-rooms",
    title="Four-Rooms, one goal",
    source="BC-HG Fig. 2 and 6",
    quantity="leader's objective",
    curves=_single,
    seeds={"smoke": 2, "small": 5, "full": 10, "paper": 10},
    read=objective,
    read_end=objective_end,
)
TWO_GOALS = Experiment(
    name="four-rooms-two-goals",
    title="Four-Rooms, two goals",
    source="HPGD Table 1",
    quantity="leader's objective",
    curves=_two_goals,
    seeds={"smoke": 2, "small": 3, "full": 10, "paper": 10},
    read=objective,
    read_end=objective_end,
)
