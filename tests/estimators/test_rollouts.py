"""Trajectories: sums along them against brute force, how long they are, where they begin, and what ends them."""

import numpy as np
import pytest
from scipy import stats

import boltzgrad as bg
from boltzgrad.estimators import Sampling, Stream
from boltzgrad.estimators.gaussian.episodes import GaussianEpisodes
from boltzgrad.estimators.gaussian.family import GaussianFamily
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.episodes import TabularEpisodes
from boltzgrad.estimators.tabular.family import TabularFamily
from boltzgrad.estimators.tabular.rollouts import roll
from boltzgrad.estimators.traces import returns, trace
from estimators.small import lqr, moving, shaped


def setting(problem, lanes=1, seed=0):
    draws = Draws([Stream(s) for s in range(seed, seed + lanes)], lanes)
    theta = problem.initial_theta(seed=5)[None]
    return TabularFamily(problem).worlds(theta, np.zeros(lanes, int), draws, None), draws


def rollout(problem, sampling, *, lanes=1, seed=0, **options):
    w, draws = setting(problem, lanes, seed)
    return roll(w, sampling, draws, **options)


# Sums along trajectories


@pytest.mark.parametrize("discount", [0.0, 0.3, 1.0])
def test_traces_and_returns_are_double_sums(discount):
    """Σ_t c_t Σ_{k≥t} δ^{k−t} x_k over each trajectory = Σ_k e_k x_k = Σ_t c_t G_t."""
    rng = np.random.default_rng(0)
    c, x = rng.standard_normal((2, 12, 3))
    first = np.zeros((12, 3), bool)
    first[0] = True
    first[4, 0] = first[5, 0] = first[9, 2] = True
    last = np.vstack([first[1:], np.ones((1, 3), bool)])
    total = 0.0
    for n in range(3):
        run = np.cumsum(first[:, n])
        for t in range(12):
            for k in range(t, 12):
                if run[k] == run[t]:
                    total += c[t, n] * discount ** (k - t) * x[k, n]
    assert (trace(c, discount, first) * x).sum() == pytest.approx(total, rel=1e-12)
    assert (c * returns(x, discount, last)).sum() == pytest.approx(total, rel=1e-12)
    if discount:
        never = np.zeros_like(first)
        never[0] = True
        assert (trace(c, discount, never) * x).sum() != pytest.approx(total, rel=1e-3)  # control: one long trajectory


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(episodes=2, steps=30, time_limit=7)])
def test_the_episodes_own_sums(sampling):
    """`leader_returns` and `weights` of a sampled batch by loops over its rows."""
    w, draws = setting(moving(fade=0.4))
    e = TabularEpisodes(w, roll(w, sampling, draws), sampling)
    r, delta = e.rollout, e.leader_discount
    kappa = 1.0 if sampling.steps else 0.7
    assert delta == pytest.approx(0.7 / kappa)
    g = e.leader_returns()
    for n in range(r.state.shape[1]):
        for t in range(len(r.state)):
            if not r.alive[t, n]:
                continue
            total, factor, k = 0.0, 1.0, t
            while True:
                total += factor * w.r_L[0, r.state[k, n], r.action[k, n]]
                factor *= delta
                if r.last[k, n]:
                    break
                k += 1
            assert g[t, n] == pytest.approx(total, rel=1e-12)
            assert e.weights[t, n] == pytest.approx(delta ** r.age[t, n] / e.trajectories[0], rel=1e-12)
    ends = (r.ended | r.timed_out).sum()
    assert e.trajectories[0] == (10 if sampling.steps is None else ends)


# Lengths


@pytest.mark.parametrize(("gamma_F", "gamma_L"), [(0.6, 0.7), (0.9, 0.2), (0.0, 0.5)])
def test_geometric_lengths(gamma_F, gamma_L):
    """P(length ≥ t + 1) = κ^t with κ = max(γ_L, γ_F): mean length 1/(1 − κ)."""
    kappa = max(gamma_F, gamma_L)
    problem = moving(follower_discount=gamma_F, leader_discount=gamma_L)
    r = rollout(problem, Sampling(episodes=20_000))
    length = r.alive.sum(axis=0)
    counts = np.bincount(np.minimum(length, 6), minlength=7)[1:]
    law = np.append((1.0 - kappa) * kappa ** np.arange(5), kappa**5)
    assert stats.chisquare(counts, 20_000 * law).pvalue > 1e-3
    other = 0.97 * kappa
    wrong = np.append((1.0 - other) * other ** np.arange(5), other**5)
    assert stats.chisquare(counts, 20_000 * wrong).pvalue < 1e-3  # control
    deviation = np.sqrt(kappa) / (1.0 - kappa) / np.sqrt(20_000)
    assert abs(length.mean() - 1.0 / (1.0 - kappa)) < 4.0 * deviation
    assert not r.ended.any()
    assert not r.timed_out.any()


def test_no_patience_is_one_step():
    r = rollout(moving(follower_discount=0.0, leader_discount=0.0), Sampling(episodes=5))
    assert r.state.shape == (1, 5)
    assert r.last.all()
    np.testing.assert_array_equal(r.steps, [5])


def test_fixed_lengths():
    lengths = np.array([[1, 4, 2], [3, 3, 7]])
    r = rollout(moving(), Sampling(), lanes=2, walkers=3, lengths=lengths)
    np.testing.assert_array_equal(r.alive.sum(axis=0), lengths.ravel())
    np.testing.assert_array_equal(r.steps, lengths.sum(axis=1))
    np.testing.assert_array_equal(r.last.sum(axis=0), 1)
    cut = rollout(moving(fade=0.9), Sampling(), lanes=2, walkers=3, lengths=lengths)
    assert (cut.alive.sum(axis=0) <= lengths.ravel()).all()
    assert (cut.alive.sum(axis=0) < lengths.ravel()).any()  # control: the model's end may come before


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_number_of_steps_is_the_horizon(horizon):
    r = rollout(moving(), Sampling(episodes=4, horizon=horizon))
    assert r.state.shape == (horizon, 4)
    assert r.alive.all()
    np.testing.assert_array_equal(r.last, np.arange(horizon)[:, None] == np.full(4, horizon - 1))


def test_waiting_for_the_end():
    """Rows that sum to 1 − q end an episode with probability q: here q is the same everywhere."""
    q = 0.25

    problem = shaped()
    model = problem.model(np.zeros(5))
    fading = bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            (1.0 - q) * model.transition,
            model.initial,
            model.follower_reward + theta[0],
            model.leader_reward + theta[0],
            follower_discount=0.99,
            leader_discount=0.99,
            temperature=1.0,
        ),
        dim=1,
    )
    r = rollout(fading, Sampling(episodes=10_000, horizon="episode"))
    length = r.alive.sum(axis=0)
    assert (r.ended & r.alive).sum() == 10_000
    counts = np.bincount(np.minimum(length, 8), minlength=9)[1:]
    law = np.append(q * (1 - q) ** np.arange(7), (1 - q) ** 7)
    assert stats.chisquare(counts, 10_000 * law).pvalue > 1e-3
    assert stats.chisquare(counts, 10_000 * np.roll(law, 1)).pvalue < 1e-3  # control


def test_environments_that_start_again():
    r = rollout(moving(fade=0.4), Sampling(episodes=3, steps=200, time_limit=6), lanes=2)
    assert r.state.shape == (200, 6)
    assert r.alive.all()
    np.testing.assert_array_equal(r.steps, [600, 600])
    # A trajectory begins after every end and every time-out, at age 0, and nowhere else.
    np.testing.assert_array_equal(r.first[1:], r.last[:-1])
    np.testing.assert_array_equal(r.age == 0, r.first)
    np.testing.assert_array_equal(r.last[:-1], (r.ended | r.timed_out)[:-1])
    assert r.last[-1].all()
    np.testing.assert_array_equal(r.timed_out, (r.age == 5) & ~r.ended)
    going = ~r.last[:-1]
    np.testing.assert_array_equal(r.state[1:][going], r.next_state[:-1][going])
    assert not np.array_equal(r.state[1:][~going], r.next_state[:-1][~going])  # control: not where it was
    assert r.ended.any()
    assert r.timed_out.any()


def test_starts_again_by_the_initial_law():
    w, draws = setting(shaped(start=True))
    r = roll(w, Sampling(episodes=10, steps=2000, time_limit=3), draws)
    counts = np.bincount(r.state[r.first], minlength=3)
    assert stats.chisquare(counts, counts.sum() * w.initial[0]).pvalue > 1e-3
    assert stats.chisquare(counts, counts.sum() * np.roll(w.initial[0], 1)).pvalue < 1e-3  # control
    elsewhere = roll(w, Sampling(episodes=5000, horizon=1), draws, initial=np.array([0.0, 0.5, 0.5]))
    assert (elsewhere.state > 0).all()


# What happens at a step


def test_actions_and_next_states_follow_policy_and_kernel():
    w, draws = setting(moving())
    r = roll(w, Sampling(episodes=500, horizon=40), draws)
    for s in range(3):
        here = r.state == s
        counts = np.bincount(r.action[here], minlength=2)
        assert stats.chisquare(counts, counts.sum() * w.policy[0, s]).pvalue > 1e-3
        off = w.policy[0, s] + 0.08 * np.array([1.0, -1.0]) * np.sign(0.5 - w.policy[0, s, 0])
        assert stats.chisquare(counts, counts.sum() * off).pvalue < 1e-3  # control
        to = np.bincount(r.next_state[here & (r.action == 0)], minlength=3)
        p = w.models[0].transition[s, 0]
        assert stats.chisquare(to, to.sum() * p).pvalue > 1e-3
        assert stats.chisquare(to, to.sum() * np.roll(p, 1)).pvalue < 1e-3


def test_given_starts_and_first_actions():
    start, action = np.array([[0, 1], [2, 2]]), np.array([[1, 0], [0, 1]])
    r = rollout(moving(), Sampling(episodes=2), lanes=2, start=start, first_action=action, walkers=2)
    np.testing.assert_array_equal(r.state[0], start.ravel())
    np.testing.assert_array_equal(r.action[0], action.ravel())
    free = rollout(moving(), Sampling(episodes=2), lanes=2, start=start, walkers=2)
    np.testing.assert_array_equal(free.state[0], start.ravel())
    assert not np.array_equal(
        rollout(moving(), Sampling(episodes=50), walkers=50).state[0], np.zeros(50)
    )  # control: without, by the initial law


def test_a_start_of_probability_zero_never_comes():
    w, draws = setting(moving())
    w.initial = np.array([[0.5, 0.0, 0.5]])
    assert 1 not in roll(w, Sampling(episodes=5000, horizon=1), draws).state


# Linear-quadratic trajectories


def test_linear_quadratic_moments():
    """x₀ ~ N(m, S), u = −Kx + ε, x' = Ax + Bu + w: residuals have the covariances of the model, within 5 standard errors."""
    problem, n = lqr(), 4000
    draws = Draws([Stream(0)], 1)
    theta = problem.initial_theta(seed=5)[None]
    w = GaussianFamily(problem).worlds(theta, np.zeros(1, int), draws, None)
    e = GaussianEpisodes(w, Sampling(episodes=n, horizon=3), draws)
    world, m = w.worlds[0], w.model
    noise = (e.following - e.mean)[0, 0]
    answer = (e.u + np.einsum("ij,tlej->tlei", world.K, e.x))[0, 0]
    np.testing.assert_allclose(e.mean, e.x @ m.A.T + e.u @ m.B.T, rtol=1e-12, atol=1e-12)

    def off(x, covariance):
        errors = np.sqrt((covariance**2 + np.outer(np.diag(covariance), np.diag(covariance))) / n)
        return (np.abs(x.T @ x / n - covariance) / errors).max()

    start = e.x[0, 0] - m.mean
    for x, covariance in ((noise, m.W), (answer, world.covariance), (start, m.covariance)):
        assert off(x, covariance) < 5.0
        assert off(x, 1.3 * covariance) > 5.0  # control
    np.testing.assert_array_equal(e.steps, [3 * n])


def test_linear_quadratic_lengths():
    problem = lqr()
    draws = Draws([Stream(0)], 1)
    w = GaussianFamily(problem).worlds(problem.initial_theta(seed=5)[None], np.zeros(1, int), draws, None)
    length = GaussianEpisodes(w, Sampling(episodes=20_000), draws).alive.sum(axis=0).ravel()
    law = 0.3 * 0.7 ** np.arange(5)
    counts = np.bincount(np.minimum(length, 6), minlength=7)[1:]
    assert stats.chisquare(counts, 20_000 * np.append(law, 0.7**5)).pvalue > 1e-3
    finite = lqr(horizon=4)
    w = GaussianFamily(finite).worlds(finite.initial_theta(seed=5)[None], np.zeros(1, int), draws, None)
    assert GaussianEpisodes(w, Sampling(episodes=3), draws).x.shape == (4, 1, 3, 2)  # control: the leader's own horizon
