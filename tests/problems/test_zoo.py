"""The zoo's problems are what their papers say."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

import boltzgrad as bg
from boltzgrad.zoo import four_rooms as rooms


def test_the_map_has_the_papers_cells():
    """BC-HG C.2 / HPGD F.2: 104 free cells, doors, start, goals and the leader's target by index."""
    assert len(rooms.CELLS) == 104
    assert [rooms.marked(m) for m in "S12+"] == [31, 7, 103, 66]
    doors = {(3, 6): 25, (6, 2): 51, (7, 9): 62, (10, 6): 88}
    assert {cell: rooms.CELLS.index(cell) for cell in doors} == doors


@pytest.mark.parametrize(("kernel", "intended"), [("simulator", 0.67), ("matrix", 0.56)])
def test_the_kernel_slips_as_stated(kernel, intended):
    model = bg.problems.load("four-rooms", kernel=kernel).model(np.zeros(105))
    p = model.transition
    here = rooms.CELLS.index((2, 2))
    right, up = rooms.CELLS.index((2, 3)), rooms.CELLS.index((1, 2))
    assert p[here, 1, right] == pytest.approx(intended)
    assert p[here, 1, up] == pytest.approx((1 - intended) / 3)
    corner = rooms.CELLS.index((1, 1))  # walls above and to the left: both moves stay
    assert p[corner, 0, corner] == pytest.approx(intended + (1 - intended) / 3)
    sums = p.sum(axis=2)
    assert np.all(sums[rooms.marked("1")] == 0.0)
    np.testing.assert_allclose(np.delete(sums, rooms.marked("1"), axis=0), 1.0, rtol=1e-15)


def test_as_published_plans_with_one_kernel_and_lives_in_the_other():
    mixed = bg.problems.load("four-rooms", kernel="as-published").model(np.zeros(105))
    for field, kernel in (("transition", "simulator"), ("follower_transition", "matrix")):
        expected = bg.problems.load("four-rooms", kernel=kernel).model(np.zeros(105)).transition
        np.testing.assert_array_equal(getattr(mixed, field), expected)


@pytest.mark.parametrize(("temperature", "published"), [(0.001, -0.741), (0.003, -0.726), (0.005, -0.667)])
def test_published_start_values(temperature, published):
    """BC-HG's figures at θ = 0, β = 5, which belong to the matrix kernel (three digits)."""
    problem = bg.problems.load("four-rooms", kernel="matrix", temperature=temperature)
    assert bg.hypergradient(problem, np.zeros(105)).value == pytest.approx(published, abs=5e-4)


def test_rewards_of_four_rooms():
    problem = bg.problems.load("four-rooms", penalty_weight=3.0)
    theta = problem.initial_theta(seed=1)
    sigma = np.exp(theta) / np.exp(theta).sum()
    model = problem.model(theta)
    goal, target = 7, 66
    follower = -0.2 * sigma[:104]
    follower[goal] = 1.0
    np.testing.assert_allclose(model.follower_reward, np.repeat(follower[:, None], 4, axis=1), rtol=1e-14)
    leader = np.zeros(104)
    leader[target], leader[goal] = 1.0, -3.0 * 0.2 * (1 - sigma[104])
    np.testing.assert_allclose(model.leader_reward[:, 2], leader, rtol=1e-14, atol=1e-16)


def test_two_goals_are_two_contexts_and_their_mean_counts():
    two = bg.problems.load("four-rooms-two-goals", temperature=0.003, penalty_weight=5.0)
    one = bg.problems.load("four-rooms", temperature=0.003, penalty_weight=5.0)
    theta = two.initial_theta(seed=2)
    both, first = bg.hypergradient(two, theta), bg.hypergradient(one, theta)
    assert both.contexts[0].value == first.value
    assert both.value == pytest.approx(0.5 * (both.contexts[0].value + both.contexts[1].value))


def test_synthetic_is_degenerate_and_its_variant_is_not():
    """SoBiRL J.3: at x = 0 the gradient vanishes and f = |S|/(2|A|) = 1, whatever the follower."""
    at_zero = bg.hypergradient(bg.problems.load("synthetic"), np.zeros(100))
    assert at_zero.value == pytest.approx(1.0)
    np.testing.assert_array_equal(at_zero.gradient, np.zeros(100))
    hard = bg.problems.load("synthetic-hard")
    theta = hard.initial_theta()
    ref = bg.hypergradient(hard, theta)
    direct = hard.objective.gradients(theta, ref.follower.policy)[0]
    assert np.linalg.norm(ref.gradient - direct) > 10 * np.linalg.norm(direct)


def test_synthetic_kernel_has_one_to_nine_successors():
    p = bg.problems.load("synthetic").model(np.zeros(100)).transition
    counts = (p > 0).sum(axis=2)
    assert counts.min() >= 1
    assert counts.max() <= 9


def test_garnet_is_sparse_and_reproducible():
    a, b = (bg.problems.load("garnet", n_states=500, seed=s).model(np.zeros(64)) for s in (3, 3))
    np.testing.assert_array_equal(a.transition.toarray(), b.transition.toarray())
    other = bg.problems.load("garnet", n_states=500, seed=4).model(np.zeros(64))
    assert not np.array_equal(a.follower_reward, other.follower_reward)
    assert a.transition.nnz == 500 * 4 * 4


def test_grid_world_moves_to_neighbours():
    model = bg.problems.load("grid-world", size=6).model(np.zeros(64))
    graph = model.kernel.under(np.full((36, 4), 0.25))
    assert connected_components(graph, connection="strong")[0] == 1
    rows, columns = graph.toarray().nonzero()
    steps = np.abs(rows // 6 - columns // 6) + np.abs(rows % 6 - columns % 6)
    assert steps.max() == 1
    assert model.kernel.expect(np.arange(36.0))[14, 1] == pytest.approx(0.7 * 15 + 0.1 * (14 - 6 + 14 + 6 + 13))


def test_large_problems_never_form_dense_arrays():
    """10⁵ states × 4 actions × 10⁵ states would be 320 GB."""
    problem = bg.problems.load("grid-world", size=316)
    assert problem.model(np.zeros(64)).transition.nnz == 316 * 316 * 16


def test_every_entry_lists_its_options():
    for entry in bg.problems.entries():
        assert entry.summary
        assert bg.problems.load(entry.name, **entry.options).name == entry.name
