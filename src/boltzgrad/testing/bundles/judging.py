"""`check`: a gradient computed anywhere held against a bundle."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BoltzgradError, BundleUnusable, InvalidCandidate, InvalidOption
from boltzgrad.families.registry import hypergradient
from boltzgrad.testing.bundles.layout import YARDSTICK, array_of, text_of
from boltzgrad.testing.bundles.reading import Bundle, read
from boltzgrad.testing.candidate import as_gradient, relative_tolerance
from boltzgrad.testing.check import HypergradientCheck
from boltzgrad.testing.comparison import check_hypergradient
from boltzgrad.testing.judged import Judged
from boltzgrad.verify import Verdict
from boltzgrad.verify.tolerances import (
    Judgement,
    Yardstick,
    candidate_allowance,
    judge,
    negligible_part,
    witness_allowance,
)

_BELIEVED = 1e-9
"""[1] How much rounding, relative to the largest terms of ∇J in natural steps, a bundle may say that its own build leaves."""


@dataclass(frozen=True, eq=False)
class BundleCheck(Judged):
    """A gradient (d,) beside a bundle's, judged entry by entry by the judge of `verify`.

    `again` is the full check against a reference computed anew, of the zoo's problem or of the bundle's arrays and their
    Jacobian: it decides, and with it come the known mistakes and the other routes.  Only where these are not in the bundle (too
    large, or an objective of somebody's own) are the bundle's own numbers all there is, and `str(check)` says so.
    """

    bundle: Bundle
    gradient: Array = field(repr=False)
    precision: str
    tolerance: float | None

    @cached_property
    def again(self) -> HypergradientCheck | None:
        """The check with everything that the problem made again offers; None where it cannot be.  Raises: BundleUnusable."""
        problem, theta = self.bundle.problem, self.bundle.array("theta")
        if problem is None:
            return None
        own = self.gradient.astype(self.precision)
        try:
            # Numbers that leave float64's range are no problem's, whatever file they come from.
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                reference = hypergradient(problem, theta)
                check = self._checked(
                    check_hypergradient(own, problem, theta, tolerance=self.tolerance, reference=reference)
                )
                _ = check.verdict  # worked out while overflow is still an error
        except BundleUnusable:
            raise
        except (BoltzgradError, ValueError, TypeError, ArithmeticError, MemoryError, np.linalg.LinAlgError) as error:
            raise BundleUnusable(
                f"{self.bundle.folder}: its problem cannot be solved again: {type(error).__name__}: {error}"
            ) from None
        apart = np.abs(check.reference.gradient - self.bundle.array("gradient"))
        allowed = witness_allowance(check.yardstick, 0.0)
        if not np.all(apart <= allowed):
            j = int(np.argmax(apart - allowed))
            raise BundleUnusable(
                f"{self.bundle.folder}: solved again here, {self.bundle.name} has a gradient that differs from the bundle's by "
                f"{apart[j]:.2g} in coordinate {j}; its problem has changed since, or this machine computes differently: "
                "export it again"
            )
        return check

    def _checked(self, check: HypergradientCheck) -> HypergradientCheck:
        """The check, which believes what the owner's `build` is said to round off as far as that hides nothing."""
        if self.bundle.manifest["problem"]["options"] is not None:
            return check
        reference = check.reference
        most = _BELIEVED * float((reference.term_sizes * reference.units).max()) / reference.units
        return replace(check, further=np.minimum(self._sizes("rounding"), most))

    @cached_property
    def judgement(self) -> Judgement:
        """What the judge says, of the reference solved again or of the bundle's own numbers."""
        if self.again is not None:
            return self.again.judgement
        precision = np.dtype(self.precision)
        return judge(
            self.yardstick,
            self.gradient,
            candidate_allowance(self.yardstick, precision, self.tolerance),
            negligible=negligible_part(precision, self.tolerance),
            by_difference=True,
        )

    @cached_property
    def yardstick(self) -> Yardstick:
        """What the bundle says of its own gradient.  Raises: BundleUnusable."""
        gradient, (rounding, terms, units) = self.bundle.array("gradient"), map(self._sizes, YARDSTICK)
        scale = float(self.bundle.manifest["errors"]["value_scale"])
        return Yardstick(gradient, rounding, terms, lambda: units, self.bundle.value, scale)

    def _sizes(self, name: str) -> Array:
        """One of the arrays of the yardstick (d,).  Raises: BundleUnusable if it holds what no size is."""
        x = self.bundle.array(name)
        if not np.all(np.isfinite(x) & (x > 0.0 if name == "units" else x >= 0.0)):
            raise BundleUnusable(f"{self.bundle.folder}: {name}.npy holds what no size is; export the bundle again")
        return x

    @property
    def verdict(self) -> Verdict:
        """What is to be said of the gradient."""
        return self.judgement.verdict if self.again is None else self.again.verdict

    def __str__(self) -> str:
        if not self.ok and self.again is not None:
            return str(self.again)
        problem, gradient = self.bundle.manifest["problem"], self.bundle.array("gradient")
        title = f"{problem['name'] or 'problem'}: {problem['size']}, d = {problem['parameters']}"
        alone = (
            ""
            if self.again is not None
            else "; judged by the bundle's own numbers, nothing here can compute them again"
        )
        if self.ok:
            return f"{title}: agrees; difference {self.difference:.2g}, allowed {self.allowed:.2g}{alone}"
        said = {
            Verdict.CANNOT_TELL: "cannot tell: so wide an allowance would let a mistake pass",
            Verdict.ZERO: f"{Verdict.ZERO}: the bundle's gradient is no larger than its own rounding, and confirms nothing",
        }.get(self.verdict, "")
        return "\n".join(
            [
                title,
                f"coordinate {self.where}: yours {self.gradient[self.where]:.12g}, reference {gradient[self.where]:.12g}; "
                f"difference {self.difference:.2g}, allowed {self.allowed:.2g}",
                said or f"looks like: unknown; no known mistakes were tried{alone}",
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
    exact = known.array("gradient")
    found = read_gradient(gradient, exact.size) if isinstance(gradient, (str, os.PathLike)) else gradient
    yours, dtype = as_gradient(found, exact.size, "the gradient")
    chosen = precision or str(dtype)
    if chosen not in ("float64", "float32"):
        raise InvalidOption(f"precision is {precision!r}; expected 'float64' or 'float32'")
    return BundleCheck(known, yours, chosen, None if tolerance is None else relative_tolerance(tolerance))


def read_gradient(path: str | os.PathLike[str], dim: int | None = None) -> Array:
    """A gradient from a regular file: `.npy`, `.json` (a list of numbers) or text, one number a line.

    `dim` is about how many numbers there should be: nothing much longer is read.

    Raises: InvalidCandidate.
    """
    file, most = Path(path), None if dim is None else 1_000_000 + 512 * dim
    try:
        if file.suffix.lower() == ".npy":
            return array_of(file, most, links=True)
        text = text_of(file, most, links=True)
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
