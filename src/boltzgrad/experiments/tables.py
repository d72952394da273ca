"""The summary table of an experiment, beside the published numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.experiments.experiment import Curve, Experiment, cosines
from boltzgrad.experiments.task import Row


def summary(experiment: Experiment, curves: dict[Curve, list[Row]]) -> list[dict[str, Any]]:
    """One row a curve: mean end value over seeds and its standard error, the best and worst seed, the published value,
    the mean cosine with ∇J, environment steps and seconds.
    """
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
    return out


HEADINGS = ("method", "end ± s.e.", "worst … best seed", "published", "cosine with ∇J", "environment steps")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A summary's row as text, in the order of `HEADINGS`."""
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
        lines = [HEADINGS, *(cells(row) for row in table if row["setting"] == setting)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
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
        lines = [HEADINGS, ("---", *("---:",) * (len(HEADINGS) - 1))]
        lines += [cells(row) for row in table if row["setting"] == setting]
        blocks.append(f"**{setting}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(blocks)
