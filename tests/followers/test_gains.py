"""Linear-quadratic followers that are not optimal: their rates, and the formula under their gains against differences."""

import itertools

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import InvalidModel, InvalidOption
from boltzgrad.estimators import PlugInGradient, Stream
from boltzgrad.families.lqr.plug_in import GaussianPolicy, answering, cotangents_under, evaluated
from boltzgrad.followers import FittedGain, RiccatiSweeps, SoftValueIteration
from tests_helpers import sample

HOUSE = bg.problems.load("thermal-control")


def small(**options):
    return bg.problems.load("random-lqr", **{"n": 3, "m": 2, "n_parameters": 4, "seed": 3, **options})


def with_cross_term():
    """x'Qx + 2x'Nu + u'Ru, all of it by θ."""
    plain = small()

    def build(theta):
        import autograd.numpy as anp

        m = plain.build(theta)
        return bg.LQModel(
            m.A, m.B, m.W, m.Q + 3.0 * np.eye(3), m.R, m.mean, m.covariance, m.leader_Q, m.leader_R, m.leader_constant,
            follower_discount=0.7, leader_discount=0.8, temperature=0.3, N=0.2 * anp.sin(theta[0]) * np.ones((3, 2)),
        )  # fmt: skip

    return bg.LinearQuadratic(build, dim=4)


def known_start():
    """A regulator that always begins in one state."""
    one, rates = np.eye(2), {"follower_discount": 0.9, "leader_discount": 0.9, "temperature": 0.1}
    m = bg.LQModel(one, one, None, one, one, np.ones(2), **rates)
    RiccatiSweeps(3).train(m)
    return m


KINDS = {
    "random": small,
    "a horizon": lambda: small(horizon=7),
    "a cross term": with_cross_term,
    "the house": lambda: HOUSE,
}


def off(problem, theta, seed=0):
    """A gain and a covariance that are not the optimum's."""
    rng, best = np.random.default_rng(seed), bg.hypergradient(problem, theta).follower
    root = np.linalg.cholesky(best.covariance) @ (
        np.eye(len(best.covariance)) + 0.3 * rng.standard_normal(best.covariance.shape)
    )
    return best.K * rng.uniform(0.7, 1.2, best.K.shape), root @ root.T


def follow(F, noise, start, gamma, steps):
    """Σ γ^t E[xx'] by adding up."""
    total, now = np.zeros_like(start), start
    for t in range(steps):
        total, now = total + gamma**t * now, F @ now @ F.T + noise
    return total


def forward(problem, theta, policy, h, *, answers):
    """dJ/dθ (d,) by differences: at each θ the policy answers Q_F as a Boltzmann policy does, from where it is at `theta`."""
    K, covariance, P = policy.K, policy.covariance, policy.P

    def pieces(model):
        """Dynamics and costs in (x, u): the model keeps those of v = u + Cx."""
        C = np.zeros_like(K) if model.shift is None else model.shift
        N = C.T @ model.R
        return model.A + model.B @ C, model.B, model.Q + N @ C, model.R, N

    def action_value(model, P):
        A, B, _, R, N = pieces(model)
        g = model.follower_discount
        return R + g * B.T @ P @ B, N.T + g * B.T @ P @ A

    base = problem.model(theta)
    tau, precision = base.temperature, np.linalg.inv(covariance)
    uu, ux = action_value(base, P)
    A0, B0, *_ = pieces(base)
    F0, g = A0 - B0 @ K, base.follower_discount

    def J(there):
        model = problem.model(there)
        uu_, ux_ = action_value(model, P + moved_value(model) - moved_value(base))
        strength = 2.0 / tau if answers else 0.0
        sigma = np.linalg.inv(precision + strength * (uu_ - uu))
        gain = sigma @ (precision @ K + strength * (ux_ - ux))
        A, B, *_ = pieces(model)
        F, noise = A - B @ gain, model.W + B @ sigma @ B.T
        steps = 3000 if model.horizon is None else model.horizon
        Y = follow(F, noise, model.covariance + np.outer(model.mean, model.mean), model.leader_discount, steps)
        total = (1.0 - model.leader_discount**steps) / (1.0 - model.leader_discount)
        spent = gain @ Y @ gain.T + total * sigma
        return total * model.leader_constant - np.trace(model.leader_Q @ Y) - np.trace(model.leader_R @ spent)

    def moved_value(model):
        """Σ γ^t F'^t (one backup of P under K, which stays) F^t: its change is that of P, δP = δ(backup) + γF'δP F."""
        A, B, Q, R, N = pieces(model)
        F = A - B @ K
        X, term = np.zeros_like(P), Q - N @ K - K.T @ N.T + K.T @ R @ K + g * F.T @ P @ F
        for _ in range(3000):
            X, term = X + term, g * F0.T @ term @ F0
        return X

    out = []
    for e in np.eye(theta.size):
        near, far = ((J(theta + s * e) - J(theta - s * e)) / (2 * s) for s in (h, 2 * h))
        out.append((4 * near - far) / 3)
    return np.array(out)


@pytest.mark.parametrize("kind", sample(KINDS, "random", "a cross term"))
@pytest.mark.parametrize("form", ["evaluated", "improved", "believed", "naive"])
def test_the_formula_under_a_gain_is_its_forward_derivative(kind, form):
    problem = KINDS[kind]()
    theta = problem.initial_theta(seed=1) * 0.5
    lin = problem.linearise(theta)
    policy = evaluated(lin.model, *off(problem, theta))
    if form == "improved":
        policy = answering(lin.model, policy.P)
    if form == "believed":
        policy = GaussianPolicy(policy.K, policy.covariance, 1.3 * policy.P + 0.1 * np.eye(len(policy.P)))
    answers = form != "naive"
    value, cotangent = cotangents_under(lin.model, policy, guided=answers)
    mine = lin.pullback(cotangent)
    goal = forward(problem, theta, policy, 1e-3, answers=answers)
    np.testing.assert_allclose(mine, goal, rtol=2e-7, atol=1e-8 * np.abs(goal).max())
    exact = bg.hypergradient(problem, theta)
    assert np.abs(mine - exact.gradient).max() > 1e-4 * np.abs(exact.gradient).max()  # control
    assert abs(value - exact.value) > 1e-9 * abs(exact.value)


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_optimum_it_is_the_hypergradient(kind):
    problem = KINDS[kind]()
    theta = problem.initial_theta(seed=1) * 0.5
    exact = bg.hypergradient(problem, theta)
    policy = evaluated(problem.model(theta), exact.follower.K, exact.follower.covariance)
    np.testing.assert_allclose(policy.P, exact.follower.P, rtol=1e-9)
    value, cotangent = cotangents_under(problem.model(theta), policy)
    np.testing.assert_allclose(value, exact.value, rtol=1e-10)
    np.testing.assert_allclose(problem.linearise(theta).pullback(cotangent), exact.gradient, rtol=1e-8)
    direct = problem.linearise(theta).pullback(cotangents_under(problem.model(theta), policy, guided=False)[1])
    assert np.abs(direct - exact.gradient).max() > 0.05 * np.abs(exact.gradient).max()


def test_one_improvement_squares_the_error():
    problem = small()
    theta = problem.initial_theta(seed=1)
    exact, model = bg.hypergradient(problem, theta), problem.model(theta)
    rng, sizes, errors = np.random.default_rng(0), [1e-1, 3e-2, 1e-2, 3e-3], []
    way = rng.standard_normal(exact.follower.K.shape)
    for size in sizes:
        policy = evaluated(model, exact.follower.K + size * way, exact.follower.covariance)
        found = [cotangents_under(model, x)[1] for x in (policy, answering(model, policy.P))]
        errors.append([np.linalg.norm(problem.linearise(theta).pullback(x) - exact.gradient) for x in found])
    plain, improved = (np.polyfit(np.log(sizes), np.log(x), 1)[0] for x in np.array(errors).T)
    assert abs(plain - 1.0) < 0.15, errors
    assert abs(improved - 2.0) < 0.15, errors


def test_riccati_sweeps_fall_by_the_discounted_square_of_the_closed_loop():
    theta = HOUSE.initial_theta(seed=0)
    model, best = HOUSE.model(theta), bg.hypergradient(HOUSE, theta).follower
    gaps = [np.linalg.norm(RiccatiSweeps(k).train(model).P - best.P) for k in (20, 25, 30)]
    rate = best.radius**2
    for a, b in itertools.pairwise(gaps):
        np.testing.assert_allclose((b / a) ** (1 / 5), rate, rtol=0.02)
    some = RiccatiSweeps(12).train(model)
    onward = RiccatiSweeps(5).train(model, after=RiccatiSweeps(7).train(model))
    np.testing.assert_array_equal(onward.P, some.P)
    assert (onward.steps, RiccatiSweeps(0).train(model).steps) == (12, 0)
    np.testing.assert_array_equal(RiccatiSweeps(0).train(model).K, 0.0)


def test_a_fitted_gain_falls_like_the_root_of_the_moves():
    theta = HOUSE.initial_theta(seed=0)
    model, best = HOUSE.model(theta), bg.hypergradient(HOUSE, theta).follower
    counts = [30, 100, 300, 1000, 3000]
    rms = [
        np.sqrt(np.mean([np.sum((FittedGain(n).train(model, s).K - best.K) ** 2) for s in range(20)])) for n in counts
    ]
    assert abs(np.polyfit(np.log(counts), np.log(rms), 1)[0] + 0.5) < 0.1, rms
    spread = np.mean([FittedGain(30).train(model, s).covariance for s in range(200)], axis=0)
    np.testing.assert_allclose(spread, best.covariance, atol=0.1 * best.covariance.max())  # divided by N − n
    more = FittedGain(20).train(model, 3, after=FittedGain(10).train(model, 2))
    assert more.steps == 30


def test_in_the_estimator():
    problem = small()
    thetas = np.stack([problem.initial_theta(seed=s) for s in (0, 0, 1)])
    streams = [Stream(s) for s in (3, 4, 5)]
    together = PlugInGradient(follower=FittedGain(40)).open(problem, streams).estimate(thetas).gradient
    alone = [PlugInGradient(follower=FittedGain(40)).open(problem, [s]) for s in streams]
    np.testing.assert_array_equal(
        together, np.concatenate([r.estimate(t[None]).gradient for r, t in zip(alone, thetas, strict=True)])
    )
    assert not np.allclose(together[0], together[1])
    loop = PlugInGradient(follower=RiccatiSweeps(1), first=RiccatiSweeps(4), warm=True).open(problem, streams)
    for k in (5, 6):
        fresh = PlugInGradient(follower=RiccatiSweeps(k)).open(problem, streams)
        np.testing.assert_array_equal(loop.estimate(thetas).gradient, fresh.estimate(thetas).gradient)
    believed, plain = (
        PlugInGradient(follower=RiccatiSweeps(2), form=f)(problem, thetas[0], np.random.default_rng(0))
        for f in ("believed", "evaluated")
    )
    assert not np.allclose(believed, plain)
    lin, learnt = problem.linearise(thetas[0]), RiccatiSweeps(2).train(problem.model(thetas[0]))
    own = evaluated(lin.model, learnt.K, learnt.covariance)
    for form, policy in (
        ("believed", GaussianPolicy(learnt.K, learnt.covariance, learnt.P)),
        ("evaluated", own),
        ("improved", answering(lin.model, own.P)),
        ("naive", own),
    ):
        mine = PlugInGradient(follower=RiccatiSweeps(2), form=form)(problem, thetas[0], np.random.default_rng(0))
        np.testing.assert_array_equal(
            mine, lin.pullback(cotangents_under(lin.model, policy, guided=form != "naive")[1])
        )


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: RiccatiSweeps(-1), InvalidOption, "sweeps is -1; expected an integer of at least 0"),
        (lambda: FittedGain(6).train(HOUSE.model(np.zeros(8))), InvalidOption, "4 states and 2 inputs need at least 7"),
        (lambda: FittedGain(50).train(known_start()), InvalidModel, "first states span 1 of 2 dimensions"),
        (lambda: RiccatiSweeps(3).train(HOUSE), InvalidModel, "was given a LinearQuadratic; expected an LQModel"),
        (
            lambda: RiccatiSweeps(3).train(
                HOUSE.model(np.zeros(8)), after=FittedGain(9).train(HOUSE.model(np.zeros(8)))
            ),
            InvalidOption,
            "after is not what this learner left",
        ),
        (
            lambda: PlugInGradient(follower=SoftValueIteration(3)).check(HOUSE),
            InvalidOption,
            "is linear-quadratic: RiccatiSweeps and FittedGain are for those",
        ),
        (
            lambda: PlugInGradient(follower=RiccatiSweeps(3)).check(bg.problems.load("garnet")),
            InvalidOption,
            "is not linear-quadratic",
        ),
        (
            lambda: evaluated(HOUSE.model(np.zeros(8)), -10.0 * np.ones((2, 4)), np.eye(2)),
            InvalidModel,
            r"value of the follower's gain is infinite: √γ ρ\(A − BK\) = ",
        ),
        (
            lambda: cotangents_under(HOUSE.model(np.zeros(8)), answering(HOUSE.model(np.zeros(8)), -0.01 * np.eye(4))),
            InvalidModel,
            "the leader's value is infinite under the follower's gain",
        ),
    ],
)
def test_misuse_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()
