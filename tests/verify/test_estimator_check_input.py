"""Estimators and numbers that cannot be checked: each refusal says which batch or option, and what was expected."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import BoltzgradError, InvalidOption, InvalidSamples
from boltzgrad.verify import BiasVerdict, check_estimator, check_samples

D = 5


def run(estimator, make_problem, **options):
    return check_estimator(
        estimator, make_problem(d=D), np.zeros(D), **{"reference": np.ones(D), "n_batches": 40, **options}
    )


def good(problem, theta, rng):
    return 1.0 + rng.standard_normal(D)


def spoiled(value, batch, coordinate):
    """An estimator one entry of which is `value`."""
    drawn = []

    def estimator(problem, theta, rng):
        row = good(problem, theta, rng).astype(type(value) if isinstance(value, complex) else float)
        if len(drawn) == batch:
            row[coordinate] = value
        drawn.append(None)
        return row

    return estimator


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (lambda p, t, rng: rng.standard_normal(3), r"batch 0 has shape \(3,\), expected \(5,\): one gradient"),
        (lambda p, t, rng: rng.standard_normal((1, D)), r"batch 0 has shape \(1, 5\), expected \(5,\)"),
        (lambda p, t, rng: 1.0, r"batch 0 has shape \(\), expected \(5,\)"),
        (lambda p, t, rng: None, r"batch 0 has shape \(\)"),
        (lambda p, t, rng: np.array(["a"] * D), r"hold <U1 values, expected real numbers"),
        (lambda p, t, rng: np.ones(D) * 1j, r"hold complex128 values, .*take the real part"),
        (spoiled(np.nan, 27, 3), r"batch 27, coordinate 3 is nan; every entry must be finite"),
        (spoiled(-np.inf, 0, 0), r"batch 0, coordinate 0 is -inf"),
    ],
)
def test_what_is_no_gradient_is_refused_with_its_place(estimator, words, make_problem):
    with pytest.raises(InvalidSamples, match=words):
        run(estimator, make_problem)


class Batches:
    def __init__(self, rows):
        self.rows = rows

    def batches(self, problem, theta, n, rng):
        return self.rows(n, rng)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (lambda n, rng: rng.standard_normal((n, 3)), r"shape \(20, 3\), expected \(n, 5\): one gradient a row"),
        (lambda n, rng: rng.standard_normal((D, n)), r"shape \(5, 20\)"),
        (lambda n, rng: rng.standard_normal((n + 1, D)), r"batches\(\) returned 21 rows, 20 were asked for"),
        (lambda n, rng: rng.standard_normal(D), r"shape \(5,\)"),
        (lambda n, rng: np.full((n, D), np.nan), r"batch 0, coordinate 0 is nan \(100 such entries in 20 batches\)"),
        (lambda n, rng: [[1.0] * D, [2.0]], r"not an array of numbers"),
    ],
)
def test_the_same_of_many_batches_at_once(rows, words, make_problem):
    with pytest.raises(InvalidSamples, match=words):
        run(Batches(rows), make_problem)


@pytest.mark.parametrize("sequential", [False, True])
def test_numbers_that_come_again_are_refused(sequential, make_problem):
    again = Batches(lambda n, rng: np.random.default_rng(0).standard_normal((n, D)))
    with pytest.raises(InvalidSamples, match=r"batches 20 to 39 repeat batches 0 to 19 .*ignores the generator"):
        run(again, make_problem, sequential=sequential)


def test_an_estimator_that_ignores_its_generator_batch_by_batch_is_told_to_be_without_noise(make_problem):
    check = run(lambda p, t, rng: 1.0 + np.random.default_rng(0).standard_normal(D), make_problem)
    assert check.verdict == BiasVerdict.BIASED
    assert "deterministic, or ignores its generator" in check.notes[0]


def test_few_values_that_happen_to_come_again_are_not_refused(make_problem):
    check = run(lambda p, t, rng: np.ones(D) + rng.choice([-1.0, 1.0]), make_problem)
    assert check.d == D


def test_what_the_estimator_raises_passes_through(make_problem):
    def broken(problem, theta, rng):
        raise ZeroDivisionError("its own")

    with pytest.raises(ZeroDivisionError, match="its own"):
        run(broken, make_problem)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_batches": 19}, "n_batches is 19; expected a whole number, 20 or more"),
        ({"n_batches": 40.0}, "n_batches is 40.0"),
        ({"n_batches": True}, "n_batches is True"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
        ({"level": 0.0}, "level is 0.0; expected a number between 0.0001 and 0.2"),
        ({"level": "0.01"}, "level is '0.01'"),
        ({"power": 1.0}, "power is 1.0"),
        ({"resolution": -0.1}, "resolution is -0.1"),
        ({"resolution": np.nan}, "resolution is nan"),
        ({"max_batches": 100}, "max_batches is for sequential=True"),
        ({"max_batches": 39, "sequential": True}, "max_batches is 39; expected a whole number, 40 or more"),
        ({"reference": np.ones(4)}, r"reference has shape \(4,\), theta \(5,\)"),
        ({"reference": np.full(D, np.nan)}, "expected d finite real numbers"),
        ({"reference": np.ones((D, 1))}, r"shape \(5, 1\)"),
    ],
)
def test_options_out_of_range_are_refused(options, words, make_problem):
    with pytest.raises(InvalidOption, match=words):
        run(good, make_problem, **options)


def test_a_reference_at_another_theta_is_refused(make_problem):
    problem = make_problem(d=D)
    elsewhere = bg.hypergradient(problem, np.ones(D))
    with pytest.raises(InvalidOption, match="at another theta"):
        check_estimator(good, problem, np.zeros(D), reference=elsewhere)


def test_what_is_no_estimator_is_refused(make_problem):
    with pytest.raises(InvalidOption, match=r"estimator is a ndarray; expected a function \(problem, theta, rng\)"):
        run(np.ones(D), make_problem)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.ones((40, 4)), r"shape \(40, 4\), expected \(n, 5\)"),
        (np.ones(40), r"shape \(40,\)"),
        (np.ones((10, D)), "the number of batches is 10; expected a whole number, 20 or more"),
        (np.where(np.arange(40 * D).reshape(40, D) == 38, np.inf, 1.0), "batch 7, coordinate 3 is inf"),
    ],
)
def test_samples_that_cannot_be_checked(samples, words):
    with pytest.raises(BoltzgradError, match=words):
        check_samples(samples, np.ones(D))


def test_whole_numbers_and_float32_are_numbers():
    rows = np.random.default_rng(0).integers(-3, 4, (100, D))
    assert check_samples(rows, np.zeros(D), resolution=10.0).ok
    assert check_samples(rows.astype(np.float32), np.zeros(D), resolution=10.0).ok


def test_an_entry_of_the_gradient_that_is_zero_up_to_its_own_error():
    """The second parameter moves every reward of the follower: its derivative is zero, and computed to 1e-13."""

    def build(theta):
        move = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]])
        reward = anp.array([[1.0, 0.0], [0.0, 0.0]]) * theta[0] + theta[1]
        return bg.TabularModel(
            move,
            [1.0, 0.0],
            reward,
            [[0.0, 0.0], [1.0, 1.0]],
            follower_discount=0.9,
            leader_discount=0.95,
            temperature=0.5,
        )

    problem, theta = bg.ConfigurableMDP(build, dim=2), np.array([0.3, 0.2])
    exact = bg.hypergradient(problem, theta).gradient
    assert abs(exact[1]) < 1e-10 * abs(exact[0])

    def estimate(_problem, _theta, rng, off=0.0, jitter=1e-14):
        # Rounding of its own in the second entry, with another offset than the reference's.
        return np.array(
            [exact[0] * (1.0 + 0.1 * rng.standard_normal()), exact[1] - 3e-13 + off + jitter * rng.standard_normal()]
        )

    assert bg.check_estimator(estimate, problem, theta).verdict != BiasVerdict.BIASED
    # The control: an offset beyond what the reference may be wrong by, in an entry that moves, is a bias.
    wrong = bg.check_estimator(lambda p, t, rng: estimate(p, t, rng, off=1e-6, jitter=1e-6), problem, theta)
    assert wrong.verdict == BiasVerdict.BIASED


def test_a_class_is_not_an_estimator_and_huge_numbers_have_no_variance():
    problem = bg.problems.load("garnet")
    theta = problem.initial_theta(0)

    class Made:
        def batches(self, problem, theta, n, rng):
            return rng.standard_normal((n, theta.size))

    with pytest.raises(InvalidOption, match=r"estimator is the class Made; expected an estimator: Made\(\)"):
        bg.check_estimator(Made, problem, theta)
    with pytest.raises(InvalidSamples, match="have no variance in float64"):
        bg.check_estimator(lambda p, t, rng: 1e200 * rng.standard_normal(t.size), problem, theta)


def test_heavy_batches_that_reject_without_a_bias_are_not_called_biased():
    """Centred log-normal noise of standard deviation e^9: the level is approximate, and the size does not bear it out."""
    d, heavy = 64, np.exp(4.5)
    found = [
        check_samples(
            0.05 * (np.exp(3.0 * np.random.default_rng(s).standard_normal((200, d))) - heavy), np.ones(d) * 0.0
        )
        for s in range(3)
    ]
    assert all(c.verdict != BiasVerdict.BIASED or c.squared_bias > 0.0 for c in found)
    # The control: the same noise about a wrong mean that stands out of it.
    noise = 0.05 * (np.exp(np.random.default_rng(0).standard_normal((200, d))) - np.exp(0.5))
    assert check_samples(noise + 1.0, np.zeros(d)).verdict == BiasVerdict.BIASED
