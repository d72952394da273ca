r"""Polynomials in non-commuting letters.

A word is a tuple of letters (X₁, X₂, …), a polynomial maps words to commutative coefficients.  A letter is a symbol, a
pointwise multiplication D(word), or a power Xⁿ with symbolic n.  Every word must compose: the domain of a letter is the
codomain of the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import sympy

from boltzgrad.derivations.kit.nodes import D, GaussianMean, LogIntegral, Nabla, Tr
from boltzgrad.derivations.kit.vocabulary import SCALAR, Vocabulary
from boltzgrad.derivations.kit.wick import contractions, factors

Word: TypeAlias = tuple[Any, ...]
Polynomial: TypeAlias = dict[Word, Any]


class NotATerm(ValueError):
    """An expression that is no polynomial in the letters of its vocabulary, or does not compose."""


def polynomial(expression: Any, vocabulary: Vocabulary) -> Polynomial:
    """The polynomial of an expression, before any rule is applied."""
    return Reader(vocabulary).read(sympy.sympify(expression))


def expression_of(terms: Polynomial) -> Any:
    """The SymPy expression of a polynomial."""
    return sympy.Add(*(c * sympy.Mul(*word) for word, c in terms.items()))


def add(*parts: Polynomial) -> Polynomial:
    """The sum; zero coefficients vanish."""
    out: dict[Word, list[Any]] = {}
    for part in parts:
        for word, coefficient in part.items():
            out.setdefault(word, []).append(coefficient)
    total = {word: sympy.Add(*c) for word, c in out.items()}
    return {word: c for word, c in total.items() if c != 0}


def scale(terms: Polynomial, factor: Any) -> Polynomial:
    """The product with a commutative factor."""
    return {word: factor * c for word, c in terms.items()}


def multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    """The non-commutative product."""
    return add(*({u + v: a * b} for u, a in left.items() for v, b in right.items())) if left and right else {}


class Reader:
    """Expression ↦ polynomial, before any rule is applied."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def read(self, e: Any) -> Polynomial:
        """The polynomial of an expression."""
        if isinstance(e, Tr):
            return self.trace(self.read(e.args[0]))
        if e.is_Add:
            return add(*(self.read(a) for a in e.args))
        if e.is_Mul:
            out: Polynomial = {(): sympy.S.One}
            for factor in e.args:
                out = multiply(out, self.read(factor))
            return out
        if e.is_commutative:
            return self.commutative(e)
        if isinstance(e, Nabla):
            return self.leibniz(self.read(e.args[0]))
        if isinstance(e, D):
            return self.pointwise(self.read(e.args[0]))
        if isinstance(e, GaussianMean):
            return self.mean(*e.args)
        if isinstance(e, LogIntegral):
            return {(e,): sympy.S.One}
        if e.is_Pow:
            return self.power(e)
        if e in self.vocabulary.letters:
            return {(e,): sympy.S.One}
        raise NotATerm(f"{e} is no letter of the {self.vocabulary.name} vocabulary")

    def commutative(self, e: Any) -> Polynomial:
        """A number, with its traces in their fixed form."""
        foreign = e.free_symbols - set(self.vocabulary.scalars) - set(self.vocabulary.letters)
        if foreign:
            raise NotATerm(f"{sorted(map(str, foreign))[0]} is no scalar of the {self.vocabulary.name} vocabulary")
        if e.has(Tr):
            e = e.replace(Tr, lambda arg: expression_of(self.trace(self.read(arg))))
        return {(): e} if e != 0 else {}

    def power(self, e: Any) -> Polynomial:
        """A power as repeated letters."""
        base, exponent = e.args
        if exponent.is_Integer and exponent >= 0:
            out: Polynomial = {(): sympy.S.One}
            for _ in range(int(exponent)):
                out = multiply(out, self.read(base))
            return out
        whole, rest = exponent.as_coeff_Add()
        if base not in self.vocabulary.letters or not (whole.is_Integer and whole >= 0):
            raise NotATerm(f"{e}: only powers of one letter, with a non-negative exponent")
        return {(base**rest,) + (base,) * int(whole): sympy.S.One}

    def leibniz(self, terms: Polynomial) -> Polynomial:
        """∇ of every word, by the product rule."""
        parts = []
        for word, coefficient in terms.items():
            parts.append(multiply(self.moving_coefficient(coefficient), {word: sympy.S.One}))
            for i, letter in enumerate(word):
                for moved, c in self.differential(letter).items():
                    parts.append({word[:i] + moved + word[i + 1 :]: coefficient * c})
        return add(*parts)

    def moving_coefficient(self, coefficient: Any) -> Polynomial:
        """∇ of a coefficient: traces move, scalars of the vocabulary do not."""
        foreign = coefficient.free_symbols - set(self.vocabulary.scalars) - set(self.vocabulary.letters)
        volumes = {volume for _, volume in self.vocabulary.volumes.values()}
        if foreign or coefficient.free_symbols & volumes:
            raise NotATerm(f"∇ of {coefficient} is not known")
        traces = sorted(coefficient.atoms(Tr), key=sympy.srepr)
        out = []
        for trace in traces:
            dummy = sympy.Dummy()
            slope = sympy.diff(coefficient.xreplace({trace: dummy}), dummy).xreplace({dummy: trace})
            out.append(scale(self.trace(self.leibniz(self.read(trace.args[0]))), slope))
        return add(*out)

    def differential(self, letter: Any) -> Polynomial:
        """∇ of one letter; NotATerm for a letter whose derivative is not among the letters."""
        if isinstance(letter, D):
            return self.pointwise(self.leibniz(self.read(letter.args[0])))
        if letter in self.vocabulary.differentials:
            return {(self.vocabulary.d(letter),): sympy.S.One}
        if letter in self.vocabulary.constants:
            return {}
        raise NotATerm(f"∇ of {letter} is not among the letters")

    def pointwise(self, terms: Polynomial) -> Polynomial:
        """D(…) of every word."""
        out = []
        for word, coefficient in terms.items():
            letters: Word = ()
            while word and isinstance(word[0], D):  # D(D(X)Y) = D(X)D(Y)
                letters, word = (*letters, word[0]), word[1:]
            if word not in [(one,) for one in self.vocabulary.ones]:
                letters = (*letters, D(sympy.Mul(*word)))
            out.append({letters: coefficient})
        return add(*out)

    def trace(self, terms: Polynomial) -> Polynomial:
        """The trace of every word."""
        total = sympy.Add(*(c * self.cyclic(word) for word, c in terms.items()))
        return {(): total} if total != 0 else {}

    def cyclic(self, word: Word) -> Any:
        """The trace of a word, turned and transposed to its first form in a fixed order."""
        if not word:
            raise NotATerm("the trace of the identity is not among the scalars")
        turned = [word[i:] + word[:i] for i in range(len(word))]
        if all(letter in self.vocabulary.transposes for letter in word):
            other = transposed(word, self.vocabulary)
            turned += [other[i:] + other[:i] for i in range(len(other))]
        return Tr(sympy.Mul(*min(turned, key=order)))

    def mean(self, scalar: Any, vector: Any, covariance: Any) -> Polynomial:
        """The Gaussian mean of every word."""
        row, moved = self.vocabulary.t(vector), self.vocabulary.differentials[vector]
        variable = {vector, row, moved, self.vocabulary.t(moved)}
        if self.vocabulary.transposes.get(covariance) != covariance:
            raise NotATerm(f"{covariance} is no covariance: it is not declared symmetric")
        parts = []
        for word, c in self.read(scalar).items():
            if c.free_symbols & variable or {moved, self.vocabulary.t(moved)} & set(word):
                raise NotATerm(
                    f"the mean over {vector} of {c * sympy.Mul(*word)}: neither a trace nor ∇{vector} may hold it"
                )
            if not variable & set(word):
                parts.append({word: c})
                continue
            if spaces(word, self.vocabulary) != (SCALAR, SCALAR):
                raise NotATerm(f"the mean over {vector} of {sympy.Mul(*word)}: only scalars have one here")
            for chains, cycles in contractions(word, vector, covariance, self.vocabulary):
                part: Polynomial = {sum(chains, ()): c}
                for cycle in cycles:
                    part = multiply(part, self.trace({cycle: sympy.S.One}))
                parts.append(part)
        return scalars(add(*parts), self.vocabulary)


def order(word: Iterable[Any]) -> list[str]:
    """A key that orders words."""
    return [sympy.srepr(letter) for letter in word]


def transposed(word: Word, vocabulary: Vocabulary) -> Word:
    """(XY…)' as a word."""
    return tuple(vocabulary.t(letter) for letter in reversed(word))


def transpose(terms: Polynomial, vocabulary: Vocabulary) -> Polynomial:
    """The transpose of every word."""
    return {transposed(word, vocabulary): c for word, c in terms.items()}


def spaces(word: Word, vocabulary: Vocabulary) -> tuple[str, str] | None:
    """(codomain, domain) of a word, None for the empty word.  Raises NotATerm if it does not compose."""
    ends: tuple[str, str] | None = None
    for letter in word:
        if isinstance(letter, LogIntegral):
            return (SCALAR, SCALAR)
        if isinstance(letter, D):
            inner = spaces(polynomial_word(letter.args[0]), vocabulary)
            if inner is None or inner[1] != SCALAR:
                raise NotATerm(f"{letter}: only a function can be multiplied by")
            here = (inner[0], inner[0])
        else:
            base = letter.args[0] if letter.is_Pow else letter
            here = (vocabulary.letters[base].codomain, vocabulary.letters[base].domain)
        if ends is not None and ends[1] != here[0]:
            raise NotATerm(f"{sympy.Mul(*word)} does not compose: {letter} lands in {here[0]}, not in {ends[1]}")
        ends = here if ends is None else (ends[0], here[1])
    return ends


def polynomial_word(product: Any) -> Word:
    """The letters of a coefficient-free product."""
    out: list[Any] = []
    for factor in sympy.Mul.make_args(product):
        if factor.is_Pow and factor.exp.is_Integer:
            out += [factor.base] * int(factor.exp)
        else:
            out.append(factor)
    return tuple(out)


def scalars(terms: Polynomial, vocabulary: Vocabulary) -> Polynomial:
    """Scalar factors commute and equal their transposes: bring them into a fixed order."""
    out = []
    for word, c in terms.items():
        turnable = word and all(letter in vocabulary.transposes for letter in word)
        if turnable and spaces(word, vocabulary) == (SCALAR, SCALAR):
            turned = [min(part, transposed(part, vocabulary), key=order) for part in factors(word, vocabulary)]
            word = sum(sorted(turned, key=order), ())
        out.append({word: c})
    return add(*out)
