"""What every family puts into a bundle: its arrays with their meanings, from the fields of its record, and its constants."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from boltzgrad.families.family import Entries, Entry


def described(arrays: Any, prefix: str, like: Any = None) -> Entries:
    """The arrays of a record by name with the meanings and axes of its fields (`core.arrays.meaning`); ∂J/∂ them where the
    record is a cotangent of what `like` is.
    """
    out = {}
    for f in fields(arrays):
        x = getattr(arrays, f.name)
        if x is not None:
            words = f.metadata["meaning"] if like is None else f"∂J/∂({f.name})"
            out[f"{prefix}/{f.name}"] = Entry(np.asarray(x), words, f.metadata["axes"])
    return out


def discounts(model: Any) -> dict[str, Any]:
    """What every family has besides arrays."""
    return {
        "follower_discount": model.follower_discount,
        "leader_discount": model.leader_discount,
        "temperature": model.temperature,
    }
