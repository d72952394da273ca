"""The files of a bundle: what they are called, which version of the layout this is, how they are kept from changing."""

from __future__ import annotations

import hashlib
import math
import os
import stat
from importlib.resources import files
from io import BufferedReader
from pathlib import Path

import numpy as np

from boltzgrad.core.arrays import Array

FORMAT, FORMAT_VERSION = "boltzgrad-bundle", 2
MANIFEST, SCHEMA, README, SUMS = "bundle.json", "schema.json", "README.md", "SHA256SUMS"
# What a gradient is judged by, entry by entry.
YARDSTICK = ("rounding", "terms", "units")
# Jacobians beyond this many numbers are left out, and the manifest says so.
MOST_NUMBERS = 5_000_000
# No text of a bundle is as long as this [bytes].
LONGEST_TEXT = 1 << 26


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
    """The SHA-256 of a regular file.  Raises: ValueError if it is none."""
    with regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def regular(path: Path, most: int | None = None, *, links: bool = False) -> BufferedReader:
    """A regular file opened for reading, no device or pipe that might never end, and no link unless `links`.

    Raises: ValueError if it is anything else, or longer than `most` bytes; OSError.
    """
    found = os.stat(path, follow_symlinks=links)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path.name} is no regular file")
    if most is not None and found.st_size > most:
        raise ValueError(f"{path.name} has {found.st_size} bytes, more than the {most} that it can have")
    return path.open("rb")


def text_of(path: Path, most: int | None = LONGEST_TEXT, *, links: bool = False) -> str:
    """A regular text file.  Raises: ValueError, OSError."""
    with regular(path, most, links=links) as stream:
        return stream.read().decode("utf-8")


def array_of(path: Path, most: int | None = None, *, links: bool = False) -> Array:
    """The numbers of an `.npy` file whose length is what its header says.  Raises: ValueError, OSError."""
    with regular(path, most, links=links) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        try:
            shape, _, dtype = read(stream)
        except Exception as error:  # NumPy takes a header for Python text, and raises all that a parser can
            raise ValueError(f"its header is none: {error}") from None
        expected = math.prod(shape) * dtype.itemsize
        left = os.fstat(stream.fileno()).st_size - stream.tell()
        if dtype.hasobject or expected != left or min(shape, default=0) < 0:
            raise ValueError(f"its header says {dtype} {list(shape)}, {expected} bytes, and {left} follow")
        stream.seek(0)
        return np.asarray(np.load(stream, allow_pickle=False))
