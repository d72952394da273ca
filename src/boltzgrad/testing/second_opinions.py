"""What the other routes to the same hypergradient say, for the message of a failing check."""

from __future__ import annotations

import time

from boltzgrad.gradients import Hypergradient, select
from boltzgrad.verify import AgreementReport, Row, Verdict
from boltzgrad.verify.agreement import reference_row, witness_row

# These sweep until rounding, several times per coordinate: last, and only while the others took next to no time.
_SLOW = ("differences", "complex-step", "unrolled")
_BUDGET, _BEFORE_SLOW = 1.0, 0.2
_LATER = "not run: a failing check gives the other routes a second; thorough=True, or boltzgrad.verify, runs all"


def second_opinions(reference: Hypergradient, *, thorough: bool = False) -> AgreementReport:
    """The report of `boltzgrad.verify` about a reference; unless `thorough`, of the routes that a second is enough for.

    Those left out have a row that says so.
    """
    rows, began = [reference_row(reference)], time.perf_counter()
    for route in sorted(select(reference.problem, None), key=lambda r: r.name in _SLOW):
        spent = time.perf_counter() - began
        if not thorough and (spent > _BUDGET or (route.name in _SLOW and spent > _BEFORE_SLOW)):
            rows.append(Row(route=route.name, summary=route.summary, verdict=Verdict.SKIPPED, note=_LATER))
        else:
            rows.append(witness_row(route, reference))
    return AgreementReport(reference.problem, reference, tuple(rows))
