r"""What the tails of batches have not shown yet, and whether a bias is larger than that.

A mean of n heavy-tailed batches falls short on the side of the long tail: its rarest, largest values have not been drawn,
and the spread that they would have shown is missing, too.  No test can know them; but where the batches drawn are
themselves heavy-tailed, their tail says how much may be missing.  What exceeds the median of a column (and its upper 1/8,
1/32, … where there are batches enough; the least of what they allow is taken) is fitted
by a generalised Pareto law, whose shape $\xi$ follows from the first two L-moments (Hosking & Wallis 1987),

$\xi = 2 - \lambda_1/\lambda_2$,
$\quad \text{mean excess beyond } x = \frac{\sigma + \xi(x - u)}{1 - \xi}$,

raised by `CAUTION` of its standard errors $1/\sqrt{k}$ (k batches), and no smaller than that of the median
column.  With probability 1 − α no more than $-\log\alpha/n$ of the law lies beyond the largest batch, so the mean may lie
further out by

$\frac{-\log\alpha}{n}\,(\text{largest} - \text{mean} + \text{mean excess there})$

less what the opposite tail takes back, if that one is light.  Where $\xi \le 1/4$ (finite kurtosis) nothing is allowed: there
the expansion that `sign_flips` corrects by is valid; from there to 1/2 (no variance) ever more of it is.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from boltzgrad.core.arrays import Array
from boltzgrad.verify.sign_flips import flip_test
from boltzgrad.verify.statistics import merged

FEWEST = 8
"""[1] The fewest batches that a shape is read from."""
CAUTION = 3.0
"""[1] How many standard errors of its shape a tail is taken to be heavier than it looks; more below level 0.01."""
_CAUTION = CAUTION / float(special.ndtri(0.99))
_MOST_NUMBERS = 4_000_000  # beyond, tails are those of means of consecutive rows
HEAVY = 0.25
"""[1] The shape from which on the fourth moment, and with it the correction for skewness, is in doubt."""
NO_VARIANCE = 0.5
"""[1] The shape from which on there is no variance, and all that a tail may hide is allowed."""
HEAVIEST = 0.9
"""[1] The heaviest shape that is reckoned with: from 1 on there is no mean, and ten times the excess seen is as far as
what was seen can vouch for."""


def _tail(ordered: Array, k: int, level: float) -> tuple[Array, Array, Array]:
    """Of the k largest batches of sorted columns (n, d): how far that tail may move the mean (d,) [J/θ_j], its cautious shape
    (d,), and its lightness (d,), from one (no heavier than exponential) to zero (no variance).
    """
    n = len(ordered)
    excess = ordered[n - k :] - ordered[n - k - 1]
    mean = excess.mean(axis=0)
    half = 2.0 * (np.arange(k)[:, None] / (k - 1.0) * excess).mean(axis=0) - mean
    shape = np.where(half > 0.0, 2.0 - mean / np.where(half > 0.0, half, 1.0), -np.inf)
    moving = np.isfinite(shape)
    heavier = np.maximum(shape, float(np.median(shape[moving]))) if moving.any() else shape
    cautious = heavier + max(CAUTION, _CAUTION * float(special.ndtri(1.0 - level))) / np.sqrt(k)
    within = np.clip(cautious, 0.0, HEAVIEST)
    scale = mean * (1.0 - np.clip(shape, -1e3, HEAVIEST))
    beyond = (scale + within * excess[-1]) / (1.0 - within)
    moved = -np.log(level) / n * (ordered[-1] - ordered.mean(axis=0) + beyond)
    return moved, cautious, np.clip(1.0 - 2.0 * np.maximum(heavier, 0.0), 0.0, 1.0)


def unseen(rows: Array, level: float) -> tuple[Array, Array]:
    """How far the means of columns (n, d) may lie below and above what they are, for what tails have not shown: (d,) each."""
    rows = rows if rows.size <= _MOST_NUMBERS else merged(rows)
    upwards = np.sort(rows, axis=0)
    downwards = -upwards[::-1]
    below, above = (np.full(rows.shape[1], np.inf) for _ in range(2))
    k = len(rows) // 2
    while True:
        (up, up_shape, up_light), (down, down_shape, down_light) = (_tail(x, k, level) for x in (upwards, downwards))
        below = np.minimum(below, _net(down, down_shape, up, up_light))
        above = np.minimum(above, _net(up, up_shape, down, down_light))
        # Further out the law of the tail is nearer to Pareto's, and seen through fewer batches.
        k //= 4
        if k < FEWEST:
            return below, above


def _net(own: Array, shape: Array, other: Array, light: Array) -> Array:
    """What a tail moves the mean by, less what the other one takes back, as far as that one is light."""
    doubt = np.clip((shape - HEAVY) / (NO_VARIANCE - HEAVY), 0.0, 1.0)
    return np.asarray(doubt * np.maximum(own - light * other, 0.0))


def beyond_tails(
    rows: Array,
    direction: Array,
    still: float = 0.0,
    *,
    level: float,
    each: float,
    flips: int,
    rng: np.random.Generator,
) -> float:
    """The smallest p-value of the tests of `sign_flips` against whatever mean the tails leave possible.

    Columns (n, d) are moved towards zero by what their tails may hide; one that does not move has to be zero.  A sum of squares
    must besides exceed what the tail along the bias itself may hide: a heavy tail that all columns share is diluted in each.
    `still` is what coordinates that took one value in all batches add along `direction`: columns that move are chosen by
    having moved, so the projection has to stand out with that as well as without.
    """

    def p_values(columns: Array, below: Array, above: Array) -> dict[str, float]:
        # Means from mean − below to mean + above are possible; zero is held against the nearest of them.
        moved = columns + np.clip(-columns.mean(axis=0), -below, above)
        moved[:, np.ptp(columns, axis=0) == 0.0] = 0.0
        return flip_test(moved, np.zeros(columns.shape[1]), level=each, flips=flips, rng=rng).p_values

    found = p_values(rows, *unseen(rows, level))
    p = [found["sparse"]]
    if np.any(direction):
        along, (below, above) = _along(rows, direction, level)
        p.append(max(p_values(along[:, None] + offset, below, above)["sparse"] for offset in {0.0, still}))
    if not _hidden_along_itself(rows, level):
        p += [found["norm"], found["dense"]]
    return float(min(p))


def _along(rows: Array, direction: Array, level: float) -> tuple[Array, tuple[Array, Array]]:
    """The projection (n,), and what tails may hide of its mean.

    A sum of many columns looks lighter than each of them but has their tail: it is read beside them, each on the side on which
    it moves the sum.
    """
    along = rows @ direction
    below, above = unseen(np.column_stack([rows * np.sign(direction), along]), level)
    return along, (below[-1:], above[-1:])


def _hidden_along_itself(rows: Array, level: float) -> bool:
    """Whether the tail along the mean's own direction, in the columns' units or in those of their spread, could hide it all."""
    deviation = rows.std(axis=0)
    for scale in (np.ones_like(deviation), np.where(deviation > 0.0, deviation, 1.0)):
        mean = (rows / scale).mean(axis=0)
        size = float(np.linalg.norm(mean))
        if size > 0.0 and size <= float(_along(rows / scale, mean / size, level)[1][0][0]):
            return True
    return False
