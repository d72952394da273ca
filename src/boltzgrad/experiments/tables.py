"""The summary table of an experiment, beside the published numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.experiments.experiment import Curve, Experiment, cosines
from boltzgrad.experiments.task import Row


def summary(experiment: Experiment, curves: dict[Curve, list[Row]]) -> list[dict[str, Any]]:
    """One row a curve: mean end value over seeds and its standard error, the best and worst seed, the published value,
    the mean cosine with ∇J, environment steps.  Of curves against a follower's budget `enough` is the smallest one from which
    on the leader's ascent ends near the reference's (`good_enough`), None where no budget does.
    """
    goals = {
        setting: good_enough(experiment, {c: r for c, r in curves.items() if c.setting == setting})
        for setting in dict.fromkeys(c.setting for c in curves)
    }
    out = []
    for curve, rows in curves.items():
        ends = np.array([experiment.read_end(r) for r in rows])
        cosine = np.concatenate([cosines(r) for r in rows])
        cosine = cosine[np.isfinite(cosine)]
        out.append(
            {
                "setting": curve.setting,
                "method": curve.label,
                "seeds": len(rows),
                "iterations": curve.arguments["iterations"],
                "end": float(ends.mean()),
                "standard_error": float(ends.std(ddof=1) / np.sqrt(ends.size)) if ends.size > 1 else None,
                "worst": float(ends.max() if experiment.lower_is_better else ends.min()),
                "best": float(ends.min() if experiment.lower_is_better else ends.max()),
                "published": curve.published,
                "cosine": float(cosine.mean()) if cosine.size else None,
                "steps": int(np.mean([r["total_steps"] for r in rows])),
                "rejected": int(sum(r["rejected"] for r in rows)),
            }
        )
        if curve.axis.decades:
            out[-1]["enough"] = _enough(experiment, curve, rows, goals[curve.setting])
    return out


ENOUGH = 0.95
"""Near the reference is what gains this share of what the reference gains from the same start."""


def good_enough(experiment: Experiment, curves: dict[Curve, list[Row]]) -> float | None:
    """The J at which a leader of this setting has gained enough; None without a reference along budgets."""
    for curve, rows in curves.items():
        if curve.reference and curve.axis.decades:
            start, end = (float(np.mean([r[name] for r in rows])) for name in ("start", "end"))
            return start + ENOUGH * (end - start)
    return None


def _enough(experiment: Experiment, curve: Curve, rows: list[Row], goal: float | None) -> float | None:
    """The smallest budget from which on the mean over seeds reaches the goal: a lucky one below others that fail is none."""
    if goal is None or curve.reference:
        return None
    mean = np.mean([experiment.read(r) for r in rows], axis=0)
    short = np.flatnonzero(mean > goal if experiment.lower_is_better else mean < goal)
    first = 0 if not short.size else int(short[-1]) + 1
    return None if first == mean.size else float(rows[0][curve.axis.field][first])


_BUDGET = f"budget for {ENOUGH:.0%} of the climb"
HEADINGS = ("method", "end ± s.e.", "worst … best seed", "published", "cosine with ∇J", "environment steps")


def headings(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """What stands over the rows of one setting."""
    return (*HEADINGS, _BUDGET) if any("enough" in row for row in rows) else HEADINGS


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A summary's row as text, in the order of `headings`."""
    error = ""
    if row["standard_error"] is not None:
        # Seeds that end at the same number up to rounding have no standard error to speak of.
        rounding = row["standard_error"] < 1e-9 * max(1.0, abs(row["end"]))
        error = " ± 0" if rounding else f" ± {number(row['standard_error'])}"
    return (
        row["method"] + (f" ({row['rejected']} steps refused)" if row["rejected"] else ""),
        number(row["end"]) + error,
        f"{number(row['worst'])} … {number(row['best'])}",
        "" if row["published"] is None else number(row["published"]),
        "" if row["cosine"] is None else f"{row['cosine']:.2f}",
        f"{row['steps']:,}" if row["steps"] else "model-based",
        *((f"{row['enough']:g}" if row["enough"] is not None else "–",) if "enough" in row else ()),
    )


def number(x: float) -> str:
    """Three decimals, or four significant digits for what is far from one.

    >>> number(0.54612), number(-196.23), number(3.2e-5)
    ('0.546', '-196.2', '3.2e-05')
    """
    if x == 0.0 or 1e-3 <= abs(x) < 100.0:
        return f"{x:.3f}"
    return f"{x:.1f}" if 100.0 <= abs(x) < 1e5 else f"{x:.1e}"


def as_text(table: list[dict[str, Any]]) -> str:
    """The table for a terminal, one block a setting."""
    blocks = []
    for setting in dict.fromkeys(row["setting"] for row in table):
        mine = [row for row in table if row["setting"] == setting]
        lines = [headings(mine), *(cells(row) for row in mine)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        rows = [
            "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
            for line in lines
        ]
        blocks.append("\n".join([setting, rows[0], "-" * len(rows[0]), *rows[1:]]))
    return "\n\n".join(blocks)


def as_markdown(table: list[dict[str, Any]]) -> str:
    """The table for a page, one a setting."""
    blocks = []
    for setting in dict.fromkeys(row["setting"] for row in table):
        mine = [row for row in table if row["setting"] == setting]
        lines = [headings(mine), ("---", *("---:",) * (len(headings(mine)) - 1)), *(cells(row) for row in mine)]
        blocks.append(f"**{setting}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(blocks)
