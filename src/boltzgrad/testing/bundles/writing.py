"""`export`: a problem at one θ and its exact solution as a folder of files."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad import __version__
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import BoltzgradError, InvalidOption, NotDifferentiable
from boltzgrad.families.registry import family_of, hypergradient
from boltzgrad.testing.bundles import layout
from boltzgrad.testing.bundles.content import Filed, filed
from boltzgrad.testing.bundles.readme import readme
from boltzgrad.verify import Verdict


def export(
    problem: Any, theta: Any, folder: str | os.PathLike[str], *, theta_source: str = "", replace: bool = False
) -> Path:
    """Write the reference bundle of `problem` at `theta` (d,) as `folder`, and return it.

    `theta_source` says in words where θ is from.  A folder that exists is left alone unless it is a bundle and `replace` is
    true.  The bundle appears whole or not at all.

    Raises: InvalidOption if the folder is in the way or cannot be written; NotDifferentiable if the model's derivative is not
    its slope, since the gradient would be wrong; what `bg.hypergradient` raises.
    """
    target = Path(folder)
    if not isinstance(theta_source, str):
        raise InvalidOption(f"theta_source is {theta_source!r}; expected where theta is from, in words")
    there = os.path.lexists(target)
    if there and not (replace and _is_bundle(target)):
        kind = "a bundle; replace it with replace=True (--force)" if _is_bundle(target) else "something else"
        raise InvalidOption(f"{target} exists and is {kind}; choose another folder")
    reference = hypergradient(problem, theta)
    if not reference.model_check.ok:
        raise NotDifferentiable(f"{Verdict.MODEL}, and so would the bundle's gradient be: {reference.model_check}")
    found = filed(reference, layout.MOST_NUMBERS)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            made = Path(scratch) / target.name
            made.mkdir()
            _write(made, reference, found, theta_source)
            if there:  # what was there goes last: whoever is interrupted has the one or the other
                target.rename(Path(scratch) / "replaced")
            made.rename(target)
    except (OSError, ValueError) as error:  # a ValueError where a name has a NUL, or what UTF-8 has no bytes for
        if isinstance(error, BoltzgradError):
            raise
        raise InvalidOption(f"cannot write the bundle {target}: {getattr(error, 'strerror', None) or error}") from error
    return target


def _is_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle and nothing besides: not merely a file called like its manifest."""
    try:
        manifest = json.loads(layout.text_of(folder / layout.MANIFEST))
        listed = {line.partition("  ")[2] for line in layout.text_of(folder / layout.SUMS).splitlines()}
    except (OSError, ValueError, RecursionError):
        return False
    known = isinstance(manifest, dict) and manifest.get("format") == layout.FORMAT
    return known and not folder.is_symlink() and set(layout.contents(folder)) <= listed


def _write(folder: Path, reference: Hypergradient, found: Filed, theta_source: str) -> None:
    arrays = {}
    for name, entry in found.entries.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        array = _plain(entry.array)
        np.save(path, array, allow_pickle=False)
        arrays[name] = {
            "file": f"{name}.npy",
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "axes": entry.axes.split(", ") if entry.axes else [],
            "meaning": entry.meaning,
        }
    manifest = _manifest(reference, found, arrays, theta_source)
    _text(folder / layout.MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    _text(folder / layout.SCHEMA, layout.schema_text())
    _text(folder / layout.README, readme(manifest))
    _text(folder / layout.SUMS, layout.sums_text(folder))


def _plain(x: Any) -> Any:
    """Little-endian, C order, float64 or int32/int64: what readers of `.npy` in other languages know."""
    array = np.asarray(x)
    return np.require(array, array.dtype.newbyteorder("<"), "C")


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _manifest(reference: Hypergradient, found: Filed, arrays: dict[str, Any], theta_source: str) -> dict[str, Any]:
    problem = reference.problem
    name, options = problem.recipe or (problem.name, None)
    bound = reference.error_bound
    return {
        "format": layout.FORMAT,
        "format_version": layout.FORMAT_VERSION,
        "boltzgrad": __version__,
        "problem": {
            "name": name,
            "family": family_of(problem).name,
            "options": options,
            "size": reference.size,
            "parameters": int(reference.theta.size),
        },
        "theta_source": theta_source,
        "constants": found.constants,
        "value": reference.value,
        "errors": {
            "gradient_bound": bound if np.isfinite(bound) else None,
            "gradient_estimate": reference.error_estimate,
            "value_scale": reference.value_scale,
        },
        "arrays": arrays,
        "omitted": found.omitted,
    }
