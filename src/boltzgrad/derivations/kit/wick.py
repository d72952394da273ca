r"""Means of products of quadratic and linear forms in one centred Gaussian vector: Isserlis' theorem on words.

A scalar word is a product of factors row·…·column.  Every occurrence of the vector is joined to another by its covariance,
in all ways; a factor whose ends are both joined links its neighbours, and what closes upon itself is a trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from boltzgrad.derivations.kit.vocabulary import SCALAR, Vocabulary

Word = tuple[Any, ...]
End = tuple[int, int]  # (factor, 0 for its left end or 1 for its right)


def factors(word: Word, vocabulary: Vocabulary) -> list[Word]:
    """The scalar factors of a scalar word."""
    out, start = [], 0
    for i, letter in enumerate(word):
        if vocabulary.letters[letter].domain == SCALAR:
            out.append(word[start : i + 1])
            start = i + 1
    return out


def pairings(ends: list[End]) -> Iterator[list[tuple[End, End]]]:
    """All ways to join an even number of ends in pairs."""
    if not ends:
        yield []
        return
    first, rest = ends[0], ends[1:]
    for i, other in enumerate(rest):
        for more in pairings(rest[:i] + rest[i + 1 :]):
            yield [(first, other), *more]


def contractions(
    word: Word, vector: Any, covariance: Any, vocabulary: Vocabulary
) -> Iterator[tuple[list[Word], list[Word]]]:
    """For every pairing: the words of its open chains and of its closed ones (traces)."""
    parts = factors(word, vocabulary)
    row = vocabulary.t(vector)
    ends = [
        (i, side)
        for i, part in enumerate(parts)
        for side, letter in ((0, part[0]), (1, part[-1]))
        if letter in (vector, row)
    ]
    cores = [part[(i, 0) in ends : len(part) - ((i, 1) in ends)] for i, part in enumerate(parts)]
    for pairing in pairings(ends) if len(ends) % 2 == 0 else ():
        joined = {**dict(pairing), **{b: a for a, b in pairing}}
        yield _walk(cores, ends, joined, covariance, vocabulary)


def _walk(
    cores: list[Word], ends: list[End], joined: dict[End, End], covariance: Any, vocabulary: Vocabulary
) -> tuple[list[Word], list[Word]]:
    """Follow the chains of one pairing."""
    open_words, closed, seen = [], [], set()

    def follow(factor: int, enter: int) -> Word:
        """The word from a factor's end onwards, until a free end or the start again."""
        word: Word = ()
        while True:
            seen.add(factor)
            core = cores[factor]
            word += core if enter == 0 else tuple(vocabulary.t(x) for x in reversed(core))
            leave = (factor, 1 - enter)
            if leave not in joined:
                return word
            factor, enter = joined[leave]
            word += (covariance,)
            if factor in seen:
                return word

    for i in range(len(cores)):
        free = [side for side in (0, 1) if (i, side) not in ends]
        if i not in seen and free:
            open_words.append(follow(i, free[0]))
    for i in range(len(cores)):
        if i not in seen:
            closed.append(follow(i, 0))
    return open_words, closed
