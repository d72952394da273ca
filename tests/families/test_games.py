"""Markov games: every route agrees, Theorem 1 on the lifted problem is Theorem 2, and the bound is a bound."""

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.registry import witnesses
from tests_helpers import sample, slow

EXACT = (
    "theorem2", "lifted-adjoint", "lifted-covariance", "lifted-hpgd", "lifted-implicit", "unrolled", "unrolled-implicit",
    "complex-step",
)  # fmt: skip
CASES = {
    "sees the action": {},
    "sees the state": {"observes": False},
    "as published": {"as_published": True},
    "endings": {"ending": 0.3},
    "endings, sees the state": {"ending": 0.3, "observes": False},
    "equal discounts": {"leader_discount": 0.9},
    "cold": {"temperature": 0.01},
    "one follower action": {"n_follower_actions": 1},
    "wide": {"n_leader_actions": 5, "n_follower_actions": 2},
    "myopic": {"follower_discount": 0.0, "leader_discount": 0.0},
}


def relative(result, reference):
    return np.abs(result.gradient - result.seen_by(reference.gradient)).max() / np.abs(reference.gradient).max()


@pytest.mark.parametrize("case", CASES)
def test_every_route_that_applies(case):
    game = bg.problems.load("random-game", n_states=6, branching=2, **CASES[case])
    theta = game.initial_theta(seed=1)
    reference = bg.hypergradient(game, theta)
    ran = set()
    for route in witnesses(game):
        if route.name in EXACT and not route.skip(game, theta):
            result = route.run(game, theta)
            assert relative(result, reference) <= 1e-9
            assert result.value == pytest.approx(reference.value, rel=1e-10)
            ran.add(route.name)
    assert ran >= {"unrolled", "unrolled-implicit", "complex-step"}
    assert ("theorem2" in ran) == (game.plans_on == game.acts_on == "action")
    assert ("lifted-covariance" in ran) == (case != "as published")


TOYS = [
    ({"bonus": b, **o}, seed)
    for b in (1, 2)
    for o in ({}, {"observes": False}, {"as_published": True})
    for seed in (None, 1)
]
QUICK_TOYS = [({"bonus": 1}, 1), ({"bonus": 2, "observes": False}, None), ({"bonus": 2, "as_published": True}, 1)]


@pytest.mark.parametrize(("options", "seed"), [toy if toy in QUICK_TOYS else slow(*toy) for toy in TOYS])
def test_toy_game(options, seed):
    game = bg.problems.load("toy-game", **options)
    theta = np.zeros(6) if seed is None else game.initial_theta(seed=seed)
    reference = bg.hypergradient(game, theta)
    for route in witnesses(game):
        if route.name in EXACT and not route.skip(game, theta):
            assert relative(route.run(game, theta), reference) <= 1e-9


@pytest.mark.parametrize("observes", [True, False])
def test_lifting(observes):
    """Theorem 1 on the lifted problem equals Theorem 2 on the game, by both references, dense and sparse."""
    thin = bg.problems.load("random-game", n_states=5, observes=observes)
    S, A, B = 5, 3, 3
    dense = bg.MarkovGame(
        thin.joint.transition.toarray().reshape(S, A, B, S),
        thin.joint.initial,
        thin.joint.follower_reward.reshape(S, A, B),
        thin.joint.leader_reward.reshape(S, A, B),
        follower_discount=0.9, leader_discount=0.95, temperature=0.1, observes=observes,
    )  # fmt: skip
    theta = thin.initial_theta(seed=2)
    game = bg.hypergradient(thin, theta)
    for problem in (dense, thin.as_configurable_mdp(), dense.as_configurable_mdp()):
        other = bg.hypergradient(problem, theta)
        np.testing.assert_allclose(other.gradient, game.gradient, rtol=0, atol=1e-12)
        assert other.value == pytest.approx(game.value, rel=1e-13)


@pytest.mark.parametrize("observes", sample([True, False], True))
def test_lifted_problems_are_verified_by_all_tabular_routes(observes):
    game = bg.problems.load("random-game", n_states=4, branching=2, n_leader_actions=2, observes=observes)
    report = bg.verify(game.as_configurable_mdp(), game.initial_theta(seed=1))
    report.raise_if_disagree()
    assert len(report.agreeing) == 10


def test_any_differentiable_leader():
    """A leader whose policy is a neural network of two parameters a state feature, by autograd."""
    features = np.random.default_rng(0).standard_normal((20, 2))

    def f(theta):
        hidden = anp.tanh(anp.dot(features, anp.reshape(theta[:6], (2, 3))))
        logits = anp.dot(hidden, anp.reshape(theta[6:], (3, 3)))
        e = anp.exp(logits)
        return e / anp.sum(e, axis=1, keepdims=True)

    zoo = bg.problems.load("random-game")
    joint = zoo.joint
    game = bg.MarkovGame(
        joint.transition, joint.initial, joint.follower_reward.reshape(20, 3, 3), joint.leader_reward.reshape(20, 3, 3),
        follower_discount=0.9, leader_discount=0.95, temperature=0.1, policy=bg.LeaderPolicy(f, 15),
    )  # fmt: skip
    report = bg.verify(game, game.initial_theta(seed=3), routes=["theorem2", "unrolled-implicit", "complex-step"])
    report.raise_if_disagree()


# One small game in 50 digits: nothing shared with the library but these numbers.
S, A, B = 2, 2, 2
_rng = np.random.default_rng(5)
P = _rng.integers(1, 8, (S, A, B, S)) / 16
P = P / P.sum(axis=3, keepdims=True)
P[..., 1] = 1 - P[..., 0]
RF, RL = _rng.integers(0, 16, (2, S, A, B)) / 8
RHO = np.array([0.25, 0.75])
THETA = np.array([0.5, -0.25, 0.125, 0.75])


def exact_j(theta, plans, acts, gamma_f, gamma_l, tau):
    mp = mpmath

    def softmax(x):
        e = [mp.exp(y) for y in x]
        return [y / mp.fsum(e) for y in e]

    def lse(x):
        top = max(x)
        return top + tau * mp.log(mp.fsum(mp.exp((y - top) / tau) for y in x))

    f = [softmax([theta[A * s + a] for a in range(A)]) for s in range(S)]
    u = [mp.mpf(0)] * S

    def q_of(u):
        return [[[mp.mpf(RF[s, a, b]) + gamma_f * mp.fdot(map(mp.mpf, P[s, a, b]), u) for b in range(B)]
                 for a in range(A)] for s in range(S)]  # fmt: skip

    for _ in range(4000):
        q = q_of(u)
        mean = [[mp.fsum(f[s][a] * q[s][a][b] for a in range(A)) for b in range(B)] for s in range(S)]
        if plans == "action":
            new = [mp.fsum(f[s][a] * lse(q[s][a]) for a in range(A)) for s in range(S)]
        else:
            new = [lse(mean[s]) for s in range(S)]
        done = max(abs(x - y) for x, y in zip(u, new, strict=True)) < mp.mpf(10) ** (3 - mp.mp.dps)
        u = new
        if done:
            break
    q = q_of(u)
    mean = [[mp.fsum(f[s][a] * q[s][a][b] for a in range(A)) for b in range(B)] for s in range(S)]
    of = (lambda s, a: q[s][a]) if acts == "action" else (lambda s, a: mean[s])
    g = [[softmax([x / tau for x in of(s, a)]) for a in range(A)] for s in range(S)]
    m, r = mp.matrix(S, S), mp.matrix(S, 1)
    for s in range(S):
        for t in range(S):
            m[s, t] = (s == t) - gamma_l * mp.fsum(
                f[s][a] * g[s][a][b] * mp.mpf(P[s, a, b, t]) for a in range(A) for b in range(B)
            )
        r[s] = mp.fsum(f[s][a] * g[s][a][b] * mp.mpf(RL[s, a, b]) for a in range(A) for b in range(B))
    return mp.fdot(map(mp.mpf, RHO), list(mp.lu_solve(m, r)))


@pytest.mark.parametrize(("plans", "acts"), [("action", "action"), ("state", "state"), ("state", "action")])
@pytest.mark.parametrize(("gamma_f", "gamma_l", "tau"), [(0.5, 0.75, 0.5), (0.75, 0.5, 0.0625), (0.75, 0.75, 0.03125)])
def test_the_bound_in_fifty_digits(plans, acts, gamma_f, gamma_l, tau):
    game = bg.MarkovGame(
        P, RHO, RF, RL, follower_discount=gamma_f, leader_discount=gamma_l, temperature=tau,
        observes=acts == "action", as_published=plans != acts,
    )  # fmt: skip
    reference = bg.hypergradient(game, THETA)
    loose = bg.hypergradient(game, THETA, tolerance=1e-5)
    with mpmath.workdps(60):
        h = mpmath.mpf(10) ** -18
        constants = (plans, acts, mpmath.mpf(gamma_f), mpmath.mpf(gamma_l), mpmath.mpf(tau))
        exact = []
        for j in range(4):
            ahead, behind = (
                [mpmath.mpf(x) + (sign * h if k == j else 0) for k, x in enumerate(THETA)] for sign in (1, -1)
            )
            exact.append((exact_j(ahead, *constants) - exact_j(behind, *constants)) / (2 * h))
        error, worse = (
            np.array([abs(float(mpmath.mpf(float(x)) - y)) for x, y in zip(r.gradient, exact, strict=True)])
            for r in (reference, loose)
        )
    assert np.all(error <= reference.coordinate_bounds)
    assert error.max() <= 16 * reference.error_estimate
    assert reference.error_bound <= 1e-7 * np.abs(reference.gradient).max()  # seven digits proved
    # The control: a follower stopped early is covered by its own bound only.
    assert np.all(worse <= loose.coordinate_bounds)
    if worse.max() > 1e-6:  # Newton may overshoot what was asked for
        assert worse.max() > reference.error_bound


def test_the_contract():
    game = bg.problems.load("toy-game", bonus=1)
    ref = bg.hypergradient(game, np.zeros(6))
    assert ref.cotangent.shape == (3, 2)
    assert ref.solved.policy.shape == ref.solved.benefit.shape == (3, 2, 3)
    np.testing.assert_allclose(ref.solved.policy.sum(axis=2), 1.0, rtol=1e-14)
    assert "3 states × 2 leader's × 3 follower's actions" in str(bg.verify(game, np.zeros(6), routes=["theorem2"]))
    warm = bg.hypergradient(game, np.zeros(6) + 1e-6, warm_start=ref)
    assert warm.follower.iterations <= ref.follower.iterations


def test_only_p_of_one_in_a_matters_in_the_toy_game():
    """EXPERIMENTS: only P(1|A) matters; the logits of S and B have derivative zero."""
    ref = bg.hypergradient(bg.problems.load("toy-game"), np.array([0.3, -0.2, 0.4, 0.1, -0.5, 0.7]))
    np.testing.assert_allclose(ref.gradient[[0, 1, 4, 5]], 0.0, atol=1e-9 * np.abs(ref.gradient).max())
    assert ref.gradient[2] == pytest.approx(-ref.gradient[3])


def test_published_planning_differs_from_the_papers():
    """A finding with its size: the log-sum-exp over the averaged Q changes J and ∇J of the toy game."""
    theta = np.zeros(6)
    paper, published = (
        bg.hypergradient(bg.problems.load("toy-game", bonus=1, as_published=x), theta) for x in (False, True)
    )
    assert abs(paper.value - published.value) > 0.1 * abs(paper.value)
