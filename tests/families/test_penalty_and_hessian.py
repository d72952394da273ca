"""The witnesses `penalty` and `hessian`: they agree where they should, notice what they should, and show what damping costs."""

import dataclasses

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings

import boltzgrad as bg
from boltzgrad.families.tabular import hessian, mistakes
from boltzgrad.families.tabular.adjoint import ContextSolution
from boltzgrad.testing import strategies as bst
from boltzgrad.verify.tolerances import Verdict
from tests_helpers import slow

BOTH = ["penalty", "hessian"]


@pytest.mark.parametrize("count", [20, slow(100)])
def test_they_agree_on_random_problems(count):
    @settings(max_examples=count)
    @given(bst.problems_at(bst.configurable_mdps()))
    def check(case):
        report = bg.verify(*case, routes=BOTH)
        known = {Verdict.AGREES, Verdict.ZERO, Verdict.CANNOT_TELL, Verdict.UNFINISHED}
        assert {row.verdict for row in report.rows[1:]} <= known, str(report)

    check()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("garnet", {"leader_discount": 0.9}),
        ("garnet", {"leader_discount": 0.95, "follower_discount": 0.95, "ending": 0.2}),
        ("synthetic-hard", {}),
        ("four-rooms-two-goals", {}),
    ],
)
def test_they_agree_to_many_digits(name, options):
    problem = bg.problems.load(name, **options)
    theta = problem.initial_theta(seed=1)
    report = bg.verify(problem, theta, routes=BOTH)
    assert [str(row.verdict) for row in report.rows] == ["reference", "agrees", "agrees"]
    assert max(row.difference for row in report.rows[1:]) < 1e-9 * np.abs(report.reference.gradient).max()


@pytest.mark.parametrize("route", BOTH)
@pytest.mark.parametrize("array", ["follower_reward", "leader_reward", "transition", "initial"])
def test_each_notices_a_reference_that_is_wrong(route, array, monkeypatch):
    """Off by 10⁻⁴ in one cotangent."""
    problem = bg.problems.load("garnet", leader_discount=0.9)
    theta = problem.initial_theta(seed=1)
    assert bg.verify(problem, theta, routes=[route]).ok
    right = ContextSolution.cotangent

    def off(self, weight=1.0):
        found = right(self, weight)
        return dataclasses.replace(found, **{array: 1.0001 * getattr(found, array)})

    monkeypatch.setattr(ContextSolution, "cotangent", off)
    assert not bg.verify(problem, theta, routes=[route]).ok


@pytest.mark.parametrize("broken", ["follower", "leader"])
def test_the_hessian_needs_both_players(broken, monkeypatch):
    """A slip in either objective of the route shows: one step more of entropy, one factor of the discount."""
    problem = bg.problems.load("garnet", n_states=8)
    theta = problem.initial_theta(seed=1)
    was = getattr(hessian._Derivatives, broken)

    def off(self, m, policy):
        return was(self, dataclasses.replace(m, leader_discount=0.5, follower_discount=0.98), policy)

    monkeypatch.setattr(hessian._Derivatives, broken, off)
    assert not bg.verify(problem, theta, routes=["hessian"]).ok


def test_the_hessian_has_a_zero_eigenvalue_for_each_state():
    """PARL assumes that it has none."""
    problem = bg.problems.load("garnet", n_states=8, n_actions=3, temperature=0.3)
    theta = problem.initial_theta(seed=1)
    m = problem.model(theta)
    at = hessian._Derivatives(problem, theta, m, [], np.full(8, 1 / 8))
    root = np.sqrt(at.weights)
    values = np.linalg.eigvalsh(at.hessian / root[:, None] / root)
    assert (np.abs(values) < 1e-10).sum() == 8
    np.testing.assert_allclose(values[np.abs(values) >= 1e-10], -0.3, rtol=1e-9)


def test_damping_costs_what_the_known_mistake_says():
    problem = bg.problems.load("garnet", n_states=10, n_parameters=12, temperature=1.0)
    theta = problem.initial_theta(seed=1)
    exact = bg.hypergradient(problem, theta).gradient
    np.testing.assert_allclose(bg.parl_gradient(problem, theta), exact, atol=1e-9 * np.abs(exact).max())
    damped = bg.parl_gradient(problem, theta, damping=mistakes.DampedHessian.damping)
    np.testing.assert_allclose(damped, mistakes.DampedHessian(problem, theta).gradient(), rtol=1e-7, atol=1e-9)
    off = [np.abs(bg.parl_gradient(problem, theta, damping=eta) - exact).max() for eta in (1e-6, 1e-5)]
    assert off[1] / off[0] == pytest.approx(10.0, rel=0.05)  # linear in η


@pytest.mark.parametrize(
    ("problem", "damping", "words"),
    [
        (bg.problems.load("toy-game"), 0.0, "for a ConfigurableMDP that is a table"),
        (bg.problems.load("finite-garnet"), 0.0, "for a ConfigurableMDP that is a table"),
        (bg.problems.load("garnet"), -1.0, "damping is -1.0; expected a number of at least 0"),
        (bg.problems.load("garnet", n_states=1000), 0.0, "4000 logits"),
    ],
)
def test_parl_refuses(problem, damping, words):
    with pytest.raises(bg.errors.InvalidOption, match=words):
        bg.parl_gradient(problem, problem.initial_theta(), damping=damping)


def test_a_probability_that_underflows_is_unfinished():
    base = np.array([[0.0, -744.5], [0.0, -0.5]])
    problem = bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            np.full((2, 2, 2), 0.5), [0.5, 0.5], base + theta[0] * np.eye(2), np.eye(2),
            follower_discount=0.0, leader_discount=0.5, temperature=1.0,
        ),
        dim=1,
    )  # fmt: skip
    with pytest.raises(bg.errors.Unfinished, match="too small to divide by its root"):
        bg.parl_gradient(problem, np.zeros(1))
    assert bg.verify(problem, np.zeros(1), routes=["hessian"]).rows[1].verdict == Verdict.UNFINISHED


def test_an_objective_that_takes_no_complex_numbers():
    """Its own gradient is enough for both."""
    weights = np.random.default_rng(2).uniform(size=(10, 5))

    def function(theta, policy):
        return float(np.sum(weights * np.abs(policy.astype(float)) ** 2))

    synthetic = bg.problems.load("synthetic-hard")
    problem = bg.ConfigurableMDP(
        synthetic.build, dim=synthetic.dim, pullback=synthetic._pullback, pushforward=synthetic._pushforward,
        objective=bg.PolicyObjective(function, lambda theta, policy: (np.zeros_like(theta), 2.0 * weights * policy)),
    )  # fmt: skip
    report = bg.verify(problem, problem.initial_theta(seed=1), routes=BOTH)
    assert [str(row.verdict) for row in report.rows] == ["reference", "agrees", "agrees"]


@pytest.mark.parametrize("temperature", [0.01, 0.003, 0.001])
def test_the_penalty_keeps_its_digits_where_one_action_is_nearly_certain(temperature):
    """What all actions' rewards share tilts none of them, and its rounding must not pass for a tilt: here π = 10⁻⁴ … 10⁻⁴¹."""

    def build(theta):
        stay = anp.array([[0.875, 0.5], [1.0, 1.0]]) * anp.array([[1.0], [0.0]]) * theta[0]
        ends = anp.array([[0.0, 0.125 * theta[1]], [0.25, 0.25]])
        return bg.TabularModel(
            anp.stack([anp.zeros((2, 2)), stay], axis=-1),
            np.array([1.0, 0.0]),
            ends[:, ::-1] * anp.array([[0.0], [1.0]]),
            anp.array([[0.0, 0.125], [0.0, 0.125]]) * theta[1],
            follower_discount=1.0,
            leader_discount=0.0,
            temperature=temperature,
        )

    problem = bg.ConfigurableMDP(build, dim=2)
    theta = np.array([1.0, 1.0])
    report = bg.verify(problem, theta, routes=["penalty"])
    assert report.ok, str(report)
    assert np.all(report.rows[1].difference <= 1e-12 * np.abs(report.reference.gradient).max())
