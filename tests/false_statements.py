"""A grammar of mistakes: what one slip of the pen makes of a proved claim.

Each mistake is made somewhere in one side of a claim: a factor or a term dropped, a sign or a factor ½, two operators swapped,
a letter taken for another of its kind or of another kind (one discount for the other, 1_S for 1_SA), a bound index captured.
"""

import dataclasses

import numpy as np
import sympy

from boltzgrad import derivations
from boltzgrad.derivations.kit.numbers import defect

FALSE = 1e-6  # relative: what is off by less might be rounding


def positions(e):
    """(path, node) of every node, also inside sums and pointwise products."""
    yield (), e
    for i, a in enumerate(e.args):
        if isinstance(a, (sympy.Tuple, str)):
            continue
        for path, node in positions(a):
            yield (i, *path), node


def put(e, path, node):
    """`e` with `node` at a path."""
    if not path:
        return node
    args = list(e.args)
    args[path[0]] = put(args[path[0]], path[1:], node)
    return e.func(*args)


def without_a_part(rng, node, claim_letters):
    if not (node.is_Mul or node.is_Add) or len(node.args) < 2:
        return None
    left_out = int(rng.integers(len(node.args)))
    return node.func(*(a for i, a in enumerate(node.args) if i != left_out))


def negated(rng, node, claim_letters):
    return node.func(*(-a if i == 0 else a for i, a in enumerate(node.args))) if node.is_Add else None


def halved(rng, node, claim_letters):
    return node / 2 if node.is_Mul or node.is_Add or isinstance(node, sympy.Sum) else None


def swapped(rng, node, claim_letters):
    moving = [i for i, a in enumerate(node.args) if not a.is_commutative] if node.is_Mul else []
    if len(moving) < 2:
        return None
    k = int(rng.integers(len(moving) - 1))
    args = list(node.args)
    args[moving[k]], args[moving[k + 1]] = args[moving[k + 1]], args[moving[k]]
    return sympy.Mul(*args)


def another_letter(rng, node, claim_letters):
    if not node.is_Symbol or len(claim_letters) < 2:
        return None
    others = [x for x in claim_letters if x != node and x.is_commutative == node.is_commutative]
    return others[int(rng.integers(len(others)))] if others else None


def captured(rng, node, claim_letters):
    """A free symbol inside a sum becomes its index, or the index's name is taken for something outside."""
    if not isinstance(node, sympy.Sum):
        return None
    index = node.limits[0][0]
    free = sorted((x for x in node.free_symbols if x.is_integer), key=str)
    outside = [*free, sympy.Symbol("_i0", integer=True), sympy.Symbol("i0", integer=True)]
    taken = outside[int(rng.integers(len(outside)))]
    calls = sorted(node.function.atoms(sympy.core.function.AppliedUndef), key=sympy.srepr)
    calls = [call for call in calls if index in call.args]
    if not calls or taken == index:
        return None
    call = calls[int(rng.integers(len(calls)))]
    return sympy.Sum(node.function.xreplace({call: call.xreplace({index: taken})}), *node.limits)


MISTAKES = {
    "a part dropped": without_a_part,
    "a sign": negated,
    "a factor ½": halved,
    "two operators swapped": swapped,
    "another letter": another_letter,
    "an index captured": captured,
}


def letters_of(derivation, claim):
    """What may be put in a symbol's place: what the vocabulary and the instance know, and what the claim has itself."""
    vocabulary = derivation.vocabulary_of(claim)
    known = set() if vocabulary is None else {*vocabulary.letters, *vocabulary.scalars}
    instance = derivation._numbers[-1]
    known = {x for x in known if x in instance.values}
    return sorted(known | {x for side in (claim.left, claim.right) for x in sympy.sympify(side).free_symbols}, key=str)


def statements(seed):
    """Endless: (derivation, place of the claim, the claim with a mistake, what the mistake is), true ones among them."""
    rng = np.random.default_rng(seed)
    every = [derivations.get(name) for name in derivations.names()]
    places = [(d, i) for d in every for i, c in enumerate(d.claims) if not (c.method or d.method).inequality]
    letters = {}
    while True:
        derivation, i = places[int(rng.integers(len(places)))]
        claim = derivation.claims[i]
        side = "left" if rng.random() < 0.5 else "right"
        whole = sympy.sympify(getattr(claim, side))
        spots = list(positions(whole)) if not isinstance(whole, sympy.MatrixBase) else []
        name = list(MISTAKES)[int(rng.integers(len(MISTAKES)))]
        if (derivation.name, i) not in letters:
            letters[derivation.name, i] = letters_of(derivation, claim)
        changed = None
        for spot in rng.permutation(len(spots))[:12]:
            path, node = spots[spot]
            try:
                wrong = MISTAKES[name](rng, node, letters[derivation.name, i])
                changed = None if wrong is None else put(whole, path, wrong)
            except (TypeError, ValueError, AttributeError):  # SymPy refuses to build it: no statement at all
                continue
            if changed is not None:
                break
        if changed is not None and changed != whole:
            yield derivation, i, dataclasses.replace(claim, **{side: changed}), name


def falsehood(derivation, claim):
    """By how much the claim is off in numbers, at least, on two instances; infinite where its sides do not even fit."""
    rng, off = np.random.default_rng(1), np.inf
    free = {x for side in (claim.left, claim.right) for x in sympy.sympify(side).free_symbols if x.is_integer}
    for number in (1, 2):
        instance = derivation.instance(rng)
        indices = {x: number for x in free if x not in instance.values}
        try:
            off = min(
                off,
                defect(claim.left, claim.right, dataclasses.replace(instance, values={**indices, **instance.values})),
            )
        except ValueError:  # shapes that do not fit: it means nothing, and must not be proved
            continue
    return off
