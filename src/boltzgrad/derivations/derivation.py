"""One theorem, one object: what it says, under which assumptions, step by step why, and what it must not be confused with."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sympy

from boltzgrad.derivations import render
from boltzgrad.derivations.kit.methods import Method, NonNegative, Operators, Reading, Sums, Transitive
from boltzgrad.derivations.kit.numbers import Instance, Merged, defect, excess
from boltzgrad.derivations.kit.vocabulary import Letter, Rule, Vocabulary
from boltzgrad.derivations.kit.words import NotATerm
from boltzgrad.derivations.results import Check, Proof, Rejection, Rejections, StepResult
from boltzgrad.errors import InvalidOption, unknown

TOLERANCE = 1e-9  # of a numeric check, relative: random instances are well-conditioned, complex steps exact
INSTANCES = 3  # random instances a check draws


@dataclass(frozen=True, eq=False)
class Claim:
    """An equation left = right, or left ≥ right where the method decides inequalities.

    label: the equation's number in its paper.  using: the rules, beyond the letters' own, that may be used to decide it.
    """

    left: Any
    right: Any
    because: str
    label: str = ""
    using: tuple[Rule, ...] = ()
    method: Method | None = None

    def __post_init__(self) -> None:
        for side in (self.left, self.right):
            if isinstance(side, str) or side is None:
                raise InvalidOption(f"a claim has the side {side!r}; expected a SymPy expression in the letters")

    def __repr__(self) -> str:
        sign = "≥" if self.method is not None and self.method.inequality else "="
        return f"<Claim {self.label}: {self.left} {sign} {self.right}>"

    def rule(self) -> Rule:
        """The claim, read left to right, for later steps."""
        return Rule(self.left, self.right, self.because, self)


@dataclass(frozen=True)
class Mutant:
    """A plausible mistake: the claim `label` (the statement, if empty) with another right side, or another left one."""

    mistake: str
    right: Any = None
    label: str = ""
    left: Any = None

    def __post_init__(self) -> None:
        if self.left is None and self.right is None:
            raise InvalidOption(f"the mutant {self.mistake!r} changes nothing: give it another left or right side")


@dataclass(frozen=True, eq=False)
class Derivation:
    """A statement with its proof.

    name: as `get` finds it.  source: paper and number.  equations: the numbers it settles, as the ledger lists them.
    steps: claims that lead to it, decided each on its own; statement: the claim itself; also: corollaries, decided last.
    method: how claims are decided that say nothing else.  hypotheses: rules that hold only under an assumption, for all of
    its claims.  rests_on: derivations whose claims are used as rules.  instance: draws numbers for all letters.  mutants:
    plausible mistakes.  text, assumptions, finding: prose.  meanings: letters that stand for something else here.  kind:
    an identity, an inequality, or what is not true.  restored: the published formula is lost or garbled, its content is
    what is proved.
    """

    name: str
    title: str
    source: str
    equations: tuple[str, ...]
    statement: Claim
    method: Method
    instance: Callable[[np.random.Generator], Instance]
    mutants: tuple[Mutant, ...]
    steps: tuple[Claim, ...] = ()
    assumptions: tuple[str, ...] = ()
    rests_on: tuple[Derivation, ...] = ()
    kind: str = "identity"
    text: str = ""
    finding: str = ""
    restored: bool = False
    meanings: Mapping[Any, str] = field(default_factory=dict)  # of letters that stand for something else here
    hypotheses: tuple[Rule, ...] = ()  # what must hold beside the definitions, for all of its claims
    also: tuple[Claim, ...] = field(default=())  # corollaries, decided after the statement

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Steps, statement and corollaries, in the order in which they are decided."""
        return (*self.steps, self.statement, *self.also)

    def prove(self) -> Proof:
        """Decide every claim on its own; a rule must come from a definition, an earlier step or what this rests on.

        Definitions cannot be proved; each is tried in numbers once, and a claim that uses a false one is not proved.
        """
        results = [self._decide(claim, self.claims[:i]) for i, claim in enumerate(self.claims)]
        return Proof(self, tuple(results), tuple(d.name for d in self.rests_on if not d.is_proved))

    @functools.cached_property
    def is_proved(self) -> bool:
        """Whether all of it is proved, once and for all."""
        return self.prove().proved

    def _decide(self, claim: Claim, earlier: Sequence[Claim]) -> StepResult:
        """One claim, with the rules it may use: definitions, declared hypotheses, and equalities proved before it."""
        method = claim.method or self.method
        start = time.perf_counter()
        reason = next(filter(None, (self._why_not(rule, earlier) for rule in claim.using)), "")
        reason = reason or self._false_definition(claim)
        if reason:
            return StepResult(claim, None, 0.0, method.name, reason)
        try:
            rest = method.remainder(claim.left, claim.right, claim.using)
        except NotATerm as error:
            rest, reason = None, str(error)
        return StepResult(claim, rest, time.perf_counter() - start, method.name, reason)

    def _false_definition(self, claim: Claim) -> str:
        """Which definition that the claim stands on is false in numbers, or cannot be tried, and by how much; or ""."""
        vocabulary = self.vocabulary_of(claim)
        together = self._numbers[-1:]
        tried = [(definition, together) for definition in _definitions_of(claim, claim.method or self.method)]
        for rule in [] if vocabulary is None else vocabulary.definitions():
            # What is declared of letters that nothing here has numbers for is not used here.
            if knowing := tuple(instance for instance in self._numbers if _knows(instance, rule)):
                tried.append((Claim(rule.left, rule.right, rule.because, method=Transitive()), knowing))
        for definition, instances in tried:
            key = (definition.left, definition.right)
            if key not in self._tried:
                self._tried[key] = self._refuted(definition, instances)
            if self._tried[key]:
                return self._tried[key]
        return ""

    def _refuted(self, definition: Claim, instances: Sequence[Instance]) -> str:
        """Why a definition does not hold in numbers, or ""; families that are merged may use a letter in two meanings."""
        reason = ""
        for instance in instances:
            try:
                off = self._defect(definition, instance)
            except (KeyError, NotImplementedError, ValueError) as error:
                reason = reason or f"the definition “{definition.because}” cannot be tried in numbers: {error}"
                continue
            if off <= TOLERANCE:
                return ""
            reason = f"the definition “{definition.because}” is false: in numbers it is off by {off:.1g}"
        return reason

    @functools.cached_property
    def _numbers(self) -> tuple[Instance, ...]:
        """Numbers for the letters, those of each family by itself where several are merged, all of them last."""
        rng = np.random.default_rng(0)
        apart = self.instance.draws if isinstance(self.instance, Merged) else ()
        return (*(draw(rng) for draw in apart), self.instance(rng))

    @functools.cached_property
    def _tried(self) -> dict[Any, str]:
        return {}

    def _why_not(self, rule: Rule, earlier: Sequence[Claim]) -> str:
        """Why a rule may not be used here, or ""."""
        if rule.claim is None:
            known = not rule.hypothesis or rule in self.hypotheses
            return "" if known else f"uses the hypothesis “{rule.because}”, which is not declared"
        for derivation, claims in ((self, earlier), *((d, d.claims) for d in self.rests_on)):
            for claim in claims:
                if not (claim.method or derivation.method).inequality and _says(rule, claim, derivation):
                    missing = [h for h in derivation.hypotheses if h not in self.hypotheses]
                    return f"“{rule.because}” holds only if {missing[0].because}" if missing else ""
        return f"uses “{rule.because}”, which is not proved before it, here or in what this rests on"

    def check(self, rng: np.random.Generator, instances: int = INSTANCES) -> Check:
        """Both sides of every claim, and of every definition used, in numbers on random instances."""
        if isinstance(instances, bool) or not isinstance(instances, int) or instances < 1:
            raise InvalidOption(f"instances is {instances!r}; expected a positive number of random instances")
        return self.check_on([self.instance(_generator(rng)) for _ in range(instances)])

    def check_on(self, instances: Sequence[Instance], tolerance: float = TOLERANCE) -> Check:
        """The same on given instances."""
        if not instances:
            raise InvalidOption("no instances to check on")
        defects = [
            (claim, max(self._defect(claim, instance) for instance in instances))
            for claim in (*self.claims, *self._definitions())
        ]
        return Check(self.name, tuple(defects), tolerance)

    def _defect(self, claim: Claim, instance: Instance) -> float:
        measure = excess if (claim.method or self.method).inequality else defect
        return measure(claim.left, claim.right, instance)

    def _definitions(self) -> Iterator[Claim]:
        """The rules that are definitions, as claims: an instance must satisfy them too."""
        seen: list[tuple[Any, Any]] = []
        for claim in self.claims:
            for definition in _definitions_of(claim, claim.method or self.method):
                key = (definition.left, definition.right)
                if key not in seen:
                    seen.append(key)
                    yield definition

    def mutant(self, mutant: Mutant) -> Derivation:
        """The derivation with the mutant's mistake in it.  Raises InvalidOption for another derivation's mutant."""
        if not isinstance(mutant, Mutant) or (self.mutants and mutant not in self.mutants):
            raise InvalidOption(f"{mutant!r} is none of the {len(self.mutants)} mutants of {self.name}")
        label = mutant.label or self.statement.label
        wrong = [c for c in self.claims if c.label == label]
        if len(wrong) != 1:
            raise InvalidOption(f"{self.name} has {len(wrong)} claims labelled {label!r}; a mutant changes exactly one")

        sides = {side: e for side, e in (("left", mutant.left), ("right", mutant.right)) if e is not None}

        def swap(claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
            return tuple(replace(c, **sides) if c is wrong[0] else c for c in claims)

        (statement,) = swap((self.statement,))
        return replace(self, steps=swap(self.steps), statement=statement, also=swap(self.also), mutants=())

    def reject_mutants(self, rng: np.random.Generator) -> Rejections:
        """Try to prove every mutant's claim, and evaluate it on one set of random instances."""
        drawn, rows = [self.instance(_generator(rng)) for _ in range(INSTANCES)], []
        for mutant in self.mutants:
            wrong, label = self.mutant(mutant), mutant.label or self.statement.label
            place = next(i for i, c in enumerate(wrong.claims) if c.label == label)
            claim = wrong.claims[place]
            proved = wrong._decide(claim, wrong.claims[:place]).proved
            rows.append(Rejection(mutant.mistake, proved, max(wrong._defect(claim, i) for i in drawn)))
        return Rejections(self.name, tuple(rows))

    def __repr__(self) -> str:
        return f"<Derivation {self.name}: {len(self.claims)} claims, {len(self.mutants)} mutants>"

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The letters, where the statement is written in operators."""
        return self.vocabulary_of(self.statement)

    def vocabulary_of(self, claim: Claim) -> Vocabulary | None:
        """The letters of a claim; one that follows from others is written in theirs."""
        method = claim.method or self.method
        if isinstance(method, Transitive):
            before = (rule.claim for rule in claim.using if rule.claim is not None)
            return next((self.vocabulary_of(c) for c in before), None)
        return method.vocabulary if isinstance(method, (NonNegative, Operators, Reading)) else None

    @property
    def methods(self) -> tuple[str, ...]:
        """How it is proved: the methods of its claims, most used first."""
        names = [(c.method or self.method).name for c in self.claims]
        return tuple(sorted(set(names), key=lambda n: (-names.count(n), n)))

    def legend(self) -> list[Letter]:
        """What the letters of the statement mean; ∇ before a letter is its total derivative in θ."""
        if self.vocabulary is None:
            return []
        symbols: set[Any] = set()
        for side in (self.statement.left, self.statement.right):
            symbols |= sympy.sympify(side).free_symbols
        primal = {self.vocabulary.primal_of(symbol) or symbol for symbol in symbols}
        letters = self.vocabulary.legend(sorted(primal, key=str))
        return [replace(x, meaning=self.meanings.get(x.symbol, x.meaning)) for x in letters]

    def claim(self, label: str) -> Claim:
        """The claim with a label.  Raises UnknownName, with the nearest labels."""
        labels = {claim.label: claim for claim in self.claims}
        if label not in labels:
            raise unknown("claim", label, labels)
        return labels[label]

    def latex(self, claim: Claim | str | None = None) -> str:
        """LaTeX of the statement, or of one claim, given itself or by its label."""
        if isinstance(claim, str):
            claim = self.claim(claim)
        if claim is not None and not isinstance(claim, Claim):
            raise InvalidOption(f"{claim!r} is no claim: give one of .claims, or its label")
        return render.equation(claim or self.statement, self)

    def _repr_markdown_(self) -> str:
        return render.statement(self)


def _definitions_of(claim: Claim, method: Method) -> Iterator[Claim]:
    """The definitions that a claim uses, as claims, and the signs of its letters."""
    plain: Method = method
    if isinstance(method, NonNegative):
        plain = Operators(method.vocabulary)
    elif method.inequality:
        plain = Sums()
    for rule in claim.using:
        if rule.claim is None:
            yield Claim(rule.left, rule.right, rule.because, f"definition: {rule.because}", (), plain)
    if isinstance(method, NonNegative):
        for letter in sorted(method.vocabulary.nonnegative & _letters(claim), key=str):
            yield Claim(letter, 0 * letter, "a letter that is never negative", f"{letter} ≥ 0", (), method)


def _knows(instance: Instance, rule: Rule) -> bool:
    """Whether an instance has numbers for all letters of a rule."""
    known = set(instance.values) | {d for primal, d in instance.differentials.items() if primal in instance.values}
    return bool((rule.left.free_symbols | rule.right.free_symbols) <= known)


def _says(rule: Rule, claim: Claim, derivation: Derivation) -> bool:
    """Whether a rule is a claim, read either way, or the claim solved for another of its words."""
    if (rule.left, rule.right) in ((claim.left, claim.right), (claim.right, claim.left)):
        return True
    one, other = (_by_words(sympy.expand(x.left - x.right)) for x in (rule, claim))
    if set(one) != set(other) or sympy.S.One in one:
        return False  # numbers are compared as they stand: any two are multiples of each other
    word = next(iter(one))
    factor = one[word] / other[word]
    method = claim.method or derivation.method
    ranges = method.vocabulary.ranges if isinstance(method, (NonNegative, Operators, Reading)) else {}
    known = sympy.cancel(factor.subs(ranges))
    nonzero = known.is_zero is False and (1 / known).is_zero is False and not factor.has(sympy.Function, sympy.Sum)
    return nonzero and all(sympy.cancel(one[w] - factor * other[w]) == 0 for w in one)


def _by_words(expression: Any) -> dict[Any, Any]:
    """Coefficients by non-commuting part."""
    out: dict[Any, Any] = {}
    for term in sympy.Add.make_args(expression):
        commuting, word = term.args_cnc()
        key = sympy.Mul(*word)
        out[key] = out.get(key, 0) + sympy.Mul(*commuting)
    return out


def _letters(claim: Claim) -> set[Any]:
    sides = (claim.left, claim.right, *(rule.right for rule in claim.using))
    return {symbol for side in sides for symbol in sympy.sympify(side).free_symbols}


def _generator(rng: np.random.Generator) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise InvalidOption(f"rng is {rng!r}; expected a numpy.random.Generator, such as numpy.random.default_rng(0)")
    return rng
