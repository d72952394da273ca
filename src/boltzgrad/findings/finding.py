"""What a finding is: a sentence, its size, whom it speaks against, and the command that makes it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from boltzgrad.errors import InvalidOption

Numbers = Mapping[str, float]
"""What was measured, by the names that a finding's sentences call them by."""

CUTS = {
    "against print": "what a paper, or the code published with it, says is not so",
    "for print": "what a paper says is so, or what looked like a slip is none",
    "not settled": "ours and print differ, and we do not know why",
    "against a package": "what a package computes is not what it is for",
    "for a package": "what a package computes is right",
    "against boltzgrad": "a limit of ours",
}


class Rows(Protocol):
    """The ends of the experiments' runs that are committed (`docs/results`)."""

    def end(self, experiment: str, method: str, setting: str = "", preset: str = "full") -> float:
        """The mean end over seeds of the method in the setting that begins so."""

    def seeds(self, experiment: str, method: str, setting: str = "", preset: str = "full") -> list[float]:
        """The same, one for each seed."""

    def cosine(self, experiment: str, method: str, setting: str = "", preset: str = "full") -> float:
        """The mean cosine with ∇J along the runs."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding.

    `about` is what it is of (a paper, a package with its version); `cuts` a key of `CUTS`; `says` the finding and `size` its
    size in a few words, both with numbers to fill in ("{bias:.0%}"); `again` the command that makes it again.
    `measure` computes these numbers; or they are read from committed rows of long runs by `read`.  `near` is how far apart,
    relative to the recorded one, a number may be when it is measured again; one that is nothing but rounding has a limit in
    `below` instead.  `slow` is for what takes longer than ten seconds.
    """

    name: str
    about: str
    cuts: str
    says: str
    size: str
    again: str
    measure: Callable[[], Numbers] | None = None
    read: Callable[[Rows], Numbers] | None = None
    near: float = 1e-6
    below: Numbers = field(default_factory=dict)
    slow: bool = False

    def __post_init__(self) -> None:
        if self.cuts not in CUTS:
            raise InvalidOption(f"{self.name} cuts {self.cuts!r}: expected one of {', '.join(CUTS)}")

    def filled(self, numbers: Numbers) -> dict[str, Any]:
        """What the list, the page and JSON show."""
        return {
            "name": self.name,
            "about": self.about,
            "finding": self.says.format(**numbers),
            "size": self.size.format(**numbers),
            "cuts": self.cuts,
            "again": self.again,
            "numbers": dict(numbers),
        }


def apart(found: Numbers, kept: Numbers, near: float, below: Numbers | None = None) -> list[str]:
    """The numbers that are not what they were, in words."""
    below = below or {}
    out = [f"{key} is not measured any more" for key in kept if key not in found]
    for key, x in found.items():
        if key not in kept:
            out.append(f"{key} was not recorded")
        elif key in below:
            if not abs(x) <= below[key]:
                out.append(f"{key} is {x:.10g}, expected at most {below[key]:.0e}")
        elif not (x == kept[key] or abs(x - kept[key]) <= near * abs(kept[key])):
            out.append(f"{key} is {x:.10g}, recorded is {kept[key]:.10g}")
    return out
