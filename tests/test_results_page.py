"""docs/results.md is what docs/results.py makes of the committed rows, and its figures are there."""

import importlib.util
import re
from pathlib import Path

import pytest

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
        p = results.best_p(bonus, False)
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
