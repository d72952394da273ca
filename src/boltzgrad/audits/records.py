"""What packages computed, kept beside the audits: arrays, and where they come from."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad.audits.audit import Audit
from boltzgrad.audits.checkout import Checkout
from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption

_FOLDER = Path(__file__).with_name("records")
_MADE = "made"


@dataclass(frozen=True)
class Record:
    """What an audit's loader returned, `outputs`, and how: `made` has the commits or versions, the digest of every definition
    that was called, and the versions of what ran it.
    """

    outputs: Mapping[str, Array]
    made: Mapping[str, Any]

    def save(self, path: str | Path) -> None:
        """Write it as .npz."""
        arrays: dict[str, Any] = {**self.outputs, _MADE: np.array(json.dumps(self.made, sort_keys=True))}
        np.savez_compressed(path, **arrays)


def recorded(audit: Audit) -> Record:
    """What is kept of an audit.  Raises: InvalidOption if nothing is."""
    path = _FOLDER / f"{audit.name}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            outputs = {name: file[name] for name in file.files if name != _MADE}
            return Record(outputs, json.loads(str(file[_MADE])))
    except OSError:
        raise InvalidOption(f"no outputs of {audit.name} are kept: give --checkout or --installed") from None


def run(audit: Audit, checkouts: list[Checkout]) -> Record:
    """Call the packages' functions now.  Raises: InvalidOption for a missing checkout or function, MissingExtra."""
    wanted = audit.repositories
    if len(checkouts) != len(wanted):
        names = ", then ".join(source.name for source in wanted) or "nothing: it is of installed packages"
        raise InvalidOption(f"{audit.name} was given {len(checkouts)} checkouts; expected that of {names}")
    outputs = audit.run(*checkouts)
    commits = {source.name: checkout.commit for source, checkout in zip(wanted, checkouts, strict=True)}
    versions = {source.name: _version(source.name) for source in audit.sources if source.installed}
    ran_by = {name: _version(name) for name in ("numpy", *audit.needs)}
    digests = {name: digest for checkout in checkouts for name, digest in checkout.digests.items()}
    made = {
        "of": commits | versions, "definitions": digests, "by": ran_by | {"python": platform.python_version()},
    }  # fmt: skip
    return Record(outputs, made)


def differences(audit: Audit, now: Record, then: Record) -> list[str]:
    """What is not as it was when the audit was recorded, in words: commits, and definitions whose text has changed."""
    out = []
    for source in audit.sources:
        found = now.made["of"].get(source.name) or "an unknown commit"
        if found != source.version:
            out.append(f"{source.name} is at {found}; judged was {source.version}")
    then_digests = then.made["definitions"]
    for name, digest in now.made["definitions"].items():
        if then_digests.get(name, digest) != digest:
            out.append(f"{name} is not the text that was judged")
    return out


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
