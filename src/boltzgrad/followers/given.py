"""A follower as somebody hands it in: a policy or a table Q for each context, checked, and laid out as the table's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import numeric_array
from boltzgrad.errors import InvalidFollower, InvalidModel
from boltzgrad.families.laid_out import Table
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.solvers import boltzmann
from boltzgrad.solvers.suboptimal import evaluate_policy

_SUM_SLACK = 1e-6  # what float32 leaves of a row's sum
# A softmax that underflows gives zeros to actions less likely than this, by the precision of what was given.
_SURELY_TAKEN = {np.dtype(np.float32): 1e-30, np.dtype(np.float64): 1e-250}


def read_tables(name: str, given: Any, models: Sequence[TabularModel], table: Table) -> list[Array]:
    """What was given for each context, as the table's (rows, actions).  Raises: InvalidFollower, naming the entry."""
    many = [given]
    if len(models) > 1:
        many = list(given) if isinstance(given, (list, tuple, np.ndarray)) else []
        if len(many) != len(models):
            raise InvalidFollower(
                f"{name} has {len(many)} tables, the problem {len(models)} contexts; give a list with one for each"
            )
    out = []
    for c, x in enumerate(many):
        mask = models[c].available
        if name == "q" and mask is not None:  # what is not there is often marked by −∞
            there = np.asarray(mask, bool)[: int(np.prod(table.shapes[c][:-1]))].reshape(table.shapes[c])
            x = np.where(there, x, 0.0) if np.shape(x) == there.shape else x
        out.append(table.flat(_read(_named(name, c, models), x, table.shapes[c], table.axes)))
    return out


def read_values(given: Any, models: Sequence[TabularModel], table: Table) -> list[Array]:
    """Values V̂ for each context, as the table's (rows,).  Raises: InvalidFollower."""
    many = [given] if len(models) == 1 else list(given) if isinstance(given, (list, tuple, np.ndarray)) else []
    if len(many) != len(models):
        raise InvalidFollower(f"value has {len(many)} arrays, the problem {len(models)} contexts")
    axes = "one for each state of the policy"
    found = [_read(_named("value", c, models), x, table.shapes[c][:-1], axes) for c, x in enumerate(many)]
    return [table.flat(x[..., None])[:, 0] for x in found]


def _named(name: str, context: int, models: Sequence[TabularModel]) -> str:
    return f"{name}[{context}]" if len(models) > 1 else name


def _read(name: str, given: Any, shape: tuple[int, ...], axes: str) -> Array:
    try:
        x = numeric_array(name, given)
    except InvalidModel as error:
        raise InvalidFollower(str(error)) from None
    if x.shape != shape:
        raise InvalidFollower(f"{name} has shape {x.shape}, expected {shape}: {axes}")
    if np.iscomplexobj(x):
        raise InvalidFollower(f"{name} is complex; expected real numbers")
    return np.asarray(x, float)


def read_policies(given: Any, models: Sequence[TabularModel], table: Table) -> list[Array]:
    """Policies for each context, as the table's (rows, actions), their rows brought to one.  Raises: InvalidFollower."""
    found = read_tables("policy", given, models, table)
    single = getattr(given[0] if len(models) > 1 else given, "dtype", None) == np.float32
    sure = _SURELY_TAKEN[np.dtype(np.float32 if single else np.float64)]
    return [
        _checked(_named("policy", c, models), x, m, table, c, sure)
        for c, (m, x) in enumerate(zip(models, found, strict=True))
    ]


def _checked(name: str, x: Array, model: TabularModel, table: Table, context: int, sure: float) -> Array:
    if x.min() < 0.0:
        s, a = divmod(int(np.argmin(x)), x.shape[1])
        where = f"{name}{table.index(context, s, a)}"
        raise InvalidFollower(f"{where} is {x[s, a]:.6g}; probabilities must not be negative")
    sums = x.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1.0)))
    if abs(sums[worst] - 1.0) > _SUM_SLACK:
        raise InvalidFollower(f"{name}{table.index(context, worst)} sums to {sums[worst]:.8g}; each row must sum to 1")
    if model.available is not None:
        taken = np.argwhere((x > 0.0) & ~np.asarray(model.available, bool))
        if taken.size:
            s, a = map(int, taken[0])
            where = f"{name}{table.index(context, s, a)}"
            raise InvalidFollower(f"{where} is {x[s, a]:.6g}, and that action is not available there")
    x = x / sums[:, None]
    greedy = boltzmann(evaluate_policy(model, x).q, model.temperature)[0]
    missing = np.argwhere((x == 0.0) & (greedy > sure))
    if missing.size:
        s, a = map(int, missing[0])
        raise InvalidFollower(
            f"{name}{table.index(context, s, a)} is 0, and the soft answer to this policy's own values gives that action "
            f"{greedy[s, a]:.2g}: a follower with entropy takes every action there is. Mix a little of it in, or say that "
            "it is not there (available=, a zero of reference=)"
        )
    return np.asarray(x)
