"""What the papers' figures say, beside the same runs made again: read from committed rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boltzgrad.experiments.four_rooms import PUBLISHED, TABLE
from boltzgrad.findings.finding import Finding, Numbers, Rows

ROOMS, TOY = "four-rooms", "toy-game"
TEMPERATURES = (0.001, 0.003, 0.005)
ESCAPED = 0.05
"""A run has left the zero-penalty optimum when it ends this far above the exact gradient's end."""


def _at(tau: float, batch: int = 100) -> str:
    return f"temperature {tau}, batch {batch}"


def _ends(rows: Rows, method: str) -> Numbers:
    """Its ends at the three temperatures, as a, b, c, and how far each is from print."""
    found = {n: rows.end(ROOMS, method, _at(tau)) for n, tau in zip("abc", TEMPERATURES, strict=True)}
    if (TEMPERATURES[0], method) in PUBLISHED:
        for n, tau in zip("abc", TEMPERATURES, strict=True):
            found[f"print_{n}"] = PUBLISHED[tau, method][0]
    return found


def left(ends: list[float], trap: float) -> list[float]:
    """The ends of the seeds that left the trap."""
    return [e for e in ends if e > trap + ESCAPED]


def _leaving(rows: Rows, method: str, tau: float, batch: int, at: int) -> Numbers:
    ends = rows.seeds(ROOMS, method, _at(tau, batch))
    out = left(ends, rows.end(ROOMS, "exact hypergradient", _at(tau)))
    return {
        "mean": float(np.mean(ends)),
        "print": PUBLISHED[tau, method][at],
        "left": len(out),
        "seeds": len(ends),
        "of_those": float(np.mean(out)),
    }


def _by_critic(rows: Rows) -> Numbers:
    trap = rows.end(ROOMS, "exact hypergradient", _at(0.003))
    out: dict[str, float] = {"print": PUBLISHED[0.003, "HPGD (SA)"][0]}
    for rate, name in ((0.3, "slow"), (0.5, "half"), (0.9, "fast")):
        if rate == 0.5:
            ends = rows.seeds(ROOMS, "HPGD (SA)", _at(0.003))
        else:
            ends = rows.seeds(ROOMS, f"HPGD (SA) sarsa {rate} rate 0.1", _at(0.003), "paper")
        gone = left(ends, trap)
        out |= {"seeds": len(ends), name: len(gone), f"{name}_end": float(np.mean(ends))}
        if gone:
            out[f"{name}_left"] = float(np.mean(gone))
    return out


GOALS, AT = "four-rooms-two-goals", "temperature 0.003, penalty weight 1"


def _thermal(rows: Rows) -> Numbers:
    name = "thermal-control"
    ends = rows.seeds(name, "BC-HG")
    return {
        "mean": float(np.mean(ends)),
        "worst": min(ends),
        "best": max(ends),
        "seeds": len(ends),
        "naive": rows.end(name, "Naive-PGD"),
        "reduced": rows.end(name, "BC-HG, variance-reduced"),
        "exact": rows.end(name, "exact hypergradient"),
    }


def _two_goals(rows: Rows) -> Numbers:
    return {
        "amd_print": TABLE[0.003, 1.0][1],
        "amd": rows.end(GOALS, "AMD", AT, "small"),
        "amd_cosine": rows.cosine(GOALS, "AMD", AT, "small"),
        "short": rows.end(GOALS, "exact hypergradient", AT, "small"),
        "exact": rows.end(GOALS, "exact hypergradient", AT),
    }


def _zero_order(rows: Rows) -> Numbers:
    ends = rows.seeds(GOALS, "zero-order", AT)
    return {"mean": float(np.mean(ends)), "print": TABLE[0.003, 1.0][2], "least": min(ends), "most": max(ends)}


def _noise(rows: Rows) -> Numbers:
    runs = noisy = published = 0
    for tau in TEMPERATURES:
        trap = rows.end(ROOMS, "exact hypergradient", _at(tau), "small")
        ends = rows.seeds(ROOMS, "exact + noise of BC-HG as published", _at(tau), "small")
        runs, noisy = runs + len(ends), noisy + len(left(ends, trap))
        published += len(left(rows.seeds(ROOMS, "BC-HG as published, matrix world", _at(tau), "small"), trap))
    return {"runs": runs, "noisy": noisy, "published": published}


def _simplex(rows: Rows) -> Numbers:
    best = {
        f"best_{n}": max(v[b] for (t, _), v in PUBLISHED.items() if t == tau for b in range(4))
        for n, tau in zip("abc", TEMPERATURES, strict=True)
    }
    sampled = _ends(rows, "BC-HG, actions summed out, simplex steps")
    return {**_ends(rows, "exact, simplex steps"), **best, **{f"sampled_{k}": v for k, v in sampled.items()}}


def _oracle(rows: Rows) -> Numbers:
    short = rows.end(ROOMS, "HPGD (oracle)", _at(0.003), "small")
    return {"full": rows.end(ROOMS, "HPGD (oracle)", _at(0.003)), "short": short}


def _toy(method: str) -> Callable[[Rows], Numbers]:
    def read(rows: Rows) -> Numbers:
        return {f"end_{b}": rows.end(TOY, method, f"bonus {b}") for b in (1, 2)}

    return read


def _synthetic(name: str) -> Callable[[Rows], Numbers]:
    def read(rows: Rows) -> Numbers:
        methods = {
            "exact": "exact hypergradient",
            "theirs": "M-SoBiRL",
            "none": "M-SoBiRL, lower level stopped",
            "wrong": "M-SoBiRL, lower level with the wrong sign",
        }
        return {key: rows.end(name, method) for key, method in methods.items()}

    return read


def _small(name: str, **methods: str) -> Callable[[Rows], Numbers]:
    """The ends of the methods of a run of the preset `small`, and their cosines."""

    def read(rows: Rows) -> Numbers:
        ends = {key: rows.end(name, method, preset="small") for key, method in methods.items()}
        return {**ends, **{f"{k}_cosine": rows.cosine(name, m, preset="small") for k, m in methods.items()}}

    return read


def _full(only: str) -> str:
    return f'boltzgrad experiment four-rooms --preset full --only "{only}"'


FINDINGS = (
    Finding(
        name="local-optimum",
        about="BC-HG, Fig. 2 and 6",
        cuts="against print",
        says="Ascent along the exact hypergradient from the published start stays in the zero-penalty optimum for 10,000 "
        "iterations (J = {a:.3f}, {b:.3f}, {c:.3f} at τ = .001, .003, .005), where the published BC-HG is said to end"
        " at .667, .546, 1.339. The published ranking does not measure how good a gradient is.",
        size="J = {a:.3f} for .667",
        again=_full("exact hypergradient"),
        read=lambda rows: _ends(rows, "exact hypergradient"),
    ),
    Finding(
        name="noise-does-not-leave-it",
        about="BC-HG, Fig. 2 and 6",
        cuts="against print",
        says="Zero-mean noise with the covariance of the published estimate, added to the exact gradient, leaves that "
        "optimum in {noisy:.0f} of {runs:.0f} runs; the published estimate in {published:.0f}.",
        size="{noisy:.0f} of {runs:.0f} for {published:.0f}",
        again='boltzgrad experiment four-rooms --preset small --only "exact + noise"',
        read=_noise,
    ),
    Finding(
        name="simplex-steps",
        about="BC-HG, Fig. 2 and 6",
        cuts="against print",
        says="Projected steps on the simplex of penalties under a falling temperature end at {a:.3f}, {b:.3f}, {c:.3f} "
        "along the exact gradient and at {sampled_a:.3f}, {sampled_b:.3f}, {sampled_c:.3f} from samples; the best in "
        "print, of any method and batch, are {best_a:.3f}, {best_b:.3f}, {best_c:.3f}.",
        size="{a:.3f} for {best_a:.3f}",
        again=_full("simplex steps"),
        read=_simplex,
    ),
    Finding(
        name="bc-hg-made-again",
        about="BC-HG, Fig. 2",
        cuts="for print",
        says="BC-HG as published ends at {a:.3f}, {b:.3f}, {c:.3f} at the published length (print {print_a:.3f}, "
        "{print_b:.3f}, {print_c:.3f}; one of its step sizes, as which won is recorded nowhere).",
        size="{b:.3f} for {print_b:.3f}",
        again=_full(", batch 100: BC-HG seeds"),
        read=lambda rows: _ends(rows, "BC-HG"),
    ),
    Finding(
        name="hpgd-mc-made-again",
        about="BC-HG, Fig. 2",
        cuts="for print",
        says="HPGD (MC) ends at {a:.3f}, {b:.3f}, {c:.3f} (print {print_a:.3f}, {print_b:.3f}, {print_c:.3f}).",
        size="{b:.3f} for {print_b:.3f}",
        again=_full(", batch 100: HPGD (MC)"),
        read=lambda rows: _ends(rows, "HPGD (MC)"),
    ),
    Finding(
        name="hpgd-oracle-needs-its-length",
        about="BC-HG, Fig. 2",
        cuts="for print",
        says="HPGD (oracle) at τ = .003 ends at {full:.3f} with its 10,000 iterations and 10,000 further steps in each "
        "(print .526), and at {short:.3f} with 4000 and 1000.",
        size="{full:.3f} for .526",
        again=_full("temperature 0.003, batch 100: HPGD (oracle)"),
        read=_oracle,
    ),
    Finding(
        name="hpgd-sa-and-its-critic",
        about="BC-HG, Fig. 2",
        cuts="for print",
        says="Whether HPGD (SA) leaves the zero-penalty optimum at τ = .003 is up to its critic's rate, which print does "
        "not record: of {seeds:.0f} seeds (step size .1, 10,000 iterations) {slow:.0f} leave with a SARSA rate of .3,"
        " {half:.0f} with .5 (mean end {half_end:.3f}; of those that leave {half_left:.3f}) and {fast:.0f} with .9 "
        "({fast_end:.3f}); print has {print:.3f}.",
        size="{slow:.0f}, {half:.0f}, {fast:.0f} of {seeds:.0f} seeds",
        again='boltzgrad experiment four-rooms --preset paper --only "temperature 0.003, batch 100: HPGD (SA)"',
        read=_by_critic,
    ),
    Finding(
        name="bc-hg-of-200-leaves-by-chance",
        about="BC-HG, Fig. 6",
        cuts="not settled",
        says="BC-HG with batches of 200 at τ = .001, at the same rates, ends at {mean:.3f} on average ({print:.3f} in "
        "print): {left:.0f} of {seeds:.0f} seeds leave and end at {of_those:.3f}.",
        size="{left:.0f} of {seeds:.0f} seeds",
        again=_full("temperature 0.001, batch 200: BC-HG"),
        read=lambda rows: _leaving(rows, "BC-HG", 0.001, 200, 1),
    ),
    Finding(
        name="amd-needs-its-length",
        about="HPGD, Table 1",
        cuts="for print",
        says="AMD with two goals at τ = .003 and weight 1 ends at {amd:.2f} after 600 iterations, as does the exact "
        "gradient ({short:.2f}), which its tables follow (cosine {amd_cosine:.3f}). After 10,000, as in print, the "
        "exact gradient ends at {exact:.2f}; print has {amd_print:.2f} for AMD.",
        size="{exact:.2f} for {amd_print:.2f}",
        again=f'boltzgrad experiment four-rooms-two-goals --preset full --only "{AT}: exact hyper"',
        read=_two_goals,
    ),
    Finding(
        name="zero-order-two-goals",
        about="HPGD, Table 1",
        cuts="not settled",
        says="Zero-order with two goals at τ = .003 and weight 1 ends at {mean:.2f} after the published 10,000 iterations "
        "({print:.2f} in print), its seeds between {least:.2f} and {most:.2f}.",
        size="{mean:.2f} for {print:.2f}",
        again=f'boltzgrad experiment four-rooms-two-goals --preset full --only "{AT}: zero"',
        read=_zero_order,
    ),
    Finding(
        name="toy-actions-summed-out",
        about="BC-HG, Fig. 4 and 7",
        cuts="for print",
        says="In the toy game BC-HG with the follower's actions summed out ends at {end_1:.2f} and {end_2:.2f}, the best "
        "there is (print 27.0, 58.9).",
        size="{end_1:.2f} for 27.0",
        again='boltzgrad experiment toy-game --preset full --only "actions summed out"',
        read=_toy("BC-HG, actions summed out"),
    ),
    Finding(
        name="toy-cliff",
        about="BC-HG, Fig. 4 and 7",
        cuts="against print",
        says="Above the best P(1|A) the follower stops coming and J is flat; BC-HG with sampled actions and exact values "
        "steps over that edge and ends at {end_1:.2f} and {end_2:.1f} on average after the published 500 iterations "
        "(print, with networks and replayed batches, 27.0 and 58.9).",
        size="{end_1:.2f} for 27.0",
        again='boltzgrad experiment toy-game --preset full --only "BC-HG seeds"',
        read=_toy("BC-HG"),
    ),
    Finding(
        name="synthetic-degenerate",
        about="SoBiRL, Fig. 4",
        cuts="against print",
        says="SoBiRL's synthetic problem ends at {theirs:.4f} after the published 3000 iterations, and at {none:.4f} with "
        "its lower-level gradient left out altogether: the curve cannot tell a right one from none.",
        size="{none:.4f} without it",
        again="boltzgrad experiment synthetic --preset full",
        read=_synthetic("synthetic"),
    ),
    Finding(
        name="synthetic-hard",
        about="a synthetic problem that is not degenerate",
        cuts="for print",
        says="With independent reward directions M-SoBiRL ends at {theirs:.2f} ({exact:.2f} along the exact gradient), at "
        "{none:.2f} with its lower-level gradient left out, and at {wrong:.1f} with its sign wrong.",
        size="{theirs:.2f} for {exact:.2f}",
        again="boltzgrad experiment synthetic-hard --preset full",
        read=_synthetic("synthetic-hard"),
    ),
    Finding(
        name="thermal-optimum",
        about="BC-HG, Fig. 3",
        cuts="against print",
        says="Thermal control can reach J = {exact:.1f} along the exact gradient (print −196.2), and {reduced:.1f} by "
        "BC-HG with a closed-form ∇Q_F from ten trajectories an iteration.",
        size="{exact:.1f} for −196.2",
        again='boltzgrad experiment thermal-control --preset small --only "exact hypergradient"',
        read=_small("thermal-control", exact="exact hypergradient", reduced="BC-HG, variance-reduced"),
    ),
    Finding(
        name="thermal-noise",
        about="BC-HG, thermal control",
        cuts="against print",
        says="The published segment gradient multiplies scores of size 1/.02 with values of size 10²: along its run (ten "
        "trajectories an iteration) its cosine with ∇J is {theirs_cosine:.2f}; with the closed-form ∇Q_F it is "
        "{reduced_cosine:.2f}.",
        size="cosine {theirs_cosine:.2f}",
        again='boltzgrad experiment thermal-control --preset small --only "BC-HG"',
        read=_small("thermal-control", theirs="BC-HG", reduced="BC-HG, variance-reduced"),
    ),
    Finding(
        name="thermal-at-full-length",
        about="BC-HG, Fig. 3",
        cuts="against print",
        says="At the published length, with Q_L a quadratic fitted to each batch in place of a network, BC-HG's {seeds:.0f} "
        "seeds end between {worst:.0f} and {best:.0f}, {mean:.0f} on average (print −196.2), and Naive-PGD at {naive:.0f} "
        "(print −211.2); from a tenth of the trajectories the variance-reduced estimator ends at {reduced:.1f}, as does the "
        "exact gradient.",
        size="{mean:.0f} for −196.2",
        again='boltzgrad experiment thermal-control --preset full --only "BC-HG"',
        read=_thermal,
    ),
    Finding(
        name="lqr-optimum",
        about="BC-HG, Fig. 5",
        cuts="against print",
        says="In the LQR game Adam along the exact gradient reaches an undiscounted return of {exact:.2f}, and BC-HG with "
        "the actions summed out {summed:.2f} from four trajectories an iteration; print has .147.",
        size="{exact:.1f} for .147",
        again='boltzgrad experiment lqr-game --preset small --only "exact hypergradient"',
        read=_small("lqr-game", exact="exact hypergradient", summed="BC-HG, actions summed out"),
    ),
    Finding(
        name="lqr-naive-made-again",
        about="BC-HG, Fig. 5",
        cuts="for print",
        says="Naive-PGD ends at {naive:.3f} in the LQR game (print .020).",
        size="{naive:.3f} for .020",
        again='boltzgrad experiment lqr-game --preset small --only "Naive-PGD"',
        read=_small("lqr-game", naive="Naive-PGD"),
    ),
)
