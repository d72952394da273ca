r"""The follower's answer: V = TV by Newton (soft policy iteration) or by soft value iteration.

Newton's method on V = TV,  V ← V + (I − γ P_{π_V})⁻¹ (TV − V),  *is* soft policy iteration; T is convex and
monotone, so from any start the iterates rise to V* after one step, quadratically.  When Newton's steps fall
below τ the last factorisation is kept and only refined against.  At the end V is refined once more with its
residual in extended precision, because at small τ the policy sees errors of V magnified by 1/τ.

**Bounds.**  ‖V − V*‖_∞ ≤ ‖TV − V‖_∞ / (1 − γ)  (T is a γ-contraction); where episodes end, the expected number of remaining
steps takes the place of 1/(1 − γ) (`solvers/enclosing.py`).  For the span, with sp(TV − TV') ≤ β sp(V − V'):
sp(V − V*) ≤ sp(TV − V) + β sp(V − V*), so sp(V − V*) ≤ sp(TV − V)/(1 − β), and never more than twice the sup bound.
Source: BC-HG (22), SoBiRL Prop 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BoltzgradError, InvalidModel, InvalidOption, NotConverged
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.solvers.aggregated import smaller
from boltzgrad.solvers.enclosing import enclose_value
from boltzgrad.solvers.linear import LinearSystem, choose, compiled_factors
from boltzgrad.solvers.soft_bellman import (
    EXTENDED_EPS,
    Backup,
    Soften,
    backup,
    backup_extended,
    boltzmann,
    residual_rounding,
    span,
    span_contraction,
)

EPS = float(np.finfo(float).eps)
_FLOOR = 8.0  # a residual below so many roundings of |r| + |V| is as good as float64 gets
_SWEEPS = 60  # backups before early Newton steps where factorising is costly; measured on grids of 10⁵ states
_MOST_LOOSE = 60  # Newton steps that are solved loosely; on grids of 10⁶ states they are twenty
_SWEEPS_COMPILED = 3  # and where an incomplete factorisation costs no more than these
_NO_STEP = 0.05  # of τ: a fixed point that is none leaves Newton steps of about τ, however small its residual
_AGGREGATED_FROM = 20_000
_REUSE = 0.05  # Newton steps below this fraction of τ move the policy too little to factorise again


@dataclass(frozen=True, eq=False)
class FollowerSolution:
    """The follower's soft-optimal answer with what is known about its accuracy.

    `value` (S,), `q` (S, A), `policy` (S, A).  `residual` is ‖TV − V‖_∞ (evaluated in extended precision
    after Newton), `gap` TV − V itself.  `sup_bound` ≥ ‖V − V*‖_∞ and `span_bound` ≥ sp(V − V*), both proved from the residual
    when they are asked for, allow for the rounding of its evaluation.  `extended` is V in extended precision.
    """

    value: Array
    q: Array
    policy: Array
    residual: float
    iterations: int
    factorisations: int
    method: str
    extended: Array
    system: LinearSystem
    model: TabularModel
    gap: Array
    eps: float

    @cached_property
    def gap_rounding(self) -> Array:
        """How far each entry of the computed `gap` TV − V (S,) can be from the exact one, at `extended` V."""
        return residual_rounding(self.model, self.value, self.q, self.policy, self.eps)

    @cached_property
    def sup_bound(self) -> float:
        """A proved bound on ‖V − V*‖_∞, for the model's arrays as they are."""
        gamma, tau = self.model.follower_discount, self.model.temperature
        most = enclose_value(
            self.system,
            np.abs(self.gap) + self.gap_rounding,
            lambda r: float(np.expm1(min(2.0 * gamma * r / tau, 700.0))),
        )
        return float(most.max()) + self._stored

    @cached_property
    def span_bound(self) -> float:
        """A proved bound on max (V − V*) − min (V − V*)."""
        model = self.model
        if model.follower_kernel.row_sums.min() < 1.0 - 1e-12:  # constants are visible where episodes end
            return 2.0 * self.sup_bound
        by_span = (span(self.gap) + 2.0 * float(self.gap_rounding.max())) / (1.0 - span_contraction(model))
        return min(by_span + 2.0 * self._stored, 2.0 * self.sup_bound)

    @property
    def _stored(self) -> float:
        """`value` is V rounded to float64."""
        return EPS * float(np.abs(self.value).max(initial=0.0))

    def __repr__(self) -> str:
        return f"<FollowerSolution {self.value.size} states, {self.describe()}>"

    def describe(self) -> str:
        """How it was solved, and how well, in words."""
        return (
            f"{self.method}{self.system.unusual}, {self.iterations} iterations, residual {self.residual:.1e}, "
            f"‖V − V*‖ ≤ {self.sup_bound:.1e}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class FollowerAsGiven(FollowerSolution):
    """A solution in the units that its model was given in, `plain` being that of the plain form (`TabularModel.unit`).

    `value` is V_F and `q` is Q_F = r_F + γ_F P V_F, without τ log π⁰; bounds, residual and gap are V_F's.
    """

    plain: FollowerSolution

    @cached_property
    def gap_rounding(self) -> Array:
        """See `FollowerSolution`."""
        return np.asarray(self.model.unit * self.plain.gap_rounding)[: self.value.size]

    @cached_property
    def sup_bound(self) -> float:
        """See `FollowerSolution`."""
        return float(np.max(self.model.unit)) * self.plain.sup_bound

    @cached_property
    def span_bound(self) -> float:
        """See `FollowerSolution`."""
        if np.ndim(self.model.unit):  # a constant in the plain form is none in units that differ
            return 2.0 * self.sup_bound
        return float(self.model.unit) * self.plain.span_bound


def as_given(solution: FollowerSolution) -> FollowerSolution:
    """A solution of a model in plain form in the units, and for the states, that the model was given in."""
    model, unit = solution.model, solution.model.unit
    if np.all(unit == 1.0) and model.reference is None and model.given is None:
        return solution
    parts = {f.name: getattr(solution, f.name) for f in fields(FollowerSolution)}
    over_actions = unit[:, None] if np.ndim(unit) else unit
    q = over_actions * solution.q
    if model.reference is not None:
        q = q - over_actions * model.temperature * np.log(np.where(model.reference > 0.0, model.reference, 1.0))
    told = {"value": unit * solution.value, "q": q, "policy": solution.policy}
    told |= {"extended": unit * solution.extended, "gap": unit * solution.gap}
    if model.given is not None:  # whose states come first
        told = {name: x[: model.given.n_states] for name, x in told.items()}
    return FollowerAsGiven(**{**parts, **told, "residual": float(np.max(unit)) * solution.residual}, plain=solution)


def solve_follower(
    model: TabularModel,
    *,
    method: Literal["newton", "value-iteration"] = "newton",
    tolerance: float | None = None,
    warm_start: Array | None = None,
    max_iterations: int | None = None,
    soften: Soften = boltzmann,
) -> FollowerSolution:
    """The fixed point V = TV of a model, with bounds.

    `tolerance` is the residual ‖TV − V‖_∞ to reach; by default what float64 can reach, then one refinement in
    extended precision.  `warm_start` (S,) is a first guess of V.  `soften` replaces the soft maximum where a leader
    moves too (`solvers.game`); it must be convex, monotone and commute with constants, like the soft maximum.  Of a model with
    a reference, or a temperature that moves, it is that of the plain form; `as_given` has V_F and Q_F of what was given.

    Raises: NotConverged if the residual misses the tolerance; InvalidModel for a complex model; InvalidOption.

    >>> model = TabularModel(np.ones((1, 2, 1)), [1.0], [[0.0, 0.0]], [[0.0, 0.0]],
    ...                      follower_discount=0.5, leader_discount=0.5, temperature=1.0)
    >>> bool(np.isclose(solve_follower(model).value[0], 2 * np.log(2)))
    True
    """
    if model.is_complex:
        raise InvalidModel("the model is complex; solvers take real models only")
    v = np.zeros(model.n_states)
    if warm_start is None and method == "newton":
        v = _guess(model)
    if warm_start is not None:
        v = np.array(warm_start, dtype=float)
        if v.shape != (model.n_states,) or not np.all(np.isfinite(v)):
            raise InvalidOption(f"warm_start has shape {v.shape}, expected {(model.n_states,)}, all finite")
    if tolerance is not None and not tolerance > 0.0:
        raise InvalidOption(f"tolerance is {tolerance!r}; expected a positive number")
    if method == "newton":
        try:
            return _newton_by_any(model, v, tolerance, max_iterations or 500, soften)
        except NotConverged as error:
            if _may_wander(model):
                raise InvalidModel(f"{_infinite(model)} ({error})") from None
            raise
    if method == "value-iteration":
        return _value_iteration(model, v, tolerance, max_iterations, soften)
    raise InvalidOption(f"method is {method!r}; expected 'newton' or 'value-iteration'")


def _floor(model: TabularModel, v: Array) -> float:
    """The residual that rounding alone leaves in float64, in the state where it leaves most."""
    size = np.abs(model.follower_reward).max() + np.abs(v).max() + model.temperature * np.log(model.n_actions)
    return float(_FLOOR * EPS * max(size, np.finfo(float).tiny))


def _at_rest(model: TabularModel, v: Array, step: Backup) -> bool:
    """Whether the residual of every state is what rounding leaves in *that* state.

    A reward of 10¹⁵ on an action that nobody takes, or in a state that nobody visits, excuses nothing elsewhere.
    """
    sizes = np.abs(model.follower_reward) + model.follower_discount * model.follower_kernel.expect(np.abs(v))
    size = (step.policy * sizes).sum(axis=1) + np.abs(v) + model.temperature * np.log(model.n_actions)
    return bool(np.all(np.abs(step.value - v) <= _FLOOR * EPS * np.maximum(size, np.finfo(float).tiny)))


def _newton_by_any(
    model: TabularModel, v: Array, tolerance: float | None, max_iterations: int, soften: Soften
) -> FollowerSolution:
    """Newton with steps by compiled loops, solved loosely; where that does not come to rest, with exact ones."""
    if not compiled_factors(model.follower_kernel) or choose(model.follower_kernel) == "dense":
        return _newton(model, v, tolerance, max_iterations, soften)
    try:
        return _newton(model, v, tolerance, min(max_iterations, _MOST_LOOSE), soften)
    except NotConverged:
        return _newton(model, v, tolerance, max_iterations, soften, given_up=("Newton by compiled loops",))


def _newton(
    model: TabularModel,
    v: Array,
    tolerance: float | None,
    max_iterations: int,
    soften: Soften,
    given_up: tuple[str, ...] = (),
) -> FollowerSolution:
    gamma, tau = model.follower_discount, model.temperature
    system: LinearSystem | None = None
    factorisations, moved, best, stalled = 0, np.inf, np.inf, 0
    sweeps = _sweeps(model, bool(given_up))
    loose = sweeps == _SWEEPS_COMPILED
    for iteration in range(max_iterations + 1):
        step = backup(model, v, soften)
        if sweeps and float(np.abs(step.value - v).max()) > tau:
            # Backups carry news one step further each, at a fraction of the cost of a factorisation.
            for _ in range(sweeps):
                v, step = step.value, backup(model, step.value, soften)
        gap = step.value - v
        size = float(np.abs(gap).max())
        goal = tolerance if tolerance is not None else _floor(model, v)
        stalled = stalled + 1 if size > 0.5 * best else 0
        best = min(best, size)
        done = size <= goal and (tolerance is not None or stalled >= 3 or _at_rest(model, v, step))
        if done or (stalled >= 3 and size <= 100 * _floor(model, v)) or iteration == max_iterations:
            break
        near = system if moved <= _REUSE * tau else None
        system = LinearSystem(model.follower_kernel, step.policy, gamma, reuse=near, given_up=given_up)
        # A Krylov solve need not be better than Newton's own error in this step.
        correction = system.solve(gap, rtol=min(0.1 if loose else 1e-2, max(size / tau, 1e-8))).x
        factorisations += system.factorisations
        moved = float(np.abs(correction).max())
        v = v + correction
    if tolerance is None and size > 100 * goal:
        raise _missed(model, "Newton", size, goal, iteration)
    if tolerance is not None and size > tolerance:
        raise _missed(model, "Newton", size, tolerance, iteration)
    policy_system = LinearSystem(
        model.follower_kernel,
        step.policy,
        gamma,
        reuse=system if moved <= _REUSE * tau else None,
        given_up=given_up,
    )
    if _may_wander(model) and not float(np.abs(policy_system.solve(gap).x).max()) <= _NO_STEP * tau:
        raise InvalidModel(_infinite(model))
    extended = v.astype(np.longdouble)
    last, residual = backup_extended(model, extended, soften), 0.0
    gap = last.value - extended
    residual = float(np.abs(gap).max())
    if tolerance is None:
        refined = extended + policy_system.solve(gap.astype(float), rtol=1e-6).x  # a correction of the last digits
        polished = backup_extended(model, refined, soften)
        polished_residual = float(np.abs(polished.value - refined).max())
        if polished_residual < residual:
            extended, last, residual = refined, polished, polished_residual
    # Values so large that their rounding leaves the policy open are no fixed point either, however small beside them.
    if _may_wander(model) and not max(residual / _NO_STEP, EPS * float(np.abs(v).max())) <= tau:
        raise InvalidModel(_infinite(model))
    factorisations += policy_system.factorisations
    return solution_of(model, extended, last, iteration, factorisations, "Newton", policy_system, EXTENDED_EPS)


def _guess(model: TabularModel) -> Array:
    """A first guess of V*: zero, or on a large local graph that of neighbouring states taken together."""
    kernel = model.follower_kernel
    if (
        model.n_states < _AGGREGATED_FROM
        or not compiled_factors(kernel)
        or choose(kernel) != "sparse"
        or model.weighted
    ):
        return np.zeros(model.n_states)
    coarse, which = smaller(model)
    try:
        return np.asarray(solve_follower(coarse, tolerance=0.1 * model.temperature).value[which])
    except BoltzgradError:  # averages may wander where the model does not; it is a guess, and nothing rests on it
        return np.zeros(model.n_states)


def _sweeps(model: TabularModel, plain: bool) -> int:
    """How many backups to make before an early Newton step."""
    if choose(model.follower_kernel) != "sparse":
        return 0
    return _SWEEPS if plain or not compiled_factors(model.follower_kernel) else _SWEEPS_COMPILED


def _value_iteration(
    model: TabularModel, v: Array, tolerance: float | None, max_iterations: int | None, soften: Soften
) -> FollowerSolution:
    gamma = model.follower_discount
    step = backup(model, v, soften)
    first = float(np.abs(step.value - v).max())
    if max_iterations is None:
        decay = -np.log(min(max(gamma, 0.5), 1.0 - 1e-6))
        max_iterations = 1000 + int(np.ceil((np.log(max(first, 1e-300) / EPS) + 40.0) / decay))
    size = first
    for iteration in range(1, max_iterations + 1):  # noqa: B007 - reported below
        goal = tolerance if tolerance is not None else _floor(model, v)
        if size <= goal:
            break
        v = step.value
        step = backup(model, v, soften)
        size = float(np.abs(step.value - v).max())
    if size > goal:
        raise _missed(model, "value iteration", size, goal, iteration)
    system = LinearSystem(model.follower_kernel, step.policy, gamma)
    return solution_of(model, v.astype(np.longdouble), step, iteration, 0, "value iteration", system, EPS)


def solution_of(
    model: TabularModel,
    v: Array,
    last: Backup,
    iterations: int,
    factorisations: int,
    method: str,
    system: LinearSystem,
    eps: float,
    policy: Array | None = None,
) -> FollowerSolution:
    """What is known of values V (S,) from their own backup; `policy` (S, A) is theirs unless another one is given."""
    gap = (last.value - v).astype(float)
    return FollowerSolution(
        value=v.astype(float),
        q=last.q.astype(float),
        policy=last.policy.astype(float) if policy is None else policy,
        residual=float(np.abs(gap).max()),
        iterations=iterations,
        factorisations=factorisations,
        method=method,
        extended=v,
        system=system,
        model=model,
        gap=gap,
        eps=eps,
    )


def _may_wander(model: TabularModel) -> bool:
    """Whether some step neither is discounted nor may end the episode."""
    return model.follower_discount == 1.0 and bool(model.follower_kernel.row_sums.max() >= 1.0 - 1e-12)


def _infinite(model: TabularModel) -> str:
    return (
        f"the follower's value is infinite, or too large for float64: undiscounted, at temperature {model.temperature:g}, "
        "wandering on pays more than it costs (up to τ log A a step), so that no end is worth its while; lower the "
        "temperature, let steps cost more, or give a discount below 1"
    )


def _missed(model: TabularModel, method: str, size: float, goal: float, iterations: int) -> NotConverged:
    return NotConverged(
        f"the follower's soft Bellman equation ({model.n_states} states, discount {model.follower_discount}, "
        f"temperature {model.temperature:g}): {method} left a residual of {size:.3g} after {iterations} "
        f"iterations, asked for {goal:.3g}; try a larger tolerance or max_iterations, a higher temperature, or a "
        "warm_start from one"
    )
