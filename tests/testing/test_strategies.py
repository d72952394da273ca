"""The strategies draw what they say, reach the edges, and shrink to cases that can be read."""

import warnings
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import boltzgrad as bg
from boltzgrad.testing import strategies as bst
from tests_helpers import examples

QUICK = settings(max_examples=examples(60), deadline=None, database=None, suppress_health_check=list(HealthCheck))
SEARCH = settings(max_examples=2000, database=None, suppress_health_check=list(HealthCheck))


def smallest(strategy, condition):
    """The smallest example that is found; shrinking is a search that may stop early, so it begins at the same place always."""
    return find(strategy, condition, settings=SEARCH, random=Random(2))


def check_rows(p, ending=False):
    sums = p.sum(axis=-1)
    assert p.min() >= 0.0
    assert (sums <= 1.0 + 1e-12).all()
    assert ending or np.abs(sums - 1.0).max() <= 1e-12


@pytest.mark.parametrize("kind", bst.KINDS)
def test_kernels_are_of_their_kind(kind):
    @QUICK
    @given(bst.kernels(4, 2, (kind,)))
    def run(p):
        assert p.shape == (4, 2, 4)
        check_rows(p, ending=kind == "ending")
        successors = (p > 0.0).sum(axis=2)
        if kind == "deterministic":
            assert (successors == 1).all()
        if kind == "sparse":
            assert (successors <= 2).all()
        if kind == "dense":
            assert (successors == 4).all()
        if kind == "absorbing":
            assert any(np.array_equal(p[s], np.tile(np.eye(4)[s], (2, 1))) for s in range(4))
        if kind == "reducible":
            assert not p[:2, :, 2:].any()
            assert not p[2:, :, :2].any()

    run()


@QUICK
@given(bst.stochastic_matrices(3), bst.distributions(5))
def test_matrices_and_distributions(matrix, distribution):
    assert matrix.shape == (3, 3)
    check_rows(matrix)
    check_rows(distribution)


def test_a_kind_that_is_not_asked_for_is_not_drawn():
    with pytest.raises(NoSuchExample):
        find(
            bst.stochastic_matrices(3),
            lambda p: p.sum() < 2.5,
            settings=settings(max_examples=200, database=None, phases=[Phase.generate]),
        )


@pytest.mark.parametrize(
    ("strategy", "edges"),
    [(bst.discounts(), (0.0, 0.9999)), (bst.temperatures(), (0.001, 1000.0)), (bst.discounts(highest=0.5), (0.0, 0.5))],
)
def test_the_edges_are_reached(strategy, edges):
    for edge in edges:
        assert smallest(strategy, lambda x, edge=edge: x == edge) == edge

    @QUICK
    @given(strategy)
    def within(x):
        assert edges[0] <= x <= edges[1]

    within()


def test_models_of_every_storage_and_kind():
    seen = set()

    @settings(QUICK, max_examples=200)
    @given(bst.tabular_models())
    def run(model):
        assert isinstance(model, bg.TabularModel)
        seen.add(("sparse" if not isinstance(model.transition, np.ndarray) else "dense", model.own_kernel))

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no row looks like single precision
        run()
    assert seen == {("sparse", True), ("sparse", False), ("dense", True), ("dense", False)}


@pytest.mark.parametrize("dim", [3, 8, 30])
def test_no_row_looks_like_single_precision_at_any_theta_that_is_drawn(dim):
    """Not even where every coordinate pulls the same way, as far as it goes."""

    @QUICK
    @given(bst.configurable_mdps(max_dim=dim, kinds=("dense", "ending"), max_contexts=1), st.sampled_from([-1.0, 1.0]))
    def run(problem, sign):
        (recipe,) = problem.recipes
        assert recipe.weight.shape == (problem.dim,)
        problem.model(2.0 * sign * np.where(recipe.weight < 0.0, -1.0, 1.0))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run()


def test_problems_have_what_they_promise():
    seen = set()

    @settings(QUICK, max_examples=250)
    @given(bst.problems_at())
    def run(case):
        problem, theta = case
        assert theta.shape == (problem.dim,)
        assert np.array_equal(4.0 * theta, np.round(4.0 * theta))
        if isinstance(problem, bg.ConfigurableMDP):
            seen.add(("contexts", len(problem.contexts(theta).models)))
            seen.add(("objective", problem.objective == "return"))
        elif isinstance(problem, bg.MarkovGame):
            seen.add((problem.acts_on, problem.plans_on))
        else:
            model = problem.model(theta)
            seen.add(("bump", getattr(model, "bump", None) is not None))
            seen.add(("observed", model.observed))
            seen.add(("horizon", model.horizon is None))

    run()
    for name in ("bump", "observed", "horizon", "objective"):
        assert {(name, True), (name, False)} <= seen
    assert {("contexts", 1), ("contexts", 2)} <= seen
    assert {("action", "action"), ("state", "state"), ("action", "state")} <= seen


@QUICK
@given(bst.linear_quadratics())
def test_linear_quadratic_problems_can_be_stabilised(problem):
    for theta in (np.zeros(problem.dim), np.full(problem.dim, 2.0), np.full(problem.dim, -1.5)):
        assert bg.hypergradient(problem, theta).follower.radius < 1.0


def test_unstable_ones_are_among_them():
    def unstable(model):
        return np.abs(np.linalg.eigvals(model.A)).max() * np.sqrt(model.follower_discount) > 1.0

    model = smallest(bst.lq_models(), unstable)
    assert model.n_states == 1
    assert abs(model.A[0, 0]) > 1.0


def test_thetas_take_a_length_or_a_problem():
    assert smallest(bst.thetas(3), lambda t: True).tolist() == [0.0, 0.0, 0.0]
    assert smallest(bst.thetas(bg.problems.load("lqr-game")), lambda t: t[0] > 1.0).tolist() == [1.25, 0.0]


def test_failures_shrink_to_what_can_be_read():
    """A bug that needs two states, two actions and a temperature below one: nothing else is left in the example."""

    def condition(problem):
        model = problem.contexts(np.zeros(problem.dim)).models[0]
        return model.n_states >= 2 and model.n_actions >= 2 and model.temperature < 1.0

    problem = smallest(bst.configurable_mdps(), condition)
    model = problem.contexts(np.zeros(problem.dim)).models[0]
    assert (model.n_states, model.n_actions, problem.dim) == (2, 2, 1)
    assert not model.follower_reward.any()
    assert not model.leader_reward.any()
    assert model.temperature == 0.1
    assert np.array_equal(model.transition, np.tile([1.0, 0.0], (2, 2, 1)))
    text = repr(problem)
    assert len(text) < 500
    assert "p₀=[[[1, 0], [1, 0]], [[1, 0], [1, 0]]]" in text
    assert "temperature=0.1" in text


def test_games_print_what_they_are_made_of():
    text = repr(smallest(bst.markov_games(), lambda game: game.n_states == 2))
    assert text.startswith("MarkovGame(transition=[")
    assert "observes=" in text


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (lambda: bst.tabular_models(kinds=("nope",)), "kinds is"),
        (lambda: bst.tabular_models(kinds="dense"), "kinds is 'dense'; expected a tuple"),
        (lambda: bst.tabular_models(kinds=()), "kinds is"),
        (lambda: bst.tabular_models(storage="dense"), "storage is 'dense'; expected a tuple"),
        (lambda: bst.tabular_models(storage=("csc",)), "storage is"),
        (lambda: bst.markov_games(discount="high"), "discount is 'high'; expected a number or a strategy"),
        (lambda: bst.discounts(highest=1.0), "highest is 1.0"),
        (lambda: bst.temperatures(lowest=0.0), "temperatures are positive"),
    ],
)
def test_arguments_that_ask_for_nothing(strategy, message):
    with pytest.raises(bg.errors.InvalidOption, match=message):
        find(strategy(), lambda x: True, settings=SEARCH)


def test_numbers_and_problems_instead_of_strategies():
    model = smallest(bst.tabular_models(discount=0.9, temperature=0.5), lambda model: True)
    assert (model.follower_discount, model.leader_discount, model.temperature) == (0.9, 0.9, 0.5)
    problem = bg.problems.load("lqr-game")
    assert smallest(bst.problems_at(problem), lambda case: True)[0] is problem
