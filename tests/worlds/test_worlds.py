"""Worlds from tables and arrays, leaders over them, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import boltzgrad as bg
from boltzgrad import worlds

LAKE = {
    "start": {"left": [(1.0, "start", 0.0, False)], "right": [(0.7, "ice", 1.0, False), (0.3, "start", 0.0, False)]},
    "ice": {
        "left": [(0.5, "start", 0.0, False), (0.25, "hole", -1.0, True), (0.25, "hole", -3.0, True)],
        "right": [(0.5, "start", 2.0, False), (0.5, "start", 4.0, False)],
    },
    "hole": {"left": [(1.0, "start", 9.0, False)]},
}


def test_a_table_is_read_as_it_says():
    world = worlds.from_dict(LAKE, discount=0.9)
    p, r = world.transition, world.reward
    assert world.shape == (3, 2)
    np.testing.assert_allclose(p[0, 1], [0.3, 0.7, 0.0])
    np.testing.assert_allclose(p[1, 0], [0.5, 0.0, 0.0])  # half of it ends
    np.testing.assert_allclose(p[1, 1], [1.0, 0.0, 0.0])  # merged
    assert r[0, 1] == pytest.approx(0.7)
    assert r[1, 0] == pytest.approx(-1.0)
    assert r[1, 1] == pytest.approx(3.0)
    assert np.all(p[2] == 0.0)
    assert r[2, 0] == 0.0  # what goes on from an end never happens
    assert list(world.initial) == [1.0, 0.0, 0.0]
    assert world.available.tolist() == [[True, True], [True, True], [True, False]]
    said = str(world)
    for words in (
        "3 states × 2 actions",
        "1 outcomes merged",
        "1 state is an end",
        "'hole'",
        "1 (state, action) pairs are not",
    ):
        assert words in said


def by_simulation(table, policy, reward, discount, steps, rng):
    """Discounted pay of walks through the dictionary itself, reward(s, a, outcome's own) a step."""
    states, actions = list(table), list(dict.fromkeys(a for s in table for a in table[s]))
    total = np.empty(steps)
    for i in range(steps):
        s, kept, total[i] = states[0], 1.0, 0.0
        while kept > 1e-4:
            a = rng.choice(len(actions), p=policy[states.index(s)])
            outcomes = table[s][actions[a]]
            _, after, paid, over = outcomes[rng.choice(len(outcomes), p=[o[0] for o in outcomes])]
            total[i] += kept * reward(states.index(s), a, paid)
            if over:
                break
            s, kept = after, kept * discount
    return total


def test_its_value_is_what_walks_earn():
    world = worlds.from_dict(LAKE, discount=0.8)
    problem = world.design(reward="table", temperature=0.7)
    theta = problem.initial_theta(seed=1)
    found = bg.hypergradient(problem, theta)
    rng = np.random.default_rng(0)
    earned = by_simulation(LAKE, found.follower.policy, lambda s, a, paid: paid, 0.8, 4000, rng)
    assert abs(earned.mean() - found.value) < 4 * earned.std() / np.sqrt(len(earned))


LEADERS = {
    "table": {"reward": "table"},
    "features of states": {"reward": worlds.Features(np.array([[1.0, 0.0], [0.5, 2.0], [0.0, 1.0]]))},
    "features of pairs": {"reward": worlds.Features(np.arange(12.0).reshape(3, 2, 2) / 7.0)},
    "penalty budget": {"reward": worlds.PenaltyBudget([0, 1], budget=2.0)},
    "payments": {"reward": worlds.Payments(price=0.5)},
    "payments somewhere": {"reward": worlds.Payments(where=np.array([[True, False], [True, True], [False, False]]))},
    "logits": {"transition": "logits"},
    "start": {"initial": "logits"},
    "temperatures": {"temperature": worlds.Temperatures(0.6)},
    "everything": {
        "reward": worlds.Payments(), "transition": "logits", "initial": "logits", "temperature": worlds.Temperatures(0.6),
    },
}  # fmt: skip


@pytest.mark.parametrize("leader", LEADERS)
def test_every_leader_is_confirmed(leader):
    world = worlds.from_dict(LAKE, discount=0.85, initial={"start": 0.6, "ice": 0.4})
    problem = world.design(**{"temperature": 0.5, **LEADERS[leader]}, leader_reward=[0.0, 1.0, 0.0])
    theta = problem.initial_theta(seed=2)
    report = bg.verify(problem, theta)
    report.raise_if_disagree()
    assert len(report.agreeing) >= 8
    assert np.isfinite(report.reference.error_bound)
    assert set(report.reference.tree) == set(problem.tree.unpack(theta))


@pytest.mark.parametrize("leader", LEADERS)
def test_at_zero_the_world_is_as_it_was(leader):
    """But for payments, which are log 2 there, and penalties, which are shared out evenly."""
    world = worlds.from_dict(LAKE, discount=0.85, initial={"start": 0.6, "ice": 0.4})
    problem = world.design(**{"temperature": 0.6, **LEADERS[leader]})
    m, plain = problem.model(np.zeros(problem.dim)), world.model(temperature=0.6)
    np.testing.assert_allclose(m.kernel.flat.toarray(), plain.kernel.flat.toarray(), atol=1e-15)
    np.testing.assert_allclose(m.initial, plain.initial, atol=1e-15)
    if leader not in ("penalty budget", "payments", "payments somewhere", "everything"):
        np.testing.assert_allclose(m.unit * m.follower_reward.T, plain.follower_reward.T, atol=1e-12)


def test_a_moving_kernel_moves_the_reward_of_an_arrival():
    """R(s,a,s') stays with its outcome, the end's too: r(s,a) is Σ p_θ R by hand."""
    world = worlds.from_dict(LAKE, discount=0.85)
    problem = world.design(transition="logits", temperature=0.5)
    theta = problem.initial_theta(seed=3)
    m = problem.model(theta)
    first = np.exp(np.log([0.3, 0.7]) + theta[1:3])
    np.testing.assert_allclose(m.follower_reward[0, 1], (first / first.sum()) @ [0.0, 1.0])
    stays, ends = 0.5 * np.exp(theta[3]), 0.5
    assert m.kernel.row_sums[1, 0] == pytest.approx(stays / (stays + ends))
    assert m.follower_reward[1, 0] == pytest.approx(-2.0 * ends / (stays + ends))


def test_a_leader_who_pays_has_less():
    world = worlds.from_dict(LAKE, discount=0.85)
    free, dear = (
        bg.hypergradient(world.design(reward=worlds.Payments(price=price), temperature=0.5), np.ones(6))
        for price in (0.0, 1.0)
    )
    assert dear.value < free.value


def test_leader_reward_may_be_a_function_of_theta():
    world = worlds.from_dict(LAKE, discount=0.85)
    problem = world.design(reward="table", temperature=0.5, leader_reward=lambda theta: theta["reward"] ** 2)
    assert bg.verify(problem, problem.initial_theta(seed=0)).ok


def test_a_thousand_worlds_at_random():
    @settings(max_examples=60)
    @given(st.integers(0, 2**20))
    def check(seed):
        """Whatever is drawn, kernels are probabilities, and expected rewards are those of the list."""
        rng = np.random.default_rng(seed)
        S, A = rng.integers(1, 6, size=2)
        table, by_hand = {}, np.zeros((S, A))
        for s in range(S):
            table[s] = {}
            for a in range(A):
                k = rng.integers(1, 5)
                p = rng.dirichlet(np.ones(k))
                rows = [(p[i], int(rng.integers(S)), float(rng.normal()), bool(rng.random() < 0.3)) for i in range(k)]
                table[s][a] = rows
                by_hand[s, a] = sum(q * paid for q, _, paid, _ in rows)
        world = worlds.from_dict(table, discount=0.9)
        ends = world.ends & (world.reward == 0.0).all(axis=1)
        np.testing.assert_allclose(world.reward[~ends], by_hand[~ends], atol=1e-12)
        total = np.asarray(world.kernel.row_sums) + world.outcomes.end
        np.testing.assert_allclose(total, 1.0, atol=1e-12)
        world.model(temperature=0.3)

    check()


def dense(rng, S=4, A=3):
    return rng.dirichlet(np.ones(S), size=(S, A)), rng.normal(size=(S, A, S))


def test_arrays_in_every_layout_are_one_world():
    rng = np.random.default_rng(0)
    p, R = dense(rng)
    S, A = p.shape[:2]
    r = (p * R).sum(axis=2)
    pairs = np.array([(s, a) for s in range(S) for a in range(A)])
    made = [
        worlds.from_arrays(p, R, discount=0.9),
        worlds.from_arrays(p.transpose(1, 0, 2), R.transpose(1, 0, 2), discount=0.9),
        worlds.from_arrays(list(p.transpose(1, 0, 2)), r, discount=0.9),
        worlds.from_arrays([sparse.csr_matrix(x) for x in p.transpose(1, 0, 2)], r, discount=0.9),
        worlds.from_arrays(
            [sparse.csr_matrix(x) for x in p.transpose(1, 0, 2)], list(R.transpose(1, 0, 2)), discount=0.9
        ),
        worlds.from_arrays(
            p.reshape(-1, S), r.ravel(), discount=0.9, state_indices=pairs[:, 0], action_indices=pairs[:, 1]
        ),
    ]
    for world in made:
        np.testing.assert_allclose(world.transition, p)
        np.testing.assert_allclose(world.reward, r)
        np.testing.assert_allclose(world.initial, 1 / S)


def test_pairs_that_are_missing_are_not_available():
    p, _ = dense(np.random.default_rng(1))
    kept = [0, 1, 2, 4, 5, 6, 9, 11]
    world = worlds.from_arrays(
        p.reshape(-1, 4)[kept], np.arange(8.0), discount=0.9,
        state_indices=np.array(kept) // 3, action_indices=np.array(kept) % 3,
    )  # fmt: skip
    assert world.available.sum() == 8
    policy = bg.hypergradient(world.design(reward="table", temperature=1.0), np.zeros(12)).follower.policy
    assert np.all((policy > 0) == world.available)


def test_rows_that_are_short_end():
    p, R = dense(np.random.default_rng(2))
    world = worlds.from_arrays(0.8 * p, (p * R).sum(axis=2), discount=1.0)
    np.testing.assert_allclose(world.outcomes.end, 0.2)
    np.testing.assert_allclose(world.reward, (p * R).sum(axis=2))
    assert bg.verify(world.design(reward="table", temperature=1.0), np.ones(12), routes=["covariance"]).ok


def broken(**change):
    return worlds.from_dict({**LAKE, **change}, discount=0.9)


def pairs_of(states, actions):
    return worlds.from_arrays(
        np.ones((2, 2)) / 2, np.ones(2), discount=0.9, state_indices=states, action_indices=actions
    )


def designed(**options):
    return worlds.from_dict(LAKE, discount=0.9).design(temperature=0.5, **options)


BAD = [
    (lambda: worlds.from_dict([], discount=0.9), "table is a list; expected"),
    (lambda: broken(hole={}), r"table\['hole'\] has no actions"),
    (lambda: broken(ice={"left": [(1.0, "moon", 0.0)]}), "leads to 'moon', which is no state"),
    (lambda: broken(ice={"left": [(0.9, "start", 0.0)]}), r"table\['ice'\]\['left'\] sum to 0.9, expected 1"),
    (lambda: broken(ice={"left": [(-0.5, "start", 0.0), (1.5, "ice", 0.0)]}), "-0.5 is no probability"),
    (lambda: broken(ice={"left": [(1.0, "start", np.nan)]}), "nan is no finite reward"),
    (lambda: broken(ice={"left": [1.0]}), r"expected \(probability, next state"),
    (lambda: worlds.from_dict(LAKE, discount=1.5), "discount is 1.5"),
    (lambda: worlds.from_dict(LAKE, discount=0.9, initial=[0.5, 0.5]), r"initial has shape \(2,\)"),
    (lambda: worlds.from_dict(LAKE, discount=0.9, initial={"moon": 1.0}), "initial has 'moon'"),
    (lambda: worlds.from_arrays(np.ones((2, 2, 2)) / 2, np.ones(2), discount=0.9), r"both \(A, S, S\) and \(S, A, S\) fit"),
    (lambda: worlds.from_arrays(np.ones((2, 3, 4)) / 2, np.ones(2), discount=0.9), "neither"),
    (lambda: worlds.from_arrays(np.full((4, 3, 4), 1 / 3), np.ones(4), discount=0.9), "action 0. sum to 1.33"),
    (lambda: worlds.from_arrays(np.ones((4, 3, 4)) / 4, np.ones(3), discount=0.9), r"reward has shape \(3,\)"),
    (lambda: pairs_of([0, 0], [1, 1]), "more than one row"),
    (lambda: designed(), "nothing is the leader's to set"),
    (lambda: designed(initial="logits"), "there is nothing to set"),
    (lambda: designed(reward="bribes"), "reward is 'bribes'"),
    (lambda: designed(reward=worlds.Features(np.ones((4, 1)))), r"features has shape \(4, 1\)"),
    (lambda: designed(reward=worlds.PenaltyBudget([7])), "states: 7 is none of 0 … 2"),
    (lambda: designed(reward="table", leader_reward=np.ones(5)), r"leader_reward has shape \(5,\)"),
]  # fmt: skip


BAD += [
    (
        lambda: designed(reward="table", leaderhorizon=3),
        "unknown option of design 'leaderhorizon'; did you mean 'leader_horizon'",
    ),
    (lambda: designed(reward=worlds.Payments(where=np.zeros((3, 2), bool))), "there is nothing to pay for"),
    (lambda: designed(reward=worlds.PenaltyBudget(1)), "states is 1; expected a list"),
    (lambda: broken(ice={"left": []}), r"table\['ice'\]\['left'\] is \[\]; expected a list of outcomes"),
    (lambda: broken(ice={"left": [(1.0, ["start"], 0.0)]}), "which is no state of the table"),
    (lambda: worlds.from_dict(LAKE, discount=0.9, initial="moon"), "initial is 'moon'"),
    (lambda: worlds.from_arrays(sparse.eye_array(4), np.ones(4), discount=0.9), "one sparse matrix"),
    (lambda: worlds.from_arrays([[(0.5, 0.5), (0.2, 0.8)]] * 2, np.ones((2, 2)), discount=0.9), "both"),
    (lambda: worlds.from_arrays(np.zeros((0, 2, 2)), np.ones(2), discount=0.9), r"shape \(0, 2, 2\)"),
    (lambda: pairs_of([0, 1], [0, -1]), "action_indices has -1"),
    (
        lambda: worlds.from_arrays(
            np.eye(2), [0.0, -np.inf], discount=0.9, state_indices=[0, 1], action_indices=[0, 0]
        ),
        "a pair that is not feasible is left out",
    ),
]


@pytest.mark.parametrize(("make", "words"), BAD)
def test_what_is_no_world_is_refused(make, words):
    with pytest.raises(bg.errors.BoltzgradError, match=words):
        make()


def test_rewards_stay_with_their_entries_whatever_the_order_of_a_sparse_matrix():
    """Indices that are not sorted, entries that are there twice, and R sparse with zeros in it."""
    unsorted = sparse.csr_array(([0.3, 0.7, 1.0, 0.4, 0.6], [2, 0, 1, 0, 0], [0, 2, 3, 5]), shape=(3, 3))
    R = np.arange(9.0).reshape(3, 3)
    right = (unsorted.toarray() * R).sum(axis=1)
    for reward in ([R, R], np.stack([R, R]), [sparse.csr_array(R)] * 2):
        world = worlds.from_arrays([unsorted, unsorted], reward, discount=0.9)
        np.testing.assert_allclose(world.reward, right[:, None] * np.ones(2))


def test_a_row_that_always_ends_is_paid():
    p = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    world = worlds.from_arrays(p, [[0.0], [5.0]], discount=0.9, layout="ASS")
    assert world.reward.ravel().tolist() == [0.0, 5.0]
    flat = worlds.from_arrays(np.zeros((2, 2)), [1.0, 5.0], discount=0.9, state_indices=[0, 1], action_indices=[0, 0])
    assert flat.reward.ravel().tolist() == [1.0, 5.0]


def test_a_leaders_reward_of_states_is_one_however_it_is_given():
    """An array (S,), and a function that returns one, beside payments, where there are as many states as actions."""
    table = {
        0: {0: [(0.7, 0, -1.0), (0.3, 1, 1.0)], 1: [(1.0, 1, 0.0)]},
        1: {0: [(0.5, 0, 2.0), (0.5, 1, 0.0, True)], 1: [(1.0, 0, 0.0)]},
    }
    world = worlds.from_dict(table, discount=0.9)
    values = [
        bg.hypergradient(
            world.design(temperature=0.5, reward=worlds.Payments(price=0.5), leader_reward=wish), np.zeros(4)
        ).value
        for wish in (np.array([1.0, -3.0]), lambda theta: np.array([1.0, -3.0]))
    ]
    assert values[0] == values[1]


def test_ends_are_those_that_nothing_else_leads_to():
    """A room that is entered from somewhere without ending is none, wherever one starts."""
    table = {
        "start": {"x": [(1.0, "start", 0.0)]},
        "a": {"x": [(1.0, "room", 0.0)]},
        "b": {"x": [(1.0, "room", 0.0, True)]},
        "room": {"x": [(1.0, "room", 5.0)]},
    }
    assert worlds.from_dict(table, discount=0.9).reward.ravel().tolist() == [0.0, 0.0, 0.0, 5.0]
    never = {**table, "a": {"x": [(0.0, "room", 0.0), (1.0, "a", 0.0)]}}
    world = worlds.from_dict(never, discount=0.9)
    assert world.ends.tolist() == [False, False, True, True]
    lake = worlds.from_dict(LAKE, discount=0.9)
    assert lake.ends.tolist() == [False, False, True]  # an action that is not there does not count


def test_large_worlds_pay_and_start_sparsely():
    """Nothing of size (S·A) × k is made."""
    world = worlds.pendulum((60, 61), discount=0.9)
    assert (
        bg.hypergradient(world.design(reward=worlds.Payments(), temperature=1.0), np.zeros(18_300)).gradient.size
        == 18_300
    )
    assert bg.hypergradient(world.design(initial="logits", temperature=1.0), np.zeros(3_660)).gradient.size == 3_660
