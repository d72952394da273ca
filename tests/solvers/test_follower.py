"""The follower's answer against closed forms, against 50-digit arithmetic, and against its own bounds."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.errors import InvalidModel, InvalidOption, NotConverged
from boltzgrad.solvers import boltzmann, solve_follower
from boltzgrad.solvers.soft_bellman import span
from tests_helpers import examples, random_model


def exact_value(model, digits=50):
    """V* of a small dense model by Newton in `digits`-digit arithmetic; nothing shared with the solvers."""
    S, A = model.follower_reward.shape
    p = model.transition if model.follower_transition is None else model.follower_transition
    with mpmath.workdps(digits):
        gamma, tau = mpmath.mpf(model.follower_discount), mpmath.mpf(model.temperature)
        v = [mpmath.mpf(0)] * S
        for _ in range(200):
            q = [[mpmath.mpf(model.follower_reward[s, a]) + gamma * mpmath.fdot(map(mpmath.mpf, p[s, a]), v)
                  for a in range(A)] for s in range(S)]  # fmt: skip
            top = [max(row) for row in q]
            w = [[mpmath.exp((x - top[s]) / tau) for x in q[s]] for s in range(S)]
            z = [mpmath.fsum(row) for row in w]
            gap = [top[s] + tau * mpmath.log(z[s]) - v[s] for s in range(S)]
            m = mpmath.eye(S)
            for s in range(S):
                for t in range(S):
                    m[s, t] -= gamma * mpmath.fsum(w[s][a] / z[s] * mpmath.mpf(p[s, a, t]) for a in range(A))
            step = mpmath.lu_solve(m, mpmath.matrix(gap))
            v = [v[s] + step[s] for s in range(S)]
            if max(abs(x) for x in step) < mpmath.mpf(10) ** (8 - digits):
                return v
    raise AssertionError("the 50-digit Newton did not converge")


def difference(solution, exact):
    with mpmath.workdps(50):
        return np.array([float(mpmath.mpf(float(x)) - y) for x, y in zip(solution.value, exact, strict=True)])


CASES = [
    {"temperature": 1.0, "follower_discount": 0.5},
    {"temperature": 0.05, "follower_discount": 0.99},
    {"temperature": 1e-4, "follower_discount": 0.9},
    {"temperature": 1e-4, "follower_discount": 0.9999},
    {"temperature": 0.1, "follower_discount": 0.95, "ending": 0.5},
    {"temperature": 0.1, "follower_discount": 0.95, "own": True},
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["newton", "value-iteration"])
def test_bounds_hold_in_fifty_digits(make_model, case, method):
    if method == "value-iteration" and case["follower_discount"] > 0.999:
        pytest.skip("half a million sweeps")
    model = make_model(np.random.default_rng(1), S=4, A=3, **case)
    solution = solve_follower(model, method=method)
    error = difference(solution, exact_value(model))
    assert np.abs(error).max() <= solution.sup_bound
    assert span(error) <= solution.span_bound
    assert solution.sup_bound < 1e-9
    np.testing.assert_allclose(solution.policy.sum(axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_newton_is_accurate_to_the_last_digits_of_v(make_model, case):
    model = make_model(np.random.default_rng(2), S=4, A=3, **case)
    error = np.abs(difference(solve_follower(model), exact_value(model))).max()
    assert error <= 2 * np.finfo(float).eps * np.abs(solve_follower(model).value).max()


def test_a_loose_solve_has_a_loose_bound_and_needs_it(make_model, rng):
    """The control of the bounds: the tight solve's bound would not cover the loose solve's error."""
    model = make_model(rng, follower_discount=0.99)
    loose, tight = solve_follower(model, method="value-iteration", tolerance=1e-4), solve_follower(model)
    error = np.abs(loose.value - tight.value).max()
    assert tight.sup_bound < error <= loose.sup_bound


def test_span_bound_is_sharper_where_the_kernel_overlaps(make_model, rng):
    """PEERS: the hypergradient converges with the span; a Doeblin overlap shows it."""
    model = make_model(rng, S=3, follower_discount=0.99)
    loose, exact = solve_follower(model, method="value-iteration", tolerance=1e-3), solve_follower(model)
    assert span(loose.value - exact.value) <= loose.span_bound < 0.2 * loose.sup_bound


def test_span_bound_counts_constants_where_episodes_end(make_model, rng):
    model = make_model(rng, ending=0.3)
    solution = solve_follower(model)
    assert solution.span_bound == 2 * solution.sup_bound


def test_one_state_closed_form():
    """V = (max-entropy value)/(1 − γ): r + τ log A per step."""
    model = bg.TabularModel(
        np.ones((1, 4, 1)), [1.0], np.full((1, 4), 0.3), np.zeros((1, 4)),
        follower_discount=0.9, leader_discount=0.9, temperature=0.2,
    )  # fmt: skip
    assert solve_follower(model).value[0] == pytest.approx((0.3 + 0.2 * np.log(4)) / 0.1, rel=1e-15)


@pytest.mark.parametrize("name", bg.problems.names("tabular"))
def test_newton_and_value_iteration_agree(name):
    model = bg.problems.load(name).contexts(np.zeros(bg.problems.load(name).dim)).models[0]
    newton, sweeps = solve_follower(model), solve_follower(model, method="value-iteration")
    assert np.abs(newton.value - sweeps.value).max() <= newton.sup_bound + sweeps.sup_bound
    assert newton.iterations < 30


def test_a_warm_start_saves_iterations(make_model, rng):
    model = make_model(rng, S=30, follower_discount=0.99, temperature=0.01)
    cold = solve_follower(model)
    warm = solve_follower(model, warm_start=cold.value + 1e-6)
    assert warm.iterations < cold.iterations
    np.testing.assert_allclose(warm.value, cold.value, rtol=1e-14)


@settings(max_examples=examples(40), deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from([1e-4, 1e-2, 1.0, 100.0]),
    st.sampled_from([0.0, 0.5, 0.99, 0.9999]),
    st.sampled_from([0.0, 0.5]),
)
def test_stable_at_the_edges(seed, S, A, temperature, discount, ending):
    rng = np.random.default_rng(seed)
    model = random_model(rng, S, A, ending=ending, temperature=temperature, follower_discount=discount)
    solution = solve_follower(model)
    # V in extended precision satisfies its equation; a Boltzmann policy never leaves the simplex.
    assert solution.residual <= 1e-14 * (1 + np.abs(solution.value).max())
    assert np.all(solution.policy >= 0.0)
    np.testing.assert_allclose(solution.policy.sum(axis=1), 1.0, rtol=1e-13)


def test_normalised_softmax_at_extreme_values():
    policy, value = boltzmann(np.array([[1e6, 1e6 - 1e-3], [-1e6, 0.0]]), 1e-4)
    np.testing.assert_allclose(policy[0], [1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))], rtol=1e-6)
    np.testing.assert_array_equal(policy[1], [0.0, 1.0])
    assert value[1] == 0.0


@pytest.mark.parametrize("method", ["newton", "value-iteration"])
def test_a_missed_tolerance_is_an_error_that_says_so(make_model, rng, method):
    model = make_model(rng, follower_discount=0.99)
    with pytest.raises(NotConverged, match=r"left a residual of .* after 1 iterations, asked for .*; try"):
        solve_follower(model, method=method, max_iterations=1)


def test_bad_options(make_model, rng):
    model = make_model(rng)
    with pytest.raises(InvalidOption, match="method is 'magic'"):
        solve_follower(model, method="magic")
    with pytest.raises(InvalidOption, match=r"warm_start has shape \(2,\), expected \(5,\)"):
        solve_follower(model, warm_start=np.zeros(2))
    with pytest.raises(InvalidOption, match="tolerance is 0"):
        solve_follower(model, tolerance=0)
    with pytest.raises(InvalidModel, match="complex"):
        solve_follower(model.with_arrays(model.arrays().map(lambda x: x + 0j)))
