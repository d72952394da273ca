"""Bad input is refused where it comes in, by an error that names the entry, what was found and what was expected."""

import autograd.numpy as anp
import numpy as np
import pytest
from scipy import sparse

import boltzgrad as bg
from boltzgrad import errors

GOOD = {
    "transition": np.full((2, 3, 2), 0.5),
    "initial": np.array([0.25, 0.75]),
    "follower_reward": np.zeros((2, 3)),
    "leader_reward": np.ones((2, 3)),
    "follower_discount": 0.9,
    "leader_discount": 0.5,
    "temperature": 0.1,
}


def changed(name, index, value):
    array = np.array(GOOD[name], dtype=object if isinstance(value, str) else None)
    array[index] = value
    return {name: array}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("transition", (1, 2, 0), 0.57), r"transition\[1, 2\] sums to 1.07; rows must be probabilities"),
        (changed("transition", (1, 0, 1), -0.5), r"transition\[1, 0, 1\] is -0.5; probabilities must not be negative"),
        (changed("transition", (0, 1, 1), np.nan), r"transition\[0, 1, 1\] is nan; every entry must be finite"),
        (changed("follower_reward", (1, 1), np.inf), r"follower_reward\[1, 1\] is inf"),
        (changed("leader_reward", (0, 0), "x"), r"leader_reward holds object values, expected real numbers"),
        ({"transition": np.full((2, 2, 2), 0.5)}, r"transition has shape \(2, 2, 2\), expected \(2, 3, 2\)"),
        ({"transition": sparse.eye_array(4)}, r"transition is sparse with shape \(4, 4\), expected \(6, 2\)"),
        ({"initial": np.ones(3) / 3}, r"initial has shape \(3,\), expected \(2,\)"),
        ({"initial": np.array([0.5, 0.4])}, r"initial sums to 0.9; it must be a probability distribution"),
        ({"initial": np.array([1.5, -0.5])}, r"initial\[1\] is -0.5; probabilities must not be negative"),
        ({"leader_reward": np.ones((3, 3))}, r"leader_reward has shape \(3, 3\), follower_reward \(2, 3\)"),
        ({"follower_reward": np.zeros(2)}, r"follower_reward has shape \(2,\), expected 2 axes"),
        (
            {"follower_reward": np.zeros((2, 0)), "leader_reward": np.zeros((2, 0))},
            "there must be a state and an action",
        ),
        ({"follower_discount": 1.0}, r"follower_discount is 1, and from state 0 no episode ever ends"),
        ({"leader_discount": -0.1}, r"leader_discount is -0.1"),
        ({"leader_discount": "much"}, r"leader_discount is 'much'; it must be a real number"),
        ({"temperature": 0.0}, r"temperature is 0.0; it must be positive"),
        ({"temperature": np.nan}, r"temperature is nan"),
        ({"follower_transition": np.full((2, 3, 2), 0.6)}, r"follower_transition\[0, 0\] sums to 1.2"),
        ({"follower_reward": [[1, 2], [3]]}, "follower_reward is not an array of numbers"),
    ],
)
def test_model(change, message):
    with pytest.raises(errors.InvalidModel, match=message) as caught:
        bg.TabularModel(**{**GOOD, **change})
    assert isinstance(caught.value, ValueError)


def test_sparse_entries_are_named_too():
    matrix = sparse.csr_array(np.full((6, 2), 0.5))
    matrix.data[5] = -0.25
    with pytest.raises(errors.InvalidModel, match=r"transition\[0, 2, 1\] is -0.25"):
        bg.TabularModel(**{**GOOD, "transition": matrix})
    matrix.data[5] = 0.75
    with pytest.raises(errors.InvalidModel, match=r"transition\[0, 2\] sums to 1.25"):
        bg.TabularModel(**{**GOOD, "transition": matrix})


def test_rows_that_look_like_float32_are_warned_about():
    p = np.full((2, 3, 2), 0.5)
    p[1, 1, 0] -= 3e-8
    with pytest.warns(errors.SuspiciousModel, match=r"transition\[1, 1\] sums to 1 − 3e-08.*float32"):
        bg.TabularModel(**{**GOOD, "transition": p})


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 1], [0], r"indptr has shape \(2,\), expected \(5,\)"),
        ([0, 1, 2, 1, 2], [0, 1], "indptr must rise"),
        ([0, 1, 2, 3, 4], [0, 1, 2, 0], r"a successor of transition\[1, 0\] is state 2"),
        ([0, 1, 2, 3, 4], [0.5, 1, 1, 0], "indices holds float64, expected integers"),
    ],
)
def test_sparse_pattern(indptr, indices, message):
    with pytest.raises(errors.InvalidModel, match=message):
        bg.SparsePattern(indptr, indices, n_states=2, n_actions=2)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (np.zeros(4), r"theta has shape \(4,\), expected \(105,\)"),
        (np.zeros((105, 1)), r"theta has shape \(105, 1\)"),
        (np.zeros(105, complex), "theta holds complex128 values"),
        (np.zeros(105, bool), "theta holds bool values"),
        (["a"] * 105, "theta holds <U1 values"),
        (np.r_[np.zeros(7), np.nan, np.zeros(97)], r"theta\[7\] is nan"),
        ([[1.0], [1.0, 2.0]], "theta is not an array of numbers"),
    ],
)
def test_theta(theta, message):
    problem = bg.problems.load("four-rooms")
    for use in (problem.model, lambda t: bg.hypergradient(problem, t), lambda t: bg.verify(problem, t)):
        with pytest.raises(errors.InvalidTheta, match=message):
            use(theta)


def test_integers_and_single_precision_are_exact_and_taken():
    problem = bg.problems.load("synthetic-hard", n_parameters=4)
    whole = bg.hypergradient(problem, [1, 0, -1, 2]).gradient
    np.testing.assert_array_equal(whole, bg.hypergradient(problem, np.array([1, 0, -1, 2], np.float32)).gradient)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(errors.UnknownName, match="did you mean 'four-rooms'"):
        bg.problems.load("fourrooms")
    with pytest.raises(errors.UnknownName, match="did you mean 'temperature'"):
        bg.problems.load("four-rooms", temprature=1.0)
    with pytest.raises(errors.UnknownName, match="did you mean 'covariance'"):
        bg.verify(bg.problems.load("synthetic"), np.zeros(100), routes=["covarience"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("four-rooms", {"kernel": "both"}, "kernel is 'both'; expected one of 'simulator', 'matrix', 'as-published'"),
        ("four-rooms", {"temperature": "hot"}, "temperature is 'hot'; expected a real number"),
        ("four-rooms", {"temperature": -1.0}, "temperature is -1.0; it must be positive"),
        ("garnet", {"n_states": 0}, "n_states is 0; expected an integer of at least 1"),
        ("garnet", {"n_states": 10.5}, "n_states is 10.5"),
        ("garnet", {"n_parameters": 3}, "n_parameters is 3; expected an integer of at least 4"),
        ("grid-world", {"size": True}, "size is True"),
        ("garnet", {"ending": 1.5}, "ending is 1.5; expected a probability"),
        ("random-game", {"seed": "a"}, "seed is 'a'; expected an integer"),
    ],
)
def test_zoo_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        bg.hypergradient(problem := bg.problems.load(name, **options), problem.initial_theta())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim is 0; expected a positive integer"),
        ({"dim": 2.0}, "dim is 2.0"),
        ({"dim": 2, "objective": "regret"}, "objective is 'regret'"),
        ({"dim": 2, "pullback": lambda t, c: t}, "only pullback was given; give both"),
    ],
)
def test_problem_options(options, message):
    with pytest.raises(errors.InvalidOption, match=message):
        bg.ConfigurableMDP(lambda theta: None, **options)


def test_build_must_return_a_model():
    problem = bg.ConfigurableMDP(lambda theta: theta, dim=2)
    with pytest.raises(errors.InvalidModel, match="build returned a ndarray, expected a TabularModel"):
        problem.model(np.zeros(2))
    with pytest.raises(errors.InvalidModel, match="build returned"):
        bg.hypergradient(problem, np.zeros(2))


def test_build_that_autograd_cannot_trace():
    def build(theta):
        return bg.TabularModel(**{**GOOD, "follower_reward": np.full((2, 3), float(theta[0]))})

    with pytest.raises(errors.NotDifferentiable, match="autograd could not trace build"):
        bg.hypergradient(bg.ConfigurableMDP(build, dim=1), np.ones(1))


def test_build_that_puts_traced_values_into_numpy_arrays():
    def build(theta):
        return bg.TabularModel(**{**GOOD, "follower_reward": np.array([[theta[0]] * 3] * 2)})

    with pytest.raises(errors.BoltzgradError, match=r"autograd\.numpy"):
        bg.hypergradient(bg.ConfigurableMDP(build, dim=1), np.ones(1))


def test_complex_model_at_a_real_theta():
    def build(theta):
        return bg.TabularModel(**{**GOOD, "leader_reward": np.full((2, 3), 1j)})

    with pytest.raises(errors.InvalidModel, match="leader_reward is complex at a real theta"):
        bg.ConfigurableMDP(build, dim=1).model(np.ones(1))


@pytest.mark.parametrize("wrong", ["pullback", "pushforward"])
def test_hand_written_derivatives_of_the_wrong_shape(wrong):
    like = bg.TabularModel(**GOOD).arrays()
    zero = like.map(np.zeros_like)
    hand = {"pullback": lambda t, c: np.zeros(2), "pushforward": lambda t, u: zero}
    if wrong == "pullback":
        hand["pullback"] = lambda t, c: np.zeros(3)
    else:
        hand["pushforward"] = lambda t, u: like.map(lambda x: x[:1])
    problem = bg.ConfigurableMDP(lambda theta: bg.TabularModel(**GOOD), dim=2, **hand)
    with pytest.raises(errors.NotDifferentiable, match=wrong):
        bg.hypergradient(problem, np.zeros(2)).error_bound  # noqa: B018


def test_context_probabilities():
    model = bg.TabularModel(**GOOD)
    with pytest.raises(errors.InvalidModel, match=r"probabilities sum to 1.1"):
        bg.ContextualModel([model, model], [0.5, 0.6])
    with pytest.raises(errors.InvalidModel, match=r"probabilities has shape \(1,\), expected \(2,\)"):
        bg.ContextualModel([model, model], [1.0])
    with pytest.raises(errors.InvalidModel, match=r"models\[1\] is a str"):
        bg.ContextualModel([model, "x"], [0.5, 0.5])
    with pytest.raises(errors.InvalidModel, match="at least one model"):
        bg.ContextualModel([], [])


def test_objective_with_a_gradient_of_the_wrong_shape(make_problem):
    objective = bg.PolicyObjective(lambda t, p: anp.sum(p), gradient=lambda t, p: (t, p[:1]))
    with pytest.raises(errors.NotDifferentiable, match=r"gradient in policy has shape \(1, 3\), expected \(4, 3\)"):
        bg.hypergradient(make_problem(objective=objective), np.zeros(5))


def test_the_callers_arrays_are_never_modified():
    rng = np.random.default_rng(0)
    indptr, indices, data = np.arange(0, 13, 2), rng.integers(0, 2, 12)[::-1].copy(), np.full(12, 0.5)
    matrix = sparse.csr_array((data, indices, indptr), shape=(6, 2))
    before = [x.copy() for x in (indptr, indices, data)]
    model = bg.TabularModel(**{**GOOD, "transition": matrix})
    with pytest.raises(ValueError, match="read-only"):  # reordering in place would corrupt the pattern
        model.transition.sum_duplicates()
    bg.solvers.solve_follower(model)
    for x, y in zip((indptr, indices, data), before, strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(matrix.indices, before[1])
