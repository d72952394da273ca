"""What an estimator cannot do it refuses before the first sample, saying what and why."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import InvalidOption, UnknownName, UnusableBatch
from boltzgrad.estimators import (
    AMD,
    BCHG,
    HPGD,
    BiAC,
    ExactGradient,
    HPGDOracle,
    LQGameBCHG,
    MSoBiRL,
    NaivePGD,
    NoisyExact,
    Sampling,
    SoBiRL,
    StocSoBiRL,
    Stream,
    ZeroOrder,
)
from boltzgrad.estimators import gaussian as gaussian_package
from boltzgrad.estimators import tabular as tabular_package
from boltzgrad.estimators.gaussian import critics as gaussian_critics
from boltzgrad.estimators.tabular.critics import Sarsa
from estimators.small import game, lqr, moving, shaped

load = bg.problems.load
GENERAL = load("synthetic")
LQ_GAME = load("lqr-game", horizon=5)
CUT = Sampling(steps=20, time_limit=5)
LEARNER = bg.followers.SoftValueIteration(3)


def singular(**singled):
    """x' = θx + u, with the covariances given."""
    parts = {"W": 0.1, "start": 0.1, **singled}

    def build(theta):
        return bg.LQModel(
            anp.reshape(theta[0], (1, 1)),
            [[1.0]],
            [[parts["W"]]],
            [[1.0]],
            [[1.0]],
            theta[1:],
            [[parts["start"]]],
            leader_Q=[[1.0]],
            follower_discount=0.9,
            leader_discount=0.9,
            temperature=0.1,
        )

    return bg.LinearQuadratic(build, dim=2)


# Name -> (estimator, problem it is for, problem it refuses, words)
REFUSED = {
    "SoBiRL, moving kernel": (SoBiRL(), shaped(), moving(), "SoBiRL's truncation does not exist .* depends on θ"),
    "HPGD's averages, continuous": (
        HPGD(),
        moving(),
        lqr(),
        "HPGD with segments='averaged' averages over visits .* no state of .* is visited twice",
    ),
    "BC-HG's averages, continuous": (
        BCHG(segments="averaged"),
        moving(),
        lqr(),
        "BC-HG with segments='averaged' averages over visits .* use segments='sampled'",
    ),
    "oracle, continuous": (HPGDOracle(), moving(), lqr(), "is for tabular problems"),
    "general objective": (BCHG(), moving(), GENERAL, r"has a general objective f\(θ, π\): use M-SoBiRL"),
    "general objective, HPGD": (HPGD(), moving(), GENERAL, "HPGD samples the leader's rewards"),
    "general objective, naive": (NaivePGD(), moving(), GENERAL, "Naive-PGD samples the leader's rewards"),
    "general objective, oracle": (HPGDOracle(), moving(), GENERAL, r"HPGD \(oracle\) samples the leader's rewards"),
    "general objective, Stoc-SoBiRL": (StocSoBiRL(), shaped(), GENERAL, "Stoc-SoBiRL samples the leader's rewards"),
    "general objective, AMD": (AMD(), moving(), GENERAL, "AMD backs up the leader's rewards"),
    "Bi-AC, no game": (BiAC(), game(), moving(), "Bi-AC needs a MarkovGame whose follower sees"),
    "Bi-AC, state only": (BiAC(), game(), game(observes=False), "Bi-AC needs a MarkovGame whose follower sees"),
    "a game as published": (BCHG(), game(), game(as_published=True), "plans otherwise than it acts"),
    "game BC-HG, tabular": (LQGameBCHG(), LQ_GAME, game(), "BC-HG is for a LinearQuadraticGame"),
    "game BC-HG, LQR": (LQGameBCHG(), LQ_GAME, lqr(), "BC-HG is for a LinearQuadraticGame"),
    "BC-HG, LQR game": (BCHG(), lqr(), LQ_GAME, "has estimators of its own .*LQGameBCHG"),
    "Stoc-SoBiRL, moving kernel": (StocSoBiRL(), shaped(), moving(), "shapes rewards only"),
    "Stoc-SoBiRL, moving start": (StocSoBiRL(), shaped(), shaped(start=True), "shapes rewards only"),
    "Stoc-SoBiRL, contexts": (StocSoBiRL(), shaped(), load("four-rooms-two-goals"), "kernel, start or contexts"),
    "Stoc-SoBiRL, own kernel": (StocSoBiRL(), shaped(), shaped(own=True), "plans with a kernel of its own"),
    "M-SoBiRL, a return": (MSoBiRL(), GENERAL, moving(), r"M-SoBiRL needs a general objective f\(θ, π\)"),
    "AMD, LQR": (AMD(), moving(), lqr(), "is not tabular; this estimator needs"),
    "own kernel, sampled": (BCHG(), moving(), moving(own=True), "segments='sampled' .* kernel of its own"),
    "own kernel, λ": (BCHG(segments=0.5), moving(), moving(own=True), "segments=0.5 .* use BC-HG or HPGD with seg"),
    "own kernel, averages": (HPGD(), moving(), moving(own=True), "segments='averaged' takes ∇Q_F from trajectories"),
    "own kernel, oracle": (HPGDOracle(), moving(), moving(own=True), r"HPGD \(oracle\) takes ∇Q_F from trajectories"),
    "singular W": (BCHG(), singular(), singular(W=0.0), "needs the score of the transition, but W .* singular"),
    "singular start": (BCHG(), singular(), singular(start=0.0), "score of the start, but the covariance .* singular"),
    "own kernel, learnt": (
        BCHG(segments="exact", follower=LEARNER),
        moving(),
        moving(own=True),
        "BC-HG with follower= watches the world, and the follower of .* kernel of its own",
    ),
    "learnt, LQR": (BCHG(follower=LEARNER), moving(), lqr(), "follower= is learnt on a table, and .* is not tabular"),
    "noisy exact": (NoisyExact(like=SoBiRL()), shaped(), moving(), "SoBiRL's truncation does not exist"),
}
# Options that contradict each other or the family: (estimator, problem, words)
CONTRADICTORY = {
    "published, no steps": (
        BCHG(as_published=True),
        moving(),
        r"as_published needs sampling=Sampling\(episodes=…, steps",
    ),
    "published oracle, no steps": (HPGDOracle(as_published=True), moving(), "as_published needs sampling"),
    "published, learnt": (
        BCHG(as_published=True, sampling=CUT, follower=LEARNER),
        moving(),
        "follower= does not go with as_published",
    ),
    "no learner": (HPGD(follower=np.ones((3, 2))), moving(), "follower is a ndarray; expected a learner of boltzgrad"),
    "learnt, oracle": (HPGDOracle(follower=LEARNER), moving(), r"HPGD \(oracle\) takes no follower="),
    "learnt, Bi-AC": (BiAC(follower=LEARNER), game(), "Bi-AC takes no follower="),
    "steps, LQR": (BCHG(sampling=Sampling(steps=5)), lqr(), "episodes do not end or start again: use horizon"),
    "time limit, LQR": (BCHG(sampling=Sampling(time_limit=5)), lqr(), "episodes do not end or start again"),
    "steps, oracle": (HPGDOracle(sampling=CUT), moving(), r"draws its own horizons: give Sampling\(episodes=…\) alone"),
    "horizon, oracle": (HPGDOracle(sampling=Sampling(horizon=5)), moving(), "draws its own horizons"),
    "critic, oracle": (HPGDOracle(critic="sarsa"), moving(), "critic is 'sarsa'; .* takes no critic"),
    "steps, LQR game": (LQGameBCHG(sampling=CUT), LQ_GAME, "have its own horizon"),
    "critic, Bi-AC": (BiAC(critic="sarsa"), game(), "Bi-AC brings its own"),
    "expected, sampled": (BCHG(actions="expected"), moving(), "goes with segments='exact'"),
    "expected, published": (
        BCHG(actions="expected", segments="exact", as_published=True, sampling=CUT),
        moving(),
        "not with as_published",
    ),
    "expected, LQR": (BCHG(actions="expected", segments="exact"), lqr(), "a tabular problem"),
    "expected, game": (LQGameBCHG(actions="expected"), LQ_GAME, "goes with segments='exact', baseline=True"),
    "actions": (BCHG(actions="all"), moving(), "actions is 'all'; expected 'sampled' or 'expected'"),
    "segments": (
        BCHG(segments="whole"),
        moving(),
        "segments is 'whole'; expected 'sampled', 'averaged', 'exact' or a λ",
    ),
    "λ": (HPGD(segments=1.5), moving(), r"segments is 1.5; expected .* λ in \[0, 1\]"),
    "λ, nan": (BCHG(segments=float("nan")), moving(), "segments is nan"),
    "λ, bool": (BCHG(segments=True), moving(), "segments is True"),
    "game segments": (LQGameBCHG(segments=0.5), LQ_GAME, "segments is 0.5; expected 'sampled' or 'exact'"),
    "game critic": (LQGameBCHG(critic="td"), LQ_GAME, "critic is 'td'; expected 'exact' or 'monte-carlo'"),
    "a critic of another family": (
        BCHG(critic=Sarsa()),
        lqr(),
        "linear-quadratic problems take exact, monte-carlo, td",
    ),
    "a critic of the other family": (
        BCHG(critic=gaussian_critics.Network()),
        moving(),
        "tabular problems take exact, monte-carlo, sarsa, td",
    ),
    "momentum": (StocSoBiRL(momentum=0.0), shaped(), "momentum is 0.0; expected a number in"),
    "M": (StocSoBiRL(M=0), shaped(), "M is 0; expected a positive integer"),
    "radius": (ZeroOrder(radius=0.0), moving(), "radius is 0.0; expected a positive number"),
    "radius, nan": (ZeroOrder(radius=float("nan")), moving(), "radius is nan"),
    "sweeps": (AMD(sweeps=0), moving(), "sweeps is 0; expected a positive integer"),
    "lower level": (MSoBiRL(lower_level="off"), GENERAL, "lower_level is 'off'; expected 'on', 'stopped' or"),
    "oracle steps": (HPGDOracle(oracle_steps=-1), moving(), "oracle_steps is -1; expected a positive integer"),
}


class Rolled(Exception):
    """A trajectory was drawn."""


@pytest.fixture
def no_rollouts(monkeypatch):
    """Whoever draws a trajectory, or solves for one, is found out."""

    def found(*_, **__):
        raise Rolled

    from boltzgrad.estimators import amd, hpgd, m_sobirl, stoc_sobirl, zero_order
    from boltzgrad.estimators.gaussian import family as gaussian_family
    from boltzgrad.estimators.gaussian import game as gaussian_game
    from boltzgrad.estimators.tabular import family as tabular_family

    assert tabular_package.__name__ in tabular_family.__name__
    assert gaussian_package.__name__ in gaussian_family.__name__
    for module in (tabular_family, hpgd, stoc_sobirl):
        monkeypatch.setattr(module, "roll", found)
    monkeypatch.setattr(gaussian_family, "GaussianEpisodes", found)
    monkeypatch.setattr(gaussian_game.GameRun, "_sample", found)
    monkeypatch.setattr(m_sobirl._MSoBiRLRun, "_one", found)
    monkeypatch.setattr(amd._Tables, "back_up", found)
    monkeypatch.setattr(zero_order._ZeroOrderRun, "_values", found)


def attempts(estimator, problem):
    """Both ways of asking."""
    theta = problem.initial_theta(seed=5) * 0.1
    yield lambda: estimator(problem, theta, np.random.default_rng(0))
    yield lambda: estimator.open(problem, [Stream(0)]).estimate(theta[None])


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_the_first_sample(case, no_rollouts):
    estimator, fits, problem, words = REFUSED[case]
    for attempt in attempts(estimator, problem):
        with pytest.raises(InvalidOption, match=words):
            attempt()
    # The control: what it is for gets as far as sampling.
    for attempt in attempts(estimator, fits):
        with pytest.raises(Rolled):
            attempt()


@pytest.mark.parametrize("case", CONTRADICTORY)
def test_contradictory_options_are_refused_before_the_first_sample(case, no_rollouts):
    estimator, problem, words = CONTRADICTORY[case]
    for attempt in attempts(estimator, problem):
        with pytest.raises(InvalidOption, match=words):
            attempt()
    plain = type(estimator)()
    plain = HPGD(segments="sampled") if isinstance(plain, HPGD) else plain
    for attempt in attempts(plain, problem):
        with pytest.raises(Rolled):
            attempt()


@pytest.mark.parametrize(
    ("critic", "problem", "nearest"),
    [
        ("sarsaa", moving(), "sarsa"),
        ("networks", lqr(), "network"),
        ("sarsa", lqr(), None),
        ("network", moving(), None),
    ],
)
def test_unknown_critics_and_the_nearest_name(critic, problem, nearest, no_rollouts):
    with pytest.raises(UnknownName, match=f"'{critic}'") as error:
        BCHG(critic=critic).open(problem, [Stream(0)])
    if nearest:
        assert f"'{nearest}'" in str(error.value)
    assert BCHG(critic="td").open(problem, [Stream(0)]) is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"episodes": 0}, "episodes is 0; expected a positive integer"),
        ({"episodes": 2.0}, "episodes is 2.0"),
        ({"episodes": True}, "episodes is True"),
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": "forever"}, "horizon is 'forever'; expected 'geometric', 'episode' or a number of steps"),
        ({"horizon": 3.5}, "horizon is 3.5"),
        ({"steps": 0}, "steps is 0"),
        ({"time_limit": -1}, "time_limit is -1"),
    ],
)
def test_bad_sampling(options, words):
    with pytest.raises(InvalidOption, match=words):
        Sampling(**options)
    Sampling(episodes=np.int64(1), horizon=np.int32(1), steps=1, time_limit=1)


def test_a_batch_in_which_no_episode_ends():
    """No divisor, no estimate; and a later batch that has one goes on as if nothing had been."""
    endless = BCHG(sampling=Sampling(episodes=1, steps=30), critic="sarsa")
    run = endless.open(moving(), [Stream(0)])
    theta = moving().initial_theta(seed=5)[None]
    for _ in range(2):
        with pytest.raises(UnusableBatch, match=r"no episode ends within the 30 steps of lane 0's batch.*time_limit"):
            run.estimate(theta)
    often = moving(fade=0.2)
    recovered = 0
    for seed in range(20):
        run, found = BCHG(sampling=Sampling(episodes=1, steps=8), critic="sarsa").open(often, [Stream(seed)]), []
        for _ in range(6):
            try:
                found.append(run.estimate(theta).gradient is not None)
            except UnusableBatch:
                found.append(False)
        recovered += not found[0] and any(found)
    assert recovered > 0
    limited = BCHG(sampling=Sampling(episodes=1, steps=30, time_limit=10))
    assert np.isfinite(limited(moving(), theta[0], np.random.default_rng(0))).all()  # control


@pytest.mark.parametrize(
    ("estimator", "problem"),
    [
        (ExactGradient(), GENERAL),
        (ExactGradient(), lqr()),
        (ExactGradient(), game(as_published=True)),
        (BCHG(), lqr()),
        (MSoBiRL(), GENERAL),
        (LQGameBCHG(), LQ_GAME),
        (ZeroOrder(), lqr()),
    ],
    ids=lambda x: getattr(x, "name", str(x)),
)
def test_a_temperature_that_would_be_ignored(estimator, problem):
    run = estimator.open(problem, [Stream(0)])
    theta = 0.1 * problem.initial_theta(seed=5)[None]
    run.temperature = 0.5
    with pytest.raises(InvalidOption, match=r"temperature .*tabular problems"):
        run.estimate(theta)
    run.temperature = None
    assert np.isfinite(run.estimate(theta).gradient).all()  # control


@pytest.mark.parametrize(
    "estimator", [BCHG(), HPGDOracle(), ExactGradient(), ZeroOrder(), AMD(), MSoBiRL(), LQGameBCHG()]
)
def test_what_is_no_problem_at_all(estimator):
    with pytest.raises(InvalidOption, match="problem is 3; expected a ConfigurableMDP"):
        estimator(3, np.zeros(2), np.random.default_rng(0))
    with pytest.raises(InvalidOption, match="n is 0; expected a positive integer"):
        estimator.batches(moving(), np.zeros(4), 0, np.random.default_rng(0))


def test_an_entry_without_a_score():
    class Corner(bg.ConfigurableMDP):
        def initial_theta(self, seed=0):
            return np.zeros(1)

    def corner(theta):
        p = anp.array([[[1.0 - theta[0], theta[0]]], [[0.5, 0.5]]])
        return bg.TabularModel(
            p,
            [1.0, 0.0],
            np.zeros((2, 1)),
            np.eye(2)[:, :1],
            follower_discount=0.5,
            leader_discount=0.5,
            temperature=1.0,
        )

    with pytest.raises(InvalidOption, match=r"an entry of .* transition is zero with a derivative that is not"):
        BCHG()(Corner(corner, dim=1), np.zeros(1), np.random.default_rng(0))
    # The control: inside the simplex the same kernel has scores.
    inside = bg.ConfigurableMDP(lambda theta: corner(0.5 + theta), dim=1, initial_scale=0.01)
    assert np.isfinite(BCHG()(inside, np.zeros(1), np.random.default_rng(0))).all()


@pytest.mark.parametrize(
    ("make", "rng", "message"),
    [
        (lambda: BCHG(), 0, "rng is 0; expected a NumPy generator"),
        (lambda: BCHG(sampling=10), np.random.default_rng(0), "sampling is 10; expected Sampling"),
        (lambda: BCHG(baseline=3), np.random.default_rng(0), "baseline is 3; expected True or False"),
    ],
)
def test_options_of_the_wrong_kind(make, rng, message):
    problem = bg.problems.load("random-game")
    with pytest.raises(InvalidOption, match=message):
        make()(problem, problem.initial_theta(0), rng)
    # The control: the same call with good options.
    assert np.isfinite(BCHG()(problem, problem.initial_theta(0), np.random.default_rng(0))).all()
