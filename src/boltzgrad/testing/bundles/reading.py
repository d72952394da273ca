"""A bundle read back, or refused: a file missing, added or altered, another version, no bundle at all."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad import __version__, problems
from boltzgrad.core.arrays import Array
from boltzgrad.errors import BoltzgradError, BundleUnusable
from boltzgrad.testing.bundles import layout
from boltzgrad.testing.bundles.manifest import check_manifest
from boltzgrad.testing.bundles.remade import from_arrays

_LONGEST_HORIZON = 1_000_000
_DTYPES = ("<f8", "<i4", "<i8")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose files are all there and as they were written; arrays are read when they are asked for."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The problem's name."""
        return str(self.manifest["problem"]["name"])

    @property
    def value(self) -> float:
        """J(θ)."""
        return float(self.manifest["value"])

    def array(self, name: str) -> Array:
        """An array by its name, such as "gradient" or "model/transition".  Raises: BundleUnusable."""
        entry = self.manifest["arrays"].get(name)
        if entry is None:
            raise BundleUnusable(
                f"{self.folder}: there is no array {name!r}; it has {', '.join(self.manifest['arrays'])}"
            )
        try:
            array = layout.array_of(self.folder / entry["file"])
        except (OSError, ValueError, EOFError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
            raise BundleUnusable(f"{self.folder}: {entry['file']} is no array: {error}") from None
        if array.dtype.str not in _DTYPES:
            raise BundleUnusable(f"{self.folder}: {entry['file']} holds {array.dtype} values; export the bundle again")
        if [array.dtype.str, list(array.shape)] != [entry["dtype"], entry["shape"]]:
            raise BundleUnusable(
                f"{self.folder}: {entry['file']} is {array.dtype.str} {list(array.shape)}, and bundle.json says "
                f"{entry['dtype']} {entry['shape']}"
            )
        return array

    def _finite(self, name: str) -> Array:
        """An array of which every entry is a finite number, as a model's are.  Raises: BundleUnusable."""
        array = self.array(name)
        if not np.isfinite(array).all():
            file = self.manifest["arrays"][name]["file"]
            raise BundleUnusable(f"{self.folder}: {file} holds what is no finite number; export the bundle again")
        return array

    @cached_property
    def problem(self) -> Any:
        """The problem made again: by the zoo, or, where it is somebody's own, from its arrays and their Jacobian, to first
        order around θ.  None where the bundle does not hold all of that.

        Raises: BundleUnusable.
        """
        recipe = self.manifest["problem"]
        try:
            if recipe["options"] is None:
                with np.errstate(over="raise", invalid="raise"):
                    return from_arrays(self.manifest, self._finite)
            self._refuse_more_work_than_it_weighs(recipe["options"])
            return problems.load(recipe["name"], **recipe["options"])
        except BundleUnusable:
            raise
        except (BoltzgradError, TypeError, ValueError, ArithmeticError, MemoryError, IndexError) as error:
            raise BundleUnusable(
                f"{self.folder}: its problem cannot be made again: {type(error).__name__}: {error}"
            ) from None

    def _refuse_more_work_than_it_weighs(self, options: dict[str, Any]) -> None:
        """Sizes that the zoo is asked for must be those of the arrays that are here."""
        weight = sum((self.folder / entry["file"]).stat().st_size for entry in self.manifest["arrays"].values())
        sizes = [v for k, v in options.items() if isinstance(v, int) and k not in ("seed", "horizon") and v > 1]
        asked = math.prod(sizes)
        if asked > weight or not abs(options.get("horizon") or 0) <= _LONGEST_HORIZON:
            raise BundleUnusable(
                f"{self.folder}: bundle.json asks the zoo for {options}, which is not the problem of the {weight} bytes of "
                "arrays here"
            )


def find(folder: str | os.PathLike[str]) -> Path:
    """The bundle `folder`, or the only one in it.  Raises: BundleUnusable."""
    path = Path(folder)
    if not path.is_dir():
        raise BundleUnusable(f"{path} is no folder; expected a bundle made by `boltzgrad export NAME -o DIR`")
    if (path / layout.MANIFEST).is_file() or (path / layout.SUMS).is_file():
        return path
    inside = sorted(p.parent.name for p in path.glob(f"*/{layout.MANIFEST}"))
    if len(inside) == 1:
        return path / inside[0]
    if inside:
        raise BundleUnusable(f"{path} holds {len(inside)} bundles ({', '.join(inside)}); name one: {path / inside[0]}")
    raise BundleUnusable(
        f"{path} is no bundle: there is no {layout.MANIFEST}; make one with `boltzgrad export NAME -o DIR`"
    )


def read(folder: str | os.PathLike[str]) -> Bundle:
    """The bundle in a folder.

    Raises: BundleUnusable if a file is missing, added or altered by a byte, or another version made it.
    """
    path = find(folder)
    try:
        _refuse_altered(path)
        manifest = json.loads(layout.text_of(path / layout.MANIFEST))
    except BundleUnusable:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise BundleUnusable(f"{path}: {layout.MANIFEST} or {layout.SUMS} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != layout.FORMAT:
        raise BundleUnusable(f"{path}: {layout.MANIFEST} is of another format, expected {layout.FORMAT!r}")
    made, ours = (manifest.get("boltzgrad"), manifest.get("format_version")), (__version__, layout.FORMAT_VERSION)
    if made != ours:
        raise BundleUnusable(
            f"{path} was made by boltzgrad {made[0]} (layout {made[1]}), this is boltzgrad {ours[0]} (layout {ours[1]}); its "
            "numbers may mean something else: export it again with this version"
        )
    check_manifest(manifest, set(layout.contents(path)))
    return Bundle(path, manifest)


def _refuse_altered(path: Path) -> None:
    if not (path / layout.SUMS).is_file():
        raise BundleUnusable(
            f"{path}: {layout.SUMS} is missing; without it nobody can tell whether the numbers were altered"
        )
    expected = {}
    for k, line in enumerate(layout.text_of(path / layout.SUMS).splitlines(keepends=True), start=1):
        sum_, sep, name = line.partition("  ")
        if not (sep and line.endswith("\n") and "\r" not in line and len(sum_) == 64 and name.rstrip("\n")):
            raise BundleUnusable(f"{path}: line {k} of {layout.SUMS} is damaged; export the bundle again")
        expected[name[:-1]] = sum_
    present = set(layout.contents(path))
    missing, added = sorted(set(expected) - present), sorted(present - set(expected))
    if missing:
        raise BundleUnusable(f"{path}: {missing[0]} is missing{_more(missing)}; export the bundle again")
    if added:
        raise BundleUnusable(
            f"{path}: {added[0]} is not part of the bundle{_more(added)}; keep your own files elsewhere"
        )
    altered = [name for name, sum_ in expected.items() if layout.digest(path / name) != sum_]
    if altered:
        raise BundleUnusable(
            f"{path}: {altered[0]} is not what was written (its SHA-256 differs){_more(altered)}; export the bundle again"
        )


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
