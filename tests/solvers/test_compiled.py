"""Compiled loops beside the plain path: the same numbers, what they miss is done by others, and both are said."""

import subprocess
import sys
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from scipy import sparse

import boltzgrad as bg
from boltzgrad.core import compiled
from boltzgrad.solvers import aggregated, follower, soft_bellman, solve_follower
from boltzgrad.solvers.linear import LinearSystem, choose, incomplete, structure
from boltzgrad.solvers.linear import system as system_module
from boltzgrad.verify.tolerances import Verdict
from tests_helpers import optional

optional("numba")


def world(name, n=2500, **options):
    """A grid or a garnet of n states at a random policy, as (model, policy)."""
    size = {"size": int(n**0.5)} if name == "grid-world" else {"n_states": n}
    problem = bg.problems.load(name, **size, **options)
    model = problem.contexts(problem.initial_theta(seed=1)).models[0]
    return model, np.random.default_rng(0).dirichlet(np.ones(model.n_actions), model.n_states)


def plainly(monkeypatch):
    for module in (structure, soft_bellman):
        monkeypatch.setattr(module, "available", lambda: False)


@pytest.mark.parametrize("discount", [0.0, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("name", ["grid-world", "garnet"])
@pytest.mark.parametrize("transposed", [False, True])
def test_solves_are_those_of_exact_factors(name, discount, transposed):
    model, policy = world(name)
    fast = LinearSystem(model.kernel, policy, discount)
    exact = np.eye(model.n_states) - discount * model.kernel.under_merged(policy).toarray()
    if transposed:
        exact = exact.T
    rng = np.random.default_rng(3)
    for b in (rng.uniform(size=model.n_states), rng.normal(size=model.n_states), np.eye(1, model.n_states, 7)[0]):
        found = fast.solve_transposed(b) if transposed else fast.solve(b)
        order = 1 if transposed else np.inf
        assert np.linalg.norm(found.x - np.linalg.solve(exact, b), order) <= found.bound
        assert np.linalg.norm(b - exact @ found.x, order) <= found.residual + found.rounding
    assert fast.given_up == ()
    assert fast.name.endswith("compiled")


@pytest.mark.parametrize("name", ["grid-world", "garnet"])
def test_chains_that_end_without_a_discount(name):
    model, policy = world(name)
    kernel = model.kernel.with_values(0.98 * model.kernel.values)
    system, b = LinearSystem(kernel, policy, 1.0), np.random.default_rng(1).normal(size=model.n_states)
    exact = np.eye(model.n_states) - kernel.under_merged(policy).toarray()
    np.testing.assert_allclose(system.solve(b).x, np.linalg.solve(exact, b), rtol=1e-10, atol=1e-10)
    assert system.given_up == ()


def test_an_incomplete_factor_that_drops_nothing_is_exact():
    """Without dropping it is Gaussian elimination; with it, one application leaves what is dropped."""
    model, policy = world("grid-world", 400)
    b = np.random.default_rng(0).normal(size=400)
    exact = np.linalg.solve(np.eye(400) - 0.99 * model.kernel.under_merged(policy).toarray(), b)
    off = []
    for drop in (1e-12, 3e-3):
        factor = incomplete.Incomplete(model.kernel, policy, 0.99, drop)
        once, rows = np.empty(400), factor._rows
        incomplete._precondition(*factor._factors, False, b[rows.order], once)
        off.append(np.abs(once[rows.place] - exact).max() / np.abs(exact).max())
    assert off[0] < 1e-5  # float32
    assert off[1] > 1e-3


def test_without_compensation_more_iterations_are_needed(monkeypatch):
    model, policy = world("grid-world", 10_000)
    b = np.ones(model.n_states)
    left = []
    for part in (0.9, 0.0):
        monkeypatch.setattr(incomplete, "_COMPENSATED", part)
        monkeypatch.setattr(incomplete, "_MOST_ITERATIONS", 4)
        factor = incomplete.Incomplete(model.kernel, policy, 0.999)
        left.append(np.abs(b - factor.apply(factor.solve(b, transposed=False, rtol=0.0), False)).max())
    assert left[0] < 0.1 * left[1]


@pytest.mark.parametrize(("name", "kind"), [("grid-world", "Incomplete"), ("garnet", "Relaxation")])
def test_what_misses_its_tolerance_is_done_otherwise_and_said(name, kind, monkeypatch):
    model, policy = world(name)
    b = np.random.default_rng(2).normal(size=model.n_states)
    right = LinearSystem(model.kernel, policy, 0.99).solve(b).x
    spoiled = getattr(system_module, kind)
    monkeypatch.setattr(spoiled, "solve", lambda self, b, *, transposed, rtol: 0.5 * b)
    system = LinearSystem(model.kernel, policy, 0.99)
    np.testing.assert_allclose(system.solve(b).x, right, rtol=1e-9, atol=1e-9)
    assert system.given_up == (spoiled.name,)
    assert f"after {spoiled.name} missed its tolerance" in system.unusual
    assert f"after {spoiled.name} missed its tolerance" in solve_follower(model).describe()


def test_factors_that_do_not_fit_are_given_up(monkeypatch):
    model, policy = world("grid-world")
    monkeypatch.setattr(incomplete, "_ROOM", (1,))
    system = LinearSystem(model.kernel, policy, 0.99)
    assert system.solve(np.ones(model.n_states)).residual < 1e-9
    assert system.name == "sparse LU"
    assert system.given_up == (incomplete.Incomplete.name,)
    monkeypatch.setattr(incomplete, "_LONGEST", 3)
    incomplete._rows.clear()
    assert LinearSystem(model.kernel, policy, 0.99).solve(np.ones(model.n_states)).residual < 1e-9


@pytest.mark.parametrize("name", ["grid-world", "garnet"])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.01}, {"follower_discount": 0.999}], ids=str)
def test_gradients_are_those_of_the_plain_path(name, options, monkeypatch):
    problem = bg.problems.load(name, **({"size": 50} if name == "grid-world" else {"n_states": 2500}), **options)
    theta = problem.initial_theta(seed=0)
    fast = bg.hypergradient(problem, theta)
    assert "compiled" in fast.solution
    plainly(monkeypatch)
    plain = bg.hypergradient(problem, theta)
    assert "compiled" not in plain.solution
    assert abs(fast.value - plain.value) <= 1e-12 * fast.value_scale
    assert np.all(np.abs(fast.gradient - plain.gradient) <= 16.0 * plain.rounding)
    assert np.abs(fast.gradient - plain.gradient).max() <= fast.error_bound + plain.error_bound


def test_the_same_bits_twice():
    problem = bg.problems.load("grid-world", size=60)
    theta = problem.initial_theta(seed=0)
    np.testing.assert_array_equal(bg.hypergradient(problem, theta).gradient, bg.hypergradient(problem, theta).gradient)


def test_general_followers_take_the_same_loops():
    """A reference, a mask and a temperature that moves, on a grid: against the witnesses by sweeps."""
    grid = bg.problems.load("grid-world", size=46)
    model = grid.contexts(grid.initial_theta(seed=0)).models[0]
    S, A = model.n_states, model.n_actions
    rng = np.random.default_rng(1)
    there = rng.random((S, A)) < 0.8
    there[:, 0] = True
    habit = rng.uniform(0.5, 1.5, (S, A)) * there
    habit /= habit.sum(axis=1, keepdims=True)
    slope = rng.normal(size=(S, A, 2)) / 10

    def build(t):
        return bg.TabularModel(
            model.kernel, model.initial, model.follower_reward + anp.dot(slope, t), model.leader_reward, reference=habit,
            temperature=0.2 * anp.exp(0.1 * t[0]), follower_discount=0.95, leader_discount=0.9,
        )  # fmt: skip

    report = bg.verify(
        bg.ConfigurableMDP(build, dim=2), np.array([0.3, -0.2]), routes=["differences", "unrolled-implicit"]
    )
    assert "compiled" in report.reference.solution
    assert {row.verdict for row in report.rows[1:]} == {Verdict.AGREES}


@pytest.mark.parametrize("name", ["grid-world", "garnet"])
def test_a_backup_in_one_pass(name, monkeypatch):
    model, _ = world(name)
    v = np.random.default_rng(0).normal(size=model.n_states)
    fast = soft_bellman.backup(model, v)
    plainly(monkeypatch)
    plain = soft_bellman.backup(model, v)
    for one, other in ((fast.q, plain.q), (fast.policy, plain.policy), (fast.value, plain.value)):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("discount", [0.99999, 1.0 - 1e-8])
def test_patient_followers_are_solved_too(seed, discount, monkeypatch):
    """Where loosely solved steps do not come to rest, exact ones do; and it is said."""
    n, A = 50, 4
    S = n * n
    row, column = divmod(np.arange(S), n)
    beside = [
        np.minimum(row + 1, n - 1) * n + column, row * n + np.minimum(column + 1, n - 1),
        np.maximum(row - 1, 0) * n + column, row * n + np.maximum(column - 1, 0),
    ]  # fmt: skip
    pattern = bg.SparsePattern(
        4 * np.arange(S * A + 1), np.repeat(np.stack(beside, 1), 4, axis=0).ravel(), n_states=S, n_actions=A
    )
    kernel = bg.SparseKernel(pattern, np.tile(np.where(np.eye(4) > 0, 0.9, 0.1 / 3).ravel(), S))
    reward, leader = np.random.default_rng(seed).normal(size=(2, S, A))
    rates = {"follower_discount": discount, "leader_discount": 0.9, "temperature": 0.1}
    model = bg.TabularModel(kernel, np.full(S, 1.0 / S), reward, leader, **rates)
    found = solve_follower(model)
    plainly(monkeypatch)
    plain = solve_follower(model)
    assert np.abs(found.policy - plain.policy).max() < 1e-6
    assert found.residual <= 8.0 * max(plain.residual, np.finfo(float).eps * np.abs(plain.value).max())


def test_steps_that_do_not_come_to_rest_are_made_exactly_and_said(monkeypatch):
    model, _ = world("grid-world")
    monkeypatch.setattr(follower, "_MOST_LOOSE", 1)
    assert "Newton by compiled loops missed its tolerance" in solve_follower(model).describe()


def test_aggregates_are_averages():
    model, _ = world("grid-world", 900)
    coarse, which = aggregated.smaller(model)
    assert np.bincount(which).max() <= aggregated._TOGETHER
    assert coarse.n_states < 0.2 * model.n_states
    share = sparse.csr_array((np.ones(900), (which, np.arange(900))))
    counts = np.asarray(share.sum(axis=1)).ravel()
    np.testing.assert_allclose(coarse.follower_reward, (share @ model.follower_reward) / counts[:, None], rtol=1e-12)
    dense = np.asarray(model.kernel.flat.toarray()).reshape(900, model.n_actions, 900)
    mean = np.einsum("cs,sat,dt->cad", share.toarray() / counts[:, None], dense, share.toarray())
    np.testing.assert_allclose(coarse.kernel.flat.toarray(), mean.reshape(-1, coarse.n_states), atol=1e-14)


def test_a_guess_saves_steps_and_changes_nothing(monkeypatch):
    model, _ = world("grid-world", 22_500)
    guessed = solve_follower(model)
    monkeypatch.setattr(follower, "_AGGREGATED_FROM", 10**9)
    plain = solve_follower(model)
    assert guessed.iterations <= 0.8 * plain.iterations
    assert np.abs(guessed.value - plain.value).max() <= guessed.sup_bound + plain.sup_bound


def test_a_guess_that_cannot_be_made_is_none(monkeypatch):
    model, _ = world("grid-world", 22_500)

    monkeypatch.setattr(follower, "smaller", lambda model: (_Wanders(model), np.zeros(model.n_states, int)))
    assert not follower._guess(model).any()


class _Wanders:
    """A model of which nothing can be solved."""

    is_complex = False

    def __init__(self, model):
        self.temperature, self.n_states = model.temperature, 1
        self.weighted, self.follower_kernel = False, model.follower_kernel

    def __getattr__(self, name):
        raise bg.errors.NotConverged(name)


def test_small_and_dense_kernels_keep_their_methods():
    small, policy = world("grid-world", 900)
    assert LinearSystem(small.kernel, policy, 0.9).name == "sparse LU"
    assert choose(bg.problems.load("four-rooms").contexts(np.zeros(105)).models[0].kernel) == "dense"


def test_without_a_place_to_keep_what_was_compiled(monkeypatch):
    """A package folder that cannot be written, and no home."""
    numba = optional("numba")

    def nowhere(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(njit=nowhere))
    assert compiled._jitted(lambda x: x + 1.0, to_the_bit=False)(np.arange(3.0)).tolist() == [1.0, 2.0, 3.0]


def test_numba_is_not_imported_before_it_is_needed():
    code = """
import sys, numpy as np, boltzgrad as bg
small = bg.problems.load("four-rooms")
bg.hypergradient(small, small.initial_theta(seed=0))
assert "numba" not in sys.modules
large = bg.problems.load("garnet", n_states=2000)
bg.hypergradient(large, large.initial_theta(seed=0))
assert "numba" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
