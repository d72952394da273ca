"""The ledger: every derivation proved, checked in numbers, held against the library's own numbers, told from its mutants."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np

from boltzgrad import derivations
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.derivations import Derivation
from boltzgrad.errors import InvalidOption
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.verify import ledger_formats
from boltzgrad.verify.bindings import family_of, instance_for, still_kernel
from boltzgrad.zoo.random_game import random_game
from boltzgrad.zoo.random_lqr import random_lqr


@dataclass(frozen=True)
class Entry:
    """One derivation in the ledger.

    `defect` is the largest relative defect on random instances, `code_defect` that on the library's own solutions (None
    where the library computes none of its letters); of `mutants` mistakes `rejected` could not be proved and
    failed in numbers.  `failures` say what went wrong.
    """

    name: str
    title: str
    source: str
    equations: tuple[str, ...]
    kind: str
    methods: tuple[str, ...]
    claims: int
    seconds: float
    slowest: float
    proved: bool
    defect: float
    code_defect: float | None
    mutants: int
    rejected: int
    restored: bool
    rests_on: tuple[str, ...]
    finding: str
    failures: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Proved, right in numbers, and every mutant rejected twice."""
        return not self.failures


@dataclass(frozen=True)
class Ledger:
    """All entries.  `ok` if every one is; `str`, `to_json`, `to_tex` and `to_markdown` render it."""

    entries: tuple[Entry, ...]
    seed: int

    @property
    def ok(self) -> bool:
        """Whether nothing fails."""
        return all(entry.ok for entry in self.entries)

    @property
    def seconds(self) -> float:
        """The time of all proofs together."""
        return sum(entry.seconds for entry in self.entries)

    def __str__(self) -> str:
        return ledger_formats.text(self)

    def to_json(self) -> str:
        """For machines."""
        return ledger_formats.json_text(self)

    def to_tex(self) -> str:
        """A longtable with the statements in LaTeX."""
        return ledger_formats.tex(self)

    def to_markdown(self) -> str:
        """A table for a page."""
        return ledger_formats.markdown(self)


def ledger(
    names: Sequence[str] | None = None, *, seed: int = 0, progress: Callable[[str], None] = lambda name: None
) -> Ledger:
    """The ledger of all derivations, or of some.

    `seed` draws the random instances.  Raises: UnknownName; InvalidOption for a seed that is no natural number.

    >>> from boltzgrad.verify.ledger import ledger
    >>> ledger(["envelope"]).ok
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InvalidOption(f"seed is {seed!r}; expected a natural number")
    if isinstance(names, str):
        names = [names]
    chosen = [derivations.get(name) for name in dict.fromkeys(derivations.names() if names is None else names)]
    entries = []
    for derivation in chosen:
        progress(derivation.name)
        entries.append(entry(derivation, seed))
    return Ledger(tuple(entries), int(seed))


def entry(derivation: Derivation, seed: int = 0) -> Entry:
    """One derivation, proved, checked and held against its mutants."""
    proof = derivation.prove()
    check = derivation.check(np.random.default_rng(seed))
    code = _against_the_code(derivation, seed)
    failures = [str(result) for result in proof.broken]
    failures += [] if check.ok else [str(check)]
    failures += [] if code is None or code.ok else [f"against the library's numbers: {code}"]
    rejections = derivation.reject_mutants(np.random.default_rng(seed))
    for row in rejections.rows:
        if row.proved:
            failures.append(f"the mutant “{row.mistake}” is proved")
        elif not row.rejected:
            failures.append(f"the mutant “{row.mistake}” holds in numbers (defect {row.defect:.1e})")
    return Entry(
        name=derivation.name,
        title=derivation.title,
        source=derivation.source,
        equations=derivation.equations,
        kind=derivation.kind,
        methods=derivation.methods,
        claims=len(derivation.claims),
        seconds=proof.seconds,
        slowest=max(result.seconds for result in proof.results),
        proved=proof.proved,
        defect=check.defect,
        code_defect=None if code is None else code.defect,
        mutants=len(derivation.mutants),
        rejected=sum(row.rejected for row in rejections.rows),
        restored=derivation.restored,
        rests_on=tuple(d.name for d in derivation.rests_on),
        finding=" ".join(derivation.finding.split()),
        failures=tuple(failures),
    )


def _against_the_code(derivation: Derivation, seed: int) -> derivations.Check | None:
    """The derivation on instances whose numbers are the library's, or None."""
    family = family_of(derivation.instance)
    if family is None:
        return None
    problem = _problem(family, still_kernel(derivation.instance))
    rng = np.random.default_rng(seed)
    theta, direction = problem.initial_theta(seed=seed), rng.normal(size=problem.dim)
    instance = instance_for(derivation.instance, problem, theta, direction, rng)
    return None if instance is None else derivation.check_on([instance])


@functools.cache
def _problem(family: type, still: bool) -> ParametricProblem:
    if family is MarkovGame:
        return random_game()
    if family is LinearQuadratic:
        return random_lqr()
    return _everything_moves(still=still)


def _everything_moves(*, still: bool, states: int = 4, n_actions: int = 3, dim: int = 5) -> ConfigurableMDP:
    """A small tabular problem in which rewards move and, unless it is to stand still, kernel and start, too."""
    rng = np.random.default_rng(7)
    size = (states, n_actions)
    logits, tilt = rng.normal(size=(*size, states)), (not still) * rng.normal(size=(*size, states, dim))
    start, push = rng.normal(size=states), (not still) * rng.normal(size=(states, dim))
    follower, leader = rng.normal(size=(2, *size, dim))

    def softmax(x: anp.ndarray) -> anp.ndarray:
        weights = anp.exp(x)
        return weights / anp.sum(weights, axis=-1, keepdims=True)

    def build(theta: anp.ndarray) -> TabularModel:
        return TabularModel(
            softmax(logits + anp.dot(tilt, theta)),
            softmax(start + anp.dot(push, theta)),
            anp.dot(follower, theta),
            anp.dot(leader, theta),
            follower_discount=0.8,
            leader_discount=0.7,
            temperature=0.4,
        )

    return ConfigurableMDP(build, dim=dim, name="ledger")
