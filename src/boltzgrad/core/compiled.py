"""Loops that are compiled where numba is installed (the extra `[fast]`), and are not used where it is not.

Every one of them has a plain NumPy or SciPy path beside it, which tests hold it against; `available` says which of them runs.
numba is imported, and a file's loops are compiled, when the first of them is called; what comes of it is kept beside the
source, or in the user's cache.  One thread, no reordering of sums at run time: the same bits on one machine.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any


@functools.cache
def available() -> bool:
    """Whether compiled loops are used."""
    return importlib.util.find_spec("numba") is not None


class _Loop:
    """A loop that is compiled when it is first called, together with all of its file, which it may call."""

    def __init__(self, plain: Any, *, to_the_bit: bool = False) -> None:
        self.plain: Any = plain
        self.to_the_bit = to_the_bit
        self.fast: Any = None

    def __call__(self, *args: Any) -> Any:
        if self.fast is None:
            names = self.plain.__globals__
            for name, loop in [(name, x) for name, x in names.items() if isinstance(x, _Loop)]:
                names[name] = loop.fast = _jitted(loop.plain, to_the_bit=loop.to_the_bit)
        return self.fast(*args)


def compiled(loop: Any) -> Any:
    """A loop over arrays of numbers, to be compiled; as it is where there is no numba."""
    return _Loop(loop) if available() else loop


def compiled_to_the_bit(loop: Any) -> Any:
    """The same, of operations as they are written: no product is fused with a sum, so that NumPy's numbers are had."""
    return _Loop(loop, to_the_bit=True) if available() else loop


def _jitted(loop: Any, *, to_the_bit: bool) -> Any:
    import numba

    freely = {"contract", "nsz", "arcp"}
    options = {"nogil": True, "error_model": "numpy", "fastmath": False if to_the_bit else freely}
    try:
        return numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # nowhere to keep it: compiled in each process
        return numba.njit(**options)(loop)
