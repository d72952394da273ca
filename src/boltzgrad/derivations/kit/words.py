r"""Polynomials in non-commuting letters, and their normal form under rewriting rules.

A word is a tuple of letters (X₁, X₂, …), a polynomial maps words to commutative coefficients.  A letter is a symbol, a
pointwise multiplication D(word), or a power Xⁿ with symbolic n.  Every word must compose: the domain of a letter is the
codomain of the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import sympy

from boltzgrad.derivations.kit.nodes import D, GaussianMean, LogIntegral, Nabla, Tr
from boltzgrad.derivations.kit.vocabulary import SCALAR, Rule, Vocabulary
from boltzgrad.derivations.kit.wick import contractions, factors

Word: TypeAlias = tuple[Any, ...]
Polynomial: TypeAlias = dict[Word, Any]

_PASSES, _LONGEST = 400, 60  # rewriting that has not ended by then does not end


class NotATerm(ValueError):
    """An expression that is no polynomial in the letters of its vocabulary, or does not compose."""


def polynomial(expression: Any, vocabulary: Vocabulary) -> Polynomial:
    """The polynomial of an expression, before any rule is applied."""
    return _Reader(vocabulary).read(sympy.sympify(expression))


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


class _Reader:
    """Expression ↦ polynomial."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def read(self, e: Any) -> Polynomial:
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
            return self.log_integral(*e.args)
        if e.is_Pow:
            return self.power(e)
        if e in self.vocabulary.letters:
            return {(e,): sympy.S.One}
        raise NotATerm(f"{e} is no letter of the {self.vocabulary.name} vocabulary")

    def commutative(self, e: Any) -> Polynomial:
        if e.has(Tr):
            e = e.replace(Tr, lambda arg: expression_of(self.trace(self.read(arg))))
        return {(): e} if e != 0 else {}

    def power(self, e: Any) -> Polynomial:
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
        parts = []
        for word, coefficient in terms.items():
            for i, letter in enumerate(word):
                for moved, c in self.differential(letter).items():
                    parts.append({word[:i] + moved + word[i + 1 :]: coefficient * c})
        return add(*parts)

    def differential(self, letter: Any) -> Polynomial:
        if isinstance(letter, D):
            return self.pointwise(self.leibniz(self.read(letter.args[0])))
        if letter in self.vocabulary.differentials:
            return {(self.vocabulary.d(letter),): sympy.S.One}
        if letter in self.vocabulary.letters and self.vocabulary.primal_of(letter) is None:
            return {}  # a letter that does not move
        raise NotATerm(f"∇ of {letter} is not among the letters")

    def pointwise(self, terms: Polynomial) -> Polynomial:
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
        total = sympy.Add(*(c * self.cyclic(word) for word, c in terms.items()))
        return {(): total} if total != 0 else {}

    def cyclic(self, word: Word) -> Any:
        """The trace of a word, turned and transposed to its first form in a fixed order."""
        turned = [word[i:] + word[:i] for i in range(len(word))]
        if all(letter in self.vocabulary.transposes for letter in word):
            other = transposed(word, self.vocabulary)
            turned += [other[i:] + other[:i] for i in range(len(other))]
        return Tr(sympy.Mul(*min(turned, key=_order)))

    def mean(self, scalar: Any, vector: Any, covariance: Any) -> Polynomial:
        row = self.vocabulary.t(vector)
        parts = []
        for word, c in self.read(scalar).items():
            if not any(letter in (vector, row) for letter in word):
                parts.append({word: c})
                continue
            for chains, cycles in contractions(word, vector, covariance, self.vocabulary):
                part: Polynomial = {sum(chains, ()): c}
                for cycle in cycles:
                    part = multiply(part, self.trace({cycle: sympy.S.One}))
                parts.append(part)
        return scalars(add(*parts), self.vocabulary)

    def log_integral(
        self, q: Any, vector: Any, tau: Any, precision: Any, centre: Any, size: Any, volume: Any
    ) -> Polynomial:
        """−(u + h)'M(u + h) + rest, rest free of u ↦ rest + (τ/2)(m log πτ − log det M): `gaussian-normaliser`."""
        h = sympy.sympify(centre)
        away = vector + h
        square = multiply(multiply(transpose(self.read(away), self.vocabulary), self.read(precision)), self.read(away))
        rest = normalise(add(self.read(q), square), self.vocabulary, ())
        row = self.vocabulary.t(vector)
        if any(letter in (vector, row) for word in rest for letter in word):
            return {(LogIntegral(q, vector, tau, precision, centre, size, volume),): sympy.S.One}
        return add(rest, {(): tau / 2 * (size * sympy.log(sympy.pi * tau) - volume)})


def _order(word: Iterable[Any]) -> list[str]:
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
            turned = [min(part, transposed(part, vocabulary), key=_order) for part in factors(word, vocabulary)]
            word = sum(sorted(turned, key=_order), ())
        out.append({word: c})
    return add(*out)


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
    return word, scale(polynomial(rule.right, vocabulary), 1 / coefficient)


class _Rewriter:
    """One normalisation: the rules as (word, polynomial), longest match not needed, order is priority."""

    def __init__(self, vocabulary: Vocabulary, rules: list[tuple[Word, Polynomial]]) -> None:
        self.vocabulary, self.rules, self.reader = vocabulary, rules, _Reader(vocabulary)

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
        out: Polynomial = {(): sympy.S.One}
        for letter in self.commuting(self.powers(word)):
            part = {(letter,): sympy.S.One}
            if isinstance(letter, D):
                part = self.reader.pointwise(self.run(self.reader.read(letter.args[0])))
            out = multiply(out, part)
        return out

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
        functions.sort(key=lambda w: (w[0] not in lifts, _order(w)))
        return [D(sympy.Mul(*w)) for w in functions[:-1]] + list(functions[-1])
