"""All trajectories that a world allows, and how likely each is under a policy: what a loss of trajectories is a mean over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.arrival import row_sums
from boltzgrad.core.checks import untraced
from boltzgrad.core.kernel import DenseKernel, Kernel
from boltzgrad.errors import InvalidOption

MOST = 200_000
"""The most trajectories that are enumerated."""
_ENDED = 1e-12  # a row that misses one by less does not end


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Trajectories d = (s₀, a₀, …, s_{H−1}, a_{H−1}), shorter where an episode ends.

    `states` and `actions` (N, H), −1 after the end; of a pair of trajectories, one is (N, 1, H) and the other (1, N, H).
    """

    states: Array
    actions: Array

    @property
    def steps(self) -> Array:
        """Which steps (…, H) there are."""
        return np.asarray(self.states >= 0)

    def total(self, reward: Any, discount: float = 1.0) -> Any:
        """Σ_t γᵗ r(s_t, a_t) (…) of a reward (S, A), traced by autograd or not."""
        weights = self.steps * discount ** np.arange(self.states.shape[-1])
        return anp.sum(weights * reward[np.maximum(self.states, 0), np.maximum(self.actions, 0)], axis=-1)

    def __len__(self) -> int:
        return int(np.prod(self.states.shape[:-1]))


@dataclass(frozen=True, eq=False)
class Enumerated:
    """All trajectories of a world with what their chances are products of: entries of kernels, and whether they end early."""

    trajectories: Trajectories
    entries: Array
    ends: Array

    def chances(self, policy: Any, kernels: Sequence[Kernel], initial: Any) -> Any:
        """P(d) (N,) under a policy (S, A) or (H, S, A); every argument may be traced, or complex."""
        states, actions = self.trajectories.states, self.trajectories.actions
        chance = initial[states[:, 0]]
        for t in range(states.shape[1]):
            there = states[:, t] >= 0
            s, a = np.maximum(states[:, t], 0), np.maximum(actions[:, t], 0)
            taken = policy[t, s, a] if policy.ndim == 3 else policy[s, a]
            chance = chance * anp.where(there, taken, 1.0)
            if t + 1 < states.shape[1]:
                chance = chance * self._onward(kernels[t], t, s, a, there)
        return chance

    def _onward(self, kernel: Kernel, t: int, s: Array, a: Array, there: Array) -> Any:
        """The chance (N,) of what comes after step t: a next state, or the end."""
        goes = self.entries[:, t] >= 0
        chance = anp.where(goes, anp.ravel(kernel.values)[np.maximum(self.entries[:, t], 0)], 1.0)
        ends = there & self.ends[:, t]
        if not ends.any():
            return chance
        left = 1.0 - _sums(kernel)
        return anp.where(ends, left[s * kernel.n_actions + a], chance)


def _sums(kernel: Kernel) -> Any:
    """Row sums (S·A,), traced where the kernel is."""
    if isinstance(kernel, DenseKernel):
        return anp.ravel(anp.sum(kernel.values, axis=2))
    return row_sums(kernel.values, kernel.pattern)


def _rows(kernel: Kernel) -> tuple[Array, Array, Array]:
    """(indptr (S·A + 1,), successors, entries) of what is not zero."""
    values = np.real(np.asarray(untraced(kernel.values))).ravel()
    S, A = kernel.n_states, kernel.n_actions
    if isinstance(kernel, DenseKernel):
        row, successor = np.repeat(np.arange(S * A), S), np.tile(np.arange(S), S * A)
    else:
        row, successor = np.repeat(np.arange(S * A), kernel.pattern.row_lengths), kernel.pattern.indices
    held = np.flatnonzero(values > 0.0)
    return np.searchsorted(row[held], np.arange(S * A + 1)), successor[held], held


def enumerated(kernels: Sequence[Kernel], initial: Array, there: Array, horizon: int) -> Enumerated:
    """Every trajectory of `horizon` steps that has a chance.  `there` (S, A) or (H, S, A): which actions are.

    Raises: InvalidOption where there are too many, with how many, and the horizon that would fit.
    """
    S, A = kernels[0].n_states, kernels[0].n_actions
    mask = np.broadcast_to(there, (horizon, S, A))
    rows = [_rows(k) for k in kernels]
    ends = [np.real(np.asarray(untraced(_sums(k)))) < 1.0 - _ENDED for k in kernels]
    _refuse_too_many(rows, ends, initial, mask, horizon)
    first = np.flatnonzero(np.real(np.asarray(untraced(initial))) > 0.0)
    states, actions = np.full((first.size, horizon), -1), np.full((first.size, horizon), -1)
    entries, over = np.full((first.size, horizon), -1), np.zeros((first.size, horizon), bool)
    states[:, 0] = first
    for t in range(horizon):
        alive = np.flatnonzero(states[:, t] >= 0)
        which, action = np.nonzero(mask[t][states[alive, t]])
        parents = np.concatenate([np.setdiff1d(np.arange(len(states)), alive), alive[which]])
        states, actions, entries, over = (x[parents] for x in (states, actions, entries, over))
        moved = slice(len(parents) - which.size, None)
        actions[moved, t] = action
        if t + 1 == horizon:
            break
        indptr, successor, place = rows[t]
        pair = states[moved, t] * A + action
        count = indptr[pair + 1] - indptr[pair]
        ended = ends[t][pair]
        base = np.arange(len(parents))[moved]
        onward = np.repeat(base, count)
        # The entries indptr[p], …, indptr[p + 1] − 1 of each pair p, one after the other.
        at = np.arange(int(count.sum())) + np.repeat(indptr[pair] - np.cumsum(count) + count, count)
        still = np.arange(len(parents) - which.size)
        parents = np.concatenate([still, base[ended], onward])
        states, actions, entries, over = (x[parents] for x in (states, actions, entries, over))
        stop = slice(still.size, still.size + int(ended.sum()))
        over[stop, t] = True
        states[stop.stop :, t + 1] = successor[at]
        entries[stop.stop :, t] = place[at]
    return Enumerated(Trajectories(states, actions), entries, over)


def _refuse_too_many(
    rows: list[tuple[Array, Array, Array]], ends: list[Array], initial: Array, mask: Array, horizon: int
) -> None:
    S = mask.shape[1]
    here = (np.real(np.asarray(untraced(initial))) > 0.0).astype(float)
    ended, fits = 0.0, 0
    for t in range(horizon):
        pairs = (here[:, None] * mask[t]).ravel()
        total = ended + pairs.sum()
        if total <= MOST:
            fits = t + 1
        if t + 1 == horizon:
            break
        indptr, successor, _ = rows[t]
        ended += float(pairs[ends[t]].sum())
        here = np.bincount(successor, np.repeat(pairs, np.diff(indptr)), minlength=S).astype(float)
    if total > MOST:
        raise InvalidOption(
            f"{total:.3g} trajectories of {horizon} steps are too many to enumerate (at most {MOST}); "
            + (f"horizon={fits} would fit" if fits else "even one step is too many")
        )
