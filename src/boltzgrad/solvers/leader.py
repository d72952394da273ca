r"""The leader's side under the follower's policy: values, Benefit, discounted occupancy, return.

    V_L = (I − γ_L P_π)⁻¹ r_π,   Q_L = r_L + γ_L P V_L,   B_L = Q_L − V_L,
    ν = (I − γ_L P_π)⁻ᵀ ρ,       J = ρ·V_L.

Source: BC-HG section 4 (the Benefit), (14)–(20) (occupancies; ν here is not normalised by 1 − γ_L).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import centred
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.solvers.follower import FollowerSolution
from boltzgrad.solvers.linear import LinearSystem, Solved

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class LeaderSolution:
    """Values of the leader under the follower's policy.

    `value` V_L (S,), `q` Q_L (S, A), `benefit` B_L (S, A) from differences of Q_L, `advantage` Q_L − V_L as extended precision
    leaves it, `occupancy` ν (S,) with Σ ν = expected discounted number of
    steps, `expected_return` J, `size` Σ |terms| that J is a sum of; `reward` c (S, A) is r_L, less τ_L log π
    where the leader regularises the follower's policy.  `residual` is ‖r_π + γP_πV_L − V_L‖_∞; `bound` ≥
    ‖V_L − exact‖_∞ and `occupancy_bound` ≥ ‖ν − exact‖₁ are proved for the policy as given (float64).
    """

    value: Array
    q: Array
    advantage: Array
    benefit: Array
    occupancy: Array
    expected_return: float
    residual: float
    size: float
    reward: Array
    visits: Solved
    system: LinearSystem

    @property
    def bound(self) -> float:
        """A proved bound on ‖V_L − exact‖_∞, for the policy as given."""
        return (self.residual + 4.0 * EPS * float(np.abs(self.value).max())) * self.system.remaining_steps

    @property
    def occupancy_bound(self) -> float:
        """A proved bound on ‖ν − exact‖₁, for the policy as given."""
        return self.visits.bound

    def __repr__(self) -> str:
        return f"<LeaderSolution J = {self.expected_return:.12g}, ‖V_L − exact‖ ≤ {self.bound:.1e}>"


def evaluate_leader(model: TabularModel, follower: FollowerSolution, *, policy: Array | None = None) -> LeaderSolution:
    """The leader's exact values under the follower's answer, or under another `policy` (S, A).

    Reuses the follower's factorisation where both use one discount and one kernel.  Raises: NotConverged.

    >>> from boltzgrad.solvers.follower import solve_follower
    >>> model = TabularModel(np.ones((1, 2, 1)), [1.0], [[0.0, 0.0]], [[1.0, 1.0]],
    ...                      follower_discount=0.5, leader_discount=0.5, temperature=1.0)
    >>> round(evaluate_leader(model, solve_follower(model)).expected_return, 12)
    2.0
    """
    gamma = model.leader_discount
    if policy is None and gamma == model.follower_discount and not model.own_kernel:
        system = follower.system
    else:
        system = LinearSystem(model.kernel, follower.policy if policy is None else policy, gamma)
    policy = follower.policy if policy is None else policy
    reward = running_reward(model, policy, follower.q)
    first = system.solve((policy * reward).sum(axis=1))
    # Q − V cancels most of V when γ_L is near one: one refinement with its residual in extended precision.
    rough, _ = _evaluate(model, reward, policy, first.x.astype(np.longdouble))
    value = first.x + system.solve((rough - first.x).astype(float), rtol=1e-6).x.astype(np.longdouble)
    again, q = _evaluate(model, reward, policy, value)
    residual = float(np.abs(again - value).max())
    occupancy = system.solve_transposed(model.initial)
    # Σ_b π_b (Q_a − Q_b), differences first: Q − V would leave a nearly certain action nothing but rounding.
    advantage = (q - value[:, None]).astype(float)
    return LeaderSolution(
        value=value.astype(float),
        q=q.astype(float),
        advantage=advantage,
        benefit=centred(policy, advantage),
        occupancy=occupancy.x,
        expected_return=float(model.initial @ value),
        residual=residual,
        size=float(np.abs(occupancy.x) @ (policy * np.abs(reward)).sum(axis=1)),
        reward=reward,
        visits=occupancy,
        system=system,
    )


def running_reward(model: TabularModel, policy: Array, q: Array) -> Array:
    """What the leader is paid (S, A): r_L − τ_L log π, log π from Q_F where the policy has underflowed."""
    if model.leader_temperature == 0.0:
        return np.asarray(model.leader_reward)
    top = (q - q.max(axis=1, keepdims=True)) / model.temperature
    log = np.where(policy > 0.0, np.log(np.where(policy > 0.0, policy, 1.0)), top)
    return np.asarray(model.leader_reward - model.leader_temperature * log)


def _evaluate(model: TabularModel, reward: Array, policy: Array, value: Array) -> tuple[Array, Array]:
    """(r_π + γ_L P_π V, Q_L) in extended precision."""
    q = reward + np.longdouble(model.leader_discount) * model.kernel.expect_extended(value)
    return (policy * q).sum(axis=1), q
