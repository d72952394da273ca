"""Estimators beside a follower that was learnt: what they estimate, what is left of it as bias, and how that bias falls."""

from dataclasses import replace

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators import BCHG, HPGD, NaivePGD, PlugInGradient, Sampling, SoBiRL, Stream
from boltzgrad.estimators.tabular.learnt import LearntWorlds
from boltzgrad.followers import FromSamples, Learner, SoftValueIteration
from boltzgrad.solvers.suboptimal import evaluate_policy
from boltzgrad.verify import check_estimator, check_samples
from estimators.small import game, moving, shaped
from tests_helpers import sample


class Off(Learner):
    """A policy and values that are off, each by itself."""

    def _train(self, world, rng, after, bar):
        policy = world.uniform() * rng.uniform(0.2, 1.0, size=world.shape)
        policy = policy / policy.sum(axis=1, keepdims=True)
        value = evaluate_policy(world.model, policy).value + rng.uniform(-1.0, 1.0, size=world.shape[0])
        return world.learned(policy, None, value, 1, None)


TRAINED = Off()
LONG = Sampling(episodes=20)
UNBIASED = {
    "BC-HG": BCHG(),
    "BC-HG, baseline": BCHG(baseline=True),
    "BC-HG, λ": BCHG(segments=0.5),
    "BC-HG, exact": BCHG(segments="exact", baseline=True),
    "BC-HG, summed": BCHG(segments="exact", baseline=True, actions="expected"),
    "HPGD, sampled": HPGD(segments="sampled", critic="exact"),
    "HPGD, exact": HPGD(segments="exact", critic="exact", baseline=True),
}


def seen(problem, theta, learner, seed=0):
    """What `batches` lets the learner leave."""
    return learner.train(problem.model(theta), np.random.default_rng(seed))


def approximated(table, theta, learner, *, believed=True):
    """What `boltzgrad.approximate` makes of the followers that a learner leaves in each context, one after the other."""
    rng = np.random.default_rng(0)
    learnt = [learner.train(m, rng) for m in table.contexts(theta).models]
    one = (lambda x: x) if len(learnt) > 1 else (lambda x: x[0])
    values = {"value": one([x.value for x in learnt])} if believed else {}
    return bg.approximate(table, theta, policy=one([x.policy for x in learnt]), **values)


def expected(problem, theta, learnt, method, *, segments="exact"):
    """The mean of a method's estimate with exact values of the leader, by its formula, coordinate by coordinate (d,).

    Trajectories are those of whoever acts, π and V_F those that the learner has.
    """
    lin = problem.linearise(theta)
    (m,) = lin.model.models
    known, acts = learnt.policy, learnt.policy if learnt.watched is None else learnt.watched
    kernel, S = np.asarray(m.kernel.values), m.n_states

    def through(policy, discount):
        return np.linalg.inv(np.eye(S) - discount * np.einsum("sa,sat->st", policy, kernel))

    v = through(acts, m.leader_discount) @ (acts * m.leader_reward).sum(axis=1)
    q = m.leader_reward + m.leader_discount * kernel @ v
    visits = (np.asarray(m.initial) @ through(acts, m.leader_discount))[:, None] * acts
    out = []
    for unit in np.eye(theta.size):
        (d,) = lin.pushforward(unit).models
        direct = d.initial @ v + (visits * (d.leader_reward + m.leader_discount * d.transition @ v)).sum()
        now = d.follower_reward + m.follower_discount * d.transition @ learnt.value
        policy = acts if segments == "sampled" else known
        d_value = through(policy, m.follower_discount) @ (policy * now).sum(axis=1)
        d_q = now + m.follower_discount * kernel @ d_value
        if method == "bc-hg":
            guide = visits * (q - v[:, None]) * d_q
        elif method == "hpgd":
            guide = visits * q * (d_q - d_value[:, None])
        else:
            guide = visits * q * (d.follower_reward - (known * d.follower_reward).sum(axis=1)[:, None])
        out.append(direct + guide.sum() / m.temperature)
    return np.array(out)


@pytest.mark.parametrize("name", sample(UNBIASED, "BC-HG", "BC-HG, summed", "HPGD, exact"))
def test_beside_a_trained_follower_they_estimate_the_plug_in_gradient(name):
    problem = moving()
    theta = problem.initial_theta(seed=0)
    method = replace(UNBIASED[name], follower=TRAINED, sampling=LONG)
    learnt = seen(problem, theta, TRAINED)
    own = bg.approximate(problem, theta, policy=learnt.policy, value=learnt.value)
    check = check_estimator(method, problem, theta, reference=own.gradient, sequential=True, max_batches=20_000)
    assert check.ok, check
    # The control: they do not estimate ∇J, from which the follower is far enough.
    assert np.linalg.norm(own.error) > 0.2 * np.linalg.norm(own.reference.gradient)
    assert not check_estimator(method, problem, theta, n_batches=len(check.samples), reference=own.reference).ok


@pytest.mark.parametrize("name", ["contexts", "game"])
def test_contexts_and_games_have_a_follower_each(name):
    problem = moving(contexts=2) if name == "contexts" else game()
    theta = problem.initial_theta(seed=1)
    method = BCHG(segments="exact", baseline=True, actions="expected", follower=TRAINED, sampling=LONG)
    table = problem if name == "contexts" else problem.as_configurable_mdp()
    own = approximated(table, theta, TRAINED)
    check = check_estimator(method, problem, theta, reference=own.gradient, sequential=True, max_batches=20_000)
    assert check.ok, check
    assert np.linalg.norm(own.error) > 0.1 * np.linalg.norm(own.reference.gradient)


@pytest.mark.parametrize(
    ("method", "formula", "segments"),
    [
        (BCHG(segments="exact", baseline=True), "bc-hg", "exact"),
        (BCHG(), "bc-hg", "sampled"),
        (HPGD(segments="exact", critic="exact"), "hpgd", "exact"),
        (SoBiRL(), "sobirl", "exact"),
    ],
)
def test_a_black_box_acts_itself_and_is_known_by_what_was_seen(method, formula, segments):
    problem = shaped() if formula == "sobirl" else moving()
    theta = problem.initial_theta(seed=0)
    learner = FromSamples(2, length=5)
    learnt = seen(problem, theta, learner)
    goal = expected(problem, theta, learnt, formula, segments=segments)
    method = replace(method, follower=learner, sampling=LONG)
    check = check_estimator(method, problem, theta, reference=goal, sequential=True, max_batches=20_000)
    assert check.ok, check
    # Controls: as if what was made out acted itself; and, where much hangs on π̂, as if everything were known.
    others = [{"watched": None}]
    if formula != "bc-hg":
        others += [{"policy": learnt.watched, "value": bg.solvers.solve_follower(problem.model(theta)).value}]
    for other in others:
        wrong = expected(problem, theta, replace(learnt, **other), formula, segments=segments)
        assert check_samples(check.samples, wrong).verdict.name == "BIASED"


def test_what_is_known_answers_and_who_is_watched_acts():
    problem = moving()
    theta = problem.initial_theta(seed=0)
    where = {"lane_theta": np.zeros(1, int), "contexts": np.zeros(1, int)}
    rng = np.random.default_rng(0)
    w = LearntWorlds(problem, theta[None], **where, learner=FromSamples(2, length=5), generators=[rng])
    (m,), learnt, e = w.models, seen(problem, theta, FromSamples(2, length=5)), np.eye(3)[:1]

    def chain(policy, gamma):
        return np.linalg.inv(np.eye(3) - gamma * np.einsum("sa,sat->st", policy, np.asarray(m.kernel.values)))

    np.testing.assert_array_equal(w.policy[0], learnt.policy)
    np.testing.assert_allclose(
        w.through_follower(e, np.zeros(1, int))[0], e[0] @ chain(learnt.policy, w.gamma_F), rtol=1e-12
    )
    best = bg.hypergradient(problem, theta)
    np.testing.assert_allclose(w.acting[0], best.follower.policy, rtol=1e-9)
    np.testing.assert_allclose(w.objective(), best.value, rtol=1e-9)
    assert np.abs(learnt.policy - best.follower.policy).max() > 0.05  # control


def test_with_its_own_segments_bc_hg_needs_to_see_nothing_where_the_kernel_is_fixed():
    """V_F stands under scores of the kernel alone, and ∇Q_F is a sum along what the follower did."""
    problem = shaped()
    theta = problem.initial_theta(seed=0)
    hardly = {"follower": FromSamples(2, length=4), "sampling": LONG}
    check = check_estimator(BCHG(**hardly), problem, theta, sequential=True, max_batches=20_000)
    assert check.ok, check
    other = check_estimator(HPGD(segments="exact", critic="exact", **hardly), problem, theta, n_batches=2000)
    assert other.ok is False, other  # control: ∇V_F is that of the policy that was made out
    assert check_estimator(NaivePGD(**hardly), problem, theta, n_batches=2000).ok is False


@pytest.mark.parametrize(
    ("formula", "segments"), [("bc-hg", "sampled"), ("bc-hg", "exact"), ("hpgd", "exact"), ("sobirl", "exact")]
)
def test_what_a_black_box_leaves_falls_like_the_root_of_the_trajectories(formula, segments):
    problem = shaped() if formula == "sobirl" else moving()
    theta = problem.initial_theta(seed=0)
    optimal = replace(
        seen(problem, theta, SoftValueIteration(200)), watched=None
    )  # the same method, a follower that is known
    goal = expected(problem, theta, optimal, formula, segments=segments)
    if formula != "sobirl":  # which is truncated
        np.testing.assert_allclose(goal, bg.hypergradient(problem, theta).gradient, rtol=1e-9)
    counts = [30, 100, 300, 1000, 3000]
    rms = [
        np.sqrt(
            np.mean(
                [
                    np.sum(
                        (
                            expected(
                                problem, theta, seen(problem, theta, FromSamples(n), s), formula, segments=segments
                            )
                            - goal
                        )
                        ** 2
                    )
                    for s in range(12)
                ]
            )
        )
        for n in counts
    ]
    slope = np.polyfit(np.log(counts), np.log(rms), 1)[0]
    assert -0.6 < slope < -0.4, rms


@pytest.mark.parametrize("kind", ["dense", "sparse", "contexts", "game", "masked"])
@pytest.mark.parametrize("form", ["evaluated", "believed", "improved"])
def test_the_plug_in_gradient_is_that_of_approximate(kind, form):
    there = np.array([[True, True], [False, True], [True, True]])
    problem = {
        "dense": moving,
        "sparse": lambda: bg.problems.load("garnet", n_states=10),
        "contexts": lambda: moving(contexts=2),
        "game": game,
        "masked": lambda: moving(available=there, fade=0.3),
    }[kind]()
    theta = problem.initial_theta(seed=2)
    table = problem.as_configurable_mdp() if kind == "game" else problem
    found = approximated(table, theta, TRAINED, believed=form == "believed")
    goal = found.improved_gradient if form == "improved" else found.gradient
    mine = PlugInGradient(follower=TRAINED, form=form)(problem, theta, np.random.default_rng(0))
    np.testing.assert_allclose(mine, goal, rtol=1e-8, atol=1e-9 * np.abs(goal).max())
    assert not np.allclose(mine, found.reference.gradient, rtol=1e-3)  # control


def test_the_direct_term_alone_is_what_is_left_without_the_followers_answer():
    problem = shaped()
    theta = problem.initial_theta(seed=2)
    alone, whole = (
        PlugInGradient(follower=TRAINED, form=f)(problem, theta, np.random.default_rng(0))
        for f in ("naive", "evaluated")
    )
    check = check_estimator(
        NaivePGD(follower=TRAINED, sampling=LONG), problem, theta, reference=alone, sequential=True, max_batches=20_000
    )
    assert check.ok, check
    assert np.linalg.norm(alone - whole) > 0.1 * np.linalg.norm(whole)


def test_one_loop_goes_on_where_the_follower_is():
    problem = moving()
    theta = np.tile(problem.initial_theta(seed=2), (2, 1))
    streams = [Stream(0), Stream(1)]
    loop = PlugInGradient(follower=SoftValueIteration(2), warm=True).open(problem, streams)
    for count in (2, 4, 6):
        fresh = PlugInGradient(follower=SoftValueIteration(count)).open(problem, streams)
        np.testing.assert_array_equal(loop.estimate(theta).gradient, fresh.estimate(theta).gradient)
    again = PlugInGradient(follower=SoftValueIteration(2)).open(problem, streams)
    cold = [again.estimate(theta).gradient for _ in range(2)]
    np.testing.assert_array_equal(cold[0], cold[1])  # control: without `warm` it begins anew
    before = PlugInGradient(follower=SoftValueIteration(0), warm=True, first=SoftValueIteration(6)).open(
        problem, streams
    )
    np.testing.assert_array_equal(before.estimate(theta).gradient, fresh.estimate(theta).gradient)


@pytest.mark.parametrize(
    "method",
    [
        BCHG(segments="exact", follower=FromSamples(4, length=10)),
        PlugInGradient(follower=FromSamples(4, length=10)),
    ],
    ids=["sampled", "plug-in"],
)
def test_every_lane_sees_for_itself_whoever_is_beside_it(method):
    problem = moving()
    thetas = np.stack([problem.initial_theta(seed=s) for s in (0, 0, 1)])
    together = method.open(problem, [Stream(s) for s in (3, 4, 5)])
    alone = [method.open(problem, [Stream(s)]) for s in (3, 4, 5)]
    calls = []
    for _ in range(2):
        found = together.estimate(thetas).gradient
        np.testing.assert_array_equal(
            found, np.concatenate([a.estimate(t[None]).gradient for a, t in zip(alone, thetas, strict=True)])
        )
        calls.append(found)
    assert not np.allclose(*calls)  # looked at anew in each call
    assert not np.allclose(found[0], found[1])  # one θ, two observers
    rng = np.random.default_rng
    fixed = replace(method, follower_seed=7)
    a, b = (fixed.batches(problem, thetas[0], 2, rng(s)) for s in (0, 0))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, replace(method, follower_seed=8).batches(problem, thetas[0], 2, rng(0)))


@pytest.mark.parametrize(
    ("method", "problem", "words"),
    [
        (PlugInGradient(follower="q"), moving(), "follower is a str; expected a learner"),
        (PlugInGradient(follower=TRAINED, form="best"), moving(), "form is 'best'; expected 'evaluated', 'believed'"),
        (
            PlugInGradient(follower=TRAINED, first=TRAINED),
            moving(),
            "with warm=True a Off as `follower`, else None",
        ),
        (
            PlugInGradient(follower=TRAINED),
            bg.problems.load("synthetic"),
            "boltzgrad.approximate has what another policy",
        ),
        (PlugInGradient(follower=TRAINED), moving(own=True), "plans with a kernel of its own"),
    ],
)
def test_what_the_plug_in_gradient_is_not_for(method, problem, words):
    with pytest.raises(InvalidOption, match=words):
        method.check(problem)
    PlugInGradient(follower=TRAINED).check(moving())  # control
