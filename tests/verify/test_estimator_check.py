"""Checks of estimators: the verdict, and what is said of the bias, the noise and the batches needed."""

import json

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import BiasedEstimator
from boltzgrad.verify import BiasVerdict, check_estimator, check_samples
from verify_laws import laws

D = 40
G = np.random.default_rng(0).standard_normal(D)
G /= np.linalg.norm(G)
OTHER = np.roll(G, 1) - (np.roll(G, 1) @ G) * G
OTHER /= np.linalg.norm(OTHER)


def noise(n, size=1.0, seed=1, law="skewed products"):
    """Batches with mean zero and √tr Σ = size."""
    rows = laws(D)[law](np.random.default_rng(seed), n)
    return size * rows / np.sqrt(laws(D)[law](np.random.default_rng(99), 4000).var(axis=0).sum())


def test_unbiased_at_the_stated_power():
    check = check_samples(G + noise(400, 0.4), G, seed=5)
    assert check.verdict == BiasVerdict.UNBIASED
    assert check.ok
    assert check.detectable <= check.resolution
    assert check.detectable_along <= check.detectable
    assert check.summary().startswith("unbiased at the stated power: a bias of ")
    assert "would have been seen with probability 0.9" in check.summary()
    check.raise_if_biased()


def test_too_few_batches_say_so_and_how_many_it_takes():
    check = check_samples(G + noise(60, 2.0), G)
    assert check.verdict == BiasVerdict.NOT_ENOUGH
    assert not check.ok
    with pytest.raises(BiasedEstimator, match=rf"60 batches.*not enough batches: .*need about {check.needed};"):
        check.raise_if_biased()
    # What it asks for is about right: with as many it can tell.
    assert check_samples(G + noise(int(1.3 * check.needed), 2.0, seed=3), G).ok
    assert not check_samples(G + noise(int(0.6 * check.needed), 2.0, seed=3), G).ok


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (0.7, r"too short by 30 %: its mean is 0\.[67]\d*·∇J"),
        (1.5, r"too long by 5\d %: its mean is 1\.[45]\d*·∇J|too long by 4\d %"),
        (-1.0, r"it points the other way: its mean is -(1|1\.0\d*|0\.9\d*)·∇J"),
    ],
)
def test_a_gradient_of_the_wrong_length_is_called_so(factor, words):
    check = check_samples(factor * G + noise(200, 0.1), G)
    assert check.verdict == BiasVerdict.BIASED
    low, high = check.relative_interval
    assert low <= abs(factor - 1.0) <= high
    assert check.relative_bias == pytest.approx(abs(factor - 1.0), rel=0.05)
    with pytest.raises(BiasedEstimator, match=rf"biased by .* of ‖∇J‖ .*p ≤ 0.00\d+; direction: ({words})"):
        check.raise_if_biased()


def test_a_bias_to_the_side_is_named_by_cosine_and_coordinates():
    check = check_samples(G + 0.4 * OTHER + noise(200, 0.2), G)
    assert "cosine with ∇J +0.0" in check.direction() or "cosine with ∇J -0.0" in check.direction()
    largest = int(np.argmax(np.abs(OTHER[check.rejected])))
    assert f"θ[{check.rejected[largest]}]" in check.direction()


def test_one_wrong_coordinate_is_found_and_its_interval_leaves_the_exact_value_out():
    rows = G + noise(200, 1.0, law="normal") * np.logspace(-2, 0, D)
    sound = check_samples(rows, G)
    assert sound.rejected.size == 0
    assert np.all((sound.intervals[:, 0] <= G) & (sound.intervals[:, 1] >= G))
    rows[:, 3] += 8.0 * sound.standard_error[3]
    check = check_samples(rows, G)
    np.testing.assert_array_equal(check.rejected, [3])
    outside = (check.intervals[:, 0] > G) | (check.intervals[:, 1] < G)
    np.testing.assert_array_equal(np.flatnonzero(outside), [3])
    assert check.verdict == BiasVerdict.BIASED
    assert check.relative_interval[0] > 0.0


@pytest.mark.parametrize("unit", [G, OTHER, np.eye(D)[2]], ids=["along", "aside", "one coordinate"])
def test_a_bias_of_the_detectable_size_is_found_with_the_stated_probability(unit):
    found, runs = 0, 40
    for seed in range(runs):
        rows = G + noise(150, 1.0, seed=seed)
        size = check_samples(rows, G, seed=seed).detectable
        found += check_samples(rows + size * unit, G, seed=seed).verdict == BiasVerdict.BIASED
    assert found >= 0.8 * runs


def test_the_numbers_of_the_noise():
    rows = G + noise(500, 3.0, law="normal")
    check = check_samples(rows, G)
    assert check.variance == pytest.approx(9.0, rel=0.1)
    assert check.mse == pytest.approx(check.variance, rel=0.1)
    assert check.signal_to_noise == pytest.approx(1.0 / 3.0, rel=0.1)
    assert check.effective_batch == pytest.approx(9.0, rel=0.1)
    assert np.linalg.norm(check.standard_error) * np.sqrt(check.n / check.effective_batch) == pytest.approx(check.norm)
    assert 0.2 < check.mean_cosine < check.cosine_of_mean < 1.0
    np.testing.assert_allclose(check.bias, rows.mean(axis=0) - G)


def test_coordinates_that_never_move_and_are_right_are_no_matter():
    rows = G + noise(400, law="a third never moves")
    check = check_samples(rows, G)
    assert check.ok
    np.testing.assert_array_equal(np.flatnonzero(check.silent), np.arange(0, D, 3))
    assert check.notes == ()


def test_a_coordinate_that_never_moves_and_is_far_off_is_a_bias():
    rows = G + noise(400, law="a third never moves")
    rows[:, 6] += 0.1
    check = check_samples(rows, G)
    assert check.verdict == BiasVerdict.BIASED
    np.testing.assert_array_equal(check.rejected, [6])
    assert "too much for a rare event" in check.notes[0]


def test_a_coordinate_that_a_rare_event_may_move_is_no_bias_but_it_is_told():
    rng = np.random.default_rng(2)
    rows = G + noise(50, 0.3, law="normal")
    rows[:, 6] = G[6] - 0.001  # what moves it by 0.1 happens once in a hundred batches
    check = check_samples(rows, G)
    assert check.rejected.size == 0
    assert "what moves them has not happened yet" in check.notes[0]
    moved = G + noise(5000, 0.3, law="normal", seed=3)
    moved[:, 6] = G[6] - 0.001 + 0.1 * (rng.random(5000) < 0.01)
    assert check_samples(moved, G).ok


@pytest.mark.parametrize("off", [0.0, 1e-9, 0.5])
def test_an_estimator_without_noise_is_compared_exactly(off):
    check = check_samples(np.tile(G + off * OTHER, (30, 1)), G)
    assert check.ok == (off == 0.0)
    assert "every batch is the same" in check.notes[0]
    assert check.relative_bias == pytest.approx(off, abs=1e-15)
    assert check.signal_to_noise == np.inf
    assert check.effective_batch == 0.0
    json.loads(check.to_json())


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_gradient_that_is_zero_makes_sizes_absolute(shift):
    check = check_samples(noise(400, 0.4) + shift * OTHER, np.zeros(D))
    assert check.ok == (shift == 0.0)
    assert "∇J = 0: sizes are absolute" in check.notes[0]
    assert "of 1, since ∇J = 0" in check.summary()
    assert check.effective_batch == np.inf
    assert np.isnan(check.mean_cosine)
    assert np.isnan(check.detectable_along)
    assert "nan" not in check.summary()
    assert json.loads(check.to_json())["mean_cosine"] is None
    str(check)


def test_what_a_reader_has_to_know_is_noted():
    sound = check_samples(G + noise(400, law="normal"), G)
    assert sound.notes == ()
    rows = noise(400, law="normal")
    kept = rows.copy()
    for i in range(1, len(rows)):
        kept[i] = 0.8 * kept[i - 1] + 0.6 * rows[i]
    assert "batches 1 apart are correlated" in check_samples(G + kept, G).notes[0]
    rows[7, 3] = 50.0
    assert "one batch of 400 has over half of the variance" in check_samples(G + rows, G).notes[0]


def test_text():
    check = check_samples(0.5 * G + noise(100, 0.2), G, name="mine", seed=3)
    lines = str(check).splitlines()
    assert lines[0] == "mine: 100 batches, d = 40, seed 3"
    assert [line.split("  ")[0] for line in lines[2:9]] == [
        "‖∇J‖, ‖mean‖", "‖bias‖/‖∇J‖", "one batch", "effective batch", "detectable", "joint test", "coordinates",
    ]  # fmt: skip
    assert lines[-1] == check.summary()


def test_json_has_everything_but_the_samples():
    check = check_samples(G + noise(100), G, seed=3)
    data = json.loads(check.to_json())
    assert data == check.to_dict()
    assert data["verdict"] == "not enough batches"
    assert data["seed"] == 3
    assert set(data["tests"]) == {"along", "norm", "dense", "sparse", "silent"}
    np.testing.assert_array_equal(data["mean"], check.mean)
    assert "samples" not in data
    assert "samples" not in repr(check)


def test_a_seed_decides_everything_and_another_seed_draws_others(make_problem):
    problem = make_problem(d=4)

    def estimator(problem, theta, rng):
        return rng.standard_normal(4)

    def run(seed):
        return check_estimator(estimator, problem, np.zeros(4), n_batches=30, seed=seed, reference=np.ones(4))

    assert run(1).to_json() == run(1).to_json()
    np.testing.assert_array_equal(run(1).samples, run(1).samples)
    assert not np.any(run(1).samples == run(2).samples)


def test_a_vectorised_estimator_is_preferred_and_the_exact_gradient_is_the_problems_own(make_problem):
    problem = make_problem(d=4)
    theta = problem.initial_theta(seed=0)
    exact = bg.hypergradient(problem, theta)
    asked = []

    class Both:
        def __call__(self, problem, theta, rng):
            raise AssertionError("batches() is there")

        def batches(self, problem, theta, n, rng):
            asked.append(n)
            theta += 1.0  # its own copy
            return exact.gradient + 0.01 * np.linalg.norm(exact.gradient) * rng.standard_normal((n, 4))

    check = check_estimator(Both(), problem, theta, n_batches=51)
    assert check.ok
    assert sum(asked) == 51
    np.testing.assert_array_equal(check.gradient, exact.gradient)
    again = check_estimator(Both(), problem, theta, n_batches=51, reference=exact)
    np.testing.assert_array_equal(again.samples, check.samples)


def test_an_exact_gradient_that_is_not_exact_enough_is_noted(make_problem):
    problem = make_problem(d=4)
    exact = bg.hypergradient(problem, np.zeros(4))
    size = exact.error_estimate

    def estimator(problem, theta, rng):
        return exact.gradient + 100.0 * np.finfo(float).eps * rng.standard_normal(4)

    check = check_estimator(estimator, problem, np.zeros(4), n_batches=100)
    assert size > 0.0
    assert any("own error" in note for note in check.notes) or check.silent.all()
