"""What a follower that is not optimal does to the gradient: errors, first order, bounds, and what one improvement mends."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.families.tabular.plug_in import plug_in
from boltzgrad.families.tabular.plug_in_mistakes import under
from boltzgrad.solvers.soft_bellman import backup
from boltzgrad.solvers.suboptimal import evaluate_policy, improve, with_values
from boltzgrad.testing import strategies as bst
from tests_helpers import slow

S, A, D = 5, 3, 4
RNG = np.random.default_rng(3)
LOGITS, TILT = RNG.normal(size=(S, A, S)), 0.4 * RNG.normal(size=(S, A, S, D))
PAY, TOLL = RNG.normal(size=(S, A, D)), RNG.normal(size=(S, A))
HABIT = np.array([[0.5, 0.3, 0.2], [0.2, 0.8, 0.0], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.0, 0.0, 1.0]])


def world(theta, **options):
    settings = {"follower_discount": 0.9, "leader_discount": 0.8, "temperature": 0.7, **options}
    moves = bg.softmax(LOGITS + anp.dot(TILT, theta))
    return bg.TabularModel(moves, np.full(S, 1 / S), anp.dot(PAY, theta), anp.dot(PAY[::-1], theta) + TOLL, **settings)


KINDS = {
    "entropy": {},
    "reference with zeros": {"reference": HABIT},
    "soft leader": {"leader_temperature": 0.3},
    "a temperature for each state": {"temperature": np.linspace(0.4, 1.2, S)},
    "steps counted": {"leader_horizon": 7, "leader_discount": 1.0},
    "planner of its own": {"follower_transition": bg.softmax(LOGITS[::-1])},
}


def problem_of(kind):
    return bg.ConfigurableMDP(lambda theta: world(theta, **KINDS[kind]), dim=D)


def disturbed(policy, size, seed=0):
    tilted = policy * np.exp(size * np.random.default_rng(seed).normal(size=policy.shape))
    return tilted / tilted.sum(axis=-1, keepdims=True)


def at(kind, size, seed=0):
    problem = problem_of(kind)
    theta = problem.initial_theta(seed=1)
    reference = bg.hypergradient(problem, theta)
    policy = disturbed(reference.follower.policy, size, seed)
    return bg.approximate(problem, theta, policy=policy, reference=reference)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gap_is_what_policy_evaluation_says(kind):
    """V° by adding up a thousand steps of r_F − τ (log π° − log π⁰) in plain NumPy, in the units that were given."""
    found = at(kind, 0.3)
    problem, theta = found.problem, found.theta
    policy = disturbed(bg.hypergradient(problem, theta).follower.policy, 0.3)
    tau = np.broadcast_to(KINDS[kind].get("temperature", 0.7), S)
    habit = KINDS[kind].get("reference", np.ones((S, A)))
    plan = KINDS[kind].get("follower_transition", bg.softmax(LOGITS + TILT @ theta))
    logs = np.log(np.where(policy > 0, policy, 1.0)) - np.log(np.where(habit > 0, habit, 1.0))
    paid = (policy * (PAY @ theta - tau[:, None] * logs)).sum(axis=1)
    chain = np.einsum("sa,sat->st", policy, plan)
    v = np.zeros(S)
    for _ in range(1000):
        v = paid + 0.9 * chain @ v
    np.testing.assert_allclose(found.gap, found.reference.follower.value - v, rtol=1e-7, atol=1e-12)
    best = found.reference.follower.policy
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.where(policy > 0, policy * np.log(policy / best), 0.0).sum(axis=1)
    np.testing.assert_allclose(found.kl, kl, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_the_plug_in_is_the_forward_formula_under_that_policy(kind):
    """BC-HG (5) by ∇Q_F column by column, dense, which shares nothing with the adjoint form."""
    found = at(kind, 0.2)
    for form, gradient in found.forms.items():
        forward = under(found.followers(form)).Formula(found.table.problem, found.theta).gradient()
        np.testing.assert_allclose(gradient, forward, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_first_order_is_first_order(kind):
    """What is left of the error after its linear part falls with the square of the policy's error."""
    left = [np.abs(f.error - f.first_order).max() for f in (at(kind, size) for size in (1e-2, 1e-3))]
    whole = np.abs(at(kind, 1e-3).error).max()
    assert left[1] < 0.02 * whole
    assert 1.8 < np.log10(left[0] / left[1]) < 2.2


@pytest.mark.parametrize("kind", KINDS)
def test_one_improvement_squares_the_error(kind):
    sizes = (1e-1, 1e-2, 1e-3, 1e-4)
    before, after = np.array(
        [(np.abs(f.error).max(), np.abs(f.improved_error).max()) for f in (at(kind, s) for s in sizes)]
    ).T
    assert 0.9 < np.polyfit(np.log(sizes), np.log(before), 1)[0] < 1.1
    assert 1.9 < np.polyfit(np.log(sizes), np.log(after), 1)[0] < 2.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-6, 1e-4, 1e-2])
def test_the_bounds_hold(kind, size):
    found = at(kind, size)
    assert np.all(np.abs(found.error) <= found.coordinate_bounds)
    assert np.all(np.abs(found.improved_error) <= found.improved.coordinate_bounds)
    assert found.bound == found.coordinate_bounds.max()
    if size == 1e-6:
        assert found.bound < 1e3 * np.abs(found.error).max()


def test_a_bound_without_the_policys_own_inconsistency_would_be_broken(monkeypatch):
    """The control: with the residual of V° alone the bound forgets that π° is not the policy of its values."""
    from boltzgrad.families.tabular import plug_in
    from boltzgrad.solvers.perturbation import follower_errors

    found = at("entropy", 1e-4)
    monkeypatch.setattr(plug_in, "policy_errors", lambda m, f, eps: follower_errors(m, improve(f), eps))
    assert np.any(np.abs(found.error) > found.plain.coordinate_bounds)


@pytest.mark.parametrize("count", [40, slow(500)])
def test_bounds_and_slopes_on_random_problems(count):
    """Policy error 10⁻³: no bound is broken, and half of those of returns are within a thousand of the error."""
    tightness = []

    @settings(max_examples=count)
    @given(bst.problems_at(bst.configurable_mdps()), st.integers(0, 2**16))
    def check(case, seed):
        problem, theta = case
        reference = bg.hypergradient(problem, theta)
        policies = [disturbed(s.follower.policy, 1e-3, seed) for s in reference.contexts]
        found = bg.approximate(
            problem, theta, policy=policies if len(policies) > 1 else policies[0], reference=reference
        )
        assert np.all(np.abs(found.error) <= found.coordinate_bounds)
        assert np.all(np.abs(found.improved_error) <= found.improved.coordinate_bounds)
        size = np.abs(found.error).max()
        if problem.objective == "return" and size > 1e-9 * np.abs(reference.term_sizes).max() > 0:
            tightness.append(found.bound / size)

    check()
    assert np.median(tightness) <= 1e3 or count < 500


def test_tables_are_taken_for_their_values():
    """Of Q* everything is exact; of a table that is off, V is believed, and the error says so."""
    problem = problem_of("reference with zeros")
    theta = problem.initial_theta(seed=1)
    best = bg.hypergradient(problem, theta).follower
    exact = bg.approximate(problem, theta, q=best.q)
    np.testing.assert_allclose(exact.gradient, bg.hypergradient(problem, theta).gradient, rtol=1e-9)
    off = bg.approximate(problem, theta, q=best.q + 0.01 * RNG.normal(size=(S, A)))
    assert set(off.forms) == {"believed", "evaluated", "swept"}
    assert not np.allclose(off.forms["believed"], off.forms["evaluated"], rtol=1e-4)
    assert np.abs(off.error - off.first_order).max() < 0.1 * np.abs(off.error).max()
    assert np.all(np.abs(off.error) <= off.coordinate_bounds)


def test_horizons_and_games_are_tables():
    problem = bg.problems.load("finite-garnet")
    theta = problem.initial_theta(seed=0)
    reference = bg.hypergradient(problem, theta)
    found = bg.approximate(problem, theta, policy=disturbed(reference.follower.policy, 1e-3), reference=reference)
    assert found.gap.shape == found.kl.shape == reference.follower.policy.shape[:2]
    assert 0 < np.abs(found.improved_error).max() < 1e-2 * np.abs(found.error).max()
    game = bg.problems.load("toy-game")
    theta = game.initial_theta(seed=0)
    solved = bg.hypergradient(game, theta)
    found = bg.approximate(game, theta, policy=disturbed(solved.solved.policy, 1e-3), reference=solved)
    assert found.gap.shape == solved.solved.policy.shape[:2]
    assert np.abs(found.improved_error).max() < 1e-2 * np.abs(found.error).max() < np.abs(found.bound)


def test_contexts_have_a_policy_each():
    def build(theta):
        models = [world(theta), world(theta, temperature=0.4)]
        return bg.ContextualModel(models, bg.softmax(theta[:2]))

    problem = bg.ConfigurableMDP(build, dim=D)
    theta = problem.initial_theta(seed=0)
    reference = bg.hypergradient(problem, theta)
    policies = [disturbed(s.follower.policy, 1e-3) for s in reference.contexts]
    found = bg.approximate(problem, theta, policy=policies)
    assert len(found.gap) == len(found.kl) == 2
    assert np.abs(found.error - found.first_order).max() < 0.02 * np.abs(found.error).max()
    with pytest.raises(bg.errors.InvalidFollower, match="1 tables, the problem 2 contexts"):
        bg.approximate(problem, theta, policy=policies[:1])


def test_an_objective_of_the_policy():
    objective = bg.PolicyObjective(lambda theta, pi: anp.sum(pi**2 * TOLL) + anp.sum(theta**2) * anp.sum(pi[0] ** 3))
    problem = bg.ConfigurableMDP(world, dim=D, objective=objective)
    theta = problem.initial_theta(seed=1)
    left = []
    for size in (1e-2, 1e-3):
        policy = disturbed(bg.hypergradient(problem, theta).follower.policy, size)
        found = bg.approximate(problem, theta, policy=policy)
        left.append(np.abs(found.error - found.first_order).max())
        assert np.abs(found.improved_error).max() < 20 * size * np.abs(found.error).max()
    assert 1.8 < np.log10(left[0] / left[1]) < 2.2


@pytest.mark.parametrize("count", [40, slow(300)])
def test_required_accuracy_is_enough(count):
    """Of any V° with that residual: here several, at the edge."""
    tried = []

    @settings(max_examples=count)
    @given(bst.problems_at(bst.configurable_mdps(max_states=3, max_dim=2)), st.integers(0, 2**16))
    def check(case, seed):
        problem, theta = case
        reference = bg.hypergradient(problem, theta)
        error = 1e-3 * float(np.abs(reference.term_sizes).max())
        if len(reference.contexts) > 1 or problem.objective != "return" or not error > 4 * reference.error_bound:
            return
        needed = bg.required_accuracy(problem, theta, error, reference=reference)
        best, rng = reference.contexts[0].follower, np.random.default_rng(seed)
        for _ in range(3):
            v = best.value + needed * rng.normal(size=best.value.size)
            left = np.abs(backup(best.model, v).value - v).max()
            if not left:
                continue  # rounding has swallowed it
            v = best.value + (v - best.value) * 0.999 * needed / left
            if np.abs(backup(best.model, v).value - v).max() <= needed:
                found = improve(with_values(best.model, v, best.policy))
                moved = plug_in(problem, theta, reference.linearised, [found]).gradient
                assert np.abs(moved - reference.gradient).max() <= error
                tried.append(needed)

    check()
    assert len(tried) >= 3


def test_required_accuracy_is_not_idle():
    """Ten times the residual of what is asked for is not what is answered, and less error needs less residual in proportion."""
    problem = bg.problems.load("synthetic-hard")
    theta = problem.initial_theta(seed=0)
    needed = [bg.required_accuracy(problem, theta, error) for error in (1e-4, 1e-6)]
    assert needed[0] / needed[1] == pytest.approx(100.0, rel=0.2)
    with pytest.raises(bg.errors.InvalidOption, match="known to"):
        bg.required_accuracy(problem, theta, 1e-18)
    with pytest.raises(bg.errors.InvalidOption, match="positive"):
        bg.required_accuracy(problem, theta, 0.0)


def test_policy_evaluation_is_a_fixed_point():
    m = world(np.ones(D))
    policy = RNG.dirichlet(np.ones(A), size=S)
    found = evaluate_policy(m, policy)
    assert (policy * (found.q - 0.7 * np.log(policy))).sum(axis=1) == pytest.approx(found.value, rel=1e-14)
    assert np.all(found.gap >= 0.0)


BAD = [
    (np.full((S, A), 0.5), r"policy\[0\] sums to 1.5; each row must sum to 1"),
    (np.full((A, S), 0.2), r"policy has shape \(3, 5\), expected \(5, 3\): \(states, actions\)"),
    (
        np.where(np.arange(A) == 1, 2.0, -0.5) * np.ones((S, 1)),
        r"policy\[0, 0\] is -0.5; probabilities must not be negative",
    ),
    (
        np.eye(A)[[0, 1, 2, 0, 1]],
        r"policy\[0, 1\] is 0, and the soft answer to this policy's own values gives that action 0\.",
    ),
    (
        np.full((S, A), np.nan),
        r"policy\[0, 0\] is nan; every entry must be finite",
    ),
    ("abc", "policy"),
]


@pytest.mark.parametrize(("policy", "words"), BAD)
def test_a_policy_that_is_none_is_refused(policy, words):
    problem = problem_of("entropy")
    with pytest.raises(bg.errors.InvalidFollower, match=words):
        bg.approximate(problem, problem.initial_theta(seed=0), policy=policy)


def test_what_has_no_table_is_refused():
    problem = bg.problems.load("thermal-control")
    with pytest.raises(bg.errors.InvalidOption, match="known on tables, and there is none"):
        bg.approximate(problem, problem.initial_theta(seed=0), policy=np.ones((1, 1)))
    problem = problem_of("reference with zeros")
    theta = problem.initial_theta(seed=0)
    with pytest.raises(bg.errors.InvalidFollower, match=r"policy\[1, 2\] is 0.33\d*, and that action is not available"):
        bg.approximate(problem, theta, policy=np.where(np.arange(S)[:, None] == 0, HABIT, 1 / 3))
    with pytest.raises(bg.errors.InvalidOption, match="both given"):
        bg.approximate(problem, theta, policy=HABIT, q=HABIT)
    with pytest.raises(bg.errors.InvalidOption, match="neither"):
        bg.approximate(problem, theta)


def test_it_prints_what_it_found():
    text = str(at("entropy", 1e-3))
    for words in ("gap V* − V° ≤", "KL(π° ‖ π*) ≤", "J° =", "π°, to first order", "π¹ (improved once)", "proved"):
        assert words in text


def test_tables_have_no_reference_in_them_whatever_the_family():
    """The library's own Q*, without τ log π⁰, is exact over a finite horizon and in a game."""
    finite = bg.problems.load("finite-garnet")
    theta = finite.initial_theta(seed=0)
    own = bg.hypergradient(finite, theta).follower.q
    assert bg.approximate(finite, theta, q=own).relative_error < 1e-9
    rng = np.random.default_rng(0)
    habit = rng.dirichlet(np.ones(3), size=(2, 2))
    game = bg.MarkovGame(
        rng.dirichlet(np.ones(2), size=(2, 2, 3)), [0.5, 0.5], rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 2, 3)),
        follower_discount=0.8, leader_discount=0.8, temperature=0.5, reference=habit,
    )  # fmt: skip
    theta = game.initial_theta(seed=0)
    q = bg.hypergradient(game, theta).solved.q - 0.5 * np.log(habit)
    assert bg.approximate(game, theta, q=q).relative_error < 1e-9


def test_first_order_on_the_edge_of_the_simplex():
    """An objective with poles where a probability is zero: differences stay inside, at any size of the policy's error."""
    problem = bg.ConfigurableMDP(world, dim=D, objective=bg.LogLikelihood(np.ones((S, A))))
    theta = problem.initial_theta(seed=1)
    reference = bg.hypergradient(problem, theta)
    for tiny in (1e-3, 1e-5, 1e-7):
        policy = reference.follower.policy.copy()
        policy[0] = [tiny, 0.5 * (1 - tiny), 0.5 * (1 - tiny)]
        found = bg.approximate(problem, theta, policy=policy, reference=reference)
        to = reference.follower.policy - policy
        h = 1e-3 * (policy / np.abs(to).clip(1e-300)).min()
        ends = [
            bg.approximate(problem, theta, policy=policy + sign * h * to, reference=reference).gradient
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(found.first_order, -(ends[0] - ends[1]) / (2 * h), rtol=1e-4, atol=1e-6)
        assert "π°, to first order" in str(found)
    near = bg.approximate(problem, theta, policy=disturbed(reference.follower.policy, 1e-10), reference=reference)
    np.testing.assert_allclose(near.first_order, near.error, rtol=1e-3, atol=1e-12)


def test_a_reference_of_something_else_is_refused_everywhere():
    problem, other = problem_of("entropy"), problem_of("soft leader")
    theta = problem.initial_theta(seed=0)
    for wrong in (bg.hypergradient(other, theta), bg.hypergradient(problem, theta + 1.0), "abc", np.ones(D)):
        with pytest.raises(bg.errors.InvalidOption, match="reference is a"):
            bg.required_accuracy(problem, theta, 1e-2, reference=wrong)
    for wrong in (None, "a", [0.1], True, 1j):
        with pytest.raises(bg.errors.InvalidOption, match="error is"):
            bg.required_accuracy(problem, theta, wrong)


def test_bounds_beyond_float64_are_infinite():
    """Temperatures of states and a leader with entropy, and a table that is nonsense."""
    rng = np.random.default_rng(0)
    p, reward = rng.dirichlet(np.ones(3), size=(3, 2)), rng.normal(size=(3, 2))

    def build(theta):
        return bg.TabularModel(
            p, np.full(3, 1 / 3), reward * theta[0], reward[::-1], follower_discount=0.9, leader_discount=0.8,
            temperature=np.array([0.05, 2.0, 2.0]), leader_temperature=0.2,
        )  # fmt: skip

    problem = bg.ConfigurableMDP(build, dim=1)
    assert bg.required_accuracy(problem, [1.0], 1e-3) > 0.0
    far = bg.approximate(problem, [1.0], q=500.0 * rng.normal(size=(3, 2)))
    assert far.bound > np.abs(far.error).max()


def test_what_people_hand_in():
    """A `Learned`, float32 with zeros where it underflows, −∞ for what is not there, an objective over a finite horizon."""
    problem = problem_of("entropy")
    theta = problem.initial_theta(seed=0)
    learnt = bg.followers.SoftValueIteration(3).train(problem.model(theta))
    assert np.array_equal(
        bg.approximate(problem, theta, policy=learnt).gradient,
        bg.approximate(problem, theta, policy=learnt.policy).gradient,
    )
    cold = bg.ConfigurableMDP(lambda t: world(t, temperature=0.01), dim=D)
    single = bg.hypergradient(cold, theta).follower.policy.astype(np.float32)
    assert (single == 0.0).any()
    assert bg.approximate(cold, theta, policy=single).relative_error < 1e-2
    masked = problem_of("reference with zeros")
    q = np.where(HABIT > 0, bg.hypergradient(masked, theta).follower.q, -np.inf)
    assert bg.approximate(masked, theta, q=q).relative_error < 1e-9
    two = bg.ConfigurableMDP(lambda t: bg.ContextualModel([world(t), world(t)], [0.5, 0.5]), dim=D)
    with pytest.raises(bg.errors.InvalidFollower, match="value has 0 arrays, the problem 2 contexts"):
        bg.approximate(two, theta, policy=[learnt.policy] * 2, value=3.0)
    steps = bg.ConfigurableMDP(
        lambda t: bg.FiniteHorizonModel(
            bg.softmax(LOGITS), np.full(S, 1 / S), anp.dot(PAY, t), TOLL, horizon=3, follower_discount=1.0,
            leader_discount=1.0, temperature=0.5,
        ), dim=D, objective=bg.LogLikelihood(np.ones((3, S, A))),
    )  # fmt: skip
    best = bg.hypergradient(steps, theta)
    assert bg.approximate(steps, theta, policy=disturbed(best.follower.policy, 1e-6)).bound < 1.0
    assert bg.required_accuracy(steps, theta, 1e-2) > 0.0
