"""`check`: a gradient computed anywhere held against a bundle."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad.errors import BundleUnusable, GradientMismatch, InvalidCandidate, InvalidOption
from boltzgrad.problems.kernel import Array
from boltzgrad.testing.bundles.reading import Bundle, read
from boltzgrad.testing.candidate import as_gradient, relative_tolerance
from boltzgrad.testing.comparison import HypergradientCheck, check_hypergradient
from boltzgrad.verify import Verdict
from boltzgrad.verify.tolerances import clearly_right


@dataclass(frozen=True, eq=False)
class BundleCheck:
    """A gradient (d,) beside a bundle's: the largest `difference`, at coordinate `where`, and what was `allowed`.

    `again` is the full check against a reference computed anew, where the zoo can make the problem; with it come the known
    mistakes and the other routes.
    """

    bundle: Bundle
    gradient: Array = field(repr=False)
    precision: str
    tolerance: float | None
    difference: float
    where: int
    allowed: float

    @cached_property
    def again(self) -> HypergradientCheck | None:
        """The check with everything the zoo's problem offers; None for somebody's own problem.  Raises: BundleUnusable."""
        problem, theta = self.bundle.problem, self.bundle.array("theta")
        if problem is None:
            return None
        check = check_hypergradient(self.gradient.astype(self.precision), problem, theta, tolerance=self.tolerance)
        apart = float(np.abs(check.reference.gradient - self.bundle.array("gradient")).max())
        if apart > self.bundle.manifest["errors"]["allowed"]["float64"]:
            raise BundleUnusable(
                f"{self.bundle.folder}: solved again here, {self.bundle.name} has a gradient that differs from the bundle's by "
                f"{apart:.2g}; its problem has changed since, or this machine computes differently: export it again"
            )
        return check

    @property
    def verdict(self) -> Verdict:
        """What is to be said of the gradient."""
        if not self.difference <= self.allowed:
            return Verdict.DISAGREES
        if clearly_right(self.difference, self.allowed, self.bundle.manifest["errors"]["size"]):
            return Verdict.AGREES
        return Verdict.CANNOT_TELL if self.again is None else self.again.verdict

    @property
    def ok(self) -> bool:
        """Whether the gradient agrees with the bundle's."""
        return self.verdict == Verdict.AGREES

    def raise_if_wrong(self) -> None:
        """Raise GradientMismatch unless `ok`."""
        __tracebackhide__ = True
        if not self.ok:
            raise GradientMismatch(str(self))

    def __str__(self) -> str:
        if not self.ok and self.again is not None:
            return str(self.again)
        problem, gradient = self.bundle.manifest["problem"], self.bundle.array("gradient")
        title = f"{problem['name'] or 'problem'}: {problem['size']}, d = {problem['parameters']}"
        if self.ok:
            return f"{title}: agrees; difference {self.difference:.2g}, allowed {self.allowed:.2g}"
        said = (
            "cannot tell: so wide an allowance would let a mistake pass" if self.verdict == Verdict.CANNOT_TELL else ""
        )
        return "\n".join(
            [
                title,
                f"coordinate {self.where}: yours {self.gradient[self.where]:.12g}, reference {gradient[self.where]:.12g}; "
                f"difference {self.difference:.2g}, allowed {self.allowed:.2g}",
                said or "looks like: unknown; the problem is not in the zoo, so no known mistakes were tried",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain numbers and text, for machines."""
        return {
            "bundle": self.bundle.name,
            "ok": self.ok,
            "verdict": str(self.verdict),
            "difference": self.difference,
            "coordinate": self.where,
            "allowed": self.allowed,
            "precision": self.precision,
            "looks_like": [] if self.ok or self.again is None else list(self.again.looks_like),
            "message": str(self),
        }


def check(
    bundle: Bundle | str | os.PathLike[str],
    gradient: Any,
    *,
    tolerance: float | None = None,
    precision: str | None = None,
) -> BundleCheck:
    """Judge a gradient (d,), or a file that holds one, against a bundle.

    `tolerance` as in `check_hypergradient`; `precision` "float32" for numbers that were computed in single precision and
    written as text.

    Raises: BundleUnusable, InvalidCandidate, InvalidOption.
    """
    known = bundle if isinstance(bundle, Bundle) else read(bundle)
    exact, errors = known.array("gradient"), known.manifest["errors"]
    found = read_gradient(gradient) if isinstance(gradient, (str, os.PathLike)) else gradient
    yours, dtype = as_gradient(found, exact.size, "the gradient")
    chosen = precision or str(dtype)
    if chosen not in errors["allowed"]:
        raise InvalidOption(f"precision is {precision!r}; expected 'float64' or 'float32'")
    tolerance = None if tolerance is None else relative_tolerance(tolerance)
    allowed = errors["allowed"][chosen]
    if tolerance is not None:
        allowed = errors["allowed_with_tolerance_zero"][chosen] + tolerance * errors["scale"]
    off = np.abs(yours - exact)
    where = int(np.argmax(off))
    return BundleCheck(known, yours, chosen, tolerance, float(off[where]), where, float(allowed))


def read_gradient(path: str | os.PathLike[str]) -> Array:
    """A gradient from `.npy`, `.json` (a list of numbers) or text with one number a line.  Raises: InvalidCandidate."""
    file = Path(path)
    try:
        if file.suffix.lower() == ".npy":
            return np.asarray(np.load(file, allow_pickle=False))
        text = file.read_text(encoding="utf-8")
        return np.array(
            _listed(text) if file.suffix.lower() == ".json" else [float(x) for x in text.split()], dtype=np.float64
        )
    except OSError as error:
        raise InvalidCandidate(f"{file} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, TypeError, ArithmeticError, RecursionError, MemoryError, SyntaxError) as error:
        raise InvalidCandidate(
            f"{file} holds no gradient: {error or type(error).__name__}; expected .npy, a JSON list of numbers, or text with "
            "one number a line"
        ) from None


def _listed(text: str) -> list[float]:
    numbers = json.loads(text)
    if not isinstance(numbers, list) or any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in numbers):
        raise ValueError("it is no flat list of numbers")
    return [float(x) for x in numbers]
