r"""A sharp first-order estimate of what float64 leaves in a hypergradient of this problem.

The proved bound adds worst cases up; this measures, entry by entry.  Every entry of the model is moved by a random
relative rounding (two
units in the last place, about what computing it costs), the rewards besides by that much of |Q|, which is what a
float64 backup rounds, and the Benefit by that much of |Q_L|, which is what Q_L − V_L leaves; everything is solved again
from the old solution, and the change of the gradient is what such roundings do.  Any backward stable float64 route to the
same gradient carries an error of about this size, the reference and its witnesses alike.  A handful of random roundings may
happen to leave one entry of the gradient alone; so the scatter of each cotangent is also pulled back on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.tabular.adjoint import ContextSolution, adjoin, assemble, evaluate
from boltzgrad.families.tabular.build_rounding import Again, build_rounding, solved_again
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP, LinearisedBuild
from boltzgrad.solvers.follower import FollowerSolution, solve_follower
from boltzgrad.solvers.leader import LeaderSolution

EPS = float(np.finfo(float).eps)
ULPS = 2.0
PROBES = 4
# Scatter pulled back entry by entry forgets what cancels (a constant in V): it is a floor, this many times lower.
UNCORRELATED = 8.0
SEED = 20_260_101  # the probe is part of the definition of the estimate, so it is fixed
_LARGE = 200_000  # entries of a reward above which two probes have to do


def nudge(x: Array, rng: np.random.Generator) -> Array:
    """Perturb each entry of x by ±2 units in the last place."""
    return np.asarray(x * (1.0 + ULPS * EPS * rng.choice((-1.0, 1.0), size=x.shape)))


def nudged_model(
    model: TabularModel, follower: FollowerSolution, leader: LeaderSolution | None, rng: np.random.Generator
) -> TabularModel:
    """The model after one random rounding of its entries and of the Q's that are computed from them."""
    arrays = model.arrays().map(lambda x: nudge(x, rng))
    arrays = replace(arrays, follower_reward=arrays.follower_reward + noise(follower.q, rng))
    if leader is not None:
        arrays = replace(arrays, leader_reward=arrays.leader_reward + noise(leader.q, rng))
    return model.with_arrays(arrays)


def probes(model: TabularModel) -> int:
    """How many probes a model of this size gets."""
    return PROBES if model.follower_reward.size <= _LARGE else 2


def noise(size: Array, rng: np.random.Generator) -> Array:
    """Random roundings of numbers of these sizes."""
    return np.asarray(ULPS * EPS * np.abs(size) * rng.choice((-1.0, 1.0), size=size.shape))


def _solve_rounded(
    model: TabularModel, problem: ConfigurableMDP, theta: Array, old: ContextSolution, rng: np.random.Generator
) -> ContextSolution:
    """Solve again, with the Benefit as Q_L − V_L leaves it in float64: off by roundings of Q_L, which do not cancel."""
    follower = solve_follower(model, warm_start=old.follower.value)
    forward = evaluate(model, problem, theta, follower)
    size = forward.leader.q if forward.leader is not None else forward.policy_gradient
    assert size is not None
    if forward.leader is None and model.n_actions == 1:
        size = np.zeros_like(size)  # q − Σ π q is exactly zero
    return adjoin(model, follower, forward, rounding=noise(size, rng))


def rounding_estimates(
    problem: ConfigurableMDP,
    theta: Array,
    linearised: LinearisedBuild,
    solutions: tuple[ContextSolution, ...],
    gradient: Array,
) -> Array:
    """What random roundings of the model's entries, and of the build's own derivative, do to each entry of the
    gradient (d,).
    """
    weights = linearised.model.probabilities
    _, exact, _ = assemble(problem, theta, weights, solutions)

    def probe(rng: np.random.Generator) -> tuple[ContextualArrays, Array]:
        models = [nudged_model(s.model, s.follower, s.leader, rng) for s in solutions]
        nudged = tuple(
            _solve_rounded(model, problem, theta, old, rng) for model, old in zip(models, solutions, strict=True)
        )
        return assemble(problem, theta, weights, nudged)[1:]

    again, count = solved_again(theta, linearised, solutions), min(probes(m) for m in linearised.model.models)
    return scatter_of(problem, theta, linearised, exact, gradient, probe, again, count)


def scatter_of(
    problem: ConfigurableMDP,
    theta: Array,
    linearised: LinearisedBuild,
    exact: ContextualArrays,
    gradient: Array,
    probe: Callable[[np.random.Generator], tuple[ContextualArrays, Array]],
    again: Again,
    count: int,
) -> Array:
    """The largest change (d,) of the gradient in `count` probes, at least what the scatter of each cotangent makes by itself,
    and what the build's own rounding does.  `probe(rng)` is (cotangent, the part that does not go through arrays).
    """
    rng = np.random.default_rng(SEED)
    largest, squares = np.zeros(problem.dim), [np.zeros(np.shape(x)) for x in exact.parts()]
    for _ in range(count):
        cotangent, outside = probe(rng)
        largest = np.maximum(largest, np.abs(linearised.pullback(cotangent) + outside - gradient))
        for square, x, y in zip(squares, cotangent.parts(), exact.parts(), strict=True):
            square += (x - y) ** 2
    spread = tuple(np.sqrt(square / count) for square in squares)
    through = problem.array_map(theta, linearised).root_sum_squares(spread)
    own = build_rounding(problem, theta, linearised, exact, gradient, again, count)
    return np.maximum(largest, through / UNCORRELATED) + own + EPS * np.abs(gradient)
