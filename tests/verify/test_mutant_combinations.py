"""No missed mistake: two at once, one in one context or one half of the horizon, and a wrong digit are told from the truth."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.later import half_of
from boltzgrad.families.registry import family_of
from boltzgrad.families.tabular.contexts import ContextualModel
from boltzgrad.testing import check_hypergradient
from boltzgrad.verify import mutants
from boltzgrad.verify.mutants import combinations
from boltzgrad.verify.mutants.recognise import _evaluated
from boltzgrad.verify.tolerances import RESOLUTION, Verdict

# Small problems of the zoo on which all of a family's steps matter: unequal discounts, endings, an observed disturbance.
SMALL = {
    "tabular": (
        "garnet",
        {
            "n_states": 12,
            "n_actions": 3,
            "n_parameters": 16,
            "branching": 3,
            "temperature": 0.3,
            "follower_discount": 0.9,
            "leader_discount": 0.8,
            "ending": 0.2,
        },
    ),
    "horizon": (
        "finite-garnet",
        {"horizon": 4, "n_states": 6, "n_parameters": 12, "follower_discount": 0.9, "leader_discount": 0.8},
    ),
    "game": (
        "random-game",
        {
            "n_states": 6,
            "n_leader_actions": 2,
            "branching": 1,
            "seed": 1,
            "temperature": 0.3,
            "follower_discount": 0.7,
            "leader_discount": 0.8,
        },
    ),
    "lqr": ("random-lqr", {"observed": True}),
}
# Games over steps make the mistakes of games and their own: tests/families/test_games_over_steps.py.
FAMILIES = {name: room for name, room in mutants.FAMILIES.items() if name in SMALL}
HORIZON = ("random-lqr", {"observed": True, "horizon": 6})


def at_start(problem):
    return problem, problem.initial_theta(seed=1)


def small(family):
    name, options = SMALL[family]
    return at_start(bg.problems.load(name, **options))


def off(gradient, right):
    """The largest difference, of ‖∇J‖_∞; infinite where the mistake leaves no numbers."""
    distance = np.abs(gradient - right).max() / np.abs(right).max()
    return distance if np.isfinite(distance) else np.inf


def distances(mutants, problem, theta, right):
    with np.errstate(all="ignore"):
        return {m.name: off(m.gradient(problem, theta), right) for m in mutants}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_pair_is_told_from_the_truth(family):
    """On one problem of the zoo, or on the one that exposes either."""
    mutants = FAMILIES[family].MUTANTS
    pairs = list(combinations.pairs(mutants))
    together = [(a, b) for i, a in enumerate(mutants) for b in mutants[i + 1 :]]
    same_step = [1 for a, b in together if combinations.overridden(a.formula) & combinations.overridden(b.formula)]
    assert len(pairs) == len(together) - len(same_step) >= 0.9 * len(together)
    problem, theta = small(family)
    right = bg.hypergradient(problem, theta).gradient
    hidden = [n for n, x in distances(pairs, problem, theta, right).items() if x <= RESOLUTION]
    exposed = {}
    for pair in (m for m in pairs if m.name in hidden):
        problem, theta = at_start(pair.exposed_by)
        right = bg.hypergradient(problem, theta).gradient
        exposed[pair.name] = off(pair.gradient(problem, theta), right)
    assert len(hidden) <= 1
    assert all(x > RESOLUTION for x in exposed.values()), exposed


def cancelling(family, **options):
    """The pairs that are right to rounding although both mistakes show."""
    mutants = FAMILIES[family].MUTANTS
    name, usual = SMALL[family]
    problem, theta = at_start(bg.problems.load(name, **usual | options))
    right = bg.hypergradient(problem, theta).gradient
    shown = [m for m in mutants if off(m.gradient(problem, theta), right) > RESOLUTION]
    pairs = distances(combinations.pairs(shown), problem, theta, right)
    return {n for n, x in pairs.items() if x <= RESOLUTION}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_cancels_where_the_discounts_are_equal(family):
    """∇Q_F is γ_F P Γ in a game, so the γ_F forgotten there and a γ_L too many in the third term make one where γ_F = γ_L.

    In tables ∇Q_F has u besides, and nothing cancels; nor does it in linear-quadratic problems.
    """
    expected = {"ForgottenDiscountInGradQAndExponentOffByOne"} if family == "game" else set()
    assert cancelling(family, follower_discount=0.8, leader_discount=0.8) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pair_makes_both_mistakes(family):
    """Where two mistakes are factors of the third term, or one of them shows on its own coordinates, both are there."""
    room = FAMILIES[family]
    problem, theta = small(family)
    a, b = {
        "tabular": ("StoppedGradient", "ForgottenStart"),
        "horizon": ("LeadersEndForgotten", "LeadersRegulariserForgotten"),
        "game": ("ForgottenDirectTerm", "FlippedSign"),
        "lqr": ("MissingTrace", "ForgottenReward"),
    }[family]
    pair = combinations.both(*(next(m for m in room.MUTANTS if m.name == name) for name in (a, b)))
    right = room.Formula(problem, theta).gradient()
    wrong = [getattr(room, name)(problem, theta).gradient() for name in (a, b)]
    # These two are made in different summands, and add up.
    np.testing.assert_allclose(
        pair.gradient(problem, theta), wrong[0] + wrong[1] - right, atol=1e-12 * np.abs(right).max()
    )
    assert a in pair.name
    assert getattr(room, a).mistake in pair.mistake
    assert getattr(room, b).mistake in pair.mistake
    assert combinations.both(room.MUTANTS[0], room.MUTANTS[0]) is None


def two_worlds():
    """Two garnets with probabilities that θ moves, too."""
    name, options = SMALL["tabular"]
    worlds = [bg.problems.load(name, **options, seed=seed) for seed in (0, 1)]

    def build(theta):
        weights = anp.exp(theta[:2])
        return ContextualModel([world.build(theta) for world in worlds], weights / anp.sum(weights))

    return bg.ConfigurableMDP(build, dim=16, initial_scale=0.3)


def test_the_formula_is_right_for_contexts_whose_probabilities_move():
    problem, theta = at_start(two_worlds())
    right = bg.hypergradient(problem, theta).gradient
    assert off(FAMILIES["tabular"].Formula(problem, theta).gradient(), right) < 1e-12


def test_a_mistake_in_one_context_shows():
    problem, theta = at_start(two_worlds())
    right = bg.hypergradient(problem, theta).gradient
    mutants = FAMILIES["tabular"].MUTANTS
    everywhere = distances(mutants, problem, theta, right)
    one = list(combinations.in_one_context(mutants))
    found = distances(one, problem, theta, right)
    assert len(one) == len(mutants)
    # A follower with a kernel of its own is not among these worlds.
    assert {n for n, x in everywhere.items() if x <= RESOLUTION} == {"WorldsKernelForFollower"}
    assert {n for n, x in found.items() if x <= RESOLUTION} == {"WorldsKernelForFollowerInOneContext"}
    # The two contexts' mistakes add up to the mistake in both.
    wrong = FAMILIES["tabular"].LostTemperature
    first = next(m for m in one if m.name == "LostTemperatureInOneContext").gradient(problem, theta)
    contexts = wrong(problem, theta).gradient() - first
    assert off(first + contexts, right) == pytest.approx(everywhere["LostTemperature"])
    assert np.abs(contexts).max() > 1e-3 * np.abs(right).max()


def test_a_mistake_in_one_context_of_the_zoo_shows():
    problem, theta = at_start(bg.problems.load("four-rooms-two-goals", temperature=0.003))
    right = bg.hypergradient(problem, theta).gradient
    names = ("StoppedGradient", "LostTemperature", "TransposedSolve", "StoppedEarly", "UncentredBenefit")
    mutants = [m for m in FAMILIES["tabular"].MUTANTS if m.name in names]
    found = distances(combinations.in_one_context(mutants), problem, theta, right)
    assert len(found) == len(names)
    assert all(x > RESOLUTION for x in found.values()), found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mistake_in_one_half_of_the_horizon_shows(family):
    room = FAMILIES[family]
    problem, theta = small(family) if family != "lqr" else at_start(bg.problems.load(HORIZON[0], **HORIZON[1]))
    right = bg.hypergradient(problem, theta).gradient
    shown = [m for m in room.MUTANTS if off(m.gradient(problem, theta), right) > RESOLUTION]
    assert len(shown) >= len(room.MUTANTS) - 2
    halves = list(combinations.in_one_half(shown))
    assert len(halves) >= 2 * len(shown) - 2
    hidden = [m for m in halves if off(m.gradient(problem, theta), right) <= RESOLUTION]
    # A moment too many is counted at the last step.
    assert [m.name for m in hidden] == (["VisitsLongerThanCostsInFirstHalf"] if family == "lqr" else [])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_two_halves_of_a_mistake_are_the_mistake(family):
    room = FAMILIES[family]
    problem, theta = small(family) if family != "lqr" else at_start(bg.problems.load(HORIZON[0], **HORIZON[1]))
    right = room.Formula(problem, theta).gradient()
    whole = room.StoppedGradient if family != "lqr" else room.FrozenGain
    mutant = next(m for m in room.MUTANTS if m.formula is whole)
    first, second = (m.gradient(problem, theta) for m in combinations.in_one_half([mutant]))
    wrong = whole(problem, theta).gradient()
    np.testing.assert_allclose(first + second - right, wrong, atol=1e-11 * np.abs(wrong).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_second_half_is_the_derivative_of_what_comes_after(family):
    """Its gradient is the reference's, for the problem that starts from the law of x_n."""
    problem, theta = small(family)
    rest = family_of(problem).later(problem, theta)
    right = bg.hypergradient(rest.problem, theta).gradient
    assert off(FAMILIES[family].Formula(rest.problem, theta).gradient(), right) < 1e-11
    assert 0.0 < rest.weight <= (0.5 if family != "horizon" else 0.8**2)  # half of four steps


def test_the_law_after_n_steps():
    """J = E Σ_{t<n} γ^t r + weight · J_later: for one state that ends with probability ¼ a step, in closed form."""

    def build(theta):
        return bg.TabularModel(
            np.full((1, 1, 1), 0.75),
            [1.0],
            anp.reshape(theta, (1, 1)),
            anp.reshape(theta, (1, 1)),
            follower_discount=0.5,
            leader_discount=0.8,
            temperature=1.0,
        )

    problem = bg.ConfigurableMDP(build, dim=1)
    n = half_of(0.8)
    assert 0.8**n <= 0.5 < 0.8 ** (n - 1)
    rest = family_of(problem).later(problem, np.ones(1))
    assert rest.weight == pytest.approx((0.8 * 0.75) ** n)
    assert bg.hypergradient(rest.problem, np.ones(1)).gradient[0] == pytest.approx(1.0 / (1.0 - 0.8 * 0.75))


@pytest.mark.parametrize("name", ["synthetic", "one-step"])
def test_what_has_no_halves_is_left_right(name):
    if name == "synthetic":
        problem, theta = at_start(bg.problems.load("synthetic-hard"))
        mutants = FAMILIES["tabular"].MUTANTS
    else:
        problem, theta = at_start(bg.problems.load("random-lqr", horizon=1))
        mutants = FAMILIES["lqr"].MUTANTS
    assert family_of(problem).later(problem, theta) is None
    right = bg.hypergradient(problem, theta).gradient
    assert max(distances(list(combinations.in_one_half(mutants))[:6], problem, theta, right).values()) < 1e-11


@pytest.mark.parametrize("family", FAMILIES)
def test_a_millionth_is_seen(family):
    """1 ± 1e-6 is below what separates any known mistake; the check sees it all the same."""
    problem, theta = small(family)
    found = list(combinations.by_a_digit(FAMILIES[family].Formula))
    assert len(found) == 2
    for mutant in found:
        wrong = mutant.gradient(problem, theta)
        right = bg.hypergradient(problem, theta).gradient
        assert off(wrong, right) == pytest.approx(1e-6, rel=1e-4)
        assert check_hypergradient(wrong, problem, theta).verdict == Verdict.DISAGREES


@pytest.mark.parametrize("family", FAMILIES)
def test_combinations_are_named(family):
    """Of some pairs at least three in four; of mistakes in one half or one context, all."""
    room = FAMILIES[family]
    problem, theta = small(family)
    right = room.Formula(problem, theta).gradient()
    allowed = 1e-9 * np.abs(right).max()

    def named(mutant, problem, mutants):
        with np.errstate(all="ignore"):
            gradient = mutant.gradient(problem, theta)
            found = combinations.resembling(gradient, problem, theta, mutants, _evaluated, allowed)
        return mutant.name in {m.name for m in found}

    shown = [m for m in room.MUTANTS if off(m.gradient(problem, theta), right) > RESOLUTION]
    singles = {m.name: m.gradient(problem, theta) for m in shown}
    pairs = [
        m
        for m in list(combinations.pairs(shown))[::31]
        if min(np.abs(m.gradient(problem, theta) - g).max() for g in singles.values()) > allowed
    ]
    pairs = pairs[:10]
    assert len(pairs) >= 4
    assert np.mean([named(m, problem, shown) for m in pairs]) >= 0.75
    assert all(named(m, problem, shown) for m in list(combinations.in_one_half(shown))[::50])
    if family == "tabular":
        problem = two_worlds()
        assert all(named(m, problem, shown) for m in list(combinations.in_one_context(shown))[::30])


def test_nothing_is_named_that_does_not_fit(rng):
    problem, theta = small("lqr")
    right = bg.hypergradient(problem, theta).gradient
    noise = right * rng.uniform(0.5, 2.0, right.size)
    mutants = FAMILIES["lqr"].MUTANTS
    assert combinations.resembling(noise, problem, theta, mutants, _evaluated, 1e-9) == ()


def test_a_pair_is_rejected_by_the_check():
    problem, theta = small("tabular")
    for mutant in list(combinations.pairs(FAMILIES["tabular"].MUTANTS))[::200]:
        with np.errstate(all="ignore"):
            wrong = mutant.gradient(problem, theta)
        if np.isfinite(wrong).all():
            assert check_hypergradient(wrong, problem, theta).verdict == Verdict.DISAGREES


def test_problems_are_not_changed():
    problem, theta = small("game")
    start = problem.joint.initial.copy()
    assert family_of(problem).later(problem, theta).problem.joint.initial is not problem.joint.initial
    np.testing.assert_array_equal(problem.joint.initial, start)
