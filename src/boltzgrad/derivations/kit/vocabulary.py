"""The letters of an operator algebra: what each one maps where, how it moves with θ, and the rules that hold among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy

from boltzgrad.derivations.kit.nodes import D, Nabla

SCALAR = "1"  # the one-dimensional space: a letter 1 → S is a vector, a letter S → 1 a covector


@dataclass(frozen=True)
class Rule:
    """Read left to right: wherever `left` stands (one word, or one sum), `right` may stand, at every θ.

    `claim` is the claim that proves it, or None for a definition, which `because` then names.  A `hypothesis` holds only
    under an assumption (a kernel that does not move): a derivation that uses it, or claims that used it, must declare it.
    """

    left: Any
    right: Any
    because: str
    claim: Any = None
    hypothesis: bool = False


@dataclass(frozen=True)
class Letter:
    """What a symbol stands for."""

    symbol: Any
    latex: str
    codomain: str
    domain: str
    meaning: str


@dataclass(eq=False)
class Vocabulary:
    """Symbols with their spaces, differentials, transposes, and the identities that hold by their definition."""

    name: str
    letters: dict[Any, Letter] = field(default_factory=dict)
    scalars: dict[Any, Letter] = field(default_factory=dict)
    differentials: dict[Any, Any] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    averages: list[tuple[Any, Any]] = field(default_factory=list)  # (Π, E): Π E = 1, E lifts functions
    transposes: dict[Any, Any] = field(default_factory=dict)
    ones: set[Any] = field(default_factory=set)
    constants: set[Any] = field(default_factory=set)  # letters whose derivative is zero; others have one or none at all
    volumes: dict[Any, tuple[Any, Any]] = field(default_factory=dict)  # M: (its dimension, log det M)
    reciprocals: list[tuple[Any, Any]] = field(default_factory=list)  # functions with X·Y = 1
    ranges: dict[Any, Any] = field(default_factory=dict)  # scalars by a positive parameter, for signs: γ = 1/(1 + t)
    nonnegative: set[Any] = field(default_factory=set)  # letters without negative entries

    def __repr__(self) -> str:
        return f"<Vocabulary {self.name}: {len(self.letters)} letters, {len(self.rules)} rules>"

    def scalar(self, name: str, latex: str, meaning: str, **assumptions: Any) -> Any:
        """A number that does not move with θ."""
        symbol = sympy.Symbol(name, **(assumptions or {"positive": True}))
        self.scalars[symbol] = Letter(symbol, latex, SCALAR, SCALAR, meaning)
        return symbol

    def letter(self, name: str, latex: str, codomain: str, domain: str, meaning: str, *, varies: bool = True) -> Any:
        """An operator domain → codomain; when it varies, d<name> is its total derivative.

        Of a letter that does not vary no derivative may be taken, unless it is declared `constant`.
        """
        symbol = sympy.Symbol(name, commutative=False)
        self.letters[symbol] = Letter(symbol, latex, codomain, domain, meaning)
        if varies:
            moved = sympy.Symbol("d" + name, commutative=False)
            self.letters[moved] = Letter(moved, rf"\nabla {latex}", codomain, domain, f"total derivative of {meaning}")
            self.differentials[symbol] = moved
        return symbol

    def vector(self, name: str, latex: str, space: str, meaning: str, *, varies: bool = True) -> Any:
        """A function on a space."""
        return self.letter(name, latex, space, SCALAR, meaning, varies=varies)

    def covector(self, name: str, latex: str, space: str, meaning: str, *, varies: bool = True) -> Any:
        """A distribution, or any linear functional, on a space."""
        return self.letter(name, latex, SCALAR, space, meaning, varies=varies)

    def matrix(self, name: str, latex: str, rows: str, columns: str, meaning: str, *, symmetric: bool = False) -> Any:
        """A matrix and, unless it is symmetric, its transpose <name>t."""
        symbol = self.letter(name, latex, rows, columns, meaning)
        moved = self.differentials[symbol]
        if symmetric:
            self.transposes[symbol], self.transposes[moved] = symbol, moved
            return symbol
        turned = self.letter(name + "t", f"{latex}^\\top", columns, rows, f"transpose of {meaning}")
        pairs = ((symbol, turned), (moved, self.differentials[turned]))
        for one, other in pairs:
            self.transposes[one], self.transposes[other] = other, one
        return symbol

    def constant(self, *symbols: Any) -> None:
        """Letters that do not move with θ at all."""
        self.constants |= set(symbols)

    def one(self, space: str, latex: str) -> Any:
        """The constant function 1."""
        symbol = self.vector("1_" + space, latex, space, f"the function 1 on {space}", varies=False)
        self.ones.add(symbol)
        self.constant(symbol)
        return symbol

    def d(self, symbol: Any) -> Any:
        """The total derivative of a letter."""
        return self.differentials[symbol]

    def t(self, symbol: Any) -> Any:
        """The transpose of a matrix letter."""
        return self.transposes[symbol]

    def rule(self, left: Any, right: Any, because: str) -> Rule:
        """Declare an identity that holds by definition of the letters."""
        made = Rule(sympy.sympify(left), sympy.sympify(right), because)
        self.rules.append(made)
        return made

    def definitions(self) -> list[Rule]:
        """Everything declared that is an equation: the rules, Π E = 1, and X·Y = 1 of reciprocals."""
        lifts = [
            Rule(average * lift, sympy.S.One, f"{average} averages, {lift} lifts") for average, lift in self.averages
        ]
        inverse = [Rule(D(x) * D(y), sympy.S.One, f"{x} and {y} are reciprocals") for x, y in self.reciprocals]
        return [*self.rules, *lifts, *inverse]

    def primal_of(self, moved: Any) -> Any:
        """The letter whose derivative this is, or None."""
        return next((s for s, d in self.differentials.items() if d == moved), None)

    def latex_names(self) -> dict[Any, str]:
        """For `sympy.latex(symbol_names=…)`."""
        return {symbol: letter.latex for symbol, letter in {**self.letters, **self.scalars}.items()}

    def legend(self, symbols: Sequence[Any]) -> list[Letter]:
        """The letters behind these symbols, in the order of declaration."""
        wanted = set(symbols)
        return [letter for symbol, letter in {**self.scalars, **self.letters}.items() if symbol in wanted]


def moved(definition: Rule, vocabulary: Vocabulary) -> Rule:
    """∇ of both sides of a definition letter = expression."""
    return Rule(vocabulary.d(definition.left), Nabla(definition.right), f"∇ of {definition.because}")
