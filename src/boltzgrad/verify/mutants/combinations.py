"""Combinations of a family's mistakes, generated: what a check must not miss although nobody made it a case.

- `pairs`: two mistakes in different steps at once;
- `in_one_context`: the first context wrong, the others right;
- `in_one_half`: steps t < n wrong and t ≥ n right, and the reverse (`later`);
- `by_a_digit`: (1 ± 1e-6) ∇J.

They are too many to be tried on every gradient.  `resembling` tries, on one that no single mistake explains, the pairs
that `nearest` picks, and every mistake in one context or one half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Later
from boltzgrad.families.mistake import Mutant, WrongFormula
from boltzgrad.families.registry import family_of

# The steps that belong to no time, or to t = 0 only.
_NO_TIME, _AT_THE_START = {"context_weight"}, {"start_term", "start_terms"}


def overridden(formula: type[WrongFormula]) -> frozenset[str]:
    """The steps in which a mutant differs from the right formula."""
    return frozenset(name for name, x in vars(formula).items() if callable(x) and not name.startswith("_"))


def both(a: Mutant, b: Mutant) -> Mutant | None:
    """Two mistakes at once, or None where they are made in one step.

    >>> from boltzgrad.families.tabular import mistakes as tabular
    >>> both(tabular.MUTANTS[0], tabular.MUTANTS[-1]).name
    'LeadersDiscountInGradQAndFirstContextOnly'
    """
    if overridden(a.formula) & overridden(b.formula):
        return None
    return _generated(f"{a.name}And{b.name}", f"{a.mistake}; and {b.mistake}", (a.formula, b.formula), {}, a)


def pairs(mutants: Sequence[Mutant]) -> Iterator[Mutant]:
    """Every two mistakes that are made in different steps."""
    return (found for a, b in combinations(mutants, 2) if (found := both(a, b)) is not None)


def in_one_context(mutants: Sequence[Mutant]) -> Iterator[Mutant]:
    """Each mistake of tables in the first context only."""

    def of_context(self: Any, c: int, contexts: Any, columns: Any) -> Any:
        maker: Any = self.wrong if c == 0 else _right(self.wrong)
        return maker(self.problem, self.theta).of_context(c, contexts, columns)

    for m in mutants:
        steps = {"wrong": m.formula, "of_context": of_context}
        yield _generated(f"{m.name}InOneContext", f"{m.mistake}; in the first context only", (m.formula,), steps, m)


def in_one_half(mutants: Sequence[Mutant]) -> Iterator[Mutant]:
    """Each mistake at t < n only, and at t ≥ n only.

    The steps t ≥ n of a wrong formula are what it gives for the problem that starts there, also for one that
    follows a chain of its own.  A mistake with the start is made at t = 0; one with the contexts' weights, at no time.
    """
    for m in mutants:
        steps = overridden(m.formula)
        if steps & _NO_TIME:
            continue
        for second in (False, True):
            if second and steps & _AT_THE_START:
                continue
            when = "in the second half of the horizon only" if second else "in the first half of the horizon only"
            body = {"wrong": m.formula, "right": _right(m.formula), "second": second, "gradient": _half_wrong}
            name = f"{m.name}In{'Second' if second else 'First'}Half"
            yield _generated(name, f"{m.mistake}; {when}", (m.formula,), body, m)


def by_a_digit(right: type[WrongFormula]) -> Iterator[Mutant]:
    """(1 ± 1e-6) ∇J: smaller than every known mistake, larger than rounding."""
    for name, factor in (("AMillionthTooLong", 1.0 + 1e-6), ("AMillionthTooShort", 1.0 - 1e-6)):

        def gradient(self: Any, factor: float = factor) -> Any:
            return factor * self.right(self.problem, self.theta).gradient()

        yield _generated(name, f"{factor!r} × ∇J", (right,), {"right": right, "gradient": gradient}, None)


def resembling(
    gradient: Array,
    problem: Any,
    theta: Array,
    mutants: Sequence[Mutant],
    evaluate: Callable[[type[WrongFormula], Any, Array], Array | None],
    allowed: Array | float,
    most: int = 30,
) -> tuple[Mutant, ...]:
    """The pairs that a gradient (d,) is within `allowed` of; if none, the mistakes in one context or in one half.

    `evaluate(formula, problem, theta)` is a formula's gradient, or None where it leaves no finite numbers.  Of the pairs
    the `most` that are nearest to first order are tried.
    """
    right = evaluate(_right(mutants[0].formula), problem, theta)
    known = [(m, g) for m in mutants if (g := evaluate(m.formula, problem, theta)) is not None]
    if right is None or not known:
        return ()
    near = nearest(gradient, right, [g for _, g in known], most)

    def fitting(tried: Iterable[Mutant]) -> tuple[Mutant, ...]:
        return tuple(
            m
            for m in tried
            if (g := evaluate(m.formula, problem, theta)) is not None and np.all(np.abs(g - gradient) <= allowed)
        )

    found = fitting(pair for i, j in near if (pair := both(known[i][0], known[j][0])) is not None)
    by_context = hasattr(mutants[0].formula, "of_context") and len(problem.contexts(theta).models) > 1
    if not found and by_context:
        found = fitting(in_one_context(mutants))
    return found or fitting(in_one_half(mutants))


def nearest(gradient: Array, right: Array, wrong: Sequence[Array], most: int) -> list[tuple[int, int]]:
    """The pairs i < j for which wrong_i + wrong_j − right is nearest to a gradient, at most `most`, nearest first.

    To first order two mistakes add up; whether a pair gives the gradient is for its formula to say.
    """
    off = np.array(wrong) - right
    first, second = np.triu_indices(len(off), 1)
    distance = np.abs(off[first] + off[second] - (gradient - right)).max(axis=1)
    order = np.argsort(distance, kind="stable")[:most]
    return [(int(first[k]), int(second[k])) for k in order]


def _half_wrong(self: Any) -> Array:
    """The wrong formula where it is to be wrong: W − γⁿ(W_n − ∇J_n) before n, ∇J + γⁿ(W_n − ∇J_n) from n on."""
    theta = self.theta.tobytes()
    rest = later(self.problem, theta)
    if rest is None:
        return _evaluated_once(self.right, self.problem, theta).copy()
    extra = self.wrong(rest.problem, self.theta).gradient() - _evaluated_once(self.right, rest.problem, theta)
    if self.second:
        return np.asarray(_evaluated_once(self.right, self.problem, theta) + rest.weight * extra)
    return np.asarray(self.wrong(self.problem, self.theta).gradient() - rest.weight * extra)


@lru_cache(maxsize=2)
def later(problem: Any, theta: bytes) -> Later | None:
    """The second half of a problem at θ, or None where it has no halves (f(θ, π); one step)."""
    return family_of(problem).later(problem, np.frombuffer(theta))


@lru_cache(maxsize=4)
def _evaluated_once(formula: type[WrongFormula], problem: Any, theta: bytes) -> Array:
    return formula(problem, np.frombuffer(theta)).gradient()


def _right(formula: type[WrongFormula]) -> type[WrongFormula]:
    """The family's formula without a mistake."""
    return next(cls for cls in reversed(formula.__mro__) if cls.__name__ == "Formula")


def _generated(
    name: str, mistake: str, bases: tuple[type[WrongFormula], ...], body: dict[str, Any], like: Mutant | None
) -> Mutant:
    words: dict[str, Any] = {"mistake": mistake, "hidden_by": None, "spares": None, "__module__": __name__}
    if like is not None:
        words["exposed_by"] = like.formula.exposed_by
    made: type[WrongFormula] = type(name, bases, {**words, **body})
    return Mutant(name, mistake, made)
