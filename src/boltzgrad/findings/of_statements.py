"""What came out where statements of the papers were proved: from the derivations that found something."""

from __future__ import annotations

from boltzgrad import derivations
from boltzgrad.findings.finding import Finding, Numbers
from boltzgrad.verify.ledger import ledger

SIZES = {
    "soft-bellman-fixed-point": ("against print", "the sign of the entropy"),
    "hpgd-theorem-2-3": ("against print", "an index"),
    "hpgd-proposition-c-1": ("against print", "a sign"),
    "hpgd-proposition-e-2": ("against print", "the whole term"),
    "hpgd-proposition-e-8": ("against print", "a sign in an exponent"),
    "theorem-2": ("for print", "nothing"),
    "oracle-value-gap": ("against print", "first order for second"),
    "hpgd-theorem-2-5-bias": ("against print", "a factor of |A|"),
    "hpgd-theorem-2-5-rate": ("for print", "δ² for δ"),
}
"""Whom each speaks against, and what it is about in a few words."""

ALSO = {
    "estimator-variance": (
        "against print",
        "u² − v²",
        "HPGD's and BC-HG's third terms have one mean; on two equal actions the difference of their variances is u² − v² in "
        "the offsets of Q_L and ∇Q_F: neither is always the better one.",
    ),
}
"""What follows from a statement that is right in print."""


def _plain(text: str) -> str:
    """One paragraph, its braces kept through `str.format`."""
    return " ".join(text.split()).replace("{", "{{").replace("}", "}}")


def _proved(name: str) -> Numbers:
    book = ledger([name])
    return {"proved": float(book.ok)}


def _finding(name: str) -> Finding:
    derivation = derivations.get(name)
    cuts, size, says = ALSO.get(name) or (*SIZES[name], derivation.finding)
    return Finding(
        name=f"statement-{name}",
        about=derivation.source,
        cuts=cuts,
        says=_plain(says),
        size=size,
        again=f"boltzgrad ledger {name}",
        measure=lambda: _proved(name),
    )


FINDINGS = tuple(_finding(name) for name in derivations.names() if name in ALSO or derivations.get(name).finding)
