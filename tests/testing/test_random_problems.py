"""2000 random problems up to the edges of discounts and temperatures: no false alarm, no crash, and errors are seen."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import boltzgrad as bg
from boltzgrad.testing import check_hypergradient
from boltzgrad.testing import strategies as bst
from boltzgrad.verify import Verdict
from independent_gradients import game, lqr, tabular
from tests_helpers import examples, sample

# (strategy, a gradient that owes nothing to the reference, how many problems).
FAMILIES = {
    "tabular": (bst.configurable_mdps(), tabular, 800),
    "game": (bst.markov_games(), game, 800),
    "lqr": (bst.linear_quadratics(), lqr, 400),
}
SHARDS, OFF = 4, 1e-4


def test_there_are_2000():
    assert sum(count for *_, count in FAMILIES.values()) == 2000


@pytest.mark.parametrize("shard", sample(range(SHARDS), 0))
@pytest.mark.parametrize("family", FAMILIES)
def test_no_false_alarm_and_no_crash(family, shard):
    strategy, independent, count = FAMILIES[family]
    drawn = max(50, examples(count // SHARDS))
    # Of near copies, which Hypothesis likes to draw, one counts.
    problems, untold, wide = [], set(), set()

    @seed(100 + shard)
    @settings(
        max_examples=drawn,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # add Phase.shrink to have a failure made small: minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(bst.problems_at(strategy))
    def run(case):
        problem, theta = case
        reference = bg.hypergradient(problem, theta)
        check = check_hypergradient(independent(problem, theta), problem, theta, reference=reference)
        assert check.verdict != Verdict.DISAGREES, str(check)
        kind = tuple(f"{x:.6g}" for x in reference.gradient)
        problems.append(kind)
        if check.verdict not in (Verdict.AGREES, Verdict.ZERO):
            untold.add(kind)
        largest = np.max(reference.term_sizes * reference.units)
        if np.any(check.allowances * reference.units > OFF * largest):
            wide.add(kind)
        # The control, on the very same problem: one coordinate that is off.
        wrong = reference.gradient.copy()
        wrong[-1] += max(OFF * reference.term_sizes[-1], 2.0 * check.allowances[-1]) or OFF
        assert check_hypergradient(wrong, problem, theta, reference=reference).verdict == Verdict.DISAGREES

    run()
    assert len(problems) >= drawn
    # "Cannot tell" and allowances that an error of 1e-4 fits in are honest where rounding is that large, and must be rare.
    assert len(untold) <= 0.02 * len(problems)
    assert len(wide) <= 0.05 * len(problems)


def test_the_independent_gradients_are_gradients():
    """On the zoo, where every other route confirms the reference."""
    for name in (
        "garnet",
        "four-rooms-two-goals",
        "synthetic-hard",
        "toy-game",
        "random-game",
        "lqr-game",
        "random-lqr",
    ):
        problem = bg.problems.load(name)
        theta = problem.initial_theta(seed=1)
        kinds = {bg.MarkovGame: game, bg.LinearQuadratic: lqr, bg.ConfigurableMDP: tabular}
        found = next(gradient for kind, gradient in kinds.items() if isinstance(problem, kind))(problem, theta)
        exact = bg.hypergradient(problem, theta).gradient
        assert np.abs(found - exact).max() <= 1e-9 * np.abs(exact).max()
