"""Ascents against a follower's budget: each is `ascend` with that budget, and the cosines are those at the exact ascent's θ."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import PlugInGradient
from boltzgrad.experiments import figures, tables
from boltzgrad.experiments.ascent import ascend
from boltzgrad.experiments.budgets import against, against_budget
from boltzgrad.experiments.experiment import Curve, Experiment, objective, objective_end
from boltzgrad.experiments.problems import load
from boltzgrad.followers import SoftValueIteration
from tests_helpers import optional

COMMON = {
    "problem": "frozen-lake",
    "options": {},
    "optimiser": {"name": "ascent", "rate": 0.1},
    "iterations": 6,
    "log_every": 2,
    "start": 0.01,
    "seeds": [0, 1],
}
SWEEPS = {"budgets": [5, 40], "option": "sweeps"}
PLUG_IN = {"method": "plug-in", "follower": {"name": "soft-value-iteration", "sweeps": 1}}
EXACT = {"method": "exact"}


def with_sweeps(k):
    return {**PLUG_IN, "follower": {"name": "soft-value-iteration", "sweeps": k}}


def test_every_budget_has_the_ascent_that_it_would_have_alone():
    rows = against_budget({**COMMON, **SWEEPS, "estimator": PLUG_IN})
    for k, budget in enumerate(SWEEPS["budgets"]):
        alone = ascend({**COMMON, "estimator": with_sweeps(budget)})
        for row, one in zip(rows, alone, strict=True):
            np.testing.assert_allclose(row["objective"][k], one["last"], rtol=1e-9)
            np.testing.assert_allclose(row["start"], one["objective"][0], rtol=1e-9)
    for row, one in zip(rows, alone, strict=True):
        np.testing.assert_allclose(row["theta"], one["theta"], rtol=1e-9)
        assert row["budget"] == [5, 40]
        assert row["end"] == row["last"] == row["objective"][1]
        assert row["best"] == max(row["objective"])
        assert (row["total_steps"], row["rejected"]) == (0, 0)
        assert abs(row["objective"][0] - row["objective"][1]) > 1e-4  # control
    # J is that under the optimal follower.
    np.testing.assert_allclose(
        rows[0]["last"], bg.hypergradient(load("frozen-lake"), rows[0]["theta"]).value, rtol=1e-9
    )


def test_cosines_are_those_where_the_exact_ascent_comes_by():
    rows = against_budget({**COMMON, **SWEEPS, "estimator": PLUG_IN})
    problem = load("frozen-lake")
    for row in rows:
        path = [
            ascend({**COMMON, "iterations": i, "seeds": [row["seed"]], "estimator": EXACT})[0]["theta"] for i in (2, 4)
        ]  # besides the start
        start = ascend(
            {
                **COMMON,
                "iterations": 1,
                "seeds": [row["seed"]],
                "estimator": EXACT,
                "optimiser": {"name": "ascent", "rate": 1e-300},
            }
        )[0]["theta"]
        for k, budget in enumerate(row["budget"]):
            mine = PlugInGradient(follower=SoftValueIteration(budget))
            found = []
            for theta in [start, *path]:
                g, exact = mine(problem, theta, np.random.default_rng(0)), bg.hypergradient(problem, theta).gradient
                found.append(g @ exact / np.linalg.norm(g) / np.linalg.norm(exact))
            np.testing.assert_allclose(row["cosine"][k], np.mean(found), rtol=1e-7)
        assert row["cosine"][0] < row["cosine"][1] - 1e-3  # control


def test_the_optimal_follower_has_one_ascent_for_all():
    (row,) = against_budget({**COMMON, **SWEEPS, "estimator": EXACT, "seeds": [1]})
    (one,) = ascend({**COMMON, "estimator": EXACT, "seeds": [1]})
    np.testing.assert_allclose(row["objective"], [one["last"]] * 2, rtol=1e-9)
    np.testing.assert_allclose(row["cosine"], 1.0, atol=1e-12)


def test_sampled_steps_are_those_of_all_budgets():
    sampled = {"method": "naive", "sampling": {"episodes": 2, "horizon": 3}, "follower": PLUG_IN["follower"]}
    (row,) = against_budget({**COMMON, **SWEEPS, "estimator": sampled, "seeds": [0]})
    single = [
        ascend({**COMMON, "seeds": [0], "estimator": {**sampled, "follower": with_sweeps(k)["follower"]}})[0]
        for k in (5, 40)
    ]
    assert row["total_steps"] == sum(x["total_steps"] for x in single) > 0


def curves(values, *, reference=(0.0, 1.0), lower=False):
    """A reference that climbs from `reference[0]` to `[1]`, and curves with these ends along budgets 1, 10, 100."""
    axis = against("steps")

    def rows(ends):
        base = {
            "key": "",
            "budget": [1, 10, 100],
            "cosine": [0.5] * 3,
            "exact_norm": [1.0] * 3,
            "total_steps": 0,
            "rejected": 0,
        }
        return [{**base, "seed": s, "objective": list(ends), "start": reference[0], "end": ends[-1]} for s in range(2)]

    out = {Curve("one", "exact", {"iterations": 3}, reference=True, axis=axis): rows([reference[1]] * 3)}
    for i, ends in enumerate(values):
        out[Curve("one", f"m{i}", {"iterations": 3}, axis=axis)] = rows(ends)
    return Experiment("toy", "Toy", "nowhere", "J", lambda p: [], {"smoke": 2}, objective, objective_end, lower), out


@pytest.mark.parametrize(
    ("ends", "enough"),
    [
        ((0.96, 0.99, 1.0), 1.0),
        ((0.2, 0.95, 1.0), 10.0),
        ((0.2, 0.94, 0.95), 100.0),
        ((0.99, 0.3, 0.97), 100.0),  # lucky, then not
        ((0.99, 0.99, 0.94), None),
        ((1.5, 1.5, 1.5), 1.0),
    ],
)
def test_what_is_enough_is_enough_from_there_on(ends, enough):
    experiment, found = curves([ends])
    (reference, row) = tables.summary(experiment, found)
    assert row["enough"] == enough
    assert reference["enough"] is None
    assert tables.cells(row)[-1] == ("–" if enough is None else f"{enough:g}")
    # The same downhill, where less is better.
    experiment, found = curves([[-x for x in ends]], reference=(0.0, -1.0), lower=True)
    assert tables.summary(experiment, found)[1]["enough"] == enough


def test_the_table_has_a_column_more_along_budgets_only():
    experiment, found = curves([(0.2, 0.95, 1.0)])
    page = tables.as_markdown(tables.summary(experiment, found))
    assert all(line.count("|") == 8 for line in page.splitlines()[2:])
    assert "budget for 95% of the climb" in page
    assert "10 |" in tables.as_markdown(tables.summary(experiment, found)).splitlines()[-1]
    plain = {
        Curve(c.setting, c.label, c.arguments, reference=c.reference): [{**r, "iteration": r["budget"]} for r in rows]
        for c, rows in found.items()
    }
    bare = tables.summary(experiment, plain)
    assert "enough" not in bare[1]
    assert "budget" not in tables.as_text(bare)


def test_budgets_are_drawn_in_decades_with_the_goal_and_around_the_climb():
    optional("matplotlib")
    experiment, found = curves([(-40.0, 0.9, 1.0), (0.5, 0.9, 1.0)])
    (figure,) = figures.draw(experiment, found).values()
    figure.draw_without_rendering()
    left, right = figure.axes
    for axes in (left, right):
        assert axes.get_xscale() == "log"
        assert [t.get_text() for t in axes.get_xticklabels()] == ["1", "10", "100"]
        assert axes.get_xlabel() == "steps at each θ"
    (goal,) = [x for x in left.get_lines() if x.get_label() == "95% of the climb"]
    np.testing.assert_allclose(goal.get_ydata(), 0.95)
    low, high = left.get_ylim()
    assert -0.6 < low < 0.0
    assert 1.0 < high < 1.6
    (mild,) = figures.draw(*curves([(-0.5, 0.9, 1.0)])).values()
    assert mild.axes[0].get_ylim()[0] < -0.5  # control: what can be shown is shown


def test_the_lake_is_gymnasiums():
    gymnasium = optional("gymnasium")
    from boltzgrad.experiments.frozen_lake import table, world

    env = gymnasium.make("FrozenLake-v1", map_name="8x8", is_slippery=True)
    theirs, mine = env.unwrapped.P, table()
    for s in range(64):
        for a in range(4):
            np.testing.assert_allclose(
                np.array(mine[s][a], float).sum(axis=0), np.array(theirs[s][a], float).sum(axis=0)
            )
    read = bg.worlds.from_gymnasium(env, discount=0.99)
    np.testing.assert_allclose(read.transition, world().transition, atol=1e-15)
    np.testing.assert_allclose(read.reward, world().reward, atol=1e-15)
    np.testing.assert_allclose(read.initial, world().initial, atol=1e-15)
    flat = bg.worlds.from_gymnasium(gymnasium.make("FrozenLake-v1", map_name="8x8", is_slippery=False), discount=0.99)
    assert not np.allclose(flat.transition, world().transition)  # control


def test_the_lake_is_a_problem_that_verifies():
    problem = load("frozen-lake", temperature=0.2)
    bg.verify(problem, problem.initial_theta(seed=0)).raise_if_disagree()
