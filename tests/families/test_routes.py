"""Every route computes the same hypergradient, on problems where everything depends on θ and on the zoo."""

import itertools

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.registry import witnesses
from tests_helpers import optional, sample, slow

OBJECTIVE = bg.PolicyObjective(
    lambda theta, pi: (
        anp.sum(theta**2) + anp.sum(anp.sin(pi) * anp.arange(1.0, 13.0).reshape(4, 3)) + theta[0] * pi[1, 2]
    )
)
PROBLEMS = {
    "plain": {},
    "own kernel": {"own": True},
    "contexts": {"contexts": 3},
    "contexts, own kernel": {"contexts": 2, "own": True},
    "equal discounts": {"leader_discount": 0.9},
    "undiscounted leader": {"leader_discount": 0.0},
    "myopic follower": {"follower_discount": 0.0},
    "regularised": {"regulariser": lambda theta: -anp.sum(anp.cosh(theta))},
    "general objective": {"objective": OBJECTIVE},
    "general objective, contexts, regularised": {
        "objective": OBJECTIVE,
        "contexts": 2,
        "regulariser": lambda theta: anp.sum(theta),
    },
    "cold": {"temperature": 0.01},
    "patient": {"follower_discount": 0.99, "leader_discount": 0.99},
}
EXACT = ("covariance", "hpgd", "implicit", "unrolled", "unrolled-implicit", "complex-step")


def relative(result, reference):
    seen = result.seen_by(reference.gradient)
    return np.abs(result.gradient - seen).max() / np.abs(reference.gradient).max()


def by_name(problem):
    return {route.name: route for route in witnesses(problem)}


@pytest.mark.parametrize("case", PROBLEMS)
@pytest.mark.parametrize("route", EXACT)
def test_exact_routes(make_problem, case, route):
    problem = make_problem(seed=4, **PROBLEMS[case])
    theta = problem.initial_theta(seed=5)
    reference = bg.hypergradient(problem, theta)
    result = by_name(problem)[route].run(problem, theta)
    assert relative(result, reference) <= 1e-11
    assert result.value == pytest.approx(reference.value, rel=1e-12)


@pytest.mark.parametrize("case", PROBLEMS)
def test_real_differences_within_their_own_estimate(make_problem, case):
    problem = make_problem(seed=4, **PROBLEMS[case])
    theta = problem.initial_theta(seed=5)
    result = by_name(problem)["differences"].run(problem, theta)
    error = np.abs(result.gradient - result.seen_by(bg.hypergradient(problem, theta).gradient))
    assert np.all(error <= result.error_estimate)  # each entry within its own
    assert np.max(result.error_estimate) <= 1e-6 * np.abs(result.gradient).max()


@pytest.mark.parametrize("case", PROBLEMS)
def test_conic_within_its_own_estimate(make_problem, case):
    optional("cvxpy")
    problem = make_problem(seed=4, **PROBLEMS[case])
    theta = problem.initial_theta(seed=5)
    reference = bg.hypergradient(problem, theta)
    result = by_name(problem)["conic"].run(problem, theta)
    error = np.abs(result.gradient - reference.gradient).max()
    assert error <= np.max(result.error_estimate) + 16 * reference.error_estimate
    assert np.max(result.error_estimate) <= 1e-6 * np.abs(reference.gradient).max()


ROOMS = list(itertools.product((0.001, 0.003, 0.005), ("simulator", "matrix", "as-published"), (None, 1)))
QUICK_ROOMS = [(0.001, "simulator", None), (0.003, "matrix", 1), (0.005, "as-published", None)]


@pytest.mark.parametrize(
    ("temperature", "kernel", "seed"), [room if room in QUICK_ROOMS else slow(*room) for room in ROOMS]
)
def test_four_rooms(temperature, kernel, seed):
    """Adjoint against complex step to 1e-11, all exact routes to 1e-9, conic within its own bound."""
    problem = bg.problems.load("four-rooms", kernel=kernel, temperature=temperature)
    # A step of 1 in every direction reaches penalties that matter; the published start is N(0, 0.01²).
    theta = np.zeros(105) if seed is None else 100.0 * problem.initial_theta(seed=seed)
    reference = bg.hypergradient(problem, theta)
    routes = by_name(problem)
    assert relative(routes["complex-step"].run(problem, theta), reference) <= 1e-11
    for name in EXACT[:-1]:
        assert relative(routes[name].run(problem, theta), reference) <= 1e-9
    if not routes["conic"].skip(problem, theta):
        result = routes["conic"].run(problem, theta)
        error = np.abs(result.gradient - reference.gradient).max()
        assert error <= np.max(result.error_estimate) + 16 * reference.error_estimate


@pytest.mark.parametrize("name", bg.problems.names("tabular"))
@pytest.mark.parametrize("seed", [None, 2])
def test_zoo(name, seed):
    problem = bg.problems.load(name)
    theta = np.zeros(problem.dim) if seed is None else problem.initial_theta(seed=seed)
    report = bg.verify(problem, theta, routes=["covariance", "hpgd", "implicit", "unrolled-implicit", "conic"])
    if not report.reference.gradient.any():  # at θ = 0 nothing that the leader does matters yet
        assert (name, seed) == ("synthetic", None)
        assert {str(row.verdict) for row in report.rows[1:]} <= {"zero to rounding", "skipped"}
        assert not report.ok
        return
    report.raise_if_disagree()
    assert len(report.agreeing) >= 4


@pytest.mark.parametrize("options", [{"ending": 0.3}, {"branching": 2, "n_actions": 2}, {"n_actions": 1}])
def test_sparse_kernels(options):
    problem = bg.problems.load("garnet", n_states=30, follower_discount=0.9, leader_discount=0.8, **options)
    report = bg.verify(problem, problem.initial_theta(seed=1))
    report.raise_if_disagree()
    assert {r.route for r in report.agreeing} >= {*EXACT, "differences"}


@pytest.mark.parametrize("discount", sample([0.99, 0.9999], 0.99))
def test_small_temperature_and_long_horizons(discount):
    """τ = 1e-4, γ to 0.9999: the routes that do not need 10⁵ sweeps still confirm the gradient."""
    problem = bg.problems.load(
        "garnet", n_states=20, temperature=1e-4, follower_discount=discount, leader_discount=0.9, n_parameters=8
    )
    report = bg.verify(problem, problem.initial_theta(seed=1), routes=["covariance", "implicit"])
    report.raise_if_disagree()


def test_large_problems_are_differenced_along_random_directions(monkeypatch):
    from boltzgrad.families.tabular.differences import TabularEvaluator
    from boltzgrad.witnesses import differences

    monkeypatch.setattr(differences, "_COMPLEX_WORK", 1e7)
    problem = bg.problems.load("garnet", n_states=40)
    theta = problem.initial_theta()
    result = differences.complex_step(TabularEvaluator(problem), theta)
    assert result.directions.shape[0] < problem.dim
    assert result.note.startswith("along")
    assert relative(result, bg.hypergradient(problem, theta)) < 1e-11


def test_nothing_of_the_witnesses_comes_from_the_reference():
    """A witness shares no code with the reference: none of its modules reaches the solvers' package."""
    import subprocess
    import sys

    code = """
import importlib, importlib.util, os, sys, types
sys.modules["boltzgrad.solvers"] = None  # any import of it fails
root = os.path.dirname(importlib.util.find_spec("boltzgrad").origin)
for name, folder in (("boltzgrad", ""), ("boltzgrad.families", "/families")):
    package = types.ModuleType(name)
    package.__path__ = [root + folder]
    sys.modules[name] = package
for module in (
    "tabular.covariance", "tabular.hpgd", "tabular.implicit", "tabular.differences", "tabular.unrolled", "tabular.conic",
    "game.theorem2", "game.differences", "game.unrolled",
    "lqr.covariance", "lqr.implicit", "lqr.differences", "lqr.unrolled", "lqr.conic",
):
    importlib.import_module("boltzgrad.families." + module)
print("independent")
for family in ("tabular", "game", "lqr"):
    try:
        importlib.import_module(f"boltzgrad.families.{family}.reference")
    except ImportError:
        print("the reference is not")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["independent", *3 * ["the reference is not"]], done.stderr
