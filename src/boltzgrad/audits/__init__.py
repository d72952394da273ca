"""Other people's public code, judged: what it computes on a problem, held against the reference.

`get(name)` is an audit, `judge(audit, recorded(audit).outputs)` its verdicts from what was recorded, and
`run(audit, [Checkout(folder)])` calls the code in a checkout of the reader's.  Nothing of that code is here.
"""

from __future__ import annotations

from boltzgrad.audits import (
    bilevel_penalty,
    bilevel_preferences,
    fixed_point_solvers,
    imitation,
    implicit_stackelberg,
    irl_maxent,
    omd,
    value_iteration_irl,
)
from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.checkout import Checkout
from boltzgrad.audits.judging import Outcome, judge
from boltzgrad.audits.records import Record, differences, recorded, run
from boltzgrad.errors import unknown

__all__ = [
    "AUDITS",
    "Audit",
    "Case",
    "Checkout",
    "Outcome",
    "Record",
    "Source",
    "differences",
    "get",
    "judge",
    "recorded",
    "run",
]

AUDITS: tuple[Audit, ...] = (
    fixed_point_solvers.OPTIMISTIX,  # controls first
    imitation.AUDIT,
    irl_maxent.AUDIT,
    value_iteration_irl.ALGER,
    value_iteration_irl.IRL_IMITATION,
    omd.AUDIT,
    bilevel_preferences.AUDIT,
    bilevel_penalty.AUDIT,
    implicit_stackelberg.AUDIT,
    fixed_point_solvers.TORCHOPT,
    fixed_point_solvers.JAXOPT,
)


def get(name: str) -> Audit:
    """The audit of that name.  Raises: UnknownName."""
    for audit in AUDITS:
        if audit.name == name:
            return audit
    raise unknown("audit", name, [audit.name for audit in AUDITS])
