"""Pictures of a check: where bias and noise of several estimators lie, what the batches look like, how their mean settles.

Each function returns a `matplotlib.figure.Figure` that belongs to no window; save it with `figure.savefig(path)`.
Raises: MissingExtra without matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption, MissingExtra
from boltzgrad.verify.estimator_record import BiasVerdict, EstimatorCheck

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue, orange, grey: told apart by readers who do not see colours, and in print.
_COLOUR = {
    BiasVerdict.UNBIASED: "#1f6fb2",
    BiasVerdict.BIASED: "#d1601f",
    BiasVerdict.NOT_ENOUGH: "#7a8794",
    BiasVerdict.TAIL: "#8a6d3b",
    BiasVerdict.DEPENDENT: "#6f4fa0",
}
_MARK = {
    BiasVerdict.UNBIASED: "o",
    BiasVerdict.BIASED: "s",
    BiasVerdict.NOT_ENOUGH: "^",
    BiasVerdict.TAIL: "v",
    BiasVerdict.DEPENDENT: "D",
}
_INK, _SOFT = "#1d2733", "#c3ccd5"


def bias_variance(checks: Mapping[str, EstimatorCheck]) -> Figure:
    """Bias against the standard deviation of one batch, both relative to ‖∇J‖, one point an estimator.

    The bar is the interval of ‖bias‖, the short line the bias that would have been seen.  Where the interval reaches zero
    the bar ends in an arrow, and an estimate of zero is drawn at the upper bound.  Raises: InvalidOption, MissingExtra.
    """
    if not checks:
        raise InvalidOption("checks is empty; expected a mapping of names to checks of estimators")
    figure, (axes,) = _figure(7.2, 4.8)
    bounds = [check.relative_interval for check in checks.values()]
    marks = [check.detectable / check.scale for check in checks.values()]
    shown = [v for pair in bounds for v in pair if v > 0.0] + [m for m in marks if m > 0.0] + [1e-12]
    floor = min(v for v in shown if v > 1e-12 or max(shown) <= 1e-12) / 3.0
    deviations = [float(np.sqrt(c.variance)) / c.scale for c in checks.values()]
    least = min((x for x in deviations if x > 0.0), default=1.0)
    named: list[tuple[float, float]] = []
    for (name, check), (low, high), mark, spread in zip(checks.items(), bounds, marks, deviations, strict=True):
        colour = _COLOUR[check.verdict]
        x, high = max(spread, least / 10.0), max(high, floor)
        y = min(max(check.relative_bias, floor), high) if low > 0.0 else high
        axes.plot([x, x], [max(low, floor), high], color=colour, lw=2.0, solid_capstyle="butt", zorder=2)
        if low <= 0.0:
            axes.plot(x, floor, marker="v", ms=6, color=colour, zorder=2)
        face = colour if low > 0.0 else "white"
        axes.plot(x, y, marker=_MARK[check.verdict], ms=8, color=colour, mfc=face, mew=1.8, zorder=3)
        if mark > 0.0:
            axes.plot([x / 1.12, x * 1.12], [mark, mark], color=_INK, lw=1.6, zorder=4)
        # Points of nearly the same place have their names one above the other.
        near = sum(abs(np.log10(x / a)) < 0.6 and abs(np.log10(y / b)) < 0.35 for a, b in named)
        named.append((x, y))
        axes.annotate(name, (x, y), xytext=(9, 4 + 12 * near), textcoords="offset points", color=_INK, fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="√tr Σ of one batch / ‖∇J‖", ylabel="‖bias‖ / ‖∇J‖")
    axes.margins(x=0.22, y=0.08)
    for verdict in BiasVerdict:
        if any(check.verdict == verdict for check in checks.values()):
            axes.plot([], [], ls="", marker=_MARK[verdict], color=_COLOUR[verdict], label=str(verdict))
    axes.plot([], [], color=_INK, lw=1.6, label="detectable bias")
    axes.plot([], [], ls="", marker="o", color=_INK, mfc="white", label="upper bound only")
    _finish(axes, "Bias and noise of estimators", legend="best")
    return figure


def projections(check: EstimatorCheck) -> Figure:
    """Histograms of the batches along the exact gradient and along the estimated bias, with the exact value drawn in.

    Raises: MissingExtra.
    """
    figure, panels = _figure(9.6, 4.0, 2)
    bias = check.bias
    size = float(np.linalg.norm(bias))
    # A direction that the noise chose has the mean off by construction, and is called so.
    other = "the estimated bias" if check.verdict == BiasVerdict.BIASED else "the mean's own error"
    pairs = [
        ("along ∇J", check.gradient / check.norm if check.norm else None),
        (f"along {other}", bias / size if size else None),
    ]
    for axes, (title, unit) in zip(panels, pairs, strict=True):
        if unit is None:
            axes.text(0.5, 0.5, "no such direction: it is zero", ha="center", va="center", transform=axes.transAxes)
            axes.set_axis_off()
            continue
        values, exact = check.samples @ unit / check.scale, float(check.gradient @ unit) / check.scale
        beyond = _histogram(axes, values, exact, _COLOUR[check.verdict])
        axes.set(xlabel=f"batch {title} / {'‖∇J‖' if check.norm else '1'}", ylabel="batches")
        title = title[0].upper() + title[1:] + (f" ({beyond} outliers clipped)" if beyond else "")
        _finish(axes, title, legend="below")
    return figure


def convergence(check: EstimatorCheck) -> Figure:
    """The running mean: its distance from ∇J against 1/√n, and its projection on ∇J with a band of ± 2 standard errors.

    Raises: MissingExtra.
    """
    figure, (left, right) = _figure(9.6, 4.0, 2)
    n, colour = check.n, _COLOUR[check.verdict]
    count = np.arange(1, n + 1)
    running = np.cumsum(check.samples, axis=0) / count[:, None]
    distance = np.linalg.norm(running - check.gradient, axis=1) / check.scale
    expected = np.sqrt(check.variance / count) / check.scale
    left.plot(count, distance, color=colour, lw=1.8, label="‖running mean − ∇J‖")
    left.plot(count, expected, color=_INK, lw=1.2, ls="--", label="√(tr Σ/n): no bias")
    if check.verdict == BiasVerdict.BIASED:
        left.axhline(check.relative_bias, color=colour, lw=1.0, ls=":", label="estimated ‖bias‖")
    left.set(xscale="log", xlabel="batches", ylabel="relative to ‖∇J‖" if check.norm else "absolute")
    if distance.max() > 0.0:
        left.set_yscale("log")
    _finish(left, "Distance of the running mean", legend="lower left")

    unit = check.gradient / check.norm if check.norm else np.ones(check.d) / np.sqrt(check.d)
    values = check.samples @ unit / check.scale
    start = min(5, n - 1)  # before that the errors of the mean say nothing
    mean = np.cumsum(values) / count
    error = np.sqrt(np.maximum(np.cumsum(values**2) / count - mean**2, 0.0) / np.maximum(count - 1, 1))
    x, y, e = count[start:], mean[start:], error[start:]
    right.fill_between(x, y - 2.0 * e, y + 2.0 * e, color=colour, alpha=0.2, lw=0, label="± 2 standard errors")
    right.plot(x, y, color=colour, lw=1.8, label="running mean")
    right.axhline(float(check.gradient @ unit) / check.scale, color=_INK, lw=1.4, label="exact")
    right.set(xscale="log", xlabel="batches", ylabel="along ∇J / ‖∇J‖" if check.norm else "along (1, …, 1)/√d")
    _finish(right, "Projection of the running mean", legend="best")
    return figure


def _histogram(axes: Axes, values: Array, exact: float, colour: str) -> int:
    """Batches, their mean with two standard errors, and the exact value; how many far ones are drawn in the end bars."""
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
    low, high = np.quantile(values, [0.005, 0.995])
    low, high = min(float(low), exact), max(float(high), exact)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = low - 0.5 * max(abs(low), 1e-12), high + 0.5 * max(abs(high), 1e-12)
    bins = np.linspace(low, high, int(np.clip(2.0 * values.size ** (1 / 3) + 4, 8, 60))).tolist()
    cut = int(np.sum((values < low) | (values > high)))
    axes.hist(np.clip(values, low, high), bins=bins, color=_SOFT, edgecolor="white", lw=0.6, label="batches")
    axes.axvspan(mean - 2.0 * error, mean + 2.0 * error, color=colour, alpha=0.25, lw=0)
    axes.axvline(mean, color=colour, lw=2.0, label="mean ± 2 standard errors")
    axes.axvline(exact, color=_INK, lw=1.6, ls="--", label="exact")
    return cut


def _figure(width: float, height: float, panels: int = 1) -> tuple[Figure, list[Any]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib is needed for pictures: pip install 'boltzgrad[experiments]'") from error
    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _finish(axes: Axes, title: str, *, legend: Literal["best", "lower left", "below"]) -> None:
    axes.set_title(title, fontsize=10.5, color=_INK, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color=_SOFT, lw=0.5, alpha=0.6)
    axes.set_axisbelow(True)
    if legend == "below":
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=8, frameon=False)
    else:
        axes.legend(loc=legend, fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
