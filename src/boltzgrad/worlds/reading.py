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
    is an end, whatever the table says goes on from there.  What wrappers do (a limit on the steps, other rewards), and what the
    environment's own `step` does beyond its table, is no part of it.

    Raises: InvalidWorld for an environment without a table, and for entries that are no probabilities; InvalidOption.
    """
    inner = getattr(env, "unwrapped", env)
    table = getattr(inner, "P", None)
    if not isinstance(table, Mapping):
        kind = f"the name {env!r}" if isinstance(env, str) else type(inner).__name__
        raise InvalidWorld(
            f"{kind} has no table of its transitions (env.unwrapped.P): an exact reference needs one"
            f"{', so give gymnasium.make(name)' if isinstance(env, str) else ''}. Of a continuous world, "
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
    wrappers = []
    while env is not inner and hasattr(env, "env"):
        wrappers.append(type(env).__name__)
        env = env.env
    unlike = [w for w in wrappers if w not in ("TimeLimit", "OrderEnforcing", "PassiveEnvChecker")]
    if unlike:
        world = _noted(world, f"what wrappers change is no part of the table: {', '.join(unlike)}")
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
    S, A, action_names = len(states), len(actions), list(actions)
    there = np.zeros((S, A), bool)
    rows: list[tuple[int, int, float, float, bool]] = []
    for s in states:
        for a, outcomes in table[s].items():
            there[number[s], actions[a]] = True
            if not isinstance(outcomes, (list, tuple)) or not outcomes:
                raise InvalidWorld(f"{name}[{s!r}][{a!r}] is {outcomes!r}; expected a list of outcomes")
            for outcome in outcomes:
                rows.append(_outcome(f"{name}[{s!r}][{a!r}]", outcome, number, number[s] * A + actions[a]))
    row, successor, probability, reward, over = (np.array(x) for x in zip(*rows, strict=True))
    start = _start(initial, number, S)
    over = over.astype(bool)
    ends = _ends(row // A, successor, over, probability.astype(float), start, S)
    dropped = np.isin(row // A, ends)  # what would go on from an end never happens
    reward = np.where(dropped, 0.0, reward)
    outcomes_, merged = gathered(
        row,
        successor,
        probability.astype(float),
        reward,
        over | dropped,
        (S, A),
        there=there,
        label=lambda k: f"{name}[{states[k // A]!r}][{action_names[k % A]!r}]",
    )
    return World(
        outcomes_,
        start,
        checked_discount(discount),
        None if there.all() else there,
        states,
        action_names,
        notes_of(outcomes_, merged, ends, states),
    )


def _outcome(where: str, outcome: Any, number: Mapping[Hashable, int], row: int) -> tuple[int, int, float, float, bool]:
    if not isinstance(outcome, (tuple, list)) or len(outcome) not in (3, 4):
        raise InvalidWorld(f"{where} holds {outcome!r}; expected (probability, next state, reward, terminated)")
    probability, successor, reward, *over = outcome
    if not isinstance(successor, Hashable) or successor not in number:
        raise InvalidWorld(f"{where} leads to {successor!r}, which is no state of the table")
    try:
        return row, number[successor], float(probability), float(reward), bool(over[0]) if over else False
    except (TypeError, ValueError):
        raise InvalidWorld(f"{where} holds {outcome!r}; probability and reward are numbers") from None


def _start(initial: Any, number: Mapping[Hashable, int], S: int) -> Array:
    """The start (S,).  Raises: InvalidWorld."""
    start = np.zeros(S)
    try:
        if initial is None:
            start[0] = 1.0
        elif isinstance(initial, Mapping):
            for s, p in initial.items():
                if s not in number:
                    raise InvalidWorld(f"initial has {s!r}, which is no state of the world")
                start[number[s]] = p
        elif not isinstance(initial, np.ndarray) and isinstance(initial, Hashable) and initial in number:
            start[number[initial]] = 1.0
        else:
            start = np.asarray(initial, float)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidWorld):
            raise
        raise InvalidWorld(f"initial is {initial!r}; expected ({S},), a state, or {{state: probability}}") from None
    if start.shape != (S,):
        raise InvalidWorld(f"initial has shape {start.shape}, expected ({S},), a state, or {{state: probability}}")
    if not (np.isfinite(start).all() and start.min() >= 0.0 and abs(start.sum() - 1.0) <= 1e-6):
        raise InvalidWorld(
            f"initial sums to {start.sum():.8g}, its least entry is {start.min():.6g}; expected probabilities"
        )
    return np.asarray(start / start.sum())


def _ends(source: Array, successor: Array, over: Array, probability: Array, start: Array, S: int) -> Array:
    """The states (k,) that are ends: an ending leads there, and nothing that goes on does, from any state but such ends."""
    happens = probability > 0.0
    targets = np.unique(successor[over & happens])
    first = np.union1d(np.flatnonzero(start), np.setdiff1d(np.arange(S), targets))
    on = ~over & happens
    edges = np.concatenate([source[on], np.full(first.size, S)]), np.concatenate([successor[on], first])
    graph = sparse.csr_array((np.ones(edges[0].size, bool), edges), shape=(S + 1, S + 1))
    alive = np.zeros(S + 1, bool)
    alive[csgraph.breadth_first_order(graph, S, return_predecessors=False)] = True
    return np.setdiff1d(targets, np.flatnonzero(alive))


def checked_discount(discount: Any) -> float:
    """A discount.  Raises: InvalidOption."""
    if (
        isinstance(discount, bool)
        or not isinstance(discount, (int, float, np.floating, np.integer))
        or not 0.0 <= discount <= 1.0
    ):
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
        flat, paid, there, alone = _pairs(transition, reward, state_indices, action_indices)
    else:
        flat, paid, alone = _tables(transition, reward, layout)
        there = None
    S = flat.shape[1]
    A = flat.shape[0] // S
    row = np.repeat(np.arange(S * A), np.diff(flat.indptr))
    p, R = flat.data, paid
    sums = np.bincount(row, p, minlength=S * A).reshape(S, A).astype(float)
    full = np.ones((S, A), bool) if there is None else there
    # Rows that are short end the episode: pay as they would have, on average, and go nowhere.
    short = np.where(full, np.maximum(1.0 - sums, 0.0), 0.0)
    short[short <= 1e-6] = 0.0
    at = np.flatnonzero(short.ravel())
    mean = np.bincount(row, p * R, minlength=S * A) / np.maximum(sums.ravel(), 1e-300)
    mean = np.where(sums.ravel() > 0.0, mean, alone)
    outcomes, merged = gathered(
        np.concatenate([row, at]),
        np.concatenate([flat.indices, np.zeros(at.size, int)]),
        np.concatenate([p, short.ravel()[at]]),
        np.concatenate([R, mean[at]]),
        np.concatenate([np.zeros(row.size, bool), np.ones(at.size, bool)]),
        (S, A),
        there=full,
        label=lambda k: f"transition (state {k // A}, action {k % A})",
    )
    start = np.full(S, 1.0 / S) if initial is None else _start(initial, {i: i for i in range(S)}, S)
    notes = notes_of(outcomes, merged, np.zeros(0, int), range(S))
    return World(outcomes, start, checked_discount(discount), None if full.all() else full, notes=notes)


def _tables(transition: Any, reward: Any, layout: str | None) -> tuple[sparse.csr_array, Array, Array]:
    """(the kernel (S·A, S), R at its entries, r (S·A,) of a row without any) from (A, S, S), (S, A, S) or A matrices."""
    if sparse.issparse(transition):
        raise InvalidWorld(
            f"transition is one sparse matrix of shape {transition.shape}; expected one (S, S) for each action, in a list, or "
            "state_indices and action_indices beside it"
        )
    if isinstance(transition, (list, tuple)) and any(sparse.issparse(x) for x in transition):
        if layout not in (None, "ASS"):
            raise InvalidOption(f"layout is {layout!r}; a list of sparse matrices is one for each action")
        return _of_list(transition, reward)
    try:
        x = np.asarray(transition, float)
    except (TypeError, ValueError):
        raise InvalidWorld(
            "transition is no array of numbers; expected (A, S, S), (S, A, S), or a list of A (S, S)"
        ) from None
    if x.ndim != 3 or not x.size:
        raise InvalidWorld(f"transition has shape {x.shape}, expected (A, S, S) or (S, A, S)")
    could = [name for name, axes in (("ASS", (1, 2)), ("SAS", (0, 2))) if x.shape[axes[0]] == x.shape[axes[1]]]
    matrices = isinstance(transition, (list, tuple)) and all(isinstance(m, np.ndarray) for m in transition)
    if layout is None and matrices and "ASS" in could:
        layout = "ASS"  # a list of matrices is one for each action
    if layout is None:
        if len(could) != 1:
            both = "both (A, S, S) and (S, A, S) fit: say layout='ASS' (pymdptoolbox) or 'SAS' (QuantEcon)"
            raise InvalidWorld(
                f"transition has shape {x.shape}: {both if could else 'neither (A, S, S) nor (S, A, S) fits'}"
            )
        layout = could[0]
    if layout not in could:
        raise InvalidWorld(f"transition has shape {x.shape}, which is no {layout}")
    if layout == "ASS":
        x = x.transpose(1, 0, 2)
    S, A = x.shape[:2]
    r, R = _rewards(reward, S, A, layout)
    flat = sparse.csr_array(x.reshape(S * A, S))
    rows = np.repeat(np.arange(S * A), np.diff(flat.indptr))
    paid = np.repeat(r.ravel(), np.diff(flat.indptr)) if R is None else R.reshape(S * A, S)[rows, flat.indices]
    return flat, paid, np.zeros(S * A) if R is not None else r.ravel()


def _rewards(reward: Any, S: int, A: int, layout: str) -> tuple[Array, Array | None]:
    """(r (S, A), None), or with R (S, A, S) where it depends on the state that is reached."""
    if isinstance(reward, (list, tuple)) and any(sparse.issparse(x) for x in reward):
        reward = [x.toarray() if sparse.issparse(x) else x for x in reward]
    try:
        paid = np.asarray(reward, float)
    except (TypeError, ValueError):
        raise InvalidWorld(f"reward is no array of numbers; expected ({S},), ({S}, {A}), or as transition") from None
    if paid.shape == (S,):
        return np.repeat(paid[:, None], A, axis=1), None
    if paid.shape == (S, A):
        return paid, None
    wanted = (A, S, S) if layout == "ASS" else (S, A, S)
    if paid.shape != wanted:
        raise InvalidWorld(f"reward has shape {paid.shape}, expected ({S},), ({S}, {A}), or {wanted} as transition")
    return np.zeros((S, A)), paid.transpose(1, 0, 2) if layout == "ASS" else paid


def _of_list(transition: Sequence[Any], reward: Any) -> tuple[sparse.csr_array, Array, Array]:
    """The same from matrices (S, S) of each action, of which some are sparse."""
    kernel = []
    for a, x in enumerate(transition):
        m = sparse.csr_array(x)
        if m.ndim != 2 or m.shape[0] != m.shape[1] or m.shape != np.shape(transition[0]):
            raise InvalidWorld(f"transition[{a}] has shape {m.shape}, expected (S, S) as of the first action")
        m.sum_duplicates()  # and sorts: R is read at the entries in their order
        kernel.append(m)
    A, S = len(kernel), kernel[0].shape[0]
    each = isinstance(reward, (list, tuple)) and len(reward) == A and all(np.shape(r) == (S, S) for r in reward)
    if each or np.shape(reward) == (A, S, S):
        paid = [_at_entries(r, k) for r, k in zip(reward, kernel, strict=True)]
        alone = np.zeros(S * A)
    else:
        r, _ = _rewards(reward, S, A, "ASS")
        paid = [np.repeat(r[:, a], np.diff(k.indptr)) for a, k in enumerate(kernel)]
        alone = r.ravel()
    order = (np.arange(S)[:, None] + S * np.arange(A)).ravel()
    # A reward of zero has to stay an entry: it is carried as a number that is none.
    carried = [
        sparse.csr_array((r + 1j, k.indices, k.indptr), shape=k.shape) for k, r in zip(kernel, paid, strict=True)
    ]
    flat, rewards = (sparse.csr_array(sparse.vstack(x, format="csr"))[order] for x in (kernel, carried))
    flat.sort_indices()
    rewards.sort_indices()
    return flat, np.real(rewards.data), alone


def _at_entries(reward: Any, kernel: sparse.csr_array) -> Array:
    """R(s, s') (S, S), dense or sparse, at the entries of one action's matrix."""
    rows = np.repeat(np.arange(kernel.shape[0]), np.diff(kernel.indptr))
    found = (
        sparse.csr_array(reward)[rows, kernel.indices]
        if sparse.issparse(reward)
        else np.asarray(reward, float)[rows, kernel.indices]
    )
    return np.asarray(found, float).ravel()


def _pairs(transition: Any, reward: Any, states: Any, actions: Any) -> tuple[sparse.csr_array, Array, Array, Array]:
    """(the kernel (S·A, S), R at its entries, which pairs are there, r (S·A,)) from rows (L, S) of the pairs that are there."""
    s, a = np.asarray(states), np.asarray(actions)
    if not sparse.issparse(transition) and np.ndim(transition) != 2:
        raise InvalidWorld(
            f"transition has {np.ndim(transition)} axes; beside state_indices it has a row for each pair"
        )
    x = sparse.csr_array(transition)
    paid = np.asarray(reward, float)
    if not np.isfinite(paid).all():
        raise InvalidWorld("reward is not finite everywhere; a pair that is not feasible is left out of the list")
    if not (
        np.issubdtype(s.dtype, np.integer) and np.issubdtype(a.dtype, np.integer) and s.shape == a.shape == x.shape[:1]
    ):
        raise InvalidWorld(
            f"state_indices and action_indices are integers, one for each of the {x.shape[0]} rows of transition"
        )
    if paid.shape != s.shape:
        raise InvalidWorld(f"reward has shape {paid.shape}, expected {s.shape}, one for each pair")
    S, A = x.shape[1], int(a.max()) + 1
    if s.min() < 0 or s.max() >= S:
        raise InvalidWorld(f"state_indices runs from {s.min()} to {s.max()}; states are 0 … {S - 1}")
    if a.min() < 0:
        raise InvalidWorld(f"action_indices has {a.min()}; actions are counted from 0")
    row = s * A + a
    twice = np.flatnonzero(np.bincount(row, minlength=S * A) > 1)
    if twice.size:
        raise InvalidWorld(f"the pair (state {twice[0] // A}, action {twice[0] % A}) has more than one row")
    there = np.bincount(row, minlength=S * A).reshape(S, A) > 0
    if not there.any(axis=1).all():
        raise InvalidWorld(f"state {int(np.argmin(there.any(axis=1)))} has no action")
    place = sparse.csr_array((np.ones(row.size), (row, np.arange(row.size))), shape=(S * A, row.size))
    flat = sparse.csr_array(place @ x)
    flat.sort_indices()
    of_row = np.zeros(S * A)
    of_row[row] = paid
    return flat, np.repeat(of_row, np.diff(flat.indptr)), there, of_row
