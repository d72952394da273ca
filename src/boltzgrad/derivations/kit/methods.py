"""How a claim is decided.  A method returns what is left of left − right: 0 is a proof, anything else is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import sympy

from boltzgrad.derivations.kit import rewriting, sums, words
from boltzgrad.derivations.kit.nodes import GaussianMean, LogIntegral
from boltzgrad.derivations.kit.types import one_type
from boltzgrad.derivations.kit.vocabulary import Rule, Vocabulary


class Method(ABC):
    """One decision procedure."""

    name: ClassVar[str]
    inequality: ClassVar[bool] = False  # the claim is left ≥ right

    @abstractmethod
    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """What is left of left − right under the rules; 0 proves the claim."""


@dataclass(frozen=True)
class Operators(Method):
    """Words in non-commuting operators: any number of states and actions, any dimension."""

    vocabulary: Vocabulary
    name: ClassVar[str] = "operator algebra"

    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """The normal form of the difference; NotATerm if a word does not compose."""
        terms = [words.polynomial(side, self.vocabulary) for side in (left, right)]
        one_type((left, right), self.vocabulary)
        for rule in rules:
            one_type((rule.left, rule.right), self.vocabulary)
            _free_of_integrals(rule, (left, right), self.vocabulary)
        difference = words.add(terms[0], words.scale(terms[1], -1))
        return words.expression_of(rewriting.normalise(difference, self.vocabulary, rules))


def _free_of_integrals(rule: Rule, sides: Sequence[Any], vocabulary: Vocabulary) -> None:
    """Means and integrals are taken before rules apply: no rule may bring their variable back."""
    for side in sides:
        for node in sympy.sympify(side).atoms(GaussianMean, LogIntegral):
            variable = {node.args[1], vocabulary.t(node.args[1])}
            if variable & (sympy.sympify(rule.right).free_symbols | sympy.sympify(rule.left).free_symbols):
                raise words.NotATerm(f"the rule for {rule.left} holds {node.args[1]}, which is integrated out")


@dataclass(frozen=True)
class Sums(Method):
    """Sums over an index of arbitrary range: any number of actions.

    `nonzero` are expressions that are divided by and that an assumption of the derivation keeps from being zero.
    """

    nonzero: tuple[Any, ...] = ()
    name: ClassVar[str] = "symbolic for any |A|"

    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """The canonical form of the difference."""
        return sums.remainder(sympy.sympify(left), sympy.sympify(right), rules, self.nonzero)


@dataclass(frozen=True)
class Reading(Method):
    """An operator statement read at one state: every operator becomes the sum it stands for, then `Sums` decides.

    `read` maps a letter to a function (what it makes of the function to its right) and, for vectors, to their values.
    """

    vocabulary: Vocabulary
    read: Callable[[Any], Any]
    name: ClassVar[str] = "operators read as sums"

    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """Both sides as sums, compared."""
        one_type((left, right), self.vocabulary)
        return sums.remainder(self.sides(left), self.sides(right), rules)

    def sides(self, expression: Any) -> Any:
        """The expression with its operators applied from right to left."""
        total, terms = sympy.S.Zero, words.polynomial(expression, self.vocabulary)
        one_type((expression,), self.vocabulary)
        for word, coefficient in terms.items():
            value: Any = None
            for letter in reversed(word):
                value = self.read(letter) if value is None else self.read(letter)(value)
            total += coefficient * value
        return total


class Calculus(Method):
    """Closed forms of integrals, finite sums and limits, worked out by SymPy and compared as rational functions."""

    name: ClassVar[str] = "calculus"

    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """Both sides worked out, compared; positive products by their logarithms."""
        for side in (left, right):
            sums.refuse_divisions(side)
        worked = [sympy.expand(sympy.powsimp(sympy.sympify(side).doit())) for side in (left, right)]
        difference = sympy.expand_power_base(sympy.expand_log(worked[0] - worked[1]))
        rest = sums.rational(sums.canonical(difference))
        if rest != 0 and all(side.is_positive for side in worked):
            logs = [sympy.expand_log(sympy.log(sympy.factor(side)), force=True) for side in worked]
            if sums.rational(_split_logarithms(logs[0] - logs[1])) == 0:
                return sympy.S.Zero
        return rest


def _split_logarithms(e: Any) -> Any:
    """Log of a sum, factored: log(u/2 + 1/2) = log(u + 1) − log 2."""
    return e.replace(sympy.log, lambda a: sympy.expand_log(sympy.log(sympy.factor(a)), force=True))


class Transitive(Method):
    """left = … = right along the claims that are used, each an equality of its two sides."""

    name: ClassVar[str] = "by the steps"

    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """0 if the sides are joined by the rules, else their difference."""
        reached, frontier = [left], [left]
        while frontier:
            here = frontier.pop()
            for rule in rules:
                for one, other in ((rule.left, rule.right), (rule.right, rule.left)):
                    if one == here and other not in reached:
                        reached.append(other)
                        frontier.append(other)
        return sympy.S.Zero if right in reached else left - right


class Rational(Method):
    """Equality of rational functions in finitely many symbols, after substituting the rules."""

    name: ClassVar[str] = "symbolic on generic entries"

    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """`cancel` of the difference, of matrices entry by entry."""
        left, right = (side.doit() if isinstance(side, sympy.MatMul) else side for side in (left, right))
        for side in (left, right, *(side for rule in rules for side in (rule.left, rule.right))):
            sums.refuse_divisions(side)
        if getattr(left, "shape", ()) != getattr(right, "shape", ()):
            raise words.NotATerm(f"{left} and {right} have different shapes")
        difference = (left - right).subs({rule.left: rule.right for rule in rules}, simultaneous=True)
        if not isinstance(difference, sympy.MatrixBase):
            return sums.remainder(difference, sympy.S.Zero)
        entries = difference.applyfunc(lambda entry: sums.remainder(entry, sympy.S.Zero))
        return sympy.S.Zero if entries.is_zero_matrix else sympy.ImmutableMatrix(entries)


@dataclass(frozen=True)
class NonNegative(Method):
    """left ≥ right, entry by entry: left − right is a sum of words whose letters and coefficients are all non-negative."""

    vocabulary: Vocabulary
    name: ClassVar[str] = "operator algebra with signs"
    inequality: ClassVar[bool] = True

    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """0 if every term is provably not negative, else the terms that are not."""
        difference = Operators(self.vocabulary).remainder(left, right, rules)
        terms = words.polynomial(difference, self.vocabulary)
        doubtful = {
            word: c
            for word, c in terms.items()
            if not (
                _not_negative(sympy.cancel(c.subs(self.vocabulary.ranges))) and set(word) <= self.vocabulary.nonnegative
            )
        }
        return words.expression_of(doubtful)


class Sign(Method):
    """left ≥ right, by SymPy's assumptions on the factors and addends of the canonical difference."""

    name: ClassVar[str] = "signs"
    inequality: ClassVar[bool] = True

    def remainder(self, left: Any, right: Any, rules: Sequence[Rule]) -> Any:
        """0 if the difference is provably not negative, else the difference."""
        difference = sums.remainder(sympy.sympify(left), sympy.sympify(right), rules)
        return sympy.S.Zero if _not_negative(difference) else difference


def _not_negative(e: Any) -> bool:
    if e.is_nonnegative:
        return True
    factored = sympy.factor(e)
    if factored.is_Mul:
        return all(_not_negative(a) for a in factored.args)
    if factored.is_Add and (joined := _one_sum(factored)) is not None:
        return _not_negative(joined)
    if factored.is_Add:
        return all(_not_negative(a) for a in factored.args)
    if isinstance(factored, sympy.Sum):
        return _not_negative(factored.function)
    return bool(factored.is_nonnegative)


def _one_sum(e: Any) -> Any:
    """Σ cᵢ Σ_a fᵢ(a) over the same range as the summand Σ cᵢ fᵢ(a), or None if there are other terms."""
    body, limits = sympy.S.Zero, None
    for term in sympy.Add.make_args(sympy.expand(e)):
        found = [factor for factor in sympy.Mul.make_args(term) if isinstance(factor, sympy.Sum)]
        if len(found) != 1 or limits not in (None, found[0].limits):
            return None
        limits = found[0].limits
        body += term / found[0] * found[0].function
    return sympy.together(body)
