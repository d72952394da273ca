"""Critics: what they converge to, what they take for the value beyond a cut, and where they are wrong by design."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import InvalidOption, UnusableBatch
from boltzgrad.estimators import BCHG, BiAC, Sampling, Stream
from boltzgrad.estimators.gaussian import critics as gaussian
from boltzgrad.estimators.gaussian.episodes import GaussianEpisodes
from boltzgrad.estimators.gaussian.family import GaussianFamily
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.critics import Exact, LeastSquaresTD, MonteCarlo, Sarsa
from boltzgrad.estimators.tabular.episodes import TabularEpisodes
from boltzgrad.estimators.tabular.family import TabularFamily
from boltzgrad.estimators.tabular.rollouts import roll
from estimators.small import game, lqr, moving

GAMMA = 0.6


def chain(ends=True):
    """0 → 1 → 2 → the end (or 2 for ever), one action, r_L = 1, 2, 4."""
    p = np.zeros((3, 1, 3))
    p[0, 0, 1] = p[1, 0, 2] = 1.0
    p[2, 0, 2] = 0.0 if ends else 1.0

    def build(theta):
        return bg.TabularModel(
            p,
            [1.0, 0.0, 0.0],
            np.zeros((3, 1)),
            np.array([[1.0], [2.0], [4.0]]) + theta[0],
            follower_discount=GAMMA,
            leader_discount=GAMMA,
            temperature=1.0,
        )

    return bg.ConfigurableMDP(build, dim=1)


def batch(problem, sampling, *, theta=None, lanes=1, seed=0, as_published=False):
    draws = Draws([Stream(s) for s in range(seed, seed + lanes)], lanes)
    theta = problem.initial_theta(seed=5) if theta is None else theta
    w = TabularFamily(problem).worlds(theta[None], np.zeros(lanes, int), draws, None)
    return TabularEpisodes(w, roll(w, sampling, draws), sampling, as_published=as_published), draws


# Tables


def swept(problem, sampling, critic, sweeps):
    e, draws = batch(problem, sampling, theta=np.zeros(1))
    table = critic.start((1, 3, 1), draws)
    for _ in range(sweeps):
        _, table = critic.fit(e, table, draws)
    return table[0, :, 0], e


@pytest.mark.parametrize("start", ["normal", "zero"])
def test_sarsa_on_a_deterministic_chain(start):
    """Q = 1 + γ(2 + γ4), 2 + γ4, 4 where the chain ends; the correct form also where the batch is cut."""
    exact = np.array([1.0 + GAMMA * (2.0 + GAMMA * 4.0), 2.0 + GAMMA * 4.0, 4.0])
    found, _ = swept(chain(), Sampling(episodes=2, horizon="episode"), Sarsa(initial=start), 60)
    np.testing.assert_allclose(found, exact, rtol=1e-10)
    early, _ = swept(chain(), Sampling(episodes=2, horizon="episode"), Sarsa(initial=start), 1)
    assert np.abs(early - exact).max() > 1e-3  # control: one sweep is not enough


@pytest.mark.parametrize(
    "sampling", [Sampling(episodes=3, horizon=5), Sampling(episodes=1, steps=12, time_limit=4), Sampling()]
)
def test_the_value_beyond_a_cut(sampling):
    """A chain that stays in 2 for ever: Q(2) = 4/(1 − γ); as published what lies beyond a cut counts for nothing."""
    at_2 = 4.0 / (1.0 - GAMMA)
    exact = np.array([1.0 + GAMMA * (2.0 + GAMMA * at_2), 2.0 + GAMMA * at_2, at_2])
    found, e = swept(chain(ends=False), sampling, Sarsa(initial="zero"), 600)
    visited = np.isin(np.arange(3), e.rollout.state[e.rollout.alive])
    np.testing.assert_allclose(found[visited], exact[visited], rtol=1e-6)
    published, _ = swept(chain(ends=False), sampling, Sarsa(initial="zero", as_published=True), 600)
    assert published[2] < 0.95 * exact[2]


@pytest.mark.parametrize("initial", ["normal", "zero"])
def test_sarsa_starts_where_it_says(initial):
    draws = Draws([Stream(0), Stream(1)], 2)
    table = Sarsa(initial=initial).start((2, 50, 40), draws)
    assert table.shape == (2, 50, 40)
    if initial == "zero":
        assert not table.any()
        return
    assert abs(table.mean()) < 5.0 / np.sqrt(4000)
    assert abs(table.std() - 1.0) < 5.0 / np.sqrt(2 * 4000)
    assert not np.array_equal(table[0], table[1])


@pytest.mark.parametrize("critic", [LeastSquaresTD(ridge=1e-9), MonteCarlo()], ids=["td", "monte-carlo"])
def test_much_data_gives_the_exact_values(critic):
    """Within 5 standard errors, as four batches tell them: of the table, and of V = Σ π Q along the batch."""
    e, draws = batch(moving(), Sampling(episodes=4000), lanes=4)
    q = e.worlds.leader[1][0]
    values, _ = critic.fit(e, None, draws)
    exact, _ = Exact().fit(e, None, draws)
    benefit = q - e.worlds.leader[0][0][:, None]
    error = np.abs(values.benefit.mean(axis=0) - benefit)
    assert (error < 5.0 * values.benefit.std(axis=0, ddof=1) / 2.0 + 1e-3).all()
    assert np.sqrt(((values.q - exact.q)[e.rollout.alive] ** 2).mean()) < 0.05 * np.ptp(q)
    assert np.sqrt(((values.v - exact.v)[e.rollout.alive] ** 2).mean()) < 0.05 * np.ptp(q)
    few, draws = batch(moving(), Sampling(episodes=4), lanes=1)  # control: a small batch is far off
    assert np.sqrt(
        ((critic.fit(few, None, draws)[0].q - Exact().fit(few, None, draws)[0].q) ** 2).mean()
    ) > 0.05 * np.ptp(q)


def test_td_with_features_that_hold_the_truth():
    """With φ = (Q_L, 1) as features the fixed point of LSTD is Q_L itself."""
    e, draws = batch(moving(fade=0.4), Sampling(episodes=3000))
    q = e.worlds.leader[1][0]
    phi = np.stack([q.ravel(), np.ones(q.size)], axis=1)
    found, _ = LeastSquaresTD(features=phi, ridge=1e-9).fit(e, None, draws)
    exact, _ = Exact().fit(e, None, draws)
    assert np.abs(found.q - exact.q)[e.rollout.alive].max() < 0.05 * np.ptp(q)
    blind, _ = LeastSquaresTD(features=phi[:, 1:], ridge=1e-9).fit(e, None, draws)
    assert np.abs(blind.q - exact.q)[e.rollout.alive].max() > 0.2 * np.ptp(q)  # control
    with pytest.raises(InvalidOption, match=r"features has shape \(5, 2\), expected \(6, f\)"):
        LeastSquaresTD(features=phi[:5]).fit(e, None, draws)


def test_the_exact_critic_is_the_leaders_value():
    e, draws = batch(moving(), Sampling(episodes=5))
    values, _ = Exact().fit(e, None, draws)
    r, (v, q) = e.rollout, e.worlds.leader
    np.testing.assert_array_equal(values.q, q[0][r.state, r.action])
    np.testing.assert_array_equal(values.v_next, v[0][r.next_state])
    np.testing.assert_allclose(values.expected, (e.worlds.kernels[0] @ v[0])[r.state, r.action], rtol=1e-12)
    assert not np.allclose(values.expected, values.v_next)
    np.testing.assert_allclose(values.mean, e.worlds.initial[0] @ v[0])


def test_a_monte_carlo_table_says_what_it_never_saw():
    """Unseen actions in visited states are refused; states that were never visited do not matter."""
    p = np.zeros((3, 2, 3))
    p[:2, :, :2] = 0.5
    p[2, :, 2] = 1.0  # never reached from 0 and 1

    def build(theta):
        r = theta.reshape(3, 2)
        return bg.TabularModel(p, [1.0, 0.0, 0.0], r, r, follower_discount=0.6, leader_discount=0.6, temperature=0.5)

    problem = bg.ConfigurableMDP(build, dim=6)
    summed = {"critic": "monte-carlo", "segments": "exact", "actions": "expected"}
    enough = BCHG(sampling=Sampling(episodes=200), **summed)(problem, np.ones(6), np.random.default_rng(0))
    assert np.isfinite(enough).all()
    assert enough[:4].any()
    np.testing.assert_array_equal(enough[4:], 0.0)
    with pytest.raises(UnusableBatch, match="was never taken in state"):
        BCHG(sampling=Sampling(episodes=1), **summed)(problem, np.ones(6), np.random.default_rng(0))


# Bi-AC


def test_the_stackelberg_critic_solves_its_own_equation_and_no_other():
    """Q = r_L + γ_L Σ p max_{a'} Q(s', a', b*(s', a')), b* the follower's mode.  Source: BC-HG (46)–(49)."""
    problem = game(temperature=0.3)
    run = BiAC(sampling=Sampling(episodes=4)).open(problem, [Stream(0)])
    run.estimate(problem.initial_theta(seed=5)[None])
    q, w = run.state[0], run.worlds
    mode = w.policy[0].argmax(axis=1)
    best = np.repeat(q[np.arange(6), mode].reshape(3, 2).max(axis=1), 2)
    expected = w.r_L[0] + w.gamma_L * w.expect(best[None])[0]
    np.testing.assert_allclose(q, expected, atol=1e-9)
    true = w.leader[1][0]
    assert np.abs(q - true).max() > 0.1 * np.ptp(true)
    own = w.r_L[0] + w.gamma_L * w.expect((w.policy[0] * q).sum(axis=1)[None])[0]
    assert np.abs(q - own).max() > 0.1 * np.ptp(true)  # control: it does not solve the leader's own equation


# Linear-quadratic critics


def quadratic_batch(problem, sampling, *, lanes=1):
    draws = Draws([Stream(s) for s in range(lanes)], lanes)
    theta = problem.initial_theta(seed=0)[None]
    w = GaussianFamily(problem).worlds(theta, np.zeros(lanes, int), draws, None)
    return GaussianEpisodes(w, sampling, draws), draws


def rms(x, on):
    return float(np.sqrt((x[on] ** 2).mean()))


FIELDS = ("q", "v", "v_next", "v_mean")


@pytest.mark.parametrize("name", ["thermal-control", "random-lqr"])
def test_quadratic_td_is_the_exact_quadratic(name):
    e, draws = quadratic_batch(bg.problems.load(name), Sampling(episodes=2000))
    exact, _ = gaussian.Exact().fit(e, None, draws)
    found, _ = gaussian.LeastSquaresTD().fit(e, None, draws)
    for field in FIELDS:
        error = getattr(found, field) - getattr(exact, field)
        assert rms(error, e.alive) < 0.05 * np.std(getattr(exact, field)[e.alive])
    returns, _ = gaussian.MonteCarlo().fit(e, None, draws)
    for field in FIELDS[1:]:
        assert rms(getattr(returns, field) - getattr(exact, field), e.alive) < 0.3 * np.std(exact.v[e.alive])
    assert rms(returns.q - exact.q, e.alive) > rms(found.q - exact.q, e.alive)  # control: a return is one sample


@pytest.mark.parametrize("horizon", [None, 4])
def test_the_exact_quadratic_solves_its_equation(horizon):
    """Q = r_L + γ_L E V(x'), V = E_u Q: both sides by many draws from one (x, u), within 5 standard errors."""
    problem = lqr(horizon=horizon)
    e, draws = quadratic_batch(problem, Sampling(episodes=1, horizon=3))
    values, _ = gaussian.Exact().fit(e, None, draws)
    w, rng, n = e.worlds.worlds[0], np.random.default_rng(1), 20_000
    P, c = w.leader
    for t in range(min(2, e.T)):
        after = 0 if horizon is None else t + 1
        here = 0 if horizon is None else t
        mean, noise = e.mean[t, 0, 0], rng.multivariate_normal(np.zeros(2), w.model.W, n)
        to = mean + noise
        samples = e.leader_rewards()[t, 0, 0] + w.model.leader_discount * (
            c[after] - np.einsum("ni,ij,nj->n", to, P[after], to)
        )
        error = samples.std() / np.sqrt(n)
        assert abs(samples.mean() - values.q[t, 0, 0]) < 5.0 * error
        assert abs(samples.mean() - values.q[t, 0, 0] - 6.0 * error) > 5.0 * error / 10.0
        x = e.x[t, 0, 0]
        u = -w.K @ x + rng.standard_normal((n, 1)) @ w.action_root.T
        mu = x @ w.model.A.T + u @ w.model.B.T
        q = (
            w.model.leader_constant
            - x @ w.model.leader_Q @ x
            - np.einsum("ni,ij,nj->n", u, w.model.leader_R, u)
            + w.model.leader_discount
            * (c[after] - np.einsum("ni,ij,nj->n", mu, P[after], mu) - np.trace(P[after] @ w.model.W))
        )
        assert abs(q.mean() - values.v[t, 0, 0]) < 5.0 * q.std() / np.sqrt(n)
        assert values.v[t, 0, 0] == pytest.approx(c[here] - x @ P[here] @ x)
        assert abs(q.mean() - (values.v[t, 0, 0] + 10.0 * q.std() / np.sqrt(n))) > 5.0 * q.std() / np.sqrt(n)  # control


def test_a_network_learns():
    """Its temporal differences shrink, and its Q comes closer to the exact one, batch after batch."""
    problem = bg.problems.load("thermal-control")
    critic = gaussian.Network(hidden=(16,), updates=60, minibatch=128, learning_rate=3e-3, actions=4)
    e, draws = quadratic_batch(problem, Sampling(episodes=100))
    exact, _ = gaussian.Exact().fit(e, None, draws)
    state = critic.start(e.shape, draws)
    errors, differences = [], []
    for _ in range(25):
        values, state = critic.fit(e, state, draws)
        errors.append(rms(values.q - exact.q, e.alive))
        td = e.leader_rewards() + e.worlds.gamma_L * values.v_next - values.q
        differences.append(rms(td, e.alive))
    assert differences[-1] < 0.5 * differences[0]
    assert errors[-1] < 0.5 * errors[0]
    still = gaussian.Network(hidden=(16,), updates=1, minibatch=1, learning_rate=1e-12, actions=4)
    state = still.start(e.shape, draws)
    values, state = still.fit(e, state, draws)
    again, _ = still.fit(e, state, draws)
    assert rms(again.q - exact.q, e.alive) > 0.9 * rms(values.q - exact.q, e.alive)  # control: one that does not learn


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sarsa(learning_rate=0.0), "learning_rate is 0.0; expected a number in"),
        (lambda: Sarsa(initial="ones"), "initial is 'ones'; expected 'normal' or 'zero'"),
        (lambda: gaussian.Network(updates=0), "updates is 0; expected a positive integer"),
        (lambda: gaussian.Network(learning_rate=-1.0), "learning_rate is -1.0; expected a positive number"),
    ],
)
def test_bad_options(make, words):
    with pytest.raises(InvalidOption, match=words):
        make()
