r"""The penalty route: the follower's envelope theorem alone, differentiated once more along what the leader wants.

The follower's optimum V*(μ) has the occupancy x = ∂V*(μ)/∂r_F for its gradient.  Perturb its reward by ε c, where under the
follower's present policy an action has the worth q(s,a) = (∂f/∂π(s,a) − b(s))/d(s) for the perturbation:

    c(s,a) = q(s,a) − γ_F Σ p(s'|s,a) Σ_b π(b|s') q(s',b),    d = visits from μ,

b any function of the state.  Then ∂J/∂r_F = dx/dε at ε = 0, by the symmetry of the second derivative of V*; a complex step
in ε is exact.  It is the limit λ → ∞ of the value-penalty method (ε = 1/λ; with one discount and kernel, c is r_L up to a
potential).  No adjoint, no covariance, no ∇Q_F.  Source: PBRL (Shen, Yang, Chen 2024), in the limit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.core.sweep import COMPLEX_STEP, DENSE_STATES, EPS, MAX_SWEEPS, sweep
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sweeps import (
    affordable,
    evaluation_work,
    leader_values,
    matrix_of,
    paid,
    planned,
    soft_backup,
    soft_values,
    state_kernel,
    visits,
)
from boltzgrad.witnesses.differences import too_many_sweeps

_PROBES, _SEED = 4, 20_261_128
"""How often c is rounded at random, to see what that does: c cancels where the leader's wish is a potential.

Four, and the root of the sum of their squares: among thousands of entries one that all of them hardly move is certain to be
found with two (a sixteenth of the spread: one entry in 500), and not with four (one in 500,000).
"""


def _outer(matrix: Any, x: Array, v: Array) -> Array:
    """x(s,a) v(s') for every entry of a kernel's values."""
    if isinstance(matrix, np.ndarray):
        return np.asarray(x[:, :, None] * v)
    return np.asarray(np.repeat(x.ravel(), np.diff(matrix.indptr)) * v[matrix.indices])


def _positive(x: Array, policy: Array) -> Array:
    """A constant added, so that what the perturbation is worth in a state does not cancel and comes to rest."""
    return np.asarray(x + 2.0 * (policy * np.abs(x)).sum(axis=1).max())


def _sensitivity(
    m: TabularModel, c: Array, start: Array, begin: Array, slip: Array | float = 0.0
) -> tuple[Array, Array, float, Array]:
    """(dx/dε (S, A), what one more sweep of everything makes of it, steps that remain, V*) for the reward r_F + ε c.

    `slip` is added to dπ/dε, for what its rounding does.

    The policy's derivative is a complex step through the soft fixed point; ε tilts it by about 10⁻³⁰, however large c is.
    Occupancy and its derivative are brought to rest together, so that a derivative that is zero rests beside the other.
    """
    plan, gamma, S, largest = planned(m), m.follower_discount, m.n_states, float(np.abs(c).max())
    step = COMPLEX_STEP * m.temperature / largest if largest else COMPLEX_STEP
    perturbed = replace(m, follower_reward=m.follower_reward + 1j * step * c)
    values = soft_values(perturbed, start).x
    found: list[Array] = []
    both = np.concatenate([begin, np.zeros(S)])
    for _ in range(2):
        values, tilted = soft_backup(perturbed, plan, values)
        policy, tilt = tilted.real, tilted.imag / COMPLEX_STEP + slip * (step / COMPLEX_STEP)

        def onward(x: Array, policy: Array = policy, tilt: Array = tilt) -> Array:
            d, e = x[:S, None], x[S:, None]
            return np.concatenate(
                [begin + gamma * (plan.T @ (d * policy).ravel()), gamma * (plan.T @ (d * tilt + e * policy).ravel())]
            )

        def jacobian(x: Array, policy: Array = policy, tilt: Array = tilt) -> Array:
            kernel, moved = (gamma * state_kernel(plan, y).T for y in (policy, tilt))
            return np.block([[kernel, np.zeros((S, S))], [moved, kernel]])

        most = affordable(m, gamma) if 2 * S <= DENSE_STATES else MAX_SWEEPS
        both = onward(both) if found else sweep(onward, both, max_sweeps=most, jacobian=jacobian).x
        found.append((both[:S, None] * tilt + both[S:, None] * policy) * COMPLEX_STEP / step)
    return found[0], found[1], float(both[:S].sum()), np.asarray(values.real)


def _size_of_tilt(m: TabularModel, policy: Array, size: Array) -> Array:
    """The terms (S, A) of dπ/dε, each compared with the likeliest action's, as a softmax computes it; `size` is |dQ/dε|."""
    likeliest = policy.argmax(axis=1)[:, None]
    over = size + np.take_along_axis(size, likeliest, axis=1)
    np.put_along_axis(over, likeliest, 0.0, axis=1)
    return np.asarray(policy * (over + (policy * over).sum(axis=1, keepdims=True)) / m.temperature)


def _context(
    problem: ConfigurableMDP, theta: Array, m: TabularModel
) -> tuple[float, list[TabularArrays], Array, float]:
    """(J, cotangents, ∂f/∂θ at fixed policy, the steps that remain) of one model.

    The first cotangent is what is found, the second what one more sweep makes of it, the others what roundings of c do.
    """
    plan, world, gamma = planned(m), matrix_of(m.transition), m.leader_discount
    v = soft_values(m).x
    policy = soft_backup(m, plan, v)[1]
    if isinstance(problem.objective, PolicyObjective):
        value = problem.objective.value(theta, policy)
        direct, slope = problem.objective.gradients(theta, policy)
        worth = _positive(slope, policy)
        start, taken = np.zeros(m.n_states), np.zeros_like(policy)
        moved = np.zeros_like(np.asarray(m.kernel.values, float))
    else:
        start, nu = leader_values(m, policy).x, visits(world, policy, m.initial, gamma).x
        taken, direct = nu[:, None] * policy, np.zeros(theta.size)
        value, moved = float(m.initial @ start), gamma * _outer(world, taken, start)
        q = paid(m, policy) + gamma * (world @ start).reshape(policy.shape)
        worth = nu[:, None] * _positive(q - start[:, None], policy)
    begin = 0.5 * m.initial + 0.5 / m.n_states
    crowd = visits(plan, policy, begin, m.follower_discount).x[:, None]
    q = worth / crowd
    ahead = m.follower_discount * (plan @ (policy * q).sum(axis=1)).reshape(policy.shape)
    c, size = q - ahead, np.abs(q) + np.abs(ahead)
    first, further, steps, rest = _sensitivity(m, c, v, begin)
    rng, found = np.random.default_rng(_SEED), [first, further]
    for _ in range(_PROBES):
        # c is of one policy and its derivative of another, whose V came to rest some roundings away.
        other = soft_backup(m, plan, v + (np.abs(rest - v) + 2.0 * EPS * np.abs(v)) * rng.choice((-1.0, 1.0), v.size))[
            1
        ]
        rounded = q - m.follower_discount * (plan @ (other * q).sum(axis=1)).reshape(policy.shape)
        rounded = rounded + 2.0 * EPS * size * rng.choice((-1.0, 1.0), size=c.shape)
        slip = 2.0 * EPS * _size_of_tilt(m, policy, size) * rng.choice((-1.0, 1.0), size=c.shape)
        found.append(_sensitivity(m, rounded, v, begin, slip)[0])
    out = []
    for x in found:
        own = m.follower_discount * _outer(plan, x, v)
        out.append(
            TabularArrays(moved if m.own_kernel else moved + own, start, x, taken, own if m.own_kernel else None)
        )
    return value, out, direct, steps


def run(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,).  Raises: Unfinished."""
    at = problem.linearise(theta)
    values, parts, beside, steps = [], [], np.zeros(problem.dim), 0.0
    for m, p in zip(at.model.models, at.model.probabilities, strict=True):
        value, cotangents, direct, remain = _context(problem, theta, m)
        values.append(value)
        parts.append([x.scaled(float(p)) for x in cotangents])
        beside += float(p) * direct
        steps = max(steps, remain)
    total = float(np.dot(at.model.probabilities, values))
    if problem.regulariser is not None:
        total += problem.regulariser.value(theta)
        beside += problem.regulariser.gradient_at(theta)
    gradient, *others = (
        at.pullback(ContextualArrays(tuple(x), np.array(values))) + beside for x in zip(*parts, strict=True)
    )
    further, *probes = (np.abs(other - gradient) for other in others)
    # What elimination leaves of an entry that is exactly zero is 10⁻⁶⁰ of the others and less, and no probe shows it.
    left = EPS**4 * float(np.abs(gradient).max())
    return RouteResult(total, gradient, steps * further + np.sqrt(np.sum(np.square(probes), axis=0)) + left)


def _work(reference: Any) -> float:
    return float(sum(12.0 * evaluation_work(s.model, reference.remaining_steps) for s in reference.contexts))


PENALTY = Route(
    "penalty",
    "the follower's envelope theorem, along the leader's wish (PBRL with λ → ∞)",
    run,
    lambda problem, theta: next(filter(None, map(too_many_sweeps, problem.contexts(theta).models)), ""),
    work=_work,
)
