"""What came out of the audits of public packages: one finding for each mistake, and one for each package without any."""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from boltzgrad.audits import AUDITS, Audit, Case, Outcome, judge, recorded
from boltzgrad.findings.finding import Finding, Numbers


@cache
def outcomes_of(audit: Audit) -> tuple[Outcome, ...]:
    """Every case of an audit's record, judged once."""
    return judge(audit, recorded(audit).outputs)


def _numbers(audit: Audit, cases: tuple[Case, ...]) -> Numbers:
    found = [x for x in outcomes_of(audit) if x.case in cases]
    errors = [x.error for x in found if not np.isnan(x.error)]
    out = {"cases": float(len(found)), "as_expected": float(all(x.as_expected for x in found))}
    return {**out, "least": min(errors), "worst": max(errors)} if errors else out


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _size(cases: tuple[Case, ...]) -> str:
    if cases[0].expects == "agrees":
        return "{worst:.0e} off"
    if cases[0].expects != "disagrees":
        return _braces(cases[0].expects)
    return "{worst:.2g} of ‖∇J‖" if len(cases) == 1 else "{least:.2g} to {worst:.2g} of ‖∇J‖"


def _findings(audit: Audit) -> list[Finding]:
    kinds: dict[str, list[Case]] = {}
    for case in audit.cases:
        kinds.setdefault(case.mistake, []).append(case)
    about = ", ".join(map(str, audit.sources))
    mistakes = [m for m in kinds if m]
    out = []
    for mistake, listed in kinds.items():
        cases = tuple(listed)
        if not mistake and mistakes:
            continue  # the controls of a package that is wrong elsewhere
        number = f"-{mistakes.index(mistake) + 1}" if len(mistakes) > 1 else ""
        titles = "; ".join(case.title for case in cases[:3]) + (" and others" if len(cases) > 3 else "")
        what = f"Mistake: {mistake}. " if mistake else ""
        out.append(
            Finding(
                name=f"audit-{audit.name}{number}",
                about=about,
                cuts="against a package" if mistake else "for a package",
                says=_braces(f"{audit.computes[0].upper()}{audit.computes[1:]}: {titles}. {what}Shows {audit.shows}."),
                size=_size(cases),
                again=f"boltzgrad audit {audit.name}",
                measure=partial(_numbers, audit, cases),
                near=1e-3,
                below={} if mistake else {"least": 1e-8, "worst": 1e-8},
                slow=True,
            )
        )
    return out


FINDINGS = tuple(finding for audit in AUDITS for finding in _findings(audit))
