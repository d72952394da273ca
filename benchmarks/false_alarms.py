"""False alarms: how often the judge says something against a right gradient, on random problems up to the edges.

    python benchmarks/false_alarms.py --count 20000 --jobs 2

Problems are the test kit's own strategies' and the generators below (discounts to 1 − 1e-9, rare and frequent endings,
temperatures from 1e-4 to 1e4, rewards and coordinates of θ in units from 1e-12 to 1e12).  Each is verified by the routes named
in ROUTES, and the gradient of one of them is then handed in as a candidate.  Written: `results/false_alarms.json` and the page
`results/false_alarms.md`.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import sys
import time
import warnings
from pathlib import Path

import autograd.numpy as anp
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.families.registry import family_of
from boltzgrad.testing import check_hypergradient
from boltzgrad.testing import strategies as bst
from boltzgrad.verify.tolerances import RESOLUTION, SAFETY, Verdict, Yardstick

HERE = Path(__file__).parent / "results"
ROUTES = {
    "tabular": ("covariance", "implicit", "penalty", "hessian", "unrolled-implicit", "complex-step", "differences"),
    "horizon": ("expanded-adjoint", "expanded-implicit", "expanded-penalty", "unrolled", "complex-step", "differences"),
    "game": ("theorem2", "lifted-implicit", "lifted-penalty", "lifted-hessian", "complex-step", "differences"),
    "lqr": ("covariance", "implicit", "unrolled-implicit", "complex-step", "differences"),
}
ALARMS = (Verdict.DISAGREES, Verdict.NOT_SMOOTH, Verdict.MODEL)


def edge_discount(rng):
    return float(rng.choice([0.0, 0.5, 0.9, 0.99, 1 - 1e-3, 1 - 1e-4, 1 - 1e-6, 1 - 1e-9]))


def edge_table(rng):
    """A tabular problem at the edges, with its θ."""
    S, A, d = (int(rng.integers(1, n)) for n in (6, 4, 4))
    tau = 10.0 ** rng.uniform(-4, 4)
    ending = float(rng.choice([0.0, 0.0, 1e-6, 1e-4, 0.01, 0.3]))
    unit_r, unit_l = (10.0 ** int(rng.integers(-12, 13)) for _ in range(2))
    units = 10.0 ** rng.integers(-12, 13, size=d)
    p = rng.dirichlet(np.full(S, 0.5), size=(S, A))
    if rng.random() < 0.3:  # deterministic moves
        p = np.eye(S)[rng.integers(0, S, size=(S, A))]
    p = p * (1.0 - ending)
    q = rng.dirichlet(np.ones(S), size=(S, A)) * (1.0 - ending)
    slopes = rng.standard_normal((2, S, A, d))
    rewards = rng.standard_normal((2, S, A)) + float(rng.choice([0.0, 0.0, 1e3, -1e5]))
    weight, rho = rng.standard_normal(d), rng.dirichlet(np.ones(S))
    constants = {
        "follower_discount": edge_discount(rng),
        "leader_discount": edge_discount(rng),
        "temperature": tau * unit_r,
    }
    scale = min(tau, 1.0)

    def build(theta):
        t = theta / units
        mix = bg.sigmoid(anp.dot(weight, t))
        return bg.TabularModel(
            p + mix * (q - p), rho, unit_r * (rewards[0] + scale * anp.dot(slopes[0], t)),
            unit_l * (rewards[1] + anp.dot(slopes[1], t)), **constants,
        )  # fmt: skip

    return bg.ConfigurableMDP(build, dim=d), rng.standard_normal(d) * units


def edge_game(rng):
    """A game at the edges, with its θ."""
    S, A, B = (int(rng.integers(1, n)) for n in (4, 4, 4))
    unit_r, unit_l = (10.0 ** int(rng.integers(-12, 13)) for _ in range(2))
    ending = float(rng.choice([0.0, 1e-4, 0.1]))
    units = 10.0 ** rng.integers(-12, 13, size=S * A)
    observes = bool(rng.random() < 0.7)
    game = bg.MarkovGame(
        rng.dirichlet(np.ones(S), size=(S, A, B)) * (1.0 - ending), rng.dirichlet(np.ones(S)),
        unit_r * rng.standard_normal((S, A, B)), unit_l * rng.standard_normal((S, A, B)),
        follower_discount=edge_discount(rng), leader_discount=edge_discount(rng),
        temperature=unit_r * 10.0 ** rng.uniform(-3, 3), observes=observes,
        policy=bg.LeaderPolicy(lambda t: bg.softmax(anp.reshape(t / units, (S, A))), S * A),
    )  # fmt: skip
    return game, rng.standard_normal(S * A) * units


def edge_lqr(rng):
    """A linear-quadratic problem in odd units, with its θ."""
    n, m, d = (int(rng.integers(1, k)) for k in (4, 3, 3))
    x, u, cost = (
        10.0 ** rng.integers(-6, 7, size=n), 10.0 ** rng.integers(-6, 7, size=m), 10.0 ** int(rng.integers(-12, 13)),
    )  # fmt: skip
    units = 10.0 ** rng.integers(-9, 10, size=d)

    def square(k):
        half = rng.standard_normal((k, k))
        return half @ half.T / k + 0.1 * np.eye(k)

    A0, B0, dA, dB = (rng.standard_normal(s) / 2 for s in ((n, n), (n, m), (d, n, n), (d, n, m)))
    Q, R, QL, W = square(n), square(m), square(n), square(n)
    constants = {
        "follower_discount": float(rng.choice([0.5, 0.9, 0.99, 1 - 1e-4, 1 - 1e-6])),
        "leader_discount": float(rng.choice([0.0, 0.5, 0.9, 0.95])),
        "temperature": cost * 10.0 ** rng.uniform(-3, 2),
    }
    mean = rng.standard_normal(n) * x

    def build(theta):
        t = 0.2 * theta / units
        A = A0 + anp.tensordot(t, dA, axes=1)
        B = B0 + anp.tensordot(t, dB, axes=1)
        return bg.LQModel(
            x[:, None] * A / x, x[:, None] * B / u, np.outer(x, x) * W, cost * Q / np.outer(x, x), cost * R / np.outer(u, u),
            mean, np.zeros((n, n)), leader_Q=cost * QL / np.outer(x, x), **constants,
        )  # fmt: skip

    return bg.LinearQuadratic(build, dim=d), rng.standard_normal(d) * units


def edge_horizon(rng):
    """A finite horizon at the edges, with its θ."""
    S, A, d, H = (int(rng.integers(1, n)) for n in (5, 4, 4, 31))
    unit_r, unit_l = (10.0 ** int(rng.integers(-12, 13)) for _ in range(2))
    units = 10.0 ** rng.integers(-12, 13, size=d)
    ending, tau = float(rng.choice([0.0, 1e-4, 0.1])), 10.0 ** rng.uniform(-4, 4)
    steps = (H,) if rng.random() < 0.5 else ()
    p, q = rng.dirichlet(np.full(S, 0.5), size=(2, *steps, S, A)) * (1.0 - ending)
    if rng.random() < 0.3:
        p = np.eye(S)[rng.integers(0, S, size=(*steps, S, A))] * (1.0 - ending)
    slopes, rewards = rng.standard_normal((2, *steps, S, A, d)), rng.standard_normal((2, S, A))
    weight, rho, ends = rng.standard_normal(d), rng.dirichlet(np.ones(S)), rng.standard_normal((2, S))
    habit, scale = rng.dirichlet(np.full(A, 0.3), S) if rng.random() < 0.5 else None, min(tau, 1.0)
    constants = {
        "horizon": H, "follower_discount": float(rng.choice([1.0, 0.9, 0.0])),
        "leader_discount": float(rng.choice([1.0, 0.9, 0.0])), "reference": habit,
        "terminal_leader_reward": unit_l * ends[1], "leader_temperature": unit_l * float(rng.choice([0.0, 0.1])),
    }  # fmt: skip

    def build(theta):
        t = theta / units
        mix = bg.sigmoid(anp.dot(weight, t))
        return bg.FiniteHorizonModel(
            p + mix * (q - p), rho, unit_r * (rewards[0] + scale * anp.dot(slopes[0], t)),
            unit_l * (rewards[1] + anp.dot(slopes[1], t)), temperature=unit_r * tau * (1.0 + 0.5 * mix),
            terminal_follower_reward=unit_r * (ends[0] + scale * t[0]), **constants,
        )  # fmt: skip

    return bg.ConfigurableMDP(build, dim=d), rng.standard_normal(d) * units


EDGES = {"edges: table": edge_table, "edges: horizon": edge_horizon, "edges: game": edge_game, "edges: lqr": edge_lqr}
STRATEGIES = {
    "strategies: table": bst.configurable_mdps,
    "strategies: horizon": bst.finite_horizon_mdps,
    "strategies: average": bst.average_reward_mdps,
    "strategies: general": bst.general_mdps,
    "strategies: game": bst.markov_games,
    # Bumps and horizons are summed step by step: at γ_L = .9999 a witness takes minutes.
    "strategies: lqr": lambda: bst.linear_quadratics(discount=st.sampled_from([0.0, 0.5, 0.9, 0.95])),
}


def judged(problem, theta):
    """(what was said, in one word; evidence where it is an alarm)."""
    try:
        report = bg.verify(problem, theta, routes=ROUTES[family_of(problem, theta).name])
    except bg.errors.InvalidModel as error:
        return "refused", str(error)
    except bg.errors.NotConverged as error:
        return "reference not converged", str(error)
    reference = report.reference
    alarms = [f"{row.route} {row.verdict}: {row.note or f'{row.difference:.2e} allowed {row.allowed:.2e}'}"
              for row in report.rows if row.verdict in (*ALARMS, Verdict.FAILED)]  # fmt: skip
    if not report.model.ok:
        alarms.append(f"model: {report.model}")
    other = next((row.gradient for row in report.rows[1:] if row.gradient is not None and row.directions is None), None)
    if other is not None:
        check = check_hypergradient(other, problem, theta, reference=reference)
        if check.verdict in ALARMS:
            alarms.append(f"candidate {check.verdict}: {check.difference:.2e} allowed {check.allowed:.2e}")
    if alarms:
        return "ALARM", "; ".join(alarms)
    yard = Yardstick.of(reference)
    if yard.zero.all():
        return "zero to rounding", ""
    natural = float((np.abs(yard.gradient) * yard.units).max())
    posed = 2.0 * SAFETY * float((yard.rounding * yard.units).max()) <= RESOLUTION * natural
    return ("agrees" if report.ok else "cannot tell") + ("" if posed else " (ill posed)"), report.summary()


def run(task):
    """One batch of problems of one kind: counts, alarms, and what well-posed problems could not be told."""
    kind, number, count = task
    found, evidence = collections.Counter(), []

    def take(problem, theta, label):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                word, why = judged(problem, theta)
            except Exception as error:  # an exception is an alarm of its own
                word, why = "ALARM", f"{type(error).__name__}: {error}"
        found[word] += 1
        if word in ("ALARM", "cannot tell"):
            evidence.append((kind, label, word, why))

    if kind in EDGES:
        for k in range(count):
            label = [number, k]
            take(*EDGES[kind](np.random.default_rng(label)), label)
    else:

        @seed(number)
        @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(bst.problems_at(STRATEGIES[kind]()))
        def collect(case):
            take(*case, [number, sum(found.values())])

        collect()
    return kind, found, evidence


def page(result):
    """The page, from the numbers alone."""
    words = ["agrees", "cannot tell", "zero to rounding", "agrees (ill posed)", "cannot tell (ill posed)", "refused",
             "reference not converged", "ALARM"]  # fmt: skip
    lines = [
        "# False alarms", "",
        f"`python benchmarks/false_alarms.py --count {result['asked']}`: {result['problems']} random problems"
        f"{' (stopped there)' if result['problems'] < result['asked'] else ''}, "
        f"{result['alarms']} alarms against right gradients; of the {result['posed']} well-posed ones "
        f"{100 * result['share']:.2f} % are told (“agrees”).", "",
        "A problem is well posed where 32 × the measured rounding of every entry of ∇J is below 1e-5 of the largest entry, "
        "both in natural steps.  An alarm is a row, or a candidate, that *disagrees*, is *not smooth*, *failed*, a model's "
        "derivative that is called wrong, or any exception.", "",
        "| problems | " + " | ".join(words) + " |", "|---|" + "---|" * len(words),
    ]  # fmt: skip
    for kind, counts in result["counts"].items():
        lines.append(f"| {kind} | " + " | ".join(str(counts.get(w, 0)) for w in words) + " |")
    lines += ["", "Well posed, and not told:", ""]
    lines += [f"- {kind} {label}: {why}" for kind, label, word, why in result["evidence"] if word != "ALARM"][:40] or [
        "none"
    ]
    lines += ["", "Alarms:", ""]
    lines += [f"- {kind} {label}: {why}" for kind, label, word, why in result["evidence"] if word == "ALARM"][:40] or [
        "none"
    ]
    return "\n".join(lines) + "\n"


def kept(asked, counts, evidence):
    """The result so far, written."""
    total = collections.Counter()
    for found in counts.values():
        total += found
    posed = total["agrees"] + total["cannot tell"]
    result = {
        "asked": asked.count, "problems": sum(total.values()), "alarms": total["ALARM"], "posed": posed,
        "share": total["agrees"] / max(posed, 1), "counts": {k: dict(v) for k, v in counts.items()},
        "evidence": sorted(evidence, key=str),
    }  # fmt: skip
    asked.out.mkdir(exist_ok=True, parents=True)
    (asked.out / "false_alarms.json").write_text(json.dumps(result, indent=1) + "\n")
    (asked.out / "false_alarms.md").write_text(page(result))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE)
    asked = parser.parse_args()
    kinds = [*EDGES, *STRATEGIES]
    batches = max(1, asked.count // (asked.batch * len(kinds)))
    tasks = [(kind, asked.seed + 1000 * b, asked.batch) for b in range(batches) for kind in kinds]
    counts, evidence, began, done = {kind: collections.Counter() for kind in kinds}, [], time.time(), 0
    with multiprocessing.get_context("fork").Pool(asked.jobs) as pool:
        for kind, found, seen in pool.imap_unordered(run, tasks):
            counts[kind] += found
            evidence += seen
            done += 1
            print(f"\r{done}/{len(tasks)} batches, {time.time() - began:.0f} s", end="", file=sys.stderr)
            for entry in seen:
                if entry[2] == "ALARM":
                    print(f"\n{entry}", file=sys.stderr)
            kept(asked, counts, evidence)  # so that a run may be stopped at any time
    print(page(kept(asked, counts, evidence)))


if __name__ == "__main__":
    main()
