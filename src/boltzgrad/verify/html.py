"""The agreement report as one self-contained page: table, heat map of pairwise differences, largest entries."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from boltzgrad.verify.pictures import pictures
from boltzgrad.verify.tolerances import Verdict

if TYPE_CHECKING:
    from boltzgrad.verify.report import AgreementReport, Row

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6b7b; --line: #d5dde5; --paper: #ffffff; --bar: #3b6ea8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4eaf0; --soft: #9fb0c0; --line: #33414f; --paper: #141b22; --bar: #7fb0e6; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
       max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.35rem; margin-bottom: .2rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
p.soft, figcaption { color: var(--soft); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
td:last-child { white-space: normal; min-width: 10rem; }
.agrees { color: #1a7f4b; } .disagrees, .not-smooth { color: #c0392b; font-weight: 600; }
.cannot-tell, .failed { color: #b7791f; } .skipped, .reference { color: var(--soft); }
@media (prefers-color-scheme: dark) { .agrees { color: #5fd39a; } .disagrees, .not-smooth { color: #ff8a7a; } }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
figure { margin: 0; }
"""


def page(report: AgreementReport) -> str:
    """The whole page; no script, no outside resource."""
    lines = str(report).splitlines()
    title = escape(lines[0])
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1><p class='soft'>{escape(lines[1])}</p>",
        f"<p class='{'agrees' if report.ok else 'disagrees'}'><strong>{escape(report.summary())}</strong></p>",
        f"<div class='scroll'>{_table(report)}</div><p class='soft'>{escape(lines[-2])}</p>",
        f"<h2>Pairwise differences</h2>{_heat_map(report)}",
        f"<h2>The gradient's largest entries</h2>{_bars(report)}",
        *(f"<h2>{escape(title)}</h2>{figure}" for title, figure in pictures(report.reference)),
        "</body></html>",
    ]
    return "\n".join(parts)


def _table(report: AgreementReport) -> str:
    head = "".join(f"<th>{h}</th>" for h in ("route", "J", "‖∇J‖", "max |Δ|", "allowed", "seconds", "verdict"))
    rows = []
    for row in report.rows:
        *cells, verdict = report._cells(row)
        kind = str(row.verdict).replace(" ", "-")
        name = f"<td title='{escape(row.summary, quote=True)}'>{escape(cells[0])}</td>"
        numbers = "".join(f"<td>{escape(c)}</td>" for c in cells[1:])
        rows.append(f"<tr>{name}{numbers}<td class='{kind}'>{escape(verdict)}</td></tr>")
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
                fill, label, ink = "none", "·", "var(--soft)"
            else:
                # 1e-16 and below is cool, 1e-2 and above is hot.
                power = np.log10(max(relative, 1e-17))
                heat = min(max((power + 16.0) / 14.0, 0.0), 1.0)
                fill = f"hsl({210 - 200 * heat:.0f} {35 + 40 * heat:.0f}% {82 - 32 * heat:.0f}%)"
                label, ink = ("=" if relative == 0.0 else f"{power:.0f}"), "#14202b"
            out.append(
                f"<rect x='{x}' y='{y}' width='{cell - 2}' height='{cell - 2}' rx='3' fill='{fill}' stroke='var(--line)'>"
                f"<title>{escape(a.route)} – {escape(b.route)}: {relative:.2e}</title></rect>"
                f"<text x='{x + cell / 2 - 1}' y='{y + 28}' text-anchor='middle' style='fill:{ink}'>{label}</text>"
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
