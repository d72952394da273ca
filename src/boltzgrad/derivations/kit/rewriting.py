"""The normal form of a polynomial: rules, the vocabulary's own identities, and pointwise products that commute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy

from boltzgrad.derivations.kit.nodes import D, LogIntegral, Tr
from boltzgrad.derivations.kit.vocabulary import SCALAR, Rule, Vocabulary
from boltzgrad.derivations.kit.words import (
    NotATerm,
    Polynomial,
    Reader,
    Word,
    add,
    expression_of,
    multiply,
    order,
    polynomial,
    polynomial_word,
    scalars,
    scale,
    spaces,
    transpose,
)

_PASSES, _LONGEST = 400, 60  # rewriting that has not ended by then does not end


def normalise(terms: Polynomial, vocabulary: Vocabulary, rules: Iterable[Rule]) -> Polynomial:
    """The normal form: rules are tried in order, then the vocabulary's own, until none applies."""
    ordered = [_oriented(rule, vocabulary) for rule in (*rules, *vocabulary.rules)]
    rewriter = _Rewriter(vocabulary, ordered)
    return rewriter.run(terms)


def _oriented(rule: Rule, vocabulary: Vocabulary) -> tuple[Word, Polynomial]:
    """A rule as word ↦ polynomial; c·word = right is read as word = right/c."""
    left = polynomial(rule.left, vocabulary)
    if len(left) != 1:
        raise NotATerm(f"the rule {rule.left} = {rule.right} does not begin with one word")
    ((word, coefficient),) = left.items()
    if not word:
        raise NotATerm(f"the rule {rule.left} = {rule.right} is about a number, not about a word")
    if sympy.cancel(coefficient.subs(vocabulary.ranges)).is_zero is not False:
        raise NotATerm(f"the rule {rule.left} = {rule.right} divides by {coefficient}, which may be zero")
    return word, scale(polynomial(rule.right, vocabulary), 1 / coefficient)


class _Rewriter:
    """One normalisation: the rules as (word, polynomial), longest match not needed, order is priority."""

    def __init__(self, vocabulary: Vocabulary, rules: list[tuple[Word, Polynomial]]) -> None:
        self.vocabulary, self.rules, self.reader = vocabulary, rules, Reader(vocabulary)

    def run(self, terms: Polynomial) -> Polynomial:
        for _ in range(_PASSES):
            new = scalars(add(*(scale(self.step(word), c) for word, c in terms.items())), self.vocabulary)
            new = {word: sympy.cancel(self.traces(c)) for word, c in new.items()}
            new = {word: c for word, c in new.items() if c != 0}
            if new == terms:
                return terms
            if max(map(len, new), default=0) > _LONGEST:
                break
            terms = new
        raise NotATerm("the rules do not come to an end")

    def traces(self, coefficient: Any) -> Any:
        """The rules hold under a trace, too."""
        if not coefficient.has(Tr):
            return coefficient
        return coefficient.replace(
            Tr, lambda inside: expression_of(self.reader.trace(self.run(self.reader.read(inside))))
        )

    def step(self, word: Word) -> Polynomial:
        """One pass over one word."""
        for left, right in self.rules:
            for i in range(len(word) - len(left) + 1):
                if word[i : i + len(left)] == left:
                    return {word[:i] + w + word[i + len(left) :]: c for w, c in right.items()}
        if len(word) == 1 and isinstance(word[0], LogIntegral):
            return self.log_integral(word[0])
        out: Polynomial = {(): sympy.S.One}
        for letter in self.commuting(self.powers(word)):
            part = {(letter,): sympy.S.One}
            if isinstance(letter, D):
                part = self.reader.pointwise(self.run(self.reader.read(letter.args[0])))
            out = multiply(out, part)
        return out

    def log_integral(self, node: LogIntegral) -> Polynomial:
        """−(u + h)'M(u + h) + rest, rest free of u ↦ rest + (τ/2)(m log πτ − log det M): `gaussian-normaliser`."""
        q, vector, tau, precision, h, size, volume = node.args
        variable = {vector, self.vocabulary.t(vector)}
        if self.vocabulary.volumes.get(precision) != (size, volume):
            raise NotATerm(f"{size} and {volume} are not declared as dimension and log determinant of {precision}")
        if h.free_symbols & variable:
            raise NotATerm(f"the centre of the square holds {vector} itself")
        away = vector + h
        square = multiply(
            multiply(transpose(self.reader.read(away), self.vocabulary), self.reader.read(precision)),
            self.reader.read(away),
        )
        rest = normalise(add(self.reader.read(q), square), self.vocabulary, ())
        if any(variable & (set(word) | c.free_symbols) for word, c in rest.items()):
            return {(node,): sympy.S.One}
        return add(rest, {(): tau / 2 * (size * sympy.log(sympy.pi * tau) - volume)})

    @staticmethod
    def powers(word: Word) -> Word:
        """X Xⁿ = Xⁿ X: symbolic powers stand first."""
        letters = list(word)
        for i in range(len(letters) - 1):
            after = letters[i + 1]
            if after.is_Pow and after.base == letters[i]:
                letters[i], letters[i + 1] = after, letters[i]
        return tuple(letters)

    def lifted(self, letter: Any) -> Any:
        """φ when the letter is D(Eφ) for a lift E, else None."""
        if not isinstance(letter, D):
            return None
        inner = polynomial_word(letter.args[0])
        return inner[0] if inner[0] in [lift for _, lift in self.vocabulary.averages] else None

    def commuting(self, word: Word) -> Word:
        """Pointwise products commute; functions of the state pass through averages and lifts."""
        letters = list(word)
        averages = dict(self.vocabulary.averages)
        lifts = {lift: average for average, lift in self.vocabulary.averages}
        i = 0
        while i < len(letters):
            if not isinstance(letters[i], D):
                i += 1
                continue
            j = i
            while j < len(letters) and isinstance(letters[j], D):
                j += 1
            run = self.cancelled(sorted(letters[i:j], key=sympy.srepr))
            if len(run) < j - i:
                return (*letters[:i], *run, *letters[j:])
            before, after = (letters[i - 1] if i else None), (letters[j] if j < len(letters) else None)
            if before in averages and averages[before] == after:  # Π D(X) E = D(Π X)
                return (*letters[: i - 1], D(sympy.Mul(before, *run[:-1], run[-1].args[0])), *letters[j + 1 :])
            for k, letter in enumerate(run):
                lift = self.lifted(letter)
                if lift is None:
                    continue
                inside = D(sympy.Mul(*polynomial_word(letter.args[0])[1:]))
                others = run[:k] + run[k + 1 :]
                if before in averages and averages[before] == lift:  # Π D(Eφ) = D(φ) Π
                    return (*letters[: i - 1], inside, before, *others, *letters[j:])
                if after in lifts and after == lift:  # D(Eφ) E = E D(φ)
                    return (*letters[:i], *others, after, inside, *letters[j + 1 :])
            letters[i:j] = run
            tail = letters[j:]
            if tail and not any(isinstance(x, D) for x in tail) and self.is_function(tuple(tail)):
                letters[i:] = self.product(run, tuple(tail))
                return tuple(letters)
            i = j
        return tuple(letters)

    def is_function(self, word: Word) -> bool:
        ends = spaces(word, self.vocabulary)
        return ends is not None and ends[1] == SCALAR

    def cancelled(self, run: list[Any]) -> list[Any]:
        """A run of multipliers without the pairs X·(1/X)."""
        for x, y in self.vocabulary.reciprocals:
            if D(x) in run and D(y) in run:
                run = [*run]
                run.remove(D(x))
                run.remove(D(y))
                return run
        return run

    def product(self, run: list[Any], tail: Word) -> list[Any]:
        """X·Y·…·Z of functions in a fixed order; lifted ones are kept as multipliers, 1 drops out."""
        if len(tail) == 1 and tail[0] in self.vocabulary.ones:
            return [*run[:-1], *polynomial_word(run[-1].args[0])]
        for x, y in (*self.vocabulary.reciprocals, *((y, x) for x, y in self.vocabulary.reciprocals)):
            if tail == (x,) and D(y) in run and len(run) > 1:
                rest = [*run]
                rest.remove(D(y))
                return [*rest[:-1], *polynomial_word(rest[-1].args[0])]
        functions = [polynomial_word(letter.args[0]) for letter in run] + [tail]
        lifts = [lift for _, lift in self.vocabulary.averages]
        functions.sort(key=lambda w: (w[0] not in lifts, order(w)))
        return [D(sympy.Mul(*w)) for w in functions[:-1]] + list(functions[-1])
