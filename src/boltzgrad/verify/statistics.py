r"""What samples of an estimator say about the size of its bias, and what they could have said.

Everything here is a function of the rows $Y_i$ (n, d), a batch minus the exact gradient, with mean b (the bias) and
covariance Σ.  The squared size of the bias is estimated without bias by the U-statistic

$U = \frac{1}{n(n-1)}\sum_{i\ne j} Y_i\cdot Y_j = \|\bar Y\|^2 - \operatorname{tr}\hat\Sigma/n$,
$\quad \operatorname{var} U \approx 2\operatorname{tr}\Sigma^2/n^2 + 4\,b^\top\Sigma b/n$

(Chen & Qin, Ann. Stat. 38, 2010).  In the worst direction $b^\top\Sigma b = \lambda_{\max}\|b\|^2$, which makes
every bound below hold whichever way the bias points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from boltzgrad.core.arrays import Array
from boltzgrad.verify.sign_flips import inverse

# More rows than this are merged into blocks of consecutive ones before the tests: less skewed, and bounded work.
MOST_ROWS = 512
LAGS = 10
"""The furthest lag at which batches are looked at for dependence."""


@dataclass(frozen=True)
class Spread:
    """tr Σ, an estimate of tr Σ² and of the largest eigenvalue of Σ (no more than √tr Σ²), from n rows.

    `skewness` is that of the mean of the rows along the largest eigenvector.
    """

    n: int
    trace: float
    trace_of_square: float
    largest: float
    skewness: float = 0.0


def merged(rows: Array) -> Array:
    """At most `MOST_ROWS` means of consecutive rows, all of the same number; a remainder is left out."""
    size = -(-len(rows) // MOST_ROWS)
    count = len(rows) // size
    return np.asarray(rows[: count * size].reshape(count, size, -1).mean(axis=1))


def spread(rows: Array) -> Spread:
    """The covariance of one row in three numbers; tr Σ² without the diagonal, which is biased for d > n."""
    n = len(rows)
    trace = float(rows.var(axis=0, ddof=1).sum())
    blocks = merged(rows)
    m, size = len(blocks), len(rows) // len(blocks)
    centred = (blocks - blocks.mean(axis=0)) * np.sqrt(size)
    gram = centred @ centred.T
    off = gram - np.diag(np.diag(gram))
    square = float((off**2).sum() / (m * (m - 1)))
    values, vectors = np.linalg.eigh(gram)
    largest, score = float(values[-1]) / (m - 1), vectors[:, -1]
    # A unit vector: Σ score³ is the skewness of the rows over √m, which is that of their mean; its sign is arbitrary.
    skewness = abs(float((score**3).sum()))
    # tr Σ² is at least (tr Σ)²/d and at least what one eigenvalue has; a noisy estimate is kept within reason.
    square = min(max(square, trace**2 / rows.shape[1]), trace**2)
    return Spread(n, trace, square, min(largest, float(np.sqrt(square))), skewness)


def squared_norm(rows: Array) -> float:
    """The unbiased estimate of ‖b‖²; it can be negative."""
    return float(np.sum(rows.mean(axis=0) ** 2) - rows.var(axis=0, ddof=1).sum() / len(rows))


def noise_of_square(s: Spread) -> float:
    """The standard deviation of U for an unbiased estimator."""
    return float(np.sqrt(2.0 * s.trace_of_square)) / s.n


def threshold(s: Spread, level: float) -> float:
    """The U that an unbiased estimator exceeds with probability `level`, about.

    A sum of squares of correlated normals: Satterthwaite's χ², and no less than its largest eigenvalue's own χ², or the
    square of the t that Hall's transform asks for against the skewness there.
    """
    freedom = s.trace**2 / s.trace_of_square
    all_of_it = s.trace_of_square / s.trace * float(special.chdtri(freedom, level)) - s.trace
    one_of_it = s.largest * (_asked(float(special.ndtri(1.0 - level / 2.0)), s.skewness) ** 2 - 1.0)
    return max(all_of_it, one_of_it) / s.n


def _asked(quantile: float, skewness: float) -> float:
    """The largest |t| whose transform is ± `quantile`; `skewness` is the mean's (of rows: over √n)."""
    return float(np.abs(inverse(np.array([quantile, -quantile]), np.array(skewness), 1)).max())


def detectable(s: Spread, *, level: float, power: float) -> float:
    """The size of bias, in whatever direction, that a test of U at `level` sees with probability `power`.

    r² − threshold = z √(var₀ + 4 λ r²/n), solved for r; z the normal quantile of `power`.
    """
    if s.trace == 0.0:
        return 0.0
    z, a = max(float(special.ndtri(power)), 0.0), threshold(s, level)
    half = a + 2.0 * z**2 * s.largest / s.n
    return float(np.sqrt(half + np.sqrt(half**2 - a**2 + (z * noise_of_square(s)) ** 2)))


def detectable_along(rows: Array, direction: Array, *, level: float, power: float) -> float:
    """The size of bias along ± a unit direction (d,) that a two-sided test of H sees with probability `power`.

    On the side on which skewness hides it: a bias against the long tail takes a larger t to be believed.
    """
    n = len(rows)
    along = rows @ direction
    error = float(along.std(ddof=1)) / np.sqrt(n)
    centred = along - along.mean()
    skewness = float(np.mean(centred**3)) / (float(np.mean(centred**2)) ** 1.5 or 1.0) / np.sqrt(n)
    quantile = _asked(float(special.stdtrit(n - 1, 1.0 - level / 2.0)), skewness)
    return float(error * (quantile + max(special.stdtrit(n - 1, power), 0.0)))


def norm_interval(u: float, s: Spread, level: float) -> tuple[float, float]:
    """Bounds on ‖b‖ that hold with probability 1 − `level`, in whatever direction b points.

    The sizes r whose U would not surprise: from below by `threshold` and the noise 4 λ r²/n, from above by its normal law.
    """
    if s.trace == 0.0:
        size = float(np.sqrt(max(u, 0.0)))
        return size, size
    z, top = float(special.ndtri(1.0 - level / 2.0)), threshold(s, level / 2.0)
    c = 2.0 * z**2 * s.largest / s.n
    # u = x + √(top² + 2 c x) below, and u = x − √(z² var₀ + 2 c x) above, for x = r².
    low = (u + c) - np.sqrt((u + c) ** 2 - u**2 + top**2) if u > top else 0.0
    up = max(u, 0.0)
    high = (up + c) + np.sqrt((up + c) ** 2 - up**2 + (z * noise_of_square(s)) ** 2)
    return float(np.sqrt(max(low, 0.0))), float(np.sqrt(high))


def silence_p(offset: Array, reach: float, n: int) -> Array:
    """p-values (k,) for coordinates that are off by `offset` and took one value in all n batches.

    Either the estimator is wrong there, or what moves the coordinate has not happened yet.  An event that explains the
    offset o with jumps no larger than `reach` (the largest deviation of any entry of any batch) has probability at
    least q = |o|/(|o| + reach) in a batch, and stays away n times with probability (1 − q)ⁿ.
    """
    return np.asarray((reach / (np.abs(offset) + reach)) ** n)


def silence_needs(offset: float, reach: float, p: float) -> float:
    """How many batches without a move make `silence_p` as small as `p`."""
    return float(np.log(p) / np.log(reach / (abs(offset) + reach)))


def serial_correlation(rows: Array, lag: int = 1) -> float:
    """How far rows `lag` apart are correlated: Σ Y_i·Y_{i+lag} about the mean, in its own standard deviations (about N(0, 1)).

    Columns in units of their spread: no unit of θ decides which of them is heard.
    """
    deviation = rows.std(axis=0)
    centred = (rows - rows.mean(axis=0)) / np.where(deviation > 0.0, deviation, 1.0)
    moving = float((deviation > 0.0).sum())
    products = (centred[lag:] * centred[:-lag]).sum(axis=1) + moving / len(rows)
    size = float(np.sqrt((products**2).sum()))
    return float(products.sum()) / size if size else 0.0


def dependence(rows: Array, level: float) -> tuple[int, float]:
    """(lag, correlation in its standard deviations) of the most correlated lag, or (0, ·) where none stands out at `level`.

    Up to lag `LAGS`, and no more than a fifth of the rows; the level is shared out among them.
    """
    lags = range(1, min(LAGS, len(rows) // 5) + 1)
    found = {lag: serial_correlation(rows, lag) for lag in lags}
    worst = max(found, key=lambda lag: found[lag])
    return (worst if found[worst] > special.ndtri(1.0 - level / len(found)) else 0), found[worst]


def heaviest_batch(rows: Array) -> Array:
    """The share (d,) of each coordinate's sum of squares that its largest batch has alone; zero where nothing moves."""
    squares = (rows - rows.mean(axis=0)) ** 2
    total = squares.sum(axis=0)
    return np.asarray(squares.max(axis=0) / np.where(total > 0.0, total, 1.0))
