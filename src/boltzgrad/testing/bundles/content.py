"""What a bundle holds of each family: arrays by name with their axes, the Jacobian of those that depend on θ, and constants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import InvalidOption
from boltzgrad.families.family import Entries, Entry
from boltzgrad.families.registry import family_of
from boltzgrad.verify.tolerances import Yardstick, candidate_allowance


@dataclass(frozen=True, eq=False)
class Filed:
    """What is written: the arrays by name (`model/…`, `cotangent/…`, `jacobian/…`, `follower/…`, `leader/…`), the constants of
    the model, and the reasons why something is not there.
    """

    entries: Entries
    constants: dict[str, Any]
    omitted: dict[str, str]


def filed(reference: Hypergradient, most_numbers: int) -> Filed:
    """The content of a solved problem.  Raises: InvalidOption for one of a family that has no bundles."""
    family = family_of(reference.problem)
    if family.content is None:
        raise InvalidOption(f"{type(reference.problem).__name__} is of a family that has no bundles")
    entries: Entries = {
        "theta": Entry(reference.theta, "the leader's parameters θ", "parameter"),
        "gradient": Entry(reference.gradient, "the hypergradient ∇J(θ)", "parameter"),
        "coordinate_bounds": Entry(
            reference.coordinate_bounds, "a proved bound on the error of each entry of the gradient", "parameter"
        ),
        "rounding": Entry(
            reference.rounding, "what a float64 route to each entry of the gradient may round off", "parameter"
        ),
        "terms": Entry(
            reference.term_sizes, "the size of the terms that each entry of the gradient is a sum of", "parameter"
        ),
        "units": Entry(
            reference.units,
            "the natural step of each entry of θ: it moves the model by about its own size",
            "parameter",
        ),
        "allowed": Entry(
            candidate_allowance(Yardstick.of(reference), np.dtype(np.float64), None),
            "the largest difference of each entry of a float64 gradient that is accepted",
            "parameter",
        ),
    }
    found = family.content(reference)
    entries |= found.entries
    jacobians, omitted = _jacobians(entries, found.columns, reference.theta.size, most_numbers)
    return Filed(entries | jacobians, found.constants, omitted)


def _jacobians(
    entries: Entries, columns: Iterator[dict[str, Array]], dim: int, most_numbers: int
) -> tuple[Entries, dict[str, str]]:
    """The derivatives (…, d) of the model's arrays that depend on θ."""
    movable = [entry.array for name, entry in entries.items() if "model/" in name and entry.array.dtype.kind == "f"]
    total = dim * sum(array.size for array in movable)
    if total > 4 * most_numbers:
        return {}, {"jacobian": f"{total} numbers are too many for files; the cotangents are there"}
    kept: dict[str, list[Array]] = {}
    for column in columns:
        for name, x in column.items():
            kept.setdefault(name, []).append(x)
    out, omitted = {}, {}
    for name, xs in kept.items():
        stacked = np.stack(xs, axis=-1)
        if not stacked.any():
            continue
        where = name.replace("model/", "jacobian/")
        if stacked.size > most_numbers:
            omitted[where] = f"{stacked.size} numbers are too many for a file; the cotangent is there"
            continue
        of = entries[name]
        axes = f"{of.axes}, parameter" if of.axes else "parameter"
        out[where] = Entry(stacked, f"∂({name.rpartition('/')[2]})/∂θ", axes)
    return out, omitted
