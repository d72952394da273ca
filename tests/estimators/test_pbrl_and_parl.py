"""PBRL's finite weight and PARL's damping as estimators: nothing is sampled, and their biases are exact."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from scipy import optimize

import boltzgrad as bg
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators import PARL, PBRL, Stream
from estimators.small import game, moving

NOTHING = np.random.default_rng(0)
GAMMA = {"follower_discount": 0.7, "leader_discount": 0.7}


def off(found, exact):
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def returned(sign, **options):
    """The leader's return J written as a general f(θ, π) = ± J, with everything in the hands of θ."""
    plain = moving(**GAMMA, **options)

    def f(theta, policy):
        m = plain.build(theta)
        kernel = anp.sum(policy[:, :, None] * m.transition, axis=1)
        paid = anp.sum(policy * m.leader_reward, axis=1)
        return sign * anp.dot(m.initial, anp.linalg.solve(anp.eye(3) - 0.7 * kernel, paid))

    return plain, bg.ConfigurableMDP(plain.build, dim=4, objective=bg.PolicyObjective(f))


@pytest.mark.parametrize("weight", [1.0, 2.0, 30.0])
@pytest.mark.parametrize("options", [{}, {"fade": 0.4}, {"temperature": 0.1}], ids=str)
def test_a_return_as_a_general_objective_has_the_same_penalty(weight, options):
    """Two formulas: the envelope of a soft MDP with reward r_F + r_L/λ, and the best π_λ of f with the gap as penalty."""
    plain, general = returned(1.0, **options)
    _, loss = returned(-1.0, **options)
    theta = plain.initial_theta(seed=3)
    expected = bg.penalty_gradient(plain, theta, weight)
    climbed = PBRL(weight=weight, descend=False)(general, theta, NOTHING)
    assert off(climbed, expected) < 1e-8
    assert off(-PBRL(weight=weight)(loss, theta, NOTHING), expected) < 1e-8
    np.testing.assert_array_equal(PBRL(weight=weight)(plain, theta, NOTHING), expected)
    # Controls: the wrong direction, and the exact gradient, are something else.
    assert off(PBRL(weight=weight)(general, theta, NOTHING), expected) > 1e-4
    assert off(bg.hypergradient(plain, theta).gradient, expected) > 1e-4


GENERAL = {
    "rlhf": bg.problems.load("rlhf"),
    "rlhf, cold": bg.problems.load("rlhf", temperature=0.1, reference=1.0),
    "rlhf-kl": bg.problems.load("rlhf-kl"),
    "synthetic-hard": bg.problems.load("synthetic-hard"),
    "regularised": bg.ConfigurableMDP(
        bg.problems.load("rlhf").build,
        dim=6,
        objective=bg.PolicyObjective(lambda theta, pi: anp.sum(anp.sin(3 * pi[:, 0]))),
        regulariser=lambda theta: anp.sum(theta**4),
    ),
}


RETURNS = {
    "discounts differ": moving(),
    "own kernel": moving(own=True),
    "contexts": moving(contexts=2, fade=0.4),
    "leader's entropy": moving(leader_temperature=0.5),
    "colder": moving(temperature=0.15),
}


STARTS_ANYWHERE = {name: problem for name, problem in GENERAL.items() if name != "rlhf-kl"} | RETURNS
PENALTIES = [("value", name, p) for name, p in GENERAL.items()] + [
    ("bellman", name, p) for name, p in STARTS_ANYWHERE.items()
]


@pytest.mark.parametrize(("penalty", "name", "problem"), PENALTIES, ids=lambda x: x if isinstance(x, str) else "")
def test_the_bias_falls_with_the_weight(penalty, name, problem):
    theta = problem.initial_theta(seed=1)
    exact = bg.hypergradient(problem, theta).gradient
    far, near = (off(PBRL(weight=w, penalty=penalty)(problem, theta, NOTHING), exact) for w in (1e3, 1e4))
    assert far > 1e-7
    assert far / near == pytest.approx(10.0, rel=0.05)


@pytest.mark.parametrize("weight", [3.0, 30.0])
@pytest.mark.parametrize("options", [{}, {"own": True}, {"leader_temperature": 0.5}, {"temperature": 0.1}], ids=str)
def test_the_bellman_penalty_is_what_is_climbed(weight, options):
    """∇ against a slope of max_π J(θ, π) − λτ Σ ρ KL(π ‖ π*), made from logits by a general optimiser alone."""
    problem = moving(**options)
    theta = problem.initial_theta(seed=3)

    def best(t):
        m = problem.contexts(t).models[0]
        answer, (S, A) = bg.hypergradient(problem, t).follower.policy, m.follower_reward.shape
        tau, kernel = m.temperature, np.asarray(m.kernel.values)

        def loss(z):
            z = anp.reshape(z, (S, A))
            z = z - anp.max(z, axis=1, keepdims=True)
            log = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
            policy = anp.exp(log)
            paid = anp.sum(policy * (m.leader_reward - m.leader_temperature * log), axis=1)
            carried = anp.sum(anp.reshape(policy, (S, A, 1)) * kernel, axis=1)
            J = anp.dot(m.initial, anp.linalg.solve(np.eye(S) - m.leader_discount * carried, paid))
            return -J + weight * tau * anp.dot(m.initial, anp.sum(policy * (log - np.log(answer)), axis=1))

        found = optimize.minimize(loss, np.log(answer).ravel(), jac=grad(loss), method="BFGS", options={"gtol": 1e-9})
        return -found.fun

    steps = 1e-4 * np.eye(theta.size)
    slope = [
        (8 * (best(theta + u) - best(theta - u)) - best(theta + 2 * u) + best(theta - 2 * u)) / 12e-4 for u in steps
    ]
    assert off(PBRL(weight=weight, penalty="bellman")(problem, theta, NOTHING), np.array(slope)) < 1e-7
    # Controls: the other weight, and the exact gradient, are something else.
    assert off(PBRL(weight=1.1 * weight, penalty="bellman")(problem, theta, NOTHING), np.array(slope)) > 1e-5
    assert off(bg.hypergradient(problem, theta).gradient, np.array(slope)) > 1e-4


@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.1])
def test_what_the_weight_of_the_comparison_costs(temperature):
    """Medians of ten seeds: per cents at λ = 2, where DRLHF is off by a fifth or more."""
    found = []
    for seed in range(10):
        problem = bg.problems.load("rlhf", seed=seed, temperature=temperature)
        theta = problem.initial_theta(seed=seed)
        found.append(off(PBRL()(problem, theta, NOTHING), bg.hypergradient(problem, theta).gradient))
    assert 0.003 < np.median(found) < 0.04


def test_parl_is_the_damped_gradient():
    problem = GENERAL["rlhf"]
    theta = problem.initial_theta(seed=1)
    exact = bg.hypergradient(problem, theta).gradient
    assert off(PARL()(problem, theta, NOTHING), exact) < 1e-12
    damped = PARL(damping=0.01)(problem, theta, NOTHING)
    np.testing.assert_array_equal(damped, bg.parl_gradient(problem, theta, damping=0.01))
    assert bg.check_estimator(PARL(), problem, theta).ok
    assert not bg.check_estimator(PARL(damping=0.01), problem, theta).ok


@pytest.mark.parametrize("method", [PARL(damping=0.1), PBRL()])
def test_every_lane_gets_the_gradient_of_its_theta(method):
    problem = GENERAL["rlhf"]
    thetas = np.stack([problem.initial_theta(seed=i) for i in range(2)])
    found = method.open(problem, [Stream(0)] * 3).estimate(thetas, np.array([1, 0, 1]))
    alone = [method(problem, theta, NOTHING) for theta in thetas]
    np.testing.assert_array_equal(found.gradient, [alone[1], alone[0], alone[1]])
    assert not found.steps.any()
    run = method.open(problem, [Stream(0)])
    run.temperature = 0.5
    with pytest.raises(InvalidOption, match=r"temperature is set to 0\.5"):
        run.estimate(thetas[:1])


OTHERS = moving()  # γ_F = .6, γ_L = .7
REFUSED = [
    (PBRL(weight=0.0), GENERAL["rlhf"], "weight is 0.0; expected a positive number"),
    (PBRL(descend=1), GENERAL["rlhf"], "descend is 1; expected True or False"),
    (PBRL(penalty="Bellman"), GENERAL["rlhf"], "penalty is 'Bellman'; expected 'value' or 'bellman'"),
    (PBRL(penalty="bellman"), bg.problems.load("four-rooms"), "416 logits, at most 200"),
    (PBRL(penalty="bellman"), GENERAL["rlhf-kl"], r"no episode starts \(state 1, for one\)"),
    (PBRL(), OTHERS, "needs players with one discount and one kernel"),
    (PBRL(), game(), "PBRL is for a table"),
    (PBRL(), returned(1.0, contexts=2)[1], "needs one world, which the follower plans with"),
    (PBRL(), returned(1.0, own=True)[1], "needs one world, which the follower plans with"),
    (PBRL(), bg.problems.load("rlhf", n_states=101, horizon=1), "202 logits, at most 200"),
    (PARL(damping=-1.0), GENERAL["rlhf"], "damping is -1.0; expected a number of at least 0"),
    (PARL(damping=True), GENERAL["rlhf"], "damping is True"),
    (PARL(), game(), "PARL's Hessian is that of a table"),
]


@pytest.mark.parametrize(("method", "problem", "words"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(method, problem, words):
    with pytest.raises(InvalidOption, match=words):
        method.open(problem, [Stream(0)])
