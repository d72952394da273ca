"""The agreement report as one self-contained page: table, heat map of pairwise differences, largest entries."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from boltzgrad.families.registry import family_of
from boltzgrad.verify.style import HEAD, STYLE, css_class, exponent, heat
from boltzgrad.verify.tolerances import Verdict

if TYPE_CHECKING:
    from boltzgrad.verify.report import AgreementReport, Row


def page(report: AgreementReport) -> str:
    """The whole page; no script, no outside resource."""
    lines = str(report).splitlines()
    title = escape(lines[0])
    parts = [
        HEAD,
        f"<title>{title}</title><style>{STYLE}</style></head><body>",
        f"<h1>{title}</h1><p class='soft'>{escape(lines[1])}</p>",
        f"<p class='{'agrees' if report.ok else 'disagrees'}'><strong>{escape(report.summary())}</strong></p>",
        f"<div class='scroll'>{_table(report)}</div><p class='soft'>{escape(lines[-2])}</p>",
        f"<h2>Pairwise differences</h2>{_heat_map(report)}",
        f"<h2>The gradient's largest entries</h2>{_bars(report)}",
        *(
            f"<h2>{escape(title)}</h2>{figure}"
            for title, figure in family_of(report.reference.problem).pictures(report.reference)
        ),
        "</body></html>",
    ]
    return "\n".join(parts)


def _table(report: AgreementReport) -> str:
    head = "".join(f"<th>{h}</th>" for h in ("route", "J", "‖∇J‖", "worst |Δ|", "allowed", "seconds", "verdict"))
    rows = []
    for row in report.rows:
        *cells, verdict = report._cells(row)
        name = f"<td title='{escape(row.summary, quote=True)}'>{escape(cells[0])}</td>"
        numbers = "".join(f"<td>{escape(c)}</td>" for c in cells[1:])
        rows.append(f"<tr>{name}{numbers}<td class='{css_class(row.verdict)}'>{escape(verdict)}</td></tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _seen(a: Row, b: Row) -> float:
    """The largest difference of two routes in what both can say, relative to the reference's scale."""
    if a.gradient is None or b.gradient is None:
        return float("nan")
    if a.directions is None and b.directions is None:
        return float(np.abs(a.gradient - b.gradient).max())
    if a.directions is not None and b.directions is not None:
        return float("nan") if a is not b else 0.0
    full, slopes = (a, b) if a.directions is None else (b, a)
    assert slopes.directions is not None
    assert full.gradient is not None
    assert slopes.gradient is not None
    return float(np.abs(slopes.directions @ full.gradient - slopes.gradient).max())


def _heat_map(report: AgreementReport) -> str:
    rows = [row for row in report.rows if row.gradient is not None]
    scale = float(np.abs(report.reference.gradient).max()) or 1.0
    cell, left, top = 46, 130, 110
    n = len(rows)
    out = []
    for i, a in enumerate(rows):
        out.append(f"<text x='{left - 8}' y='{top + i * cell + 28}' text-anchor='end'>{escape(a.route)}</text>")
        x, y = left + i * cell + 26, top - 8
        out.append(f"<text transform='translate({x},{y}) rotate(-40)'>{escape(a.route)}</text>")
        for j, b in enumerate(rows):
            relative = _seen(a, b) / scale
            x, y = left + j * cell, top + i * cell
            if np.isnan(relative):
                ground, label, ink = "fill='none'", "·", "style='fill:var(--soft)'"
            else:
                ground, label, ink = (
                    f"class='heat' style='--heat:{heat(relative):.2f}'",
                    exponent(relative),
                    "class='heat'",
                )
            out.append(
                f"<rect x='{x}' y='{y}' width='{cell - 2}' height='{cell - 2}' rx='3' {ground} stroke='var(--line)'>"
                f"<title>{escape(a.route)} – {escape(b.route)}: {relative:.2e}</title></rect>"
                f"<text x='{x + cell / 2 - 1}' y='{y + 28}' text-anchor='middle' {ink}>{label}</text>"
            )
    width, height = left + n * cell + 90, top + n * cell + 10
    return (
        f"<figure><div class='scroll'><svg viewBox='0 0 {width} {height}' width='{width}' role='img' "
        f"aria-label='pairwise differences'>{''.join(out)}</svg></div><figcaption>log₁₀ of the largest difference "
        "between two routes, relative to ‖∇J‖_∞ (= none at all); a dot where two routes looked along different "
        "directions.</figcaption></figure>"
    )


def _bars(report: AgreementReport, most: int = 16) -> str:
    gradient = report.reference.gradient
    order = np.argsort(-np.abs(gradient))[:most]
    top = float(np.abs(gradient[order]).max()) or 1.0
    bar, left, half = 20, 60, 260
    out = [f"<line x1='{left + half}' y1='0' x2='{left + half}' y2='{len(order) * (bar + 6)}' stroke='var(--soft)'/>"]
    for k, j in enumerate(order):
        y, length = k * (bar + 6) + 3, half * abs(gradient[j]) / top
        x = left + half - (length if gradient[j] < 0 else 0)
        # The number stands on the empty side of the axis.
        tx, anchor = (left + half + 6, "start") if gradient[j] < 0 else (left + half - 6, "end")
        out.append(
            f"<text x='{left - 8}' y='{y + 15}' text-anchor='end'>θ[{j}]</text>"
            f"<rect x='{x:.1f}' y='{y}' width='{max(length, 0.5):.1f}' height='{bar}' fill='var(--bar)'/>"
            f"<text x='{tx}' y='{y + 15}' text-anchor='{anchor}'>{gradient[j]:.6g}</text>"
        )
    height = len(order) * (bar + 6) + 6
    against = [r for r in report.rows if r.verdict == Verdict.DISAGREES]
    names = ", ".join(r.route for r in against)
    note = f" Routes that disagree: {escape(names)}." if names else ""
    return (
        f"<figure><svg viewBox='0 0 {left + 2 * half + 10} {height}' width='{left + 2 * half + 10}' role='img' "
        f"aria-label='largest entries'>{''.join(out)}</svg><figcaption>Entries of ∇J by size, from the reference.{note}"
        "</figcaption></figure>"
    )
