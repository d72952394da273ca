"""What learning curves are drawn from is J and ∇J: those of `boltzgrad.hypergradient`, on every kind of problem."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import problems
from boltzgrad.experiments.evaluate import Evaluator, cosine
from boltzgrad.solvers import evaluate_leader, solve_follower

KINDS = {
    "tabular": ("four-rooms", {"temperature": 0.005}, 0.5),
    "a wrong model": ("four-rooms", {"kernel": "as-published"}, 0.5),
    "contexts": ("four-rooms-two-goals", {"penalty_weight": 1.0}, 0.5),
    "game": ("toy-game", {"bonus": 1}, 1.0),
    "game as published": ("toy-game", {"as_published": True}, 1.0),
    "game unobserved": ("toy-game", {"observes": False}, 1.0),
    "lqr": ("thermal-control", {}, 0.5),
    "lqr game": ("lqr-game", {"horizon": 20}, 0.5),
    "f(x, π)": ("synthetic-hard", {}, 0.3),
}


def thetas_of(problem, scale, lanes=2):
    return scale * np.random.default_rng(1).standard_normal((lanes, problem.dim))


@pytest.mark.parametrize("kind", KINDS)
def test_objective_and_gradient_are_the_hypergradients(kind):
    name, options, scale = KINDS[kind]
    problem = problems.load(name, **options)
    judge, thetas = Evaluator(problem), thetas_of(problem, scale)
    for step in range(2):  # the second time warm-started
        found = [bg.hypergradient(problem, theta) for theta in thetas]
        value, gradient = np.array([f.value for f in found]), np.stack([f.gradient for f in found])
        np.testing.assert_allclose(judge.objective(thetas), value, rtol=1e-9, atol=1e-11, err_msg=f"step {step}")
        size = np.linalg.norm(gradient, axis=1, keepdims=True)
        assert (np.abs(judge.gradient(thetas) - gradient) <= 1e-8 * size + 1e-13).all(), f"step {step}"
        assert not np.allclose(judge.objective(thetas[::-1]), value, rtol=1e-9, atol=1e-11)  # control
        thetas = thetas + 0.1


def test_two_goals_are_averaged():
    """EXPERIMENTS.md, 5: the goal is uniform over {G1, G2}, and the objective is the mean over both."""
    problem = problems.load("four-rooms-two-goals", penalty_weight=1.0)
    thetas = thetas_of(problem, 0.5)

    def only(model):
        return model.initial @ evaluate_leader(model, solve_follower(model)).value

    each = np.array([[only(problem.contexts(theta).models[c]) for theta in thetas] for c in range(2)])
    assert problem.contexts(thetas[0]).probabilities == pytest.approx([0.5, 0.5])
    np.testing.assert_allclose(Evaluator(problem).objective(thetas), each.mean(axis=0), rtol=1e-9)
    for one in each:  # control: neither goal alone
        assert np.abs(Evaluator(problem).objective(thetas) - one).max() > 1e-2


@pytest.mark.parametrize("kind", ["tabular", "contexts", "game", "lqr"])
def test_lanes_do_not_see_each_other(kind):
    name, options, scale = KINDS[kind]
    problem = problems.load(name, **options)
    thetas = thetas_of(problem, scale, 3)
    for what in ("objective", "gradient"):
        together = getattr(Evaluator(problem), what)(thetas)
        alone = np.concatenate([getattr(Evaluator(problem), what)(t[None]) for t in thetas])
        np.testing.assert_array_equal(together, alone)
        assert not np.array_equal(together[0], together[1])  # control


def test_cosine():
    a = np.array([[1.0, 0.0], [1.0, 1.0], [2.0, -1.0], [0.0, 0.0], [1.0, 2.0]])
    b = np.array([[3.0, 0.0], [1.0, 0.0], [-4.0, 2.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(cosine(a, b), [1.0, np.sqrt(0.5), -1.0, np.nan, np.nan], rtol=1e-15)
    np.testing.assert_allclose(cosine(a * 1e-150, b)[:3], cosine(a, b)[:3], rtol=1e-14)
    assert cosine(-a, b)[0] == -1.0  # control
