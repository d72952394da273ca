"""What a user gets from `bg.hypergradient`: fields, warm starts, cotangents, contexts."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.core.route import Route, RouteResult, always
from boltzgrad.errors import InvalidOption
from boltzgrad.verify.agreement import witness_row


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
    from boltzgrad.families.tabular.differences import TabularEvaluator

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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": "x"}, "tolerance is 'x'; expected a positive finite number"),
        ({"tolerance": np.inf}, "tolerance is inf"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
        ({"warm_start": np.zeros(5)}, "warm_start is a ndarray; expected an earlier result"),
    ],
)
def test_bad_options(options, message):
    problem = bg.problems.load("synthetic-hard")
    with pytest.raises(InvalidOption, match=message):
        bg.hypergradient(problem, problem.initial_theta(), **options)


def test_a_result_of_another_family_is_no_warm_start():
    game = bg.hypergradient(bg.problems.load("toy-game"), np.zeros(6))
    problem = bg.problems.load("synthetic-hard")
    with pytest.raises(InvalidOption, match="warm_start is a GameHypergradient"):
        bg.hypergradient(problem, problem.initial_theta(), warm_start=game)


def test_numbers_that_are_not_finite_are_named(make_problem):
    nan = lambda theta: np.nan * theta[0]  # noqa: E731
    with pytest.raises(bg.errors.NotDifferentiable, match="the regulariser returned"):
        bg.hypergradient(make_problem(regulariser=nan), np.ones(5))
    with pytest.raises(bg.errors.NotDifferentiable, match=r"gradient\[0\] is nan"):
        bg.hypergradient(make_problem(regulariser=bg.Regulariser(lambda t: 0.0, lambda t: np.nan * t)), np.ones(5))
    with pytest.raises(InvalidOption, match=r"regulariser is 0.1; expected a function"):
        make_problem(regulariser=0.1)


def test_a_nearly_deterministic_leader_keeps_its_digits():
    """∇J of a one-state game is 10 f(1 − f): the pull-back of a softmax must not cancel, and the bound must hold."""
    import mpmath

    game = bg.MarkovGame(
        np.ones((1, 2, 1, 1)), [1.0], [[[0.0], [0.0]]], [[[1.0], [0.0]]], follower_discount=0.0, leader_discount=0.9,
        temperature=1.0,
    )  # fmt: skip
    for logit in (1.0, 10.0, 20.0, 40.0):
        reference = bg.hypergradient(game, [logit, 0.0])
        with mpmath.workdps(50):
            f = 1 / (1 + mpmath.exp(-mpmath.mpf(logit)))
            exact = f * (1 - f) / (1 - mpmath.mpf(0.9))
            error = abs(float(mpmath.mpf(float(reference.gradient[0])) - exact))
        assert error <= reference.error_bound <= 1e-10 * float(exact)
        bg.verify(game, [logit, 0.0], routes=["theorem2", "complex-step"]).raise_if_disagree()


def test_a_vanishing_gradient_confirms_nothing(make_model, rng):
    """A constant leader's reward: ∇J = 0, every witness says so, and that is no agreement; one that is not zero disagrees."""
    model = make_model(rng)

    def build(theta):
        arrays = model.arrays()
        shaped = arrays.follower_reward + anp.reshape(theta, (5, 3))
        return model.with_arrays(bg.problems.TabularArrays(arrays.transition, arrays.initial, shaped, np.ones((5, 3))))

    problem = bg.ConfigurableMDP(build, dim=15)
    report = bg.verify(problem, np.zeros(15))
    assert np.abs(report.reference.gradient).max() < 1e-12
    assert {str(row.verdict) for row in report.rows[1:]} == {"zero to rounding"}
    assert all(row.allowed < 1e-8 for row in report.rows[1:])
    assert not report.ok
    assert not report.against
    assert report.summary().startswith("ZERO TO ROUNDING: ")
    with pytest.raises(bg.errors.GradientMismatch, match=r"no witness could confirm the reference. covariance: zero"):
        report.raise_if_disagree()
    another = Route("another", "", lambda p, t: RouteResult(report.reference.value, np.full(15, 1e-7), 0.0), always)
    assert witness_row(another, report.reference).verdict == "disagrees"


def test_other_objects_are_refused():
    with pytest.raises(InvalidOption, match="problem is a str"):
        bg.hypergradient("four-rooms", np.zeros(105))
