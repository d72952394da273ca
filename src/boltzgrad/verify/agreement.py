"""`verify`: the reference hypergradient held against every witness that applies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from boltzgrad.errors import BoltzgradError, InvalidOption, NotDifferentiable, NotSmooth
from boltzgrad.gradients import Hypergradient, Route, hypergradient, select
from boltzgrad.verify.report import AgreementReport, Row
from boltzgrad.verify.tolerances import Verdict, allowance, judge, natural_scale

Progress = Callable[[Literal["start", "end"], str], None]


def verify(
    problem: Any,
    theta: Any,
    *,
    routes: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> AgreementReport:
    """Compute the reference hypergradient and hold it against every applicable witness.

    `routes` names the witnesses to run (all by default).  `progress("start" | "end", route)` is called around each.
    A witness that does not apply, or whose solver fails, has a row that says so; nothing is skipped silently.

    Raises: InvalidTheta, InvalidModel, InvalidOption, NotConverged, NotDifferentiable (of the reference itself), UnknownName.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> report = bg.verify(problem, problem.initial_theta(seed=1), routes=["covariance", "implicit"])
    >>> report.ok, [str(row.verdict) for row in report.rows]
    (True, ['reference', 'agrees', 'agrees'])
    """
    if routes is not None and not isinstance(routes, (list, tuple)):
        raise InvalidOption(f"routes is {routes!r}; expected a list of names")
    chosen = select(problem, None if routes is None else list(routes))
    tell = progress or (lambda event, name: None)
    tell("start", "adjoint")
    began = time.perf_counter()
    reference = hypergradient(problem, theta)
    seconds = time.perf_counter() - began
    rows = [reference_row(reference, seconds)]
    tell("end", "adjoint")
    for route in chosen:
        tell("start", route.name)
        rows.append(witness_row(route, reference))
        tell("end", route.name)
    return AgreementReport(problem, reference, tuple(rows))


def reference_row(reference: Hypergradient, seconds: float = 0.0) -> Row:
    """The row of the reference itself."""
    return Row(
        route="adjoint",
        summary="the reference: Newton and one adjoint solve",
        verdict="reference",
        value=reference.value,
        gradient=reference.gradient,
        allowed=reference.error_bound,
        seconds=seconds,
    )


def witness_row(route: Route, reference: Hypergradient) -> Row:
    """Run a witness on the reference's problem, and judge it; one that fails or does not apply has a row that says so."""
    problem, theta = reference.problem, reference.theta.copy()
    rounding, magnitude = reference.error_estimate + reference.rounding_floor, natural_scale(reference)
    began = time.perf_counter()
    try:
        reason = route.skip(problem, theta)
        if reason:
            return Row(route=route.name, summary=route.summary, verdict=Verdict.SKIPPED, note=reason)
        result = route.run(problem, theta)
    except BoltzgradError as error:
        verdict = Verdict.FAILED
        if isinstance(error, NotSmooth):
            verdict = Verdict.NOT_SMOOTH
        elif isinstance(error, NotDifferentiable):
            verdict = Verdict.SKIPPED
        seconds = time.perf_counter() - began
        return Row(route=route.name, summary=route.summary, verdict=verdict, note=str(error), seconds=seconds)
    seconds = time.perf_counter() - began
    judgement = judge(
        result.seen_by(reference.gradient),
        np.array(result.gradient),
        allowed=allowance(rounding, result.error_estimate, result.directions),
        magnitude=magnitude,
        values=(reference.value, result.value),
    )
    return Row(
        route=route.name,
        summary=route.summary,
        verdict=judgement.verdict,
        value=result.value,
        gradient=result.gradient,
        directions=result.directions,
        difference=judgement.difference,
        where=judgement.where,
        allowed=judgement.allowed,
        seconds=seconds,
        note=result.note,
        independent=route.independent,
    )
