"""A first guess of V* from a smaller model: neighbouring states taken together, kernel and rewards averaged.

On a grid of 10⁶ states news of a goal has a thousand steps to go; Newton's method from zero takes as many steps as the policy
has to be turned round on the way.  Sixteen states at a time, and sixteen of those again, it is there after a few.  Nothing
depends on the guess but how long the solve takes.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.compiled import compiled
from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.families.tabular.model import TabularModel

_TOGETHER = 16


def smaller(model: TabularModel) -> tuple[TabularModel, Array]:
    """(the model of aggregates, the aggregate of each state (S,)), of a model with a sparse kernel of probabilities."""
    kernel = model.follower_kernel
    assert isinstance(kernel, SparseKernel)
    pattern, A = kernel.pattern, model.n_actions
    which, n = _aggregates(pattern.state_indptr, pattern.indices, _TOGETHER)
    members = np.argsort(which, kind="stable").astype(np.int32)
    first = np.concatenate([[0], np.cumsum(np.bincount(which, minlength=n))])
    indptr, indices, values, reward = _averaged(
        members,
        first,
        which,
        pattern.indptr,
        pattern.indices,
        kernel.values,
        np.asarray(model.follower_reward),
        pattern.nnz,
    )
    coarse = SparseKernel(SparsePattern(indptr, indices, n_states=n, n_actions=A), values)
    return (
        TabularModel(
            coarse,
            np.full(n, 1.0 / n),
            reward,
            np.zeros((n, A)),
            follower_discount=model.follower_discount,
            leader_discount=0.0,
            temperature=model.temperature,
        ),
        which,
    )


@compiled
def _aggregates(indptr, indices, most):  # type: ignore[no-untyped-def]
    """(the number of each state's aggregate, how many there are): breadth first from the first state that has none."""
    n = indptr.size - 1
    which, queue, count = np.full(n, -1, np.int32), np.empty(most, np.int32), 0
    for s in range(n):
        if which[s] >= 0:
            continue
        queue[0], which[s], size, at = s, count, 1, 0
        while at < size < most:
            u = queue[at]
            at += 1
            for e in range(indptr[u], indptr[u + 1]):
                j = indices[e]
                if which[j] < 0 and size < most:
                    which[j] = count
                    queue[size] = j
                    size += 1
        count += 1
    return which, count


@compiled
def _averaged(members, first, which, indptr, indices, values, reward, room):  # type: ignore[no-untyped-def]
    """Kernel (indptr, indices, values) and reward of the aggregates: means over their members."""
    n, actions = first.size - 1, reward.shape[1]
    start, to, mean = np.zeros(n * actions + 1, np.int64), np.empty(room, np.int32), np.empty(room)
    paid, row, seen, used = np.zeros((n, actions)), np.zeros(n), np.zeros(n, np.bool_), np.empty(n, np.int32)
    held = 0
    for c in range(n):
        share = 1.0 / (first[c + 1] - first[c])
        for a in range(actions):
            size = 0
            for m in range(first[c], first[c + 1]):
                s = members[m]
                paid[c, a] += share * reward[s, a]
                for e in range(indptr[s * actions + a], indptr[s * actions + a + 1]):
                    j = which[indices[e]]
                    if not seen[j]:
                        seen[j] = True
                        used[size] = j
                        size += 1
                    row[j] += share * values[e]
            for q in range(size):
                j = used[q]
                to[held], mean[held] = j, row[j]
                row[j], seen[j] = 0.0, False
                held += 1
            start[c * actions + a + 1] = held
    return start, to[:held].copy(), mean[:held].copy(), paid
