"""Learners: each with its theorem's rate as a slope, seeded, resumable, and named where it diverges."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.followers import (
    FittedQ,
    FromSamples,
    NaturalPolicyGradient,
    PolicyGradient,
    Sarsa,
    SoftQLearning,
    SoftValueIteration,
)
from boltzgrad.solvers import boltzmann
from boltzgrad.solvers.suboptimal import evaluate_policy

GAMMA, TAU = 0.8, 0.5
PROBLEM = bg.problems.load(
    "garnet", n_states=6, n_actions=3, follower_discount=GAMMA, leader_discount=GAMMA, temperature=TAU
)
THETA = PROBLEM.initial_theta(seed=1)
MODEL = PROBLEM.model(THETA)
BEST = bg.hypergradient(PROBLEM, THETA).follower
EVERY = [
    SoftValueIteration(5),
    NaturalPolicyGradient(3),
    PolicyGradient(5),
    SoftQLearning(60),
    Sarsa(60),
    FittedQ(np.random.default_rng(0).normal(size=(6, 3, 4)), 4),
    FromSamples(20, length=30),
]


def off(policy):
    return np.abs(policy - BEST.policy).max()


def test_soft_value_iteration_loses_a_factor_of_the_discount_a_sweep():
    """HPGD E.4: the bound itself, and that the rate is no better than γ times a mixing rate."""
    largest = np.abs(MODEL.follower_reward).max() + TAU * np.log(MODEL.n_actions)
    errors = [off(SoftValueIteration(k)(MODEL)) for k in range(1, 30)]
    for k, error in enumerate(errors, start=1):
        assert error <= GAMMA**k * largest / (TAU * (1 - GAMMA))
    decay = np.polyfit(range(10), np.log(errors[:10]), 1)[0]
    assert decay <= np.log(GAMMA)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_natural_policy_gradient_contracts_by_one_minus_its_step(share):
    """HPGD E.7: ‖log π − log π*‖ falls like (1 − ητ/(1 − γ)) or faster, within the theorem's constant."""
    learner = [NaturalPolicyGradient(k, rate=share * (1 - GAMMA) / TAU) for k in (10, 20, 40)]
    errors = [np.abs(np.log(x(MODEL)) - np.log(BEST.policy)).max() for x in learner]
    eta, uniform = share * (1 - GAMMA) / TAU, np.full_like(BEST.policy, 1.0 / MODEL.n_actions)
    begun = np.abs(BEST.q - evaluate_policy(MODEL, uniform).q).max()
    start = begun + 2 * TAU * (1 - share) * np.abs(np.log(BEST.policy) - np.log(uniform)).max()  # E.7's C₁
    for k, error in zip((10, 20, 40), errors, strict=True):
        assert error <= 2 * start / TAU * (1 - eta * TAU) ** (k - 1)
    measured = np.log(errors[2] / errors[1]) / 20
    assert measured == pytest.approx(np.log(1 - share), rel=0.1) or errors[2] < 1e-12


def test_its_largest_step_is_soft_policy_iteration():
    errors = [off(NaturalPolicyGradient(k)(MODEL)) for k in (1, 2, 3)]
    assert errors[2] < 10 * errors[1] ** 2 < 1000 * errors[0] ** 4
    most = (1 - GAMMA) / TAU
    np.testing.assert_allclose(NaturalPolicyGradient(2, rate=most)(MODEL), NaturalPolicyGradient(2)(MODEL), atol=1e-12)
    with pytest.raises(bg.errors.InvalidOption, match=r"rate is 0.41; expected at most \(1 − γ\)/τ = 0.4"):
        NaturalPolicyGradient(2, rate=0.41)(MODEL)


def test_policy_gradient_gains_at_every_step():
    values = [PolicyGradient(k).train(MODEL).value.mean() for k in (1, 2, 4, 8, 16, 100)]
    assert np.all(np.diff(values) > 0.0)
    assert off(PolicyGradient(100)(MODEL)) < 1e-4


@pytest.mark.parametrize("kind", [SoftQLearning, Sarsa])
def test_sampled_learners_fall_like_the_root_of_the_samples(kind):
    """HPGD E.5: slope −½ in the number of samples, past what the start leaves; mean of six runs."""
    steps = np.array([400, 1600, 6400])
    errors = [np.mean([np.abs(kind(int(k)).train(MODEL, seed).q - BEST.q).max() for seed in range(6)]) for k in steps]
    assert -0.65 < np.polyfit(np.log(steps), np.log(errors), 1)[0] < -0.35


def test_the_black_box_falls_like_the_root_of_the_trajectories():
    counts = np.array([20, 200, 2000])
    runs = [[FromSamples(int(n), length=100).train(MODEL, seed) for seed in range(6)] for n in counts]
    for errors in (
        [np.mean([off(r.policy) for r in each]) for each in runs],
        [np.mean([np.abs(r.value - BEST.value).max() for r in each]) for each in runs],
    ):
        assert -0.65 < np.polyfit(np.log(counts), np.log(errors), 1)[0] < -0.35


def test_the_black_box_needs_no_zero():
    found = FromSamples(1, length=3).train(MODEL)
    assert found.policy.min() > 0.0
    assert np.isfinite(bg.approximate(PROBLEM, THETA, policy=found.policy, value=found.value).error).all()


def test_a_black_box_of_a_trained_follower():
    """Observing a learner is observing what it learnt."""
    stopped = SoftValueIteration(1)
    seen = FromSamples(4000, length=60, learner=stopped).train(MODEL, 1)
    assert np.abs(seen.policy - stopped(MODEL)).max() < 0.3 * off(stopped(MODEL))


def test_fitted_q_is_exact_where_the_features_hold_q_and_biased_where_not():
    every = np.eye(18).reshape(6, 3, 18)
    assert off(FittedQ(every, 200)(MODEL)) < 1e-12
    few = FittedQ(every[:, :, :4], 200).train(MODEL)
    assert off(few.policy) > 0.01
    assert few.residual > 0.01


def test_fitted_q_that_diverges_is_named():
    """Two states, one feature with φ' = 2 φ: the projection of a contraction is none (Tsitsiklis and Van Roy, 1996)."""
    move = np.zeros((2, 1, 2))
    move[:, 0, 1] = 1.0
    m = bg.TabularModel(
        move, [1.0, 0.0], np.ones((2, 1)), np.ones((2, 1)), follower_discount=0.99, leader_discount=0.9, temperature=1.0
    )
    with pytest.raises(bg.errors.NotConverged, match="the learner diverged: its values were no longer finite after"):
        FittedQ(np.array([[[1.0]], [[2.0]]]), 20_000)(m)


@pytest.mark.parametrize("learner", EVERY, ids=lambda x: type(x).__name__)
def test_every_learner_is_seeded_and_goes_on(learner):
    one, same, other = (learner.train(MODEL, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.policy, same.policy)
    if isinstance(learner, (SoftQLearning, FromSamples)):
        assert not np.array_equal(one.policy, other.policy)
    rng = np.random.default_rng(3)
    more = learner.train(MODEL, rng, after=learner.train(MODEL, rng))
    assert more.steps == 2 * one.steps
    assert off(more.policy) < off(one.policy) + 0.05
    assert repr(one).startswith("<Learned after ")
    assert bg.approximate(PROBLEM, THETA, policy=learner(MODEL)).kl.max() > 0.0


@pytest.mark.parametrize("kind", [SoftValueIteration, SoftQLearning, PolicyGradient, NaturalPolicyGradient, Sarsa])
def test_stopping_and_going_on_is_not_stopping(kind):
    rng = np.random.default_rng(5)
    first = kind(7).train(MODEL, rng)
    np.testing.assert_allclose(kind(5).train(MODEL, rng, after=first).policy, kind(12)(MODEL, 5), rtol=1e-12)


@pytest.mark.parametrize("learner", [SoftValueIteration(60), NaturalPolicyGradient(8), PolicyGradient(200)])
@pytest.mark.parametrize(
    "options",
    [
        {"reference": np.array([[0.5, 0.5, 0.0]] * 3 + [[0.2, 0.3, 0.5]] * 3)},
        {"available": np.array([[True, False, True]] * 6)},
        {"temperature": np.linspace(0.3, 0.9, 6)},
    ],
    ids=["reference", "mask", "temperatures"],
)
def test_general_followers_are_learnt(learner, options):
    """A reference, actions that are not there, a temperature for each state: the learner ends at that follower."""

    def build(theta):
        m = PROBLEM.model(THETA)
        return bg.TabularModel(
            m.transition, m.initial, m.follower_reward * theta[0], m.leader_reward, follower_discount=GAMMA,
            leader_discount=GAMMA, **{"temperature": TAU, **options},
        )  # fmt: skip

    problem = bg.ConfigurableMDP(build, dim=1, pullback=lambda t, c: np.zeros(1), pushforward=lambda t, d: None)
    m = problem.model(np.ones(1))
    learnt = learner.train(m)
    best = bg.hypergradient(bg.ConfigurableMDP(build, dim=1), np.ones(1)).follower
    assert np.abs(learnt.policy - best.policy).max() < 1e-4
    if learnt.q is not None:
        there = best.policy > 0
        np.testing.assert_allclose(learnt.q[there], best.q[there], atol=1e-4)


def test_walks_end_where_episodes_do():
    """A discount of one: Q-learning on episodes that end, with a rate of one's own."""
    move = np.zeros((3, 2, 3))
    move[0, :, 1], move[1, 0, 2], move[1, 1, 0] = 1.0, 1.0, 0.5
    m = bg.TabularModel(
        move, [1, 0, 0], -np.ones((3, 2)), np.ones((3, 2)), follower_discount=1.0, leader_discount=1.0, temperature=0.5
    )
    best = bg.solvers.solve_follower(m)
    with pytest.raises(bg.errors.InvalidOption, match=r"rate is by default 2/\(1 − γ\)"):
        SoftQLearning(10)(m)
    assert np.abs(SoftQLearning(4000, rate=5.0)(m) - best.policy).max() < 0.03


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SoftValueIteration(-1), "sweeps is -1; expected an integer of at least 0"),
        (lambda: SoftQLearning(0), "steps is 0; expected a positive integer"),
        (lambda: SoftQLearning(10, walkers=2.5), "walkers is 2.5"),
        (lambda: PolicyGradient(10, rate=-1.0), "rate is -1.0; expected a positive finite number"),
        (lambda: Sarsa(10, exploration=0.0), "exploration is 0.0"),
        (lambda: FromSamples(10, prior=0.0), "prior is 0.0"),
        (lambda: FromSamples(10, learner="q"), "learner is a str"),
        (lambda: FittedQ(np.ones((2, 2)), 3), "features has 2 axes"),
        (
            lambda: FittedQ(np.ones((2, 2, 1)), 3)(MODEL),
            r"features has shape \(2, 2, 1\), the model 6 states × 3 actions",
        ),
        (lambda: SoftValueIteration(3).train(MODEL, after="x"), "after is not what this learner left"),
        (
            lambda: SoftQLearning(3).train(MODEL, after=SoftValueIteration(3).train(MODEL)),
            "after is not what this learner left",
        ),
        (lambda: SoftQLearning(3).train(MODEL, "a"), "rng is 'a'"),
        (lambda: FittedQ(np.full((6, 3, 1), np.nan), 3), "entries that are not finite"),
    ],
)
def test_misuse_is_named(make, words):
    with pytest.raises(bg.errors.InvalidOption, match=words):
        make()


def test_only_a_table_can_be_learnt_on():
    with pytest.raises(
        bg.errors.InvalidModel, match="a learner was given a ConfigurableMDP; expected the TabularModel"
    ):
        SoftValueIteration(3)(PROBLEM)
    finite = bg.problems.load("finite-garnet")
    steps = finite.model(finite.initial_theta(seed=0))
    with pytest.raises(bg.errors.InvalidModel, match="FiniteHorizonModel"):
        SoftValueIteration(3)(steps)


def test_without_a_step_there_is_what_a_learner_begins_with():
    model = MODEL
    begun = NaturalPolicyGradient(0).train(model)
    np.testing.assert_allclose(begun.policy, 1.0 / model.n_actions)
    np.testing.assert_allclose(
        SoftValueIteration(0)(model), boltzmann(model.follower_reward, model.temperature)[0], rtol=1e-12
    )
    assert begun.steps == 0


def test_a_bar_can_be_shown(capsys):
    pytest.importorskip("tqdm")
    SoftValueIteration(3).train(MODEL, progress=True)
    assert "3/3" in capsys.readouterr().err


def test_a_leader_who_counts_steps_has_the_follower_that_does_not():
    def build(theta, **more):
        m = MODEL
        return bg.TabularModel(
            m.transition, m.initial, m.follower_reward * theta[0], m.leader_reward, follower_discount=GAMMA,
            leader_discount=GAMMA, temperature=TAU, **more,
        )  # fmt: skip

    counted = bg.ConfigurableMDP(lambda theta: build(theta, leader_horizon=3), dim=1)
    learnt = SoftValueIteration(60)(counted.model(np.ones(1)))
    np.testing.assert_allclose(learnt, SoftValueIteration(60)(build(np.ones(1))))
    assert bg.approximate(counted, np.ones(1), policy=learnt).relative_error < 1e-6
