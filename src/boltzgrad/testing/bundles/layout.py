"""The files of a bundle: what they are called, which version of the layout this is, how they are kept from changing."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

FORMAT, FORMAT_VERSION = "boltzgrad-bundle", 2
MANIFEST, SCHEMA, README, SUMS = "bundle.json", "schema.json", "README.md", "SHA256SUMS"
# What a gradient is judged by, entry by entry.
YARDSTICK = ("rounding", "terms", "units")
# Jacobians beyond this many numbers are left out, and the manifest says so.
MOST_NUMBERS = 5_000_000


def schema_text() -> str:
    """The JSON schema of `bundle.json`."""
    return files("boltzgrad.testing.bundles").joinpath(SCHEMA).read_text(encoding="utf-8")


def contents(folder: Path) -> list[str]:
    """Every file of a bundle but the checksums, relative, sorted, with forward slashes."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted(name for name in names if name != SUMS)


def sums_text(folder: Path) -> str:
    """`SHA256SUMS` as `sha256sum -c` reads it."""
    return "".join(f"{digest(folder / name)}  {name}\n" for name in contents(folder))


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
