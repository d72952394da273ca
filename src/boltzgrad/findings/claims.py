"""What the papers' figures and tables end at, beside the same runs made again at the published length, with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boltzgrad.experiments import catalogue
from boltzgrad.experiments.tables import number
from boltzgrad.findings.rows import CommittedRows, is_in

FIGURE = 0.02
"""What is read off a figure is that uncertain."""
SHARE = 0.1
"""An end is reproduced within this share of print, or what a figure leaves open."""


@dataclass(frozen=True)
class Claim:
    """The published ends of one method, in the settings that begin so.

    `settings` may be one, of which there is then one number.  `otherwise` says why an end is not reproduced, or what is to be
    known of one that is, and `cost` what it would take where it has not been run.
    `made_by` is the method whose runs stand for it, where that is another.
    """

    claim: str
    experiment: str
    method: str
    settings: tuple[str, ...]
    otherwise: str = ""
    cost: str = ""
    made_by: str = ""

    def published(self) -> list[float]:
        """The ends in print."""
        found = []
        for setting in self.settings:
            (end,) = {
                c.published
                for c in catalogue.get(self.experiment).curves("full")
                if c.label == self.method and is_in(c, setting)
            }
            if end is None:
                raise LookupError(f"{self.method} has no published end in {self.experiment}, {setting}")
            found.append(end)
        return found

    def ours(self, rows: CommittedRows) -> list[float | None]:
        """The mean end at the published length of each; None for what has not been run."""
        return [self._end(rows, setting) for setting in self.settings]

    def _end(self, rows: CommittedRows, setting: str) -> float | None:
        if not rows.there(self.experiment, "full"):
            return None
        try:
            return rows.end(self.experiment, self.made_by or self.method, setting)
        except LookupError:
            return None

    def reproduced(self, rows: CommittedRows) -> list[bool | None]:
        """Of each end whether it is; None for what has not been run."""
        return [
            None if end is None else abs(end - print_) <= max(FIGURE, SHARE * abs(print_))
            for end, print_ in zip(self.ours(rows), self.published(), strict=True)
        ]

    def verdict(self, rows: CommittedRows) -> str:
        """In words."""
        found = [x for x in self.reproduced(rows) if x is not None]
        if not found:
            return f"not run ({self.cost})"
        missing = (
            f"; {len(self.settings) - len(found)} not run ({self.cost})" if len(found) < len(self.settings) else ""
        )
        some = f"{sum(found)} of {len(found)} reproduced" if any(found) else "not reproduced"
        head = "reproduced" if all(found) and not missing else some
        return head + missing + (f": {self.otherwise}" if self.otherwise else "")


def _rooms(method: str, batch: int, otherwise: str = "", cost: str = "") -> Claim:
    settings = tuple(f"temperature {tau}, batch {batch}" for tau in (0.001, 0.003, 0.005))
    what = f"{method} in Four-Rooms, batches of {batch} (BC-HG Fig. {2 if batch == 100 else 6}; τ = .001, .003, .005)"
    return Claim(what, "four-rooms", method, settings, otherwise, cost)


def _goals(method: str, otherwise: str = "", cost: str = "", made_by: str = "") -> Claim:
    settings = tuple(f"temperature {tau}, penalty weight {w}" for tau in (0.001, 0.003, 0.005) for w in (1, 3, 5))
    what = f"{method}, two goals (HPGD Table 1; τ = .001, .003, .005, each with weights 1, 3, 5)"
    return Claim(what, "four-rooms-two-goals", method, settings, otherwise, cost, made_by)


def _toy(method: str, otherwise: str = "") -> Claim:
    what = f"{method} in the toy game (BC-HG Fig. 4, 7; bonus 1, 2)"
    return Claim(what, "toy-game", method, ("bonus 1", "bonus 2"), otherwise)


def _thermal(method: str, otherwise: str = "") -> Claim:
    return Claim(f"{method} in thermal control (BC-HG Fig. 3)", "thermal-control", method, ("γ",), otherwise)


LONGER = "batches of 200 to 1000 take 2.6 core-hours"
EXACT = "3 minutes on a core for a setting"
TWO_GOALS = "10 minutes on a core for a setting"
CLAIMS = (
    _rooms("BC-HG", 100, "by the bias of its critic (local-optimum, sarsa-bias)"),
    _rooms("HPGD (oracle)", 100, "at τ = .005 in another optimum"),
    _rooms("HPGD (MC)", 100),
    _rooms("HPGD (SA)", 100, "whether seeds leave is up to the critic's rate (hpgd-sa-and-its-critic)"),
    _rooms("SoBiRL = Naive-PGD", 100),
    _rooms("BC-HG", 200, "some seeds leave, some do not (bc-hg-of-200-leaves-by-chance)", LONGER),
    _goals("AMD", "ours are the exact gradient's, which AMD's tables follow", EXACT, "exact hypergradient"),
    _goals("zero-order", "some seeds climb on, some do not", TWO_GOALS),
    _goals("HPGD (MC)", "", "more than 8 core-hours"),
    _thermal("BC-HG", "its estimates are almost all noise; variance-reduced ones reach the optimum (thermal-at-full-length)"),
    _thermal("Naive-PGD"),
    _thermal("HPGD (TD)", "Q_L by least squares in place of a network"),
    _thermal("HPGD (MC)", "below its start, as in print"),
    _toy("BC-HG", "noisy estimates step over a cliff (toy-cliff, toy-actions-summed-out)"),
    _toy("Naive-PGD", "it has no rest point (toy-naive-never-rests)"),
    _toy("Bi-AC", "exact values in place of networks"),
    Claim(
        "BC-HG in the LQR game (BC-HG Fig. 5)", "lqr-game", "BC-HG", ("100",),
        "its estimates are almost all noise; with the actions summed out it ends where the exact gradient does (lqr-optimum)",
    ),
    Claim("Naive-PGD in the LQR game (BC-HG Fig. 5)", "lqr-game", "Naive-PGD", ("100",)),
    Claim(
        "M-SoBiRL on the synthetic problem (SoBiRL Fig. 4)", "synthetic", "M-SoBiRL", ("10",),
        "without its lower-level gradient, too (synthetic-degenerate)",
    ),
)  # fmt: skip


def table(rows: CommittedRows, claims: Sequence[Claim] = CLAIMS) -> list[tuple[str, str, str, str]]:
    """(claim, published, ours at the published length, verdict) of each."""
    out = []
    for claim in claims:
        published = " / ".join(number(x) for x in claim.published())
        ours = " / ".join("–" if x is None else number(x) for x in claim.ours(rows))
        out.append((claim.claim, published, ours, claim.verdict(rows)))
    return out
