r"""Equality of expressions with sums over an index of arbitrary range, decided by a canonical form.

Every Sum is linear, gives away the factors that do not move with its index, and takes one fixed index; exponentials of
sums become products.  What is left are finitely many generators (sums, functions of an index, exponentials), and equality
is equality of rational functions in them, decided by `cancel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.kit.words import NotATerm

# By depth of nesting.  Dummies: no symbol that anybody makes is one of them, so none is captured.
_INDICES = [sympy.Dummy(f"i{k}", integer=True) for k in range(8)]


def remainder(left: Any, right: Any, rules: Sequence[Rule] = (), nonzero: Sequence[Any] = ()) -> Any:
    """Left − right in canonical form: 0 exactly if the rules and the calculus of sums make them equal.

    `nonzero` are expressions that a derivation declares not to be zero.  Raises: NotATerm, also for a division by what may be.
    """
    for side in (left, right, *(side for rule in rules for side in (rule.left, rule.right))):
        if sympy.sympify(side).is_commutative is False:
            raise NotATerm(f"{side} does not commute: sums of numbers are decided here")
        refuse_divisions(side, nonzero)
    given = [(canonical(rule.left), rule.right) for rule in rules]
    difference = canonical(left - right)
    for _ in range(20):
        new = difference
        for pattern, value in given:
            new = new.xreplace({pattern: value})
        new = canonical(new)
        if new == difference:
            break
        difference = new
    return rational(difference)


def refuse_divisions(side: Any, nonzero: Sequence[Any] = ()) -> None:
    """Raise NotATerm for a division by what is neither provably non-zero nor declared so: `cancel` would not mind."""
    for e in sympy.preorder_traversal(sympy.sympify(side)):
        if isinstance(e, sympy.Pow) and not e.exp.is_nonnegative and e.base not in nonzero:
            known = sympy.factor(e.base) if e.base.is_zero is None else e.base
            if known.is_zero is not False:
                raise NotATerm(f"divides by {e.base}, which may be zero")


def rational(expression: Any) -> Any:
    """`cancel` with everything that is no number or symbol as a generator."""
    generators: dict[Any, Any] = {}

    def opaque(e: Any) -> Any:
        if e.is_Symbol or e.is_Number:
            return e
        if e.is_Add or e.is_Mul or (e.is_Pow and e.exp.is_Integer):
            return e.func(*(opaque(a) for a in e.args))
        return generators.setdefault(e, sympy.Dummy())

    result = sympy.cancel(sympy.together(opaque(expression)))
    return result.xreplace({dummy: e for e, dummy in generators.items()})


def canonical(expression: Any, depth: int = 0) -> Any:
    """The canonical form (see the module)."""
    e = sympy.sympify(expression)
    if not e.args:
        return e
    if isinstance(e, sympy.Derivative):
        return _derivative(e, depth)
    if isinstance(e, sympy.Sum):
        return _sum(e, depth)
    if isinstance(e, AppliedUndef):
        return e
    parts = [canonical(a, depth) for a in e.args]
    if isinstance(e, sympy.exp):
        return sympy.expand(sympy.exp(sympy.expand(parts[0])))
    if isinstance(e, sympy.log):
        return sympy.expand_log(sympy.log(parts[0]))
    return e.func(*parts)


def _derivative(e: sympy.Derivative, depth: int) -> Any:
    if isinstance(e.expr, AppliedUndef):
        return e
    moved = canonical(e.expr, depth)
    for variable, count in e.variable_count:
        for _ in range(int(count)):
            moved = sympy.diff(moved, variable)
    return canonical(moved, depth)


def _sum(e: sympy.Sum, depth: int) -> Any:
    return _over(e.function, e.limits, depth)


def _over(function: Any, limits: Any, depth: int) -> Any:
    """The canonical sum of a function; SymPy writes nested sums as one with several limits, the outermost last."""
    *inner, (index, lower, upper) = limits
    if depth >= len(_INDICES):
        raise NotATerm(f"sums are nested more than {len(_INDICES)} deep")
    fixed = _INDICES[depth]
    renamed = function.xreplace({index: fixed})
    inner = [tuple(bound.xreplace({index: fixed}) for bound in limit) for limit in inner]
    body = sympy.expand(_over(renamed, inner, depth + 1) if inner else canonical(renamed, depth + 1))
    total = sympy.S.Zero
    for term in sympy.Add.make_args(body):
        outside, inside = sympy.S.One, sympy.S.One
        for factor in sympy.Mul.make_args(term):
            if fixed in factor.free_symbols:
                inside *= factor
            else:
                outside *= factor
        if inside == 1 and (upper - lower + 1).is_nonnegative:
            total += outside * (upper - lower + 1)
        else:
            total += outside * sympy.Sum(inside, (fixed, lower, upper))
    return total
