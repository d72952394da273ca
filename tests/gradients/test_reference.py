"""What a user gets from `bg.hypergradient`: fields, warm starts, cotangents, contexts."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import InvalidOption


def test_the_contract():
    problem = bg.problems.load("four-rooms", temperature=1e-3, penalty_weight=5.0)
    theta = problem.initial_theta(seed=0)
    ref = bg.hypergradient(problem, theta)
    assert isinstance(ref.value, float)
    assert ref.gradient.shape == theta.shape == (105,)
    assert 0 < ref.error_estimate < ref.error_bound < 1e-9
    assert ref.follower.policy.shape == ref.leader.benefit.shape == (104, 4)
    assert ref.cotangent.follower_reward.shape == (104, 4)
    assert ref.cotangent.transition.shape == (104, 4, 104)
    assert "J = " in repr(ref)
    assert "104 states" in repr(ref.follower)
    assert "V_L" in repr(ref.leader)


def test_cotangents_are_derivatives_in_the_models_own_arrays(make_model, rng):
    """∂J/∂(each entry) against a complex step in that entry, with p's entries unconstrained."""
    from boltzgrad.gradients.tabular.differences import TabularEvaluator

    for options in ({}, {"own": True}, {"ending": 0.3}):
        model = make_model(rng, S=3, A=2, **options)
        sizes = [x.size for x in model.arrays().parts()]

        def build(shift, model=model, sizes=sizes):
            parts, at = [], 0
            for x, n in zip(model.arrays().parts(), sizes, strict=True):
                parts.append(x + shift[at : at + n].reshape(x.shape))
                at += n
            return model.with_arrays(bg.problems.TabularArrays(*parts))

        problem = bg.ConfigurableMDP(build, dim=sum(sizes))
        zero = np.zeros(sum(sizes))
        gradient = bg.hypergradient(problem, zero).gradient
        evaluate = TabularEvaluator(problem)
        evaluate(zero)
        stepped = [np.imag(evaluate(zero + 1e-30j * u)) / 1e-30 for u in np.eye(sum(sizes))]
        np.testing.assert_allclose(gradient, stepped, rtol=1e-12, atol=1e-12)


def test_cost_does_not_depend_on_d():
    """One pull-back, no push-forward: the cotangents are computed once, whatever the parametrisation."""
    model = bg.problems.load("garnet", n_states=20).model(np.zeros(64))
    calls = {"back": 0, "forward": 0}

    def pullback(theta, cotangent):
        calls["back"] += 1
        return np.zeros(100_000)

    def pushforward(theta, u):
        calls["forward"] += 1
        raise AssertionError("the reference itself must not push forward")

    problem = bg.ConfigurableMDP(lambda theta: model, dim=100_000, pullback=pullback, pushforward=pushforward)
    bg.hypergradient(problem, np.zeros(100_000))
    assert calls == {"back": 1, "forward": 0}


def test_warm_start():
    problem = bg.problems.load("four-rooms")
    theta = problem.initial_theta()
    first = bg.hypergradient(problem, theta)
    again = bg.hypergradient(problem, theta + 1e-6, warm_start=first)
    cold = bg.hypergradient(problem, theta + 1e-6)
    assert again.follower.iterations < cold.follower.iterations
    np.testing.assert_allclose(again.gradient, cold.gradient, rtol=0, atol=16 * cold.error_estimate)


def test_contexts_have_no_single_follower():
    problem = bg.problems.load("four-rooms-two-goals")
    ref = bg.hypergradient(problem, problem.initial_theta())
    assert len(ref.contexts) == 2
    with pytest.raises(InvalidOption, match=r"2 contexts; use contexts\[i\].follower"):
        ref.follower  # noqa: B018
    assert len(ref.cotangent.models) == 2


def test_theta_is_not_modified_or_kept():
    problem = bg.problems.load("synthetic-hard")
    theta = problem.initial_theta()
    copy = theta.copy()
    ref = bg.hypergradient(problem, theta)
    theta += 1.0
    np.testing.assert_array_equal(ref.theta, copy)


def test_other_objects_are_refused():
    with pytest.raises(InvalidOption, match="problem is a str"):
        bg.hypergradient("four-rooms", np.zeros(105))
