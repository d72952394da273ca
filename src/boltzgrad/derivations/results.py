"""What became of a derivation: its proof, its check in numbers, and its rejected mutants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.derivations import render

if TYPE_CHECKING:
    from boltzgrad.derivations.derivation import Claim, Derivation

REJECTS = 1e-6  # a mutant's defect must exceed this: a thousand times what a true statement is allowed


@dataclass(frozen=True)
class StepResult:
    """What became of one claim.  `remainder` is what is left of left − right, 0 when it is proved."""

    claim: Claim
    remainder: Any
    seconds: float
    method: str
    reason: str = ""

    @property
    def proved(self) -> bool:
        """Whether nothing is left."""
        return not self.reason and bool(self.remainder == 0)

    def __str__(self) -> str:
        name = self.claim.label or "a step"
        if self.proved:
            return f"{name}: proved ({self.method}): {self.claim.because}"
        return f"{name}: NOT proved ({self.method}): {self.reason or f'what is left of left − right: {self.remainder}'}"


@dataclass(frozen=True)
class Proof:
    """The claims of a derivation, each decided on its own.  True if all are proved."""

    derivation: Derivation
    results: tuple[StepResult, ...]
    unproved: tuple[str, ...] = ()  # what it rests on and is not proved

    @property
    def name(self) -> str:
        """Of the derivation."""
        return self.derivation.name

    @property
    def proved(self) -> bool:
        """Whether every claim is."""
        return not self.unproved and all(result.proved for result in self.results)

    def __bool__(self) -> bool:
        return self.proved

    @property
    def seconds(self) -> float:
        """The time of all claims together."""
        return sum(result.seconds for result in self.results)

    def __repr__(self) -> str:
        return f"<Proof of {self.name}: {'proved' if self.proved else 'NOT proved'}>"

    def _repr_markdown_(self) -> str:
        return render.proof(self, self.derivation)

    @property
    def broken(self) -> tuple[StepResult, ...]:
        """The claims that are not proved."""
        return tuple(result for result in self.results if not result.proved)

    def __str__(self) -> str:
        head = f"{self.name}: {'proved' if self.proved else 'NOT proved'} in {self.seconds:.2f} s"
        dependencies = [f"  rests on {name}, which is NOT proved" for name in self.unproved]
        return "\n".join([head, *dependencies, *(f"  {result}" for result in self.results)])


@dataclass(frozen=True)
class Check:
    """A derivation in numbers: the largest relative defect of each claim over some instances."""

    name: str
    defects: tuple[tuple[Claim, float], ...]
    tolerance: float

    @property
    def defect(self) -> float:
        """The largest of all; infinite if one is no number."""
        return max(d if np.isfinite(d) else np.inf for _, d in self.defects)

    @property
    def ok(self) -> bool:
        """Whether it stays within the tolerance."""
        return self.defect <= self.tolerance

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return f"<Check of {self.name}: {'holds' if self.ok else 'FAILS'}>"

    def _repr_markdown_(self) -> str:
        return render.check(self)

    def __str__(self) -> str:
        worst = max(self.defects, key=lambda pair: pair[1])
        where = worst[0].label or worst[0].because
        return f"{self.name}: {'holds' if self.ok else 'FAILS'} in numbers, defect {self.defect:.1e} ({where})"


@dataclass(frozen=True)
class Rejection:
    """What became of one mutant: whether its claim was proved, and its defect in numbers."""

    mistake: str
    proved: bool
    defect: float

    @property
    def rejected(self) -> bool:
        """Not proved, and wrong in numbers."""
        return not self.proved and self.defect > REJECTS


@dataclass(frozen=True)
class Rejections:
    """All mutants of a derivation.  True if every one is rejected."""

    name: str
    rows: tuple[Rejection, ...]

    def __bool__(self) -> bool:
        return bool(self.rows) and all(row.rejected for row in self.rows)

    def __str__(self) -> str:
        lines = [f"{self.name}: {sum(row.rejected for row in self.rows)} of {len(self.rows)} mutants rejected"]
        for row in self.rows:
            verdict = "PROVED" if row.proved else "not proved"
            lines.append(f"  {row.mistake}: {verdict}, defect {row.defect:.2g}")
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        return render.rejections(self)
