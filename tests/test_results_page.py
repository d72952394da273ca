"""docs/results.md is what docs/results.py makes of the committed rows, and its figures are there."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.findings import measures

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("results_page", DOCS / "results.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["results_page"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fresh(results):
    return results.page()


@pytest.mark.slow
def test_the_page_says_what_the_rows_say(results, fresh):
    assert fresh == results.PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_changed_row_would_show(results, fresh, monkeypatch):
    # The control: other ends in one experiment's rows make another page.
    read = results.read

    def altered(name):
        experiment, curves, table = read(name)
        if name == "lqr-game":
            table = [{**row, "end": row["end"] + 0.01} for row in table]
        return experiment, curves, table

    monkeypatch.setattr(results, "read", altered)
    assert results._lqr(results.Numbers()) not in fresh


def test_figures_and_links_exist():
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", page)
    assert len(targets) > 15
    for target in targets:
        assert (DOCS / target).exists(), target


def test_the_claims_of_the_page_hold_in_the_rows(results):
    """What the prose says in words, as inequalities on the committed rows."""
    n = results.Numbers()
    for tau in (0.001, 0.003, 0.005):
        at = f"temperature {tau},"
        trap = {0.001: 0.0, 0.003: 0.0, 0.005: 0.02}[tau]
        best = max(max(v) for (t, _), v in results.PUBLISHED.items() if t == tau)
        for method in (
            "exact hypergradient",
            "BC-HG, exact Benefit",
            "BC-HG, variance-reduced",
            "exact Benefit in the published batches",
        ):
            assert abs(n.end("four-rooms", method, at) - trap) < 0.03
        noisy = n.end("four-rooms", "exact + noise of BC-HG as published", at)
        assert noisy < 0.5 * n.end("four-rooms", "BC-HG as published, matrix world", at)
        for method in ("exact, simplex steps", "BC-HG, actions summed out, simplex steps"):
            assert n.end("four-rooms", method, at) > best
    exact = n.end("thermal-control", "exact hypergradient")
    assert exact > -165 > -196.2
    assert abs(n.end("thermal-control", "BC-HG, variance-reduced") / exact - 1) < 0.02
    for bonus in (1, 2):
        p = measures.best_p(bonus, False)
        _, curves, _ = results.read("toy-game")
        for curve, rows in curves.items():
            if f"bonus {bonus}" in curve.setting and curve.label in (
                "exact hypergradient",
                "BC-HG, actions summed out",
            ):
                assert all(abs(row["metric_last"][0] - p) < 0.02 for row in rows)
    for method in ("exact hypergradient", "BC-HG, actions summed out"):
        assert n.row("lqr-game", method)["worst"] >= 10 * 0.147
    assert abs(n.end("synthetic", "M-SoBiRL, lower level stopped") - n.end("synthetic", "M-SoBiRL")) < 1e-6
    assert n.end("synthetic-hard", "M-SoBiRL, lower level stopped") > n.end("synthetic-hard", "M-SoBiRL") + 3
    for tau in (0.3, 0.1):  # less loss, and not more reward
        _, curves, _ = results.read("rlhf")
        true = {
            c.label: np.mean([row["metric_last"][0] for row in rows])
            for c, rows in curves.items()
            if c.setting == f"temperature {tau}"
        }
        at = f"temperature {tau}"
        assert n.end("rlhf", "exact hypergradient", at) < n.end("rlhf", "DRLHF, in expectation", at)
        assert true["DRLHF, in expectation"] > true["exact hypergradient"] + 0.5
        assert abs(n.end("rlhf", "PBRL, λ = 2", at) - n.end("rlhf", "exact hypergradient", at)) < 0.01


def test_what_the_page_says_of_trained_followers_holds_in_the_rows(results):
    name, n = "trained-follower", results.Numbers()
    rooms, lake, house = "Four-Rooms, value", "FrozenLake 8×8, a black", "Thermal control, least"

    def ends(setting, method):
        (rows,) = (r for c, r in results.read(name)[1].items() if c.setting.startswith(setting) and c.label == method)
        found = np.mean([r["objective"] for r in rows], axis=0)
        return dict(zip(rows[0]["budget"], found, strict=True))

    for setting in (rooms, lake, house):  # one improvement needs less, the direct term alone is never enough
        enough = {m: n.row(name, m, setting)["enough"] for m in ("plug-in", "improved once", "direct term only")}
        assert enough["improved once"] < enough["plug-in"]
        assert enough["direct term only"] is None
    assert ends(rooms, "improved once")[30] < 0.1 < 1.0 < min(ends(rooms, "improved once")[k] for k in (10, 100))
    assert ends(lake, "plug-in")[10] < -1.0 < ends(lake, "plug-in")[1000]
    assert min(ends(lake, "BC-HG").values()) > 0.3 > max(ends(lake, "HPGD").values())
    for setting in ("FrozenLake 8×8, K", "Thermal control, K"):
        best = n.end(name, "K = ∞ (optimal follower)", setting)
        for method in ("plug-in, K = 1", "improved once, K = 1"):
            assert abs(n.end(name, method, setting) - best) < 0.02 * abs(best)
    assert (
        n.end(name, "plug-in, K = 0", "FrozenLake 8×8, K")
        < 0.0
        < n.end(name, "improved once, K = 0", "FrozenLake 8×8, K")
    )
    for k in (0, 1, 3, 10):
        assert n.end(name, f"plug-in, K = {k}", "Four-Rooms, K") < 0.1
    for k in (1, 3):
        assert n.end(name, f"improved once, K = {k}", "Four-Rooms, K") > n.end(
            name, "K = ∞ (optimal follower)", "Four-Rooms, K"
        )


def test_the_biases_of_the_page_are_those_of_another_formula(results):
    """Of twelve worlds here; the order of the methods, and DRLHF's direct term as the objective has it."""
    found = measures.left_out(0.3, worlds=12)
    assert found["DRLHF"] > found["SoBiRL (99)"] > found["two rewards ahead"] > 0.0
    assert found["PBRL, λ = 2"] < found["SoBiRL (99)"]
    direct = []
    for seed in range(12):
        problem = bg.problems.load("rlhf", seed=seed, temperature=0.3)
        reference = bg.hypergradient(problem, problem.initial_theta(seed=seed))
        partial, _ = problem.objective.gradients(reference.theta, reference.follower.policy)
        direct.append(np.linalg.norm(partial - reference.gradient) / np.linalg.norm(reference.gradient))
    assert abs(np.median(direct) - found["DRLHF"]) < 1e-9
