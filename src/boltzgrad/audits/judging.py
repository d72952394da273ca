"""What the reference says of what a package computed, and whether that is what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from boltzgrad.audits.audit import Audit, Case, Outputs
from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import InvalidOption
from boltzgrad.families.registry import family_of, hypergradient
from boltzgrad.testing.comparison import check_hypergradient
from boltzgrad.testing.follower import check_follower
from boltzgrad.verify import Verdict


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One case, judged.

    `verdict` is a word, `error` the difference from the reference relative to it (‖·‖₂ of a gradient, the largest entry of a
    policy or of values; where ∇J is zero, the largest entry relative to the case's unit; NaN where nothing is compared),
    `cosine` that with ∇J where there is one, `recognised` what the judge names, `apart` how far the package's array is from the
    mistake made again by code of ours, relative to its largest entry (NaN without one).  `faults` say what is not as expected.
    """

    case: Case
    verdict: str
    error: float = np.nan
    cosine: float = np.nan
    recognised: str = ""
    apart: float = np.nan
    words: str = ""
    faults: tuple[str, ...] = ()

    @property
    def as_expected(self) -> bool:
        """Whether verdict, mistake and its repair are as the audit says."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain numbers and text."""
        numbers = {"error": self.error, "cosine": self.cosine, "apart": self.apart}
        return {
            "case": self.case.title,
            "of": self.case.of,
            "verdict": self.verdict,
            "expected": self.case.expects,
            "as_expected": self.as_expected,
            **{name: None if np.isnan(x) else float(x) for name, x in numbers.items()},
            "mistake": self.case.mistake,
            "recognised": self.recognised,
            "words": self.words,
            "faults": list(self.faults),
        }


def judge(audit: Audit, outputs: Outputs) -> tuple[Outcome, ...]:
    """Every case of an audit, judged by what was computed.  Raises: InvalidOption if a case's array is missing."""
    missing = [case.key for case in audit.cases if case.key not in outputs]
    if missing:
        raise InvalidOption(f"there is no {', '.join(missing)} among what {audit.name} computed: {', '.join(outputs)}")
    return tuple(judge_case(case, np.asarray(outputs[case.key])) for case in audit.cases)


def judge_case(case: Case, found: Array) -> Outcome:
    """One case."""
    if case.of == "error":
        raised = str(found.ravel()[0])
        verdict = "fails" if raised else "runs"
        return Outcome(case=case, verdict=verdict, words=raised, faults=_wrong_verdict(case, verdict))
    if case.of == "movement":
        verdict = "moves" if np.any(found != 0.0) else "stands still"
        words = f"{int(np.count_nonzero(found))} of {found.size} parameters moved"
        return Outcome(case=case, verdict=verdict, words=words, faults=_wrong_verdict(case, verdict))
    look = _gradient if case.of == "gradient" else _follower
    verdict, error, cosine, recognised = look(case, found)
    apart, faults = np.nan, _wrong_verdict(case, verdict)
    if case.remade is not None and case.repaired is not None:
        remade = case.remade()
        apart = float(np.abs(found - remade).max() / np.abs(remade).max())
        if not apart <= case.near:
            faults += (f"it is {apart:.1e} from the mistake made again, expected at most {case.near:.0e}",)
        if (said := look(case, remade)[0]) != case.expects:
            faults += (f"the mistake made again {said}",)
        if (said := look(case, case.repaired())[0]) not in (str(Verdict.AGREES), str(Verdict.ZERO)):
            faults += (f"the mistake made again and repaired {said}",)
    return Outcome(
        case=case, verdict=verdict, error=error, cosine=cosine, recognised=recognised, apart=apart, faults=faults
    )


def _wrong_verdict(case: Case, verdict: str) -> tuple[str, ...]:
    return () if verdict == case.expects else (f"it {verdict}, expected that it {case.expects}",)


@lru_cache(maxsize=4)
def _reference(case: Case) -> Hypergradient:
    problem, theta = _posed(case)
    return hypergradient(problem, theta)


def _posed(case: Case) -> Any:
    if case.problem is None:
        raise InvalidOption(f"the case {case.title!r} compares a {case.of} and has no problem")
    return case.problem()


def _gradient(case: Case, found: Array) -> tuple[str, float, float, str]:
    reference = _reference(case)
    check = check_hypergradient(
        found, reference.problem, reference.theta, tolerance=case.tolerance, reference=reference
    )
    exact = reference.gradient
    if case.unit is not None:
        return str(check.verdict), float(np.abs(found - exact).max() / case.unit), np.nan, ""
    size = float(np.linalg.norm(exact))
    both = size * float(np.linalg.norm(found))
    error = float(np.linalg.norm(found - exact)) / size if size else np.inf
    return str(check.verdict), error, float(found @ exact) / both if both else np.nan, _named(check.looks_like)


def _follower(case: Case, found: Array) -> tuple[str, float, float, str]:
    problem, theta = _posed(case)
    said = check_follower({case.of: found}, problem, theta, tolerance=case.tolerance, context=0)
    answer = family_of(problem).answer
    exact = answer(problem, theta, 0).values[case.of] if answer is not None else found
    verdict = Verdict.DISAGREES if said else Verdict.AGREES
    named = [line.partition("looks like: ")[2] for line in said.splitlines() if "looks like: " in line]
    return str(verdict), float(np.abs(found - exact).max() / np.abs(exact).max()), np.nan, _named(named)


def _named(words: Any) -> str:
    """The mistake that the judge recognises, where it does; what is merely nearest is nobody's."""
    return next((w for w in words if not w.startswith("nearly")), "")
