"""No witness runs a function of the reference's, nor shares a rule with it; and what witnesses share, none of them can hide."""

import dataclasses
import functools
import sys

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.lqr import doubling
from boltzgrad.families.registry import witnesses
from boltzgrad.families.tabular import sweeps
from boltzgrad.solvers import follower
from boltzgrad.solvers.linear import system
from tests_helpers import benchmark

independence = benchmark("independence")
recorded = functools.cache(independence.recorded)

# One method on purpose: the reference of the game written as an MDP, against the game's own.
ONE_METHOD = {"game": {"lifted-adjoint"}}


@pytest.mark.parametrize("family", independence.PROBLEMS)
def test_a_witness_runs_nothing_of_the_references(family):
    reference, routes = recorded(family)
    assert len(independence.own(reference)) > 15
    shared = {name: independence.own(calls) & independence.own(reference) for name, calls in routes.items()}
    assert {name for name, calls in shared.items() if calls} == ONE_METHOD.get(family, set())
    assert all(independence.own(calls) for calls in routes.values())


def test_the_control_a_witness_that_asks_the_reference_is_caught():
    problem = bg.problems.load("garnet", n_states=5, n_parameters=4)
    theta = problem.initial_theta(seed=0)
    reference = independence.own(independence.called(lambda: bg.hypergradient(problem, theta)))
    calls = independence.called(lambda: np.tanh(bg.hypergradient(problem, theta).gradient))
    assert independence.own(calls) & reference


SHARED = {
    ("garnet", sweeps, "soft_backup"): lambda right: lambda *a: tuple(1.001 * x for x in right(*a)),
    ("garnet", sweeps, "matrix_of"): lambda right: lambda x: 0.999 * right(x),
    ("garnet", sweeps, "state_kernel"): lambda right: lambda *a: 0.99 * right(*a),
    ("random-lqr", doubling, "gain"): lambda right: lambda *a: tuple(1.001 * x for x in right(*a)),
}


@pytest.mark.parametrize("case", SHARED, ids=lambda case: f"{case[0]}: {case[2]}")
def test_what_witnesses_share_is_noticed_when_it_breaks(case, monkeypatch):
    """All of them go wrong together, and against the reference: a broken helper cannot make a wrong gradient agree."""
    name, module, function = case
    if not hasattr(module, function):
        pytest.fail(f"{module.__name__} has no {function} any more: break what took its place")
    problem = bg.problems.load(name) if name != "garnet" else bg.problems.load(name, n_states=8, n_parameters=5)
    theta = problem.initial_theta(seed=0)
    assert bg.verify(problem, theta, routes=[r.name for r in witnesses(problem)][:3]).ok
    right = getattr(module, function)
    broken = SHARED[case](right)
    ours = [module for name, module in list(sys.modules.items()) if name.startswith("boltzgrad.families")]
    for holder in ours:  # wherever it was imported to
        if getattr(holder, function, None) is right:
            monkeypatch.setattr(holder, function, broken)
    report = bg.verify(problem, theta, routes=[r.name for r in witnesses(problem)][:3])
    assert not report.ok


def test_the_page_says_what_runs_now():
    page = (independence.HERE / "independence.md").read_text(encoding="utf-8")
    for family in independence.PROBLEMS:
        for name, calls in recorded(family)[1].items():
            assert f"| {name} |" in page
            assert calls


def _off(solved):
    """A solution with entries off by 0.1 % and more."""
    return dataclasses.replace(
        solved, x=solved.x * (1.0 + 1e-3 * np.arange(1, solved.x.size + 1).reshape(solved.x.shape))
    )


def _colder(found):
    """A follower that answers a little colder than it should."""
    policy = found.policy**1.01
    return dataclasses.replace(found, policy=policy / policy.sum(axis=-1, keepdims=True))


OF_THE_REFERENCE = {
    "solve": (system.LinearSystem, _off),
    "solve_transposed": (system.LinearSystem, _off),
    "solve_follower": (follower, _colder),
}


@pytest.mark.parametrize(
    ("name", "route", "function"),
    [("garnet", "implicit", function) for function in OF_THE_REFERENCE]
    + [("toy-game", "lifted-implicit", function) for function in ("solve", "solve_transposed")],
)
def test_what_a_reference_stands_on_is_noticed_when_it_breaks(name, route, function, monkeypatch):
    """`lifted-adjoint` stands on it, too, and may go wrong along; the others do not."""
    holder, spoil = OF_THE_REFERENCE[function]
    right = getattr(holder, function)
    ours = [module for name, module in list(sys.modules.items()) if name.startswith("boltzgrad")]
    for module in [holder, *ours]:
        if getattr(module, function, None) is right:
            monkeypatch.setattr(module, function, lambda *a, **k: spoil(right(*a, **k)))
    problem = bg.problems.load(name) if name != "garnet" else bg.problems.load(name, n_states=8, n_parameters=5)
    try:
        report = bg.verify(problem, problem.initial_theta(seed=0), routes=[route])
    except bg.errors.NotConverged:
        return  # the reference has noticed by itself
    assert report.against, str(report)
