"""What an audit is: where somebody's code is, a problem, what the code computed there, and what is to be expected of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from boltzgrad.audits.checkout import Checkout
from boltzgrad.core.arrays import Array
from boltzgrad.families.tabular.problem import ConfigurableMDP

Outputs = Mapping[str, Array]
"""What a package computed, by the `key` of the case that judges it."""


class Run(Protocol):
    """An audit's own loader: it calls functions of the checkouts (one for each repository) and returns what they computed."""

    def __call__(self, *checkouts: Checkout) -> dict[str, Array]:
        """Raises: MissingExtra, InvalidOption for a checkout without these functions."""


@dataclass(frozen=True)
class Source:
    """Where judged code is.

    `name` is a repository of GitHub (`owner/name`) and `version` the commit that was judged; or `name` is a package of the
    Python index, which is then `installed` and not read from a checkout, and `version` its version.  `functions` are what is
    called, as "file: names".
    """

    name: str
    version: str
    functions: tuple[str, ...]
    installed: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.version[:7] if len(self.version) == 40 else self.version}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that a package computed, on one problem.

    `key` is its array in the outputs; `of` is "gradient", ∇J (d,), or "policy", "V", "Q" of the follower.  `problem` makes the
    problem and θ at which it is judged.  `expects` is the verdict, "agrees" or "disagrees".  Where there is nothing to compare
    (no `problem`), `of` is "error", what the code raised, which "fails", or "movement", how far a step moved the leader's
    parameters, which "stands still".

    A case that disagrees has its `mistake` in words, `remade` from its mathematics by code of ours: the package's array has to
    be `remade()` to `near`, relative to the largest entry, and `repaired()`, the same code without the mistake, has to agree
    with the reference.  `tolerance` is what the package's own solver leaves (`check_hypergradient`).  A `unit`
    [J/θ_j] is given where ∇J is zero, and sizes are relative to it.
    """

    key: str
    title: str
    problem: Callable[[], tuple[ConfigurableMDP, Array]] | None = None
    of: str = "gradient"
    expects: str = "disagrees"
    mistake: str = ""
    remade: Callable[[], Array] | None = None
    repaired: Callable[[], Array] | None = None
    near: float = 1e-12
    tolerance: float | None = None
    unit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """One package, judged.

    `computes` says what the code computes, in a sentence, and `shows` in what setting a mistake shows, and where it does not.
    `known` is what its users have said of it, "" for nothing found.  Controls, cases that agree, come first.  `needs` are the
    packages that running it takes (running from the record takes none).
    """

    name: str
    sources: tuple[Source, ...]
    computes: str
    shows: str
    known: str
    cases: tuple[Case, ...]
    run: Run
    needs: Sequence[str] = ()

    @property
    def repositories(self) -> tuple[Source, ...]:
        """The sources of which a checkout is read, in the order of the loader's arguments."""
        return tuple(source for source in self.sources if not source.installed)
