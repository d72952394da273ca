"""Against the packages that people have their worlds from: Gymnasium, pymdptoolbox, QuantEcon."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import worlds
from boltzgrad.worlds import control
from tests_helpers import optional


@pytest.fixture
def gymnasium():
    return optional("gymnasium")


def made(gymnasium, name, **options):
    found = [n for n in gymnasium.registry if n.startswith(name + "-v")]
    return gymnasium.make(max(found, key=lambda n: int(n.rsplit("-v", 1)[1])), **options)


TABLES = [("FrozenLake", {"map_name": "4x4"}), ("FrozenLake", {"map_name": "8x8"}), ("CliffWalking", {}), ("Taxi", {})]


@pytest.mark.parametrize(("name", "options"), TABLES)
def test_a_world_steps_like_its_environment(gymnasium, name, options):
    """From states drawn at random, the environment's own `step`: every outcome is stored, and pays on average what is said."""
    env = made(gymnasium, name, **options)
    world = worlds.from_gymnasium(env, discount=0.95)
    inner, rng = env.unwrapped, np.random.default_rng(0)
    S, A = world.shape
    np.testing.assert_allclose(world.initial, inner.initial_state_distrib)
    p = world.kernel.flat.tocsr()
    env.reset(seed=0)
    live = np.flatnonzero(~world.ends)
    for _ in range(300):
        s, a = int(rng.choice(live)), int(rng.integers(A))
        seen = []
        for _ in range(30):
            inner.s = s
            after, reward, over, _, _ = inner.step(a)
            seen.append(reward)
            if over:
                assert world.outcomes.end[s, a] > 0.0
            else:
                assert p[s * A + a, after] > 0.0
        spread = np.std(seen)
        assert abs(np.mean(seen) - world.reward[s, a]) <= 5 * spread / np.sqrt(30) + 1e-9 + (spread == 0.0) * 2.0 / 3.0
    assert inner.observation_space.n == S


@pytest.mark.parametrize(("name", "options"), TABLES)
def test_the_table_itself_by_hand(gymnasium, name, options):
    """Σ p R of every entry of P, terminal or not, but of ends, where nothing happens any more."""
    env = made(gymnasium, name, **options)
    world = worlds.from_gymnasium(env, discount=0.95)
    table = env.unwrapped.P
    for s in np.flatnonzero(~world.ends):
        for a in table[s]:
            assert world.reward[s, a] == pytest.approx(sum(p * r for p, _, r, _ in table[s][a]), abs=1e-12)
            assert world.outcomes.end[s, a] == pytest.approx(sum(p for p, _, _, over in table[s][a] if over), abs=1e-12)


@pytest.mark.parametrize(("name", "options"), TABLES[:3])
def test_ten_lines_to_a_checked_hypergradient(gymnasium, name, options):
    world = worlds.from_gymnasium(made(gymnasium, name, **options), discount=0.9)
    features = np.random.default_rng(0).normal(size=(world.shape[0], 3))
    problem = world.design(reward=worlds.Features(features), temperature=0.5)
    report = bg.verify(problem, problem.initial_theta(seed=0))
    report.raise_if_disagree()
    assert np.isfinite(report.reference.error_bound)
    assert len(report.agreeing) >= 8


def test_episodes_that_end_need_no_discount(gymnasium):
    """Every state that is no end can reach one; steps have to cost what wandering on is worth."""
    world = worlds.from_gymnasium(made(gymnasium, "CliffWalking"), discount=1.0)
    problem = world.design(reward=worlds.Features(np.linspace(-1, 0, 48)[:, None]), temperature=0.05)
    assert bg.verify(problem, np.array([0.5]), routes=["covariance", "implicit"]).ok


def test_an_environment_without_a_table_is_refused(gymnasium):
    with pytest.raises(
        bg.errors.InvalidWorld, match=r"PendulumEnv has no table of its transitions \(env.unwrapped.P\)"
    ):
        worlds.from_gymnasium(made(gymnasium, "Pendulum"), discount=0.9)


def test_a_limit_on_the_steps_is_said(gymnasium):
    assert "the limit of 100 steps is no part of the table" in str(
        worlds.from_gymnasium(made(gymnasium, "FrozenLake", map_name="4x4"), discount=0.9)
    )


def test_the_pendulum_is_gymnasiums(gymnasium):
    env = made(gymnasium, "Pendulum").unwrapped
    env.reset(seed=0)
    rng = np.random.default_rng(1)
    for _ in range(300):
        x, u = rng.uniform([-np.pi, -8.0], [np.pi, 8.0]), rng.uniform(-3.0, 3.0, size=1)
        env.state = x.copy()
        _, reward, _, _, _ = env.step(u)
        y = control.pendulum_step(x[None], u)
        np.testing.assert_allclose(np.asarray(env.state, float), y[0], atol=1e-6)
        assert reward == pytest.approx(control.pendulum_reward(x[None], u, y)[0], abs=1e-6)


def test_the_car_is_gymnasiums(gymnasium):
    env = made(gymnasium, "MountainCar").unwrapped
    env.reset(seed=0)
    rng = np.random.default_rng(2)
    ended = 0
    for i in range(500):
        x = rng.uniform([-1.2, -0.07], [0.6, 0.07]) if i % 2 else rng.uniform([0.4, 0.0], [0.6, 0.07])
        a = int(rng.integers(3))
        env.state = tuple(x)
        seen, reward, over, _, _ = env.step(a)
        y = control.car_step(x[None], np.array([a - 1.0]))
        np.testing.assert_allclose(seen, y[0], atol=1e-6)
        assert reward == -1.0
        assert over == bool((y[0, 0] >= control.GOAL) and (y[0, 1] >= 0.0))
        ended += over
    assert ended > 20


def test_pymdptoolboxs_forest():
    """Its own value iteration, hard; ours at a temperature so low that it is hard too."""
    example, mdp = optional("mdptoolbox.example"), optional("mdptoolbox.mdp")
    P, R = example.forest(S=5, p=0.1)
    world = worlds.from_arrays(P, R, discount=0.9)
    theirs = mdp.PolicyIteration(P, R, 0.9)
    theirs.run()
    ours = bg.solvers.solve_follower(world.model(temperature=1e-4))
    np.testing.assert_allclose(ours.value, theirs.V, atol=1e-2)
    assert tuple(ours.policy.argmax(axis=1)) == tuple(theirs.policy)


def test_quantecons_growth_model():
    """Its own example of a consumer with a stock, in both of its forms."""
    markov = optional("quantecon.markov")
    B, M, alpha, beta = 10, 5, 0.5, 0.9
    n, m = B + M + 1, M + 1
    R, Q = np.full((n, m), -np.inf), np.zeros((n, m, n))
    for s in range(n):
        for a in range(min(s, M) + 1):
            R[s, a] = (s - a) ** alpha
            Q[s, a, a : a + B + 1] = 1.0 / (B + 1)
    pairs = np.array([(s, a) for s in range(n) for a in range(min(s, M) + 1)])
    theirs = markov.DiscreteDP(R[tuple(pairs.T)], Q[tuple(pairs.T)], beta, pairs[:, 0], pairs[:, 1]).solve()
    world = worlds.from_arrays(
        Q[tuple(pairs.T)], R[tuple(pairs.T)], discount=beta, state_indices=pairs[:, 0], action_indices=pairs[:, 1]
    )
    ours = bg.solvers.solve_follower(world.model(temperature=1e-4))
    np.testing.assert_allclose(ours.value, theirs.v, atol=1e-2)
    assert tuple(ours.policy.argmax(axis=1)) == tuple(theirs.sigma)


@pytest.mark.parametrize("slippery", [False, True])
def test_cliffs_that_nobody_stands_on_raise_no_alarm(gymnasium, slippery):
    """Of CliffWalking's 48 states ten or more are never stood on: rewards there have a gradient of exactly zero."""
    world = worlds.from_gymnasium(made(gymnasium, "CliffWalking", is_slippery=slippery), discount=0.95)
    problem = world.design(reward="table", temperature=0.3)
    report = bg.verify(problem, problem.initial_theta(seed=0), routes=["covariance", "hpgd", "implicit", "hessian"])
    assert not report.against, str(report)
    occupancy = report.reference.leader.occupancy
    assert np.all(report.reference.gradient.reshape(48, 4)[occupancy == 0.0] == 0.0)
    assert np.count_nonzero(occupancy == 0.0) >= 5


def test_wrappers_are_said(gymnasium):
    wrapped = gymnasium.wrappers.TransformReward(made(gymnasium, "FrozenLake"), lambda r: 10.0 * r)
    assert "what wrappers change is no part of the table: TransformReward" in str(
        worlds.from_gymnasium(wrapped, discount=0.9)
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_value_that_is_infinite_is_never_a_result(gymnasium, seed):
    """Undiscounted, on ice that does not slip, wandering at temperature .3 pays for ever."""
    world = worlds.from_gymnasium(made(gymnasium, "FrozenLake", is_slippery=False), discount=1.0)
    problem = world.design(reward="table", temperature=0.3)
    theta = problem.initial_theta(seed=seed)
    with pytest.raises(bg.errors.InvalidModel, match="the follower's value is infinite"):
        bg.hypergradient(problem, theta)
