"""`check_hypergradient`: a gradient computed elsewhere held against the reference hypergradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import InvalidOption, NotDeterministic
from boltzgrad.families.registry import hypergradient
from boltzgrad.followers import ApproximateFollower, approximate
from boltzgrad.testing.candidate import Candidate, read_candidate, read_theta, relative_tolerance
from boltzgrad.testing.check import HypergradientCheck
from boltzgrad.testing.trained import TrainedCheck
from boltzgrad.testing.wording import named


def check_hypergradient(
    candidate: Any,
    problem: Any,
    theta: Any,
    *,
    tolerance: float | None = None,
    thorough: bool = False,
    reference: Hypergradient | None = None,
    feed: Callable[[Array], Any] | None = None,
    follower: Any = None,
) -> HypergradientCheck:
    """Hold a gradient against the reference hypergradient of `problem` at `theta`.

    `candidate` is a gradient (d,), or a function θ -> gradient; NumPy, JAX and PyTorch arrays will do, in float64 or float32.
    A function gets a copy of θ (made into what it takes by `feed`) and is called twice.  Where the problem's θ is several
    arrays (`like`), a function gets such, and the gradient may be such; its leaves are held against the reference one by one.
    `tolerance` is the error that the candidate's own method leaves (a solver stopped early, a step size), in each entry
    relative to the terms that this entry is a sum of; without it half of float64's digits are allowed, as long as they hide no
    more than an eighth of the entry.  The rounding that this problem at this θ amplifies is measured and comes on top.
    `thorough` first has every witness confirm the reference.  `reference` is an earlier result of `bg.hypergradient` for the
    same problem and θ.

    `follower`, a policy as `bg.approximate` takes it or what that returned, is the one that the gradient was computed with,
    if that was not optimal: the gradient is then held against the right formula *under this follower*, and the record, a
    `TrainedCheck`, says how much of its difference from ∇J is the follower's.

    Raises: InvalidCandidate, NotDeterministic, InvalidTheta, InvalidOption, InvalidFollower, what the function raises, what
    `bg.hypergradient` raises; GradientMismatch if `thorough` and no witness confirms the reference.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> theta = problem.initial_theta(seed=1)
    >>> exact = bg.hypergradient(problem, theta).gradient
    >>> check = bg.testing.check_hypergradient(-exact, problem, theta)
    >>> check.ok, check.looks_like
    (False, ('‘−∇J: the gradient of a loss, or a step of descent’ (it matches yours to the last digit)',))
    """
    start = read_theta(problem, theta)
    tolerance = None if tolerance is None else relative_tolerance(tolerance)
    if reference is None:
        reference = hypergradient(problem, start)
    elif not isinstance(reference, Hypergradient):
        raise InvalidOption(f"reference is a {type(reference).__name__}; expected a result of bg.hypergradient")
    elif reference.problem is not problem or not np.array_equal(reference.theta, start):
        raise InvalidOption("reference is a hypergradient of another problem or theta than those of this check")
    trained = None if follower is None else _trained(follower, problem, start, reference)
    found = read_candidate(candidate, start, feed=feed, tree=problem.tree)
    parts = (reference, found.gradient, str(found.precision), tolerance, thorough)
    check = HypergradientCheck(*parts) if trained is None else TrainedCheck(*parts, follower=trained)
    _refuse_random(found, check)
    if thorough and check.model.ok:
        check.report.raise_if_disagree()
    return check


def _trained(follower: Any, problem: Any, theta: Array, reference: Hypergradient) -> ApproximateFollower:
    """The follower that a gradient was computed with.  Raises: InvalidFollower, InvalidOption."""
    if not isinstance(follower, ApproximateFollower):
        return approximate(problem, theta, policy=follower, reference=reference)
    if follower.problem is not problem or not np.array_equal(follower.theta, theta):
        raise InvalidOption("follower is one of another problem or theta than those of this check")
    return follower


def _refuse_random(found: Candidate, check: HypergradientCheck) -> None:
    if found.again is None:
        return
    off = np.abs(found.again - found.gradient)
    with np.errstate(divide="ignore", invalid="ignore"):
        strain = np.where(off == 0.0, 0.0, off / check.allowances)
    j = int(np.argmax(strain))
    if not strain[j] <= 1.0:
        share = off[j] / max(abs(found.gradient[j]), abs(found.again[j]))
        raise NotDeterministic(
            f"your function returned two gradients for one theta: coordinate {named(check, j)} was {found.gradient[j]:.6g} "
            f"and, called again, {found.again[j]:.6g} (relatively {share:.1g}). If it draws samples, hold their "
            "mean against the exact gradient: bg.testing.assert_unbiased(estimator, problem, theta). If it keeps state "
            "between calls (a warm start), give it a fixed tolerance or a fresh start"
        )
