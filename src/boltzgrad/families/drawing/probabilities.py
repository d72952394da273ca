"""Distributions, stochastic matrices and kernels of every kind that makes solvers stumble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption

Kind = Literal["deterministic", "sparse", "dense", "absorbing", "reducible", "ending"]
KINDS: tuple[Kind, ...] = ("deterministic", "sparse", "dense", "absorbing", "reducible", "ending")
"""What a kernel can be: one successor each; at most two; all; some states that are never left; two closed halves; rows that
sum to less than one, down to nothing, where an episode may end."""

_HEAVIEST = 4


def distributions(n: int) -> st.SearchStrategy[Array]:
    """Distributions (n,), small integers over their sum; some entries may be zero."""
    return _weights(n).map(_normalised)


def _weights(n: int, least: int = 0) -> st.SearchStrategy[list[int]]:
    weights = st.lists(st.integers(least, _HEAVIEST), min_size=n, max_size=n)
    return weights.map(lambda w: w if any(w) else [1, *w[1:]])


def _normalised(weights: list[int]) -> Array:
    w = np.array(weights, dtype=float)
    return np.asarray(w / w.sum())


def stochastic_matrices(n: int, kinds: tuple[Kind, ...] = KINDS[:-1]) -> st.SearchStrategy[Array]:
    """Stochastic matrices (n, n) of the given `kinds`; with "ending" among them rows may sum to less than one."""
    return kernels(n, 1, kinds).map(lambda p: np.asarray(p[:, 0, :]))


def kernels(n_states: int, n_actions: int, kinds: Sequence[Kind] = KINDS) -> st.SearchStrategy[Array]:
    """Kernels (S, A, S) of the given `kinds`.  Raises: InvalidOption for a kind that does not exist."""
    wrong = [kind for kind in (kinds if isinstance(kinds, (tuple, list)) else (kinds,)) if kind not in KINDS]
    if wrong or not kinds or isinstance(kinds, str):
        raise InvalidOption(f"kinds is {kinds!r}; expected a tuple with some of {', '.join(map(repr, KINDS))}")
    return st.sampled_from(kinds).flatmap(lambda kind: _kernel(kind, n_states, n_actions))


@st.composite
def _kernel(draw: st.DrawFn, kind: Kind, S: int, A: int) -> Array:
    state = st.integers(0, S - 1)
    if kind == "dense":
        rows = [_normalised(draw(_weights(S, least=1))) for _ in range(S * A)]
    elif kind == "reducible":
        half = (S + 1) // 2
        rows = []
        for s in range(S):
            low, size = (0, half) if s < half else (half, S - half)
            rows += [_padded(_normalised(draw(_weights(size))), low, S) for _ in range(A)]
    else:
        rows = []
        for _ in range(S * A):
            to, also = draw(state), draw(state) if kind != "deterministic" else None
            row = np.zeros(S)
            row[to] += 1.0
            if also is not None:
                row[also] += draw(st.integers(0, _HEAVIEST))
            rows.append(row / row.sum())
    p = np.array(rows).reshape(S, A, S)
    if kind == "absorbing":
        for s in draw(st.sets(state, min_size=1)):
            p[s] = np.eye(S)[s]
    if kind == "ending":
        stay = draw(st.lists(st.integers(0, _HEAVIEST), min_size=S * A, max_size=S * A))
        p *= np.array(stay, dtype=float).reshape(S, A, 1) / _HEAVIEST
    return p


def _padded(row: Array, low: int, size: int) -> Array:
    out = np.zeros(size)
    out[low : low + row.size] = row
    return out
