"""The agreement report: rows, verdict, and how they are shown as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad import __version__
from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.model_check import ModelCheck
from boltzgrad.errors import GradientMismatch
from boltzgrad.verify.tolerances import SAFETY, Verdict, Yardstick

# What `to_json` writes and `verify.collection` reads; the number after the stroke changes when a key changes its meaning.
FORMAT = "boltzgrad-verification/2"

# Notes longer than this stand below the table, wrapped.
_INLINE, _WIDTH = 32, 112


@dataclass(frozen=True, eq=False)
class Row:
    """One route of a report.

    `gradient` (d,), or slopes (k,) along `directions` (k, d).  `difference` is the largest from the reference, at
    entry `where`, measured by what was allowed there, `allowed` (for the reference itself, its proved error bound);
    `allowances` (d,) or (k,) are those of all entries, `relative` the largest difference in natural steps beside ‖∇J‖_∞.
    """

    route: str
    summary: str
    verdict: Verdict | str
    value: float = float("nan")
    gradient: Array | None = None
    directions: Array | None = None
    difference: float = 0.0
    where: int = 0
    allowed: float = float("nan")
    allowances: Array | None = None
    relative: float = float("nan")
    seconds: float = 0.0
    note: str = ""
    independent: bool = True

    @property
    def norm(self) -> float:
        """‖∇J‖₂ where the whole gradient is there, else NaN."""
        return (
            float("nan")
            if self.gradient is None or self.directions is not None
            else float(np.linalg.norm(self.gradient))
        )

    @property
    def place(self) -> str:
        """Where the largest difference is, in words."""
        return f"coordinate {self.where}" if self.directions is None else f"direction {self.where}"


@dataclass(frozen=True, eq=False)
class AgreementReport:
    """The reference and every witness.

    `model` is the check of the model's own derivative.  `ok` is true when that is its slope, no witness disagrees, J is smooth,
    and at least one independent witness agrees.
    """

    problem: Any
    reference: Hypergradient
    rows: tuple[Row, ...]

    @property
    def model(self) -> ModelCheck:
        """Whether the model repeats itself, and its derivative is its slope."""
        return self.reference.model_check

    @property
    def agreeing(self) -> tuple[Row, ...]:
        """Independent witnesses that agree."""
        return tuple(r for r in self.rows if r.verdict == Verdict.AGREES and r.independent)

    @property
    def against(self) -> tuple[Row, ...]:
        """Witnesses that disagree, or say that J is not smooth."""
        return tuple(r for r in self.rows if r.verdict in (Verdict.DISAGREES, Verdict.NOT_SMOOTH))

    @property
    def ok(self) -> bool:
        """Whether the reference hypergradient is confirmed."""
        return self.model.ok and bool(self.agreeing) and not self.against

    def raise_if_disagree(self) -> None:
        """Raise GradientMismatch unless `ok`, naming the route, the coordinate, the difference and what was allowed."""
        if self.ok:
            return
        if not self.model.ok:
            raise GradientMismatch(f"{self._title()}: {Verdict.MODEL}: {self.model}")
        if not self.against:
            reasons = "; ".join(f"{r.route}: {r.verdict}{f' ({r.note})' if r.note else ''}" for r in self.rows[1:])
            raise GradientMismatch(
                f"{self._title()}: no witness could confirm the reference. {reasons or 'None was run.'}"
            )
        raise GradientMismatch("\n".join(self._complaint(row) for row in self.against))

    def summary(self) -> str:
        """One line: what the witnesses say."""
        counts = {v: sum(r.verdict == v for r in self.rows) for v in Verdict}
        parts = [
            f"{counts[v]} {'agree' if (v, counts[v] > 1) == (Verdict.AGREES, True) else v}"
            for v in Verdict
            if counts[v]
        ]
        if self.ok:
            nearest = min(self.agreeing, key=lambda r: r.relative)
            furthest = max(self.agreeing, key=lambda r: r.relative)
            span = f"{nearest.relative:.0e} ({nearest.route})"
            if furthest is not nearest:
                span += f" … {furthest.relative:.0e} ({furthest.route})"
            verdict = f"AGREEMENT to {span} of ‖∇J‖_∞"
        elif not self.model.ok:
            verdict = f"MODEL'S DERIVATIVE IS WRONG: {self.model.array or self.model.kind}"
        elif self.against:
            verdict = "DISAGREEMENT: " + ", ".join(f"{r.route} {r.verdict}" for r in self.against)
        elif counts[Verdict.ZERO] and not counts[Verdict.CANNOT_TELL]:
            verdict = "ZERO TO ROUNDING: ∇J is zero as far as rounding tells, and nothing can be confirmed"
        else:
            verdict = "CANNOT TELL: no independent witness agrees"
        return f"{verdict}; witnesses: {', '.join(parts) or 'none'}"

    def __str__(self) -> str:
        reference = self.reference
        lines = [self._title(), f"follower: {reference.solution}", ""]
        head = ("route", "J", "‖∇J‖", "worst |Δ|", "allowed", "seconds", "verdict")
        table = [head, *(self._cells(row) for row in self.rows)]
        widths = [max(len(r[i]) for r in table) for i in range(len(head))]
        for k, cells in enumerate(table):
            text = "  ".join(
                c.ljust(w) if i in (0, 6) else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
            )
            lines.append(text.rstrip())
            if k == 0:
                lines.append("─" * len(text))
        notes = [f"{row.route}: {row.note}" for row in self.rows if len(row.note) > _INLINE]
        lines += ["", *(line for note in notes for line in textwrap.wrap(note, _WIDTH, subsequent_indent="  "))]
        lines += [""] * bool(notes) + [
            f"Reference: proved |error| ≤ {_number(reference.error_bound)} in every entry"
            f"{' (vacuous)' if reference.vacuous else ''}, "
            f"estimated {_number(reference.error_estimate)}; allowed = {SAFETY:g} × (2 × rounding + the witness's own).",
            *self._zeros(),
            f"Model: {self.model}.",
            self.summary(),
        ]
        return "\n".join(lines)

    def _zeros(self) -> list[str]:
        """What is to be known of entries that cannot be told from zero, where not all of them are."""
        zero = Yardstick.of(self.reference).zero
        count = int(zero.sum())
        if not 0 < count < zero.size:
            return []
        return [
            f"{count} of {zero.size} entries of ∇J are zero as far as their rounding tells: their size is confirmed, no more."
        ]

    def to_json(self, *, indent: int | None = 2) -> str:
        """The report as JSON, for machines (`boltzgrad report` among them).  NaN and infinity become null.

        `found` and `expected` are the route's and the reference's number where they differ most, at `at`; `complaint` is
        the evidence of a route that disagrees or is not smooth, in words.
        """
        reference = self.reference
        data = {
            "format": FORMAT,
            "version": __version__,
            "problem": getattr(self.problem, "name", ""),
            "options": recipe[1] if (recipe := getattr(self.problem, "recipe", None)) else None,
            "size": reference.size,
            "solution": reference.solution,
            "ok": self.ok,
            "model": {"ok": self.model.ok, "kind": self.model.kind, "said": str(self.model)},
            "summary": self.summary(),
            "theta": reference.theta.tolist(),
            "value": _finite(reference.value),
            "gradient": _entries(reference.gradient),
            "error_bound": _finite(reference.error_bound),
            "error_estimate": _finite(reference.error_estimate),
            "rows": [
                {
                    "route": row.route,
                    "summary": row.summary,
                    "verdict": str(row.verdict),
                    "independent": row.independent,
                    "value": _finite(row.value),
                    "gradient_norm": _finite(row.norm),
                    "gradient": None if row.gradient is None or row.directions is not None else _entries(row.gradient),
                    "slopes": None if row.directions is None or row.gradient is None else _entries(row.gradient),
                    "difference": _finite(row.difference) if row.gradient is not None else None,
                    "at": row.place if row.gradient is not None else None,
                    "found": None if row.gradient is None else _finite(row.gradient[row.where]),
                    "expected": None if row.gradient is None else _finite(self._seen(row)),
                    "allowed": _finite(row.allowed),
                    "relative": _finite(row.relative),
                    "seconds": row.seconds,
                    "note": row.note,
                    "complaint": self._complaint(row) if row in self.against else None,
                }
                for row in self.rows
            ],
        }
        return json.dumps(data, indent=indent, ensure_ascii=False)

    def to_html(self) -> str:
        """The report as one self-contained HTML page, with the pairwise differences and the largest entries drawn."""
        from boltzgrad.verify.html import page

        return page(self)

    def _title(self) -> str:
        reference = self.reference
        return f"{getattr(self.problem, 'name', '') or 'problem'}: {reference.size}, d = {reference.theta.size}"

    def _cells(self, row: Row) -> tuple[str, ...]:
        verdict = str(row.verdict) + (f" — {row.note}" if 0 < len(row.note) <= _INLINE else "")
        if row.gradient is None:
            took = f"{row.seconds:.2f}" if row.seconds else ""
            return (row.route, "", "", "", "", took, verdict)
        difference = "" if row.verdict == "reference" else f"{row.difference:.1e}"
        norm = "" if np.isnan(row.norm) else f"{row.norm:.9g}"
        allowed = "" if row.verdict == "reference" else _number(row.allowed)
        return (row.route, f"{row.value:.12g}", norm, difference, allowed, f"{row.seconds:.3f}", verdict)

    def _seen(self, row: Row) -> float:
        """What the reference says where a route differs most from it."""
        gradient = self.reference.gradient
        return float(gradient[row.where] if row.directions is None else row.directions[row.where] @ gradient)

    def _complaint(self, row: Row) -> str:
        if row.verdict == Verdict.NOT_SMOOTH or row.gradient is None:
            return f"{self._title()}: {row.route}: {row.note}"
        others = ", ".join(r.route for r in self.agreeing) or "no other route"
        message = (
            f"{self._title()}: {row.place}: {row.route} {row.gradient[row.where]:.12g}, reference {self._seen(row):.12g}; "
            f"difference {row.difference:.3g}, allowed {row.allowed:.3g} ({SAFETY:g} × the estimated errors of both). "
            f"With the reference: {others}."
        )
        if row.difference <= row.allowed:
            message += f" The values differ: J = {row.value:.12g} against {self.reference.value:.12g}."
        return message


def _number(x: float) -> str:
    return "∞" if np.isinf(x) else f"{x:.1e}"


def _entries(x: Array) -> list[float | None]:
    return [_finite(float(v)) for v in x]


def _finite(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None
