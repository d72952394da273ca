"""A leader who differentiates through K steps of its follower: against the steps taken, by differences."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators import Stream, TwoTimescale
from boltzgrad.solvers import solve_follower
from estimators.small import game, moving, shaped

NOTHING = np.random.default_rng(0)


def valued(kernel, reward, gamma, policy):
    return np.linalg.solve(
        np.eye(len(policy)) - gamma * np.einsum("sa,sat->st", policy, kernel), (policy * reward).sum(axis=1)
    )


def stepped(problem, theta, start, steps, rate, natural):
    """J(θ, π_K), π_K after K steps at θ from the policy `start`: plain loops over the model's arrays."""
    m = problem.contexts(theta).models[0]
    kernel, tau, gamma = np.asarray(m.transition), m.temperature, m.follower_discount
    plans = kernel if m.follower_transition is None else np.asarray(m.follower_transition)
    logits = np.log(start)
    for _ in range(steps):
        policy = np.exp(logits)
        reward = m.follower_reward - tau * logits
        v = valued(plans, reward, gamma, policy)
        advantage = reward + gamma * plans @ v - v[:, None]
        visits = np.linalg.solve(np.eye(3) - gamma * np.einsum("sa,sat->st", policy, plans).T, m.initial)
        logits = logits + rate * (advantage if natural else visits[:, None] * policy * advantage)
        logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    policy = np.exp(logits)
    if problem.objective != "return":
        return float(problem.objective.value(theta, policy))
    return float(m.initial @ valued(kernel, m.leader_reward, m.leader_discount, policy))


def waves(theta, policy):
    return anp.sum(theta**2) + anp.sum(anp.sin(3 * policy[:, 0]) * anp.array([1.0, 2.0, 3.0]))


GENERAL = bg.ConfigurableMDP(shaped().build, dim=5, initial_scale=0.3, objective=bg.PolicyObjective(waves))
PROBLEMS = {
    "moving": moving(),
    "own kernel": moving(own=True),
    "episodes that end": moving(fade=0.4),
    "general": GENERAL,
}


@pytest.mark.parametrize("natural", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_the_derivative_of_steps_from_the_optimum(name, steps, natural):
    problem = PROBLEMS[name]
    theta, h = problem.initial_theta(seed=3), 1e-5
    start = solve_follower(problem.contexts(theta).models[0]).policy

    def differences(steps):
        ends = [
            [stepped(problem, theta + x, start, steps, 0.7, natural) for x in (e, -e)] for e in h * np.eye(theta.size)
        ]
        return np.array([(up - down) / (2 * h) for up, down in ends])

    found = TwoTimescale(steps=steps, rate=0.7, natural=natural)(problem, theta, NOTHING)
    np.testing.assert_allclose(found, differences(steps), rtol=1e-6, atol=1e-7)
    assert np.abs(found - differences(steps + 1)).max() > 1e-3  # control: a step too many shows


@pytest.mark.parametrize("name", PROBLEMS)
def test_many_steps_are_the_hypergradient(name):
    problem = PROBLEMS[name]
    theta = problem.initial_theta(seed=3)
    exact = bg.hypergradient(problem, theta).gradient
    for natural in (False, True):
        found = TwoTimescale(steps=10**7, rate=0.7, natural=natural)(problem, theta, NOTHING)
        np.testing.assert_allclose(found, exact, rtol=1e-7, atol=1e-9)


def test_regularised_and_in_every_context():
    plain = moving(contexts=2)
    problem = bg.ConfigurableMDP(plain.build, dim=4, regulariser=lambda theta: -anp.sum(theta**4))
    theta = problem.initial_theta(seed=3)
    exact = bg.hypergradient(problem, theta).gradient
    assert np.abs(TwoTimescale(steps=10**7)(problem, theta, NOTHING) - exact).max() < 1e-8
    assert np.abs(TwoTimescale(steps=10**7)(plain, theta, NOTHING) - exact).max() > 1e-3  # control


REFUSED = [
    (TwoTimescale(steps=-1), moving(), "steps is -1; expected an integer of at least 0"),
    (TwoTimescale(steps=True), moving(), "steps is True"),
    (TwoTimescale(rate=0.0), moving(), "rate is 0.0; expected a positive number"),
    (TwoTimescale(natural=1), moving(), "natural is 1; expected True or False"),
    (TwoTimescale(), game(), "two timescales are of a table's policy"),
    (TwoTimescale(), moving(temperature=[0.1, 0.2, 0.3]), "has several temperatures"),
]


@pytest.mark.parametrize(("method", "problem", "words"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(method, problem, words):
    with pytest.raises(InvalidOption, match=words):
        method.open(problem, [Stream(0)])
