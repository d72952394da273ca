"""Loops that are compiled where numba is installed (the extra `[fast]`), and are not used where it is not.

Every one of them has a plain NumPy or SciPy path beside it, which tests hold it against; `available` says which of them runs.
Compilation happens once: its results are kept beside the source, or in the user's cache.  One thread, no reordering of sums at
run time: the same bits on one machine.
"""

from __future__ import annotations

from typing import Any

try:
    import numba
except ImportError:
    numba = None


def available() -> bool:
    """Whether compiled loops are used."""
    return numba is not None


def compiled(loop: Any) -> Any:
    """A loop over arrays of numbers, compiled when it is first called; as it is where there is no numba."""
    if not available():
        return loop
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
    try:
        return numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # nowhere to keep it: compiled in each process
        return numba.njit(**options)(loop)
