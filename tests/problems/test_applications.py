"""The papers' applications: every route agrees, every mistake shows, and each obeys a law that was worked out apart from it."""

import itertools
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

import boltzgrad as bg
from applications import CASES, each_model, exact, loaded, refused
from boltzgrad.testing import check_hypergradient
from boltzgrad.verify.mutants.recognise import mistakes
from boltzgrad.verify.tolerances import Verdict
from boltzgrad.zoo import irl
from boltzgrad.zoo.apprenticeship import feature_matching
from tests_helpers import sample

# How many of the known mistakes make a difference at least: where the objective is a general one, those of returns do not.
LEAST = {"rlhf-kl, a bandit": 8, "rlhf-kl": 15, "reward-shaping": 15} | dict.fromkeys(
    ("irl", "irl, plain counts", "irl, 20 episodes", "irl, an apprentice"), 15
)


@pytest.mark.parametrize("case", sample(list(CASES), "irl", "rlhf-kl", "reward-shaping", "contract-design", "meta-rl"))
def test_every_route_agrees_and_the_bound_is_finite(case):
    problem, theta = loaded(case)
    report = bg.verify(problem, theta)
    report.raise_if_disagree()
    assert {str(row.verdict) for row in report.rows[1:]} == {"agrees"}
    assert len(report.rows) == 11
    bound = np.max(report.reference.error_bound)
    assert report.reference.error_estimate < bound < 1e-6 * np.abs(report.reference.gradient).max()


@pytest.mark.parametrize("case", CASES)
def test_every_known_mistake_that_shows_is_rejected(case):
    problem, theta = loaded(case, seed=1)
    reference = bg.hypergradient(problem, theta)
    found = mistakes(reference)
    assert found.missing == ""
    assert len(found.shown) >= LEAST.get(case, 30)
    for wrong in found.shown:
        assert check_hypergradient(wrong.gradient, problem, theta, reference=reference).verdict == Verdict.DISAGREES
    assert check_hypergradient(reference.gradient, problem, theta, reference=reference).ok


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("irl", {"n_features": 0}),
        ("irl", {"counts": "undiscounted"}),
        ("irl", {"objective": "margin"}),
        ("irl", {"n_demonstrations": -1}),
        ("rlhf-kl", {"world": "tree"}),
        ("reward-shaping", {"slip": 1.5}),
        ("contract-design", {"n_levels": 1}),
        ("navigation", {"horizon": 2.5}),
        ("tax-design", {"spending": 1}),
        ("principal-agent", {"budget": "5"}),
        ("meta-rl", {"n_tasks": 0}),
    ],
)
def test_bad_options_are_named(name, options):
    with pytest.raises(bg.errors.InvalidOption, match=next(iter(options))):
        bg.problems.load(name, **options)


@pytest.mark.parametrize("discount", [1.0, 1.5])
def test_an_expert_who_plans_without_end_is_refused(discount):
    with pytest.raises(bg.errors.InvalidModel, match="follower_discount"):
        bg.problems.load("irl", discount=discount)


# Inverse reinforcement learning.


def feature_expectations(problem, theta):
    """(Σ μ φ, Σ μ_θ φ) with μ_θ the discounted visits of the follower at θ."""
    move, features, _ = irl.irl_tables()
    policy = bg.hypergradient(problem, theta).follower.policy
    chain = np.einsum("sa,saz->sz", policy, move)
    visits = np.linalg.inv(np.eye(6) - 0.9 * chain).T @ np.eye(6)[0]
    return np.einsum("sa,sak->k", problem.objective.weights, features), np.einsum(
        "s,sa,sak->k", visits, policy, features
    )


def test_irl_is_the_difference_of_feature_expectations_where_counts_are_discounted():
    problem, theta = loaded("irl")
    seen, expected = feature_expectations(problem, theta)
    assert check_hypergradient((seen - expected) / 0.5, problem, theta).ok


def test_irl_the_textbooks_formula_is_wrong_for_plain_counts():
    """Undiscounted counts beside a planner that discounts: the commonest mistake."""
    problem, theta = loaded("irl, plain counts")
    seen, expected = feature_expectations(problem, theta)
    assert refused((seen - expected) / 0.5, problem, theta)
    # Nor is it right with the counts of one kind where the other was meant.
    assert refused((seen - expected) / 0.5, *loaded("irl"))


def test_irl_nothing_is_left_to_learn_at_the_experts_theta():
    true = irl.irl_tables()[2]
    report = bg.verify(bg.problems.load("irl"), true)
    assert {str(row.verdict) for row in report.rows[1:]} == {"zero to rounding"}
    # Nor where plain counts weigh the states; but there the textbook's formula would go on learning.
    plain = bg.problems.load("irl", counts="plain")
    assert np.abs(exact(plain, true)).max() < 1e-13 * np.abs(exact(plain, np.zeros(4))).max()
    seen, expected = feature_expectations(plain, true)
    assert np.abs(seen - expected).max() > 0.1
    # The control: twenty episodes are not their expectation.
    few, _ = loaded("irl, 20 episodes")
    assert np.abs(exact(few, irl.irl_tables(seed=1)[2])).max() > 0.1


@pytest.mark.parametrize(("counts", "weight"), [("discounted", lambda t: 0.9**t), ("plain", lambda t: float(t < 10))])
def test_irl_counts_what_the_expert_does_step_by_step(counts, weight):
    problem, (move, _, true) = bg.problems.load("irl", counts=counts), irl.irl_tables()
    policy = bg.hypergradient(problem, true).follower.policy
    where, total = np.eye(6)[0], np.zeros((6, 3))
    for t in range(400):
        total += weight(t) * where[:, None] * policy
        where = np.einsum("s,sa,saz->z", where, policy, move)
    np.testing.assert_allclose(problem.objective.weights, total, rtol=1e-12)


@pytest.mark.parametrize("counts", ["discounted", "plain"])
def test_irl_episodes_are_drawn_as_they_are_expected(counts):
    """Entry by entry within five standard errors, E N² being at most (1 + 2/(1 − γ)) E N, and the total within three."""
    many = 3000
    drawn = bg.problems.load("irl", counts=counts, n_demonstrations=many).objective.weights
    expected = bg.problems.load("irl", counts=counts).objective.weights
    assert expected.sum() == pytest.approx(10.0)
    assert np.all(np.abs(drawn - expected) <= 5.0 * np.sqrt(21.0 * expected / many))
    spread = 0.0 if counts == "plain" else np.sqrt(90.0 / many)  # of a geometric length: γ/(1 − γ)²
    assert drawn.sum() == pytest.approx(10.0, abs=3.0 * spread + 1e-12)


def test_an_apprentice_is_where_the_expert_was():
    """Nothing is left at the expert's θ; plain counts beside a planner that discounts lead elsewhere."""
    true = irl.irl_tables()[2]
    matched = bg.problems.load("irl", objective="features")
    assert np.abs(exact(matched, true)).max() < 1e-13 * np.abs(exact(matched, np.zeros(4))).max()
    plain = bg.problems.load("irl", objective="features", counts="plain")
    assert np.abs(exact(plain, true)).max() > 0.1
    assert refused(exact(plain, np.ones(4)), matched, np.ones(4))


def test_an_apprentices_value_is_a_sum_of_squares():
    problem, theta = loaded("irl, an apprentice")
    likely = bg.problems.load("irl", n_demonstrations=20)  # the same episodes
    seen, expected = feature_expectations(likely, theta)
    assert bg.hypergradient(problem, theta).value == pytest.approx(-0.5 * np.sum((seen - expected) ** 2), rel=1e-12)


@pytest.mark.parametrize("away", [0.0, 1.0, 1e3])
def test_how_far_an_apprentices_slope_moves_is_bounded(away, rng):
    """Where the policy is what was seen it moves with Φ alone; far from it, with the slopes of Φ."""
    move, features, _ = irl.irl_tables()
    policy = rng.dirichlet(np.full(3, 3.0), 6)
    visits = np.linalg.solve(np.eye(6) - 0.9 * np.einsum("sa,saz->zs", policy, move), np.eye(6)[0])
    seen = np.einsum("s,sa,sak->k", visits, policy, features) + away * rng.normal(size=4)
    objective = feature_matching(move, features, np.eye(6)[0], 0.9, seen)
    for size in (1e-9, 1e-4, 1e-2):
        error = size * rng.uniform(size=policy.shape) * policy
        moved = policy + error * rng.uniform(-1.0, 1.0, policy.shape)
        bound = objective.variation(np.zeros(4), policy, error)[1]
        slopes = [objective.gradients(np.zeros(4), x)[1] for x in (policy, moved)]
        assert np.all(np.abs(slopes[1] - slopes[0]) <= bound)
        # Without rows that sum to one nothing else bends as much: the bound is no idle one.
        assert bound.max() < 1e4 * np.abs(slopes[1] - slopes[0]).max()


# Reinforcement learning from human feedback, near a reference.


def answers(problem, theta):
    """Each answer as (its reward under θ, its true reward, log π⁰), from the model's tables and plain loops."""
    model, features = (
        problem.source(theta),
        np.stack([c.models[0].follower_reward for c in problem.linearise(theta).columns()], axis=2),
    )
    move, habit, true = model.transition, np.asarray(model.reference), problem.objective.labels
    rows = []
    for tokens in itertools.product(range(move.shape[1]), repeat=problem.objective.horizon):
        s, phi, worth, prior = 0, 0.0, 0.0, 0.0
        for a in tokens:
            phi, worth, prior = phi + features[s, a], worth + true[s, a], prior + np.log(habit[s, a])
            s = int(np.argmax(move[s, a]))
        rows.append((phi, worth, prior))
    phi, worth, prior = (np.array(x) for x in zip(*rows, strict=True))
    return phi, worth, prior


@pytest.mark.parametrize("case", ["rlhf-kl", "rlhf-kl, a bandit"])
def test_rlhf_kl_is_one_softmax_over_whole_answers(case):
    """Undiscounted, π(d) ∝ π⁰(d) exp(R_θ(d)/τ): J in closed form, and its gradient by a tape."""
    problem, theta = loaded(case)
    phi, worth, prior = answers(problem, theta)
    labels = 1.0 / (1.0 + np.exp(worth[None, :] - worth[:, None]))

    def loss(t):
        reward = anp.dot(phi, t)
        weights = anp.exp(prior + reward / 0.5)
        chance = weights / anp.sum(weights)
        over = reward[:, None] - reward[None, :]
        crossed = labels * anp.log(1.0 + anp.exp(-over)) + (1.0 - labels) * anp.log(1.0 + anp.exp(over))
        return anp.dot(chance, anp.dot(crossed, chance))

    assert bg.hypergradient(problem, theta).value == pytest.approx(loss(theta), rel=1e-12)
    assert check_hypergradient(grad(loss)(theta), problem, theta).ok


def test_rlhf_kl_a_state_is_the_position_and_the_last_token():
    move = loaded("rlhf-kl")[0].source(np.zeros(3)).transition
    for token in range(3):
        assert move[0, token, 1 + token] == 1.0
        assert np.all(move[1:4, token, 4 + token] == 1.0)
    assert move.sum() == 12.0
    assert np.all(move[4:] == 0.0)  # the third token ends it


@pytest.mark.parametrize("case", ["rlhf-kl", "rlhf-kl, a bandit"])
def test_rlhf_kl_a_reference_forgotten_shows(case):
    """Entropy in place of KL, the same numbers otherwise; and DRLHF, which forgets that the policy answers."""
    problem, theta = loaded(case)
    name, options = CASES[case]
    assert refused(exact(bg.problems.load(name, reference=0.0, **options), theta), problem, theta)
    policy = bg.hypergradient(problem, theta).follower.policy
    assert refused(problem.objective.gradients(theta, policy)[0], problem, theta)


# Reward shaping.


def test_reward_shaping_feels_no_potential(rng):
    """Ng's theorem for soft followers: θ(s,a) = γ Σ p φ − φ(s) leaves π as it is, with γ and p of where it is trained."""
    problem, theta = loaded("reward-shaping")
    reference = bg.hypergradient(problem, theta)
    table, model = reference.gradient.reshape(16, 4), problem.model(theta)
    potential = rng.standard_normal(16)

    def along(discount):
        return float((table * (discount * model.transition @ potential - potential[:, None])).sum())

    assert abs(along(0.8)) < 1e-12 * np.abs(table).sum()
    assert abs(along(0.95)) > 1e-3 * np.abs(table).max()  # the task's γ is another


def test_reward_shaping_has_two_worlds():
    """From cell 5, (1, 1), a step to the right; from the corner, back to the start."""
    problem, theta = loaded("reward-shaping")
    task, reward, start, discount, entropy = problem.objective.made_of
    simulator = problem.model(theta).transition
    for p, intended in ((task, 0.9), (simulator, 0.7)):
        assert p[5, 1, 6] == pytest.approx(intended)
        assert p[5, 1, 1] == pytest.approx((1.0 - intended) / 3)
        assert p[3, 1, 3] == pytest.approx(intended + (1.0 - intended) / 3)  # the other corner: right and up both stay
        assert np.all(p[15, :, 0] == 1.0)
    assert (discount, entropy, start[0]) == (0.95, 0.01, 1.0)
    assert np.all(reward == np.eye(16)[15][:, None])


def test_reward_shaping_is_judged_by_the_task_alone():
    problem, theta = loaded("reward-shaping")
    goal = problem.model(np.zeros(64)).follower_reward
    judged_where_trained = each_model(problem, lambda m, t: replace(m, leader_reward=goal))
    judged_where_trained.objective = "return"
    assert refused(exact(judged_where_trained, theta), problem, theta)
    paid_the_shaping = each_model(problem, lambda m, t: replace(m, leader_reward=m.follower_reward))
    paid_the_shaping.objective = "return"
    assert refused(exact(paid_the_shaping, theta), problem, theta)
    without_entropy = bg.problems.load("reward-shaping", entropy=0.0)
    assert refused(exact(without_entropy, theta), problem, theta)
