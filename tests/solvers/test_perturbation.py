"""Each error that the proved bound is made of covers its own quantity, and is needed: none of them may be dropped."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from boltzgrad.errors import SuspiciousModel
from boltzgrad.solvers import evaluate_leader, solve_follower
from boltzgrad.solvers.perturbation import adjoint_errors, follower_errors, leader_errors, occupancy_errors


@pytest.fixture(params=[{}, {"ending": 0.4}, {"own": True}, {"sparse": True}, {"temperature": 0.02}])
def pair(request, make_model, rng):
    """A model solved twice: from a V that is off by about 1e-4, and exactly."""
    model = make_model(rng, **request.param)
    exact = solve_follower(model)
    loose = solve_follower(model, tolerance=1.0, warm_start=exact.value + 1e-4 * rng.standard_normal(model.n_states))
    assert loose.iterations == 0
    return model, loose, exact


def adjoint(model, follower, leader):
    w = leader.occupancy[:, None] * follower.policy * leader.benefit / model.temperature
    load = model.follower_discount * model.follower_kernel.accumulate(w)
    return w, follower.system.solve_transposed(load).x


def test_each_error_covers_its_quantity_and_nothing_is_zero(pair):
    model, loose, exact = pair
    errors = follower_errors(model, loose, eps=0.0)
    rough, right = evaluate_leader(model, loose), evaluate_leader(model, exact)
    e_L, e_Q, e_B = leader_errors(model, rough, loose.policy, errors.policy, errors.kappa, 0.0, stored=rough.benefit)
    e_nu = occupancy_errors(model, rough, loose.policy, errors.policy, errors.kappa, 0.0)
    w, y = adjoint(model, loose, rough)
    w_right, y_right = adjoint(model, exact, right)
    e_w = np.abs(w - w_right) * (1 + 1e-9)  # the true one, so that e_y is tested alone
    e_y = adjoint_errors(model, loose, errors, w, e_w, y, 0.0)
    pairs = {
        "V": (loose.value, exact.value, errors.value),
        "Q": (loose.q, exact.q, errors.q),
        "policy": (loose.policy, exact.policy, errors.policy),
        "V_L": (rough.value, right.value, e_L),
        "Q_L": (rough.q, right.q, e_Q),
        "benefit": (rough.benefit, right.benefit, e_B),
        "occupancy": (rough.occupancy, right.occupancy, e_nu),
        "adjoint": (y, y_right, e_y),
    }
    for name, (found, truth, bound) in pairs.items():
        off = np.abs(found - truth)
        assert np.all(off <= bound), name
        assert off.max() > 0.0, name  # there was something to cover
        assert bound.max() <= 0.5 * max(1.0, np.abs(truth).max()), name


def test_what_a_leader_pays_for_the_policy_is_covered(pair):
    """c = −τ_L log π moves with log π, action by action: to first order in the Benefit, and only through λ."""
    _, loose, exact = pair
    # Without patience Q_L is c itself, and nothing else covers for it.
    silent = {"leader_reward": 0.0 * loose.model.leader_reward, "leader_temperature": 1.0, "leader_discount": 0.0}
    model = replace(loose.model, **silent)
    errors = follower_errors(model, loose, eps=0.0)
    rough, right = evaluate_leader(model, loose), evaluate_leader(model, exact)

    def bounds(moved):
        kept = (model, rough, loose.policy, errors.policy, errors.kappa, 0.0)
        return leader_errors(*kept, stored=rough.benefit, moved=moved)

    e_L, e_Q, e_B = bounds(errors.relative)
    assert np.all(np.abs(rough.value - right.value) <= e_L)
    assert np.all(np.abs(rough.q - right.q) <= e_Q)
    assert np.all(np.abs(rough.benefit - right.benefit) <= e_B)
    assert not np.all(np.abs(rough.q - right.q) <= bounds(0.0)[1]), "the control: λ is needed"


def test_entry_errors_are_covered(make_model, rng):
    """Every entry moved by up to ε: all solutions move by no more than the errors for that ε."""
    eps = 1e-6
    model = make_model(rng, temperature=0.1)
    follower = solve_follower(model)
    leader = evaluate_leader(model, follower)
    errors = follower_errors(model, follower, eps)
    e_L, _, e_B = leader_errors(model, leader, follower.policy, errors.policy, errors.kappa, eps, stored=leader.benefit)
    e_nu = occupancy_errors(model, leader, follower.policy, errors.policy, errors.kappa, eps)
    for _ in range(50):
        arrays = model.arrays()
        moved = replace(
            arrays,
            # Rows of p only lose: one that summed to more than one would not be a model.
            transition=arrays.transition * (1 - eps * rng.uniform(size=arrays.transition.shape)),
            follower_reward=arrays.follower_reward * (1 + eps * rng.uniform(-1, 1, size=(5, 3))),
            leader_reward=arrays.leader_reward * (1 + eps * rng.uniform(-1, 1, size=(5, 3))),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SuspiciousModel)  # the rows do look like float32 now
            other = model.with_arrays(moved)
        answer = solve_follower(other)
        values = evaluate_leader(other, answer)
        assert np.all(np.abs(answer.value - follower.value) <= errors.value)
        assert np.all(np.abs(answer.policy - follower.policy) <= errors.policy)
        assert np.all(np.abs(values.value - leader.value) <= e_L)
        assert np.all(np.abs(values.benefit - leader.benefit) <= e_B)
        assert np.all(np.abs(values.occupancy - leader.occupancy) <= e_nu)


def test_the_adjoints_error_has_two_sources(pair, rng):
    """An error of the guidance alone, and an error of the policy alone: each needs its own term."""
    model, loose, exact = pair
    gamma, kernel = model.follower_discount, model.follower_kernel
    w = rng.standard_normal(exact.policy.shape)
    solve = lambda follower, x: follower.system.solve_transposed(gamma * kernel.accumulate(x)).x  # noqa: E731
    shift = 1e-6 * rng.standard_normal(w.shape)
    tight = follower_errors(model, exact, eps=0.0)
    bound = adjoint_errors(model, exact, tight, w, np.abs(shift), solve(exact, w), 0.0)
    assert np.all(np.abs(solve(exact, w + shift) - solve(exact, w)) <= bound)
    errors = follower_errors(model, loose, eps=0.0)
    bound = adjoint_errors(model, loose, errors, w, np.zeros_like(w), solve(loose, w), 0.0)
    assert np.all(np.abs(solve(loose, w) - solve(exact, w)) <= bound)
