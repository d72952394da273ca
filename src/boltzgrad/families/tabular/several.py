"""Several followers, each in a world of its own, as one table: their states side by side, and no way from one to another.

A function f(θ, π_1, …, π_n) of all their policies is then an f(θ, π) of one table's, and everything that tables have serves it.
Source: HPGD A, (6): a mechanism designer's n + 1 decision processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.core.constants import followed
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel, SparsePattern
from boltzgrad.errors import InvalidModel
from boltzgrad.families.tabular.model import TabularModel


def several_followers(models: Iterable[TabularModel], probabilities: Any = None) -> TabularModel:
    """One `TabularModel` that holds several followers, for an objective of all of them (`JointObjective`, `ValueObjective`).

    `models` may have unlike numbers of states and actions, discounts and temperatures.  With the leader's return for objective
    it is the mean of theirs, with `probabilities` (n,) (equal ones by default), as with contexts.  Policies are those of the
    table: (Σ S_c, max A_c), states in the models' order, actions that a follower has not being unavailable; `JointObjective`
    takes them apart.

    Raises: InvalidModel where a model is no plain table, or leaders' temperatures differ.

    >>> one = TabularModel(np.ones((1, 2, 1)), [1.0], [[0.0, 1.0]], [[0.0, 0.0]],
    ...                    follower_discount=0.5, leader_discount=0.5, temperature=1.0)
    >>> several_followers([one, one]).n_states
    2
    """
    parts = list(models) if isinstance(models, Iterable) else []
    if not parts:
        raise InvalidModel(f"models is {models!r}; expected a list of at least one TabularModel")
    for i, m in enumerate(parts):
        if not isinstance(m, TabularModel) or m.leader_horizon is not None or m.given is not None or m.followers:
            what = "a TabularModel whose leader counts for ever" if isinstance(m, TabularModel) else "a TabularModel"
            raise InvalidModel(f"models[{i}] is a {type(m).__name__}; expected {what}, one follower each")
    # What may depend on θ goes into the arrays at every θ, so that the table has one form.
    parts = [m.moved(m.loose) for m in parts]
    weighted = any(m.weighted for m in parts)
    if weighted:  # kernels of weights, in which a temperature for each state is; the others' go into their rewards
        parts = [m.moved(("temperature", "follower_discount")) for m in parts]
    prices = {m.leader_temperature for m in parts}
    if len(prices) > 1:
        raise InvalidModel(f"models have the leader_temperature {sorted(prices)}; it must be one number")
    n, A = len(parts), max(m.n_actions for m in parts)
    chances = followed(anp.ones(n)) / n if probabilities is None else probabilities
    if np.shape(untraced(chances)) != (n,):
        raise InvalidModel(f"probabilities has shape {np.shape(untraced(chances))}, expected ({n},), one a model")
    there = np.concatenate([_there(m, A) for m in parts])
    own = any(m.own_kernel for m in parts)
    gammas = {name: [getattr(m, name) for m in parts] for name in ("follower_discount", "leader_discount")}
    # A discount of each follower's own goes where one that moves does: into its kernel.
    shared: dict[str, Any] = {name: x[0] if len(set(x)) == 1 else 1.0 for name, x in gammas.items()}
    lost = {name: [g if shared[name] == 1.0 else 1.0 for g in x] for name, x in gammas.items()}
    own = own or lost["follower_discount"] != lost["leader_discount"]
    heat = [m.temperature for m in parts]
    each = len(set(heat)) > 1
    tau: Any = np.repeat(heat, [m.n_states for m in parts]) if each else heat[0]
    out = TabularModel(
        _beside([m.kernel for m in parts], lost["leader_discount"], A),
        anp.concatenate([followed(chances[i]) * m.initial for i, m in enumerate(parts)]),
        anp.concatenate([_padded(m.follower_reward, A) for m in parts]),
        anp.concatenate([_padded(m.leader_reward, A) for m in parts]),
        _beside([m.follower_kernel for m in parts], lost["follower_discount"], A) if own else None,
        temperature=tau,
        unit=np.ones(sum(m.n_states for m in parts)) if weighted else 1.0,
        available=None if there.all() else there,
        leader_temperature=parts[0].leader_temperature,
        **shared,
    )
    sizes = tuple((m.n_states, m.n_actions) for m in parts)
    object.__setattr__(out, "followers", sizes)
    _in_their_units(out, parts)
    return out


def _in_their_units(out: TabularModel, parts: list[TabularModel]) -> None:
    """A unit of each follower's reward, where its model had one of its own (a temperature that moves)."""
    if all(np.ndim(m.unit) == 0 and m.unit == 1.0 for m in parts):
        return
    rows = [m.n_states for m in parts]
    unit = np.concatenate([np.broadcast_to(m.unit, n) for m, n in zip(parts, rows, strict=True)])
    scale = anp.concatenate([m.scale * np.ones(n) for m, n in zip(parts, rows, strict=True)])
    object.__setattr__(out, "unit", out.unit * unit)
    object.__setattr__(out, "scale", out.scale * scale)


def _there(m: TabularModel, A: int) -> Array:
    mask = np.ones((m.n_states, m.n_actions), bool) if m.available is None else np.asarray(m.available, bool)
    return np.pad(mask, ((0, 0), (0, A - m.n_actions)))


def _padded(x: Any, A: int) -> Any:
    S, own = np.shape(untraced(x))
    return x if own == A else anp.concatenate([x, np.zeros((S, A - own))], axis=1)


def _beside(kernels: list[Kernel], discounts: list[float], A: int) -> SparseKernel:
    """The kernels, each times a discount, on disjoint states; actions that a follower has not lead nowhere."""
    pointers, columns, values, first = [np.zeros(1, int)], [], [], 0
    total = sum(k.n_states for k in kernels)
    for kernel, gamma in zip(kernels, discounts, strict=True):
        S, own = kernel.n_states, kernel.n_actions
        lengths = np.zeros((S, A), int)
        if isinstance(kernel, DenseKernel):
            lengths[:, :own] = S
            columns.append(np.tile(np.arange(S), S * own) + first)
        else:
            assert isinstance(kernel, SparseKernel)
            lengths[:, :own] = kernel.pattern.row_lengths.reshape(S, own)
            columns.append(kernel.pattern.indices + first)
        values.append(followed(gamma) * anp.ravel(kernel.values))
        pointers.append(pointers[-1][-1] + np.cumsum(lengths.ravel()))
        first += S
    pattern = SparsePattern(np.concatenate(pointers), np.concatenate(columns), n_states=total, n_actions=A)
    return SparseKernel(pattern, anp.concatenate(values))
