"""The leader's values, Benefit and occupancy under the follower's policy."""

import numpy as np
import pytest

from boltzgrad.solvers import evaluate_leader, solve_follower


@pytest.fixture(params=[{}, {"ending": 0.4}, {"own": True}, {"leader_discount": 0.9}, {"sparse": True}])
def solved(request, make_model, rng):
    model = make_model(rng, **request.param)
    follower = solve_follower(model)
    return model, follower, evaluate_leader(model, follower)


def dense(model):
    p = model.transition
    return p if isinstance(p, np.ndarray) else p.toarray().reshape(*model.follower_reward.shape, -1)


def test_values_by_simulation_of_the_expectation(solved):
    """J = Σ_t γ_L^t p_t·r_π, summed term by term; the occupancy is Σ_t γ_L^t p_t (BC-HG (14)–(20))."""
    model, follower, leader = solved
    p = np.einsum("sa,sat->st", follower.policy, dense(model))
    reward = (follower.policy * model.leader_reward).sum(axis=1)
    at, total, visits = model.initial.copy(), 0.0, np.zeros(model.n_states)
    for t in range(1000):
        total += model.leader_discount**t * (at @ reward)
        visits += model.leader_discount**t * at
        at = at @ p
    assert leader.expected_return == pytest.approx(total, rel=1e-13)
    np.testing.assert_allclose(leader.occupancy, visits, rtol=1e-12)


def test_benefit_has_mean_zero_under_the_policy(solved):
    _, follower, leader = solved
    mean = (follower.policy * leader.benefit).sum(axis=1)
    np.testing.assert_allclose(mean, 0.0, atol=1e-15 * np.abs(leader.value).max())


def test_bounds_cover_an_independent_solution(solved):
    model, follower, leader = solved
    p = np.einsum("sa,sat->st", follower.policy, dense(model))
    matrix = np.eye(model.n_states) - model.leader_discount * p
    reward = (follower.policy * model.leader_reward).sum(axis=1)
    slack = 1e-14 * np.abs(leader.value).max()
    assert np.abs(leader.value - np.linalg.solve(matrix, reward)).max() <= leader.bound + slack
    assert np.abs(leader.occupancy - np.linalg.solve(matrix.T, model.initial)).sum() <= leader.occupancy_bound + slack
    assert leader.bound < 1e-12


def test_one_factorisation_when_discounts_and_kernels_are_shared(make_model, rng):
    shared = make_model(rng, leader_discount=0.9, follower_discount=0.9)
    follower = solve_follower(shared)
    assert evaluate_leader(shared, follower).system is follower.system
    for options in ({"leader_discount": 0.5}, {"own": True, "leader_discount": 0.9}):
        model = make_model(rng, **options)
        follower = solve_follower(model)
        assert evaluate_leader(model, follower).system is not follower.system
