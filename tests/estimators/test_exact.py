"""`ExactGradient` is `hypergradient` on every problem, and `NoisyExact` is it with another estimator's noise."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import BCHG, ExactGradient, NaivePGD, NoisyExact, Sampling
from boltzgrad.verify import BiasVerdict, check_estimator, check_samples
from estimators.small import game, lqr, moving, shaped
from tests_helpers import slow

load = bg.problems.load
CLOSE = 1e-9
TWO_FOLLOWERS = bg.ConfigurableMDP(
    lambda theta: bg.ContextualModel(
        [
            bg.TabularModel(
                np.full((2, 2, 2), 0.5),
                [0.5, 0.5],
                anp.reshape(theta, (2, 2)),
                anp.reshape(theta**2, (2, 2)),
                follower_discount=discount,
                leader_discount=0.5,
                temperature=temperature,
            )
            for discount, temperature in ((0.5, 1.0), (0.9, 0.1))
        ],
        anp.array([0.25, 0.75]),
    ),
    dim=4,
)


def never_drawn(theta):
    """The second context has probability θ₀, zero at the θ of the test, where its value still moves J."""
    models = [
        bg.TabularModel(
            np.full((2, 2, 2), 0.5),
            [0.5, 0.5],
            factor * anp.reshape(theta, (2, 2)),
            anp.reshape(theta**2, (2, 2)),
            follower_discount=0.5,
            leader_discount=0.5,
            temperature=1.0,
        )
        for factor in (1.0, 2.0)
    ]
    return bg.ContextualModel(models, anp.array([1.0 - theta[0], theta[0]]))


def mixed_kernels(theta):
    """A dense world and a sparse follower's kernel."""
    from scipy import sparse

    p = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.3, 0.7]]])
    return bg.TabularModel(
        p,
        [0.5, 0.5],
        anp.reshape(theta, (2, 2)),
        anp.reshape(theta**2, (2, 2)),
        sparse.csr_array(p[:, ::-1].reshape(4, 2)),
        follower_discount=0.5,
        leader_discount=0.5,
        temperature=1.0,
    )


PROBLEMS = {
    "moving": moving(),
    "contexts": moving(contexts=3),
    "own kernel": moving(own=True),
    "episodes that end": moving(fade=0.4),
    "shaped": shaped(start=True),
    "one state": moving(S=1),
    "one action": moving(A=1),
    "no patience": moving(follower_discount=0.0, leader_discount=0.0),
    "cold": moving(temperature=1e-3),
    "hot": moving(temperature=1e3),
    "contexts of two kinds": TWO_FOLLOWERS,
    "dense and sparse": bg.ConfigurableMDP(mixed_kernels, dim=4),
    "game": game(),
    "game, state only": game(observes=False),
    "game as published": game(as_published=True),
    "toy-game": load("toy-game"),
    "lqr": lqr(),
    "lqr, horizon": lqr(horizon=5),
    "lqr-game": load("lqr-game", horizon=10),
    "thermal-control": load("thermal-control"),
    "synthetic": load("synthetic"),
    "synthetic-hard": load("synthetic-hard"),
    "garnet": load("garnet", n_states=30, n_parameters=8),
    "four-rooms": load("four-rooms"),
    "four-rooms, wrong model": load("four-rooms", kernel="as-published"),
    "four-rooms-two-goals": load("four-rooms-two-goals"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_exact_is_the_hypergradient(name):
    problem = PROBLEMS[name]
    theta = problem.initial_theta(seed=3) * (0.1 if name == "lqr-game" else 1.0)
    exact = bg.hypergradient(problem, theta).gradient
    found = ExactGradient()(problem, theta, np.random.default_rng(0))
    assert np.linalg.norm(found - exact) <= CLOSE * np.linalg.norm(exact)
    # The control: the gradient a thousandth away is told apart.
    other = bg.hypergradient(problem, theta + 1e-3 * np.random.default_rng(1).standard_normal(problem.dim)).gradient
    assert np.linalg.norm(other - exact) > CLOSE * np.linalg.norm(exact)


def test_a_context_of_probability_zero_counts_in_the_gradient():
    problem = bg.ConfigurableMDP(never_drawn, dim=4)
    theta = np.array([0.0, 1.0, -0.5, 0.3])
    found = ExactGradient()(problem, theta, np.random.default_rng(0))
    np.testing.assert_allclose(found, bg.hypergradient(problem, theta).gradient, rtol=CLOSE)
    lonely = bg.ConfigurableMDP(lambda t: never_drawn(t * np.array([0.0, 1.0, 1.0, 1.0])), dim=4)
    assert abs(found[0] - bg.hypergradient(lonely, theta).gradient[0]) > 1e-3  # control: without ∇probability


def test_many_at_once_are_each_by_itself():
    problem = moving(contexts=2)
    thetas = np.random.default_rng(0).standard_normal((4, 4))
    run = ExactGradient().open(problem, [bg.estimators.Stream(s) for s in range(4)])
    for _ in range(2):  # the second call starts from the first one's values
        found = run.estimate(thetas).gradient
        for row, theta in zip(found, thetas, strict=True):
            np.testing.assert_allclose(row, bg.hypergradient(problem, theta).gradient, rtol=CLOSE, atol=CLOSE)
    assert np.ptp(found, axis=0).min() > 1e-3  # the rows differ


def test_another_temperature():
    run = ExactGradient().open(moving(), [bg.estimators.Stream(0)])
    theta = moving().initial_theta(seed=3)
    run.temperature = 1.0
    found = run.estimate(theta[None]).gradient[0]
    np.testing.assert_allclose(found, bg.hypergradient(moving(temperature=1.0), theta).gradient, rtol=CLOSE)
    assert np.linalg.norm(found - bg.hypergradient(moving(), theta).gradient) > 1e-2


@pytest.mark.parametrize("like", [BCHG(), slow(NaivePGD(sampling=Sampling(episodes=3)))], ids=["BC-HG", "Naive-PGD"])
def test_noisy_exact_has_the_exact_mean_and_the_others_covariance(like):
    problem, n = moving(), 4000
    theta = problem.initial_theta(seed=5)
    exact = bg.hypergradient(problem, theta).gradient
    noisy = NoisyExact(like=like).batches(problem, theta, n, np.random.default_rng(0))
    theirs = like.batches(problem, theta, n, np.random.default_rng(1))
    assert check_samples(noisy, exact, resolution=0.1).verdict == BiasVerdict.UNBIASED

    def distance(x):
        """In standard errors of the squares, from Var(g) = Var((g₁ − g₂)/√2)."""
        a, b = ((y - y.mean(axis=0)) ** 2 for y in (x, theirs))
        return np.abs(a.mean(axis=0) - b.mean(axis=0)) / np.sqrt((a.var(axis=0) + b.var(axis=0)) / n)

    assert distance(noisy).max() < 4.0
    assert distance(exact + (noisy - exact) * np.sqrt(2.0)).max() > 8.0  # control: without the √2
    off = np.cov(noisy.T) - np.cov(theirs.T)
    assert np.abs(off).max() < 0.15 * np.trace(np.cov(theirs.T))


def test_noisy_exact_takes_the_bias_away():
    problem = moving()
    theta = problem.initial_theta(seed=5)
    naive = NaivePGD(baseline=True)
    assert check_estimator(naive, problem, theta, n_batches=200).verdict == BiasVerdict.BIASED
    assert check_estimator(NoisyExact(like=naive), problem, theta, n_batches=200).verdict == BiasVerdict.UNBIASED
