"""Pictures in the report: what they show is what was solved."""

import re

import numpy as np

import boltzgrad as bg
from boltzgrad.families.game.pictures import state_graph
from boltzgrad.families.lqr.pictures import eigenvalues, trajectory
from boltzgrad.families.registry import family_of


def test_eigenvalues_and_trajectory_of_a_building():
    ref = bg.hypergradient(bg.problems.load("thermal-control"), np.zeros(8))
    titles = [title for title, _ in family_of(ref.problem).pictures(ref)]
    assert titles == ["Closed-loop eigenvalues", "Mean trajectory"]
    drawn = eigenvalues(ref)
    assert drawn.count("<title>") == 4
    radii = [abs(complex(v)) for v in re.findall(r"<title>([^<]*)</title>", drawn)]
    np.testing.assert_allclose(max(radii), ref.follower.radius / np.sqrt(0.9), rtol=1e-5)
    assert trajectory(ref).count("<polyline") == trajectory(ref).count("<polygon") == 4


def test_the_toy_games_graph():
    game = bg.problems.load("toy-game")
    ref = bg.hypergradient(game, np.zeros(6))
    drawn = state_graph(ref)
    assert re.findall(r"font-weight:600'>(\w)<", drawn) == ["S", "A", "B"]
    joint = (ref.solved.f[:, :, None] * ref.solved.policy).reshape(3, 6)
    p = game.joint.kernel.under(joint)
    assert drawn.count("marker-end") == int((p >= 5e-3).sum())
    assert f"{p[0, 1]:.2f}" in drawn


def test_pictures_are_on_the_page():
    for name, label in (("toy-game", "state graph"), ("lqr-game", "mean trajectory")):
        problem = bg.problems.load(name)
        routes = ["implicit"] if name == "lqr-game" else ["theorem2"]
        assert f"aria-label='{label}'" in bg.verify(problem, problem.initial_theta(), routes=routes).to_html()


def test_large_games_and_tabular_problems_have_none():
    for name, dim in (("random-game", 60), ("synthetic", 100)):
        problem = bg.problems.load(name)
        assert family_of(problem).pictures(bg.hypergradient(problem, np.zeros(dim))) == []
