"""A gradient of somebody else's: right ones are accepted, every known mistake is rejected and named."""

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.registry import witnesses
from boltzgrad.testing import check as check_record
from boltzgrad.testing import check_hypergradient, comparison, second_opinions
from boltzgrad.verify import Verdict, agreement
from boltzgrad.verify.mutants import FAMILIES
from boltzgrad.verify.mutants.recognise import Mistakes
from boltzgrad.verify.tolerances import HALF_THE_DIGITS, MARGIN, RESOLUTION, SINGLE_SAFETY, UNKNOWN_METHOD, Yardstick
from tests_helpers import sample

MUTANTS = {f"{family}: {m.name}": m for family, room in FAMILIES.items() for m in room.MUTANTS}


@pytest.fixture(scope="module")
def rooms():
    problem = bg.problems.load("four-rooms", temperature=0.003)
    theta = problem.initial_theta(seed=0)
    return problem, theta, bg.hypergradient(problem, theta)


@pytest.fixture(scope="module")
def exposing():
    """(problem, θ, reference, mistakes) of the problem that a mutant shows on; many show on the same one."""
    known = {}

    def of(mutant):
        key = repr(mutant.formula.exposed_by)
        if key not in known:
            problem = mutant.exposed_by
            theta = problem.initial_theta(seed=1)
            reference = bg.hypergradient(problem, theta)
            known[key] = problem, theta, reference, agreement.mistakes(reference)
        return known[key]

    return of


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_rejected_and_recognised(monkeypatch, exposing, name):
    mutant = MUTANTS[name]
    problem, theta, reference, known = exposing(mutant)
    monkeypatch.setattr(agreement, "mistakes", lambda reference: known)
    check = check_hypergradient(mutant.gradient(problem, theta), problem, theta, reference=reference)
    assert check.verdict == Verdict.DISAGREES
    assert f"‘{mutant.mistake}’ (it matches yours to the last digit)" in check.looks_like


FIRST = [next(name for name in MUTANTS if name.startswith(family)) for family in FAMILIES]


@pytest.mark.parametrize("name", sample(list(dict.fromkeys([*FIRST, *list(MUTANTS)[::8]])), *FIRST))
def test_a_mutant_is_rejected_and_named(assert_hypergradient, name):
    """Some of those above: through the plugin's own fixture, as a function of θ, in words, with what the other routes say."""
    mutant = MUTANTS[name]
    problem = mutant.exposed_by
    theta = problem.initial_theta(seed=1)
    with pytest.raises(bg.errors.GradientMismatch) as caught:
        assert_hypergradient(lambda t: mutant.gradient(problem, t), problem, theta)
    assert f"looks like: ‘{mutant.mistake}’ (it matches yours to the last digit)" in str(caught.value)
    assert "the difference is yours" in str(caught.value)


# The others sweep for long, or have a hundred parameters.
@pytest.mark.parametrize(
    "name", sample(bg.problems.names(), "four-rooms", "synthetic-hard", "random-game", "lqr-game", "random-lqr")
)
def test_the_reference_and_every_exact_route_are_accepted(assert_hypergradient, name):
    problem = bg.problems.load(name)
    theta = problem.initial_theta(seed=2)
    reference = bg.hypergradient(problem, theta)
    assert assert_hypergradient(reference.gradient, problem, theta).difference == 0.0
    accepted = 0
    for route in witnesses(problem):
        if route.skip(problem, theta) or route.name == "differences":  # not exact, and of many coordinates only slopes
            continue
        found = route.run(problem, theta)
        if found.directions is None:
            assert_hypergradient(found.gradient, problem, theta, reference=reference)
            accepted += 1
    assert accepted >= 4


def test_how_much_may_be_wrong(rooms):
    """Half of the digits pass, 3e-7 does not (autograd's own checker lets that pass), and says what it may be."""
    problem, theta, reference = rooms
    exact, terms = reference.gradient, reference.term_sizes
    half = np.minimum(HALF_THE_DIGITS * terms, UNKNOWN_METHOD * np.abs(exact))
    assert check_hypergradient(exact + 0.9 * half, problem, theta).ok
    longer = check_hypergradient(exact * (1.0 + 3e-7), problem, theta)
    assert longer.verdict == Verdict.DISAGREES
    assert longer.looks_like == ("it is 1.0000003 × ∇J: right in direction, wrong in length",)
    signs = np.where(np.arange(exact.size) % 3, 1.0, -1.0)
    off = exact + 3e-7 * signs * np.abs(exact)
    check = check_hypergradient(off, problem, theta)
    assert check.verdict == Verdict.DISAGREES
    assert "no formula's mistake" in str(check)
    assert "tolerance=4e-07" in str(check)
    assert check_hypergradient(off, problem, theta, tolerance=4e-7).ok
    assert not check_hypergradient(off, problem, theta, tolerance=1e-9).ok


def test_no_entry_hides_behind_a_larger_one(rooms):
    """Half of the digits of the largest entry are many times the smallest ones: there they are mistakes."""
    problem, theta, reference = rooms
    exact = reference.gradient
    small = int(np.argmin(np.abs(exact)))
    wrong = exact.copy()
    wrong[small] += 0.9 * HALF_THE_DIGITS * np.abs(exact).max()
    check = check_hypergradient(wrong, problem, theta)
    assert check.verdict == Verdict.DISAGREES
    assert check.where == small


@pytest.fixture(scope="module")
def nearby():
    """A problem at θ where one mistake moves no entry by more than a fraction, with the mistake's gradient."""
    problem = bg.problems.load("synthetic-hard")
    theta = problem.initial_theta(seed=0)
    mistake = MUTANTS["tabular: AlmostTheDiscount"]
    return problem, theta, bg.hypergradient(problem, theta), mistake, mistake.gradient(problem, theta)


def test_a_tolerance_that_hides_a_mistake_is_no_agreement(nearby):
    problem, theta, reference, mistake, wrong = nearby
    assert RESOLUTION < np.abs(wrong - reference.gradient).max() / np.abs(reference.gradient).max() < 1e-3
    check = check_hypergradient(wrong, problem, theta, tolerance=2e-3)
    assert check.verdict == Verdict.CANNOT_TELL
    assert f"could as well be ‘{mistake.mistake}’" in str(check)
    with pytest.raises(bg.errors.GradientMismatch, match="cannot tell"):
        check.raise_if_wrong()
    # The same tolerance, and a gradient that is clearly nearer to the truth than to any mistake.
    near = reference.gradient + 0.01 * (wrong - reference.gradient)
    assert check_hypergradient(near, problem, theta, tolerance=2e-3).ok
    # Half way it cannot be told.
    half = reference.gradient + 0.5 * (wrong - reference.gradient)
    assert check_hypergradient(half, problem, theta, tolerance=2e-3).verdict == Verdict.CANNOT_TELL
    # One that is too small for the mistake rejects it.
    assert check_hypergradient(wrong, problem, theta, tolerance=1e-4).verdict == Verdict.DISAGREES


def test_a_tolerance_that_would_let_half_of_an_entry_pass_is_no_agreement(rooms):
    """Where an entry is a cancellation, a part of its terms is more than it: which entry is said."""
    problem, theta, reference = rooms
    ratio = reference.term_sizes / np.abs(reference.gradient)
    assert ratio.max() > 50.0
    off = reference.gradient + 1e-3 * reference.term_sizes
    check = check_hypergradient(off, problem, theta, tolerance=3e-2)
    assert check.verdict == Verdict.CANNOT_TELL
    assert ratio[check.where] > 10.0
    assert f"half of entry {check.where}" in str(check)
    assert "give a smaller tolerance" in str(check)


def test_where_mistakes_cannot_be_tried_a_wide_tolerance_is_no_agreement(nearby, monkeypatch):
    from boltzgrad.verify import agreement

    problem, theta, reference, *_ = nearby
    monkeypatch.setattr(agreement, "mistakes", lambda ref: Mistakes(Yardstick.of(ref), (), 0, "too large"))
    off = check_hypergradient(reference.gradient * (1.0 + 1e-4), problem, theta, tolerance=1e-3)
    assert off.verdict == Verdict.CANNOT_TELL
    assert "too large" in str(off)
    assert check_hypergradient(reference.gradient * (1.0 + 1e-7), problem, theta, tolerance=1e-3).ok


def test_single_precision_has_the_rounding_of_single_precision(rooms):
    problem, theta, reference = rooms
    exact = reference.gradient.astype(np.float32)
    check = check_hypergradient(exact, problem, theta)
    assert check.ok
    ratio = np.finfo(np.float32).eps / np.finfo(np.float64).eps
    half = np.minimum(HALF_THE_DIGITS * reference.term_sizes, UNKNOWN_METHOD * np.abs(reference.gradient))
    assert check.allowances == pytest.approx(SINGLE_SAFETY * reference.rounding * ratio + half, rel=1e-12)
    # The same numbers in double precision are a float32 computation that poses as float64.
    assert not check_hypergradient(exact.astype(np.float64), problem, theta).ok
    # A part of the smallest known mistake is more than single precision explains in some entry.
    wrong = MUTANTS["tabular: AlmostTheDiscount"].gradient(problem, theta)
    part = (reference.gradient + (wrong - reference.gradient) / (1.0 + MARGIN) * 1.2).astype(np.float32)
    assert check_hypergradient(part, problem, theta).verdict == Verdict.DISAGREES


def in_single_precision(problem, theta):
    """The gradient with rewards rounded to float32."""

    def single(theta):
        model = problem.build(theta)
        rewards = {
            name: getattr(model, name).astype(np.float32).astype(float) for name in ("follower_reward", "leader_reward")
        }
        return replace(model, **rewards)

    coarse = bg.ConfigurableMDP(single, dim=problem.dim, pullback=problem._pullback, pushforward=problem._pushforward)
    return bg.hypergradient(coarse, theta).gradient.astype(np.float32)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("four-rooms", {"temperature": 0.003}),
        ("garnet", {"temperature": 0.3, "leader_discount": 0.95}),
        ("grid-world", {"temperature": 0.3}),
    ],
)
def test_single_precision_still_tells_mistakes(name, options):
    """Rewards rounded to float32 pass; of the known mistakes, rounded likewise, most are rejected, and none is accepted."""
    problem = bg.problems.load(name, **options)
    theta = problem.initial_theta(seed=0)
    honest = in_single_precision(problem, theta)
    assert check_hypergradient(honest, problem, theta).ok
    verdicts = [
        check_hypergradient(m.gradient(problem, theta).astype(np.float32), problem, theta).verdict
        for m in FAMILIES["tabular"].MUTANTS
        if np.abs(m.gradient(problem, theta) - honest).max() > 1e-4 * np.abs(honest).max()
    ]
    assert len(verdicts) >= 10
    assert Verdict.AGREES not in verdicts
    assert np.mean([v == Verdict.DISAGREES for v in verdicts]) >= 0.7


@pytest.mark.parametrize(
    ("distort", "words"),
    [
        (lambda g: -g, "−∇J: the gradient of a loss"),
        (lambda g: 0.5 * g, "½ × ∇J"),
        (lambda g: 1.7 * g, "it is 1.7 × ∇J"),
        (lambda g: 0.003 * g, "τ × ∇J"),
        (lambda g: 0.01 * g, "(1 − γ_L) × ∇J"),
        (lambda g: 0.0 * g, "zero: a graph that is cut"),
        (lambda g: g[::-1], "the right entries in another order"),
        (lambda g: g.reshape(5, 21).T.ravel(), "column-major"),
    ],
)
def test_simple_distortions_are_named(rooms, distort, words):
    problem, theta, reference = rooms
    check = check_hypergradient(distort(reference.gradient), problem, theta)
    assert any(words in found for found in check.looks_like), check.looks_like


def test_an_entry_that_single_precision_cannot_resolve_is_negligible_and_named_as_such():
    """On `garnet` one entry is 1/240 000 of its terms: beside the others its rounding is small, and its digits are not told."""
    problem = bg.problems.load("garnet", temperature=0.3)
    theta = problem.initial_theta(seed=0)
    exact, honest = bg.hypergradient(problem, theta).gradient, in_single_precision(problem, theta)
    check = check_hypergradient(honest, problem, theta)
    assert check.ok
    entry = int(np.argmax(check.allowances / np.abs(exact)))
    assert entry in check.judgement.negligible
    assert check.allowances[entry] > np.abs(exact[entry])
    assert "negligible here" in str(check)
    halved = exact.copy()
    halved[entry] /= 2.0
    assert check_hypergradient(halved, problem, theta).verdict == Verdict.DISAGREES  # float64 resolves it
    assert check_hypergradient(exact, problem, theta).ok


def test_a_zero_among_large_entries_is_named_as_such():
    """γ = 0.9999, τ = 0.01: an entry that cancels to zero rounds off as much as the others are large, in single precision."""
    reward = np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    problem = bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            np.ones((1, 2, 1)),
            [1.0],
            anp.dot(reward, theta),
            anp.dot(np.array([[[-0.5, 0.25, 0.0], [-0.5, 0.25, 0.0]]]), theta) + 1.0,
            follower_discount=0.9999,
            leader_discount=0.9999,
            temperature=0.01,
        ),
        dim=3,
    )
    theta = np.array([0.5, 0.25, 0.0])
    reference = bg.hypergradient(problem, theta)
    single = reference.gradient.astype(np.float32)
    assert abs(single[2]) <= 4.0 * reference.rounding[2]
    check = check_hypergradient(single, problem, theta)
    assert check.verdict == Verdict.CANNOT_TELL
    assert "entry 2 is zero as far as its rounding tells, and what is allowed there" in str(check)
    assert "half of" not in str(check).splitlines()[-1]


def test_a_mistake_and_more_is_nearly_that_mistake(rooms, rng):
    problem, theta, _ = rooms
    mistake = MUTANTS["tabular: FlippedSign"]
    wrong = mistake.gradient(problem, theta) * rng.uniform(0.99, 1.01, 105)
    check = check_hypergradient(wrong, problem, theta)
    (words,) = check.looks_like
    assert words.startswith(f"nearly ‘{mistake.mistake}’ (")
    assert "that and more, or something like it" in str(check)


def test_an_unknown_mistake_is_said_to_be_unknown(rooms):
    problem, theta, reference = rooms
    wrong = reference.gradient.copy()
    wrong[7] += 0.01
    check = check_hypergradient(wrong, problem, theta)
    assert not check.looks_like
    assert "none of the 26 known mistakes" in str(check).replace(str(len(FAMILIES["tabular"].MUTANTS)), "26")


def test_the_message_has_every_route_and_the_coordinate(rooms):
    problem, theta, reference = rooms
    wrong = reference.gradient.copy()
    wrong[7] += 0.01
    check = check_hypergradient(wrong, problem, theta)
    text = str(check)
    assert "coordinate 7: yours" in text
    assert f"reference {reference.gradient[7]:.12g} ± {reference.coordinate_bounds[7]:.1e}" in text
    assert "1 of 105 coordinates are off (7)" in text
    for route in witnesses(problem):
        assert route.name in text
    record = check.to_dict()
    assert record["coordinate"] == 7
    assert record["message"] == text


def test_a_right_candidate_against_a_wrong_reference(rooms, monkeypatch):
    """Where the routes side with the candidate, the message says that the reference is to blame."""
    problem, theta, reference = rooms
    from boltzgrad.families import registry as families
    from boltzgrad.verify import agreement

    broken = MUTANTS["tabular: StoppedGradient"].gradient(problem, theta)

    def wrong(problem, theta, **options):
        found = families.hypergradient(problem, theta, **options)
        estimates = found.coordinate_estimates  # of the right gradient: the estimate itself would notice
        object.__setattr__(found, "gradient", broken)
        found.__dict__["coordinate_estimates"] = estimates
        return found

    monkeypatch.setattr(comparison, "hypergradient", wrong)
    monkeypatch.setattr(agreement, "hypergradient", wrong)
    check = check_hypergradient(reference.gradient, problem, theta)
    assert not check.ok
    assert "sides with you against the reference" in str(check)


def test_thorough_has_the_reference_confirmed_first(monkeypatch):
    problem = bg.problems.load("synthetic-hard")
    theta = problem.initial_theta(seed=0)
    exact = bg.hypergradient(problem, theta).gradient
    monkeypatch.setattr(second_opinions, "_BUDGET", -1.0)  # no time for anything, unless it is asked for
    hasty = check_hypergradient(-exact, problem, theta)
    assert {str(row.verdict) for row in hasty.report.rows[1:]} == {"skipped"}
    assert "thorough=True" in str(hasty)
    check = check_hypergradient(exact, problem, theta, thorough=True)
    assert {row.route for row in check.report.rows} == {"adjoint", *(r.name for r in witnesses(problem))}
    assert len(check.report.agreeing) >= 7

    def unconfirmed(reference, *, thorough, known):
        return bg.AgreementReport(problem, reference, ())

    monkeypatch.setattr(check_record, "second_opinions", unconfirmed)
    with pytest.raises(bg.errors.GradientMismatch, match="no witness could confirm"):
        check_hypergradient(exact, problem, theta, thorough=True)


@pytest.mark.parametrize("options", [{"observes": False}, {"as_published": True}, {}])
def test_games_of_every_kind(options):
    """Mistakes are named for followers that do not see the action, too, and said to be missing for the published one."""
    problem = bg.problems.load("toy-game", **options)
    theta = problem.initial_theta(seed=0)
    found = check_hypergradient(2.5 * bg.hypergradient(problem, theta).gradient, problem, theta)
    assert found.looks_like == ("it is 2.5 × ∇J: right in direction, wrong in length",)
    assert bool(found.mistakes.missing) == bool(options.get("as_published"))
    if options == {"observes": False}:
        lifted = FAMILIES["tabular"].StoppedGradient(problem.as_configurable_mdp(), theta).gradient()
        named = check_hypergradient(lifted, problem, theta).looks_like
        assert any("Naive-PGD" in words for words in named)


def test_mistakes_are_not_tried_on_large_problems():
    problem = bg.problems.load("garnet", n_states=2000)
    theta = problem.initial_theta(seed=0)
    reference = bg.hypergradient(problem, theta)
    check = check_hypergradient(1.5 * reference.gradient, problem, theta, reference=reference)
    assert "too many for their dense formulas" in check.mistakes.missing
    assert check.looks_like == ("it is 1.5 × ∇J: right in direction, wrong in length",)


@pytest.mark.parametrize("off", [1e-3, -2.0])
def test_a_failing_check_does_not_push_every_coordinate_forward(off):
    """With 8000 parameters: the bound of one entry, the model's slope, what is cheap; nothing that takes d push-forwards."""
    dim = 8000
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((2, 5, 3, dim))
    base = bg.problems.load(
        "garnet", n_states=5, n_actions=3, n_parameters=4, follower_discount=0.9, leader_discount=0.9
    )
    model = base.model(base.initial_theta(seed=0))
    calls = {"back": 0, "forward": 0}

    def build(theta):
        return replace(model, follower_reward=weights[0] @ theta, leader_reward=weights[1] @ theta)

    def pullback(theta, g):
        calls["back"] += 1
        return np.tensordot(g.follower_reward, weights[0], 2) + np.tensordot(g.leader_reward, weights[1], 2)

    def pushforward(theta, v):
        calls["forward"] += 1
        arrays = model.arrays()
        still = bg.problems.TabularArrays(*(np.zeros_like(x) for x in arrays.parts()))
        return replace(still, follower_reward=weights[0] @ v, leader_reward=weights[1] @ v)

    problem = bg.ConfigurableMDP(build, dim=dim, pullback=pullback, pushforward=pushforward)
    theta = 0.01 * rng.standard_normal(dim)
    wrong = bg.hypergradient(problem, theta).gradient
    wrong[4321] += off
    check = check_hypergradient(wrong, problem, theta)
    assert check.verdict == Verdict.DISAGREES
    text = str(check)
    assert "coordinate 4321: yours" in text
    assert "1 of 8000 coordinates are off (4321)" in text
    assert "the difference is yours" in text  # some routes are cheap all the same
    assert 0 < calls["forward"] <= 100
    assert calls["back"] <= 200


@pytest.mark.parametrize("tolerance", [-1e-9, 1.0, "1e-3", True, float("nan")])
def test_bad_tolerances(rooms, tolerance):
    problem, theta, reference = rooms
    with pytest.raises(bg.errors.InvalidOption, match="tolerance is"):
        check_hypergradient(reference.gradient, problem, theta, tolerance=tolerance)


def test_a_reference_of_something_else_is_refused(rooms):
    problem, theta, reference = rooms
    with pytest.raises(bg.errors.InvalidOption, match="another problem or theta"):
        check_hypergradient(reference.gradient, problem, theta + 1.0, reference=reference)
    with pytest.raises(bg.errors.InvalidOption, match="problem is a int"):
        check_hypergradient(reference.gradient, 3, theta)


def test_zero_gradients():
    """Nothing the leader does matters: a zero confirms nothing, anything else is wrong, and the message divides by nothing."""
    move = np.ones((1, 2, 1))
    problem = bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            move,
            [1.0],
            np.zeros((1, 2)) + 0.0 * theta[0],
            np.zeros((1, 2)),
            follower_discount=0.5,
            leader_discount=0.5,
            temperature=1.0,
        ),
        dim=2,
    )
    for nothing in (np.zeros(2), np.zeros(2, np.float32)):
        check = check_hypergradient(nothing, problem, [1.0, 2.0])
        assert check.verdict == Verdict.ZERO
        assert not check.ok
        assert "that confirms nothing" in str(check)
        assert "check it at another theta" in str(check)
        check.raise_if_wrong()  # nothing is confirmed, and nothing is wrong
    check = check_hypergradient(np.array([0.0, 1e-3]), problem, [1.0, 2.0])
    assert not check.ok
    assert "(∇J = 0)" in str(check)


@pytest.fixture(scope="module")
def coarse():
    """A problem that amplifies roundings so much that single precision's allowance is most of ∇J."""
    move = np.zeros((2, 2, 2))
    move[0, :, 0] = move[1, :, 1] = 1.0
    follower = np.array([[[-0.75, 0, 0.25], [0, 1, -0.75]], [[0.25, 0.25, 1], [0.75, 0.75, 0.5]]])
    leader = np.array([[[0, -0.25, -0.75], [-0.5, 0.5, -0.75]], [[-0.5, 0.25, -1], [0, -1, -1]]])
    problem = bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            move,
            [1.0, 0.0],
            np.array([[0, 0.25], [0.5, 0.75]]) + anp.dot(follower, theta),
            np.array([[1.25, -0.75], [0.25, -0.5]]) + anp.dot(leader, theta),
            follower_discount=0.99,
            leader_discount=0.99,
            temperature=0.01,
        ),
        dim=3,
    )
    return problem, np.array([0, 0.75, 0.25])


@pytest.mark.parametrize("factor", [0.5, 0.99, 0.0, 0.8, 1.3])
def test_another_length_is_never_called_right(coarse, factor):
    problem, theta = coarse
    exact = bg.hypergradient(problem, theta).gradient
    right = check_hypergradient(exact.astype(np.float32), problem, theta)
    assert right.ok
    assert np.all(right.allowances[1:] > 0.5 * np.abs(exact[1:]))  # where rounding is amplified
    assert right.allowances[0] < 1e-3 * np.abs(exact[0])
    # One entry that can be told is enough to reject the whole.
    whole = check_hypergradient((factor * exact).astype(np.float32), problem, theta)
    assert whole.verdict == Verdict.DISAGREES
    assert whole.where == 0
    assert any("× ∇J" in words or "forgotten" in words or "not counted" in words for words in whole.looks_like)
    # Where only those are wrong that cannot be told, nothing is said for them.
    partly = exact.copy()
    partly[1:] *= factor
    check = check_hypergradient(partly.astype(np.float32), problem, theta)
    assert check.verdict == (Verdict.DISAGREES if factor == 0.0 else Verdict.CANNOT_TELL)
    assert check.where in (1, 2)


def test_a_tiny_gradient_is_not_confused_with_zero():
    problem = bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            np.ones((1, 2, 1)),
            [1.0],
            np.zeros((1, 2)),
            np.ones((1, 2)) + 1e-9 * theta[0],
            follower_discount=0.5,
            leader_discount=0.0,
            temperature=1.0,
        ),
        dim=1,
    )
    exact = bg.hypergradient(problem, [0.0]).gradient
    assert exact[0] == pytest.approx(1e-9, rel=1e-6)
    assert check_hypergradient(exact, problem, [0.0]).ok
    for wrong in (np.zeros(1, np.float32), np.zeros(1), -exact):
        assert not check_hypergradient(wrong, problem, [0.0]).ok


def test_a_cancellation_is_measured_by_its_terms():
    """What a number is relative to is said: here the gradient is a thousandth of a thousandth of what it is made of."""
    problem = bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            np.eye(2)[:, None, :],
            [0.5, 0.5],
            np.zeros((2, 1)),
            (np.array([[1.0], [-1.0 + 1e-6]]) * theta[0]),
            follower_discount=0.5,
            leader_discount=0.5,
            temperature=1.0,
        ),
        dim=1,
    )
    exact = bg.hypergradient(problem, [1.0])
    assert exact.gradient == pytest.approx([1e-6], rel=1e-3)
    assert 0.5 < exact.term_sizes[0] < 2.0  # √2, by random signs
    # A tolerance is a part of the terms: of the entry itself it would be a millionth of what a method can reach.
    solved = exact.gradient + 1e-12
    assert not check_hypergradient(solved, problem, [1.0], tolerance=1e-14).ok
    assert check_hypergradient(solved, problem, [1.0], tolerance=2e-12).verdict == Verdict.AGREES
    # One that reaches the entry confirms nothing.
    rough = exact.gradient * (1.0 + 1e-3)
    assert check_hypergradient(rough, problem, [1.0], tolerance=1e-6).verdict == Verdict.CANNOT_TELL
    check = check_hypergradient(np.zeros(1), problem, [1.0])
    assert check.verdict == Verdict.DISAGREES
    assert "at most an eighth of itself, together" in str(check)


def test_a_gradient_that_is_zero_as_far_as_rounding_tells_says_so():
    problem = bg.problems.load("random-game", follower_discount=0.0, n_leader_actions=1)
    theta = problem.initial_theta(seed=0)
    check = check_hypergradient(np.zeros(problem.dim), problem, theta)
    assert check.verdict == Verdict.ZERO
    assert not check.ok
    assert not check.looks_like
    assert "∇J is zero as far as its rounding tells" in str(check)


def test_numbers_near_the_end_of_float64(rooms):
    problem, theta, _ = rooms
    check = check_hypergradient(np.full(105, 1e200), problem, theta)
    assert check.verdict == Verdict.DISAGREES
    assert f"coordinate {check.where}: yours 1e+200" in str(check)


@pytest.mark.parametrize(
    ("problem", "reference"), [(type("P", (), {}), None), (None, None), (bg.ConfigurableMDP, None)]
)
def test_no_problem_at_all(problem, reference):
    with pytest.raises(bg.errors.InvalidOption, match="problem is a"):
        check_hypergradient(np.zeros(2), problem, np.zeros(2))


def test_no_reference_at_all(rooms):
    problem, theta, _ = rooms
    with pytest.raises(bg.errors.InvalidOption, match="reference is a str; expected a result of"):
        check_hypergradient(np.zeros(105), problem, theta, reference="x")
