"""What may happen in a world, one outcome after the other, gathered into a kernel: duplicates merged, endings taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import SparsePattern
from boltzgrad.errors import InvalidWorld

SLACK = 1e-6
"""How far the probabilities of a (state, action) may be from one: what tables in single precision leave."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Successors with probabilities and rewards, and endings with theirs.

    `pattern` of nnz successors, `probability` and `reward` (nnz,) R(s,a,s'); `end` (S, A) the probability that the episode ends
    there and then, `end_reward` (S, A) what is paid on average when it does.
    """

    pattern: SparsePattern
    probability: Array
    reward: Array
    end: Array
    end_reward: Array

    @property
    def shape(self) -> tuple[int, int]:
        """(S, A)."""
        return self.pattern.n_states, self.pattern.n_actions


def gathered(
    row: Array,
    successor: Array,
    probability: Array,
    reward: Array,
    over: Array,
    shape: tuple[int, int],
    *,
    there: Array,
    label: Callable[[int], str],
) -> tuple[Outcomes, int]:
    """(outcomes, how many were merged) of a list: row s·A + a (n,), successor, probability, reward, and whether it ends there.

    `there` (S, A): where an action is; its outcomes have to sum to one.  `label(row)` is what a row is called.
    Raises: InvalidWorld, naming the entry.
    """
    S, A = shape
    for what, bad in (
        ("is no probability", ~(np.isfinite(probability) & (probability >= 0.0))),
        ("is no finite reward", ~np.isfinite(reward)),
        (f"is no state of 0 … {S - 1}", (successor < 0) | (successor >= S)),
    ):
        if bad.any():
            i = int(np.argmax(bad))
            value = {"is no probability": probability, "is no finite reward": reward}.get(what, successor)[i]
            raise InvalidWorld(f"{label(int(row[i]))}: {value} {what}")
    sums = np.bincount(row, probability, minlength=S * A).reshape(shape)
    wrong = there & (np.abs(sums - 1.0) > SLACK)
    if wrong.any():
        s, a = map(int, np.argwhere(wrong)[0])
        raise InvalidWorld(f"the probabilities of {label(s * A + a)} sum to {sums[s, a]:.8g}, expected 1")
    sums = np.where(sums > 0.0, sums, 1.0)
    probability = probability / sums.ravel()[row]  # rounding of the table's own, at most `SLACK`
    end = np.bincount(row[over], probability[over], minlength=S * A).astype(float)  # integers where nothing ends
    end_paid = np.bincount(row[over], (probability * reward)[over], minlength=S * A).astype(float)
    end = np.minimum(end, 1.0)
    on = ~over & (probability > 0.0)
    key = row[on].astype(np.int64) * S + successor[on]
    unique, inverse = np.unique(key, return_inverse=True)
    p = np.bincount(inverse, probability[on], minlength=unique.size)
    paid = np.bincount(inverse, (probability * reward)[on], minlength=unique.size)
    pattern = SparsePattern(
        np.searchsorted(unique, np.arange(S * A + 1, dtype=np.int64) * S), unique % S, n_states=S, n_actions=A
    )
    end_reward = np.divide(end_paid, end, out=np.zeros_like(end), where=end > 0.0)
    outcomes = Outcomes(pattern, p, paid / p, end.reshape(shape), end_reward.reshape(shape))
    return outcomes, int(on.sum()) - unique.size
