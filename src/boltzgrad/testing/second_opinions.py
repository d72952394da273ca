"""What the other routes to the same hypergradient say, for the message of a failing check."""

from __future__ import annotations

import numpy as np

from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.route import CALL, Route
from boltzgrad.families.registry import select
from boltzgrad.verify import AgreementReport, Row, Verdict
from boltzgrad.verify.agreement import Known, reference_row, witness_row

# What a failing check spends on them, in multiplications (`Route.work`): about a second, and the same on every machine.
_BUDGET = 6e8
# What a push-forward of somebody's own build takes at least: some ten calls of NumPy.
_PUSH_FORWARD = 10.0 * CALL


def second_opinions(reference: Hypergradient, *, thorough: bool = False, known: Known | None = None) -> AgreementReport:
    """The report of `boltzgrad.verify` about a reference; unless `thorough`, of the routes that are cheap here.

    Work is counted, not timed, so that the same check says the same on a loaded machine.  Those left out have a row
    that says so.
    """
    rows, left = [reference_row(reference, proved=thorough)], _BUDGET
    for route in select(reference.problem, None):
        work = _work(route, reference)
        if not thorough and work > left:
            note = f"not run: about {work:.0e} multiplications; thorough=True, or boltzgrad.verify, runs all"
            rows.append(Row(route=route.name, summary=route.summary, verdict=Verdict.SKIPPED, note=note))
        else:
            left -= work
            rows.append(witness_row(route, reference, known))
    return AgreementReport(reference.problem, reference, tuple(rows))


def _work(route: Route, reference: Hypergradient) -> float:
    """What a route says of itself; else that it pushes every coordinate forward, which costs the user's own code.  Unrolling
    pulls back once.
    """
    said = route.work(reference)
    if said or route.name.startswith("unrolled"):
        return said
    numbers = sum(float(np.size(x)) for x in reference.array_map.values)
    return reference.theta.size * max(numbers, _PUSH_FORWARD)
