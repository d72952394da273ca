"""Ways of arguing that come again and again, as claims."""

from __future__ import annotations

from typing import Any

from boltzgrad.derivations.derivation import Claim
from boltzgrad.derivations.kit.methods import Method, Transitive
from boltzgrad.derivations.kit.vocabulary import Rule


def chain(start: Any, *links: tuple[Any, ...]) -> tuple[Claim, ...]:
    """Claims start = e₁, e₁ = e₂, …; a link is (expression, because, label) and, as needed, rules and a method."""
    claims, left = [], start
    for right, because, label, *rest in links:
        rules = next((x for x in rest if isinstance(x, tuple)), ())
        method = next((x for x in rest if isinstance(x, Method)), None)
        claims.append(Claim(left, right, because, label, rules, method))
        left = right
    return tuple(claims)


def concluded(claims: tuple[Claim, ...], because: str, label: str) -> Claim:
    """First left = last right, along a chain."""
    return Claim(claims[0].left, claims[-1].right, because, label, tuple(c.rule() for c in claims), Transitive())


def solved(
    unknown: Any, resolvent: Any, step: Any, source: Any, because: str, label: str, using: tuple[Rule, ...]
) -> tuple[Claim, Claim, Claim]:
    """Claims that solve u = source + step·u: u is resolvent·source, since resolvent·(1 − step) = 1."""
    multiplied = resolvent * (1 - step) * unknown
    back = Claim(unknown, multiplied, "the resolvent undoes 1 − γΠP", f"{label}, multiplied out")
    inserted = Claim(multiplied, resolvent * source, because, f"{label}, inserted", using)
    return back, inserted, concluded((back, inserted), "the linear equation has one solution", label)
