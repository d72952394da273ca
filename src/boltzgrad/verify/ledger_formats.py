"""The ledger as text, JSON, LaTeX and Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from boltzgrad import derivations

if TYPE_CHECKING:
    from boltzgrad.verify.ledger import Entry, Ledger

HEADINGS = ("statement", "source", "how proved", "time", "random", "code", "mutants")


def cells(entry: Entry) -> tuple[str, ...]:
    """One row: name, source, methods, seconds, both defects, mutants rejected by proof and by numbers."""
    return (
        entry.name,
        entry.source.split(";")[0],
        "; ".join(entry.methods),
        f"{entry.seconds:.2f} s",
        f"{entry.defect:.0e}",
        "–" if entry.code_defect is None else f"{entry.code_defect:.0e}",
        f"{entry.rejected}/{entry.mutants}",
    )


def summary(ledger: Ledger) -> str:
    """One line about all."""
    entries = ledger.entries
    good, mutants = sum(e.ok for e in entries), sum(e.mutants for e in entries)
    rejected = sum(e.rejected for e in entries)
    claims = sum(e.claims for e in entries)
    return (
        f"{good} of {len(entries)} statements proved ({claims} claims, each decided on its own, in {ledger.seconds:.1f} s of "
        f"proofs), {rejected} of {mutants} mutants rejected; random instances of seed {ledger.seed}"
    )


def text(ledger: Ledger) -> str:
    """A table for a terminal, failures below it."""
    rows = [HEADINGS, *(cells(entry) for entry in ledger.entries)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    widths[1] = min(widths[1], 44)
    lines = []
    for entry, row in zip((None, *ledger.entries), rows, strict=True):
        mark = "  " if entry is None else "✓ " if entry.ok else "✗ "
        parts = [_cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append((mark + "  ".join(parts)).rstrip())
    for entry in ledger.entries:
        lines += [f"✗ {entry.name}: {failure}" for failure in entry.failures]
    return "\n".join([*lines, "", summary(ledger)])


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 1] + "…"


def json_text(ledger: Ledger) -> str:
    """Everything, with the LaTeX of each statement."""
    rows = [{**asdict(entry), "ok": entry.ok, "latex": derivations.get(entry.name).latex()} for entry in ledger.entries]
    return json.dumps({"ok": ledger.ok, "seed": ledger.seed, "statements": rows}, indent=2, ensure_ascii=False)


def markdown(ledger: Ledger) -> str:
    """A table with one row a statement, then the findings."""
    lines = ["| " + " | ".join(("", *HEADINGS)) + " |", "|" + "---|" * (len(HEADINGS) + 1)]
    for entry in ledger.entries:
        mark = "✓" if entry.ok else "✗"
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in (mark, *cells(entry))) + " |")
    lines += ["", summary(ledger) + "."]
    found = [entry for entry in ledger.entries if entry.finding]
    if found:
        lines += ["", "Findings:", "", *(f"- **{entry.name}**: {entry.finding}" for entry in found)]
    return "\n".join(lines)


def tex(ledger: Ledger) -> str:
    """A longtable: name, source, statement, method, defect, mutants (needs amsmath, amssymb, longtable)."""
    rows = [
        rf"\texttt{{{_escape(entry.name)}}} & {_escape(entry.source)} & {_escape('; '.join(entry.methods))} & "
        rf"{entry.defect:.0e} & {entry.rejected}/{entry.mutants} \\"
        "\n"
        rf"\multicolumn{{5}}{{l}}{{\footnotesize$\displaystyle {derivations.get(entry.name).latex()}$}} \\[1ex]"
        for entry in ledger.entries
    ]
    needs = "% needs \\usepackage{amsmath,amssymb,longtable}"
    head = r"statement & source & how proved & defect & mutants \\ \hline"
    return "\n".join([needs, r"\begin{longtable}{p{4cm}p{5cm}p{4cm}rr}", head, r"\endhead", *rows, r"\end{longtable}"])


_GREEK = {"∇": "nabla", "τ": "tau", "λ": "lambda", "θ": "theta", "γ": "gamma", "μ": "mu", "π": "pi"}
_SPECIAL = (
    {sign: rf"\{sign}" for sign in "&%_#"}
    | {sign: rf"$\{name}$" for sign, name in _GREEK.items()}
    | {
        "−": "$-$",
        "|": "$|$",
    }
)


def _escape(cell: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in cell)
