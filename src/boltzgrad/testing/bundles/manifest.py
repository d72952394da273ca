"""What `bundle.json` must hold before anything is read by it; the whole of it is described by `schema.json`."""

from __future__ import annotations

import math
from typing import Any

from boltzgrad.errors import BundleUnusable
from boltzgrad.testing.bundles import layout


def check_manifest(manifest: Any, files: set[str]) -> None:
    """Refuse a manifest that is not of this layout, or names a file that is not among `files`.

    Checksums keep a bundle from changing by accident; this keeps one that was made by other hands from being believed.
    Raises: BundleUnusable.
    """
    problem = _object(manifest, "problem")
    for key, kinds in (
        ("name", str),
        ("family", str),
        ("size", str),
        ("parameters", int),
        ("options", (dict, type(None))),
    ):
        _a(problem, key, kinds, "problem")
    _object(manifest, "constants")
    _object(manifest, "omitted")
    _number(manifest, "value", "bundle.json")
    errors = _object(manifest, "errors")
    for key in ("gradient_estimate", "value_scale"):
        _size(errors, key)
    arrays = _object(manifest, "arrays")
    for name in ("theta", "gradient", *layout.YARDSTICK):
        entry = _object(arrays, name)
        if entry.get("shape") != [problem["parameters"]]:
            raise BundleUnusable(
                f"bundle.json: arrays.{name} has the shape {_shown(entry.get('shape'))}, expected d numbers"
            )
    for name in arrays:
        entry = _object(arrays, name)
        _a(entry, "dtype", str, name)
        _a(entry, "shape", list, name)
        if entry.get("file") != f"{name}.npy" or entry["file"] not in files:
            raise BundleUnusable(
                f"bundle.json: arrays.{name} names the file {_shown(entry.get('file'))}, expected {name}.npy"
            )


def _object(data: Any, key: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not isinstance(data.get(key), dict):
        raise BundleUnusable(f"bundle.json has no object {key!r}; export the bundle again")
    found: dict[str, Any] = data[key]
    return found


def _a(data: dict[str, Any], key: str, kinds: Any, of: str = "bundle.json") -> None:
    if key not in data or not isinstance(data[key], kinds) or isinstance(data[key], bool):
        raise BundleUnusable(f"bundle.json: {of} has {key!r} = {_shown(data.get(key))}; export the bundle again")


def _number(data: dict[str, Any], key: str, of: str) -> float:
    _a(data, key, (int, float), of)
    try:
        found = float(data[key])
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise BundleUnusable(f"bundle.json: {of} has {key!r} = {found}, expected a finite number")
    return found


def _size(data: dict[str, Any], key: str) -> None:
    if _number(data, key, "errors") < 0.0:
        raise BundleUnusable(f"bundle.json: errors has {key!r} = {data[key]!r}, expected a number from 0")


def _shown(value: Any) -> str:
    """A value as it is shown: numbers of more digits than Python prints, and long texts, cut."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 80 else text[:77] + "…"
