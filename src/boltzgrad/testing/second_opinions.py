"""What the other routes to the same hypergradient say, for the message of a failing check."""

from __future__ import annotations

import time

from boltzgrad.gradients import Hypergradient, witnesses
from boltzgrad.verify import AgreementReport, Row, Verdict, verify

# These sweep until rounding, several times per coordinate: last, and only while the others took next to no time.
_SLOW = ("differences", "complex-step", "unrolled")
_BUDGET, _BEFORE_SLOW = 1.0, 0.3
_LATER = "not run: a failing check gives the other routes a second; thorough=True, or boltzgrad.verify, runs all"


def second_opinions(reference: Hypergradient, *, thorough: bool = False) -> AgreementReport:
    """The report of `boltzgrad.verify`; unless `thorough`, of the routes that a second is enough for.

    Those left out have a row that says so.
    """
    problem, theta = reference.problem, reference.theta
    if thorough:
        return verify(problem, theta)
    report = verify(problem, theta, routes=[])
    rows, began = list(report.rows), time.perf_counter()
    for route in sorted(witnesses(problem), key=lambda r: r.name in _SLOW):
        spent = time.perf_counter() - began
        if spent > _BUDGET or (route.name in _SLOW and spent > _BEFORE_SLOW):
            rows.append(Row(route=route.name, summary=route.summary, verdict=Verdict.SKIPPED, note=_LATER))
        else:
            rows.append(verify(problem, theta, routes=[route.name]).rows[1])
    return AgreementReport(report.problem, report.reference, tuple(rows))
