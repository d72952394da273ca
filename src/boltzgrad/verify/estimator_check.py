"""`check_estimator`: whether a sample-based hypergradient estimator is unbiased."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import InvalidOption
from boltzgrad.families.registry import hypergradient
from boltzgrad.verify import statistics, tails
from boltzgrad.verify.estimator_record import BiasVerdict, EstimatorCheck
from boltzgrad.verify.sampling import Estimator, Stream, as_samples, as_weights
from boltzgrad.verify.sign_flips import flip_test, inverse
from boltzgrad.verify.tolerances import SAFETY, VALUE_RESOLUTION, Yardstick, witness_allowance

FEWEST = 20
# The four statistics of `sign_flips` and the test of the silent coordinates: the joint p-value is corrected for five.
TESTS = 5
# Sign vectors, so that 20 of them are expected beyond the level of each test.
_BEYOND = 20
_DOUBLINGS = 6
# Beyond these a note says what the tests cannot see: N(0, 1); a share of a sum of squares; a share of a standard error.
_HEAVY, _NEGLIGIBLE = 0.5, 0.1
# How often independent batches are taken to depend on one another, about: log-normal ones with σ = 2 up to 20 times as often.
_DEPENDENT = 1e-3


@dataclass(frozen=True)
class _Options:
    seed: int
    level: float
    power: float
    resolution: float
    looks: int = 1


@dataclass(frozen=True, eq=False)
class _Exact:
    """∇J (d,), its rounding (d,), and the proved bound on its error (NaN where unknown)."""

    gradient: Array
    rounding: Array | float = 0.0
    bound: float = float("nan")


def check_estimator(
    estimator: Estimator,
    problem: Any,
    theta: Any,
    *,
    n_batches: int = 200,
    seed: int = 0,
    level: float = 0.01,
    power: float = 0.9,
    resolution: float = 0.1,
    reference: Any = None,
    sequential: bool = False,
    max_batches: int | None = None,
) -> EstimatorCheck:
    """Draw batches from an estimator and test whether their mean is the exact hypergradient.

    `estimator` is a function (problem, theta, rng) -> (d,), or an object with batches(problem, theta, n, rng) -> (n, d).
    An unbiased estimator is called biased with probability at most `level`.  It is called unbiased only if a bias of
    `resolution`·‖∇J‖, in whatever direction, would have been seen with probability `power`; else more batches are needed.
    `sequential` doubles the batches from `n_batches` up to `max_batches` (64 times as many) until the answer is in; the
    level is shared out evenly among the looks (Bonferroni), so it holds wherever the doubling stops.
    `reference` is an exact gradient (d,) or an earlier result of `hypergradient` for this problem at this θ.
    A self-normalised estimator gives pairs: (problem, theta, rng) -> ((d,), weight), or batches(…) -> ((n, d), (n,)).

    Where the batches' own tails may hide what the tests see, the verdict is "cannot tell: tail too heavy"; where batches
    depend on one another, that, with the lag.  Assumes: no rare event, unseen in all batches, with jumps beyond what
    those seen suggest.
    Source: the statistics are those of `verify.sign_flips`, `verify.statistics` and `verify.tails`.
    Raises: InvalidOption, InvalidSamples, what the estimator raises, and what `hypergradient` raises.

    >>> import boltzgrad as bg
    >>> from boltzgrad.verify import check_estimator
    >>> problem = bg.problems.load("synthetic-hard")
    >>> theta = problem.initial_theta(seed=1)
    >>> exact = bg.hypergradient(problem, theta).gradient
    >>> check = check_estimator(lambda p, t, rng: 0.8 * exact + 0.01 * rng.standard_normal(100), problem, theta)
    >>> check.ok, check.direction()
    (False, 'too short by 20 %: its mean is 0.8·∇J (cosine of the bias -1.000)')
    """
    options = _options(seed, level, power, resolution)
    n = _count("n_batches", n_batches, FEWEST)
    if max_batches is not None and not sequential:
        raise InvalidOption("max_batches is for sequential=True; give n_batches alone for a fixed number")
    most = n if not sequential else _count("max_batches", 2**_DOUBLINGS * n if max_batches is None else max_batches, n)
    exact = _exact(hypergradient(problem, theta) if reference is None else reference)
    start = problem.check_theta(theta)
    if exact.gradient.shape != start.shape:
        raise InvalidOption(f"reference has shape {exact.gradient.shape}, theta {start.shape}; expected the same")
    if isinstance(reference, Hypergradient) and not np.array_equal(reference.theta, start):
        raise InvalidOption("reference is a hypergradient at another theta; expected one at the theta of the check")
    if isinstance(reference, Hypergradient) and reference.problem is not problem:
        _refuse_anothers(reference, hypergradient(problem, theta))
    stream = Stream(estimator, problem, start, np.random.default_rng(options.seed))
    sizes = [n]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    name = str(getattr(problem, "name", ""))
    samples = stream.draw(n)
    for look, size in enumerate(sizes, start=1):
        samples = np.concatenate([samples, stream.draw(size - len(samples))]) if size > len(samples) else samples
        check = _assess(
            samples, exact, options, weights=stream.weights, name=name, look=look, looks=len(sizes), drawn=stream.random
        )
        if check.verdict in (BiasVerdict.UNBIASED, BiasVerdict.BIASED, BiasVerdict.DEPENDENT):
            break
    return check


def check_samples(
    samples: Any,
    gradient: Any,
    *,
    seed: int = 0,
    level: float = 0.01,
    power: float = 0.9,
    resolution: float = 0.1,
    weights: Any = None,
    name: str = "",
) -> EstimatorCheck:
    """The same record from batches (n, d) that were drawn elsewhere, and the exact gradient (d,).

    `weights` (n,), none negative, are those of a self-normalised estimator, Σ w_i Y_i/Σ w_i.  `seed` is for the sign vectors of
    the test.  Raises: InvalidOption, InvalidSamples.
    """
    options, exact = _options(seed, level, power, resolution), _exact(gradient)
    array = as_samples(samples, exact.gradient.size)
    _count("the number of batches", len(array), FEWEST)
    weighed = None if weights is None else as_weights(weights, len(array))
    return _assess(array, exact, options, weights=weighed, name=name, look=1, looks=1)


def _assess(
    samples: Array,
    exact: _Exact,
    options: _Options,
    *,
    weights: Array | None = None,
    name: str,
    look: int,
    looks: int,
    drawn: bool = True,
) -> EstimatorCheck:
    """The record of the batches so far, at this look of so many.

    With weights the batches are what they contribute to the self-normalised mean, g + (w_i/w̄)(Y_i − g): to first order in
    1/√n its law, and unbiased exactly if E[w (Y − g)] = 0.  `drawn`: whether chance had a hand in them, as far as is known.
    """
    if weights is not None:
        samples = exact.gradient + (weights / weights.mean())[:, None] * (samples - exact.gradient)
    n, d = samples.shape
    gradient, level = exact.gradient, options.level / looks
    norm = float(np.linalg.norm(gradient))
    scale, each = norm or 1.0, level / TESTS
    # The exact gradient is known up to its own error: the null hypothesis is that box, tested at its nearest point.
    own = 2.0 * SAFETY * exact.rounding
    rows = samples - (gradient + np.clip(samples.mean(axis=0) - gradient, -own, own))
    bias = rows.mean(axis=0)
    # A coordinate that moves by no more than rounding is silent, and is right if it is off by no more than that.
    eps = float(np.finfo(float).eps)
    sampled = 2.0 * SAFETY * eps * np.abs(samples).max(axis=0)
    silent = np.ptp(samples, axis=0) <= np.maximum(sampled, own)
    off = silent & (np.abs(bias) > own + sampled)
    live = np.where(silent, 0.0, rows)
    reach = float(np.abs(live).max())

    p_silent = np.ones(d)
    p_silent[off] = np.minimum(statistics.silence_p(bias[off], reach, n) * d, 1.0)
    blocks = statistics.merged(live)
    rng = np.random.default_rng(np.random.SeedSequence(options.seed, spawn_key=(look,)))
    unit = gradient / scale
    found = flip_test(blocks, unit, level=each, flips=int(np.ceil(_BEYOND / each)), rng=rng)
    tests = {**found.p_values, "silent": float(p_silent.min())}
    correction = TESTS * looks
    coordinate_p = np.minimum(correction * np.where(silent, p_silent, found.coordinate_p), 1.0)
    p_value = min(correction * min(tests.values()), 1.0)

    s = statistics.spread(live)
    u = statistics.squared_norm(rows)
    visible = statistics.detectable(s, level=each, power=options.power)
    along = statistics.detectable_along(live, unit, level=each, power=options.power) if norm else float("nan")
    intervals = gradient[:, None] + _box(blocks, found.critical) + np.where(silent, bias, 0.0)[:, None]
    outside = np.maximum(np.maximum(intervals[:, 0] - gradient, gradient - intervals[:, 1]), 0.0)
    outside[silent & (coordinate_p > options.level)] = 0.0
    low, high = statistics.norm_interval(u, s, level - each)
    # The test knows about skewed batches, this bound does not: it is zero unless the test rejects.
    low = max(low, float(np.linalg.norm(outside))) if p_value <= options.level else 0.0

    wanted = options.resolution * scale
    unexplained = float(np.linalg.norm(bias[off & (coordinate_p > options.level)]))
    needed = int(np.ceil(n * (visible / wanted) ** 2))
    if unexplained > wanted:
        worst = float(np.abs(bias[off & (coordinate_p > options.level)]).max())
        needed = max(needed, int(np.ceil(statistics.silence_needs(worst, reach, each / d))))
    # A rejection stands if no mean that the tails leave possible would explain it; of a silent coordinate, on its own p-value.
    rejected, beyond = p_value <= options.level, 1.0
    certain = tests["silent"] * correction <= options.level and not (drawn and silent.all())
    if rejected and not silent.all():
        beyond = correction * tails.beyond_tails(
            live,
            unit,
            float(bias[silent] @ unit[silent]),
            level=level,
            each=each,
            flips=int(np.ceil(_BEYOND / each)),
            rng=rng,
        )
    sizes = tails.unseen(live, level)
    hidden = np.maximum(*sizes)
    lag, correlation = statistics.dependence(live, _DEPENDENT)
    if lag:
        verdict = BiasVerdict.DEPENDENT
    elif rejected:
        verdict = BiasVerdict.BIASED if certain or beyond <= options.level else BiasVerdict.TAIL
    elif max(visible, unexplained) > wanted:
        verdict = BiasVerdict.NOT_ENOUGH
    else:
        verdict = BiasVerdict.UNBIASED if visible + float(hidden.max()) <= wanted else BiasVerdict.TAIL
    spread = np.where(silent, 1.0, live.std(axis=0))
    noise = statistics.noise_of_square(s)
    return EstimatorCheck(
        verdict=verdict,
        samples=samples,
        gradient=gradient,
        name=name,
        seed=options.seed,
        level=options.level,
        power=options.power,
        resolution=options.resolution,
        looks=look,
        flips=found.flips,
        p_value=p_value,
        tests=tests,
        statistic=u / noise if noise else (float("inf") if off.any() else 0.0),
        coordinate_p=coordinate_p,
        intervals=intervals,
        silent=silent,
        variance=s.trace,
        squared_bias=u,
        bias_interval=(low, max(low, high) + float(np.linalg.norm(hidden))),  # and what tails have not shown
        detectable=visible,
        detectable_along=along,
        needed=needed,
        beyond_tails=min(beyond, 1.0),
        tail=float((hidden / spread).max()),
        lag=lag,
        notes=tuple(_notes(live, silent, off, coordinate_p, exact, options.level, scale, bias, (lag, correlation))),
    )


def _box(blocks: Array, critical: float) -> Array:
    """Simultaneous intervals (d, 2) for the bias of the live coordinates: where |H| stays below `critical`."""
    m = len(blocks)
    mean, sd = blocks.mean(axis=0), blocks.std(axis=0)
    skewness = ((blocks - mean) ** 3).mean(axis=0) / np.where(sd > 0.0, sd, 1.0) ** 3
    limits = [inverse(np.full(mean.size, h), skewness, m) for h in (critical, -critical)]
    return np.stack([mean - t * sd / np.sqrt(m - 1) for t in limits], axis=1)


def _notes(
    live: Array,
    silent: Array,
    off: Array,
    p: Array,
    exact: _Exact,
    level: float,
    scale: float,
    bias: Array,
    dependence: tuple[int, float],
) -> list[str]:
    """What a reader has to know besides the numbers."""
    n, notes = len(live), []
    if not np.any(exact.gradient):
        notes.append("∇J = 0: sizes are absolute, not relative to ‖∇J‖")
    if silent.all():
        notes.append(
            "every batch is the same: the estimator is deterministic, or ignores its generator; compared exactly"
        )
        return notes
    if np.any(off):
        size = float(np.linalg.norm(bias[off])) / scale
        where = (
            f"{off.sum()} coordinates that no batch moved (the first is {np.flatnonzero(off)[0]}) are off by {size:.2g}"
        )
        sure = (
            "too much for a rare event" if p[off].min() <= level else "biased, or what moves them has not happened yet"
        )
        notes.append(f"{where} of ‖∇J‖: {sure}")
    lag, correlation = dependence
    if lag:
        notes.append(
            f"batches {lag} apart are correlated ({correlation:.1f} standard deviations): no error here is right"
        )
    heavy = statistics.heaviest_batch(live)
    if np.any(heavy > _HEAVY):
        j = int(np.argmax(heavy))
        notes.append(
            f"in {(heavy > _HEAVY).sum()} coordinates (most in {j}) one batch of {n} has over half of the variance: "
            "rarer and larger ones would go unseen, and the level is approximate"
        )
    smallest = float((live.std(axis=0, ddof=1) / np.sqrt(n))[~silent].min())
    rounding = float(np.max(exact.rounding))
    if not exact.bound <= _NEGLIGIBLE * smallest and rounding > _NEGLIGIBLE * smallest:
        notes.append(
            f"the exact gradient's own error ({rounding:.1g}) is not negligible against the smallest standard "
            f"error ({smallest:.1g})"
        )
    return notes


def _exact(reference: Any) -> _Exact:
    if isinstance(reference, Hypergradient):
        return _Exact(reference.gradient, reference.rounding, reference.error_bound)
    array = np.asarray(reference)
    if array.ndim != 1 or not array.size or not (array.dtype.kind in "fiu" and np.isfinite(array).all()):
        raise InvalidOption(
            f"the exact gradient has shape {array.shape} and type {array.dtype}; expected d finite real numbers, "
            "or a result of bg.hypergradient"
        )
    return _Exact(array.astype(np.float64))


def _refuse_anothers(reference: Hypergradient, own: Hypergradient) -> None:
    """Raise InvalidOption if a reference of another object is not this problem's, either."""
    off = np.abs(reference.gradient - own.gradient)
    values = abs(reference.value - own.value) <= VALUE_RESOLUTION * own.value_scale
    if not (values and np.all(off <= witness_allowance(Yardstick.of(own), reference.rounding))):
        raise InvalidOption(
            f"reference is a hypergradient of another problem: J = {reference.value:.6g} there, {own.value:.6g} here; "
            f"∇J differs by {off.max():.2g} in θ[{int(np.argmax(off))}]"
        )


def _options(seed: Any, level: Any, power: Any, resolution: Any) -> _Options:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InvalidOption(f"seed is {seed!r}; expected a whole number, 0 or more (it is printed with the result)")
    limits = {"level": (level, 1e-4, 0.2), "power": (power, 0.5, 0.9999), "resolution": (resolution, 1e-9, 1e9)}
    for name, (value, low, high) in limits.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not low <= value <= high:
            raise InvalidOption(f"{name} is {value!r}; expected a number between {low:g} and {high:g}")
    return _Options(int(seed), float(level), float(power), float(resolution))


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InvalidOption(f"{name} is {value!r}; expected a whole number, {least} or more")
    return int(value)
