"""One line for other people's test suites: a hypergradient, a follower's answer, an estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import FollowerMismatch
from boltzgrad.testing.check import HypergradientCheck
from boltzgrad.testing.comparison import check_hypergradient
from boltzgrad.testing.follower import check_follower
from boltzgrad.verify import EstimatorCheck, check_estimator


def assert_hypergradient(
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
    """Raise GradientMismatch unless `candidate`, a gradient (d,) or a function θ -> gradient, is the hypergradient.

    The arguments are those of `check_hypergradient`, whose record is returned; with a `follower` the candidate has to be
    what the right formula makes of that one.  The message says which coordinate, how far,
    what was allowed, what the other routes say, and which known mistake it looks like.

    Raises: GradientMismatch; InvalidCandidate, NotDeterministic; what `check_hypergradient` raises.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("random-lqr")
    >>> theta = problem.initial_theta(seed=0)
    >>> bg.testing.assert_hypergradient(lambda theta: bg.hypergradient(problem, theta).gradient, problem, theta).ok
    True
    """
    __tracebackhide__ = True
    check = check_hypergradient(
        candidate,
        problem,
        theta,
        tolerance=tolerance,
        thorough=thorough,
        reference=reference,
        feed=feed,
        follower=follower,
    )
    check.raise_if_wrong()
    return check


def assert_follower(
    candidate: Mapping[str, Any] | Callable[[Array], Mapping[str, Any]],
    problem: Any,
    theta: Any,
    *,
    tolerance: float | None = None,
    context: int = 0,
) -> None:
    """Raise FollowerMismatch unless `candidate` is the follower's answer at `theta`.

    `candidate` maps any of these names to arrays, or is a function θ -> such a mapping:

    - tabular: `V` (S,), `Q` (S, A), `policy` (S, A), of the model with index `context`;
    - a game whose follower sees the leader's action: `V` (S, A), `Q` (S, A, B), `policy` (S, A, B), `U` (S,);
    - one that does not: `V` (S,), `Q` (S, B), `policy` (S, B), on rewards and kernel averaged over the leader's action;
    - linear-quadratic: the cost matrix `P` (n, n), the gain `K` (m, n), the policy's `covariance` (m, m), and `K_w` (m, n).

    `tolerance` is relative to the largest entry (policies: absolute); half of the digits of float64 without it.
    Source: BC-HG (1), (22), (33)–(38), Props 1 and 2.
    Raises: FollowerMismatch with the entry, the difference and what it looks like; InvalidCandidate; InvalidOption.

    >>> import numpy as np
    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> theta = problem.initial_theta(seed=0)
    >>> follower = bg.hypergradient(problem, theta).follower
    >>> bg.testing.assert_follower({"V": follower.value, "policy": follower.policy}, problem, theta)
    """
    __tracebackhide__ = True
    complaint = check_follower(candidate, problem, theta, tolerance=tolerance, context=context)
    if complaint:
        raise FollowerMismatch(complaint)


def assert_unbiased(
    estimator: Any,
    problem: Any,
    theta: Any,
    *,
    n_batches: int = 200,
    seed: int = 0,
    level: float = 0.01,
    power: float = 0.9,
    resolution: float = 0.1,
    sequential: bool = True,
    max_batches: int | None = None,
) -> EstimatorCheck:
    """Raise BiasedEstimator unless an estimator's mean is the exact hypergradient, as far as batches can tell.

    The arguments are those of `boltzgrad.check_estimator`, whose record is returned; by default batches are doubled until
    the answer is in.  Raises: BiasedEstimator, also where `max_batches` are too few to tell; what `check_estimator` raises.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> theta = problem.initial_theta(seed=1)
    >>> exact = bg.hypergradient(problem, theta).gradient
    >>> check = bg.testing.assert_unbiased(lambda p, t, rng: exact + 0.01 * rng.standard_normal(100), problem, theta)
    >>> str(check.verdict)
    'unbiased'
    """
    __tracebackhide__ = True
    check = check_estimator(
        estimator,
        problem,
        theta,
        n_batches=n_batches,
        seed=seed,
        level=level,
        power=power,
        resolution=resolution,
        sequential=sequential,
        max_batches=max_batches,
    )
    check.raise_if_biased()
    return check
