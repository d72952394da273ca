"""What an expression maps where: checked as it is written, before any reading or rule can lose a letter that does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import sympy

from boltzgrad.derivations.kit.nodes import D, GaussianMean, LogIntegral, Nabla, Tr
from boltzgrad.derivations.kit.vocabulary import SCALAR, Vocabulary
from boltzgrad.derivations.kit.words import NotATerm

Type: TypeAlias = "tuple[str, str] | None"
"""(codomain, domain), or None for a number, which is a multiple of any identity."""


def one_type(sides: Sequence[Any], vocabulary: Vocabulary) -> None:
    """All sides map the same space to the same space.  Raises: NotATerm."""
    _sum([sympy.sympify(side) for side in sides if sympy.sympify(side) != 0], vocabulary)


def type_of(e: Any, vocabulary: Vocabulary) -> Type:
    """The type of an expression.  Raises: NotATerm where it has none."""
    if isinstance(e, Tr):
        _square(type_of(e.args[0], vocabulary), e)
        return None
    if e.is_Add:
        return _sum(e.args, vocabulary)
    if e.is_Mul:
        return _product(e, vocabulary)
    if isinstance(e, Nabla):
        return type_of(e.args[0], vocabulary)
    if isinstance(e, D):
        inner = type_of(e.args[0], vocabulary)
        if inner is None or inner[1] != SCALAR:
            raise NotATerm(f"{e}: only a function can be multiplied by")
        return inner[0], inner[0]
    if isinstance(e, (GaussianMean, LogIntegral)):
        inner = type_of(e.args[0], vocabulary)
        if inner not in (None, (SCALAR, SCALAR)):
            raise NotATerm(f"{e}: only numbers have a mean or an integral here, not {_words(inner)}")
        return SCALAR, SCALAR
    if e.is_Pow and not e.is_commutative:
        kind = type_of(e.base, vocabulary)
        if e.exp != 1:
            _square(kind, e)
        return kind
    if e.is_commutative:
        for inside in e.args:
            type_of(inside, vocabulary)
        return None
    if e in vocabulary.letters:
        letter = vocabulary.letters[e]
        return letter.codomain, letter.domain
    raise NotATerm(f"{e} is no letter of the {vocabulary.name} vocabulary")


def _sum(terms: Sequence[Any], vocabulary: Vocabulary) -> Type:
    kinds = {type_of(term, vocabulary) for term in terms}
    mapped = kinds - {None}
    if len(mapped) > 1 or (None in kinds and any(kind is not None and kind[0] != kind[1] for kind in mapped)):
        raise NotATerm(f"terms live on different spaces: {sorted(map(_words, kinds))}")
    return next(iter(mapped), None)


def _product(e: Any, vocabulary: Vocabulary) -> Type:
    ends: Type = None
    for factor in e.args:
        here = type_of(factor, vocabulary)
        if here is None:
            continue
        if ends is not None and ends[1] != here[0]:
            raise NotATerm(f"{e} does not compose: {factor} lands in {here[0]}, not in {ends[1]}")
        ends = here if ends is None else (ends[0], here[1])
    return ends


def _square(kind: Type, e: Any) -> None:
    if kind is not None and kind[0] != kind[1]:
        raise NotATerm(f"{e}: {_words(kind)} has neither powers nor a trace")


def _words(kind: Type) -> str:
    return "a number" if kind is None else f"{kind[1]} → {kind[0]}"
