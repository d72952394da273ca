"""Laws of batches with mean zero: what the tests of estimators are held against."""

import numpy as np


def laws(d):
    """Name -> function (rng, n) -> (n, d): correlated, low-rank, heavy-tailed, skewed, rare, of many scales."""
    mixing = np.random.default_rng(1).standard_normal((d, 2))
    scales = 10.0 ** np.random.default_rng(2).uniform(-3, 3, d)

    def rare(rng, n, p):
        return (rng.random((n, d)) < p) / p - 1.0

    def still(rng, n):
        rows = rng.standard_normal((n, d))
        rows[:, ::3] = 0.0
        return rows

    return {
        "normal": lambda rng, n: rng.standard_normal((n, d)),
        "many scales": lambda rng, n: rng.standard_normal((n, d)) * scales,
        "low rank": lambda rng, n: rng.standard_normal((n, 2)) @ mixing.T,
        "t3": lambda rng, n: rng.standard_t(3, (n, d)),
        "t3, one radius": lambda rng, n: rng.standard_normal((n, d)) / np.sqrt(rng.chisquare(3, (n, 1))),
        "exponential": lambda rng, n: rng.exponential(size=(n, d)) - 1.0,
        "one exponential": lambda rng, n: (rng.exponential(size=(n, 1)) - 1.0) * np.ones((1, d)),
        "low rank, exponential": lambda rng, n: (rng.exponential(size=(n, 2)) - 1.0) @ mixing.T,
        "products": lambda rng, n: rng.standard_normal((n, d)) * rng.standard_normal((n, 1)),
        "skewed products": lambda rng, n: (
            (1.0 + 0.5 * rng.standard_normal((n, d))) * rng.exponential(size=(n, 1)) - 1.0
        ),
        "chi-square": lambda rng, n: rng.standard_normal((n, d)) ** 2 - 1.0,
        "log-normal": lambda rng, n: np.exp(rng.standard_normal((n, d))) - np.exp(0.5),
        "rare, one in 10": lambda rng, n: rare(rng, n, 0.1),
        "rare, one in 30": lambda rng, n: rare(rng, n, 1.0 / 30.0),
        "a third never moves": still,
    }
