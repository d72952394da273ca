"""Heavy tails, dependence, weights, and references of something else: what a check of an estimator must not be fooled by."""

import numpy as np
import pytest
from scipy import stats

import boltzgrad as bg
from boltzgrad.errors import InvalidOption, InvalidSamples
from boltzgrad.verify import BiasVerdict, check_estimator, check_samples, tails
from boltzgrad.verify.statistics import dependence
from boltzgrad.verify.tails import unseen
from tests_helpers import benchmark, slow

LEVEL = 0.01


LAWS = benchmark("estimator_level").LAWS
HEAVY = {
    **{
        name: LAWS[name]
        for name in ("log-normal, σ = 1", "log-normal, σ = 2", "Pareto 1.5", "importance weights, σ = 1.2")
    },
    "Pareto 1.5, downwards": lambda rng, n, d: -LAWS["Pareto 1.5"](rng, n, d),
}
LIGHT = {
    "normal": lambda rng, n, d: rng.standard_normal((n, d)),
    "exponential": lambda rng, n, d: rng.exponential(size=(n, d)) - 1.0,
    "t with 5 degrees of freedom": lambda rng, n, d: rng.standard_t(5, (n, d)),
}


def runs(law, n, d, replicates, *, shift=0.0, level=LEVEL):
    rng, g = np.random.default_rng(7), np.ones(d) / np.sqrt(d)
    return [check_samples(g + law(rng, n, d) + shift, g, seed=k, level=level) for k in range(replicates)]


def share(checks, verdict):
    return np.mean([check.verdict == verdict for check in checks])


@pytest.mark.parametrize(("n", "d", "replicates"), [(20, 1, 300), (50, 20, 150), slow(20, 20, 600), slow(200, 1, 600)])
@pytest.mark.parametrize("law", HEAVY)
def test_an_unbiased_estimator_with_a_heavy_tail_is_not_called_biased(law, n, d, replicates):
    checks = runs(HEAVY[law], n, d, replicates)
    assert share(checks, BiasVerdict.BIASED) <= stats.binom.ppf(0.999, replicates, 0.015) / replicates
    for check in checks:  # whatever the tests reject and the tails may explain is told so
        assert (check.p_value <= LEVEL) == (
            check.verdict in (BiasVerdict.BIASED, BiasVerdict.TAIL) and check.p_value <= LEVEL
        )


@pytest.mark.parametrize("law", ["log-normal, σ = 2", "Pareto 1.5"])
def test_the_control_without_the_tails_the_tests_would_reject(law):
    checks = runs(HEAVY[law], 20, 20, 100)
    assert np.mean([check.p_value <= LEVEL for check in checks]) > 0.15
    assert share(checks, BiasVerdict.TAIL) > 0.15
    assert "tail too heavy for n = 20" in next(c for c in checks if c.verdict == BiasVerdict.TAIL).summary()


@pytest.mark.parametrize("law", LIGHT)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_light_tails_cost_little_power(law, side):
    """A bias of ten standard errors in one coordinate, on either side of the long tail, is still called one."""
    checks = runs(LIGHT[law], 200, 5, 40, shift=side * 10.0 / np.sqrt(200) * np.eye(5)[2])
    assert share(checks, BiasVerdict.BIASED) >= 0.85


def test_a_large_bias_is_told_through_any_tail():
    for law in HEAVY.values():
        assert share(runs(law, 200, 5, 10, shift=-500.0), BiasVerdict.BIASED) == 1.0


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_what_a_light_tail_hides_is_nothing(law):
    found = unseen(LIGHT[law](np.random.default_rng(0), 5000, 20), LEVEL)
    assert max(np.max(side) for side in found) == 0.0


def test_what_a_heavy_tail_hides_is_on_its_own_side_and_covers_the_mean():
    """Pareto 1.5, n = 200: its mean is missed by up to a spread, and no more than the tail and the noise say."""
    rng, missed, noise_alone = np.random.default_rng(3), 0, 0
    for _ in range(200):
        rows = rng.pareto(1.5, (200, 1)) - 2.0
        below, above = (float(side[0]) for side in unseen(rows, LEVEL))
        error = 3.0 * rows.std() / np.sqrt(200)
        assert below <= 0.1 * above + 1e-12
        missed += not rows.mean() - error - below <= 0.0 <= rows.mean() + error + above
        noise_alone += not abs(rows.mean()) <= error
    allowed = stats.binom.ppf(0.999, 200, LEVEL)
    assert missed <= allowed < noise_alone


def test_batches_that_never_move_are_wrong_or_have_not_happened_yet(make_problem):
    """(chance < p)/p has mean one, and 20 batches of it may all be zero; a function that draws nothing is just wrong."""
    problem, p = make_problem(d=2), 0.02
    exact = np.ones(2)

    def rare(problem, theta, rng):
        return exact * (rng.random() < p) / p

    def constant(problem, theta, rng):
        return 0.5 * exact

    options = {"reference": exact, "n_batches": 20}
    checks = [check_estimator(rare, problem, np.zeros(2), seed=seed, **options) for seed in range(30)]
    assert BiasVerdict.BIASED not in {check.verdict for check in checks}
    still = next(check for check in checks if not check.variance)
    assert still.verdict == BiasVerdict.TAIL
    assert "whose rare event has not happened yet" in still.summary()
    assert check_estimator(constant, problem, np.zeros(2), **options).verdict == BiasVerdict.BIASED


@pytest.mark.parametrize("lag", [1, 3])
@pytest.mark.parametrize("d", [1, 20])
def test_dependent_batches_are_refused_with_their_lag(lag, d):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, d))
    for i in range(lag, len(rows)):
        rows[i] = 0.6 * rows[i - lag] + 0.8 * rows[i]
    check = check_samples(1.0 + rows, np.ones(d))
    assert check.verdict == BiasVerdict.DEPENDENT
    assert check.lag == lag
    assert f"batches {lag} apart are correlated" in check.summary()
    assert not check.ok


@pytest.mark.parametrize("law", [*HEAVY.values(), *LIGHT.values()])
def test_independent_batches_are_hardly_ever_refused(law):
    rng = np.random.default_rng(5)
    found = sum(dependence(law(rng, 60, 3), 1e-3)[0] > 0 for _ in range(300))
    assert found <= stats.binom.ppf(0.999, 300, 2e-3)


def test_dependence_does_not_depend_on_the_units_of_the_coordinates():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 2))
    for i in range(1, 200):
        rows[i, 0] = 0.6 * rows[i - 1, 0] + 0.8 * rows[i, 0]
    for unit in (1e-9, 1.0, 1e9):
        assert dependence(rows * [1.0, unit], 1e-3) == pytest.approx(dependence(rows, 1e-3))


def self_normalised(n, seed, sigma=0.5):
    """Draws of N(g, 1) from N(g + σ, 1), and their weights: the weighted mean is g, the plain one g + σ."""
    z = np.random.default_rng(seed).standard_normal((n, 3))
    return 1.0 + z + sigma * np.eye(3)[0], np.exp(-sigma * z[:, 0] - sigma**2 / 2.0)


def test_a_self_normalised_estimator_gives_its_weights():
    verdicts = []
    for seed in range(100):
        values, weights = self_normalised(200, seed)
        verdicts.append(check_samples(values, np.ones(3), weights=weights, seed=seed).verdict)
        assert check_samples(values, np.ones(3), seed=seed).verdict == BiasVerdict.BIASED
    assert np.mean([verdict == BiasVerdict.BIASED for verdict in verdicts]) <= 0.04
    # Any constant factor of the weights is as good.
    values, weights = self_normalised(200, 0)
    first, second = (check_samples(values, np.ones(3), weights=c * weights) for c in (1.0, 1e-7))
    np.testing.assert_allclose(first.mean, second.mean)
    np.testing.assert_allclose(
        first.mean, np.average(values, axis=0, weights=weights) * weights.mean() / weights.mean()
    )


def test_an_estimator_may_hand_over_weights_with_its_batches(make_problem):
    problem = make_problem(d=3)

    class Weighted:
        def batches(self, problem, theta, n, rng):
            return self_normalised(n, rng.integers(1 << 30))

    def one(problem, theta, rng):
        values, weights = self_normalised(1, rng.integers(1 << 30))
        return values[0], weights[0]

    for estimator in (Weighted(), one):
        check = check_estimator(estimator, problem, np.zeros(3), reference=np.ones(3), n_batches=300, resolution=0.5)
        assert check.verdict == BiasVerdict.UNBIASED, check.summary()


@pytest.mark.parametrize("weights", [np.ones(5), -np.ones(30), np.zeros(30), np.full(30, np.nan), "x"])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(InvalidSamples, match="weight"):
        check_samples(np.random.default_rng(0).standard_normal((30, 2)), np.ones(2), weights=weights)


def test_a_reference_of_another_problem_is_refused():
    problem, other = (bg.problems.load("garnet", seed=seed) for seed in (0, 1))
    theta = problem.initial_theta(seed=0)
    exact = bg.hypergradient(problem, theta).gradient

    def estimator(problem, theta, rng):
        return exact + 0.001 * np.linalg.norm(exact) * rng.standard_normal(exact.size)

    with pytest.raises(InvalidOption, match="reference is a hypergradient of another problem: J = "):
        check_estimator(estimator, problem, theta, reference=bg.hypergradient(other, theta))
    twin = bg.problems.load("garnet", seed=0)
    assert check_estimator(estimator, problem, theta, reference=bg.hypergradient(twin, theta)).ok


def test_the_bounds_on_a_bias_know_of_the_tails():
    """Batches of a law without variance bound a bias less well than they look."""
    covered = 0
    for check in runs(HEAVY["Pareto 1.5"], 50, 5, 100):
        assert check.bias_interval[0] == 0.0 or check.verdict == BiasVerdict.BIASED or check.p_value <= LEVEL
        covered += np.linalg.norm(check.bias) <= check.bias_interval[1]
    assert covered >= 98  # the true bias is zero, so the estimated one is the error


def test_light_tails_that_mirror_each_other_hide_nothing():
    """At n = 20 a normal tail may be a heavy one, for all that is known; the opposite one takes it back."""
    quantiles = (np.arange(20) + 0.5) / 20.0
    below, above = unseen(stats.norm.ppf(quantiles)[:, None], LEVEL)
    assert max(below.max(), above.max()) <= 1e-12
    skewed = unseen(stats.expon.ppf(quantiles)[:, None], LEVEL)
    assert skewed[0].max() == 0.0 < 0.1 < skewed[1].max()  # the control: what is on one side alone stays


def test_a_sum_of_heavy_columns_is_read_beside_them():
    """105 Pareto columns add up to something that looks lighter than each, and has the same tail."""
    unit, beside, alone = np.ones(105) / np.sqrt(105), 0.0, 0.0
    for seed in range(20):
        rows = HEAVY["Pareto 1.5"](np.random.default_rng(seed), 40, 105)
        along, (_, above) = tails._along(rows, unit, LEVEL)
        beside += float(above[0])
        alone += float(unseen(along[:, None], LEVEL)[1][0])
        mirrored = tails._along(-rows, -unit, LEVEL)[1][1]
        np.testing.assert_allclose(mirrored, above)  # each column on the side on which it moves the sum
    assert beside > 1.2 * alone > 0.0


def test_a_tail_that_columns_share_is_found_along_the_bias():
    """score × e^return: each column looks symmetric, and what is missing is along the bias itself."""
    hidden = 0
    for seed in range(40):
        z = np.random.default_rng(seed).standard_normal((50, 20))
        along = z.sum(axis=1) / np.sqrt(20)
        rows = z * np.exp(1.5 * along)[:, None] - 1.5 * np.exp(1.5**2 / 2.0) / np.sqrt(20)
        hidden += tails._hidden_along_itself(rows, LEVEL)
        normal = z + 10.0 / np.sqrt(50) * np.eye(20)[3]
        assert not tails._hidden_along_itself(normal, LEVEL)
    assert hidden >= 20
