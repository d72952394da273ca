r"""Cone programs whose dual variables are the adjoints: no differentiation code at all.

The follower's value solves an exponential-cone program (in D = (V − V̂)/τ around a centre V̂),

    minimise c·D  subject to  Σ_a exp((r + γ_F PV̂ − V̂)(s,a)/τ + γ_F (PD)(s,a) − D(s)) ≤ 1  for every s,

for any c > 0, and the optimal multipliers are y = (I − γ_F P_π)⁻ᵀ c: the discounted occupancy started
from c.  So one program gives V (and π), a linear program gives V_L with its dual ν, and the adjoint of the
signed load z = γ_F Σ p w is the difference of the duals of two programs, with c = z⁺ + δ and z⁻ + δ.
Interior-point solvers stop at six to nine digits; programs in what is left give more.

What the solver leaves is measured, not believed: the residuals TV − V, ρ − (I − γ_L P_π)ᵀν and z − (I − γ_F P_π)ᵀy are
computed, one correction is solved for, and the change that it makes is the route's error estimate.

Source: BC-HG (24) in adjoint form; SoBiRL Prop 4.1.  Needs the extra `conic` (cvxpy with Clarabel).
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.errors import MissingExtra, NotConverged
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sweeps import matrix_of, most_steps, paid, planned, soft_backup, state_kernel

STATE_LIMIT = 400
_ROUNDS = 4  # programs solved in a row, each in what the last one left
_LIFT = 1e-2  # a signed objective is a difference of two positive ones, each at least this much of its maximum
# Asked for in turn: what one tolerance breaks down on, the next often solves, and refinement recovers digits.
_TOLERANCES = (1e-11, 1e-9, 1e-7)


def _solve(program: Any, what: str) -> None:
    """Clarabel at falling ambition; "almost solved" is taken, and measured by the caller.  Raises: NotConverged."""
    import cvxpy as cp

    for tolerance in _TOLERANCES:
        options = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas", "tol_ktratio"), tolerance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "solution may be inaccurate": the caller computes the residuals
            try:
                program.solve(solver=cp.CLARABEL, max_iter=400, **options)
            except cp.error.SolverError:
                continue
        if program.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            return
    raise NotConverged(f"{what}: Clarabel gave no solution down to a tolerance of {_TOLERANCES[-1]:g}")


class SoftProgram:
    """The exponential-cone program of one model, in D = (V − V̂)/τ around a centre V̂; solved for several c.

    Centring changes nothing but the numbers that the solver sees: without it the exponents are of size
    |r|/τ, and at small τ the multipliers come back with few digits.
    """

    def __init__(self, model: TabularModel) -> None:
        import cvxpy as cp

        S, A = model.n_states, model.n_actions
        self._model, self._matrix = model, planned(model)
        self._c = cp.Parameter(S, nonneg=True)
        self._offset = [cp.Parameter(S) for _ in range(A)]
        self._d = cp.Variable(S)
        slack = [cp.Variable(S) for _ in range(A)]
        cones = [
            cp.ExpCone(
                self._offset[a] + model.follower_discount * (self._matrix[a::A] @ self._d) - self._d,
                np.ones(S),
                slack[a],
            )
            for a in range(A)
        ]
        self._sum = sum(slack) <= 1.0
        self._program = cp.Problem(cp.Minimize(self._c @ self._d), [*cones, self._sum])
        self.centre: Array = np.zeros(S)

    def solve(self, c: Array) -> tuple[Array, Array]:
        """(V, multipliers) for a positive objective c, seen from `centre`.  Raises: NotConverged."""
        model, scale = self._model, float(c.max())
        q = model.follower_reward + model.follower_discount * (self._matrix @ self.centre).reshape(
            model.follower_reward.shape
        )
        for a, parameter in enumerate(self._offset):
            parameter.value = (q[:, a] - self.centre) / model.temperature
        self._c.value = c / scale
        _solve(self._program, "soft Bellman cone program")
        v = self.centre + model.temperature * np.asarray(self._d.value)
        return v, scale * np.asarray(self._sum.dual_value)


class EvaluationProgram:
    """Max c·V s.t. V ≤ r + γ P_π V: a linear program for a policy's values, whose dual is the occupancy."""

    def __init__(self, kernel: Array, discount: float) -> None:
        import cvxpy as cp

        S = kernel.shape[0]
        self._matrix = np.eye(S) - discount * kernel
        self._v, self._reward, self._c = cp.Variable(S), cp.Parameter(S), cp.Parameter(S)
        self._rows = self._matrix @ self._v <= self._reward
        self._program = cp.Problem(cp.Maximize(self._c @ self._v), [self._rows])

    def solve(self, reward: Array, start: Array) -> tuple[Array, Array]:
        """(V, occupancy from `start`), each refined by programs in its own residual.  Raises: NotConverged."""
        S = start.size
        v, occupancy = np.zeros(S), np.zeros(S)
        for _ in range(_ROUNDS):
            gap, left = reward - self._matrix @ v, start - self._matrix.T @ occupancy
            size, weight = float(np.abs(gap).max()), float(np.abs(left).max())
            if size == 0.0 or weight == 0.0:
                break
            more, duals = [], []
            # The objective must be positive for the dual to exist: a signed start is a difference of two.
            for sign in (1.0, -1.0):
                self._reward.value, self._c.value = gap / size, np.maximum(sign * left / weight, 0.0) + _LIFT
                _solve(self._program, "policy evaluation program")
                more.append(size * np.asarray(self._v.value))
                duals.append(weight * np.asarray(self._rows.dual_value))
            v, occupancy = v + more[0], occupancy + duals[0] - duals[1]
        return v, occupancy


def _soft_value(program: SoftProgram, model: TabularModel) -> Array:
    """V from programs centred at one another's answers: the one whose residual ‖TV − V‖ is measured smallest.

    Raises: NotConverged if the solver breaks down from every first centre.
    """
    upper = np.full(model.n_states, float(model.follower_reward.max()) * most_steps(model, planned_ones=True))
    best, least, failure = upper, np.inf, None
    for first in (np.zeros(model.n_states), upper):
        program.centre = first
        for _ in range(_ROUNDS):
            try:
                v, _ = program.solve(np.ones(model.n_states))
            except NotConverged as error:
                failure = error
                break
            program.centre = v
            residual = float(np.abs(soft_backup(model, planned(model), v)[0] - v).max())
            if residual < least:
                best, least = v, residual
        if least < 1e-6 * (1.0 + float(np.abs(best).max())):
            program.centre = best
            return best
    raise failure or NotConverged(f"soft Bellman cone program: the best residual ‖TV − V‖ is {least:.3g}")


def _adjoint(program: SoftProgram, forward: Array, load: Array) -> Array:
    """(I − γP_π)⁻ᵀ load as differences of duals, refined by programs in the residual that is left.

    Raises: NotConverged if the solver breaks down on the first pair of programs.
    """
    adjoint, left = np.zeros_like(load), load
    for _ in range(_ROUNDS):
        if not np.any(left):
            break
        try:
            better = adjoint + _dual_of(program, left)
        except NotConverged:
            if left is load:
                raise
            break  # what is left is measured, and shows in the estimate
        remaining = load - forward.T @ better
        if float(np.abs(remaining).sum()) > 0.5 * float(np.abs(left).sum()):
            break
        adjoint, left = better, remaining
    return adjoint


def _dual_of(program: SoftProgram, load: Array) -> Array:
    """The dual of a signed objective, as the difference of the duals of two positive ones."""
    size, centre = float(np.abs(load).max()), program.centre
    failure = NotConverged("soft Bellman cone program: not tried")
    for lift, around in ((_LIFT, centre), (1.0, centre), (1.0, np.zeros_like(centre)), (10.0, centre)):
        program.centre = around
        try:
            plus, minus = (program.solve(np.maximum(sign * load, 0.0) + lift * size)[1] for sign in (1.0, -1.0))
            return np.asarray(plus - minus)
        except NotConverged as error:
            failure = error
        finally:
            program.centre = centre
    raise failure


def _context(
    problem: ConfigurableMDP, theta: Array, model: TabularModel
) -> tuple[float, list[TabularArrays], Array, float]:
    """(value, cotangents as the programs give them and after one correction, ∂f/∂θ, what the correction does to the value)."""
    program = SoftProgram(model)
    matrix, world = planned(model), matrix_of(model.transition)
    S, A, tau = model.n_states, model.n_actions, model.temperature
    gamma_F, gamma_L = model.follower_discount, model.leader_discount
    objective = problem.objective
    v = _soft_value(program, model)
    occupancy = v_leader = adjoint = np.zeros(S)
    direct, value, better, out = np.zeros(problem.dim), 0.0, 0.0, []
    for corrected in (False, True):
        tv, policy = soft_backup(model, matrix, v)
        forward = np.eye(S) - gamma_F * state_kernel(matrix, policy)
        if corrected:
            v = v + np.linalg.solve(forward, tv - v)
            _, policy = soft_backup(model, matrix, v)
            forward = np.eye(S) - gamma_F * state_kernel(matrix, policy)
        if isinstance(objective, PolicyObjective):
            direct, q = objective.gradients(theta, policy)
            w = policy * (q - (policy * q).sum(axis=1, keepdims=True)) / tau
            better = objective.value(theta, policy)
        else:
            p_world = state_kernel(world, policy)
            running = paid(model, policy)
            reward = (policy * running).sum(axis=1)
            evaluation = np.eye(S) - gamma_L * p_world
            if not corrected:
                v_leader, occupancy = EvaluationProgram(p_world, gamma_L).solve(reward, model.initial)
            else:
                v_leader = v_leader + np.linalg.solve(evaluation, reward - evaluation @ v_leader)
                occupancy = occupancy + np.linalg.solve(evaluation.T, model.initial - evaluation.T @ occupancy)
            better = float(model.initial @ v_leader)
            benefit = running + gamma_L * (world @ v_leader).reshape(S, A) - v_leader[:, None]
            w = occupancy[:, None] * policy * benefit / tau
        value = value if corrected else better
        load = gamma_F * np.asarray(w.reshape(-1) @ matrix)
        if not corrected:
            adjoint = _adjoint(program, forward, load)
        else:
            adjoint = adjoint + np.linalg.solve(forward.T, load - forward.T @ adjoint)
        general = isinstance(objective, PolicyObjective)
        out.append(_cotangents(model, policy, v, w, adjoint, occupancy, v_leader, general))
    return value, out, direct, abs(better - value)


def _cotangents(
    model: TabularModel,
    policy: Array,
    v: Array,
    w: Array,
    adjoint: Array,
    occupancy: Array,
    v_leader: Array,
    general: bool,
) -> TabularArrays:
    m = w + policy * adjoint[:, None]
    visits = occupancy[:, None] * policy
    like = model.kernel.values
    own = model.follower_discount * _outer(model.follower_transition, model.transition, m, v)
    world = np.zeros_like(like) if general else model.leader_discount * _outer(None, model.transition, visits, v_leader)
    if model.follower_transition is None:
        return TabularArrays(world + own, v_leader, m, visits, None)
    return TabularArrays(world, v_leader, m, visits, own)


def _outer(own: Any, shared: Any, x: Array, v: Array) -> Array:
    matrix = shared if own is None else own
    if isinstance(matrix, np.ndarray):
        return np.asarray(np.multiply.outer(x, v))
    return np.asarray(np.repeat(x.ravel(), np.diff(matrix.indptr)) * v[matrix.indices])


def run(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,).  Raises: MissingExtra, NotConverged."""
    if importlib.util.find_spec("cvxpy") is None:
        raise MissingExtra("the conic route needs cvxpy: pip install 'boltzgrad[conic]'")
    linearised = problem.linearise(theta)
    weights = linearised.model.probabilities
    solved = [_context(problem, theta, model) for model in linearised.model.models]
    gradients = []
    for k in range(2):
        cotangent = ContextualArrays(
            tuple(cots[k].scaled(float(p)) for p, (_, cots, *_) in zip(weights, solved, strict=True)),
            np.array([value for value, *_ in solved]),
        )
        gradients.append(linearised.pullback(cotangent))
    outside = sum((p * direct for p, (_, _, direct, _) in zip(weights, solved, strict=True)), np.zeros(problem.dim))
    value = float(sum(p * value for p, (value, *_) in zip(weights, solved, strict=True)))
    if problem.regulariser is not None:
        value += problem.regulariser.value(theta)
        outside = outside + problem.regulariser.gradient_at(theta)
    error = 2.0 * np.abs(gradients[0] - gradients[1])
    value_error = float(sum(p * off for p, (*_, off) in zip(weights, solved, strict=True)))
    return RouteResult(value, gradients[0] + outside, error, value_error=value_error)


def skip(problem: ConfigurableMDP, theta: Array) -> str:
    """Why the cone programs are not solved, or ""."""
    if importlib.util.find_spec("cvxpy") is None:
        return "cvxpy is not installed: pip install 'boltzgrad[conic]'"
    largest = max(model.n_states for model in problem.contexts(theta).models)
    return f"more than {STATE_LIMIT} states" if largest > STATE_LIMIT else ""


CONIC = Route("conic", "exponential-cone program; its dual is the adjoint", run, skip)
