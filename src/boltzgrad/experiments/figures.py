"""Figures of an experiment: learning curves with bands, published end values as marks, and the cosine with ∇J beside them.

matplotlib is imported when a figure is drawn; figures are made without its global state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad.errors import MissingExtra
from boltzgrad.experiments.experiment import Curve, Experiment
from boltzgrad.experiments.task import Row
from boltzgrad.problems.kernel import Array

# Okabe–Ito, readable without colour vision; the exact gradient is black.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C564B",
    "#7F7F7F",
    "#BCBD22",
    "#9467BD",
    "#000080",
)
STYLES = ("-", "--", "-.")


def draw(experiment: Experiment, curves: dict[Curve, list[Row]]) -> dict[str, Any]:
    """One figure a setting, by a name fit for a file.  Raises: MissingExtra without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("figures need matplotlib: pip install 'boltzgrad[experiments]'") from None
    settings: dict[str, dict[Curve, list[Row]]] = {}
    for curve, rows in curves.items():
        settings.setdefault(curve.setting, {})[curve] = rows
    out = {}
    for setting, mine in settings.items():
        figure = Figure(figsize=(12.0, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
        _curves(left, experiment, mine)
        _cosines(right, mine)
        figure.suptitle(f"{experiment.title}: {setting}", x=0.01, ha="left", fontsize=11, fontweight="bold")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=8, frameon=False)
        out[slug(setting)] = figure
    return out


def slug(text: str) -> str:
    """A name for a file.

    >>> slug("temperature 0.003, batch 100")
    'temperature-0.003-batch-100'
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c == ".") else "-" for c in text.lower())
    return "-".join(part for part in kept.split("-") if part)


def save(figures: dict[str, Any], folder: Path, prefix: str) -> list[Path]:
    """Every figure as SVG and PNG; the same bytes for the same curves."""
    from matplotlib import rc_context

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with rc_context({"svg.hashsalt": "boltzgrad", "svg.fonttype": "none"}):
        for name, figure in figures.items():
            for suffix, options in (
                ("svg", {"metadata": {"Date": None}}),
                ("png", {"dpi": 120, "metadata": {"Software": None}}),
            ):
                path = folder / f"{prefix}-{name}.{suffix}"
                figure.savefig(path, **options)
                paths.append(path)
    return paths


def band(rows: list[Row], values: list[Array]) -> tuple[Array, Array, Array]:
    """(iterations, mean over seeds, standard error)."""
    x = np.asarray(rows[0]["iteration"], float)
    y = np.stack(values)
    n = len(y)
    error = y.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(y.shape[1])
    return x, y.mean(axis=0), error


def smooth(y: Array, width: int) -> Array:
    """A running mean over `width` points that ignores NaN; shorter at the ends."""
    good = np.isfinite(y)
    kernel = np.ones(width)
    total = np.convolve(np.where(good, y, 0.0), kernel, mode="same")
    count = np.convolve(good.astype(float), kernel, mode="same")
    return np.asarray(np.divide(total, count, out=np.full(y.size, np.nan), where=count > 0))


def _look(i: int, curve: Curve) -> dict[str, Any]:
    if curve.reference:
        return {"color": "black", "linewidth": 2.2, "zorder": 5}
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i // len(COLOURS) % 3], "linewidth": 1.3}


def _curves(axes: Any, experiment: Experiment, curves: dict[Curve, list[Row]]) -> None:
    last = 0.0
    for i, (curve, rows) in enumerate(curves.items()):
        x, mean, error = band(rows, [experiment.read(r) for r in rows])
        look = _look(i, curve)
        axes.plot(x, mean, label=curve.label, **look)
        axes.fill_between(x, mean - error, mean + error, color=look["color"], alpha=0.15, linewidth=0)
        last = max(last, float(x[-1]))
    for i, curve in enumerate(curves):
        if curve.published is not None:
            axes.plot(
                [last * 1.03],
                [curve.published],
                marker="<",
                markersize=7,
                clip_on=False,
                **{**_look(i, curve), "linestyle": ""},
            )
    axes.set_xlabel("iteration   (◂ published end values)")
    axes.set_ylabel(experiment.quantity)
    every = np.concatenate([experiment.read(r) for rows in curves.values() for r in rows])
    if experiment.lower_is_better and every.min() > 0.0 and every.max() > 20.0 * every.min():
        axes.set_yscale("log")
    axes.grid(alpha=0.25)


def _cosines(axes: Any, curves: dict[Curve, list[Row]]) -> None:
    for i, (curve, rows) in enumerate(curves.items()):
        values = [smooth(np.asarray(r["cosine"], float), max(1, len(r["cosine"]) // 20)) for r in rows]
        x = np.asarray(rows[0]["iteration"], float)
        stacked = np.stack(values)
        if np.isnan(stacked).all():
            continue
        axes.plot(x, np.nanmean(np.where(np.isnan(stacked).all(axis=0), 0.0, stacked), axis=0), **_look(i, curve))
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlabel("iteration")
    axes.set_ylabel("cosine of estimate and ∇J")
    axes.grid(alpha=0.25)
