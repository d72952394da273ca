"""Stacked worlds against the library's own solvers, and the tables that next states are drawn from."""

import numpy as np
import pytest
from scipy import stats

import boltzgrad as bg
from boltzgrad.core.kernel import DenseKernel, SparseKernel
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.streams import Draws, Stream
from boltzgrad.estimators.tabular.cotangents import TabularCotangents
from boltzgrad.estimators.tabular.newton import newton
from boltzgrad.estimators.tabular.successors import Successors
from boltzgrad.estimators.tabular.worlds import TabularWorlds, as_tabular
from boltzgrad.solvers import evaluate_leader, solve_follower
from estimators.small import game, moving, shaped

CLOSE = 1e-12
load = bg.problems.load
PROBLEMS = {
    "moving": moving(),
    "contexts": moving(contexts=2),
    "own kernel": moving(own=True),
    "episodes that end": moving(fade=0.4),
    "one kernel for all": shaped(),
    "no patience": moving(follower_discount=0.0, leader_discount=0.0),
    "cold": moving(temperature=1e-4),
    "hot": moving(temperature=1e3),
    "one state": moving(S=1),
    "one action": moving(A=1),
    "sparse": load("garnet", n_states=20, n_parameters=8, ending=0.2),
    "game": game(),
    "regularised": bg.ConfigurableMDP(moving().build, dim=4, regulariser=lambda theta: -(theta[0] ** 2) + theta[3]),
}


def worlds(problem, n=3, **options):
    problem = as_tabular(problem)
    thetas = np.stack([problem.initial_theta(seed=s) for s in range(n)])
    return TabularWorlds(problem, thetas, np.arange(n), uniforms=np.linspace(0.05, 0.95, n), **options)


def close(found, expected, factor=1.0):
    return np.abs(found - expected).max() <= factor * CLOSE * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_world_is_what_the_solvers_say(name):
    w = worlds(PROBLEMS[name])
    values, (v, q), occupancy = w.value, w.leader, w.occupancy()
    for i, model in enumerate(w.models):
        follower = solve_follower(model)
        leader = evaluate_leader(model, follower)
        # A policy is exp(Q/τ): it knows V only to τ.
        assert close(values[i], follower.value)
        assert close(w.policy[i], follower.policy, 10.0 / min(1.0, model.temperature))
        assert close(v[i], leader.value, 10.0 / min(1.0, model.temperature))
        assert close(q[i], model.leader_reward + model.leader_discount * model.kernel.expect(leader.value), 1e4)
        assert close(occupancy[i], leader.occupancy, 10.0 / min(1.0, model.temperature))
    assert not close(values[0], values[-1])  # control: the worlds differ


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_objective_is_the_references_value(name):
    problem = as_tabular(PROBLEMS[name])
    w = worlds(problem)
    expected = np.array([bg.hypergradient(problem, theta).value for theta in w.thetas])
    np.testing.assert_allclose(w.objective(), expected, rtol=1e-10, atol=1e-12)
    assert abs(w.objective()[0] - expected[1]) > 1e-6


@pytest.mark.parametrize("name", PROBLEMS)
def test_through_the_follower_and_back_are_transposes(name):
    """c'(I − γ_F P_π)⁻¹ x = (R'c)'x, and Σ w(s,a) (P v)(s,a) = Σ (P'w) v, with the follower's kernel."""
    w, rng = worlds(PROBLEMS[name]), np.random.default_rng(0)
    at = w.lane_world
    c, x = rng.standard_normal((2, len(at), w.S))
    y = w.through_follower(c, at)
    weights = rng.standard_normal((len(at), w.S, w.A))
    back = w.spread_back(weights, at)
    for lane, world in enumerate(at):
        model = w.models[world]
        flat = model.follower_kernel.flat
        rows = flat if isinstance(model.follower_kernel, DenseKernel) else flat.toarray()
        P = np.einsum("sa,sat->st", w.policy[world], rows.reshape(w.S, w.A, w.S))
        direct = c[lane] @ np.linalg.solve(np.eye(w.S) - w.gamma_F * P, x[lane])
        assert direct == pytest.approx(y[lane] @ x[lane], rel=1e-9)
        v = x[lane]
        assert (weights[lane] * model.follower_kernel.expect(v)).sum() == pytest.approx(back[lane] @ v, rel=1e-9)
    if w.gamma_F > 0.0 and w.S > 1:
        assert not np.allclose(y, c)  # control: not the identity


@pytest.mark.parametrize("name", ["moving", "own kernel", "episodes that end", "sparse", "game", "contexts"])
def test_white_box_gradients_are_those_of_the_followers_values(name):
    """Σ w ∇Q_F and Σ c ∇V_F against central differences of the solved follower."""
    problem, rng, step = as_tabular(PROBLEMS[name]), np.random.default_rng(1), 1e-5
    theta = problem.initial_theta(seed=1)
    w = TabularWorlds(problem, theta[None], np.zeros(1, int), contexts=np.zeros(1, int))
    weights, states = rng.standard_normal((1, w.S, w.A)), rng.standard_normal((1, w.S))
    sums = TabularCotangents(w)
    sums.add_white_box(weights)
    sums.add_white_box_value(states)

    def value(t):
        model = problem.contexts(t).models[0]
        follower = solve_follower(model)
        q = model.follower_reward + model.follower_discount * model.follower_kernel.expect(follower.value)
        return (weights[0] * q).sum() + states[0] @ follower.value

    basis = step * np.eye(theta.size)[:6]
    slopes = np.array([(value(theta + e) - value(theta - e)) / (2.0 * step) for e in basis])
    found = sums.gradients()[0][:6]
    np.testing.assert_allclose(found, slopes, rtol=1e-6, atol=1e-7)
    assert not np.allclose(found, 1.01 * slopes, rtol=1e-6, atol=1e-7)  # control


def test_a_world_does_not_depend_on_its_neighbours():
    problem = moving()
    thetas = np.stack([problem.initial_theta(seed=s) * 10.0 ** (s - 2) for s in range(4)])
    together = TabularWorlds(problem, thetas, np.arange(4))
    for i in range(4):
        alone = TabularWorlds(problem, thetas[[i]], np.zeros(1, int))
        np.testing.assert_array_equal(together.value[i], alone.value[0])
        np.testing.assert_array_equal(together.leader[1][i], alone.leader[1][0])


def test_a_residual_is_what_newton_stops_by():
    kernels, rewards = np.full((1, 2, 2, 2), 0.5), np.random.default_rng(0).standard_normal((3, 2, 2))
    v, policy = newton(kernels, rewards, 0.9, 0.2, None)
    residual = 0.2 * np.log(np.exp((rewards + 0.45 * v.sum(axis=1)[:, None, None]) / 0.2).sum(axis=2)) - v
    assert np.abs(residual).max() <= CLOSE * np.abs(v).max()
    np.testing.assert_allclose(policy.sum(axis=2), 1.0, rtol=CLOSE)
    warm, _ = newton(kernels, rewards, 0.9, 0.2, v + 1.0)
    np.testing.assert_allclose(warm, v, rtol=CLOSE)
    assert np.abs(newton(kernels, rewards, 0.8, 0.2, v)[0] - v).max() > 0.1  # control: not what it started from


def test_contexts_are_drawn_by_their_probabilities():
    problem = moving(contexts=3)
    theta = problem.initial_theta(seed=0)
    n = 3000
    uniforms = Draws([Stream(s) for s in range(n)], n).uniform("context")
    w = TabularWorlds(problem, theta[None], np.zeros(n, int), uniforms=uniforms)
    counts, p = np.bincount(w.lane_world, minlength=3), problem.contexts(theta).probabilities
    assert stats.chisquare(counts, n * p).pvalue > 1e-3
    assert stats.chisquare(counts, n * p[[1, 2, 0]]).pvalue < 1e-3  # control
    assert w.probability_of(0) == p[w.lane_world[0]]
    with pytest.raises(InvalidOption, match="needs `uniforms`"):
        TabularWorlds(problem, theta[None], np.zeros(n, int))


# Successors


def kernels():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=(4, 2))
    p[0, 0] = [0.0, 1.0, 0.0, 0.0]
    p[1, 0] *= 0.6
    p[2, 1] = 0.0
    p[3, 0] = [0.5, 0.0, 0.0, 0.2]
    return p


def sparse(p):
    from scipy.sparse import csr_array

    return SparseKernel.from_scipy(csr_array(p.reshape(-1, p.shape[-1])), p.shape[1])


def sampled(s, row, n=20_000, seed=0):
    """How often each next state comes, and the end."""
    A = s.n_actions
    state, action = np.full(n, row // A), np.full(n, row % A)
    to, slot, ended = s.step(np.zeros(n, int), state, action, np.random.default_rng(seed).random(n))
    np.testing.assert_array_equal(s.to[0, row, slot][~ended], to[~ended])
    return np.append(np.bincount(to[~ended], minlength=4), ended.sum())


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("row", range(8))
def test_next_states_come_as_often_as_p_says(kind, row):
    p = kernels()
    s = Successors.of([DenseKernel(p) if kind == "dense" else sparse(p)])
    counts = sampled(s, row)
    law = np.append(p.reshape(8, 4)[row], 1.0 - p.reshape(8, 4)[row].sum())
    law[np.abs(law) < 1e-12] = 0.0
    assert counts[law == 0.0].sum() == 0
    live = law > 0.0
    if live.sum() > 1:
        assert stats.chisquare(counts[live], 20_000 * law[live]).pvalue > 1e-3
        wrong = law[live] + 0.03 * np.where(np.arange(live.sum()) % 2, 1.0, -1.0) * law[live].min()
        wrong = np.roll(law[live], 1) if np.ptp(law[live]) > 0.05 else wrong
        assert stats.chisquare(counts[live], 20_000 * wrong / wrong.sum()).pvalue < 1e-3  # control


def test_sparse_and_dense_draw_the_same():
    p = kernels()
    a, b = Successors.of([DenseKernel(p)]), Successors.of([sparse(p)])
    u = np.random.default_rng(1).random(5000)
    state, action = np.random.default_rng(2).integers(4, size=5000), np.random.default_rng(3).integers(2, size=5000)
    zero = np.zeros(5000, int)
    for x, y in zip(a.step(zero, state, action, u), b.step(zero, state, action, u), strict=True):
        np.testing.assert_array_equal(x, y)
    values = a.position[0, 0]
    np.testing.assert_array_equal(p.ravel()[values[: (p[0, 0] > 0).sum()]], p[0, 0][p[0, 0] > 0])


def test_worlds_with_kernels_of_their_own():
    p = kernels()
    other = np.roll(p, 1, axis=2)
    s = Successors.of([DenseKernel(p), DenseKernel(other)])
    u, state, action = np.random.default_rng(1).random(1000), np.full(1000, 3), np.ones(1000, int)
    first, _, _ = s.step(np.zeros(1000, int), state, action, u)
    second, _, _ = s.step(np.ones(1000, int), state, action, u)
    np.testing.assert_array_equal(first, Successors.of([DenseKernel(p)]).step(np.zeros(1000, int), state, action, u)[0])
    assert not np.array_equal(first, second)


def test_tables_are_kept_while_the_arrays_are_the_same():
    p = kernels()
    one = Successors.of([DenseKernel(p)])
    again = Successors.of([DenseKernel(p), DenseKernel(p)], one)
    assert again.to is one.to
    np.testing.assert_array_equal(again.kernel_of, [0, 0])
    assert Successors.of([DenseKernel(p.copy())], one).to is not one.to


def test_contexts_of_two_kinds_are_refused():
    def build(theta):
        def one(temperature):
            return bg.TabularModel(
                np.ones((1, 2, 1)),
                [1.0],
                theta[None],
                theta[None],
                follower_discount=0.5,
                leader_discount=0.5,
                temperature=temperature,
            )

        return bg.ContextualModel([one(1.0), one(0.1)], np.array([0.5, 0.5]))

    problem = bg.ConfigurableMDP(build, dim=2)
    with pytest.raises(InvalidOption, match="differ in shape, discounts or temperature"):
        TabularWorlds(problem, np.zeros((1, 2)), np.zeros(1, int), contexts=np.zeros(1, int))


def test_factors_belong_to_their_policy_and_discount():
    """Asked for one after the other, and again once a learner has put another policy in the place of the first."""
    w, rng = worlds(moving(follower_discount=0.9, leader_discount=0.5), n=1), np.random.default_rng(0)
    b = rng.standard_normal(w.S)

    def direct(policy, gamma):
        P = np.einsum("sa,sat->st", policy[0], w.kernels[0])
        return np.linalg.solve(np.eye(w.S) - gamma * P, b)

    for _ in range(2):
        np.testing.assert_allclose(w.factors()[0].solve(b), direct(w.acting, 0.5), rtol=CLOSE)
        np.testing.assert_allclose(w.factors(follower=True)[0].solve(b), direct(w.policy, 0.9), rtol=CLOSE)
    before = direct(w.policy, 0.9)
    w.policy = w.acting = rng.dirichlet(np.ones(w.A), size=(1, w.S))
    np.testing.assert_allclose(w.factors()[0].solve(b), direct(w.acting, 0.5), rtol=CLOSE)
    np.testing.assert_allclose(w.factors(follower=True)[0].solve(b), direct(w.policy, 0.9), rtol=CLOSE)
    assert not np.allclose(before, direct(w.policy, 0.9))  # control: it is another policy
