"""Rows as JSON text and back: every float comes back bit for bit, also NaN and the infinities.

JSON has no NaN and no infinities, so they are written as objects: {"$float": "nan"}, {"$float": "inf"},
{"$float": "-inf"}.  Any JSON reader can read the file; `loads` turns these objects back into floats.
The text is ASCII, on one line.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from boltzgrad.errors import InvalidOption

TAG = "$float"


def plain(value: Any, where: str = "value") -> Any:
    """A value as JSON would return it: NumPy numbers become numbers, arrays and tuples lists.

    Raises: InvalidOption, naming the place, for anything that JSON cannot hold.

    >>> plain({"theta": np.array([1.0, 2.0]), "steps": np.int64(3)})
    {'theta': [1.0, 2.0], 'steps': 3}
    """
    if value is None or isinstance(value, (bool, np.bool_)):
        return value if value is None else bool(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)) and not isinstance(value, np.longdouble):
        return float(value)
    if isinstance(value, np.ndarray) and (value.dtype.kind in "biuU" or value.dtype in (np.float64, np.float32)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str) or name == TAG:
                raise InvalidOption(f"{where} has the key {name!r}; expected text other than {TAG!r}")
        return {str(name): plain(item, f"{where}[{name!r}]") for name, item in value.items()}
    kind = f"{type(value).__name__} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise InvalidOption(f"{where} is a {kind}; expected numbers, text, None, or lists, arrays or dictionaries of them")


def dumps(value: Any, *, sort: bool = False) -> str:
    """A value as one line of valid JSON, its keys in their own order or sorted.  Raises: InvalidOption, as `plain`.

    >>> dumps([1.5, np.nan])
    '[1.5,{"$float":"nan"}]'
    """
    return json.dumps(_tagged(plain(value)), allow_nan=False, sort_keys=sort, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    """The value that `dumps` wrote.  Raises: ValueError for anything but JSON.

    >>> loads(dumps({"gap": -np.inf}))
    {'gap': -inf}
    """
    return json.loads(text, object_hook=_untagged)


def _tagged(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {TAG: repr(value)}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if isinstance(value, dict):
        return {name: _tagged(item) for name, item in value.items()}
    return value


def _untagged(value: dict[str, Any]) -> Any:
    return float(value[TAG]) if value.keys() == {TAG} else value
