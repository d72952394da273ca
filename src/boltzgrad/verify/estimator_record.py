"""What a check of an estimator found: the record, its verdict, and how they are shown as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BiasedEstimator

# A bias is called a matter of length alone when its cosine with ±∇J is at least this.
_ALIGNED = 0.98
_SHOWN = 3


class BiasVerdict(StrEnum):
    """What the batches say about an estimator."""

    UNBIASED = "unbiased"
    BIASED = "biased"
    NOT_ENOUGH = "not enough batches"
    TAIL = "cannot tell: tail too heavy"
    DEPENDENT = "cannot tell: batches depend on one another"


@dataclass(frozen=True, eq=False)
class EstimatorCheck:
    """The batches of an estimator held against the exact gradient.

    `samples` (n, d), one batch a row; `gradient` (d,), the exact ∇J; both as given.  `p_value` is the joint test's, of the
    smallest of `tests` (by name, uncorrected), corrected for their number and for the looks; it can
    be no smaller than `flips` sign vectors show; `statistic` the estimate of
    ‖bias‖² in units of its own noise (Chen & Qin).  `coordinate_p` (d,) and `intervals` (d, 2), for the mean of the
    estimator, hold for all coordinates at once, at the joint test's level or better.  `silent` (d,) marks coordinates that
    took one value in all batches.  `bias_interval` bounds ‖bias‖ with probability 1 − level.  `detectable` is the size
    of bias, in whatever direction, that these batches would have shown with probability `power`, `detectable_along`
    the same along ±∇J.  `beyond_tails` is the p-value against every mean that the tails leave possible (1 where nothing was
    rejected), `tail` the largest of what a tail may hide [J/θ_j], relative to the spread of its coordinate [1], `lag` the lag
    at which batches depend on one another, or 0.  `needed` is about how many batches would resolve `resolution`·‖∇J‖.
    """

    verdict: BiasVerdict
    samples: Array = field(repr=False)
    gradient: Array = field(repr=False)
    name: str
    seed: int
    level: float
    power: float
    resolution: float
    looks: int
    flips: int
    p_value: float
    tests: dict[str, float]
    statistic: float
    coordinate_p: Array = field(repr=False)
    intervals: Array = field(repr=False)
    silent: Array = field(repr=False)
    variance: float
    squared_bias: float
    bias_interval: tuple[float, float]
    detectable: float
    detectable_along: float
    needed: int
    beyond_tails: float = 1.0
    tail: float = 0.0
    lag: int = 0
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """The number of batches."""
        return len(self.samples)

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return int(self.gradient.size)

    @property
    def ok(self) -> bool:
        """Whether the estimator was found unbiased, at the stated power."""
        return self.verdict == BiasVerdict.UNBIASED

    @property
    def mean(self) -> Array:
        """The mean of the batches (d,)."""
        return np.asarray(self.samples.mean(axis=0))

    @property
    def bias(self) -> Array:
        """The mean minus the exact gradient (d,)."""
        return self.mean - self.gradient

    @property
    def standard_error(self) -> Array:
        """The standard error of the mean (d,)."""
        return np.asarray(self.samples.std(axis=0, ddof=1) / np.sqrt(self.n))

    @property
    def norm(self) -> float:
        """‖∇J‖."""
        return float(np.linalg.norm(self.gradient))

    @property
    def scale(self) -> float:
        """What relative numbers are relative to: ‖∇J‖, or 1 where ∇J = 0."""
        return self.norm or 1.0

    @property
    def mse(self) -> float:
        """The mean of ‖batch − ∇J‖²."""
        return float(np.mean(np.sum((self.samples - self.gradient) ** 2, axis=1)))

    @property
    def relative_bias(self) -> float:
        """‖bias‖/‖∇J‖, from the unbiased estimate of ‖bias‖²; zero where that is negative."""
        return float(np.sqrt(max(self.squared_bias, 0.0))) / self.scale

    @property
    def relative_interval(self) -> tuple[float, float]:
        """Bounds on ‖bias‖/‖∇J‖ that hold with probability 1 − level."""
        return self.bias_interval[0] / self.scale, self.bias_interval[1] / self.scale

    @property
    def rejected(self) -> Array:
        """The coordinates that are biased, by their corrected p-values."""
        return np.flatnonzero(self.coordinate_p <= self.level)

    @property
    def mean_cosine(self) -> float:
        """The mean cosine of a single batch with ∇J (a batch of zeros counts as 0); NaN where ∇J = 0."""
        sizes = np.linalg.norm(self.samples, axis=1)
        return float(np.mean(self.samples @ self._unit / np.where(sizes > 0.0, sizes, 1.0)))

    @property
    def cosine_of_mean(self) -> float:
        """The cosine of the mean of all batches with ∇J; NaN where either is zero."""
        size = float(np.linalg.norm(self.mean))
        return float(self.mean @ self._unit) / size if size else float("nan")

    @property
    def signal_to_noise(self) -> float:
        """‖∇J‖/√tr Σ of one batch."""
        return self.norm / float(np.sqrt(self.variance)) if self.variance else float("inf")

    @property
    def effective_batch(self) -> float:
        """How many batches are worth one ∇J, tr Σ/‖∇J‖²: averaged, their ‖standard error‖ √(tr Σ/n) is ‖∇J‖."""
        return 0.0 if not self.variance else self.variance / self.norm**2 if self.norm else float("inf")

    @property
    def _unit(self) -> Array:
        return self.gradient / self.norm if self.norm else np.full(self.d, np.nan)

    def raise_if_biased(self) -> None:
        """Raise BiasedEstimator unless `ok`, with the verdict, the direction of the bias, or the batches needed."""
        if not self.ok:
            raise BiasedEstimator(f"{self._title()}: {self.summary()}")

    def direction(self) -> str:
        """The direction of the bias in words: its cosine with ∇J and its largest coordinates."""
        largest = self._largest()
        size = float(np.sqrt(self.squared_bias)) if self.squared_bias > 0.0 else float(np.linalg.norm(self.bias))
        if not self.norm or not size:
            return largest
        cosine = float(np.clip(self.bias @ self._unit / size, -1.0, 1.0))
        stretch = float(self.bias @ self._unit) / self.norm
        if abs(cosine) < _ALIGNED:
            return f"cosine with ∇J {cosine:+.2f}; {largest}"
        mean = f"its mean is {1.0 + stretch:.3g}·∇J (cosine of the bias {cosine:+.3f})"
        if stretch > 0.0:
            return f"too long by {_percent(stretch)}: {mean}"
        return f"it points the other way: {mean}" if stretch < -1.0 else f"too short by {_percent(-stretch)}: {mean}"

    def summary(self) -> str:
        """One sentence: the verdict and what it rests on."""
        of = "‖∇J‖" if self.norm else "1, since ∇J = 0"
        fewest = 0.0 < min(self.tests.values()) <= 1.0 / (1.0 + self.flips)
        p = f"p {'≤' if fewest else '='} {self.p_value:.2g}"
        seen = _percent(self.detectable / self.scale)
        along = f" ({_percent(self.detectable_along / self.scale)} along ∇J)" if self.norm else ""
        if self.ok and not self.variance:
            return "unbiased: every batch is the same, and equals the exact gradient to rounding"
        if self.verdict == BiasVerdict.UNBIASED:
            return (
                f"unbiased at the stated power: a bias of {seen} of {of} in any direction{along} "
                f"would have been seen with probability {self.power:g}; {p}"
            )
        low, high = self.relative_interval
        if self.verdict == BiasVerdict.DEPENDENT:
            return (
                f"cannot tell: batches {self.lag} apart are correlated; every statement here is for independent batches "
                "(average what belongs together into one batch, or thin them)"
            )
        if self.verdict == BiasVerdict.TAIL and not self.variance:
            return (
                f"cannot tell: all {self.n} batches are the same, off by {_percent(self.relative_bias)} of {of}: a wrong "
                "estimator without noise, or one whose rare event has not happened yet"
            )
        if self.verdict == BiasVerdict.TAIL:
            seen_bias = f"{_percent(self.relative_bias)} of {of}, {p}, but " if self.p_value <= self.level else ""
            return (
                f"cannot tell: tail too heavy for n = {self.n}: {seen_bias}what the tails have not shown yet may move a "
                f"mean by {self.tail:.2g} of its coordinate's spread; draw more batches, or larger ones"
            )
        if self.verdict == BiasVerdict.BIASED:
            return (
                f"biased by {_percent(self.relative_bias)} of {of} (between {_percent(low)} and {_percent(high)}), "
                f"{p}; direction: {self.direction()}"
            )
        return (
            f"not enough batches: {self.n} show a bias of {seen} of {of} with probability {self.power:g}, "
            f"{_percent(self.resolution)} was asked for: need about {self.needed}; so far {p}, bias at most {_percent(high)}"
        )

    def __str__(self) -> str:
        low, high = self.relative_interval
        tests = ", ".join(f"{name} {p:.2g}" for name, p in self.tests.items())
        rows = [
            ("‖∇J‖, ‖mean‖", f"{self.norm:.6g}, {np.linalg.norm(self.mean):.6g}; cosine {self.cosine_of_mean:.4f}"),
            ("‖bias‖/‖∇J‖", f"{self.relative_bias:.3g}, within [{low:.3g}, {high:.3g}] at {1.0 - self.level:g}"),
            ("one batch", f"√variance {np.sqrt(self.variance):.4g}, √mse {np.sqrt(self.mse):.4g}, "
                          f"cosine {self.mean_cosine:.3f}, signal to noise {self.signal_to_noise:.3g}"),
            ("effective batch", f"{self.effective_batch:.3g} batches averaged have ‖standard error‖ = ‖∇J‖"),
            ("detectable", f"{self.detectable / self.scale:.3g} in any direction, " + (
                f"{self.detectable_along / self.scale:.3g} along ∇J, " if self.norm else "")
                + f"with probability {self.power:g}"),
            ("joint test", f"p {self.p_value:.2g} at level {self.level:g}; one by one: {tests}"),
            ("coordinates", f"{len(self.rejected)} of {self.d} rejected" + (
                f": {', '.join(map(str, self.rejected[:12]))}{', …' if len(self.rejected) > 12 else ''}"
                if len(self.rejected) else "")),
        ]  # fmt: skip
        width = max(len(name) for name, _ in rows)
        lines = [self._title(), "", *(f"{name.ljust(width)}  {text}" for name, text in rows), ""]
        return "\n".join([*lines, *(f"Note: {note}." for note in self.notes), self.summary()])

    def to_dict(self) -> dict[str, Any]:
        """Everything but the samples, as plain numbers, lists and text.  NaN and infinity become None."""
        return {
            "problem": self.name,
            "ok": self.ok,
            "verdict": str(self.verdict),
            "summary": self.summary(),
            "notes": list(self.notes),
            **{
                k: getattr(self, k)
                for k in ("n", "d", "seed", "level", "power", "resolution", "looks", "flips", "needed", "lag")
            },
            **{k: _finite(getattr(self, k)) for k in _NUMBERS},
            "tests": {name: _finite(p) for name, p in self.tests.items()},
            "bias_interval": [_finite(x) for x in self.bias_interval],
            "relative_interval": [_finite(x) for x in self.relative_interval],
            "rejected": self.rejected.tolist(),
            "silent": np.flatnonzero(self.silent).tolist(),
            **{k: getattr(self, k).tolist() for k in _ARRAYS},
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """The record as JSON, for machines; the samples are left out."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def _title(self) -> str:
        looks = f" in {self.looks} looks" if self.looks > 1 else ""
        return f"{self.name or 'estimator'}: {self.n} batches{looks}, d = {self.d}, seed {self.seed}"

    def _largest(self) -> str:
        pool = self.rejected if len(self.rejected) else np.arange(self.d)
        order = pool[np.argsort(-np.abs(self.bias[pool]))][:_SHOWN]
        error = self.standard_error
        entries = ", ".join(
            f"θ[{j}] {self.mean[j]:.4g} for {self.gradient[j]:.4g}"
            + (f" ± {error[j]:.1g}" if not self.silent[j] else "")
            for j in order
        )
        return f"largest in {entries}"


_NUMBERS = (
    "p_value", "statistic", "norm", "variance", "mse", "squared_bias", "relative_bias", "detectable", "detectable_along",
    "mean_cosine", "cosine_of_mean", "signal_to_noise", "effective_batch", "beyond_tails", "tail",
)  # fmt: skip
_ARRAYS = ("gradient", "mean", "bias", "standard_error", "intervals", "coordinate_p")


def _percent(x: float) -> str:
    return f"{100.0 * x:.2g} %" if x < 0.995 else f"{100.0 * x:.0f} %" if x < 100.0 else f"{x:.3g} times"


def _finite(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None
