"""No verdict depends on a unit: of θ, coordinate by coordinate, of rewards, of a constant that changes nothing."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.families.registry import family_of
from boltzgrad.testing import check_hypergradient
from boltzgrad.testing import strategies as bst
from boltzgrad.verify.tolerances import Verdict
from scaled import in_rewards, in_units, shifted, two_states
from tests_helpers import examples

FACTORS = (1.0, -1.0, 0.5, 1.0 + 1e-6)
FAST = {
    "tabular": ["covariance", "implicit", "penalty", "conic"],
    "horizon": ["expanded-adjoint", "expanded-implicit", "unrolled"],
    "game": ["theorem2", "lifted-implicit"],
    "game-over-steps": ["lifted-implicit", "backward", "unrolled"],
    "lqr": ["covariance", "implicit"],
    "lqr-over-steps": ["implicit", "penalty", "unrolled"],
}


def said(problem, theta):
    """Everything that a user is told: of the witnesses, and of right and wrong gradients."""
    report = bg.verify(problem, theta, routes=FAST[family_of(problem, theta).name])
    reference = report.reference
    out = [report.ok, [(row.route, str(row.verdict)) for row in report.rows]]
    for factor in FACTORS:
        check = check_hypergradient(factor * reference.gradient, problem, theta, reference=reference)
        out.append((factor, str(check.verdict), [words.split(" (it matches")[0] for words in check.looks_like[:1]]))
    one = reference.gradient.copy()
    one[-1] *= -1.0
    check = check_hypergradient(one, problem, theta, reference=reference)
    out.append(("last entry", str(check.verdict), check.where))
    return out


UNITS = st.integers(-12, 12).map(lambda k: 10.0**k)


@settings(max_examples=examples(40))
@given(bst.problems_at(), st.data())
def test_of_theta(case, data):
    problem, theta = case
    units = np.array([data.draw(UNITS) for _ in range(problem.dim)])
    assert said(in_units(problem, units), theta * units) == said(in_units(problem, np.ones(problem.dim)), theta)


@given(bst.problems_at(), st.data())
def test_what_belongs_to_a_coordinate_has_its_unit(case, data):
    problem, theta = case
    units = np.array([data.draw(UNITS) for _ in range(problem.dim)])
    one = bg.hypergradient(in_units(problem, np.ones(problem.dim)), theta)
    other = bg.hypergradient(in_units(problem, units), theta * units)
    np.testing.assert_allclose(other.gradient * units, one.gradient, rtol=1e-9, atol=64.0 * one.rounding.max())
    for name in ("term_sizes", "coordinate_estimates"):
        x, y = getattr(one, name), getattr(other, name) * units
        assert np.all(y <= 16.0 * x + 1e-300)
        assert np.all(x <= 16.0 * y + 1e-300)


@settings(max_examples=examples(24))
@given(bst.problems_at(bst.configurable_mdps(general=False)), UNITS, UNITS)
def test_of_rewards(case, follower, leader):
    problem, theta = case
    assert said(in_rewards(problem, follower, leader), theta) == said(in_rewards(problem, 1.0, 1.0), theta)


def test_two_mistakes_that_are_one_here_are_named_in_one_order_in_every_unit():
    """∇J is its third term alone: "third term subtracted" is −∇J to the last digit, or to all but the last in other units."""
    stay = np.ones((1, 3, 1))

    def build(theta):
        return bg.TabularModel(
            stay, [1.0], anp.reshape(theta[0] * np.array([0.0, 0.25, 0.0]), (1, 3)), [[0.0, 0.0, 0.25]],
            follower_discount=0.5, leader_discount=0.5, temperature=1.0,
        )  # fmt: skip

    problem, theta = bg.ConfigurableMDP(build, dim=1), np.zeros(1)
    for leader in (1.0, 3.0, 7.0, 10.0, 1e-7):
        assert said(in_rewards(problem, 1.0, leader), theta) == said(problem, theta)


def test_of_a_constant_that_changes_nothing():
    problem, theta = two_states()
    for constant in (3e4, -1e6, 1e7):
        assert said(shifted(problem, constant), theta)[:2] == said(problem, theta)[:2]


@pytest.mark.parametrize("units", [1e-12, 1e-6, 1.0, 1e6, 1e12, [1e-12, 1e12, 1.0, 1e5]])
@pytest.mark.parametrize("pull", [2.0, -1.0, 0.0, 1.001, 1.0001])
def test_a_wrong_pull_back_is_found_in_every_unit(units, pull):
    problem, theta = two_states(units, pull=pull)
    report = bg.verify(problem, theta)
    assert not report.ok
    assert report.model.kind == "transpose"
    assert report.model.array == "follower_reward"
    right = bg.hypergradient(two_states(units)[0], theta).gradient
    for gradient in (right, pull * right):
        assert check_hypergradient(gradient, problem, theta).verdict == Verdict.MODEL


@pytest.mark.parametrize("units", [1e-12, 1e-6, 1.0, 1e6, 1e12, [1e-12, 1e12, 1.0, 1e5]])
def test_every_route_agrees_in_every_unit(units):
    problem, theta = two_states(units)
    report = bg.verify(problem, theta)
    assert report.ok, str(report)
    assert {str(row.verdict) for row in report.rows} == {"reference", "agrees"}
    assert two_states(units, pull=1.0)[0].dim == 4
    assert bg.verify(*two_states(units, pull=1.0), routes=["implicit"]).ok
