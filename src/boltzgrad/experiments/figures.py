"""Figures of an experiment: learning curves with bands, published end values as marks, and the cosine with ∇J beside them.

matplotlib is imported when a figure is drawn; figures are made without its global state.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import MissingExtra
from boltzgrad.experiments import tables
from boltzgrad.experiments.experiment import ITERATIONS, Axis, Curve, Experiment, cosines
from boltzgrad.experiments.task import Row

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
_OF_A_GRID = re.compile(r"( (?:sarsa|rate) [0-9.]+)+$")  # what tells the curves of one method's grid apart


def few(experiment: Experiment, curves: dict[Curve, list[Row]], most: int = 6) -> dict[Curve, list[Row]]:
    """At most so many of each setting: the reference, what was published, then what ends best; in their own order."""

    def rank(curve: Curve) -> tuple[bool, bool, float]:
        end = float(np.mean([experiment.read_end(r) for r in curves[curve]]))
        return not curve.reference, curve.published is None, end if experiment.lower_is_better else -end

    kept: set[Curve] = set()
    for setting in dict.fromkeys(c.setting for c in curves):
        kept |= set(sorted((c for c in curves if c.setting == setting), key=rank)[:most])
    return {c: rows for c, rows in curves.items() if c in kept}


def draw(experiment: Experiment, curves: dict[Curve, list[Row]]) -> dict[str, Any]:
    """One figure a setting, by a name fit for a file.  Raises: MissingExtra without matplotlib."""
    require()
    from matplotlib.figure import Figure

    settings: dict[str, dict[Curve, list[Row]]] = {}
    for curve, rows in curves.items():
        settings.setdefault(curve.setting, {})[curve] = rows
    out = {}
    for setting, mine in settings.items():
        mine = dict(sorted(mine.items(), key=lambda item: not item[0].reference))  # the reference first
        mine, labels, behind = best_of_grids(experiment, mine)
        columns = 1 + len(mine) // 25
        height = max(4.6, 0.5 + 0.19 * (len(mine) / columns + 3))
        figure = Figure(figsize=(11.5 + 1.8 * (columns - 1), height), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.3, 1.0))
        looks = _looks(list(mine))
        for curve, others in behind.items():  # the rest of its grid, pale
            for rows in others:
                x, mean, _ = band(rows, [experiment.read(r) for r in rows], curve.axis)
                left.plot(x, mean, color=looks[curve]["color"], linewidth=0.5, alpha=0.35)
        _curves(left, experiment, mine, looks)
        _cosines(right, mine, looks)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            _along(axes, mine)
            axes.margins(x=0.02)
            axes.grid(alpha=0.25, linewidth=0.6)
        figure.suptitle(f"{experiment.title}: {setting}", x=0.01, ha="left", fontsize=11, fontweight="bold")
        handles, names = left.get_legend_handles_labels()
        seeds = max(len(rows) for rows in mine.values())
        figure.legend(
            handles,
            [labels.get(name, name) for name in names],
            loc="outside right upper",
            fontsize=8,
            frameon=False,
            ncols=columns,
            title="mean ± standard error\n" + (f"of {seeds} seeds" if seeds > 1 else "(one seed)"),
            title_fontsize=8,
            alignment="left",
        )
        out[slug(setting)] = figure
    return out


def best_of_grids(
    experiment: Experiment, curves: dict[Curve, list[Row]]
) -> tuple[dict[Curve, list[Row]], dict[str, str], dict[Curve, list[list[Row]]]]:
    """(the best curve of each method's grid, what to call it by its label, and the rows of the others).

    Curves whose labels differ in a "sarsa 0.5" or "rate 0.1" at the end are a grid, as the papers search one.
    """
    grids: dict[str, list[Curve]] = {}
    for curve in curves:
        grids.setdefault(_OF_A_GRID.sub("", curve.label), []).append(curve)

    def end(curve: Curve) -> float:
        value = float(np.mean([experiment.read_end(r) for r in curves[curve]]))
        return -value if experiment.lower_is_better else value

    best, labels, behind = {}, {}, {}
    for method, grid in grids.items():
        head = max(grid, key=end)
        best[head] = curves[head]
        behind[head] = [curves[c] for c in grid if c is not head]
        if len(grid) > 1:
            labels[head.label] = f"{method} (best of {len(grid)}:{head.label.removeprefix(method)})"
    return best, labels, behind


def require() -> None:
    """Raises: MissingExtra without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("figures need matplotlib (or --no-plots): pip install 'boltzgrad[experiments]'")


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
                ("png", {"dpi": 150, "metadata": {"Software": None}}),
            ):
                path = folder / f"{prefix}-{name}.{suffix}"
                figure.savefig(path, **options)
                paths.append(path)
    return paths


def band(rows: list[Row], values: list[Array], axis: Axis = ITERATIONS) -> tuple[Array, Array, Array]:
    """(iterations or budgets, mean over seeds, standard error)."""
    x = np.asarray(rows[0][axis.field], float)
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


def _along(axes: Any, curves: dict[Curve, list[Row]]) -> None:
    """Budgets in decades, each with its number; iterations in whole numbers."""
    curve, rows = next(iter(curves.items()))
    if curve.axis.decades:
        budgets = rows[0][curve.axis.field]
        axes.set_xscale("log")
        axes.set_xticks(budgets, [f"{b:,}" for b in budgets], fontsize=8)
        axes.minorticks_off()
    else:
        axes.xaxis.get_major_locator().set_params(integer=True)


def _marked(look: dict[str, Any], curve: Curve) -> dict[str, Any]:
    """A few budgets are points, not a curve; the reference needs none of them."""
    return look if not curve.axis.decades or curve.reference else {**look, "marker": "o", "markersize": 3.5}


def _looks(curves: list[Curve]) -> dict[Curve, dict[str, Any]]:
    """Black for the reference, a colour (then a dash) of its own for each other curve."""
    out: dict[Curve, dict[str, Any]] = {}
    for curve in curves:
        i = sum(not c.reference for c in out)
        out[curve] = (
            {"color": "black", "linewidth": 2.2, "zorder": 5}
            if curve.reference
            else {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i // len(COLOURS) % 3], "linewidth": 1.4}
        )
    return out


def _curves(axes: Any, experiment: Experiment, curves: dict[Curve, list[Row]], looks: dict[Curve, Any]) -> None:
    means = {}
    for curve, rows in curves.items():
        x, mean, error = band(rows, [experiment.read(r) for r in rows], curve.axis)
        means[curve] = mean
        axes.plot(x, mean, label=curve.label, **_marked(looks[curve], curve))
        axes.fill_between(x, mean - error, mean + error, color=looks[curve]["color"], alpha=0.15, linewidth=0)
    every = np.concatenate([experiment.read(r) for rows in curves.values() for r in rows])
    marks = np.array([c.published for c in curves if c.published is not None])
    squeezed = marks.size > 1 and np.ptp(marks) < 0.02 * np.ptp(every)  # what was published would be one point
    if (experiment.lower_is_better or squeezed) and every.min() > 0.0 and every.max() > 20.0 * every.min():
        axes.set_yscale("log")
    elif (limits := _the_climb(curves, means) or worth_seeing(curves, means)) is not None:
        axes.set_ylim(*limits)
    _published(axes, curves, looks)
    axis = next(iter(curves)).axis
    if axis.decades and (goal := tables.good_enough(experiment, curves)) is not None:
        axes.axhline(goal, color="black", linewidth=0.8, linestyle=":", label=f"{tables.ENOUGH:.0%} of the climb")
    axes.set_xlabel(axis.label)
    axes.set_ylabel(experiment.quantity)


def worth_seeing(curves: dict[Curve, list[Row]], means: dict[Curve, Array]) -> tuple[float, float] | None:
    """Limits around the reference and what was published, where a curve goes so far that nothing else could be seen."""
    core = [means[c] for c in curves if c.reference] + [np.array([m[0]]) for m in means.values()]
    core.append(np.array([c.published for c in curves if c.published is not None]))
    shown, every = np.concatenate(core), np.concatenate(list(means.values()))
    shown, every = shown[np.isfinite(shown)], every[np.isfinite(every)]
    span = float(np.ptp(shown)) if shown.size else 0.0
    if not any(c.reference for c in curves) or span == 0.0 or np.ptp(every) <= 10.0 * span:
        return None
    low, high = max(every.min(), shown.min() - span), min(every.max(), shown.max() + span)
    return float(low - 0.05 * span), float(high + 0.05 * span)


def _the_climb(curves: dict[Curve, list[Row]], means: dict[Curve, Array]) -> tuple[float, float] | None:
    """Limits around what the reference climbs, where curves along budgets go further than twice that."""
    ends = [(r["start"], r["end"]) for c, rows in curves.items() if c.reference and c.axis.decades for r in rows]
    if not ends:
        return None
    low, high = float(np.min(ends)), float(np.max(ends))
    span, every = high - low, np.concatenate(list(means.values()))
    if span == 0.0 or np.ptp(every) <= 2.0 * span:
        return None
    return max(float(every.min()) - 0.05 * span, low - 0.5 * span), min(
        float(every.max()), high + 0.5 * span
    ) + 0.1 * span


def _published(axes: Any, curves: dict[Curve, list[Row]], looks: dict[Curve, Any]) -> None:
    """Marks right of the panel at the end values in print, side by side where they would cover each other."""
    across = axes.get_yaxis_transform()
    marked = [c for c in curves if c.published is not None]
    for curve in marked:  # first, as these marks move the limits
        axes.plot([1.015], [curve.published], marker="<", linestyle="", transform=across, alpha=0.0)
    axes.set_ylim(*axes.get_ylim())
    taken: list[tuple[float, int]] = []
    for curve in dict.fromkeys(marked):
        _, y = axes.transAxes.inverted().transform(axes.transData.transform((0.0, curve.published)))
        place = next(i for i in range(len(marked)) if all(i != j or abs(y - z) > 0.028 for z, j in taken))
        taken.append((float(y), place))
        axes.plot(
            [1.015 + 0.025 * place],
            [curve.published],
            marker="<",
            markersize=7,
            markeredgecolor="black",
            markeredgewidth=0.4,
            linestyle="",
            color=looks[curve]["color"],
            transform=across,
            clip_on=False,
            gid="published",
        )
    if marked:
        axes.plot([], [], marker="<", markersize=7, linestyle="", color="0.6", label="published end value")


def _cosines(axes: Any, curves: dict[Curve, list[Row]], looks: dict[Curve, Any]) -> None:
    width = 1
    for curve, rows in curves.items():
        width = max(1, len(rows[0]["cosine"]) // 10)
        stacked = np.stack([smooth(cosines(r), width) for r in rows])
        good = np.isfinite(stacked)
        if not good.any():
            continue
        count, total = good.sum(axis=0), np.where(good, stacked, 0.0).sum(axis=0)
        mean = np.divide(total, count, out=np.full(total.size, np.nan), where=count > 0)  # a gap where no seed has one
        axes.plot(np.asarray(rows[0][curve.axis.field], float), mean, **_marked(looks[curve], curve))
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_ylim(-1.05, 1.05)
    label = next(iter(curves)).axis.label
    axes.set_xlabel(label + (f"   (running mean of {width} points)" if width > 1 else ""))
    axes.set_ylabel("cosine of estimate and ∇J")
