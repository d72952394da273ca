"""Softmax, log-softmax, sigmoid: values and derivatives to the last digits, where one probability is nearly one, too."""

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from autograd import elementwise_grad, grad, make_jvp
from autograd.core import make_vjp
from hypothesis import given
from hypothesis import strategies as st

import boltzgrad as bg

GAPS = [0.0, 1.0, 10.0, 20.0, 30.0, 35.0, 45.0, 300.0]


def exact(x, weights, direction):
    """(softmax, its pull-back, its push-forward, the same of log-softmax) with 60 digits."""
    with mpmath.workdps(200):
        z = [mpmath.mpf(float(v)) for v in x]
        w, u = [mpmath.mpf(float(v)) for v in weights], [mpmath.mpf(float(v)) for v in direction]
        e = [mpmath.exp(v) for v in z]
        p = [v / mpmath.fsum(e) for v in e]
        mean = lambda y: mpmath.fsum(a * b for a, b in zip(p, y, strict=True))  # noqa: E731
        back = [a * (b - mean(w)) for a, b in zip(p, w, strict=True)]
        forward = [a * (b - mean(u)) for a, b in zip(p, u, strict=True)]
        log = [mpmath.log(a) for a in p]
        log_back = [b - a * mpmath.fsum(w) for a, b in zip(p, w, strict=True)]
        log_forward = [b - mean(u) for b in u]
        return [np.array([float(v) for v in part]) for part in (p, back, forward, log, log_back, log_forward)]


@pytest.mark.parametrize("gap", GAPS)
def test_nearly_deterministic(gap):
    x, w, u = np.array([0.0, -gap, -gap - 1.0]), np.array([1.0, 2.5, -0.5]), np.array([0.3, -0.7, 1.1])
    p, back, forward, log, log_back, log_forward = exact(x, w, u)
    close = {"rtol": 4e-15, "atol": 1e-300}
    np.testing.assert_allclose(bg.softmax(x), p, **close)
    np.testing.assert_allclose(make_vjp(bg.softmax, x)[0](w), back, **close)
    np.testing.assert_allclose(make_jvp(bg.softmax)(x)(u)[1], forward, **close)
    np.testing.assert_allclose(np.imag(bg.softmax(x + 1e-30j * u)) / 1e-30, forward, **close)
    np.testing.assert_allclose(bg.log_softmax(x), log, **close)
    np.testing.assert_allclose(make_vjp(bg.log_softmax, x)[0](w), log_back, **close)
    np.testing.assert_allclose(make_jvp(bg.log_softmax)(x)(u)[1], log_forward, **close)
    np.testing.assert_allclose(np.imag(bg.log_softmax(x + 1e-30j * u)) / 1e-30, log_forward, **close)


def test_the_quotient_does_not_do():
    """Control: e/Σe, differentiated by autograd, is off by 6 % of a pull-back at a gap of 35."""
    x, w = np.array([0.0, -35.0]), np.array([1.0, 2.5])
    quotient = make_vjp(lambda t: anp.exp(t) / anp.sum(anp.exp(t)), x)[0](w)
    right = exact(x, w, w)[1]
    assert np.abs(quotient - right).max() > 0.01 * np.abs(right).max()
    np.testing.assert_allclose(make_vjp(bg.softmax, x)[0](w), right, rtol=1e-14)


@pytest.mark.parametrize("x", [-700.0, -40.0, -1.0, 0.0, 0.5, 40.0, 700.0])
def test_sigmoid(x):
    with mpmath.workdps(700):
        p = 1 / (1 + mpmath.exp(-mpmath.mpf(x)))
        value, slope = float(p), float(p * (1 - p))
    assert float(bg.sigmoid(x)) == pytest.approx(value, rel=4e-16)
    assert grad(bg.sigmoid)(x) == pytest.approx(slope, rel=1e-15, abs=1e-320)
    assert make_jvp(bg.sigmoid)(x)(2.0)[1] == pytest.approx(2.0 * slope, rel=1e-15, abs=1e-320)
    assert float(np.imag(bg.sigmoid(x + 1e-30j))) / 1e-30 == pytest.approx(slope, rel=1e-14, abs=1e-270)
    assert elementwise_grad(elementwise_grad(bg.sigmoid))(0.3) == pytest.approx(
        (lambda s: s * (1 - s) * (1 - 2 * s))(float(bg.sigmoid(0.3))), rel=1e-13
    )


@given(st.integers(1, 12), st.integers(0, 3), st.integers(0, 10**6))
def test_pull_back_and_push_forward_are_transposes(actions, rows, seed):
    rng = np.random.default_rng(seed)
    x, w, u = (rng.standard_normal((*(2,) * rows, actions)) * 10.0 ** rng.uniform(-1, 1.5) for _ in range(3))
    for f in (bg.softmax, bg.log_softmax, bg.sigmoid):
        back, forward = make_vjp(f, x)[0](w), make_jvp(f)(x)(u)[1]
        assert back.shape == forward.shape == x.shape
        size = np.abs(back * u).sum() + np.abs(forward * w).sum()
        assert abs((back * u).sum() - (forward * w).sum()) <= 1e-13 * size + 1e-300


def test_second_derivatives():
    x, w, v = np.array([0.3, -0.2, 0.5]), np.array([1.0, 2.0, -1.0]), np.array([0.1, 0.4, -0.3])
    for f in (bg.softmax, bg.log_softmax):
        slope = grad(lambda t, f=f: anp.dot(w, f(t)))
        here = make_vjp(slope, x)[0](v)
        step = 1e-6
        np.testing.assert_allclose(here, (slope(x + step * v) - slope(x - step * v)) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("gap", [20.0, 30.0, 35.0])
def test_the_bound_and_the_verdict_know_what_a_quotient_loses(gap):
    """ρ = softmax(θ): with the primitive the gradient has all its digits; the quotient's error is bounded, and told."""
    move = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]])
    theta = np.array([0.0, -gap])

    def problem(rows):
        return bg.ConfigurableMDP(
            lambda t: bg.TabularModel(
                move, rows(t), np.array([[0.3, 0.1], [0.2, -0.1]]), [[0.0, 0.0], [1.0, 1.0]],
                follower_discount=0.9, leader_discount=0.95, temperature=0.5,
            ), dim=2,
        )  # fmt: skip

    right = bg.hypergradient(problem(bg.softmax), theta)
    worth = right.leader.value
    with mpmath.workdps(50):
        p = mpmath.exp(-gap) / (1 + mpmath.exp(-gap))
        exact_slope = float(p * (1 - p)) * (worth[1] - worth[0])
    assert abs(right.gradient[1] - exact_slope) <= right.error_bound <= 1e-9 * abs(exact_slope)
    assert bg.verify(problem(bg.softmax), theta, routes=["covariance", "implicit"]).ok
    off = bg.hypergradient(problem(lambda t: anp.exp(t) / anp.sum(anp.exp(t))), theta)
    assert np.abs(off.gradient - [-exact_slope, exact_slope]).max() <= off.error_bound
    if gap >= 30.0:
        check = bg.testing.check_hypergradient(off.gradient, off.problem, theta, reference=off)
        assert not check.ok
