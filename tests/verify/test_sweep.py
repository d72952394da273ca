"""The witnesses' own dense solves and their Newton: exact under a complex step, zero where nothing is reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boltzgrad.core.sweep import COMPLEX_STEP, EPS, Factors, solved, sweep
from boltzgrad.errors import Unfinished
from tests_helpers import examples

SIZES = st.integers(2, 12)
SEEDS = st.integers(0, 10**6)


def chain(seed, S, discount):
    return discount * np.random.default_rng(seed).dirichlet(np.ones(S), size=S)


@settings(max_examples=examples(60), deadline=None)
@given(SEEDS, SIZES, st.sampled_from([0.5, 0.99, 0.9999]))
def test_a_kernel_beside_a_real_one_is_solved_with_its_factors(seed, S, discount):
    rng, kernel = np.random.default_rng(seed), chain(seed, S, discount)
    moved, b, slope = rng.standard_normal((S, S)) * kernel, rng.standard_normal(S), rng.standard_normal(S)
    found = Factors(kernel).solve_beside(kernel + 1j * COMPLEX_STEP * moved, b + 1j * COMPLEX_STEP * slope)
    rest = np.eye(S) - kernel
    x = np.linalg.solve(rest, b)
    dx = np.linalg.solve(rest, slope + moved @ x)
    off = np.linalg.cond(rest) * 1e-14
    np.testing.assert_allclose(found.real, x, rtol=off, atol=off * np.abs(x).max())
    np.testing.assert_allclose(found.imag / COMPLEX_STEP, dx, rtol=off, atol=off * np.abs(dx).max())
    # The control: the step alone, without what the kernel's own imaginary part does, is another derivative.
    without = np.linalg.solve(rest, slope)
    assert np.abs(without - dx).max() > 1e-6 * np.abs(dx).max()


@settings(max_examples=examples(40), deadline=None)
@given(SEEDS, SIZES)
def test_where_nothing_is_reached_there_is_exactly_zero(seed, S):
    kernel = np.zeros((2 * S, 2 * S))
    kernel[:S, :S], kernel[S:, S:] = chain(seed, S, 0.99), chain(seed + 1, S, 0.99)
    b = np.concatenate([np.random.default_rng(seed).uniform(1e6, 1e9, S), np.zeros(S)])
    assert np.all(solved(kernel, b)[S:] == 0.0)
    assert np.all(Factors(kernel).solve_beside(kernel + 0j, b + 0j)[S:] == 0.0)


@settings(max_examples=examples(40), deadline=None)
@given(SEEDS, SIZES, st.sampled_from([0.9, 0.999, 0.99999]), st.sampled_from([1.0, 1e-2, 1e-4]))
def test_a_complex_step_through_a_soft_fixed_point(seed, S, discount, tau):
    rng = np.random.default_rng(seed)
    p, r, c = rng.dirichlet(np.ones(S), size=(S, 3)), rng.standard_normal((S, 3)), rng.standard_normal((S, 3))

    def backed_up(x, reward):
        q = reward + discount * (p @ x)
        top = q.real.max(axis=1, keepdims=True)
        e = np.exp((q - top) / tau)
        return (top + tau * np.log(e.sum(axis=1, keepdims=True)))[:, 0], e / e.sum(axis=1, keepdims=True)

    def fixed(reward, start):
        return sweep(
            lambda x: backed_up(x, reward)[0],
            start,
            jacobian=lambda x: discount * np.einsum("sa,sat->st", backed_up(x, reward)[1], p),
        )

    rest = fixed(r, np.zeros(S))
    policy = backed_up(rest.x, r)[1]
    # From the values at rest, as the differences of a problem begin, and from nothing, where they have to come to rest first.
    starts = (rest.x.astype(complex), np.zeros(S, complex))
    slope = np.linalg.solve(np.eye(S) - discount * np.einsum("sa,sat->st", policy, p), (policy * c).sum(axis=1))
    # log π is known to a rounding of V/τ, and the slope is a sum over the steps that remain.
    cold, steps = np.abs(rest.x).max() / tau, 1.0 / (1.0 - discount)
    for start in starts:
        moved = fixed(r + 1j * COMPLEX_STEP * c, start)
        off = np.abs(moved.x.imag / COMPLEX_STEP - slope).max()
        assert off <= 64.0 * EPS * (cold + steps) * np.abs(slope).max()
        assert np.abs(moved.x.real - rest.x).max() <= 64.0 * EPS * steps * np.abs(rest.x).max()
    # The control: the slope of the reward alone, with nothing ahead, is another.
    assert np.abs((policy * c).sum(axis=1) - slope).max() > 1e-3 * np.abs(slope).max()


def test_what_does_not_come_to_rest_is_said():
    with pytest.raises(Unfinished, match="still move the values"):
        sweep(lambda x: 1.0 - x + 0.3 * np.sin(40.0 * x), np.full(3, 0.2), jacobian=lambda x: np.zeros((3, 3)))
