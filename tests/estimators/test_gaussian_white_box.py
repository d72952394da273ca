"""∇V_F and ∇Q_F − ∇V_F of linear-quadratic followers against differences of the solved Riccati equation.

Source: BC-HG Prop 1: V(x) = −(x'Px + c), c = [γ tr(PW) − (τ/2)(m log πτ − log det M)]/(1 − γ).
"""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import HPGD, Sampling, Stream
from boltzgrad.estimators.gaussian.episodes import GaussianEpisodes
from boltzgrad.estimators.gaussian.family import GaussianFamily
from boltzgrad.estimators.streams import Draws
from boltzgrad.solvers.lqr import solve_lqr
from estimators.small import lqr

STEP = 1e-5
PROBLEMS = {"random-lqr": lqr(), "thermal-control": bg.problems.load("thermal-control"), "wide": lqr(n=3, m=2)}


def values(model):
    """(P, c) of the follower."""
    s, gamma, tau = solve_lqr(model), model.follower_discount, model.temperature
    M = model.R + gamma * model.B.T @ s.P @ model.B
    m = model.n_inputs
    entropy = 0.5 * tau * (m * np.log(np.pi * tau) - np.linalg.slogdet(M)[1])
    return s.P, (gamma * np.trace(s.P @ model.W) - entropy) / (1.0 - gamma)


def batch(problem):
    draws = Draws([Stream(0)], 1)
    theta = problem.initial_theta(seed=1)
    w = GaussianFamily(problem).worlds(theta[None], np.zeros(1, int), draws, None)
    e = GaussianEpisodes(w, Sampling(episodes=3, horizon=4), draws)
    return theta, e, np.random.default_rng(2).standard_normal(e.x.shape[:3])


def slopes(f, theta):
    return np.array([(f(theta + h) - f(theta - h)) / (2.0 * STEP) for h in STEP * np.eye(theta.size)])


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_of_the_followers_value(name):
    problem = PROBLEMS[name]
    theta, e, c = batch(problem)
    e._white_box_value(c, e.x)

    def total(t, constant=True):
        P, at_zero = values(problem.model(t))
        return -(c * (e.form(P[None], e.x) + (at_zero if constant else 0.0))).sum()

    found = e.gradients()[0]
    assert close(found, slopes(total, theta))
    assert not close(found, slopes(lambda t: total(t, constant=False), theta))  # control: c depends on θ as well


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_of_the_followers_advantage(name):
    problem = PROBLEMS[name]
    theta, e, c = batch(problem)
    e._white_box_advantage(c)

    def total(t, advantage=True):
        model = problem.model(t)
        P, at_zero = values(model)
        gamma = model.follower_discount
        mu = e.x @ model.A.T + e.u @ model.B.T
        ahead = e.form(P[None], mu) + np.trace(P @ model.W) + at_zero
        q = -e.form(model.Q[None], e.x) - e.form(model.R[None], e.u) - gamma * ahead
        return (c * (q + (e.form(P[None], e.x) + at_zero if advantage else 0.0))).sum()

    # ∇Q − E_u ∇Q at fixed x: E_u ∇Q is ∇V (the envelope).
    found = e.gradients()[0]
    assert close(found, slopes(total, theta))
    assert not close(found, slopes(lambda t: total(t, advantage=False), theta))  # control: ∇Q_F without centring


def test_a_constant_alone_has_a_gradient():
    """At x = 0 for certain only ∇c is left of ∇V_F; it must not be dropped."""

    def build(theta):
        return bg.LQModel(
            [[0.5]],
            [[1.0]],
            [[0.1]],
            [[1.0]],
            1.0 + theta[:1] ** 2 * np.eye(1),
            [0.0],
            [[0.0]],
            leader_R=[[1.0]],
            follower_discount=0.9,
            leader_discount=0.5,
            temperature=0.5,
        )

    problem = bg.LinearQuadratic(build, dim=1)
    draws = Draws([Stream(0)], 1)
    theta = np.array([0.7])
    w = GaussianFamily(problem).worlds(theta[None], np.zeros(1, int), draws, None)
    e = GaussianEpisodes(w, Sampling(episodes=1, horizon=1), draws)
    e._white_box_value(np.ones((1, 1, 1)), e.x)
    assert not e.P_bar.any()
    expected = slopes(lambda t: -values(problem.model(t))[1], theta)
    np.testing.assert_allclose(e.gradients()[0], expected, rtol=1e-6)
    assert abs(expected[0]) > 0.1


def test_the_leaders_horizon_in_hpgd():
    """HPGD subtracts ∇V_F(x): with a segment cut at the leader's horizon it would not vanish at weight one."""
    problem = bg.problems.load("thermal-control", horizon=1)
    theta = problem.initial_theta(seed=0)
    sampled, closed = (
        HPGD(critic="exact", segments=s, baseline=True).batches(problem, theta, 400, np.random.default_rng(0))
        for s in ("sampled", "exact")
    )
    difference = sampled - closed
    error = difference.std(axis=0) / np.sqrt(len(difference))
    assert (np.abs(difference.mean(axis=0)) < 4.0 * error).all()
    assert (np.abs(difference.mean(axis=0) + 8.0 * error) > 4.0 * error).all()  # control
