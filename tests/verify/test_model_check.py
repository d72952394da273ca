"""The model is held against itself before anybody is blamed: each fault has its own message, and names array and coordinate."""

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.extend import Box
from autograd.scipy.special import erf, expit, gammaln

import boltzgrad as bg
from boltzgrad.core.model_check import ModelCheck
from boltzgrad.testing import check_hypergradient
from boltzgrad.verify.tolerances import Verdict
from scaled import two_states

MOVE = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]])
THETA = np.array([0.3, -0.2, 0.1, 0.4])
GOAL = np.array([[0.0, 0.0], [1.0, 1.0]])


def plain(x):
    """What a cast to a plain array leaves of a traced value."""
    while isinstance(x, Box):
        x = x._value
    return np.array(x)


def square(theta):
    return anp.reshape(theta, (2, 2))


def problem_of(follower_reward=square, leader_reward=lambda theta: GOAL, initial=lambda theta: [1.0, 0.0], dim=4):
    def build(theta):
        return bg.TabularModel(
            MOVE, initial(theta), follower_reward(theta), leader_reward(theta),
            follower_discount=0.9, leader_discount=0.95, temperature=0.5,
        )  # fmt: skip

    return bg.ConfigurableMDP(build, dim=dim)


CUT = {
    "leader's reward": (problem_of(leader_reward=lambda t: GOAL - 0.1 * square(plain(t))), "leader_reward", 0.0, -0.1),
    "one factor of two": (problem_of(lambda t: square(t) * square(plain(t))), "follower_reward", 0.3, 0.6),
    "rounded to six digits": (problem_of(lambda t: anp.round(square(t), 6)), "follower_reward", 0.0, 1.0),
    "a number by itself": (problem_of(leader_reward=lambda t: GOAL + float(plain(t)[0].real)), "leader_reward", 0.0, 1.0),
    "clipped by hand": (
        problem_of(lambda t: square(t) + 0.2 * np.clip(square(plain(t)).real, -1, 1)), "follower_reward", 1.0, 1.2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_a_graph_that_is_cut(name):
    problem, array, derivative, slope = CUT[name]
    reference = bg.hypergradient(problem, THETA)
    found = reference.model_check
    assert not found.ok
    assert found.kind == "derivative"
    assert found.array.startswith(f"{array}[")
    assert found.derivative == pytest.approx(derivative, abs=1e-9)
    assert found.slope == pytest.approx(slope, rel=0.1 if "rounded" in name else 1e-4)
    assert f"along theta[{found.coordinate}]" in str(found)
    report = bg.verify(problem, THETA)
    assert not report.ok
    assert "MODEL'S DERIVATIVE IS WRONG" in report.summary()
    assert {str(row.verdict) for row in report.rows} == {"reference", "skipped"}
    with pytest.raises(bg.errors.GradientMismatch, match="model's derivative is wrong"):
        report.raise_if_disagree()
    # The reference's own gradient and any other one: nobody is blamed.
    for gradient in (reference.gradient, 2.0 * reference.gradient, np.ones(4)):
        check = check_hypergradient(gradient, problem, THETA, reference=reference)
        assert check.verdict == Verdict.MODEL
        assert "nothing can be said of your gradient" in str(check)


def random_build():
    rng = np.random.default_rng(0)
    return problem_of(lambda t: square(t) + 1e-3 * rng.standard_normal((2, 2)))


def counting_build():
    calls = []

    def reward(t):
        calls.append(1)
        return square(t) + 1e-6 * len(calls)

    return problem_of(reward)


def remembering_build():
    last = [np.zeros((2, 2))]

    def reward(t):
        before, last[0] = last[0], square(plain(t)).real
        return square(t) + 0.1 * before

    return problem_of(reward)


def overwriting_build():
    shared = np.zeros((2, 2))

    def reward(t):
        shared[:] = square(plain(t)).real
        return shared

    return problem_of(leader_reward=reward)


def changing_build():
    def reward(t):
        out = square(t) * 1.0
        if not isinstance(t, Box):
            t *= 1.01
        return out

    return problem_of(reward)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (random_build, "random", "draws random numbers"),
        (counting_build, "random", "keeps state between calls"),
        (remembering_build, "random", "keeps state between calls"),
        (overwriting_build, "changes its arrays", "return a fresh array each time"),
        (changing_build, "changes theta", "let it work on a copy"),
    ],
)
def test_a_build_that_does_not_repeat_itself(make, kind, words):
    report = bg.verify(make(), THETA)
    assert not report.ok
    assert report.model.kind == kind
    assert words in str(report.model)
    assert check_hypergradient(np.ones(4), make(), THETA).verdict == Verdict.MODEL


def by_hand(**changes):
    problem = bg.problems.load("garnet", n_states=12, n_parameters=8)
    options = {"pullback": problem._pullback, "pushforward": problem._pushforward, **changes}
    return bg.ConfigurableMDP(problem.build, dim=problem.dim, **options), problem.initial_theta(seed=0), problem


@pytest.mark.parametrize("factor", [1.001, 1.0 + 1e-6, -1.0, 0.0])
def test_a_hand_written_pull_back_with_one_coordinate_off(factor):
    _, theta, right = by_hand()

    def pullback(t, cotangent):
        out = np.array(right._pullback(t, cotangent))
        out[2] *= factor
        return out

    found = bg.hypergradient(by_hand(pullback=pullback)[0], theta).model_check
    assert (found.kind, found.coordinate) == ("transpose", 2)
    assert found.derivative == pytest.approx(factor * found.slope, rel=1e-9, abs=1e-12)


def test_a_hand_written_push_forward_with_one_entry_off():
    _, theta, right = by_hand()

    def pushforward(t, direction):
        tangent = right._pushforward(t, direction)
        reward = np.array(tangent.follower_reward)
        reward[3, 1] *= 1.001
        return replace(tangent, follower_reward=reward)

    found = bg.hypergradient(by_hand(pushforward=pushforward)[0], theta).model_check
    assert (found.kind, found.array) == ("derivative", "follower_reward[3, 1]")


def test_a_regulariser_or_an_objective_with_a_wrong_gradient():
    wrong = bg.Regulariser(lambda t: -(t**2).sum(), lambda t: -2.002 * t)
    problem, theta, _ = by_hand(regulariser=wrong)
    assert bg.hypergradient(problem, theta).model_check.array == "regulariser"

    def objective(gradient):
        return bg.PolicyObjective(lambda t, pi: anp.sum(pi**2) + anp.sum(t), gradient)

    right = objective(lambda t, pi: (np.ones_like(t), 2.0 * pi))
    assert bg.hypergradient(by_hand(objective=right)[0], theta).model_check.ok
    off = objective(lambda t, pi: (np.ones_like(t), 2.002 * pi))
    assert bg.hypergradient(by_hand(objective=off)[0], theta).model_check.array == "objective"


def test_games_and_linear_quadratic_problems_too():
    game = bg.problems.load("random-game")
    theta = game.initial_theta(seed=0)
    right = game.policy
    wrong = bg.LeaderPolicy(
        right.function, game.dim, pullback=lambda t, c: 1.001 * right.pullback(t, c), pushforward=right.pushforward
    )
    assert bg.hypergradient(game, theta).model_check == ModelCheck(method="complex step")
    game.policy = wrong
    found = bg.hypergradient(game, theta).model_check
    assert (found.kind, found.array) == ("transpose", "policy")
    lq = bg.problems.load("random-lqr")
    build = lq.build

    def cut(theta):
        model = build(theta)
        return replace(model, leader_Q=model.leader_Q * (1.0 + 0.1 * float(plain(theta)[1].real)))

    found = bg.hypergradient(bg.LinearQuadratic(cut, dim=lq.dim), lq.initial_theta(seed=0)).model_check
    assert (found.kind, found.coordinate) == ("derivative", 1)
    assert found.array.startswith("leader_Q[")


@pytest.mark.parametrize("name", bg.problems.names())
def test_every_problem_of_the_zoo_passes(name):
    problem = bg.problems.load(name)
    found = bg.hypergradient(problem, problem.initial_theta(seed=0)).model_check
    assert found == ModelCheck(method=found.method)
    assert "the model's derivative is its slope" in str(found)


RULES = {
    "expit": lambda t: expit(square(t)),
    "erf": lambda t: erf(square(t)),
    "gammaln": lambda t: gammaln(3.0 + square(t)),
    "solve": lambda t: anp.linalg.solve(3.0 * np.eye(2) + square(t), np.eye(2)),
    "inv": lambda t: anp.linalg.inv(3.0 * np.eye(2) + square(t)),
    "eigh": lambda t: anp.outer(anp.linalg.eigh(square(t) + square(t).T)[0], np.array([1.0, 0.5])),
    "cholesky": lambda t: anp.linalg.cholesky(3.0 * np.eye(2) + square(t) + square(t).T),
    "fft": lambda t: anp.real(anp.fft.fft(square(t))),
}


@pytest.mark.parametrize("name", RULES)
def test_functions_without_a_forward_rule_are_pushed_forward_by_a_double_pull_back(name):
    report = bg.verify(problem_of(RULES[name]), THETA, routes=["covariance", "implicit", "differences"])
    assert report.ok, str(report)
    assert report.reference.error_bound < 1e-6


def test_what_is_in_doubt_lets_nothing_agree():
    """|θ| at zero: no derivative is its slope, and no gradient can be right."""
    problem = problem_of(lambda t: anp.abs(square(t)))
    check = check_hypergradient(bg.hypergradient(problem, np.zeros(4)).gradient, problem, np.zeros(4))
    assert check.verdict in (Verdict.CANNOT_TELL, Verdict.ZERO, Verdict.MODEL)
    assert not bg.verify(problem, np.zeros(4)).ok
    assert bg.verify(problem, THETA, routes=["implicit", "differences"]).ok  # away from the kink all is well


def test_it_is_part_of_every_record():
    problem, theta = two_states()
    report = bg.verify(problem, theta, routes=["implicit"])
    assert report.model is report.reference.model_check
    assert check_hypergradient(report.reference.gradient, problem, theta).model.ok
    assert '"model"' in report.to_json()


def test_an_objective_that_vanishes_here_is_no_wrong_derivative():
    """½ |x(π) − x(π_E)|² at the expert's θ, and a regulariser that is zero but for rounding: cancellation, not a mistake."""
    from boltzgrad.zoo.irl import irl_tables

    problem, theta = bg.problems.load("irl", objective="features"), irl_tables()[2]
    assert bg.hypergradient(problem, theta).model_check.ok
    garnet = bg.problems.load("garnet", n_states=6, n_parameters=8)
    start = garnet.initial_theta(seed=1)
    near = start * (1.0 + 1e-15)
    held = bg.ConfigurableMDP(garnet.source, dim=8, regulariser=bg.Regulariser(lambda t: anp.sum((t - near) ** 2)))
    assert bg.hypergradient(held, start).model_check.ok
    # What is wrong by a part of what the function changes by over a step is still found, where the function vanishes.
    wrong = bg.Regulariser(lambda t: anp.sum((t - near) ** 2), lambda t: 2.0 * (t - near) + 1e-6)
    found = bg.hypergradient(bg.ConfigurableMDP(garnet.source, dim=8, regulariser=wrong), start).model_check
    assert not found.ok


@pytest.mark.parametrize("seed", [14, 51, 63, 107])
def test_a_log_that_is_zero_everywhere_is_no_wrong_derivative(seed):
    """One action in each state: log π⁰ = 0 and stays it; its derivative is the rounding of e/Σe, which at these seeds shows."""
    rng, mask = np.random.default_rng(seed), np.eye(2, dtype=bool)
    slopes, base = rng.standard_normal((2, 2, 2)), rng.standard_normal((2, 2))

    def build(t):
        e = anp.exp(base + anp.dot(slopes, t)) * mask
        return bg.FiniteHorizonModel(
            np.full((2, 2, 2), 0.5), [0.5, 0.5], np.eye(2) + t[0], np.eye(2) * t[1], horizon=3, follower_discount=0.9,
            leader_discount=0.9, temperature=0.5, reference=e / anp.sum(e, axis=1, keepdims=True), available=mask,
        )  # fmt: skip

    assert bg.hypergradient(bg.ConfigurableMDP(build, dim=2), rng.standard_normal(2)).model_check.ok
