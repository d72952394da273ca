"""Worlds from what people have: Gymnasium's tables, dictionaries, arrays of pymdptoolbox and QuantEcon."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption, InvalidWorld
from boltzgrad.worlds.outcomes import Outcomes, gathered
from boltzgrad.worlds.world import World


def from_gymnasium(env: Any, *, discount: float, initial: Any = None) -> World:
    """A Gymnasium environment that has its transitions as a table, `env.unwrapped.P`: FrozenLake, CliffWalking, Taxi, ….

    `P[s][a]` is a list of (probability, next state, reward, terminated).  The start is the environment's own
    `initial_state_distrib` unless `initial` (S,) is given.  A state that is only ever reached by a transition that terminates
    is an end, whatever the table says goes on from there.  A limit on the steps (a `TimeLimit`) is no part of the table.

    Raises: InvalidWorld for an environment without a table, and for entries that are no probabilities; InvalidOption.
    """
    inner = getattr(env, "unwrapped", env)
    table = getattr(inner, "P", None)
    if not isinstance(table, Mapping):
        kind = type(inner).__name__
        raise InvalidWorld(
            f"{kind} has no table of its transitions (env.unwrapped.P): an exact reference needs one. Of a continuous world, "
            "boltzgrad.worlds.discretise makes one from its dynamics"
        )
    if initial is None:
        initial = getattr(inner, "initial_state_distrib", None)
        if initial is None:
            raise InvalidOption("the environment does not say where it starts (initial_state_distrib): give initial")
    world = from_dict(table, discount=discount, initial=initial, name="P")
    limit = getattr(getattr(env, "spec", None), "max_episode_steps", None)
    if limit:
        world = _noted(
            world, f"the limit of {limit} steps is no part of the table: leader_horizon, or a FiniteHorizonModel"
        )
    return world


def _noted(world: World, note: str) -> World:
    names = ("outcomes", "initial", "discount", "available", "state_names", "action_names")
    return World(**{name: getattr(world, name) for name in names}, notes=(*world.notes, note))


def from_dict(
    table: Mapping[Hashable, Mapping[Hashable, Sequence[tuple[Any, ...]]]],
    *,
    discount: float,
    initial: Any = None,
    name: str = "table",
) -> World:
    """A world from {state: {action: [(probability, next state, reward, terminated), …]}}; `terminated` may be left out.

    States and actions are any hashable names, in the order of the table (actions in that in which they first appear); an action
    that a state does not list is not available there.  `initial` is (S,), {state: probability}, or one state; by default the
    first.  Raises: InvalidWorld, naming the entry.
    """
    if not isinstance(table, Mapping) or not table:
        raise InvalidWorld(f"{name} is a {type(table).__name__}; expected {{state: {{action: [outcomes]}}}}")
    states = list(table)
    number = {s: i for i, s in enumerate(states)}
    actions: dict[Hashable, int] = {}
    for s in states:
        if not isinstance(table[s], Mapping) or not table[s]:
            raise InvalidWorld(
                f"{name}[{s!r}] has no actions; a state where episodes end still has one, that ends them"
            )
        for a in table[s]:
            actions.setdefault(a, len(actions))
    S, A = len(states), len(actions)
    there = np.zeros((S, A), bool)
    rows: list[tuple[int, int, float, float, bool]] = []
    for s in states:
        for a, outcomes in table[s].items():
            there[number[s], actions[a]] = True
            for outcome in outcomes:
                rows.append(_outcome(f"{name}[{s!r}][{a!r}]", outcome, number, number[s] * A + actions[a]))
    row, successor, probability, reward, over = (np.array(x) for x in zip(*rows, strict=True))
    start = _start(initial, number, S)
    over = over.astype(bool)
    ends = _ends(row // A, successor, over, start, S)
    dropped = np.isin(row // A, ends)  # what would go on from an end never happens
    reward = np.where(dropped, 0.0, reward)
    outcomes_, merged = gathered(
        row, successor, probability.astype(float), reward, over | dropped, (S, A), there=there, name=name
    )
    return World(
        outcomes_,
        start,
        checked_discount(discount),
        None if there.all() else there,
        states,
        list(actions),
        notes_of(outcomes_, merged, ends, states),
    )


def _outcome(where: str, outcome: Any, number: Mapping[Hashable, int], row: int) -> tuple[int, int, float, float, bool]:
    if not isinstance(outcome, (tuple, list)) or len(outcome) not in (3, 4):
        raise InvalidWorld(f"{where} holds {outcome!r}; expected (probability, next state, reward, terminated)")
    probability, successor, reward, *over = outcome
    if successor not in number:
        raise InvalidWorld(f"{where} leads to {successor!r}, which is no state of the table")
    try:
        return row, number[successor], float(probability), float(reward), bool(over[0]) if over else False
    except (TypeError, ValueError):
        raise InvalidWorld(f"{where} holds {outcome!r}; probability and reward are numbers") from None


def _start(initial: Any, number: Mapping[Hashable, int], S: int) -> Array:
    """The start (S,).  Raises: InvalidWorld."""
    start = np.zeros(S)
    if initial is None:
        start[0] = 1.0
    elif isinstance(initial, Mapping):
        for s, p in initial.items():
            if s not in number:
                raise InvalidWorld(f"initial has {s!r}, which is no state of the table")
            start[number[s]] = p
    elif not isinstance(initial, np.ndarray) and isinstance(initial, Hashable) and initial in number:
        start[number[initial]] = 1.0
    else:
        start = np.asarray(initial, float)
    if start.shape != (S,):
        raise InvalidWorld(f"initial has shape {start.shape}, expected ({S},), a state, or {{state: probability}}")
    if not (np.isfinite(start).all() and start.min() >= 0.0 and abs(start.sum() - 1.0) <= 1e-6):
        raise InvalidWorld(
            f"initial sums to {start.sum():.8g}, its least entry is {start.min():.6g}; expected probabilities"
        )
    return np.asarray(start / start.sum())


def _ends(source: Array, successor: Array, over: Array, start: Array, S: int) -> Array:
    """The states (k,) that are ends: an ending leads there, and nothing that goes on does, from wherever one can be."""
    first = np.flatnonzero(start)
    edges = np.concatenate([source[~over], np.full(first.size, S)]), np.concatenate([successor[~over], first])
    graph = sparse.csr_array((np.ones(edges[0].size, bool), edges), shape=(S + 1, S + 1))
    alive = np.zeros(S + 1, bool)
    alive[csgraph.breadth_first_order(graph, S, return_predecessors=False)] = True
    return np.setdiff1d(successor[over], np.flatnonzero(alive))


def checked_discount(discount: Any) -> float:
    """A discount.  Raises: InvalidOption."""
    if isinstance(discount, bool) or not isinstance(discount, (int, float, np.floating)) or not 0.0 <= discount <= 1.0:
        raise InvalidOption(f"discount is {discount!r}; expected a number in [0, 1], 1 where every episode ends")
    return float(discount)


def notes_of(outcomes: Outcomes, merged: int, ends: Array, names: Sequence[Hashable]) -> tuple[str, ...]:
    """What was done to make a world, in words."""
    S, A = outcomes.shape
    notes = [f"{outcomes.pattern.nnz} successors stored, {outcomes.pattern.nnz / (S * A * S):.2g} of all"]
    if merged:
        notes.append(f"{merged} outcomes merged with others that lead to the same state; their rewards are averaged")
    if ends.size:
        shown = ", ".join(repr(names[i]) for i in ends[:5]) + (", …" if ends.size > 5 else "")
        notes.append(
            f"{ends.size} {'state is an end' if ends.size == 1 else 'states are ends'}, only reached by ending: {shown}"
        )
    over = int((outcomes.end > 0.0).sum())
    if over:
        notes.append(f"{over} (state, action) pairs may end the episode: their rows sum to less than 1")
    missing = S * A - int(((outcomes.end > 0.0) | (outcomes.pattern.row_lengths.reshape(S, A) > 0)).sum())
    if missing:
        notes.append(f"{missing} (state, action) pairs are not available")
    return tuple(notes)


def from_arrays(
    transition: Any,
    reward: Any,
    *,
    discount: float,
    initial: Any = None,
    layout: Literal["ASS", "SAS"] | None = None,
    state_indices: Any = None,
    action_indices: Any = None,
) -> World:
    """A world from arrays.

    - pymdptoolbox: `transition` (A, S, S), an array or a list of A (sparse) matrices;
    - QuantEcon: (S, A, S), or with `state_indices` and `action_indices` (L,) a (sparse) matrix (L, S), a row for each pair that
      is available.

    `reward` is (S,), (S, A), or like `transition`: R(s,a,s') (or a vector (L,) beside pairs).  Where (A, S, S) and (S, A, S)
    cannot be told apart, `layout` says which.  Rows that sum to less than one end episodes with what is missing.
    `initial` (S,) or a state; by default uniform.  Raises: InvalidWorld, naming the entry; InvalidOption.
    """
    if (state_indices is None) != (action_indices is None):
        raise InvalidOption("state_indices and action_indices are given together or not at all")
    if state_indices is not None:
        flat, paid, there = _pairs(transition, reward, state_indices, action_indices)
    else:
        flat, paid = _tables(transition, reward, layout)
        there = None
    S = flat.shape[1]
    A = flat.shape[0] // S
    flat.sort_indices()
    row = np.repeat(np.arange(S * A), np.diff(flat.indptr))
    p, R = flat.data, paid
    sums = np.bincount(row, p, minlength=S * A).reshape(S, A)
    full = np.ones((S, A), bool) if there is None else there
    # Rows that are short end the episode: pay as they would have, on average, and go nowhere.
    short = np.where(full, np.maximum(1.0 - sums, 0.0), 0.0)
    short[short <= 1e-6] = 0.0
    at = np.flatnonzero(short.ravel())
    mean = np.bincount(row, p * R, minlength=S * A) / np.maximum(sums.ravel(), 1e-300)
    outcomes, merged = gathered(
        np.concatenate([row, at]),
        np.concatenate([flat.indices, np.zeros(at.size, int)]),
        np.concatenate([p, short.ravel()[at]]),
        np.concatenate([R, mean[at]]),
        np.concatenate([np.zeros(row.size, bool), np.ones(at.size, bool)]),
        (S, A),
        there=full,
        name="transition",
    )
    start = np.full(S, 1.0 / S) if initial is None else _start(initial, {i: i for i in range(S)}, S)
    notes = notes_of(outcomes, merged, np.zeros(0, int), range(S))
    return World(outcomes, start, checked_discount(discount), None if full.all() else full, notes=notes)


def _tables(transition: Any, reward: Any, layout: str | None) -> tuple[sparse.csr_array, Array]:
    """(the kernel (S·A, S), R at its entries) from (A, S, S) or (S, A, S)."""
    if isinstance(transition, (list, tuple)):
        transition = [x if sparse.issparse(x) else np.asarray(x, float) for x in transition]
        if layout not in (None, "ASS"):
            raise InvalidOption(f"layout is {layout!r}; a list of matrices is one for each action")
        shapes = {x.shape for x in transition}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise InvalidWorld(f"transition is a list of matrices of shapes {sorted(shapes)}; expected (S, S) each")
        if any(map(sparse.issparse, transition)):
            kernel = [sparse.csr_array(x) for x in transition]
            return _stacked(kernel, _like_list(reward, kernel))
        transition, layout = np.stack(transition), "ASS"
    x = np.asarray(transition, float)
    if x.ndim != 3:
        raise InvalidWorld(f"transition has shape {x.shape}, expected (A, S, S) or (S, A, S)")
    could = [name for name, axes in (("ASS", (1, 2)), ("SAS", (0, 2))) if x.shape[axes[0]] == x.shape[axes[1]]]
    if layout is None:
        if len(could) != 1:
            why = "both (A, S, S) and (S, A, S) fit: say layout='ASS' (pymdptoolbox) or 'SAS' (QuantEcon)" if could else (
                "neither (A, S, S) nor (S, A, S) fits"
            )  # fmt: skip
            raise InvalidWorld(f"transition has shape {x.shape}: {why}")
        layout = could[0]
    if layout not in could:
        raise InvalidWorld(f"transition has shape {x.shape}, which is no {layout}")
    if layout == "ASS":
        x = x.transpose(1, 0, 2)
    S, A = x.shape[:2]
    paid = np.asarray(reward, float)
    if paid.ndim == 3 and layout == "ASS":
        paid = paid.transpose(1, 0, 2)
    if paid.shape == (S,):
        paid = np.repeat(paid[:, None], A, axis=1)
    if paid.shape not in ((S, A), (S, A, S)):
        raise InvalidWorld(f"reward has shape {np.shape(reward)}, expected ({S},), ({S}, {A}), or as transition")
    paid = np.broadcast_to(paid if paid.ndim == 3 else paid[:, :, None], (S, A, S))
    flat = sparse.csr_array(x.reshape(S * A, S))
    return flat, paid.reshape(S * A, S)[np.repeat(np.arange(S * A), np.diff(flat.indptr)), flat.indices]


def _like_list(reward: Any, kernel: list[sparse.csr_array]) -> list[Array]:
    """R at the entries of each action's matrix."""
    A, S = len(kernel), kernel[0].shape[0]
    if isinstance(reward, (list, tuple)) and len(reward) == A and all(np.shape(r) == (S, S) for r in reward):
        out = []
        for k, r in zip(kernel, reward, strict=True):
            rows = np.repeat(np.arange(S), np.diff(k.indptr))
            dense = r.toarray() if sparse.issparse(r) else np.asarray(r, float)
            out.append(dense[rows, k.indices])
        return out
    paid = np.asarray(reward, float)
    if paid.shape == (S,):
        paid = np.repeat(paid[:, None], A, axis=1)
    if paid.shape != (S, A):
        raise InvalidWorld(f"reward has shape {paid.shape}, expected ({S},), ({S}, {A}), or a list of ({S}, {S})")
    return [np.repeat(paid[:, a], np.diff(k.indptr)) for a, k in enumerate(kernel)]


def _stacked(kernel: list[sparse.csr_array], paid: list[Array]) -> tuple[sparse.csr_array, Array]:
    """Matrices of each action as one with rows s·A + a."""
    A, S = len(kernel), kernel[0].shape[0]
    order = (np.arange(S)[:, None] + S * np.arange(A)).ravel()
    R = [sparse.csr_array((r + 0.0, k.indices, k.indptr), shape=k.shape) for k, r in zip(kernel, paid, strict=True)]
    flat, rewards = (sparse.csr_array(sparse.vstack(x, format="csr"))[order] for x in (kernel, R))
    if not np.array_equal(flat.indices, rewards.indices):
        raise InvalidWorld("reward's matrices do not have the entries of transition's")
    return flat, rewards.data


def _pairs(transition: Any, reward: Any, states: Any, actions: Any) -> tuple[sparse.csr_array, Array, Array]:
    """(the kernel (S·A, S), R at its entries, which pairs are there) from rows (L, S) of the pairs that are available."""
    s, a = np.asarray(states), np.asarray(actions)
    x = sparse.csr_array(transition)
    paid = np.asarray(reward, float)
    if not (
        np.issubdtype(s.dtype, np.integer) and np.issubdtype(a.dtype, np.integer) and s.shape == a.shape == x.shape[:1]
    ):
        raise InvalidWorld(
            f"state_indices and action_indices are integers, one for each of the {x.shape[0]} rows of transition"
        )
    if paid.shape != s.shape:
        raise InvalidWorld(f"reward has shape {paid.shape}, expected {s.shape}, one for each pair")
    S, A = x.shape[1], int(a.max()) + 1
    if s.min() < 0 or s.max() >= S or a.min() < 0:
        raise InvalidWorld(f"state_indices runs from {s.min()} to {s.max()}; states are 0 … {S - 1}")
    row = s * A + a
    twice = np.flatnonzero(np.bincount(row, minlength=S * A) > 1)
    if twice.size:
        raise InvalidWorld(f"the pair (state {twice[0] // A}, action {twice[0] % A}) has more than one row")
    there = np.bincount(row, minlength=S * A).reshape(S, A) > 0
    if not there.any(axis=1).all():
        raise InvalidWorld(f"state {int(np.argmin(there.any(axis=1)))} has no action")
    place = sparse.csr_array((np.ones(row.size), (row, np.arange(row.size))), shape=(S * A, row.size))
    flat = sparse.csr_array(place @ x)
    of_row = np.zeros(S * A)
    of_row[row] = paid
    return flat, np.repeat(of_row, np.diff(flat.indptr)), there
