r"""A follower that is not optimal: the soft values of its policy, and how far the optimum can be from it.

    V° = (I − γ_F P_π°)⁻¹ Σ_a π° (r_F − τ log π°),   Q° = r_F + γ_F P V°.

For any V̂ and any positive π°, with e_V and e_Q proved errors of V̂ and Q(V̂) = r_F + γ_F P V̂ from the residual TV̂ − V̂,

    log π*(a|s) − log π°(a|s) = (Q̂ − V̂)/τ − log π° + (Q* − Q̂)/τ − (V* − V̂)/τ,

so that the policies are as near as Q̂, V̂ and π° are consistent, and e_Q + e_V are small beside τ.  Nothing of the optimum is
needed for that.  Source: derivation `trained-followers`; HPGD Theorem 2.5 has the same in sup norms.
"""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.solvers.follower import FollowerSolution, solution_of
from boltzgrad.solvers.linear import LinearSystem
from boltzgrad.solvers.perturbation import FollowerErrors, follower_errors
from boltzgrad.solvers.soft_bellman import EXTENDED_EPS, backup_extended

EPS = float(np.finfo(float).eps)
_TINY = 1e-300
_NEGLIGIBLE = 1e-60  # a probability below has no part in any sum


def evaluate_policy(model: TabularModel, policy: Array) -> FollowerSolution:
    """The soft values (V°, Q°) of a policy (S, A), of a model in plain form.

    `gap` is TV° − V° ≥ 0, what one improvement would gain; `residual` its largest entry.  Raises: NotConverged.

    >>> model = TabularModel(np.ones((1, 2, 1)), [1.0], [[0.0, 0.0]], [[0.0, 0.0]],
    ...                      follower_discount=0.5, leader_discount=0.5, temperature=1.0)
    >>> bool(np.isclose(evaluate_policy(model, np.array([[1.0, 0.0]])).value[0], 0.0))
    True
    """
    system = LinearSystem(model.follower_kernel, policy, model.follower_discount)
    paid = (policy * (model.follower_reward - model.temperature * log_of(policy))).sum(axis=1)
    rough = system.solve(paid).x
    # Advantages are small differences of values: one refinement with its residual in extended precision.
    q = backup_extended(model, rough.astype(np.longdouble)).q
    left = (policy * (q - model.temperature * log_of(policy))).sum(axis=1) - rough
    value = rough.astype(np.longdouble) + system.solve(left.astype(float), rtol=1e-6).x
    return _told(model, value, policy, system, "policy evaluation")


def with_values(model: TabularModel, value: Array, policy: Array) -> FollowerSolution:
    """A policy (S, A) beside values V̂ (S,) that somebody has of it, of a model in plain form."""
    system = LinearSystem(model.follower_kernel, policy, model.follower_discount)
    return _told(model, np.asarray(value).astype(np.longdouble), policy, system, "as it was given")


def improve(follower: FollowerSolution) -> FollowerSolution:
    """One step of soft policy improvement, π¹ ∝ exp(Q°/τ), beside the values V° that it was made from."""
    policy = backup_extended(follower.model, follower.extended).policy.astype(float)
    system = LinearSystem(follower.model.follower_kernel, policy, follower.model.follower_discount)
    return _told(follower.model, follower.extended, policy, system, "improved once")


def _told(model: TabularModel, value: Array, policy: Array, system: LinearSystem, method: str) -> FollowerSolution:
    last, factorised = backup_extended(model, value), system.factorisations
    return solution_of(model, value, last, 0, factorised, method, system, EXTENDED_EPS, policy)


def log_of(policy: Array) -> Array:
    """Log π (S, A), zero where π is: there it is only ever multiplied with π."""
    return np.asarray(np.log(np.where(policy > 0.0, policy, 1.0)))


def policy_errors(model: TabularModel, follower: FollowerSolution, eps: float) -> FollowerErrors:
    """Proved distances of (V*, Q*, π*) from the V̂ and π° of a follower, for a model whose entries may be off by `eps`."""
    greedy = improve(follower)
    errors, policy, tau = follower_errors(model, greedy, eps), follower.policy, model.temperature
    q, v = follower.q, follower.value[:, None]
    own = 8 * EPS * ((np.abs(q) + np.abs(v)) / tau + np.abs(log_of(policy)) + 1.0)
    apart = (q - v) / tau - log_of(policy)
    room = (errors.q + errors.value[:, None]) / tau + own
    up, down = apart + room, room - apart
    λ = np.maximum(np.maximum(up, down), 0.0)
    there = policy > 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        more = np.maximum(np.expm1(np.maximum(up, 0.0)), -np.expm1(-np.maximum(down, 0.0)))
        relative = np.where(there, np.expm1(λ), errors.relative)
        moved = np.where(there, more * policy, greedy.policy + errors.policy) + _TINY
        taken = ~(np.maximum(greedy.policy + errors.policy, policy) <= _NEGLIGIBLE)
        growth = np.where(there, up, np.inf)[taken].max(initial=0.0)
        kappa = float((1 + eps) * np.exp(growth) * (1 + (model.n_actions + 4) * EPS) - 1)
    return FollowerErrors(errors.value, errors.q, relative, np.minimum(moved, 1.0), kappa)
