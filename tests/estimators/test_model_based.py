"""Estimators that sample no trajectories: AMD's backups, M-SoBiRL's amortised solves, differences of J."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import AMD, MSoBiRL, Stream, ZeroOrder
from estimators.small import game, moving, shaped

NOTHING = np.random.default_rng(0)
CLOSE = 1e-10
TABULAR = {
    "moving": moving(),
    "contexts": moving(contexts=2),
    "own kernel": moving(own=True),
    "episodes that end": moving(fade=0.4),
    "no patience": moving(follower_discount=0.0, leader_discount=0.0),
    "game": game(),
    "game, state only": game(observes=False),
    "sparse": bg.problems.load("garnet", n_states=12, n_parameters=8, follower_discount=0.6, leader_discount=0.7),
    "regularised": bg.ConfigurableMDP(moving().build, dim=4, regulariser=lambda theta: -anp.sum(theta**4)),
}


def off(found, expected):
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# AMD


@pytest.mark.parametrize("name", TABULAR)
def test_many_sweeps_of_amd_are_the_hypergradient(name):
    problem = TABULAR[name]
    theta = problem.initial_theta(seed=3)
    exact = bg.hypergradient(problem, theta).gradient
    assert off(AMD(sweeps=150)(problem, theta, NOTHING), exact) < CLOSE
    if name != "no patience":
        assert off(AMD(sweeps=3)(problem, theta, NOTHING), exact) > 1e-3  # control


@pytest.mark.parametrize("gamma", [0.5, 0.8])
def test_the_bias_of_few_sweeps_falls_like_the_discount(gamma):
    """The slowest part of the error after k sweeps is of the order k γ^k (∇Q feeds G): ratios of errors tend to γ."""
    problem = moving(follower_discount=gamma, leader_discount=gamma)
    theta = problem.initial_theta(seed=3)
    exact = bg.hypergradient(problem, theta).gradient
    first, second = (off(AMD(sweeps=k)(problem, theta, NOTHING), exact) for k in (20, 30))
    rate = (second / first) ** 0.1
    assert 0.85 * gamma < rate < 1.1 * gamma
    assert first > 1e-2 * gamma**20


def test_tables_live_on():
    """Ten calls of ten sweeps at one θ are one call of a hundred."""
    problem = moving()
    theta = problem.initial_theta(seed=3)
    run = AMD(sweeps=10).open(problem, [Stream(0)])
    for _ in range(10):
        warm = run.estimate(theta[None]).gradient[0]
    np.testing.assert_allclose(warm, AMD(sweeps=100)(problem, theta, NOTHING), rtol=1e-12)
    assert not np.allclose(warm, AMD(sweeps=10)(problem, theta, NOTHING), rtol=1e-4)  # control


@pytest.mark.parametrize("method", [AMD(sweeps=200), ZeroOrder(central=True, radius=1e-4, decay=False)])
def test_another_temperature_is_not_ignored(method):
    problem, warm = moving(), moving(temperature=1.0)
    theta = problem.initial_theta(seed=3)[None]
    run, same = method.open(problem, [Stream(0)]), method.open(warm, [Stream(0)])
    run.temperature = 1.0
    found, expected = run.estimate(theta).gradient, same.estimate(theta).gradient
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert off(method.open(problem, [Stream(0)]).estimate(theta).gradient, expected) > 1e-2  # control


# M-SoBiRL


def general(own):
    """A general objective whose follower plans with a kernel of its own, or not."""
    objective = bg.PolicyObjective(
        lambda theta, pi: anp.sum(theta**2) + anp.sum(anp.sin(pi) * anp.arange(1.0, 7.0).reshape(3, 2))
    )
    return bg.ConfigurableMDP(shaped(own=own).build, dim=5, objective=objective, initial_scale=0.2)


GENERAL = {
    "synthetic": bg.problems.load("synthetic"),
    "synthetic-hard": bg.problems.load("synthetic-hard"),
    "general": general(False),
    "own kernel": general(True),
}


@pytest.mark.parametrize("name", GENERAL)
def test_many_adjoint_steps_are_the_hypergradient(name):
    problem = GENERAL[name]
    theta = problem.initial_theta(seed=3)
    if name == "synthetic":
        theta = theta * 0.3  # where the follower's answer is not yet deterministic
    exact = bg.hypergradient(problem, theta).gradient
    solved = {"inner_sweeps": 300, "adjoint_steps": 3000}
    assert off(MSoBiRL(**solved)(problem, theta, NOTHING), exact) < 1e-9
    for control in ("stopped", "wrong-sign"):
        assert off(MSoBiRL(lower_level=control, **solved)(problem, theta, NOTHING), exact) > 1e-3
    stopped, on, wrong = (
        MSoBiRL(lower_level=k, **solved)(problem, theta, NOTHING) for k in ("stopped", "on", "wrong-sign")
    )
    np.testing.assert_allclose(on + wrong, 2.0 * stopped, rtol=1e-9, atol=1e-9)


def test_one_amortised_step_gets_there_in_the_end():
    problem = GENERAL["synthetic-hard"]
    theta = problem.initial_theta(seed=3)
    exact = bg.hypergradient(problem, theta).gradient
    run = MSoBiRL().open(problem, [Stream(0)])
    errors = [off(run.estimate(theta[None]).gradient[0], exact) for _ in range(300)]
    assert errors[-1] < 1e-6
    assert errors[0] > 1e-2  # control: not at once


def test_a_sparse_kernel():
    from scipy import sparse

    dense = general(False)

    def build(theta):
        model = dense.build(theta)
        kernel = sparse.csr_array(np.asarray(model.transition).reshape(6, 3))
        return bg.TabularModel(
            kernel,
            model.initial,
            model.follower_reward,
            model.leader_reward,
            follower_discount=model.follower_discount,
            leader_discount=model.leader_discount,
            temperature=model.temperature,
        )

    problem = bg.ConfigurableMDP(build, dim=5, objective=dense.objective, initial_scale=0.2)
    theta = problem.initial_theta(seed=3)
    method = MSoBiRL(inner_sweeps=300, adjoint_steps=3000)
    found, expected = (method(p, theta, np.random.default_rng(0)) for p in (problem, dense))
    assert off(found, expected) < CLOSE
    assert off(found, method(general(True), theta, np.random.default_rng(0))) > 1e-3  # control


# Zero-order


def slopes(problem, theta, directions, u, central):
    """What the estimator averages, less the derivative along the directions: the bias, free of sampling noise."""
    method = ZeroOrder(radius=u, decay=False, central=central)
    n = len(directions)
    run = method.open(problem, [Stream(s) for s in range(n)])
    return (
        run.estimate(np.tile(theta, (n, 1))).gradient
        - (directions @ bg.hypergradient(problem, theta).gradient)[:, None] * directions
    )


@pytest.mark.parametrize(("central", "order"), [(False, 1), (True, 2)])
def test_the_order_of_the_radius(central, order):
    """Along fixed directions the error of one estimate is O(u), central O(u²): ten times the radius, 10 or 100 times."""
    problem = moving()
    theta = problem.initial_theta(seed=5)
    directions = np.stack([Stream(s).split("direction").generator().standard_normal(4) for s in range(20)])
    small, large = (np.abs(slopes(problem, theta, directions, u, central)).mean() for u in (1e-4, 1e-3))
    assert large / small == pytest.approx(10.0**order, rel=0.1)
    assert large / small != pytest.approx(10.0 ** (3 - order), rel=0.1)  # control


def test_the_mean_over_directions():
    """E zz' = I: the mean of many estimates is the gradient, and of none of its multiples."""
    problem, n = moving(), 1500
    theta = problem.initial_theta(seed=5)
    exact = bg.hypergradient(problem, theta).gradient
    rows = ZeroOrder(central=True, radius=1e-4).batches(problem, theta, n, np.random.default_rng(0))
    error = rows.std(axis=0) / np.sqrt(n)
    assert (np.abs(rows.mean(axis=0) - exact) < 4.0 * error).all()
    assert (np.abs(rows.mean(axis=0) - 1.5 * exact) > 4.0 * error).any()  # control


def test_the_radius_decays_by_the_call():
    """Call t of a run takes u = C/t: the same as a fixed radius C/t with the same direction."""
    problem = moving()
    theta = problem.initial_theta(seed=5)[None]
    run = ZeroOrder(radius=0.3).open(problem, [Stream(0)])
    calls = [run.estimate(theta).gradient for _ in range(3)]
    for t in range(3):
        fixed = ZeroOrder(radius=0.3 / (t + 1), decay=False).open(problem, [Stream(0)])
        for _ in range(t + 1):
            last = fixed.estimate(theta).gradient
        np.testing.assert_allclose(calls[t], last, rtol=1e-9)
    plain = ZeroOrder(radius=0.3, decay=False).open(problem, [Stream(0)])
    for _ in range(3):
        undecayed = plain.estimate(theta).gradient
    assert not np.allclose(calls[2], undecayed, rtol=1e-4)  # control


def test_the_radius_has_no_say_where_j_is_linear():
    """One state and one action: J = r_L(θ)/(1 − γ), so any radius gives the exact slope."""

    def build(theta):
        r = anp.reshape(theta[0], (1, 1))
        return bg.TabularModel(
            np.ones((1, 1, 1)), [1.0], r, r, follower_discount=0.5, leader_discount=0.5, temperature=1.0
        )

    problem = bg.ConfigurableMDP(build, dim=1)
    for u in (1e-3, 10.0):
        rows = ZeroOrder(radius=u).batches(problem, np.array([0.4]), 200, np.random.default_rng(0))
        assert (rows >= 0.0).all()
        z2 = np.random.default_rng(0).standard_normal((100, 1)) ** 2
        np.testing.assert_allclose(rows[:100], 2.0 * z2, rtol=1e-8)  # z² dJ/dθ = z²/(1 − γ)
