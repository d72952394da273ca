"""Problems and references that are pickled, copied; arrays that lose something on the way in; weights that never fade."""

import copy
import multiprocessing
import pickle

import autograd.numpy as anp
import numpy as np
import pytest
from scipy.sparse import csr_array

import boltzgrad as bg
from boltzgrad.errors import InvalidModel, InvalidTheta

MOVE = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
GOAL = np.array([[0.0, 0.0], [1.0, 1.0]])


def importable(theta):
    return bg.TabularModel(
        MOVE,
        [1.0, 0.0],
        GOAL + anp.reshape(theta, (2, 2)),
        GOAL,
        follower_discount=0.9,
        leader_discount=0.95,
        temperature=0.5,
    )


def own_game():
    rng = np.random.default_rng(0)
    return bg.MarkovGame(
        rng.dirichlet(np.ones(2), size=(2, 2, 2)), [0.5, 0.5], *rng.standard_normal((2, 2, 2, 2)),
        follower_discount=0.8, leader_discount=0.9, temperature=0.3,
    )  # fmt: skip


def own_lq_game():
    return bg.LinearQuadraticGame(
        [[0.9]], [[1.0]], [[0.5]], [[1.0]], [[1.0]], [1.0], [[0.0]], spread=0.2, leader_Q=[[1.0]],
        follower_discount=0.9, leader_discount=0.9, temperature=0.1,
    )  # fmt: skip


PROBLEMS = {
    "own": lambda: bg.ConfigurableMDP(importable, dim=4, name="mine"),
    "own game": own_game,
    "own LQ game": own_lq_game,
    **{name: (lambda name=name: bg.problems.load(name)) for name in ("garnet", "toy-game", "thermal-control")},
}


def gradient_of(pair):
    return bg.hypergradient(*pair).gradient


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_and_references_are_pickled(name):
    problem = PROBLEMS[name]()
    theta = 0.1 * problem.initial_theta(seed=1)
    exact = bg.hypergradient(problem, theta)
    again = pickle.loads(pickle.dumps(problem))
    assert again is not problem
    assert (again.name, again.dim, again.recipe) == (problem.name, problem.dim, problem.recipe)
    np.testing.assert_array_equal(bg.hypergradient(again, theta).gradient, exact.gradient)
    loaded = pickle.loads(pickle.dumps(exact))
    assert (loaded.value, loaded.error_bound) == (exact.value, exact.error_bound)
    np.testing.assert_array_equal(loaded.gradient, exact.gradient)
    np.testing.assert_array_equal(loaded.theta, theta)


def test_another_process_finds_the_same():
    problem = PROBLEMS["own"]()
    theta = problem.initial_theta(seed=0)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (found,) = pool.map(gradient_of, [(problem, theta)])
    np.testing.assert_array_equal(found, bg.hypergradient(problem, theta).gradient)


def test_what_cannot_be_imported_says_so():
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(bg.ConfigurableMDP(lambda t: importable(t), dim=4))


def test_a_copy_that_is_changed_is_no_longer_the_zoos():
    problem = bg.problems.load("garnet", n_states=6, n_parameters=4)
    other = copy.copy(problem)
    other.build = importable
    assert problem.recipe is not None
    assert other.recipe is None
    assert "name" not in vars(other) or other.name == problem.name


MASKED = np.ma.masked_array(GOAL, mask=[[False, True], [False, False]])


@pytest.mark.parametrize("name", ["transition", "follower_reward", "leader_reward", "initial"])
def test_a_mask_is_not_lost_without_a_word(name):
    model = {"transition": MOVE, "initial": [1.0, 0.0], "follower_reward": GOAL, "leader_reward": GOAL}
    masked = np.ma.masked_array(np.asarray(model[name]), mask=False)
    masked[(0,) * masked.ndim] = np.ma.masked
    with pytest.raises(InvalidModel, match=rf"{name} is a masked array \(1 entries masked\)"):
        bg.TabularModel(**{**model, name: masked}, follower_discount=0.9, leader_discount=0.9, temperature=0.5)


def test_masks_of_theta_and_of_matrices():
    with pytest.raises(InvalidTheta, match="theta is a masked array"):
        bg.hypergradient(PROBLEMS["own"](), np.ma.masked_array(np.zeros(4), mask=[1, 0, 0, 0]))
    with pytest.raises(InvalidModel, match="A is a masked array"):
        bg.LQModel(
            np.ma.masked_array([[1.0]], mask=[[False]]), [[1.0]], [[0.1]], [[1.0]], [[1.0]], [1.0], [[0.0]],
            follower_discount=0.9, leader_discount=0.9, temperature=0.1,
        )  # fmt: skip


@pytest.mark.parametrize("which", ["follower_discount", "leader_discount"])
def test_a_discount_and_a_row_that_grow_together_are_refused(which):
    numbers = {"follower_discount": 0.5, "leader_discount": 0.5, which: 1.0 - 1e-11}
    rows = np.full((1, 2, 1), 1.0 + 5e-11)
    with pytest.raises(InvalidModel, match=rf"{which} is 1 − 1e-11, and a row of transition sums to 1 \+ 5e-11"):
        bg.TabularModel(rows, [1.0], np.zeros((1, 2)), np.zeros((1, 2)), temperature=1.0, **numbers)
    bg.TabularModel(rows, [1.0], np.zeros((1, 2)), np.zeros((1, 2)), temperature=1.0, **{**numbers, which: 1.0 - 1e-9})
    bg.TabularModel(np.ones((1, 2, 1)), [1.0], np.zeros((1, 2)), np.zeros((1, 2)), temperature=1.0, **numbers)


@pytest.mark.parametrize("size", [3e-320, 5e-324, 1e-300])
def test_the_bound_covers_what_underflows(size):
    """∂J/∂θ of a bandit is p (1 − p) · size."""

    def build(theta):
        return bg.TabularModel(
            np.ones((1, 2, 1)), [1.0], np.array([[0.0, 1.0]]) * theta[0], np.array([[0.0, size]]),
            follower_discount=0.0, leader_discount=0.0, temperature=1.0,
        )  # fmt: skip

    found = bg.hypergradient(bg.ConfigurableMDP(build, dim=1), [0.3])
    p = 1.0 / (1.0 + np.exp(-0.3))
    exact = float(np.longdouble(p) * np.longdouble(1.0 - p) * np.longdouble(size))
    assert found.error_bound > 0.0
    assert abs(found.gradient[0] - exact) <= found.error_bound


@pytest.mark.parametrize("sparse", [False, True])
def test_the_longest_sum_is_as_long_as_any(sparse):
    """Rounding of a sum is bounded by its length: summed over all states and actions, a column has S·A terms."""
    model = bg.TabularModel(
        np.full((3, 4, 3), 1.0 / 3.0), [1.0, 0.0, 0.0], np.zeros((3, 4)), np.zeros((3, 4)),
        follower_discount=0.5, leader_discount=0.5, temperature=1.0,
    )  # fmt: skip
    kernel = (
        bg.problems.SparseKernel.from_scipy(csr_array(model.transition.reshape(12, 3)), 4) if sparse else model.kernel
    )
    terms = 3.0 * kernel.accumulate(np.ones((3, 4)))  # how many are added up into each entry
    assert kernel.longest_sum >= round(float(terms.max()))
