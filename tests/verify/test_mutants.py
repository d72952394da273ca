"""Every mutant is rejected on the problem that exposes it, for the mistake it names and for no other reason."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.core.route import Route, RouteResult, always
from boltzgrad.families import registry
from boltzgrad.verify import agreement
from boltzgrad.verify.mutants import FAMILIES, everything
from boltzgrad.verify.mutants.recognise import mistakes
from boltzgrad.verify.tolerances import RESOLUTION, Verdict, Yardstick, judge, relative, witness_allowance

MUTANTS = {f"{family}: {m.name}": m for family, room in FAMILIES.items() for m in room.MUTANTS}
LEAST = {"tabular": 15, "kinds": 9, "horizon": 15, "game": 10, "game-over-steps": 6, "lqr": 10, "lqr-over-steps": 10}


def family_of(problem):
    return registry.family_of(problem).name


def verdict_on(problem, gradient_of, seed=1):
    theta = problem.initial_theta(seed=seed)
    reference = bg.hypergradient(problem, theta)
    yardstick = Yardstick.of(reference)
    return judge(
        yardstick,
        gradient_of(problem, theta),
        witness_allowance(yardstick, 0.0),
        mistakes=lambda: mistakes(reference),
    ), reference


@pytest.mark.parametrize("family", FAMILIES)
def test_there_are_enough(family):
    assert len(FAMILIES[family].MUTANTS) >= LEAST[family]
    assert len(everything()) == len(MUTANTS)


@pytest.mark.parametrize("name", bg.problems.names())
def test_the_formula_without_a_mistake_is_accepted(name):
    problem = bg.problems.load(name)
    formula = FAMILIES[family_of(problem)].Formula
    judgement, _ = verdict_on(problem, lambda p, t: formula(p, t).gradient())
    assert judgement.verdict == Verdict.AGREES


@pytest.mark.parametrize("name", MUTANTS)
def test_rejected_where_exposed(name):
    judgement, reference = verdict_on(MUTANTS[name].exposed_by, MUTANTS[name].gradient)
    assert judgement.verdict == Verdict.DISAGREES
    # Far enough from the truth that an allowance small enough to say "agrees" cannot hide it.
    wrong = MUTANTS[name].gradient(reference.problem, reference.theta)
    assert relative(Yardstick.of(reference), wrong) > 10 * RESOLUTION


@pytest.mark.parametrize("name", MUTANTS)
def test_invisible_where_the_mistake_makes_no_difference(name):
    mutant = MUTANTS[name]
    if mutant.formula.spares is None:
        judgement, reference = verdict_on(mutant.hidden_by, mutant.gradient)
        if (
            getattr(mutant.formula, "factor", 1.0) != 1.0
        ):  # a limit in place of the thing itself: (1 − γ)/(1 − γ) rounds
            wrong = mutant.gradient(reference.problem, reference.theta)
            assert relative(Yardstick.of(reference), wrong) < 1e-9
            return
        nothing = Yardstick.of(reference).zero.all()  # what has no derivative has none that is wrong
        assert judgement.verdict == (Verdict.ZERO if nothing else Verdict.AGREES)
        return
    problem = mutant.hidden_by or bg.problems.load("garnet")
    theta = problem.initial_theta(seed=1)
    reference = bg.hypergradient(problem, theta)
    spared = mutant.spared(problem.dim)
    off = np.abs(mutant.gradient(problem, theta) - reference.gradient)
    allowed = witness_allowance(Yardstick.of(reference), 0.0)
    assert spared.size
    assert np.all(off[spared] <= allowed[spared])
    assert np.delete(off, spared).max() > RESOLUTION * np.abs(reference.gradient).max()


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_report_with_a_mutant_for_a_route_fails_and_names_it(name, monkeypatch):
    """The whole main job, with one route replaced by the mutant."""
    mutant = MUTANTS[name]
    route = Route(
        "suspect",
        mutant.mistake,
        lambda p, t: RouteResult(bg.hypergradient(p, t).value, mutant.gradient(p, t), 0.0),
        always,
    )
    monkeypatch.setattr(agreement, "select", lambda problem, names: (route,))
    problem = mutant.exposed_by
    report = bg.verify(problem, problem.initial_theta(seed=1))
    assert not report.ok
    with pytest.raises(
        bg.errors.GradientMismatch, match=r"coordinate \d+: suspect .*reference .*; difference .*, allowed"
    ):
        report.raise_if_disagree()


@pytest.mark.parametrize("name", ["four-rooms", "synthetic-hard", "random-game"])
def test_the_real_allowances_stay_below_what_separates_the_mutants(name):
    """On the problems that expose them, every witness's allowance is below the nearest mutant's distance."""
    problem = bg.problems.load(name)
    theta = problem.initial_theta(seed=1)
    report = bg.verify(problem, theta)
    widest = max(r.allowed for r in report.agreeing)
    mutants = FAMILIES[family_of(problem)].MUTANTS
    distances = [np.abs(m.gradient(problem, theta) - report.reference.gradient).max() for m in mutants]
    exposed = [d for d in distances if d > RESOLUTION * np.abs(report.reference.gradient).max()]
    assert len(exposed) >= 5
    assert widest < 0.01 * min(exposed)
