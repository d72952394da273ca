"""Numbers and names as the overview writes them; all that comes from a file is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from boltzgrad.testing.report.records import CONFIRMED, RouteRecord, Verification
from boltzgrad.verify.style import css_class
from boltzgrad.verify.tolerances import Verdict

# Marks beside the colours, which not everybody can tell apart.
MARKS = {
    Verdict.AGREES: "",
    Verdict.DISAGREES: "✗",
    Verdict.CANNOT_TELL: "?",
    Verdict.ZERO: "0",
    Verdict.NOT_SMOOTH: "∧",
    Verdict.MODEL: "✗",
    Verdict.UNFINISHED: "…",
    Verdict.FAILED: "!",
    Verdict.SKIPPED: "–",
}
_SHOWN = 4


def shown_as(verdict: str) -> str:
    """The class of a verdict's text, safe inside of quotes."""
    return css_class(verdict).replace("'", "")


def text(words: str) -> str:
    """Escaped, in elements and in attributes."""
    return escape(words, quote=True)


def number(x: float | None, spec: str, none: str = "not finite") -> str:
    """A number, or what stands for the null of the file."""
    return none if x is None else f"{x:{spec}}"


def state(verification: Verification) -> str:
    """A verification's state with its mark."""
    if verification.state == CONFIRMED:
        return f"✓ {CONFIRMED}"
    return f"{MARKS[Verdict(verification.state)]} {verification.state}"


def theta(verification: Verification) -> str:
    """θ by its first entries."""
    entries = verification.theta
    shown = ", ".join(number(x, ".4g") for x in entries[:_SHOWN])
    return f"({shown}{', …' if len(entries) > _SHOWN else ''}), d = {len(entries)}"


def difference(row: RouteRecord) -> str:
    """A route's largest difference and where it is."""
    return f"{number(row.difference, '.3g')} at {row.at}"


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of terms with their values."""
    return "<dl>" + "".join(f"<dt>{text(term)}</dt><dd>{text(value)}</dd>" for term, value in pairs) + "</dl>"
