"""The hypergradient identities of the papers, stated, proved step by step, checked in numbers, told from their mutants.

    >>> from boltzgrad import derivations
    >>> identity = derivations.get("boltzmann-covariance")
    >>> identity.prove().proved
    True

This room stands alone: SymPy proves, NumPy evaluates, nothing else of the library is used.
"""

from __future__ import annotations

from boltzgrad.derivations import (
    conic,
    covariance,
    error_bound,
    finite_horizon,
    gaussian,
    general_followers,
    hpgd,
    hpgd_bias,
    lqr,
    markov_game,
    policy_hessian,
    sensitivities,
    sobirl,
    soft_bellman,
    theorem_1,
    trained_followers,
    variance_reduction,
    zoo_matrices,
)
from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.results import Check, Proof
from boltzgrad.errors import unknown

# In the order of a course: the follower, its answer, the leader, the papers side by side, games, LQR, other followers, …
TOPICS = {
    "soft-bellman": soft_bellman.DERIVATIONS,
    "sensitivities": sensitivities.DERIVATIONS,
    "covariance": covariance.DERIVATIONS,
    "theorem-1": theorem_1.DERIVATIONS,
    "hpgd": hpgd.DERIVATIONS,
    "sobirl": sobirl.DERIVATIONS,
    "markov-games": markov_game.DERIVATIONS,
    "lqr": (*lqr.DERIVATIONS, *gaussian.DERIVATIONS, *zoo_matrices.DERIVATIONS),
    "general-followers": (
        *general_followers.DERIVATIONS,
        *finite_horizon.DERIVATIONS,
        *policy_hessian.DERIVATIONS,
    ),
    "trained-followers": (*trained_followers.DERIVATIONS, *hpgd_bias.DERIVATIONS),
    "conic": conic.DERIVATIONS,
    "new": (*variance_reduction.DERIVATIONS, *error_bound.DERIVATIONS),
}
_BY_NAME = {derivation.name: derivation for topic in TOPICS.values() for derivation in topic}


def names(topic: str | None = None) -> tuple[str, ...]:
    """The names of all derivations, or of one topic's, in the order of a course.

    >>> names("conic")
    ('cone-program-optimum', 'cone-dual-is-occupancy', 'riccati-program-dual')
    """
    if topic is None:
        return tuple(_BY_NAME)
    if topic not in TOPICS:
        raise unknown("topic", topic, TOPICS)
    return tuple(derivation.name for derivation in TOPICS[topic])


def get(name: str) -> Derivation:
    """A derivation by name.  Raises UnknownName, with the nearest names."""
    if name not in _BY_NAME:
        raise unknown("derivation", name, _BY_NAME)
    return _BY_NAME[name]


def equations() -> dict[str, tuple[str, ...]]:
    """Every equation, theorem and proposition settled, with the derivations that settle it."""
    out: dict[str, list[str]] = {}
    for derivation in _BY_NAME.values():
        for equation in derivation.equations:
            out.setdefault(equation, []).append(derivation.name)
    return {equation: tuple(who) for equation, who in out.items()}


__all__ = ["TOPICS", "Check", "Claim", "Derivation", "Mutant", "Proof", "equations", "get", "names"]
