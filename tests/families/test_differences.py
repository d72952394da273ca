"""Extrapolated differences: accurate where J is smooth, and outspoken where it is not."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.core.checks import untraced
from boltzgrad.errors import GradientMismatch, NotDifferentiable, NotSmooth
from boltzgrad.families.tabular.differences import COMPLEX, DIFFERENCES, TabularEvaluator
from boltzgrad.witnesses.differences import complex_step, real_differences, ridders

SMOOTH = {
    "exp": (np.exp, 1.0),
    "steep": (lambda t: np.tanh(1e4 * t), 1e4),
    "tiny slope on a large value": (lambda t: 1e3 + 1e-3 * np.sin(t), 1e-3),
    "noisy": (lambda t: 1 + t + 1e-12 * np.sin(1e15 * t), 1.0),
    "oscillating": (lambda t: np.sin(300 * t) / 300, 1.0),
    "flat": (lambda t: 2.0, 0.0),
    "flat, then a smooth rise": (lambda t: 1.0 + np.exp(-1.0 / max(abs(t), 1e-3) ** 1.5), 0.0),
}
ROUGH = {
    "kink": (abs, "slopes from right and left differ.*has a kink there"),
    "small kink": (lambda t: 40 + t + 1e-3 * max(t, 0.0), "slopes from right and left differ.*has a kink there"),
    "rounding inside": (lambda t: t + 1e-8 * np.floor(1e8 * t + 0.3) + 1e-3 * t**2, "rounds on the way"),
    "jump": (lambda t: t + (t >= 0), "jumps by"),
    "rounded": (lambda t: round(50 * t) / 50, "constant near this theta and jumps further off"),
    "single precision": (lambda t: float(np.float32(np.exp(t))), "not smooth"),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth(name):
    f, slope = SMOOTH[name]
    found, estimate = ridders(f, f(0.0), "here")
    assert abs(found - slope) <= estimate
    assert estimate <= 1e-6 * max(abs(slope), 1e-2)


@pytest.mark.parametrize("name", ROUGH)
def test_rough(name):
    f, message = ROUGH[name]
    with pytest.raises(NotSmooth, match=message):
        ridders(f, f(0.0), "here")


def problem_with(reward):
    base = bg.problems.load("garnet", n_states=8, n_actions=2, branching=2, follower_discount=0.8, leader_discount=0.8)
    model = base.model(np.zeros(64))

    def build(theta):
        arrays = model.arrays()
        return model.with_arrays(
            bg.problems.TabularArrays(
                arrays.transition, arrays.initial, arrays.follower_reward + reward(theta), arrays.leader_reward
            )
        )

    return bg.ConfigurableMDP(build, dim=3)


W = np.random.default_rng(0).standard_normal((8, 2, 3))


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda theta: anp.abs(anp.dot(W, theta)), "slopes from right and left differ"),
        (lambda theta: anp.dot(W, anp.where(theta > 0, theta, 0.2 * theta)), "slopes from right and left differ"),
        (lambda theta: anp.dot(W, anp.round(20 * np.real(untraced(theta)))), "constant near"),
    ],
)
def test_a_build_that_is_not_smooth_is_reported(reward, message):
    """ "A build that returns something that does not depend smoothly on θ" has its own verdict, and fails the report."""
    problem = problem_with(reward)
    with pytest.raises(NotSmooth, match=message):
        real_differences(TabularEvaluator(problem), np.zeros(3))
    report = bg.verify(problem, np.zeros(3))
    assert not report.ok
    row = next(r for r in report.rows if r.route == "differences")
    assert row.verdict == "not smooth"
    with pytest.raises(bg.errors.GradientMismatch, match=message):
        report.raise_if_disagree()


def test_abs_away_from_its_kink_is_no_disagreement():
    """J is smooth there; only the complex step does not apply, and says so."""
    problem = problem_with(lambda theta: anp.abs(anp.dot(W, theta)))
    theta = np.array([0.3, -0.2, 0.5])
    with pytest.raises(NotDifferentiable, match="not analytic in theta"):
        complex_step(TabularEvaluator(problem), theta)
    report = bg.verify(problem, theta)
    assert report.ok
    assert next(r for r in report.rows if r.route == "complex-step").verdict == "skipped"


def test_a_build_that_refuses_complex_numbers_is_skipped_with_the_reason():
    def reward(theta):
        if np.iscomplexobj(untraced(theta)):
            raise TypeError("real numbers only")
        return anp.dot(W, theta)

    report = bg.verify(problem_with(reward), np.ones(3))
    row = next(r for r in report.rows if r.route == "complex-step")
    assert row.verdict == "skipped"
    assert "real numbers only" in row.note
    assert report.ok


def test_a_build_that_drops_part_of_its_derivative_is_found():
    """The tape sees half of the dependence; differences see all of it, and so does the check of the model."""
    problem = problem_with(lambda theta: anp.dot(W, 0.5 * theta + 0.5 * untraced(theta)))
    theta = np.ones(3)
    exact = bg.hypergradient(problem_with(lambda theta: anp.dot(W, theta)), theta).gradient
    for route in (COMPLEX, DIFFERENCES):
        np.testing.assert_allclose(route.run(problem, theta).gradient, exact, rtol=1e-6)
    report = bg.verify(problem, theta)
    assert not report.ok
    assert report.model.kind == "derivative"
    assert report.model.array.startswith("follower_reward[")
    assert report.model.derivative == pytest.approx(0.5 * report.model.slope, rel=1e-6)
    assert {str(r.verdict) for r in report.rows[1:]} == {"skipped"}
    with pytest.raises(GradientMismatch, match=r"model's derivative is wrong: .* \(0\.5 times it\)"):
        report.raise_if_disagree()
