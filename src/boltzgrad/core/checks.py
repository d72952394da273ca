"""Checks of numbers where they come in: each refusal names the entry, what was found and what was expected."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from autograd.extend import Box

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidModel, SuspiciousModel

# A row of probabilities may exceed one by rounding; float64 rows of 10^6 entries stay far below this.
ROW_SLACK = 1e-10
# A deficit between rounding and this is more likely float32 arithmetic than an episode that may end.
_DEFICIT_OF_FLOAT32 = 1e-5


def untraced(x: Any) -> Any:
    """The plain value behind however many autograd boxes."""
    while isinstance(x, Box):
        x = x._value
    return x


def refuse_mask(name: str, x: Any, refusal: type[Exception]) -> None:
    """Raise `refusal` for a masked array: NumPy drops the mask without a word."""
    if isinstance(x, np.ma.MaskedArray):
        hidden = int(np.ma.getmaskarray(x).sum())
        raise refusal(
            f"{name} is a masked array ({hidden} entries masked), and a mask would be lost: fill it, or hand in its .data"
        )


def real_number(name: str, x: Any) -> float:
    """`x` as a float.  Raises: InvalidModel, if it is none, or is being traced, and so depends on θ."""
    traced = isinstance(x, Box) or "Tracer" in type(x).__name__
    if traced or (np.iscomplexobj(x) and np.size(x) == 1 and not isinstance(x, str)):
        raise InvalidModel(f"{name} depends on theta, which is not supported yet: give a number")
    try:
        return float(x)
    except (TypeError, ValueError):
        raise InvalidModel(f"{name} is {x!r}; it must be a real number") from None


def numeric_array(name: str, x: Any, *, ndim: int | None = None, axes: str = "") -> Any:
    """`x` as float64 (complex128 under a complex step), finite; an autograd box is checked and kept."""
    refuse_mask(name, untraced(x), InvalidModel)
    try:
        value = np.asarray(untraced(x))
    except ValueError as error:
        raise InvalidModel(f"{name} is not an array of numbers: {error}") from None
    if value.dtype.kind not in "biufc":
        hint = ""
        if value.dtype == object and any(isinstance(entry, Box) for entry in value.ravel()[:1000]):
            hint = "; it mixes traced values into a plain NumPy array: build it with autograd.numpy"
        raise InvalidModel(f"{name} holds {value.dtype} values, expected real numbers{hint}")
    if ndim is not None and value.ndim != ndim:
        raise InvalidModel(f"{name} has shape {value.shape}, expected {ndim} axes {axes}")
    finite = np.isfinite(value)
    if not finite.all():
        bad = np.argwhere(~finite)[0]
        raise InvalidModel(f"{name}[{', '.join(map(str, bad))}] is {value[tuple(bad)]}; every entry must be finite")
    if isinstance(x, Box):
        return x
    return value.astype(np.complex128 if value.dtype.kind == "c" else np.float64, copy=False)


def real_array(name: str, x: Any, *, ndim: int | None = None, axes: str = "") -> Array:
    """`x` as float64, finite, real and no traced number.  Raises: InvalidModel."""
    value = numeric_array(name, x, ndim=ndim, axes=axes)
    if np.iscomplexobj(untraced(value)):
        raise InvalidModel(f"{name} is complex; expected real numbers")
    return np.asarray(value, float)


def check_probabilities(
    name: str, values: Array, indptr: Array, n_actions: int, whole: bool, indices: Array | None = None
) -> None:
    """Check rows of probabilities: none negative, sums at most one (exactly one if `whole`)."""
    flat = np.real(values).ravel()

    def label(row: int) -> str:
        return name if whole else f"{name}[{row // n_actions}, {row % n_actions}]"

    if flat.size and flat.min() < 0.0:
        entry = int(np.argmin(flat))
        row = int(np.searchsorted(indptr, entry, side="right")) - 1
        column = int(indices[entry]) if indices is not None else entry - int(indptr[row])
        at = f"{name}[{column}]" if whole else f"{label(row)[:-1]}, {column}]"
        raise InvalidModel(f"{at} is {flat[entry]:.6g}; probabilities must not be negative")
    if values.ndim == 2:
        sums = np.real(values).sum(axis=1)
    else:
        sums = np.zeros(indptr.size - 1)
        filled = np.flatnonzero(np.diff(indptr))
        if filled.size:
            sums[filled] = np.add.reduceat(flat, indptr[filled])
    row = int(np.argmax(sums))
    if sums[row] > 1.0 + ROW_SLACK:
        raise InvalidModel(f"{label(row)} sums to {sums[row]:.12g}; rows must be probabilities (at most 1)")
    missing = 1.0 - sums
    if whole:
        if missing[0] > ROW_SLACK:
            raise InvalidModel(f"{name} sums to {sums[0]:.12g}; it must be a probability distribution")
        return
    odd = np.flatnonzero((missing > ROW_SLACK) & (missing < _DEFICIT_OF_FLOAT32))
    if odd.size:
        warnings.warn(
            f"{label(int(odd[0]))} sums to 1 − {missing[odd[0]]:.3g}: taken as an episode that may end, "
            "but it looks like float32 rounding; normalise the rows in float64",
            SuspiciousModel,
            stacklevel=2,
        )


def check_available(x: Any, shapes: Sequence[tuple[int, ...]]) -> Array | None:
    """`x` as a mask of one of the `shapes`, true where an action is there; None where all are.  Raises: InvalidModel."""
    if x is None:
        return None
    try:
        mask = np.asarray(untraced(x))
    except ValueError as error:
        raise InvalidModel(f"available is not an array of booleans: {error}") from None
    if mask.dtype != bool:
        raise InvalidModel(f"available holds {mask.dtype} values, expected booleans: true where an action is there")
    _shaped("available", mask, shapes)
    some = mask.any(axis=-1)
    if not some.all():
        at = _index(np.argwhere(~some)[0])
        raise InvalidModel(f"available[{at}] is false throughout: in state {at.rpartition(', ')[2]} there is no action")
    return None if mask.all() else mask


def check_policy(name: str, x: Array, shapes: Sequence[tuple[int, ...]], there: Array | None = None) -> Array:
    """Where a policy `x` of one of the `shapes` is positive, none of it where no action is `there`.

    Raises: InvalidModel if it is none.
    """
    _shaped(name, x, shapes)
    if x.min() < 0.0:
        at = np.unravel_index(int(np.argmin(x)), x.shape)
        raise InvalidModel(f"{name}[{_index(at)}] is {x[at]:.6g}; probabilities must not be negative")
    sums = x.sum(axis=-1)
    if np.abs(sums - 1.0).max() > ROW_SLACK:
        at = np.unravel_index(int(np.argmax(np.abs(sums - 1.0))), sums.shape)
        raise InvalidModel(f"{name}[{_index(at)}] sums to {sums[at]:.12g}; it must be a policy, rows of probabilities")
    positive = x > 0.0
    if there is None:
        return np.asarray(positive)
    beside = positive & ~there
    if beside.any():
        at = tuple(np.argwhere(beside)[0])
        here = _index(at[-there.ndim :])
        raise InvalidModel(f"{name}[{_index(at[-x.ndim :])}] is {x[at[-x.ndim :]]:.6g}, but available[{here}] is false")
    return np.asarray(positive & there)


def _shaped(name: str, x: Array, shapes: Sequence[tuple[int, ...]]) -> None:
    if x.shape not in shapes:
        raise InvalidModel(f"{name} has shape {x.shape}, expected {' or '.join(map(str, shapes))} as in the rewards")


def _index(at: Any) -> str:
    return ", ".join(str(int(i)) for i in at)
