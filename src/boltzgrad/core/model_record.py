"""What the check of a model's own derivative says: nothing wrong, or which array, entry and coordinate, and how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array


@dataclass(frozen=True)
class ModelCheck:
    """What came out of it: `ok`, or a `complaint` that names array and coordinate.

    `kind` is "" where it is fine, else "random", "changes theta", "changes its arrays", "derivative" or "transpose".
    `array` is the array's name with the entry, `coordinate` that of θ (−1 where there is none), `derivative` and `slope` the
    two numbers [array/θ_j].  `method` says how slopes were measured, `unchecked` what could not be, and why; `doubtful` that
    this is a kink or noise in the model itself, on which no gradient should be judged.
    """

    kind: str = ""
    complaint: str = ""
    array: str = ""
    coordinate: int = -1
    derivative: float = float("nan")
    slope: float = float("nan")
    method: str = ""
    unchecked: str = ""
    doubtful: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.kind

    def __str__(self) -> str:
        if not self.ok:
            return self.complaint
        return f"the model's derivative is its slope (by {self.method})" + (
            f"; not checked: {self.unchecked}" if self.unchecked else ""
        )


def entry_name(name: str, off: Array) -> str:
    """The name of an array with the index of the entry where `off` is largest."""
    where = np.unravel_index(int(np.argmax(off)), off.shape)
    return f"{name}[{', '.join(map(str, where))}]" if off.size > 1 else name
